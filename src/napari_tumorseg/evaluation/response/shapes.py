"""Lesions as sets of voxels in one common space, whatever grids they were drawn on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid

__all__ = ["Shape", "gap_mm", "share_outside", "shared_mm3"]


@dataclass(frozen=True, eq=False)
class Shape:
    """One lesion.

    Attributes
    ----------
    grid : Grid
        Of the mask that it was drawn in, in the common space.
    box : Box
        Where in that mask.
    inside : numpy.ndarray
        Boolean, shape of the box; at least one voxel.
    """

    grid: Grid
    box: Box
    inside: npt.NDArray[np.bool_]

    @cached_property
    def points_mm(self) -> npt.NDArray[np.float64]:
        """Centres of its voxels, (n, 3) RAS millimetres."""
        return self.grid.to_mm(np.argwhere(self.inside) + np.array(self.box.start))

    @cached_property
    def volume_mm3(self) -> float:
        """Number of voxels times their volume."""
        return int(np.count_nonzero(self.inside)) * self.grid.voxel_volume_mm3

    @cached_property
    def key(self) -> tuple[float, ...]:
        """Something to sort by that does not depend on any numbering: size and place."""
        return (-round(self.volume_mm3, 6), *(round(float(v), 6) for v in self.points_mm.mean(axis=0)))

    @cached_property
    def _tree(self) -> Any:
        from scipy.spatial import cKDTree

        return cKDTree(self.points_mm)

    @cached_property
    def _ends(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        reach = np.abs(self.grid.affine[:3, :3]).sum(axis=1) / 2
        return self.points_mm.min(axis=0) - reach, self.points_mm.max(axis=0) + reach

    def near(self, other: Shape, margin_mm: float) -> bool:
        """Whether the boxes round two lesions, in millimetres, are within a margin of each other."""
        (low, high), (other_low, other_high) = self._ends, other._ends
        return bool((low <= other_high + margin_mm).all() and (other_low <= high + margin_mm).all())

    def holds(self, points_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Return which points (n, 3) lie in one of its voxels."""
        index = np.rint(self.grid.to_index(points_mm)).astype(np.int64) - np.array(self.box.start)
        within = np.asarray(((index >= 0) & (index < self.inside.shape)).all(axis=1))
        within[within] = self.inside[tuple(index[within].T)]
        return within


def shared_mm3(first: Shape, second: Shape) -> float:
    """Return the volume that two lesions have in common.

    Voxels of one whose centres lie in a voxel of the other are counted, both ways round, and the larger volume is taken: a
    lesion smaller than a voxel of the other grid is not lost. On one grid it is the exact volume.

    Examples
    --------
    >>> grid = Grid.from_spacing((1, 1, 4), (1, 1, 2))
    >>> left, right = (Shape(grid, Box((0, 0, i), (1, 1, i + 3)), np.ones((1, 1, 3), bool)) for i in (0, 1))
    >>> shared_mm3(left, right)
    4.0
    """
    if not first.near(second, 0.0):
        return 0.0
    here = int(np.count_nonzero(first.holds(second.points_mm))) * second.grid.voxel_volume_mm3
    there = int(np.count_nonzero(second.holds(first.points_mm))) * first.grid.voxel_volume_mm3
    return float(min(max(here, there), first.volume_mm3, second.volume_mm3))


def gap_mm(first: Shape, second: Shape, limit_mm: float = np.inf) -> float:
    """Return the smallest distance between voxel centres of two lesions; infinite beyond a limit."""
    if not first.near(second, limit_mm):
        return np.inf
    small, large = (first, second) if len(first.points_mm) <= len(second.points_mm) else (second, first)
    away, _ = large._tree.query(small.points_mm)
    nearest = float(away.min())
    return nearest if nearest <= limit_mm else np.inf


def share_outside(shape: Shape, grid: Grid) -> float:
    """Return the share of a lesion's voxels, 0 to 1, whose centres are outside a grid's field of view."""
    index = grid.to_index(shape.points_mm)
    inside = ((index >= -0.5) & (index <= np.array(grid.shape) - 0.5)).all(axis=1)
    return float(1 - inside.mean())
