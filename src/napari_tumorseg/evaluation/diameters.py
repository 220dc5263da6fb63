"""The longest axial diameter of a lesion, its longest perpendicular in the same slice, and their ends.

RECIST 1.1 (Eisenhauer 2009, doi:10.1016/j.ejca.2008.10.026) and RANO-BM (Lin 2015, doi:10.1016/S1470-2045(15)70057-4) take the
longest diameter in the plane of measurement, the axial one; RANO (Wen 2010, doi:10.1200/JCO.2009.26.3541) multiplies it with the
longest diameter perpendicular to it in the same slice. Neither says what that is for voxels. Here:

- The axial slices are those of the grid axis nearest to superior-inferior. Lengths in a slice come from the grid's own affine.
- In each slice the lesion is the convex hull of the points half a voxel above, below, left and right of its voxel centres, where
  a surface at half height runs (as in the mesh of PyRadiomics, doi:10.1158/0008-5472.CAN-17-0339). Between voxel centres a lesion
  of one voxel has no size, and between outer corners a bar of one voxel's width is longer than it is. For discs of 4 to 30 voxels'
  diameter, centres give 0.2 to 0.5 voxels too little, these points 0.4 to 0.8 and outer corners 0.8 to 1.2 too much.
- The longest diameter is the largest distance of two points of the hull in any slice. The perpendicular is the longest chord of
  that slice's hull at a right angle to it. Both may run outside a lesion that is not convex, as a ruler on the screen does.
- Of equal ones the first slice counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.lesion import Diameters

__all__ = ["Outline", "SlicePlane", "lesion_diameters", "measure"]

Points = npt.NDArray[np.float64]
_NONE = -1
#: Directions in which the width of a slice is taken to see whether it can hold the longest diameter.
_DIRECTIONS = 16


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """The axial slices of a grid.

    Attributes
    ----------
    grid : Grid
        Position of the voxels.
    axis, row, column : int
        Array axis across the slices, and the two axes in them.
    to_plane : numpy.ndarray
        2 x 2: maps (row, column) index differences to millimetres in the slice, lengths and angles kept.
    """

    grid: Grid
    axis: int
    row: int
    column: int
    to_plane: Points

    @classmethod
    def of(cls, grid: Grid) -> SlicePlane:
        """Return the axial slices of a grid, whatever its axes are.

        Examples
        --------
        >>> SlicePlane.of(Grid.from_spacing((9, 9, 9), (1, 1, 1), "RSA")).axis
        1
        """
        axis = next(i for i, code in enumerate(grid.orientation) if code in "SI")
        row, column = (i for i in range(3) if i != axis)
        # Of a sheared affine the two columns are not at right angles; the triangle of QR keeps their lengths and angle.
        triangle = np.linalg.qr(grid.affine[:3, [row, column]], mode="r")
        return cls(grid, axis, row, column, np.asarray(triangle, np.float64))

    def to_mm(self, slice_index: int, point: npt.ArrayLike) -> tuple[float, float, float]:
        """Return the RAS millimetres of (row, column) in a slice."""
        index = np.zeros(3)
        index[self.axis] = slice_index
        index[[self.row, self.column]] = np.asarray(point)
        x, y, z = (float(v) for v in self.grid.to_mm(index))
        return x, y, z


@dataclass(frozen=True, eq=False)
class _Hull:
    """Corners (n, 2) of a convex hull in order around it, (row, column) each, and its longest diameter."""

    corners: Points
    longest_mm: float
    ends: tuple[int, int]

    @classmethod
    def around(cls, points: Points, to_plane: Points) -> _Hull:
        if not len(points):
            return cls(points, -1.0, (0, 0))
        from scipy.spatial import ConvexHull

        # An affine map does not change which points are corners, and half voxels are exact in floating point.
        corners = np.asarray(points[ConvexHull(points).vertices], np.float64)
        flat = corners @ to_plane.T
        squares = ((flat[:, None] - flat[None]) ** 2).sum(-1)
        i, j = divmod(int(squares.argmax()), len(flat))
        return cls(corners, float(np.sqrt(squares[i, j])), (i, j))


@dataclass(frozen=True, eq=False)
class Outline:
    """The first and last voxel of a lesion in every row of its axial slices: all that its diameters need.

    Attributes
    ----------
    corner : tuple of int
        Slice and row of the first entry.
    first, last : numpy.ndarray
        int32, shape (slices, rows): column of the first and last voxel, -1 where the row has none.
    reach : numpy.ndarray
        float64, shape (slices, 32): how far the slice reaches in millimetres in 16 directions, then in the opposite ones.
    """

    corner: tuple[int, int]
    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    reach: Points
    _hulls: dict[int, _Hull] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, inside: npt.NDArray[np.bool_], box: Box, plane: SlicePlane) -> Outline:
        """Return the outline of a lesion.

        Parameters
        ----------
        inside : numpy.ndarray
            Boolean, shape of `box`: which voxels belong to it.
        box : Box
            Where in the grid.
        plane : SlicePlane
            The grid's axial slices.
        """
        first, last = _rows(inside, box, plane)
        corner = (box.start[plane.axis], box.start[plane.row])
        return cls(corner, first, last, _reach(first, last, corner[1], plane))

    def updated(self, inside: npt.NDArray[np.bool_], box: Box, changed: Box, plane: SlicePlane) -> Outline:
        """Return the outline after voxels inside `changed` became other ones; slices beyond it are not looked at."""
        corner = (box.start[plane.axis], box.start[plane.row])
        shape = (box.shape[plane.axis], box.shape[plane.row])
        first, last = np.full(shape, _NONE, np.int32), np.full(shape, _NONE, np.int32)
        reach = np.full((shape[0], 2 * _DIRECTIONS), -np.inf)
        # What both frames have in common is taken over, then the changed slices are made anew.
        here, there = [], []
        for axis in range(2):
            start = max(corner[axis], self.corner[axis])
            stop = max(start, min(corner[axis] + shape[axis], self.corner[axis] + self.first.shape[axis]))
            here.append(slice(start - corner[axis], stop - corner[axis]))
            there.append(slice(start - self.corner[axis], stop - self.corner[axis]))
        first[tuple(here)], last[tuple(here)] = self.first[tuple(there)], self.last[tuple(there)]
        reach[here[0]] = self.reach[there[0]]
        low = max(changed.start[plane.axis], corner[0])
        high = min(changed.stop[plane.axis], corner[0] + shape[0])
        if low < high:
            own: list[slice] = [slice(None)] * 3
            own[plane.axis] = new = slice(low - corner[0], high - corner[0])
            lower, upper = list(box.start), list(box.stop)
            lower[plane.axis], upper[plane.axis] = low, high
            part = Box((lower[0], lower[1], lower[2]), (upper[0], upper[1], upper[2]))
            first[new], last[new] = _rows(inside[tuple(own)], part, plane)
            reach[new] = _reach(first[new], last[new], corner[1], plane)
        kept = {at: hull for at, hull in self._hulls.items() if not low <= at < high and 0 <= at - corner[0] < shape[0]}
        return Outline(corner, first, last, reach, kept)

    def hull(self, slice_index: int, plane: SlicePlane) -> _Hull:
        """Return the hull in a slice of the grid, without corners where there are no voxels; kept for the next time."""
        found = self._hulls.get(slice_index)
        if found is None:
            found = _Hull.around(_edge_points(self, slice_index), plane.to_plane)
            self._hulls[slice_index] = found
        return found


def measure(outlines: Sequence[Outline], plane: SlicePlane) -> Diameters:
    """Return the diameters of a lesion that is made of one or more parts.

    Parameters
    ----------
    outlines : sequence of Outline
        Its parts; at least one.
    plane : SlicePlane
        The grid's axial slices.

    Returns
    -------
    Diameters
        In millimetres, see the module for what is measured.
    """
    start = min(outline.corner[0] for outline in outlines)
    stop = max(outline.corner[0] + len(outline.first) for outline in outlines)
    reach = np.full((stop - start, 2 * _DIRECTIONS), -np.inf)
    for outline in outlines:
        part = reach[outline.corner[0] - start :][: len(outline.first)]
        np.maximum(part, outline.reach, out=part)
    # The longest diameter runs within half a step of one of the directions, and is no longer than the width there allows.
    limits = (reach[:, :_DIRECTIONS] + reach[:, _DIRECTIONS:]).max(axis=1) / np.cos(np.pi / (2 * _DIRECTIONS))
    best, where, hull = -1.0, -1, _Hull(np.zeros((0, 2)), -1.0, (0, 0))
    for at in (np.argsort(-limits, kind="stable") + start).tolist():
        if limits[at - start] < best - 1e-9:
            break
        found = outlines[0].hull(at, plane)
        if len(outlines) > 1:
            found = _Hull.around(np.concatenate([outline.hull(at, plane).corners for outline in outlines]), plane.to_plane)
        if found.longest_mm > best or (found.longest_mm == best and at < where):
            best, where, hull = found.longest_mm, at, found
    ends = hull.corners[list(hull.ends)]
    across, across_ends = _longest_chord(hull.corners, ends, plane.to_plane)
    longest = tuple(plane.to_mm(where, end) for end in ends)
    return Diameters(best, across, longest, tuple(plane.to_mm(where, end) for end in across_ends))


def lesion_diameters(inside: npt.NDArray[np.bool_], grid: Grid, box: Box | None = None) -> Diameters:
    """Return the longest axial diameter of a mask, its longest perpendicular, and their ends.

    Parameters
    ----------
    inside : numpy.ndarray
        Boolean (z, y, x), shape of `box`.
    grid : Grid
        Position of the voxels.
    box : Box, optional
        Where `inside` lies in the grid; the whole grid by default.

    Returns
    -------
    Diameters
        In millimetres; all zero for an empty mask.

    Examples
    --------
    >>> mask = np.zeros((3, 9, 9), bool)
    >>> mask[1, 4, 2:7] = True
    >>> found = lesion_diameters(mask, Grid.from_spacing(mask.shape, (5.0, 2.0, 2.0)))
    >>> found.longest_mm, found.perpendicular_mm
    (10.0, 2.0)
    """
    if not inside.any():
        return Diameters()
    plane = SlicePlane.of(grid)
    return measure([Outline.of(inside, box or Box.whole(grid.shape), plane)], plane)


def _rows(inside: npt.NDArray[Any], box: Box, plane: SlicePlane) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    turned = inside.transpose(plane.axis, plane.row, plane.column)
    filled = turned.any(axis=2)
    start, width = box.start[plane.column], turned.shape[2]
    first = np.where(filled, turned.argmax(axis=2) + start, _NONE)
    last = np.where(filled, width - 1 - turned[:, :, ::-1].argmax(axis=2) + start, _NONE)
    return first.astype(np.int32), last.astype(np.int32)


def _edge_points(outline: Outline, slice_index: int) -> Points:
    """Return the points half a voxel around a slice's voxels that can be corners of the hull, (row, column) each."""
    at = slice_index - outline.corner[0]
    if not 0 <= at < len(outline.first):
        return np.zeros((0, 2))
    rows = np.flatnonzero(outline.first[at] >= 0)
    row, first, last = rows + float(outline.corner[1]), outline.first[at, rows].astype(float), outline.last[at, rows].astype(float)
    pairs = [(row, first - 0.5), (row, last + 0.5)]
    pairs += [(row + side, column) for side in (-0.5, 0.5) for column in (first, last)]
    return np.concatenate([np.stack(pair, axis=1) for pair in pairs])


