"""Gates of the brush: which of the voxels under it may be painted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.intensity import likeness, otsu
from napari_tumorseg.editing.region import Mask, needed_image, needed_voxel, step
from napari_tumorseg.editing.scope import Scope, Target
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["AdaptiveParams", "ThresholdParams", "adaptive_gate", "suggest_window", "threshold_gate"]


@dataclass(frozen=True)
class ThresholdParams:
    """Settings of threshold paint.

    Attributes
    ----------
    low : float
        Lowest intensity that is painted, in the image's unit.
    high : float
        Highest intensity that is painted.
    """

    low: float = field(default=0.0, metadata=about("From intensity", -1e6, 1e6))
    high: float = field(default=1e6, metadata=about("To intensity", -1e6, 1e6))


@dataclass(frozen=True)
class AdaptiveParams:
    """Settings of the adaptive brush.

    Attributes
    ----------
    strictness : float
        How far from the intensity under the cursor a voxel may be, in standard deviations of the noise;
        where the brush covers two tissues, it paints up to half way between them.
    in_3d : bool
        Hang together in 3-D; otherwise within each slice.
    """

    strictness: float = field(default=3.0, metadata=about("Tolerance (noise)", 0.5, 20.0, 0.5))
    in_3d: bool = field(default=True, metadata=about("In 3-D"))


def threshold_gate(scope: Scope, target: Target, box: Box, under: Mask, params: ThresholdParams, progress: Progress | None = None) -> Mask:
    """Return which voxels under the brush have an intensity in the window, both ends included.

    Parameters
    ----------
    scope, target : Scope, Target
        The image is ``scope.image``.
    box : Box
        Box of the brush.
    under : numpy.ndarray
        Boolean, shape of the box: the voxels under the brush.
    params : ThresholdParams
        The window.
    progress : Progress, optional
        Where it is cancelled.

    Raises
    ------
    InputError
        If no image is shown on the mask's grid.
    """
    del target
    step(progress, 0.0, "Looking at the image")
    block = needed_image(scope)[box.slices]
    return np.asarray(under & (block >= params.low) & (block <= params.high))


def adaptive_gate(scope: Scope, target: Target, box: Box, under: Mask, params: AdaptiveParams, progress: Progress | None = None) -> Mask:
    """Return which voxels under the brush resemble the one under the cursor and hang together with it.

    Parameters
    ----------
    scope, target : Scope, Target
        The image is ``scope.image``, the cursor ``target.voxel``.
    box : Box
        Box of the brush, (z, y, x).
    under : numpy.ndarray
        Boolean, shape of the box: the voxels under the brush.
    params : AdaptiveParams
        How much they may differ.
    progress : Progress, optional
        Where it is cancelled.

    Returns
    -------
    numpy.ndarray
        Boolean, shape of the box; nothing where the cursor is outside the box.

    Raises
    ------
    InputError
        If no image is shown on the mask's grid.
    """
    step(progress, 0.0, "Looking at the image")
    voxel = needed_voxel(scope, target)
    block = needed_image(scope)[box.slices]
    at = tuple(v - a for v, a in zip(voxel, box.start, strict=True))
    if any(not 0 <= i < n for i, n in zip(at, block.shape, strict=True)) or not under[at]:
        return np.zeros(under.shape, bool)
    low, high = likeness(block, at, under, params.strictness)
    alike = under & (block >= low) & (block <= high)
    # Noise may have put the voxel under the cursor itself outside the window of its neighbourhood.
    alike[at] = True
    if params.in_3d:
        parts, _ = connected_parts(alike, 6)
        return np.asarray(parts == parts[at])
    found = np.zeros(under.shape, bool)
    for index in range(block.shape[target.axis]):
        plane = alike.take([index], target.axis)
        parts, _ = connected_parts(plane, 6)
        probe = list(at)
        probe[target.axis] = 0
        number = parts[tuple(probe)]
        where: list[slice | int] = [slice(None)] * 3
        where[target.axis] = slice(index, index + 1)
        found[tuple(where)] = (parts == number) if number else False
    return found


def suggest_window(scope: Scope, target: Target, radius_mm: float = 15.0) -> ThresholdParams:
    """Return the intensity window that fits what is under the cursor.

    The threshold of Otsu round the cursor parts bright from dark; the side of the voxel's own
    neighbourhood is the window, open to the far end.

    Parameters
    ----------
    scope, target : Scope, Target
        The image and the cursor.
    radius_mm : float
        How far round the cursor is looked.

    Raises
    ------
    InputError
        If no image is shown, nothing was pointed at, or all voxels round it are equal.
    """
    image, voxel = needed_image(scope), needed_voxel(scope, target)
    z, y, x = voxel
    margins = [round(radius_mm / size) for size in scope.grid.spacing_mm]
    box = Box((z, y, x), (z + 1, y + 1, x + 1)).grown(margins, image.shape)
    block = image[box.slices]
    border = otsu(block)
    if border is None:
        raise InputError("All voxels round the cursor have the same intensity.", "Point at the border of what you want to paint.")
    at = tuple(v - a for v, a in zip(voxel, box.start, strict=True))
    level = float(np.median(block[tuple(slice(max(i - 1, 0), i + 2) for i in at)]))
    finite = image[box.slices][np.isfinite(block)]
    low, high = float(finite.min()), float(finite.max())
    return ThresholdParams(border, max(high, border)) if level > border else ThresholdParams(min(low, border), border)
