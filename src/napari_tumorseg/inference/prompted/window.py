"""What a click segmenter looks at: the images around some points, made comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid

__all__ = ["Scale", "Window", "ball", "box_around", "open_window"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scale:
    """Median and median deviation of each image around the prompts, by modality."""

    median: Mapping[str, float]
    spread: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Window:
    """A block of the images, perhaps thinned out.

    Attributes
    ----------
    box : Box
        Which voxels of the volume it covers.
    step : tuple of int
        Every how many voxels along (z, y, x) it has one.
    offset : tuple of int
        First voxel of the box that it has.
    spacing_mm : tuple of float
        Distance between its voxels.
    images : mapping of str to numpy.ndarray
        (z, y, x) float32, in median deviations from the median.
    valid : numpy.ndarray
        (z, y, x) bool, False on padding.
    scale : Scale
        What the images were made comparable with.
    """

    box: Box
    step: tuple[int, int, int]
    offset: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    images: Mapping[str, Floats]
    valid: Bools
    scale: Scale

    @property
    def voxel_mm3(self) -> float:
        """Volume of one of its voxels."""
        return float(np.prod(self.spacing_mm))

    def index(self, voxel: Sequence[int]) -> tuple[int, int, int]:
        """Return the nearest place in the window of a voxel of the volume."""
        z, y, x = (
            min(max(round((v - a - o) / s), 0), n - 1)
            for v, a, o, s, n in zip(voxel, self.box.start, self.offset, self.step, self.valid.shape, strict=True)
        )
        return z, y, x

    def upsampled(self, mask: Bools) -> Bools:
        """Return a mask of the window on all voxels of its box; each takes the nearest one of the window."""
        for axis, (n, o, s) in enumerate(zip(self.box.shape, self.offset, self.step, strict=True)):
            nearest = np.clip(np.rint((np.arange(n) - o) / s).astype(int), 0, mask.shape[axis] - 1)
            mask = mask.take(nearest, axis=axis)
        return mask


def box_around(voxels: npt.NDArray[np.int_], reach_mm: float, grid: Grid) -> Box:
    """Return the box that reaches `reach_mm` from every one of `voxels` (n, 3)."""
    low, high = voxels.min(0), voxels.max(0)
    box = Box((int(low[0]), int(low[1]), int(low[2])), (int(high[0]) + 1, int(high[1]) + 1, int(high[2]) + 1))
    return box.grown([max(1, round(reach_mm / s)) for s in grid.spacing_mm], grid.shape)


def ball(box: Box, centre: Sequence[int], radius_mm: float, grid: Grid) -> Bools:
    """Return which voxels of a box lie within `radius_mm` of the voxel `centre` of the volume."""
    lines = [((np.arange(a, b) - c) * s) ** 2 for a, b, c, s in zip(box.start, box.stop, centre, grid.spacing_mm, strict=True)]
    inside: Bools = lines[0][:, None, None] + lines[1][:, None] + lines[2] <= radius_mm**2
    return inside


def open_window(
    images: Mapping[str, Floats], grid: Grid, box: Box, centre: Sequence[int], voxel_mm: float, scale: Scale | None = None
) -> Window:
    """Cut a block out of the images, smooth and thin it, and make the images comparable.

    Parameters
    ----------
    images : mapping of str to numpy.ndarray
        By modality, (z, y, x) float32 on `grid`.
    grid : Grid
        Position of the voxels.
    box : Box
        What to cut out.
    centre : sequence of int
        A voxel that the thinned window holds.
    voxel_mm : float
        Wanted distance of its voxels; never finer than the images.
    scale : Scale, optional
        Made from the block when not given.
    """
    from scipy import ndimage

    step = tuple(max(1, int(voxel_mm / s + 0.25)) for s in grid.spacing_mm)
    offset = tuple((c - a) % s for c, a, s in zip(centre, box.start, step, strict=True))
    thin = tuple(slice(o, None, s) for o, s in zip(offset, step, strict=True))
    # About half a voxel of the window, so that thinning does not alias; along fine axes at least 0.6 voxels against noise.
    blur = [0.6 if s == 1 and mm < 2.5 else (s / 2.3 if s > 1 else 0.0) for s, mm in zip(step, grid.spacing_mm, strict=True)]
    raw = {name: np.asarray(image[box.slices], np.float32) for name, image in images.items()}
    valid = np.zeros(box.shape, bool)
    for image in raw.values():
        least = image.min()
        # Skull-stripped images are padded with one value; in others the least value is a rare one.
        valid |= (image > least) if np.count_nonzero(image == least) > 0.01 * image.size else np.True_
    valid = valid[thin]
    smooth = {name: ndimage.gaussian_filter(image, blur, truncate=2.5)[thin] for name, image in raw.items()}
    if scale is None:
        inside = valid if valid.any() else np.ones_like(valid)
        median = {name: float(np.median(image[inside])) for name, image in smooth.items()}
        spread = {name: 1.4826 * float(np.median(np.abs(image[inside] - median[name]))) for name, image in smooth.items()}
        # An image that is flat over most of the window is measured by its standard deviation.
        spread = {name: value or float(smooth[name].std()) or 1.0 for name, value in spread.items()}
        scale = Scale(median, spread)
    images_z = {n: ((i - scale.median[n]) / scale.spread[n]).astype(np.float32) for n, i in smooth.items()}
    spacing = tuple(mm * s for mm, s in zip(grid.spacing_mm, step, strict=True))
    return Window(
        box,
        (step[0], step[1], step[2]),
        (offset[0], offset[1], offset[2]),
        (spacing[0], spacing[1], spacing[2]),
        images_z,
        np.ascontiguousarray(valid),
        scale,
    )
