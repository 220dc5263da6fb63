"""Doubtful places: where a person should look first, because the model was unsure.

Around every border there is a shell of voxels that are partly one thing and partly another, and no
model is sure of them. Ranking places by raw uncertainty would rank lesions by their surface. So
what is usual next to the borders of this mask is taken off first: what is left is a border that is
less sure than the others, or doubt where no border is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.document import Change, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.inference.uncertainty import UncertaintyMap
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Doubt", "DoubtRequest", "DoubtWalk", "doubt_volume", "excess_uncertainty", "find_doubts"]

_BY_HAND = (PatchSource.HAND, PatchSource.TOOL, PatchSource.EXTERNAL)
# Edge of the cells in which the middle of a place is looked for, as a share of its largest extent.
_CELLS = 3
# Networks are unsure up to about three voxels from a border.
_LAYERS = 3
# Edge in voxels of the neighbourhood over which a layer is averaged.
_AROUND = 5
# Share of a layer that counts as usual: flat faces of a sure border are less sure than the rest of it.
_USUAL = 0.75
# Bits: the mean of the binary entropy over probabilities spread evenly from 0 to 1, as partial volume
# alone makes them; what is beyond is not usual, however often the case has it.
_PARTIAL_VOLUME_BITS = 0.5 / np.log(2)


@dataclass(frozen=True)
class DoubtRequest:
    """What counts as a doubtful place.

    Attributes
    ----------
    least_bits : float
        Voxels with less uncertainty, beyond what is usual at a border, are not part of any place.
    least_mass_ml : float
        Places with less uncertainty than this, in bit mL, are left out: 0.005 is five voxels of
        1 mm³ at one bit.
    extent_mm : float
        Largest diameter of a place; what is longer is split into several.
    least_volume_ml : float
        Places of fewer voxels than this are left out: 0.014 mL is a ball of 3 mm.
    share : float
        The places are listed, the most doubtful first, until they hold this share of the uncertainty of all; what follows is
        many places that hold little.
    apart_bits : float
        Whatever their share, places more than three voxels from the mask are listed where the model was as unsure as this: there
        it may have missed a small lesion, which has little uncertainty because it is small. 0.9 bit is a probability of 0.32 to
        0.68.
    most : int
        Number of places at most, the least doubtful ones dropped.
    """

    least_bits: float = 0.25
    least_mass_ml: float = 0.005
    extent_mm: float = 25.0
    least_volume_ml: float = 0.014
    share: float = 0.9
    apart_bits: float = 0.9
    most: int = 60


@dataclass(frozen=True, eq=False)
class Doubt:
    """One place to look at.

    Attributes
    ----------
    rank : int
        1 for the most doubtful.
    mass_ml : float
        Uncertainty beyond the usual, summed over the voxels: bit mL.
    volume_ml : float
        Of its voxels.
    peak_bits : float
        Largest uncertainty in it.
    point_mm : tuple of float
        Its centre of mass, (x, y, z) in RAS millimetres.
    box : Box
        On the grid of the mask.
    inside : numpy.ndarray
        Boolean, shape of `box`: its voxels.
    """

    rank: int
    mass_ml: float
    volume_ml: float
    peak_bits: float
    point_mm: tuple[float, float, float]
    box: Box
    inside: npt.NDArray[np.bool_] = field(repr=False)


def doubt_volume(found: UncertaintyMap, grid: Grid) -> Volume:
    """Return an uncertainty map as an image of its box alone, float16, in bits.

    Examples
    --------
    >>> found = UncertaintyMap(np.ones((1, 1, 1), np.float16), Box((1, 2, 3), (2, 3, 4)), (4, 4, 4))
    >>> doubt_volume(found, Grid.from_spacing((4, 4, 4), (1, 1, 1))).grid.affine[:3, 3].tolist()
    [3.0, 2.0, 1.0]
    """
    return Volume(found.values, grid.crop(found.box), "", "bit", name="Doubt")


def excess_uncertainty(found: UncertaintyMap, labels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return by how much each voxel is less sure than is usual where it lies.

    Parameters
    ----------
    found : UncertaintyMap
        Of the model.
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer: the mask that the model made of it.

    Returns
    -------
    numpy.ndarray
        Shape of the map's box, float32, bits, not negative. Voxels with another label among their 26
        neighbours are the first layer at the borders, their neighbours the second, and so on to the
        third. In a layer the uncertainty is averaged over the voxels of the same layer and label among
        5 x 5 x 5, because a sure border has sure and unsure voxels side by side; then the layer's upper quartile over the whole case
        is taken off, 0.72 bits at most. Elsewhere it is the uncertainty itself.
    """
    from scipy import ndimage

    values = found.values.astype(np.float32)
    around = found.box.grown(_LAYERS, labels.shape)
    near = labels[around.slices]
    inside = tuple(slice(a - b, a - b + n) for a, b, n in zip(found.box.start, around.start, found.box.shape, strict=True))
    reached = ndimage.maximum_filter(near, 3, mode="nearest") != ndimage.minimum_filter(near, 3, mode="nearest")
    own = near[inside]
    before = np.zeros(found.box.shape, bool)
    cube = np.ones((3, 3, 3), bool)
    for number in range(_LAYERS):
        if number:
            reached = ndimage.binary_dilation(reached, cube)
        layer = reached[inside] & ~before
        before = reached[inside]
        if not layer.any():
            continue
        mean = np.zeros(found.box.shape, np.float32)
        # Each side of a border on its own: a small lesion is all border, and what is around it may be sure.
        for value in np.unique(own[layer]):
            side = layer & (own == value)
            share = ndimage.uniform_filter(side.astype(np.float32), _AROUND, mode="constant")[side]
            unsure = ndimage.uniform_filter(np.where(side, found.values, 0).astype(np.float32), _AROUND, mode="constant")[side]
            mean[side] = unsure / share
        values[layer] = np.maximum(mean[layer] - min(float(np.quantile(mean[layer], _USUAL)), _PARTIAL_VOLUME_BITS), 0)
    return values


