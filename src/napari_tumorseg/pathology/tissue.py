"""Where a slide holds tissue, found on its thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["Tissue", "find_tissue"]

Mask = npt.NDArray[np.bool_]

# Optical density of stain: of blank glass with the noise and shading of a scanner it stays below the first,
# of pale stroma it lies above it; Otsu's threshold is not trusted beyond the second, where it would split tissue from tissue.
_LEAST, _MOST = 0.04, 0.08


@dataclass(frozen=True, eq=False)
class Tissue:
    """Tissue of a slide.

    Attributes
    ----------
    mask : numpy.ndarray
        Boolean, shape (y, x) of the thumbnail.
    threshold : float
        Of the colour's optical density, above which a pixel counts.
    glass : tuple of float
        Intensity of clear glass (R, G, B).
    area_mm2 : float, optional
        None where the pixel size is not known.
    """

    mask: Mask
    threshold: float
    glass: tuple[float, float, float]
    area_mm2: float | None


def find_tissue(
    thumbnail: npt.NDArray[Any], mpp_um: tuple[float, float] | None = None, *, smallest_mm2: float = 0.02, largest_hole_mm2: float = 0.005
) -> Tissue:
    """Find the tissue of a brightfield slide; blank glass gives none.

    What counts is colour: the optical density in which a pixel's colours differ (the largest less the smallest), which grey
    dust, shadows and the cover slip's edge have little of. The threshold is Otsu's, kept between 0.04 and 0.08,
    so that neither the noise of a blank slide nor a slide full of tissue is split in two.

    Parameters
    ----------
    thumbnail : numpy.ndarray
        Shape (y, x, 3), uint8, of the whole slide.
    mpp_um : tuple of float, optional
        Micrometres per pixel (y, x) of the thumbnail; without, the smallest part is 64 pixels.
    smallest_mm2, largest_hole_mm2 : float
        Smaller parts are dropped, smaller holes filled.

    Raises
    ------
    InputError
        If the image is no RGB image with 8 bits.
    """
    from scipy import ndimage

    picture = np.asarray(thumbnail)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InputError(
            f"Tissue is found in RGB with 8 bits; this is {picture.dtype} of shape {picture.shape}.", "Choose a brightfield slide."
        )
    glass = _glass(picture)
    smooth = ndimage.gaussian_filter(picture.astype(np.float32), (1.0, 1.0, 0.0))
    density = np.log(np.asarray(glass, np.float32)) - np.log(np.maximum(smooth, 1.0))
    colour = density.max(axis=2) - density.min(axis=2)
    threshold = float(np.clip(_otsu(colour), _LEAST, _MOST))
    found = (colour > threshold) & (density.mean(axis=2) > _LEAST)
    pixel_mm2 = mpp_um[0] * mpp_um[1] * 1e-6 if mpp_um is not None else None
    least, hole = (max(4, round(area / pixel_mm2)) if pixel_mm2 else 64 for area in (smallest_mm2, largest_hole_mm2))
    found = _without_small(found, least)
    # Glass in a corner of the picture is no hole.
    mask = ndimage.binary_fill_holes(found) & ~_without_small(~found, hole) | found
    return Tissue(mask, threshold, glass, float(mask.sum()) * pixel_mm2 if pixel_mm2 else None)


def _glass(picture: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Return the colour of clear glass: the median of the brightest pixels that were scanned, white where none is bright."""
    darkest = picture.min(axis=2)
    # Pure white is where a scanner put nothing; it is not the colour of glass.
    scanned = picture[(darkest >= 200) & (darkest < 255)]
    if len(scanned) < 100:
        return 255.0, 255.0, 255.0
    light = scanned.sum(axis=1, dtype=np.int64)
    r, g, b = np.median(scanned[light >= np.percentile(light, 50)], axis=0)
    return float(r), float(g), float(b)


def _otsu(values: npt.NDArray[Any]) -> float:
    """Return Otsu's threshold (IEEE Trans SMC 1979, 9:62) of values between 0 and 1.5, 256 classes."""
    from skimage.filters import threshold_otsu

    clipped = np.clip(values, 0.0, 1.5)
    return float(threshold_otsu(clipped, nbins=256)) if float(clipped.max()) > float(clipped.min()) else 0.0


def _without_small(mask: Mask, least: int) -> Mask:
    """Return the parts of at least `least` pixels that touch by an edge or a corner."""
    from scipy import ndimage

    parts, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return mask
    large = np.bincount(parts.ravel()) >= least
    large[0] = False
    kept: Mask = large[parts]
    return kept
