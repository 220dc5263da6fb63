"""Smooth all labels together, so that neighbours neither overlap nor part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Extent, Mask, Reach, Region, chosen_groups, draft, joined, step, within
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["JointParams", "smooth_jointly"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class JointParams:
    """Settings of joint smoothing.

    Attributes
    ----------
    radius_mm : float
        Details smaller than this go; the standard deviation of the Gaussian is half of it.
    keep_outline : bool
        Smooth the borders between labels only and leave the border to the background as it is.
    extent : str
        In 3-D, in every slice by itself, or in this slice only.
    reach : str
        The lesion in focus, or all of the mask.
    """

    radius_mm: float = field(default=2.0, metadata=about("Radius (mm)", 0.1, 30.0, 0.5))
    keep_outline: bool = field(default=False, metadata=about("Keep the outline"))
    extent: Extent = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))


def smooth_jointly(scope: Scope, target: Target, params: JointParams, progress: Progress | None = None) -> Draft | None:
    """Give every voxel the label that is most frequent round it, by a Gaussian weight.

    The indicator of each label, background among them, is smoothed; the largest value wins, the
    present label where several are equal. A voxel has one label before and after, so labels that
    touch keep touching. A locked label keeps its voxels and gains none. Other lesions than the one
    in focus stay.
    """
    step(progress, 0.0, "Looking for labels")
    # scipy cuts a Gaussian off at 4 standard deviations: what lies in that reach has a say.
    regions = chosen_groups(scope, target, params.reach, params.extent, values=(), range_mm=2.5 * params.radius_mm)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.2 + 0.7 * count / len(regions), "Smoothing")
        done.append(_smoothed(scope, target, region, params, progress))
    return joined(scope, done)


def _smoothed(scope: Scope, target: Target, region: Region, params: JointParams, progress: Progress | None) -> Draft | None:
    from scipy.ndimage import gaussian_filter

    sigma = [0.0 if i == region.axis else params.radius_mm / 2 / size for i, size in enumerate(scope.grid.spacing_mm)]
    box = region.box.grown([int(4 * s + 0.5) + (1 if s else 0) for s in sigma], scope.labels.shape)
    old = scope.labels[box.slices]
    seen = _seen(target, params, box, old)
    best = np.full(old.shape, -1.0, np.float32)
    new = old.copy()
    for value in (int(v) for v in np.unique(seen)):
        step(progress, 0.5, "Smoothing")
        if value in scope.locked or (params.keep_outline and value == 0):
            continue
        weight = gaussian_filter((seen == value).astype(np.float32), sigma, mode="nearest")
        # Equal values go to the label that is there; a difference of rounding is no difference.
        wins = (weight > best + 1e-6) | ((weight > best - 1e-6) & (seen == value))
        best[wins], new[wins] = weight[wins], value
    free = ~np.isin(old, list(scope.locked))
    free &= (seen != 0) if params.keep_outline else (old == 0) | (seen != 0)
    return draft(box, old, np.where(free, new, old))


def _seen(target: Target, params: JointParams, box: Box, old: Labels) -> Labels:
    """Return the labels that count: with a lesion in focus, the others are background."""
    if target.part is None or params.reach == "whole mask":
        return old
    mine: Mask = within(target.part[1], target.part[0], box)
    return np.where(mine, old, np.zeros_like(old))
