"""Smooth one label: median, opening, closing, Gaussian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.brush import brush_mask
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Extent, Mask, Over, Reach, Region, changed, chosen_groups, enlarged, joined, step
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.distance import closed, opened

__all__ = ["Method", "SmoothParams", "gaussian_majority", "median_filtered", "smooth"]

Method = Literal["median", "opening", "closing", "gaussian"]


@dataclass(frozen=True)
class SmoothParams:
    """Settings of smoothing.

    Attributes
    ----------
    method : str
        Median rounds everything off; opening takes away what is thin; closing fills clefts;
        Gaussian is the median with a soft edge (its standard deviation is half the radius).
    radius_mm : float
        Radius of the ball; details smaller than this go.
    extent : str
        In 3-D, in every slice by itself, or in this slice only.
    reach : str
        The lesion in focus, or the label wherever it is.
    over : str
        What may be written over where the label grows.
    over_label : int
        The label that may be written over, with "one label".
    """

    method: Method = field(default="median", metadata=about("Method"))
    radius_mm: float = field(default=2.0, metadata=about("Radius (mm)", 0.1, 30.0, 0.5))
    extent: Extent = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def median_filtered(mask: Mask, radius_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> Mask:
    """Return where more than half of the ball round a voxel is in the mask.

    Equal to `scipy.ndimage.median_filter` with the ball as footprint and ``mode="nearest"``; the
    voxels are counted by a convolution, whose time does not grow with the ball.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean (z, y, x).
    radius_mm : float
        Radius of the ball.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    axis : int, optional
        A disc across this axis instead of a ball.

    Returns
    -------
    numpy.ndarray
        Boolean (z, y, x).
    """
    from scipy.signal import fftconvolve

    ball, offset = brush_mask(2 * radius_mm, spacing_mm, axis)
    wide = np.pad(mask, [(-n, -n) for n in offset], mode="edge")
    # Counts are whole numbers, and the error of the transform is far below one half.
    inside = fftconvolve(wide.astype(np.float64), ball.astype(np.float64), mode="valid")
    return np.asarray(np.rint(inside) > np.count_nonzero(ball) / 2)


def gaussian_majority(mask: Mask, sigma_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> Mask:
    """Return where the mask, smoothed with a Gaussian, is above one half; `axis` is not smoothed along."""
    from scipy.ndimage import gaussian_filter

    sigma = [0.0 if i == axis else sigma_mm / size for i, size in enumerate(spacing_mm)]
    return np.asarray(gaussian_filter(mask.astype(np.float32), sigma, mode="nearest") > 0.5)


def smooth(scope: Scope, target: Target, params: SmoothParams, progress: Progress | None = None) -> Draft | None:
    """Smooth the label drawn with; what it loses becomes background."""
    step(progress, 0.0, "Looking for the label")
    regions = chosen_groups(scope, target, params.reach, params.extent, range_mm=2 * params.radius_mm)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.2 + 0.7 * count / len(regions), "Smoothing")
        # Beyond one voxel round its box a median or Gaussian finds no majority, and a closing stays within the hull.
        wide = enlarged(scope, region)
        after = _smoothed(wide, params, scope.grid.spacing_mm)
        done.append(changed(scope, wide.box, wide.mask, after, params.over, params.over_label))
    return joined(scope, done)


def _smoothed(region: Region, params: SmoothParams, spacing: Sequence[float]) -> Mask:
    if params.method == "median":
        return median_filtered(region.mask, params.radius_mm, spacing, region.axis)
    if params.method == "gaussian":
        return gaussian_majority(region.mask, params.radius_mm / 2, spacing, region.axis)
    act = opened if params.method == "opening" else closed
    return act(region.mask, params.radius_mm, spacing, region.axis)
