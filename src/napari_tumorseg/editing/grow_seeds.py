"""Grow all labels from the scribbles that are there until they meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Extent, Reach, chosen, draft, needed_image, step
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["GrowSeedsParams", "grow_seeds"]

# Cost of a millimetre on flat ground, against 1 for the strongest edges.
_PER_MM = 0.01


@dataclass(frozen=True)
class GrowSeedsParams:
    """Settings of grow from seeds.

    Attributes
    ----------
    margin_mm : float
        How far round the scribbles is looked; what lies on the border of that box is background.
    background_label : int
        Label whose scribbles mean background and are turned into it; 0 for none.
    smoothing_mm : float
        Standard deviation of the Gaussian that the image is smoothed with before.
    extent : str
        In 3-D, or in this slice only.
    reach : str
        The lesion in focus, or all scribbles of the mask.
    """

    margin_mm: float = field(default=10.0, metadata=about("Margin (mm)", 1.0, 100.0, 1.0))
    background_label: int = field(default=0, metadata=about("Background scribbles", 0, 65535))
    smoothing_mm: float = field(default=0.4, metadata=about("Smoothing (mm)", 0.0, 10.0, 0.1))
    extent: Literal["3-D", "this slice"] = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="whole mask", metadata=about("Of"))


def grow_seeds(scope: Scope, target: Target, params: GrowSeedsParams, progress: Progress | None = None) -> Draft | None:
    """Give the voxels round the scribbles the label of the scribble that reaches them first.

    The way there is long where the intensity changes: shortest ways in the grid of voxels, as in
    grow-cut in its fast form (Zhu et al., An effective interactive medical image segmentation
    method using fast GrowCut, 2014). Scribbles keep their labels, and voxels of locked labels and
    of other lesions are left out.

    Raises
    ------
    InputError
        If no image is shown on the mask's grid, or there are no scribbles.
    """
    from scipy.ndimage import gaussian_filter

    step(progress, 0.0, "Looking for scribbles")
    image = needed_image(scope)
    extent: Extent = params.extent
    region = chosen(scope, target, params.reach, extent, values=())
    if region is None:
        raise InputError("There are no scribbles to grow from.", "Draw a short line into each structure.")
    spacing = scope.grid.spacing_mm
    margins = [int(np.ceil(params.margin_mm / size)) for size in spacing]
    if region.axis is not None:
        margins[region.axis] = 0
    box = region.box.grown(margins, scope.labels.shape)
    old = scope.labels[box.slices]
    seeds = np.zeros(old.shape, np.int32)
    inner = tuple(slice(a - o, b - o) for a, b, o in zip(region.box.start, region.box.stop, box.start, strict=True))
    seeds[inner] = np.where(region.mask, old[inner], 0)
    values = [int(v) for v in np.unique(seeds) if v and v != params.background_label]
    if not values:
        raise InputError("There are background scribbles only.", "Draw a short line into the lesion.")
    numbers = np.zeros(max(*values, params.background_label) + 1, np.int32)
    numbers[values] = np.arange(2, len(values) + 2)
    # Number 1 is background, whatever its label.
    if params.background_label:
        numbers[params.background_label] = 1
    marks = numbers[seeds]
    others = (old != 0) & (seeds == 0)
    marks[_rim(old.shape, region.axis) & (marks == 0) & ~others] = 1
    step(progress, 0.2, "Smoothing the image")
    sigma = [0.0 if i == region.axis else params.smoothing_mm / size for i, size in enumerate(spacing)]
    block = gaussian_filter(np.nan_to_num(np.asarray(image[box.slices], np.float32)), sigma, mode="nearest")
    step(progress, 0.3, "Growing")
    grown = _nearest_seed(block, marks, others, spacing)
    back = np.array([0, 0, *values], old.dtype)
    new = np.where(others, old, back[grown])
    step(progress, 0.95, "Writing")
    return draft(box, old, np.where(np.isin(old, list(scope.locked)), old, new))


def _rim(shape: tuple[int, ...], axis: int | None) -> npt.NDArray[np.bool_]:
    rim = np.ones(shape, bool)
    rim[tuple(slice(None) if i == axis or n < 3 else slice(1, -1) for i, n in enumerate(shape))] = False
    return rim


def _nearest_seed(
    block: npt.NDArray[np.float32], marks: npt.NDArray[np.int32], others: npt.NDArray[np.bool_], spacing: Sequence[float]
) -> npt.NDArray[np.int32]:
    """Return for each voxel the mark of the seed from which the way is shortest; 0 for `others`, which block ways.

    A step costs the square of its change in intensity, over that of the strongest edges, and a
    little per mm, so that seeds on flat ground share it by distance.
    """
    from scipy.ndimage import binary_dilation
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import dijkstra

    seeded = (marks > 0) & ~others
    # Inside a scribble there is nothing to reach: only its rim is a start.
    rim = seeded & binary_dilation(~seeded)
    seeds = np.flatnonzero(rim)
    changes = [np.diff(block, axis=axis) ** 2 for axis in range(3)]
    flat = np.concatenate([change.ravel() for change in changes])
    scale = float(np.percentile(flat, 99)) if flat.size else 0.0
    count, strides = block.size, (block.shape[1] * block.shape[2], block.shape[2], 1)
    # Every voxel has six steps in a fixed order; those out of the box lead to itself, at an infinite cost.
    cost = np.full((*block.shape, 6), np.inf)
    shut = others | (seeded & ~rim)
    to = np.repeat(np.arange(count, dtype=np.int32), 6).reshape(*block.shape, 6)
    for axis, change in enumerate(changes):
        step_cost = change / (scale or 1.0) + _PER_MM * spacing[axis]
        low: list[Any] = [slice(None)] * 3
        high: list[Any] = [slice(None)] * 3
        low[axis], high[axis] = slice(0, -1), slice(1, None)
        step_cost[shut[tuple(low)] | shut[tuple(high)]] = np.inf
        cost[(*low, 2 * axis)] = step_cost
        cost[(*high, 2 * axis + 1)] = step_cost
        to[(*low, 2 * axis)] += strides[axis]
        to[(*high, 2 * axis + 1)] -= strides[axis]
    graph = csr_matrix((cost.ravel(), to.ravel(), np.arange(0, 6 * count + 1, 6, dtype=np.int32)), (count, count), copy=False)
    _, _, source = dijkstra(graph, indices=seeds, min_only=True, return_predecessors=True)
    reached = source >= 0
    found = np.zeros(count, np.int32)
    found[reached] = marks.ravel()[source[reached]]
    found[seeded.ravel()] = marks[seeded]
    return found.reshape(block.shape)
