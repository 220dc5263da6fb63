"""Where two masks have anything at all: small blocks that can be scored one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Island", "MaskPair", "dilated_18", "find_islands", "region_pairs"]

Labels = npt.NDArray[np.unsignedinteger[Any]]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Island:
    """A block around voxels that lie far from all others.

    Attributes
    ----------
    box : Box
        Where in the volume.
    reference, prediction : numpy.ndarray
        Labels (z, y, x) of the block; voxels of other islands are 0.
    values : frozenset of int
        Labels above 0 that occur in either.
    """

    box: Box
    reference: Labels
    prediction: Labels
    values: frozenset[int]


@dataclass(frozen=True, eq=False)
class MaskPair:
    """One region of an island: boolean masks (z, y, x) of the block `box`."""

    box: Box
    reference: Mask
    prediction: Mask


def find_islands(reference: Labels, prediction: Labels, dilations: int) -> list[Island]:
    """Split two label volumes into blocks that have nothing to do with each other.

    Parameters
    ----------
    reference, prediction : numpy.ndarray
        Labels (z, y, x) of one shape.
    dilations : int
        Voxels of different islands do not touch, not even after this many dilations of both by the
        18-neighbour element.

    Returns
    -------
    list of Island
        Blocks with a margin of `dilations` voxels, where the volume has as many.
    """
    # Voxels that come together are at most twice the dilations and one apart, so their tiles are neighbours.
    edge = max(4, 2 * dilations + 1)
    tiles = (_tiles(reference, edge) | _tiles(prediction, edge)) != 0
    numbers, count = connected_parts(tiles)
    islands = []
    for number, slices in enumerate(_boxes(numbers, count), start=1):
        rough = Box.whole(reference.shape) if slices is None else _voxels(slices, edge, reference.shape)
        inside = bounding_box(_own(reference, numbers, number, rough, edge) | _own(prediction, numbers, number, rough, edge))
        if inside is None:
            continue
        start, stop = ([a + b for a, b in zip(rough.start, c, strict=True)] for c in (inside.start, inside.stop))
        box = Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])).grown(dilations, reference.shape)
        one, other = (_own(labels, numbers, number, box, edge) for labels in (reference, prediction))
        values = (np.flatnonzero(np.bincount(labels.ravel())) for labels in (one, other))
        islands.append(Island(box, one, other, frozenset(int(v) for found in values for v in found if v)))
    return islands


def _tiles(labels: Labels, edge: int) -> Labels:
    """Return the bitwise or of the labels in each cube of `edge` voxels."""
    for axis in (0, 1):
        lead = (slice(None),) * axis
        shape = list(labels.shape)
        shape[axis] = -(-shape[axis] // edge)
        joined = np.zeros(shape, labels.dtype)
        for offset in range(min(edge, labels.shape[axis])):
            part = labels[(*lead, slice(offset, None, edge))]
            joined[(*lead, slice(0, part.shape[axis]))] |= part
        labels = joined
    return np.asarray(np.bitwise_or.reduceat(labels, np.arange(0, labels.shape[2], edge), axis=2))


def _boxes(numbers: npt.NDArray[Any], count: int) -> list[Any]:
    from scipy.ndimage import find_objects

    return list(find_objects(numbers.astype(np.int32), count)) if count else []


def _voxels(slices: Sequence[slice], edge: int, shape: Sequence[int]) -> Box:
    start = [s.start * edge for s in slices]
    stop = [min(s.stop * edge, n) for s, n in zip(slices, shape, strict=True)]
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _own(labels: Labels, numbers: npt.NDArray[Any], number: int, box: Box, edge: int) -> Labels:
    """Return the labels of a box without those in tiles of other islands."""
    tiles = np.ix_(*(np.arange(a, b) // edge for a, b in zip(box.start, box.stop, strict=True)))
    return np.asarray(np.where(numbers[tiles] == number, labels[box.slices], labels.dtype.type(0)))


def region_pairs(islands: Sequence[Island], regions: Mapping[str, Sequence[int]]) -> dict[str, list[MaskPair]]:
    """Return the masks of each region, given by its values, in every island.

    Regions are the same object where the labels that tell them apart do not occur, so that nothing is worked out twice.
    """
    known: list[dict[frozenset[int], MaskPair]] = [{} for _ in islands]
    highest = max((v for island in islands for v in island.values), default=0)
    found = {}
    for name, values in regions.items():
        table = np.zeros(max(highest, *values) + 1, bool)
        table[list(values)] = True
        found[name] = [
            have.setdefault(island.values.intersection(values), MaskPair(island.box, table[island.reference], table[island.prediction]))
            for have, island in zip(known, islands, strict=True)
        ]
    return found


def dilated_18(mask: Mask, iterations: int) -> Mask:
    """Return a mask (z, y, x) dilated by the 18-neighbour element; the border of the array cuts it off.

    Examples
    --------
    >>> mask = np.zeros((3, 3, 3), bool)
    >>> mask[1, 1, 1] = True
    >>> int(dilated_18(mask, 1).sum())
    19
    """
    for _ in range(iterations):
        # The element is the union of three squares, one in each plane.
        along_z, along_y = _spread(mask, 0), _spread(mask, 1)
        mask = _spread(along_z, 1) | _spread(along_z, 2) | _spread(along_y, 2)
    return mask


def _spread(mask: Mask, axis: int) -> Mask:
    lead = (slice(None),) * axis
    first, last = (*lead, slice(None, -1)), (*lead, slice(1, None))
    wide = mask.copy()
    wide[first] |= mask[last]
    wide[last] |= mask[first]
    return wide