def find_doubts(
    found: UncertaintyMap,
    labels: npt.NDArray[Any],
    grid: Grid,
    request: DoubtRequest | None = None,
    progress: Progress | None = None,
) -> tuple[Doubt, ...]:
    """List the doubtful places of a mask, the most doubtful first.

    Parameters
    ----------
    found : UncertaintyMap
        Of the model that made the mask.
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer: the mask as the model made it.
    grid : Grid
        Of the mask.
    request : DoubtRequest, optional
        What counts.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    tuple of Doubt
        Connected parts of the excess uncertainty (26 neighbours), the long ones split, by falling
        uncertainty mass; those that the request says matter.

    Raises
    ------
    Cancelled
        If the user stopped it.
    """
    request, progress = request or DoubtRequest(), progress or Progress()
    progress.update(0.0, "Looking for doubtful places")
    excess = excess_uncertainty(found, labels)
    parts, count = connected_parts(excess >= request.least_bits)
    if not count:
        return ()
    voxel_ml = grid.voxel_volume_mm3 / 1000
    at = np.argwhere(parts)
    number = parts[parts > 0]
    mass = excess[parts > 0] * np.float32(voxel_ml)
    worth = np.bincount(number, mass) >= request.least_mass_ml
    worth[0] = False
    order = np.argsort(number, kind="stable")
    ends = np.cumsum(np.bincount(number))
    places: list[Doubt] = []
    for part in np.flatnonzero(worth):
        progress.update(0.2 + 0.8 * part / count, "Looking for doubtful places")
        chosen = order[ends[part - 1] : ends[part]]
        for piece in _split(at[chosen] * np.array(grid.spacing_mm), mass[chosen], request.extent_mm):
            members = chosen[piece]
            if float(mass[members].sum()) >= request.least_mass_ml:
                places.append(_place(at[members], mass[members], found, grid, voxel_ml))
    places.sort(key=lambda place: (-place.mass_ml, place.box.start))
    return tuple(_ranked(place, rank) for rank, place in enumerate(_that_matter(places, labels, request)[: request.most], 1))


def _that_matter(places: list[Doubt], labels: npt.NDArray[Any], request: DoubtRequest) -> list[Doubt]:
    """Return those of the places, given by falling mass, that somebody should look at."""
    enough = request.share * sum(place.mass_ml for place in places)
    before, kept = 0.0, []
    for place in places:
        if place.volume_ml >= request.least_volume_ml and (
            before < enough or (place.peak_bits >= request.apart_bits and not _touches(place, labels))
        ):
            kept.append(place)
        before += place.mass_ml
    return kept


def _touches(place: Doubt, labels: npt.NDArray[Any]) -> bool:
    """Return whether a label lies in a place or within the layers of its border."""
    from scipy import ndimage

    around = place.box.grown(_LAYERS, labels.shape)
    near = np.zeros(around.shape, bool)
    _part(near, around, place.box)[...] = place.inside
    return bool((labels[around.slices][ndimage.binary_dilation(near, np.ones((3, 3, 3), bool), _LAYERS)] > 0).any())


def _ranked(place: Doubt, rank: int) -> Doubt:
    return Doubt(rank, place.mass_ml, place.volume_ml, place.peak_bits, place.point_mm, place.box, place.inside)


