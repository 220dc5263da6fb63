"""Level tracing: the iso-contour through a voxel, filled."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.fill_holes import filled
from napari_tumorseg.editing.region import Mask, Over, Region, needed_image, needed_voxel, painted, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["LevelParams", "level_tracing", "trace_level"]


@dataclass(frozen=True)
class LevelParams:
    """Settings of level tracing.

    Attributes
    ----------
    side : str
        Whether the contour holds what is at least as bright as the voxel, or at most as bright;
        "automatic" takes the smaller of the two.
    radius_mm : float
        How far from the voxel the contour may reach.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    side: Literal["automatic", "brighter", "darker"] = field(default="automatic", metadata=about("Inside is"))
    radius_mm: float = field(default=40.0, metadata=about("Radius (mm)", 2.0, 200.0, 1.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def trace_level(scope: Scope, target: Target, params: LevelParams) -> Region | None:
    """Return what the iso-contour through the voxel encloses in its slice; None when it leaves the radius.

    The contour is the outer border of the voxels that are connected to the one under the cursor
    through edges and as bright or brighter (darker). Fast enough for a preview under the cursor.

    Raises
    ------
    InputError
        If no image is shown on the mask's grid, or nothing was pointed at.
    """
    image, voxel, axis = needed_image(scope), needed_voxel(scope, target), target.axis
    margins = [int(params.radius_mm / size) + 1 for size in scope.grid.spacing_mm]
    margins[axis] = 0
    z, y, x = voxel
    box = Box((z, y, x), (z + 1, y + 1, x + 1)).grown(margins, image.shape)
    at = (z - box.start[0], y - box.start[1], x - box.start[2])
    block = image[box.slices]
    sides = {"automatic": (True, False), "brighter": (True,), "darker": (False,)}[params.side]
    found = [mask for mask in (_enclosed(block, at, axis, brighter) for brighter in sides) if _closes(mask, box, image.shape, axis)]
    if not found:
        return None
    return Region(box, min(found, key=np.count_nonzero), axis)


def _enclosed(block: npt.NDArray[Any], at: tuple[int, int, int], axis: int, brighter: bool) -> Mask:
    level = block[at]
    parts, _ = connected_parts(np.asarray(block >= level if brighter else block <= level), 6)
    return filled(np.asarray(parts == parts[at]), axis)


def _closes(mask: Mask, box: Box, shape: tuple[int, ...], axis: int) -> bool:
    """Whether a mask ends before the faces of its box, save where the image itself ends."""
    for i in range(3):
        if i != axis and (
            (box.start[i] > 0 and mask.take(0, i).any()) or (box.stop[i] < shape[i] and mask.take(mask.shape[i] - 1, i).any())
        ):
            return False
    return not mask.all()


def level_tracing(scope: Scope, target: Target, params: LevelParams, progress: Progress | None = None) -> Draft | None:
    """Paint what the iso-contour through the voxel under the cursor encloses.

    Raises
    ------
    InputError
        If no image is shown on the mask's grid, or nothing was pointed at.
    """
    step(progress, 0.0, "Tracing")
    found = trace_level(scope, target, params)
    return None if found is None else painted(scope, found.box, found.mask, params.over, params.over_label)
