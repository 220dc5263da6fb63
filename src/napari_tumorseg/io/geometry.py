"""Positions in files and in memory: conversions of affines, and masks put on the grid of their image."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError
from napari_tumorseg.core.grid import Grid, bounding_box

__all__ = [
    "LPS_TO_RAS",
    "affine_xyz",
    "affine_zyx",
    "displacement_mm",
    "fits",
    "grid_from_lps",
    "grid_to_lps",
    "mask_on_grid",
    "require_same_grid",
    "size_text",
]

#: ITK and DICOM count x to the left and y to the back; a `Grid` counts them to the right and front.
LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))
LPS_TO_RAS.flags.writeable = False

# Files that keep positions as float32, or as text, move voxels by less than this part of a voxel.
_ROUNDING = 0.02


def affine_zyx(affine: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the (z, y, x, 1) affine of an (x, y, z, 1) one; it is its own inverse."""
    return np.asarray(affine, dtype=np.float64)[:, [2, 1, 0, 3]]


def affine_xyz(grid: Grid) -> npt.NDArray[np.float64]:
    """Return the affine of `grid` for (x, y, z, 1) indices, still to RAS millimetres."""
    return affine_zyx(grid.affine)


def grid_from_lps(shape: tuple[int, int, int], origin_mm: npt.ArrayLike, directions: npt.ArrayLike, spacing_mm: npt.ArrayLike) -> Grid:
    """Return a grid from ITK's description of an image.

    Parameters
    ----------
    shape : tuple of int
        (z, y, x).
    origin_mm : array_like
        (x, y, z) of the first voxel, LPS.
    directions : array_like
        3 x 3, columns are the unit vectors of the x, y and z axes, LPS.
    spacing_mm : array_like
        (x, y, z).
    """
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(directions, np.float64).reshape(3, 3) * np.asarray(spacing_mm, np.float64)
    affine[:3, 3] = np.asarray(origin_mm, np.float64)
    return Grid(shape, affine_zyx(LPS_TO_RAS @ affine))


def grid_to_lps(grid: Grid) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return origin (x, y, z), directions (3 x 3, columns x, y, z) and spacing (x, y, z), LPS; the inverse of `grid_from_lps`."""
    affine = LPS_TO_RAS @ affine_xyz(grid)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return affine[:3, 3], affine[:3, :3] / spacing, spacing


def displacement_mm(one: Grid, other: Grid) -> float:
    """Return the largest distance between the same corner voxel of two grids of one shape."""
    corners = np.array([[z, y, x] for z in (0, one.shape[0] - 1) for y in (0, one.shape[1] - 1) for x in (0, one.shape[2] - 1)])
    return float(np.linalg.norm(one.to_mm(corners) - other.to_mm(corners), axis=1).max())


def fits(one: Grid, other: Grid) -> bool:
    """Whether two grids are the same but for the rounding that file formats do (2 % of a voxel)."""
    return one.matches(other, tolerance_mm=max(1e-3, _ROUNDING * min(other.spacing_mm)))


def size_text(grid: Grid) -> str:
    """Return the size of a grid as users read it, x first: "240x240x155"."""
    return "x".join(str(n) for n in reversed(grid.shape))


def require_same_grid(one: Grid, name: str, other: Grid, other_name: str) -> None:
    """Raise `GeometryError` naming both when two grids do not describe the same voxels."""
    hint = "Choose the image that the mask was drawn on, or resample the mask to this one."
    if one.shape != other.shape:
        raise GeometryError(f"{name} has {size_text(one)} voxels, but {other_name} has {size_text(other)}.", hint)
    if not fits(one, other):
        moved = displacement_mm(one, other)
        raise GeometryError(f"{name} and {other_name} both have {size_text(one)} voxels, but lie up to {moved:.3g} mm apart.", hint)


def mask_on_grid(mask: MaskVersion, grid: Grid, name: str, grid_name: str, *, allow_part: bool = False) -> MaskVersion:
    """Return `mask` on exactly `grid`, when both describe the same voxels.

    A mask whose axes are permuted or flipped is turned; nothing is ever interpolated.

    Parameters
    ----------
    mask : MaskVersion
        As read.
    grid : Grid
        Grid of the image.
    name, grid_name : str
        What the two are called in the error.
    allow_part : bool
        Whether the mask may cover a part of the image or more than it, on the same lattice, as
        3D Slicer saves segmentations; every labelled voxel must lie inside the image.

    Raises
    ------
    GeometryError
        If the two do not describe the same voxels.
    """
    turned, move = mask.grid.reorient(grid.orientation)
    labels = move.apply(mask.labels)
    if fits(turned, grid):
        return replace(mask, labels=np.ascontiguousarray(labels), grid=grid)
    placed = _placed(labels, turned, grid) if allow_part else None
    if placed is not None:
        return replace(mask, labels=placed, grid=grid)
    require_same_grid(mask.grid if sorted(mask.grid.shape) != sorted(grid.shape) else turned, name, grid, grid_name)
    raise AssertionError("grids that fit do not reach this line")


def _placed(labels: npt.NDArray[Any], own: Grid, grid: Grid) -> npt.NDArray[Any] | None:
    """Return labels copied into the shape of `grid`, None when the lattices differ or labels fall outside."""
    start = np.round(grid.to_index(own.affine[:3, 3])).astype(int)
    shifted = grid.affine.copy()
    shifted[:3, 3] = grid.to_mm(start)
    if not fits(own, Grid(own.shape, shifted)):
        return None
    out = np.zeros(grid.shape, labels.dtype)
    box = bounding_box(labels)
    if box is None:
        return out
    first, last = start + box.start, start + box.stop
    if (first < 0).any() or (last > grid.shape).any():
        return None
    out[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = labels[box.slices]
    return out
