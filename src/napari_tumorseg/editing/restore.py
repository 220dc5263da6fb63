"""Put the AI's version back inside a region."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.brush import stroke
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.outline import enclosed
from napari_tumorseg.editing.region import Mask, box_of_values, draft, needed_path, needed_voxel, step
from napari_tumorseg.editing.scope import Draft, Labels, Scope, Target
from napari_tumorseg.voxels.distance import dilated

__all__ = ["RestoreLassoParams", "RestorePartParams", "RestoreSphereParams", "restore_lasso", "restore_part", "restore_sphere"]


@dataclass(frozen=True)
class RestorePartParams:
    """Settings of restore lesion.

    Attributes
    ----------
    margin_mm : float
        How far round the lesion as it is now the AI's version is put back as well.
    """

    margin_mm: float = field(default=5.0, metadata=about("Margin (mm)", 0.0, 100.0, 1.0))


@dataclass(frozen=True)
class RestoreSphereParams:
    """Settings of restore sphere.

    Attributes
    ----------
    radius_mm : float
        Radius round the click.
    in_3d : bool
        A sphere; otherwise a disc in this slice.
    """

    radius_mm: float = field(default=10.0, metadata=about("Radius (mm)", 0.5, 200.0, 1.0))
    in_3d: bool = field(default=True, metadata=about("In 3-D"))


@dataclass(frozen=True)
class RestoreLassoParams:
    """Settings of restore lasso.

    Attributes
    ----------
    depth_mm : float
        How far the outline reaches through the slices on either side; 0 for this slice.
    """

    depth_mm: float = field(default=0.0, metadata=about("Depth (mm)", 0.0, 500.0, 1.0))


def restore_part(scope: Scope, target: Target, params: RestorePartParams, progress: Progress | None = None) -> Draft | None:
    """Put the AI's labels back in the lesion in focus and round it; without one, in the whole mask.

    Raises
    ------
    InputError
        If there is no AI version of this mask.
    """
    step(progress, 0.0, "Looking for the AI's version")
    first = _first(scope)
    if target.part is None:
        now, then = box_of_values(scope.labels), box_of_values(first)
        both = now.union(then) if now and then else now or then
        return None if both is None else _restored(scope, first, both, None, progress)
    box, mask = target.part
    spacing = scope.grid.spacing_mm
    wide = box.grown([int(params.margin_mm / size) + 1 for size in spacing], scope.labels.shape)
    full = np.zeros(wide.shape, bool)
    full[tuple(slice(a - o, b - o) for a, b, o in zip(box.start, box.stop, wide.start, strict=True))] = mask
    return _restored(scope, first, wide, dilated(full, params.margin_mm, spacing), progress)


def restore_sphere(scope: Scope, target: Target, params: RestoreSphereParams, progress: Progress | None = None) -> Draft | None:
    """Put the AI's labels back in a ball round the click.

    Raises
    ------
    InputError
        If there is no AI version of this mask, or nothing was pointed at.
    """
    step(progress, 0.0, "Looking for the AI's version")
    first = _first(scope)
    middle = np.array([needed_voxel(scope, target)], np.float64)
    found = stroke(middle, 2 * params.radius_mm, scope.grid.spacing_mm, scope.labels.shape, None if params.in_3d else target.axis)
    return None if found is None else _restored(scope, first, found.box, found.mask, progress)


def restore_lasso(scope: Scope, target: Target, params: RestoreLassoParams, progress: Progress | None = None) -> Draft | None:
    """Put the AI's labels back inside the closed outline ``target.path``.

    Raises
    ------
    InputError
        If there is no AI version of this mask, or the outline has fewer than three points.
    """
    step(progress, 0.0, "Looking for the AI's version")
    first = _first(scope)
    found = enclosed(needed_path(target, 3), target.axis, scope, params.depth_mm)
    return None if found is None else _restored(scope, first, found.box, found.mask, progress)


def _first(scope: Scope) -> Labels:
    if scope.ai is None or scope.ai.shape != scope.labels.shape:
        raise InputError("There is no AI version of this mask.", "Segment the case first, or choose a mask that a model made.")
    return scope.ai


def _restored(scope: Scope, first: Labels, box: Box, where: Mask | None, progress: Progress | None) -> Draft | None:
    step(progress, 0.5, "Restoring")
    old = scope.labels[box.slices]
    goes = ~np.isin(old, list(scope.locked)) if scope.locked else np.ones(old.shape, bool)
    if where is not None:
        goes &= where
    return draft(box, old, np.where(goes, first[box.slices].astype(old.dtype, copy=False), old))