def _reach(first: npt.NDArray[np.int32], last: npt.NDArray[np.int32], row: int, plane: SlicePlane) -> Points:
    """Return how far each slice reaches in each direction, in mm from the grid's first row and column."""
    angles = np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ plane.to_plane
    rows = np.arange(row, row + first.shape[1])
    empty = first < 0
    found = np.empty((len(first), 2 * _DIRECTIONS))
    for number, (down, right) in enumerate(np.concatenate([directions, -directions])):
        along = rows * down + (last if right > 0 else first) * right
        along[empty] = -np.inf
        # The points half a voxel around a centre reach further by half of the larger step.
        found[:, number] = along.max(axis=1) + max(abs(down), abs(right)) / 2
    return found


def _longest_chord(hull: Points, ends: Points, to_plane: Points) -> tuple[float, Points]:
    """Return length and ends of the longest chord of a hull at a right angle to the line between `ends`.

    Along the line the chord's length is concave and straight between the heights of corners, so that it is longest at one.
    """
    flat = hull @ to_plane.T
    along = (ends[1] - ends[0]) @ to_plane.T
    along = along / np.linalg.norm(along)
    across = np.array([-along[1], along[0]])
    height, side = flat @ along, flat @ across
    after = np.roll(np.arange(len(hull)), -1)
    low, high = np.minimum(height, height[after]), np.maximum(height, height[after])
    step = height[after] - height
    best, points = -1.0, np.zeros((2, 2))
    for at in np.unique(height):
        meets = (low <= at) & (at <= high)
        level = step == 0
        share = np.divide(at - height, step, out=np.zeros_like(step), where=~level)
        here = np.concatenate([(side + share * (side[after] - side))[meets & ~level], side[height == at]])
        length = float(here.max() - here.min())
        if length > best:
            best = length
            points = np.stack([along * at + across * here.min(), along * at + across * here.max()])
    return best, np.asarray(points @ np.linalg.inv(to_plane).T)
