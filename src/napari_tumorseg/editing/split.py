"""Split touching blobs at their necks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Extent, Mask, Reach, Region, chosen_groups, draft, joined, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.distance import depth_mm
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["SplitParams", "blobs", "split"]


@dataclass(frozen=True)
class SplitParams:
    """Settings of split.

    Attributes
    ----------
    neck_mm : float
        A blob counts as one of its own when it is thicker than the neck to the next by at least
        twice this: its inscribed ball has a radius larger by this much.
    result : str
        Part the blobs by a gap one voxel wide, or give all but the largest another label.
    new_label : int
        That label.
    extent : str
        In 3-D, in every slice by itself, or in this slice only.
    reach : str
        The lesion in focus, or the label wherever it is.
    """

    neck_mm: float = field(default=1.0, metadata=about("Neck (mm)", 0.1, 20.0, 0.25))
    result: Literal["gap", "new label"] = field(default="gap", metadata=about("Result"))
    new_label: int = field(default=1, metadata=about("New label", 1, 65535))
    extent: Extent = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))


def blobs(mask: Mask, neck_mm: float, spacing_mm: Sequence[float]) -> npt.NDArray[np.int32]:
    """Find and number the blobs of a mask: the basins of its distance map whose depth is at least `neck_mm`.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean (z, y, x).
    neck_mm : float
        How much the distance to the border falls, at least, on the way from a blob to a deeper one.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).

    Returns
    -------
    numpy.ndarray
        int32 (z, y, x): 0 outside, 1, 2, ... inside.

    Notes
    -----
    Marked watershed of the distance transform, with the h-maxima as markers (Vincent, IEEE Trans
    Image Process 2:176, 1993).
    """
    from skimage.morphology import reconstruction
    from skimage.segmentation import watershed

    depth = depth_mm(np.pad(mask, 1), spacing_mm)[1:-1, 1:-1, 1:-1].astype(np.float64)
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    neck_mm = min(neck_mm, float(depth.max()) * 0.999)
    ball = np.ones((3, 3, 3), bool)
    domes = depth - reconstruction(np.maximum(depth - neck_mm, 0), depth, footprint=ball)
    tops = mask & (domes >= neck_mm * (1 - 1e-9) - 1e-9)
    # A blob thinner than the neck has no top; it stays whole.
    markers, count = connected_parts(tops)
    numbers: npt.NDArray[Any] = markers.astype(np.int32)
    whole, _ = connected_parts(mask)
    marked = np.bincount(whole.ravel(), weights=(numbers > 0).ravel()) > 0
    bare = mask & ~marked[whole]
    numbers[bare] = count + whole[bare].astype(np.int32)
    return np.asarray(watershed(-depth, numbers, mask=mask, connectivity=ball), np.int32)


def split(scope: Scope, target: Target, params: SplitParams, progress: Progress | None = None) -> Draft | None:
    """Cut the label at its necks.

    With "gap", the voxels next to a blob of a higher number, by face, edge or corner, are cleared,
    so that each blob is an island of its own.
    """
    step(progress, 0.0, "Looking for the label")
    regions = chosen_groups(scope, target, params.reach, params.extent)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.2 + 0.7 * count / len(regions), "Looking for necks")
        done.append(_split(scope, region, params, progress))
    return joined(scope, done)


def _split(scope: Scope, region: Region, params: SplitParams, progress: Progress | None) -> Draft | None:
    mask, axis = region.mask, region.axis
    if axis is None:
        cut = _cut(mask, blobs(mask, params.neck_mm, scope.grid.spacing_mm), params)
    else:
        # Slices a kilometre apart do not see each other.
        spacing = [1e6 if i == axis else size for i, size in enumerate(scope.grid.spacing_mm)]
        cuts = []
        for index in range(mask.shape[axis]):
            step(progress, 0.5, "Looking for necks")
            plane = mask.take([index], axis)
            cuts.append(_cut(plane, blobs(plane, params.neck_mm, spacing), params))
        cut = np.concatenate(cuts, axis=axis)
    old = scope.labels[region.box.slices]
    value = 0 if params.result == "gap" else params.new_label
    return draft(region.box, old, np.where(cut & ~np.isin(old, list(scope.locked)), np.array(value, old.dtype), old))


def _cut(mask: Mask, found: npt.NDArray[np.int32], params: SplitParams) -> Mask:
    if params.result == "gap":
        from scipy.ndimage import maximum_filter

        return np.asarray(mask & (maximum_filter(found, 3, mode="nearest") > found))
    whole, _ = connected_parts(mask)
    sizes = np.bincount(found.ravel())
    keeps = np.zeros(len(sizes), bool)
    # The largest blob of each island keeps its label.
    owner = np.zeros(len(sizes), np.int64)
    owner[found.ravel()] = whole.ravel()
    for island in range(1, int(whole.max(initial=0)) + 1):
        mine = np.flatnonzero(owner == island)
        keeps[mine[int(np.argmax(sizes[mine]))]] = True
    return np.asarray(mask & ~keeps[found])
