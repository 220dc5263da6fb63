"""Copy the mask of a slice to the next one, as it is or fitted to the image there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import (
    Mask,
    Over,
    Reach,
    Region,
    changed,
    chosen,
    enlarged,
    needed_image,
    needed_voxel,
    slice_box,
    step,
    within,
)
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.smooth import median_filtered
from napari_tumorseg.voxels.distance import depth_mm
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["CopySliceParams", "copy_slice"]


@dataclass(frozen=True)
class CopySliceParams:
    """Settings of copy slice.

    Attributes
    ----------
    to : str
        The next slice (of a higher index), or the previous one.
    adapt_mm : float
        How far the border may move to follow the image of that slice; 0 copies as it is.
    replace : bool
        Take away what the label has in that slice beneath and round the copy; otherwise add to it.
    reach : str
        The lesion in focus, or all of the label in the slice.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    to: Literal["next", "previous"] = field(default="next", metadata=about("To"))
    adapt_mm: float = field(default=0.0, metadata=about("Adapt (mm)", 0.0, 20.0, 0.5))
    replace: bool = field(default=False, metadata=about("Replace"))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def copy_slice(scope: Scope, target: Target, params: CopySliceParams, progress: Progress | None = None) -> Draft | None:
    """Copy the label in the slice of ``target.voxel`` across ``target.axis`` to its neighbour.

    Raises
    ------
    InputError
        If nothing was pointed at, the slice is the last one, or an image is needed and none is shown.
    """
    step(progress, 0.0, "Copying the slice")
    axis = target.axis
    index = needed_voxel(scope, target)[axis]
    to = index + (1 if params.to == "next" else -1)
    if not 0 <= to < scope.labels.shape[axis]:
        raise InputError(f"There is no {params.to} slice.", "Copy the other way.")
    region = chosen(scope, target, params.reach, "this slice")
    if region is None:
        return None
    wide = enlarged(scope, region, 2 * params.adapt_mm + 2 * max(scope.grid.spacing_mm) if params.adapt_mm else 0.0)
    there = slice_box(_shifted(wide.box, axis, to - index), axis, to)
    assert there is not None
    after = wide.mask
    if params.adapt_mm > 0:
        step(progress, 0.3, "Fitting to the image")
        image = needed_image(scope)
        after = _adapted(wide, image[wide.box.slices], image[there.slices], scope.grid.spacing_mm, params.adapt_mm)
    before = np.asarray(scope.labels[there.slices] == scope.label)
    if not params.replace:
        after = after | before
    elif target.part is not None and params.reach == "lesion in focus":
        # Another lesion that happens to lie beside the copy stays.
        mine = within(target.part[1], target.part[0], there)
        after = after | (before & ~mine)
    return changed(scope, there, before, after, params.over, params.over_label)


def _shifted(box: Box, axis: int, by: int) -> Box:
    start, stop = list(box.start), list(box.stop)
    start[axis] += by
    stop[axis] += by
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def _adapted(region: Region, here: npt.NDArray[Any], there: npt.NDArray[Any], spacing: tuple[float, float, float], adapt_mm: float) -> Mask:
    """Return the copied mask with its border band classified anew by the image of the other slice.

    A voxel of the band joins the side whose median in the copied slice its intensity is nearer to.
    """
    mask, axis = region.mask, region.axis
    away = depth_mm(~mask, spacing, axis)
    deep = depth_mm(mask, spacing, axis)
    ring = (away > 0) & (away <= adapt_mm + max(spacing))
    if not ring.any():
        return mask
    inside, outside = float(np.median(here[mask])), float(np.median(here[ring]))
    band = ((away > 0) & (away <= adapt_mm)) | (mask & (deep <= adapt_mm))
    alike = np.abs(there - inside) < np.abs(there - outside)
    fitted = np.where(band, alike, mask)
    fitted = median_filtered(fitted, 1.5 * max(s for i, s in enumerate(spacing) if i != axis), spacing, axis) & (mask | band)
    parts, count = connected_parts(np.asarray(fitted), 6)
    # Specks in the band that do not hang on to the copy are noise.
    held = np.zeros(count + 1, bool)
    held[np.unique(parts[mask & (parts > 0)])] = True
    held[0] = False
    return np.asarray(held[parts])
