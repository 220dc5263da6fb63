"""What the voxels round the cursor look like: noise, and the intensity window that fits them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.editing.region import Mask

__all__ = ["likeness", "noise_of", "otsu"]

_MOST_SPLITS = 3


def noise_of(block: npt.NDArray[Any]) -> float:
    """Estimate the standard deviation of the noise in an image, with little regard to what it shows.

    Parameters
    ----------
    block : numpy.ndarray
        2-D or 3-D, real.

    Returns
    -------
    float
        In the unit of the image; 0 for a constant or a single voxel.

    Notes
    -----
    1.4826 times the median absolute difference of neighbours over the square root of 2, by the
    longest axis of the block: differences of neighbours hold the noise twice and an edge rarely.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(100, 5, (20, 20, 20))
    >>> image[:, :, 10:] += 500
    >>> round(noise_of(image))
    5
    """
    spreads = [
        float(np.median(np.abs(np.diff(np.asarray(block, np.float64), axis=axis)))) for axis in range(block.ndim) if block.shape[axis] > 1
    ]
    # The axis with the smallest steps: thick slices differ by more than noise.
    return 1.4826 * min(spreads) / 2**0.5 if spreads else 0.0


def otsu(values: npt.NDArray[Any]) -> float | None:
    """Return the threshold that parts values into two classes best (Otsu 1979); None where all are equal.

    Examples
    --------
    >>> 1.0 <= otsu(np.array([1.0, 1.0, 9.0, 9.0])) < 9.0
    True
    """
    from skimage.filters import threshold_otsu

    found = np.asarray(values, np.float32).ravel()
    found = found[np.isfinite(found)]
    if found.size == 0 or found.min() == found.max():
        return None
    return float(threshold_otsu(found, nbins=128))


def likeness(block: npt.NDArray[Any], at: tuple[int, ...], counted: Mask | None = None, strictness: float = 3.0) -> tuple[float, float]:
    """Return the intensity window of what resembles a voxel.

    The voxel's own level is the median of its neighbourhood, so that noise does not count. Where
    the block falls into two classes that are further apart than the noise, the window ends half way
    between them, and the voxel's own class is looked at again; where it does not, the window reaches
    `strictness` times the noise to either side.

    Parameters
    ----------
    block : numpy.ndarray
        Image round the voxel, 2-D or 3-D.
    at : tuple of int
        Index of the voxel in the block.
    counted : numpy.ndarray, optional
        Boolean, shape of the block: voxels that are looked at.
    strictness : float
        Width of the window in standard deviations of the noise.

    Returns
    -------
    tuple of float
        Lowest and highest intensity, possibly infinite; the voxel's level is between them.
    """
    near = tuple(slice(max(i - 1, 0), i + 2) for i in at)
    level = float(np.median(block[near]))
    values = np.asarray(block if counted is None else block[counted], np.float64).ravel()
    noise = noise_of(block)
    if noise == 0 and values.size:
        noise = float(np.ptp(values)) * 0.01
    reach = max(strictness * noise, abs(level) * 1e-6)
    low_end, high_end = level - reach, level + reach
    # Skull-stripped scans have three classes and more: nothing, the organ, the lesion in it.
    for _ in range(_MOST_SPLITS):
        border = otsu(values)
        if border is None:
            break
        dark, bright = values[values <= border], values[values > border]
        if not dark.size or not bright.size:
            break
        low, high = float(np.median(dark)), float(np.median(bright))
        if high - low <= 2 * strictness * noise:
            break
        middle = (low + high) / 2
        # Beyond the class itself things may be other again, by as much as the two classes differ.
        if level > middle:
            low_end, high_end, values = middle, max(high + (high - low), level + reach), bright
        else:
            low_end, high_end, values = min(low - (high - low), level - reach), middle, dark
    return low_end, high_end
