"""Fill holes: background that the label encloses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Extent, Mask, Over, Reach, chosen_groups, enlarged, joined, painted, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["FillHolesParams", "fill_holes", "filled"]


@dataclass(frozen=True)
class FillHolesParams:
    """Settings of fill holes.

    Attributes
    ----------
    extent : str
        Holes in 3-D, or holes of every slice by itself, or of this slice only.
    largest_mm3 : float
        Larger holes stay; 0 fills all.
    reach : str
        The lesion in focus, or the label wherever it is.
    over : str
        What may be filled; other labels in a hole stay with "background".
    over_label : int
        The label that may be filled over, with "one label".
    """

    extent: Extent = field(default="3-D", metadata=about("Where"))
    largest_mm3: float = field(default=0.0, metadata=about("Largest (mm³)", 0.0, 1e6, 10.0))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def filled(mask: Mask, axis: int | None = None) -> Mask:
    """Return a mask with all voxels that have no way out to the border of the array; with `axis`, within each slice.

    The way goes through faces (in 3-D) or edges (in a slice), as in `scipy.ndimage.binary_fill_holes`.

    Examples
    --------
    >>> ring = np.ones((1, 3, 3), bool)
    >>> ring[0, 1, 1] = False
    >>> bool(filled(ring, axis=0).all()), bool(filled(ring).all())
    (True, False)
    """
    import fill_voids

    if axis is None:
        return np.asarray(fill_voids.fill(np.ascontiguousarray(mask)), bool)
    first = np.moveaxis(mask, axis, 0)
    done = np.stack([np.asarray(fill_voids.fill(np.ascontiguousarray(plane)), bool) for plane in first])
    return np.ascontiguousarray(np.moveaxis(done, 0, axis))


def fill_holes(scope: Scope, target: Target, params: FillHolesParams, progress: Progress | None = None) -> Draft | None:
    """Fill what the label encloses."""
    step(progress, 0.0, "Looking for the label")
    # What encloses a hole hangs together, so groups can be filled one by one.
    regions = chosen_groups(scope, target, params.reach, params.extent)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.2 + 0.7 * count / len(regions), "Filling holes")
        wide = enlarged(scope, region)
        axis = wide.axis
        holes = filled(wide.mask, axis) & ~wide.mask
        if params.largest_mm3 > 0 and holes.any():
            planes = [holes] if axis is None else [holes.take([i], axis) for i in range(holes.shape[axis])]
            voxels = params.largest_mm3 / scope.grid.voxel_volume_mm3
            holes = np.concatenate([_up_to(plane, voxels) for plane in planes], axis=axis or 0)
        done.append(painted(scope, wide.box, holes, params.over, params.over_label))
    return joined(scope, done)


def _up_to(holes: Mask, voxels: float) -> Mask:
    parts, _ = connected_parts(holes, 6)
    keep = np.bincount(parts.ravel()) <= voxels * (1 + 1e-9)
    keep[0] = False
    return np.asarray(keep[parts])
