"""Parts of a slide that its file does not hold: smaller levels, and blanks where a tile is damaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.io.slide_source import LevelLayout

__all__ = ["averaged", "made_levels", "marked_blank"]

_SMALLEST = 1024
_TILE = 512


def made_levels(levels: tuple[LevelLayout, ...]) -> tuple[LevelLayout, ...]:
    """Return the levels to add below the last one, each of half the size, until the longer side is within 1024 pixels.

    Examples
    --------
    >>> [level.shape for level in made_levels((LevelLayout((3000, 2001), (256, 256), (1.0, 1.0)),))]
    [(1500, 1001), (750, 501)]
    """
    made: list[LevelLayout] = []
    last = levels[-1]
    while max(last.shape) > _SMALLEST:
        shape = (-(-last.shape[0] // 2), -(-last.shape[1] // 2))
        last = LevelLayout(shape, (_TILE, _TILE), (2 * last.downsample[0], 2 * last.downsample[1]))
        made.append(last)
    return tuple(made)


def averaged(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the mean of each 2 x 2 pixels, of fewer at an odd edge; whole numbers are rounded half up.

    Parameters
    ----------
    pixels : numpy.ndarray
        Shape (y, x, c).

    Returns
    -------
    numpy.ndarray
        Shape (ceil(y / 2), ceil(x / 2), c), same dtype.

    Examples
    --------
    >>> averaged(np.array([[1, 2, 9], [3, 4, 9]], np.uint8)[..., None])[..., 0]
    array([[3, 9]], dtype=uint8)
    """
    if pixels.shape[0] % 2 or pixels.shape[1] % 2:
        # A repeated edge leaves the mean over the pixels that are there.
        pixels = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
    if pixels.dtype.kind == "f":
        mean: npt.NDArray[Any] = (pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]) / 4
        return mean.astype(pixels.dtype, copy=False)
    wide: npt.NDArray[np.integer[Any]] = pixels.astype(np.uint16 if pixels.dtype == np.uint8 else np.int64)
    sums = wide[::2, ::2] + wide[1::2, ::2] + wide[::2, 1::2] + wide[1::2, 1::2]
    rounded: npt.NDArray[Any] = np.right_shift(sums + 2, 2).astype(pixels.dtype)
    return rounded


def marked_blank(shape: tuple[int, int, int], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return a grey tile with a dark frame and cross, so that nobody takes it for glass."""
    high = 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)
    height, width = shape[:2]
    y = np.arange(height)[:, None] / max(height - 1, 1)
    x = np.arange(width)[None, :] / max(width - 1, 1)
    thick = 2.5 / max(min(height, width), 1)
    lines = (np.abs(y - x) < thick) | (np.abs(y + x - 1) < thick) | (np.minimum(y, 1 - y) < thick) | (np.minimum(x, 1 - x) < thick)
    tile = np.where(lines, 0.15 * high, 0.65 * high)
    return np.repeat(tile[..., None], shape[2], axis=-1).astype(dtype)