def _split(points_mm: npt.NDArray[Any], mass: npt.NDArray[Any], extent_mm: float) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the indices of each piece of a part, none larger than a ball of diameter `extent_mm`.

    The heaviest cell of a coarse lattice is the middle of a piece, all within the radius belong to
    it; then the same with what is left.
    """
    cells = np.floor((points_mm - points_mm.min(axis=0)) * (_CELLS / extent_mm)).astype(np.int64)
    cell = np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1))
    left = np.arange(len(points_mm))
    while left.size:
        here = points_mm[left]
        if np.linalg.norm(np.ptp(here, axis=0)) <= extent_mm:
            yield left
            return
        heaviest = cell[left] == np.argmax(np.bincount(cell[left], mass[left]))
        middle = np.average(here[heaviest], axis=0, weights=mass[left][heaviest])
        taken = np.linalg.norm(here - middle, axis=1) <= extent_mm / 2
        # The middle of a bent cell's voxels may be near none of them.
        taken |= heaviest
        yield left[taken]
        left = left[~taken]


def _place(at: npt.NDArray[np.intp], mass: npt.NDArray[Any], found: UncertaintyMap, grid: Grid, voxel_ml: float) -> Doubt:
    low, high = at.min(axis=0), at.max(axis=0) + 1
    inside = np.zeros(tuple(high - low), bool)
    inside[tuple((at - low).T)] = True
    start = np.array(found.box.start)
    box = Box(_triple(low + start), _triple(high + start))
    x, y, z = (float(v) for v in grid.to_mm(np.average(at, axis=0, weights=mass) + start))
    peak = float(found.values[tuple(at.T)].max())
    return Doubt(0, float(mass.sum(dtype=np.float64)), len(at) * voxel_ml, peak, (x, y, z), box, inside)


def _triple(values: npt.NDArray[Any]) -> tuple[int, int, int]:
    z, y, x = (int(v) for v in values)
    return z, y, x


class DoubtWalk:
    """Goes through doubtful places once: those that were visited or edited are not gone to again.

    Parameters
    ----------
    places : tuple of Doubt
        In the order in which they are to be looked at.

    Examples
    --------
    >>> box, inside = Box((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), bool)
    >>> walk = DoubtWalk((Doubt(1, 2.0, 1.0, 1.0, (0, 0, 0), box, inside), Doubt(2, 1.0, 1.0, 1.0, (9, 9, 9), box, inside)))
    >>> walk.next().rank, walk.text
    (1, '1 of 2 doubtful places')
    >>> walk.next().rank, walk.next(), walk.text
    (2, None, 'All 2 doubtful places seen')
    """

    def __init__(self, places: tuple[Doubt, ...]) -> None:
        self.places = places
        self.current: Doubt | None = None
        self._seen: set[int] = set()
        self._edited: set[int] = set()
        self._finished = False

    @property
    def remaining(self) -> tuple[Doubt, ...]:
        """Places that were neither visited nor edited."""
        return tuple(place for place in self.places if place.rank not in self._seen | self._edited)

    @property
    def text(self) -> str:
        """Where the user is, as it is read."""
        count = len(self.places)
        noun = "doubtful place" if count == 1 else "doubtful places"
        if not count:
            return "No doubtful places"
        if self._finished:
            return "The doubtful place was seen" if count == 1 else f"All {count} {noun} seen"
        if self.current is None:
            return f"{count} {noun}" if len(self.remaining) == count else f"{len(self.remaining)} of {count} {noun} left"
        return f"{self.current.rank} of {count} {noun}"

    def next(self) -> Doubt | None:
        """Return the most doubtful place that was neither visited nor edited; None when all were."""
        left = self.remaining
        if not left:
            self._finished = True
            return None
        self.current = left[0]
        self._seen.add(self.current.rank)
        return self.current

    def previous(self) -> Doubt | None:
        """Return the visited place before the current one by rank; None where there is none."""
        before = [p for p in self.places if p.rank in self._seen and (self.current is None or p.rank < self.current.rank)]
        if not before:
            return None
        self._finished = False
        self.current = before[-1]
        return self.current

    def begin_again(self) -> None:
        """Take all places as not visited; those that were edited stay so."""
        self._seen.clear()
        self._finished = False
        self.current = None

    def note_change(self, change: Change) -> bool:
        """Remember which places a change by hand or tool has touched; return whether there is a new one.

        A place counts as edited when one of its voxels has changed; that a model changed it does
        not mean that anybody has looked.
        """
        patch = change.patch
        if patch.origin.source not in _BY_HAND:
            return False
        changed: npt.NDArray[np.bool_] | None = None
        fresh = False
        for place in self.remaining:
            common = _common(place.box, patch.box)
            if common is None:
                continue
            if changed is None:
                changed = patch.old != patch.new
            if (_part(place.inside, place.box, common) & _part(changed, patch.box, common)).any():
                self._edited.add(place.rank)
                fresh = True
        return fresh


def _common(one: Box, other: Box) -> Box | None:
    box = Box(
        _triple(np.maximum(one.start, other.start)),
        _triple(np.minimum(one.stop, other.stop)),
    )
    return box if box.size else None


def _part(array: npt.NDArray[Any], box: Box, part: Box) -> npt.NDArray[Any]:
    return array[tuple(slice(a - o, b - o) for a, b, o in zip(part.start, part.stop, box.start, strict=True))]
