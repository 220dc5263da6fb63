"""Nuclei by thresholding and watershed. Not StarDist, and no network: what works before any weights are there.

The steps and the default values are those of QuPath's cell detection (WatershedCellDetection.java): the haematoxylin channel at 0.5
micrometres per pixel, less its background by opening with reconstruction, is smoothed; a nucleus is where the Laplacian is negative and
the stain above the threshold; touching nuclei are split by a watershed. It is not QuPath's program, and the outlines differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["ClassicalOptions", "find_nuclei"]

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassicalOptions:
    """Settings of `find_nuclei`; the defaults are QuPath's.

    Attributes
    ----------
    spacing_um : float
        Micrometres per pixel at which nuclei are looked for; a finer image is reduced to it.
    sigma_um : float
        Standard deviation of the smoothing.
    background_radius_um : float
        Opening by reconstruction with this radius is subtracted; 0 for none.
    threshold : float
        Least haematoxylin, in optical density above the background.
    min_area_um2, max_area_um2 : float
        Nuclei outside are left out.
    """

    spacing_um: float = 0.5
    sigma_um: float = 1.5
    background_radius_um: float = 8.0
    threshold: float = 0.1
    min_area_um2: float = 10.0
    max_area_um2: float = 400.0


def find_nuclei(haematoxylin: npt.NDArray[Any], spacing_um: float, options: ClassicalOptions | None = None) -> npt.NDArray[np.int32]:
    """Find nuclei in the haematoxylin channel.

    Parameters
    ----------
    haematoxylin : numpy.ndarray
        (y, x) optical density of haematoxylin, as `stain.deconvolve` gives it.
    spacing_um : float
        Micrometres per pixel, at most 1.
    options : ClassicalOptions, optional
        QuPath's defaults without it.

    Returns
    -------
    numpy.ndarray
        int32 (y, x) on the grid of the image: 0 outside, nuclei from 1 on without gaps.

    Raises
    ------
    InputError
        If the image is not of two axes and finite, or the pixels are too coarse to hold nuclei.

    Examples
    --------
    >>> int(find_nuclei(np.zeros((64, 64)), spacing_um=0.5).max())
    0
    """
    options = options or ClassicalOptions()
    if haematoxylin.ndim != 2 or not np.isfinite(haematoxylin).all():
        raise InputError("The haematoxylin channel must be (y, x) and finite.", "Deconvolve the stains of the image first.")
    if not 0 < spacing_um <= 1:
        raise InputError(f"{spacing_um} micrometres per pixel is outside 0 to 1.", "Give a level of the slide that shows nuclei.")
    image, spacing = _reduced(np.asarray(haematoxylin, np.float32), spacing_um, options.spacing_um)
    found = _at_working_size(image, spacing, options)
    return found if found.shape == haematoxylin.shape else _enlarged(found, haematoxylin.shape)


def _reduced(image: Singles, spacing_um: float, wanted_um: float) -> tuple[Singles, float]:
    from skimage.transform import resize

    factor = spacing_um / wanted_um
    if factor > 0.99 or not image.size:
        return image, spacing_um
    shape = tuple(max(round(n * factor), 1) for n in image.shape)
    return resize(image, shape, order=1, anti_aliasing=True).astype(np.float32), wanted_um


def _at_working_size(image: Singles, spacing_um: float, options: ClassicalOptions) -> npt.NDArray[np.int32]:
    from scipy import ndimage
    from skimage.segmentation import watershed

    raised = image - _background(image, options.background_radius_um / spacing_um)
    smooth = ndimage.gaussian_filter(raised, options.sigma_um / spacing_um)
    inside = (ndimage.laplace(smooth) < 0) & (smooth > options.threshold)
    inside = ndimage.binary_fill_holes(ndimage.binary_opening(inside, iterations=1))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside).astype(np.float32), 1.0)
    peaks = (depth == ndimage.maximum_filter(depth, size=2 * round(1.5 / spacing_um) + 1)) & inside
    markers, _ = ndimage.label(peaks, np.ones((3, 3)))
    parts = watershed(-depth, markers, mask=inside)
    return _sized(parts, options.min_area_um2 / spacing_um**2, options.max_area_um2 / spacing_um**2)


def _background(image: Singles, radius_px: float) -> Singles:
    """Return the opening by reconstruction; a square stands for the disc, which is far faster and hardly differs after reconstruction."""
    from scipy import ndimage
    from skimage.morphology import reconstruction

    side = 2 * round(radius_px) + 1
    if side <= 1 or not image.size:
        return np.zeros_like(image)
    return np.asarray(reconstruction(ndimage.minimum_filter(image, size=side), image), np.float32)


def _sized(parts: npt.NDArray[Any], least_px: float, most_px: float) -> npt.NDArray[np.int32]:
    sizes = np.bincount(parts.ravel())
    wanted = (sizes >= least_px) & (sizes <= most_px)
    if len(wanted):
        wanted[0] = False
    numbers: npt.NDArray[np.int32] = np.where(wanted, np.cumsum(wanted), 0).astype(np.int32)
    renumbered: npt.NDArray[np.int32] = numbers[parts]
    return renumbered


def _enlarged(found: npt.NDArray[np.int32], shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Bring the map back to the image's grid: each pixel takes the number at its centre."""
    at = [((np.arange(n) + 0.5) * m / n).astype(np.int64) for n, m in zip(shape, found.shape, strict=True)]
    return found[np.ix_(*at)]
