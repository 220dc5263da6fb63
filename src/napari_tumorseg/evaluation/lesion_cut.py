"""Cutting one connected part into several lesions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid

__all__ = ["cut", "seeds_at_neck"]

Mask = npt.NDArray[np.bool_]
Voxel = tuple[int, int, int]
#: A second place counts as deep when it lies this much deeper than the pass between the two.
_NECK = 1.15


def cut(inside: Mask, box: Box, grid: Grid, seeds: Sequence[Sequence[int]] = ()) -> list[Mask]:
    """Cut a part at its necks.

    A watershed (Meyer 1994) of the depth below the border: every voxel goes to the seed that it is reached from over the deepest
    way, so that the cut runs through the narrowest place between two seeds.

    Parameters
    ----------
    inside : numpy.ndarray
        Boolean, shape of `box`.
    box : Box
        Where in the mask.
    grid : Grid
        Position of the voxels.
    seeds : sequence of (z, y, x)
        Voxels of the mask, one for each piece; those of `seeds_at_neck` by default.

    Returns
    -------
    list of numpy.ndarray
        Boolean, shape of `box`, one for each seed that got a voxel; together they are `inside`.

    Raises
    ------
    InputError
        If a seed lies outside of the part.

    Examples
    --------
    >>> row = np.ones((1, 1, 6), bool)
    >>> [int(piece.sum()) for piece in cut(row, Box.whole(row.shape), Grid.from_spacing(row.shape, (1, 1, 1)))]
    [3, 3]
    """
    from skimage.segmentation import watershed

    depth = _depth(inside, grid)
    places = [tuple(int(v) - a for v, a in zip(seed, box.start, strict=True)) for seed in seeds or seeds_at_neck(inside, box, grid)]
    for place in places:
        if any(not 0 <= i < n for i, n in zip(place, inside.shape, strict=True)) or not inside[place]:
            raise InputError("A place to cut lies outside of the lesion.", "Choose places inside of it.")
    markers = np.zeros(inside.shape, np.int32)
    for number, place in enumerate(places, start=1):
        markers[place] = number
    pieces = watershed(-depth, markers, mask=inside, connectivity=np.ones((3, 3, 3), bool))
    return [pieces == number for number in range(1, len(places) + 1) if (pieces == number).any()]


def seeds_at_neck(inside: Mask, box: Box, grid: Grid) -> tuple[Voxel, ...]:
    """Return two voxels (z, y, x) of the mask from which `cut` parts a connected part.

    They are the deepest place, and the deepest of those that a neck parts from it, or, where there is no neck, the two ends of
    the part's longest direction; one where the part is a single voxel.

    Parameters
    ----------
    inside, box, grid
        As for `cut`.
    """
    a, b, c = box.start
    return tuple((z + a, y + b, x + c) for z, y, x in _two_deep(inside, _depth(inside, grid), grid))


def _depth(inside: Mask, grid: Grid) -> npt.NDArray[np.float64]:
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(np.pad(inside, 1), sampling=grid.spacing_mm)[1:-1, 1:-1, 1:-1])


def _two_deep(inside: Mask, depth: npt.NDArray[np.float64], grid: Grid) -> list[tuple[int, ...]]:
    from scipy.ndimage import label

    first = np.unravel_index(int(depth.argmax()), depth.shape)
    connected = np.ones((3, 3, 3))
    # Going up from the border, the first level at which something deep is parted from the deepest place shows the neck.
    for level in np.unique(depth[inside].round(6)):
        parts, count = label(depth > level, connected)
        if count < 2:
            continue
        deepest = [float(depth[parts == number].max()) if number != parts[first] else 0.0 for number in range(1, count + 1)]
        if max(deepest) >= _NECK * max(float(level), 1e-9):
            other = np.where(parts == int(np.argmax(deepest)) + 1, depth, 0)
            return [tuple(int(i) for i in first), tuple(int(i) for i in np.unravel_index(int(other.argmax()), depth.shape))]
    return _two_ends(inside, grid)


def _two_ends(inside: Mask, grid: Grid) -> list[tuple[int, ...]]:
    voxels = np.argwhere(inside)
    points = (voxels - voxels.mean(axis=0)) @ grid.affine[:3, :3].T
    direction = np.linalg.svd(points, full_matrices=False)[2][0] if len(points) > 1 else np.ones(3)
    along = points @ direction
    return [tuple(int(i) for i in voxels[at]) for at in dict.fromkeys((int(along.argmax()), int(along.argmin())))]
