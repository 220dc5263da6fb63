"""Brushes of a size in millimetres: their voxels, and the strokes drawn with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Mask, Over, Region, changed, needed_path, painted, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.ball import ball

__all__ = ["BrushParams", "brush", "brush_mask", "stroke"]


@dataclass(frozen=True)
class BrushParams:
    """Settings of the brush.

    Attributes
    ----------
    diameter_mm : float
        Diameter of the disc or sphere.
    in_3d : bool
        A sphere that reaches into the neighbouring slices; otherwise a disc.
    action : str
        Add the label, or take it away.
    over : str
        What may be painted over.
    over_label : int
        The label that may be painted over, with "one label".
    """

    diameter_mm: float = field(default=8.0, metadata=about("Diameter (mm)", 0.5, 100.0, 0.5))
    in_3d: bool = field(default=False, metadata=about("In 3-D"))
    action: Literal["add", "erase"] = field(default="add", metadata=about("Action"))
    over: Over = field(default="all but locked", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def brush_mask(diameter_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> tuple[Mask, tuple[int, int, int]]:
    """Return the voxels of a brush and where they lie round its middle.

    Parameters
    ----------
    diameter_mm : float
        Diameter; never less than one voxel.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    axis : int, optional
        A disc across this axis; a sphere by default.

    Returns
    -------
    mask : numpy.ndarray
        Boolean (z, y, x).
    offset : tuple of int
        First index of the mask, (z, y, x), counted from the middle voxel.

    Examples
    --------
    >>> mask, offset = brush_mask(4.0, (5.0, 1.0, 1.0), axis=0)
    >>> int(mask.sum()), offset
    (13, (0, -2, -2))
    """
    if axis is None:
        mask = ball(diameter_mm, spacing_mm)
    else:
        mask = np.expand_dims(ball(diameter_mm, [size for i, size in enumerate(spacing_mm) if i != axis]), axis)
    z, y, x = (-(n // 2) for n in mask.shape)
    return mask, (z, y, x)


def stroke(
    path: npt.NDArray[np.float64], diameter_mm: float, spacing_mm: Sequence[float], shape: Sequence[int], axis: int | None = None
) -> Region | None:
    """Return the voxels that a brush passes over.

    Parameters
    ----------
    path : numpy.ndarray
        Shape (n, 3), fractional (z, y, x) voxel indices; straight between its points.
    diameter_mm : float
        Diameter of the brush.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    shape : sequence of int
        (z, y, x) of the volume; the rest is cut off.
    axis : int, optional
        A disc in the slice across this axis; a sphere by default.

    Returns
    -------
    Region, optional
        The voxels whose centres are within half the diameter of the path, and those that the path
        runs through; None when all lies outside the volume.
    """
    size = np.array(spacing_mm)
    radius = max(diameter_mm, 0.0) / 2
    flat = np.array(path, np.float64)
    if axis is not None:
        flat[:, axis] = np.round(flat[0, axis])
    reach = np.floor(radius / size + 0.5).astype(int) + 1
    if axis is not None:
        reach[axis] = 0
    low = np.maximum(np.floor(flat.min(axis=0) + 0.5).astype(int) - reach, 0)
    high = np.minimum(np.floor(flat.max(axis=0) + 0.5).astype(int) + reach + 1, shape)
    if (low >= high).any():
        return None
    out = np.zeros(high - low, bool)
    for a, b in zip(flat, flat[1:] if len(flat) > 1 else flat, strict=False):
        _add_capsule(out, a - low, b - low, radius, size, reach)
    if not out.any():
        return None
    box = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))
    return Region(box, out, axis)


def _add_capsule(
    out: Mask,
    a: npt.NDArray[np.float64],
    b: npt.NDArray[np.float64],
    radius: float,
    size: npt.NDArray[np.float64],
    reach: npt.NDArray[np.int_],
) -> None:
    low = np.maximum(np.floor(np.minimum(a, b) + 0.5).astype(int) - reach, 0)
    high = np.minimum(np.floor(np.maximum(a, b) + 0.5).astype(int) + reach + 1, out.shape)
    if (low < high).all():
        axes = np.ogrid[tuple(slice(i, j) for i, j in zip(low, high, strict=True))]
        away = [(axis - start) * s for axis, start, s in zip(axes, a, size, strict=True)]
        along = (b - a) * size
        length = float(along @ along)
        share = np.clip(sum(d * v for d, v in zip(away, along, strict=True)) / length, 0, 1) if length else 0.0
        square = sum((d - share * v) ** 2 for d, v in zip(away, along, strict=True))
        out[tuple(slice(i, j) for i, j in zip(low, high, strict=True))] |= square <= radius**2 * (1 + 1e-9)
    # A brush smaller than a voxel still leaves a line.
    count = int(np.ceil(np.abs(b - a).max() * 2)) + 1
    points = np.floor(np.linspace(a, b, count) + 0.5).astype(int)
    points = points[((points >= 0) & (points < out.shape)).all(axis=1)]
    out[tuple(points.T)] = True


def brush(scope: Scope, target: Target, params: BrushParams, progress: Progress | None = None) -> Draft | None:
    """Draw a stroke along ``target.path`` (or a dab at ``target.voxel``) with the brush.

    Raises
    ------
    InputError
        If nothing was pointed at.
    """
    step(progress, 0.0, "Painting")
    axis = None if params.in_3d else target.axis
    found = stroke(needed_path(target, 1), params.diameter_mm, scope.grid.spacing_mm, scope.labels.shape, axis)
    if found is None:
        return None
    if params.action == "add":
        return painted(scope, found.box, found.mask, params.over, params.over_label)
    mine = found.mask & (scope.labels[found.box.slices] == scope.label)
    return changed(scope, found.box, mine, np.zeros_like(mine), "background")
