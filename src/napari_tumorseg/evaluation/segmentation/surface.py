"""Distances between the surfaces of two masks, and the scores made of them.

Two definitions of a surface are in use. With ``"elements"`` it is made of the surface elements of
google-deepmind/surface-distance (Nikolov et al. 2021, doi:10.2196/26151), each weighted by its area; with
``"voxels"`` of the voxels of the mask that have a face neighbour outside it, all alike.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.evaluation.segmentation.surfels import area_table, cell_codes

__all__ = ["Surface", "SurfaceDistances", "SurfaceKind", "dice", "distances_between", "hd95", "nsd", "surface_distances", "surface_of"]

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
SurfaceKind = Literal["elements", "voxels"]
# Nearest points this many voxels away are looked up one offset after the other; a tree finds those beyond.
_REACH = 3
# So few points go straight to the tree.
_FEW = 100


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of a mask.

    Attributes
    ----------
    cells : numpy.ndarray
        int64 (3, n), position of each element, (z, y, x) in voxels.
    areas_mm2 : numpy.ndarray
        float64 (n,); 1 for every voxel where the surface is made of voxels.
    """

    cells: npt.NDArray[np.int64]
    areas_mm2: Floats

    @classmethod
    def joined(cls, surfaces: Sequence[Surface]) -> Surface:
        """Return the surface of the union of masks that do not touch."""
        if len(surfaces) == 1:
            return surfaces[0]
        cells = [s.cells for s in surfaces] or [np.zeros((3, 0), np.int64)]
        return cls(np.concatenate(cells, axis=1), np.concatenate([s.areas_mm2 for s in surfaces] or [np.zeros(0)]))


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances of every surface element of one mask to the surface of the other, nearest first.

    Attributes
    ----------
    a_to_b_mm, b_to_a_mm : numpy.ndarray
        float64, sorted; infinite where the other mask is empty.
    areas_a_mm2, areas_b_mm2 : numpy.ndarray
        float64, area of the elements in the same order.
    """

    a_to_b_mm: Floats
    b_to_a_mm: Floats
    areas_a_mm2: Floats
    areas_b_mm2: Floats

    def hausdorff_mm(self, percent: float = 95.0) -> float:
        """Return the robust Hausdorff distance: the larger of the two percentiles, weighted by area; infinite if a mask is empty."""
        pairs = ((self.a_to_b_mm, self.areas_a_mm2), (self.b_to_a_mm, self.areas_b_mm2))
        return max(_percentile(distances, areas, percent) for distances, areas in pairs)

    def pooled_percentile_mm(self, percent: float = 95.0) -> float:
        """Return the percentile of both directions taken together, linearly interpolated; infinite if a mask is empty."""
        if not len(self.a_to_b_mm) or not len(self.b_to_a_mm):
            return float("inf")
        return float(np.percentile(np.concatenate((self.a_to_b_mm, self.b_to_a_mm)), percent))

    def overlap(self, tolerance_mm: float) -> float:
        """Return the part of both surfaces together that is within a tolerance of the other; NaN if both masks are empty."""
        near = float(self.areas_a_mm2[self.a_to_b_mm <= tolerance_mm].sum() + self.areas_b_mm2[self.b_to_a_mm <= tolerance_mm].sum())
        whole = float(self.areas_a_mm2.sum() + self.areas_b_mm2.sum())
        return near / whole if whole else float("nan")

    def mean_overlap(self, tolerance_mm: float) -> float:
        """Return the mean of the part of either surface that is within a tolerance; 0 if one mask is empty, NaN if both are."""
        parts = [
            float(areas[distances <= tolerance_mm].sum()) / float(areas.sum())
            for distances, areas in ((self.a_to_b_mm, self.areas_a_mm2), (self.b_to_a_mm, self.areas_b_mm2))
            if len(areas)
        ]
        return sum(parts) / len(parts) if parts else float("nan")

    def averages_mm(self) -> tuple[float, float]:
        """Return the mean distance from a to b and from b to a, weighted by area; NaN from an empty mask."""
        a, b = (
            float((distances * areas).sum() / areas.sum()) if len(areas) else float("nan")
            for distances, areas in ((self.a_to_b_mm, self.areas_a_mm2), (self.b_to_a_mm, self.areas_b_mm2))
        )
        return a, b


def dice(a: Mask, b: Mask) -> float:
    """Return the Dice coefficient of two boolean masks of one shape; NaN if both are empty.

    Examples
    --------
    >>> dice(np.array([True, True, False]), np.array([False, True, True]))
    0.5
    """
    a, b = _as_masks(a, b)
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else float("nan")


def hd95(a: Mask, b: Mask, spacing_mm: Sequence[float]) -> float:
    """Return the 95th percentile Hausdorff distance in mm of two masks (z, y, x), by surface elements; infinite if one is empty.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 9), bool)
    >>> mask[1:4, 1:4, 1:4] = True
    >>> hd95(mask, np.roll(mask, 2, axis=2), (1.0, 1.0, 0.5))
    1.0
    """
    return surface_distances(a, b, spacing_mm).hausdorff_mm(95.0)


def nsd(a: Mask, b: Mask, spacing_mm: Sequence[float], tolerance_mm: float) -> float:
    """Return the normalised surface Dice of two masks (z, y, x) at a tolerance, by surface elements; NaN if both are empty.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 9), bool)
    >>> mask[1:4, 1:4, 1:4] = True
    >>> nsd(mask, np.roll(mask, 1, axis=2), (1.0, 1.0, 1.0), 1.0)
    1.0
    """
    return surface_distances(a, b, spacing_mm).overlap(tolerance_mm)


def surface_distances(
    a: Mask, b: Mask, spacing_mm: Sequence[float], surface: SurfaceKind = "elements", *, reach_mm: float = float("inf")
) -> SurfaceDistances:
    """Measure the distances between the surfaces of two masks.

    Parameters
    ----------
    a, b : numpy.ndarray
        Boolean (z, y, x), of one shape. Outside the array is outside the mask.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    surface : str
        "elements" or "voxels", see the module.
    reach_mm : float
        Distances above it may be given as infinite, which is faster.

    Raises
    ------
    InputError
        If the shapes differ.
    """
    a, b = _as_masks(a, b)
    found = []
    for mask in (a, b):
        box = bounding_box(mask)
        found.append(surface_of(mask[box.slices], box.start, spacing_mm, surface) if box else Surface.joined([]))
    return distances_between(found[0], found[1], spacing_mm, reach_mm=reach_mm)


def _as_masks(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> tuple[Mask, Mask]:
    if a.shape != b.shape:
        raise InputError(f"The two masks have the shapes {a.shape} and {b.shape}.", "Give masks on one grid.")
    return np.asarray(a, bool), np.asarray(b, bool)


def surface_of(
    mask: Mask, start: Sequence[int], spacing_mm: Sequence[float], kind: SurfaceKind = "elements", areas: Floats | None = None
) -> Surface:
    """Return the surface of a mask (z, y, x) whose first voxel is `start`; `areas`, if at hand, is ``area_table(spacing_mm)``."""
    if kind == "elements":
        codes = cell_codes(mask)
        # 0 and 255 are no surface; one comparison instead of two, as uint8 wraps round.
        flat = np.flatnonzero((codes - np.uint8(1)) < 254)
        table = area_table(spacing_mm) if areas is None else areas
        return Surface(_positions(flat, codes.shape, start), table[codes.ravel()[flat]])
    flat = np.flatnonzero(mask & ~_inside(mask))
    return Surface(_positions(flat, mask.shape, start), np.ones(len(flat)))


def _positions(flat: npt.NDArray[np.int64], shape: Sequence[int], start: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.stack([index + offset for index, offset in zip(np.unravel_index(flat, tuple(shape)), start, strict=True)])


def _inside(mask: Mask) -> Mask:
    """Return the voxels with all six face neighbours in the mask: its erosion by a cross."""
    inside = np.zeros_like(mask)
    core = mask[1:-1, 1:-1, 1:-1]
    inside[1:-1, 1:-1, 1:-1] = (
        core
        & mask[:-2, 1:-1, 1:-1]
        & mask[2:, 1:-1, 1:-1]
        & mask[1:-1, :-2, 1:-1]
        & mask[1:-1, 2:, 1:-1]
        & mask[1:-1, 1:-1, :-2]
        & mask[1:-1, 1:-1, 2:]
    )
    return inside


def distances_between(a: Surface, b: Surface, spacing_mm: Sequence[float], *, reach_mm: float = float("inf")) -> SurfaceDistances:
    """Measure the distances of every element of two surfaces, in one system of coordinates, to the other; see `surface_distances`."""
    found = []
    for one, other in ((a, b), (b, a)):
        distances = _nearest_mm(one.cells, other.cells, np.array(spacing_mm, np.float64), reach_mm)
        # By distance, and by area where that is equal, so that a percentile does not depend on where elements lie.
        order = np.lexsort((one.areas_mm2, distances))
        found.append((distances[order], one.areas_mm2[order]))
    return SurfaceDistances(found[0][0], found[1][0], found[0][1], found[1][1])


def _percentile(distances: Floats, areas: Floats, percent: float) -> float:
    if not len(distances):
        return float("inf")
    part = int(np.searchsorted(np.cumsum(areas) / np.sum(areas), percent / 100))
    return float(distances[min(part, len(distances) - 1)])


def _nearest_mm(cells: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], spacing_mm: Floats, reach_mm: float) -> Floats:
    """Return how far the nearest target is from every cell; infinite if there is none, and perhaps if it is beyond `reach_mm`."""
    distances = np.full(cells.shape[1], np.inf)
    if not cells.shape[1] or not targets.shape[1]:
        return distances
    if cells.shape[1] < _FEW:
        return _by_tree(cells, targets, spacing_mm)
    low = np.minimum(cells.min(axis=1), targets.min(axis=1)) - _REACH
    high = np.maximum(cells.max(axis=1), targets.max(axis=1)) + _REACH
    shape = high - low + 1
    strides = (int(shape[1] * shape[2]), int(shape[2]), 1)

    def flat(points: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.asarray((points[0] - low[0]) * strides[0] + (points[1] - low[1]) * strides[1] + (points[2] - low[2]))

    # Zeroed memory takes room only where it is written to: this is as large as the surface, not as the box.
    taken = np.zeros(int(shape.prod()), bool)
    taken[flat(targets)] = True
    at = flat(cells)
    left = np.arange(len(at))
    for offsets, distance in _offsets(tuple(spacing_mm.tolist())):
        if distance > reach_mm:
            return distances
        if len(left) < _FEW:
            break
        steps = offsets @ np.array(strides)
        hit = taken.take(at + steps[:, None]).any(axis=0) if len(steps) > 1 else taken.take(at + steps[0])
        found = np.flatnonzero(hit)
        if len(found):
            distances[left.take(found)] = distance
            rest = np.flatnonzero(~hit)
            left, at = left.take(rest), at.take(rest)
    if len(left):
        distances[left] = _by_tree(cells[:, left], targets, spacing_mm)
    return distances


# Not state: the same offsets whenever they are worked out.
@functools.lru_cache(16)
def _offsets(spacing_mm: tuple[float, ...]) -> tuple[tuple[npt.NDArray[np.int64], float], ...]:
    """Return the offsets (n, 3) of each length, nearest first, that are nearer than any offset beyond `_REACH` voxels."""
    around = np.array(list(itertools.product(range(-_REACH, _REACH + 1), repeat=3)))
    lengths = np.sqrt(((around * spacing_mm) ** 2).sum(axis=1))
    near = lengths < (_REACH + 1) * min(spacing_mm)
    return tuple((around[lengths == length], float(length)) for length in np.unique(lengths[near]))


def _by_tree(cells: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], spacing_mm: Floats) -> Floats:
    from scipy.spatial import cKDTree

    tree: Any = cKDTree(targets.T * spacing_mm, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(cells.T * spacing_mm)
    # From the offset in voxels: differences of positions would carry their rounding.
    return np.asarray(np.sqrt((((cells - targets[:, nearest]).T * spacing_mm) ** 2).sum(axis=1)))
