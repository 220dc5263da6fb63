"""The edge of a lesion on PET, where its uptake falls off most steeply."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.pet_place import Image, Index, Place, Where, part_at, place_of, written
from napari_tumorseg.editing.region import Mask, Over, step
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["EdgeParams", "gradient_edge"]

# Steps at which the ridge of the gradient is looked for, and points at most.
_FINE_MM = 1.5
_MOST_FINE = 4_000_000


@dataclass(frozen=True)
class EdgeParams:
    """Settings of the gradient edge.

    Attributes
    ----------
    smoothing_mm : float
        Standard deviation of the Gaussian before the gradient is taken; 0 for none.
    core_percent : float
        What reaches this share of the hill's top belongs to the lesion, however steep it is.
    where : str
        In a ball round the click, round the hill of uptake that it is on; or in the lesion in focus.
    radius_mm : float
        Of the ball; it should hold the lesion and some of what is round it.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    smoothing_mm: float = field(default=3.0, metadata=about("Smoothing (mm)", 0.0, 20.0, 0.5))
    core_percent: float = field(default=50.0, metadata=about("Core (% of top)", 10.0, 100.0, 5.0))
    where: Where = field(default="round the click", metadata=about("Where"))
    radius_mm: float = field(default=40.0, metadata=about("Radius (mm)", 2.0, 400.0, 5.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def gradient_edge(scope: Scope, target: Target, params: EdgeParams, progress: Progress | None = None) -> Draft | None:
    """Paint the hill of uptake up to where it falls off most steeply.

    Watershed on the magnitude of the gradient, the idea of Geets 2007 (doi:10.1007/s00259-006-0363-4): water rises from the
    core of the hill and from outside the place, and the two meet on the ridge of the gradient.

    Raises
    ------
    InputError
        If no PET is on the mask's grid, or nothing was pointed at.
    """
    step(progress, 0.0, "Looking at the PET")
    place = place_of(scope, target, params, margin=1)
    fine = [_fineness(size, n, place.box.size) for size, n in zip(scope.grid.spacing_mm, place.box.shape, strict=True)]
    smooth, slope = _slope(place.block, scope.grid.spacing_mm, fine, params.smoothing_mm)
    step(progress, 0.5, "Finding the edge")
    outside = ~place.inside
    if not outside.any():
        for axis, n in enumerate(outside.shape):
            if n > 1:
                np.moveaxis(outside, axis, 0)[[0, -1]] = True
    top = _top_of(smooth, place)
    core = part_at(place.inside & (smooth >= params.core_percent / 100 * smooth[top]), top)
    found = _flooded(slope, core, outside, fine)
    return written(scope, place, found & place.inside, params)


def _fineness(size_mm: float, count: int, voxels: int) -> int:
    """Return into how many steps a voxel is cut for the ridge of the gradient, which voxels of PET are too coarse for."""
    wanted = int(np.ceil(size_mm / _FINE_MM)) if count > 1 else 1
    return max(1, min(wanted, int((_MOST_FINE / voxels) ** (1 / 3))))


def _slope(block: Image, spacing_mm: tuple[float, float, float], fine: list[int], smoothing_mm: float) -> tuple[Image, Image]:
    """Return the smoothed image on the voxels, and the magnitude of its gradient per mm on points between them."""
    from scipy.ndimage import gaussian_filter, zoom

    values = np.asarray(block, np.float32)
    shape = [(n - 1) * k + 1 for n, k in zip(values.shape, fine, strict=True)]
    # The outermost points are the outermost voxels, so that every k-th point is a voxel.
    values = zoom(values, [m / n for m, n in zip(shape, values.shape, strict=True)], order=3, mode="nearest") if max(fine) > 1 else values
    steps = [s / k for s, k in zip(spacing_mm, fine, strict=True)]
    values = gaussian_filter(values, [smoothing_mm / s for s in steps], mode="nearest")
    slopes = [np.gradient(values, s, axis=axis) for axis, (s, n) in enumerate(zip(steps, values.shape, strict=True)) if n > 1]
    slope = np.sqrt(sum((part**2 for part in slopes), np.zeros(values.shape, np.float32)))
    return values[tuple(slice(None, None, k) for k in fine)], slope


def _flooded(slope: Image, core: Mask, outside: Mask, fine: list[int]) -> Mask:
    """Return the voxels that water from the core reaches before water from outside does."""
    from skimage.segmentation import watershed

    markers = np.zeros(slope.shape, np.int8)
    every = tuple(slice(None, None, k) for k in fine)
    markers[every] = np.where(core, 1, np.where(outside, 2, 0))
    return np.asarray(watershed(slope, markers)[every] == 1)


def _top_of(smooth: Image, place: Place) -> Index:
    """Return the voxel that one gets to by always stepping to the hottest neighbour; the hottest of a lesion in focus."""
    height = np.where(place.inside, smooth, -np.inf)
    if place.at is None:
        top = np.unravel_index(int(height.argmax()), height.shape)
        return int(top[0]), int(top[1]), int(top[2])
    at = place.at
    while True:
        low = [max(i - 1, 0) for i in at]
        near = height[tuple(slice(a, i + 2) for a, i in zip(low, at, strict=True))]
        step_to = np.unravel_index(int(near.argmax()), near.shape)
        if not near[step_to] > height[at]:
            return at
        at = (low[0] + int(step_to[0]), low[1] + int(step_to[1]), low[2] + int(step_to[2]))
