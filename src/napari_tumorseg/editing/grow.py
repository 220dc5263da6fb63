"""Grow a region from a click, as far as the intensity and a radius let it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.fill_holes import filled
from napari_tumorseg.editing.intensity import likeness
from napari_tumorseg.editing.region import Mask, Over, needed_image, needed_voxel, painted, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.distance import dilated, eroded
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["GrowParams", "grow"]


@dataclass(frozen=True)
class GrowParams:
    """Settings of grow.

    Attributes
    ----------
    radius_mm : float
        How far from the click it may grow.
    tolerance : float
        How far from the intensity at the click a voxel may be, in the image's unit; 0 finds it
        from the noise and from what lies around.
    neck_mm : float
        Passages narrower than this are closed, which keeps it from leaking along vessels; 0 for none.
    fill : bool
        Fill holes, such as the necrotic core of a ring.
    in_3d : bool
        Grow in 3-D; otherwise in this slice.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    radius_mm: float = field(default=20.0, metadata=about("Radius (mm)", 1.0, 100.0, 1.0))
    tolerance: float = field(default=0.0, metadata=about("Tolerance", 0.0, 1e6))
    neck_mm: float = field(default=2.0, metadata=about("Neck (mm)", 0.0, 20.0, 0.5))
    fill: bool = field(default=False, metadata=about("Fill holes"))
    in_3d: bool = field(default=True, metadata=about("In 3-D"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def grow(scope: Scope, target: Target, params: GrowParams, progress: Progress | None = None) -> Draft | None:
    """Paint the voxels that resemble the one clicked on, are connected to it through faces, and within the radius.

    Raises
    ------
    InputError
        If no image is shown on the mask's grid, or nothing was pointed at.
    """
    step(progress, 0.0, "Looking at the image")
    image, voxel, spacing = needed_image(scope), needed_voxel(scope, target), scope.grid.spacing_mm
    margins = [int(params.radius_mm / size + 1e-9) for size in spacing]
    axis = None if params.in_3d else target.axis
    if axis is not None:
        margins[axis] = 0
    z, y, x = voxel
    box = Box((z, y, x), (z + 1, y + 1, x + 1)).grown(margins, image.shape)
    at = (z - box.start[0], y - box.start[1], x - box.start[2])
    block = image[box.slices]
    axes = np.ogrid[tuple(slice(0, n) for n in box.shape)]
    square = sum(((line - i) * size) ** 2 for line, i, size in zip(axes, at, spacing, strict=True))
    ball = np.asarray(square <= params.radius_mm**2 * (1 + 1e-9))
    if params.tolerance > 0:
        low, high = float(block[at]) - params.tolerance, float(block[at]) + params.tolerance
    else:
        low, high = likeness(block, at, ball)
    alike = ball & (block >= low) & (block <= high)
    alike[at] = True
    step(progress, 0.4, "Growing")
    found = _reached(alike, at)
    if params.neck_mm > 0:
        found = _without_necks(found, at, params.neck_mm / 2, spacing, axis)
    if params.fill:
        step(progress, 0.8, "Filling holes")
        found = filled(np.pad(found, 1))[1:-1, 1:-1, 1:-1] if axis is None else filled(found, axis)
    return painted(scope, box, found, params.over, params.over_label)


def _reached(mask: Mask, at: tuple[int, int, int]) -> Mask:
    parts, _ = connected_parts(mask, 6)
    return np.asarray(parts == parts[at])


def _without_necks(mask: Mask, at: tuple[int, int, int], radius_mm: float, spacing: tuple[float, float, float], axis: int | None) -> Mask:
    """Return what a ball reaches that starts nearest to the click and stays in the mask; all where no ball fits."""
    core = eroded(mask, radius_mm, spacing, axis)
    if not core.any():
        return mask
    parts, _ = connected_parts(core, 6)
    places = np.argwhere(core)
    away = (((places - at) * spacing) ** 2).sum(axis=1)
    nearest = places[int(np.argmin(away))]
    # A click into a thin part means the thin part.
    if float(away.min()) > (2 * radius_mm) ** 2 * (1 + 1e-9):
        return mask
    again = mask & dilated(parts == parts[tuple(nearest)], radius_mm, spacing, axis)
    again[at] = True
    return _reached(again, at)
