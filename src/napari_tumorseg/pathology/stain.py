"""Stains of brightfield slides: optical density, deconvolution, and normalisation to a reference.

Pixels are RGB, shape (..., 3), uint8 or float on the same scale 0 to 255. Optical density is ``-ln(max(I, 1) / background)``;
by Beer and Lambert's law it is the sum of the stains' vectors times their amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["QUPATH_HE", "Stains", "compose", "concentrations", "deconvolve", "normalise", "optical_density"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stains:
    """Unit vectors of two or three stains in optical density (R, G, B), and the light without any tissue.

    Parameters
    ----------
    names : tuple of str
        E.g. ("Haematoxylin", "Eosin").
    vectors : tuple of tuple of float
        One (R, G, B) for each name; made unit vectors here.
    background : tuple of float
        Intensity of clear glass (R, G, B), 0 to 255.

    Raises
    ------
    InputError
        If the vectors are not independent, or the background is dark.

    Examples
    --------
    >>> [round(value, 5) for value in QUPATH_HE.vectors[0]]
    [0.65111, 0.70119, 0.29049]
    """

    names: tuple[str, ...]
    vectors: tuple[tuple[float, float, float], ...]
    background: tuple[float, float, float] = (255.0, 255.0, 255.0)

    def __post_init__(self) -> None:
        """Normalise and check."""
        if not 2 <= len(self.vectors) <= 3 or len(self.names) != len(self.vectors):
            raise InputError(f"{len(self.names)} names and {len(self.vectors)} stain vectors were given.", "Give two or three of each.")
        matrix = np.asarray(self.vectors, float)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        if matrix.shape[1:] != (3,) or not np.isfinite(matrix).all() or (lengths < 1e-9).any():
            raise InputError("A stain vector is not three numbers, or is zero.", "Give (R, G, B) in optical density.")
        unit = matrix / lengths
        if np.linalg.svd(unit, compute_uv=False)[-1] < 1e-3:
            raise InputError("The stain vectors have the same colour or nearly so.", "Choose a region with both stains.")
        if not all(value > 1 for value in self.background):
            raise InputError(f"The background {self.background} is dark.", "Give the intensity of clear glass, up to 255.")
        object.__setattr__(self, "vectors", tuple((float(r), float(g), float(b)) for r, g, b in unit))

    @property
    def matrix(self) -> Floats:
        """Shape (3, 3): a unit vector in each row; a third one that is not given stands upright on the other two."""
        given = np.asarray(self.vectors, float)
        if len(given) == 3:
            return given
        third = np.cross(given[0], given[1])
        return np.vstack([given, third / np.linalg.norm(third)])


#: QuPath's default for haematoxylin and eosin (qupath-core, ColorDeconvolutionStains; the vectors of Ruifrok and Johnston,
#: Anal Quant Cytol Histol 2001, 23:291, as used in ImageJ for H&E).
QUPATH_HE = Stains(("Haematoxylin", "Eosin"), ((0.65, 0.70, 0.29), (0.2159, 0.8012, 0.5581)))


def optical_density(rgb: npt.NDArray[Any], background: tuple[float, float, float] = (255.0, 255.0, 255.0)) -> Floats:
    """Return the optical density (natural logarithm), shape of `rgb`; intensities below 1 count as 1.

    Examples
    --------
    >>> optical_density(np.array([[255, 255, 255]], np.uint8)).tolist()
    [[0.0, 0.0, 0.0]]
    """
    density: Floats = np.log(np.asarray(background, float)) - np.log(np.maximum(np.asarray(rgb, np.float64), 1.0))
    return density


def concentrations(density: Floats, stains: Stains) -> Floats:
    """Return the amounts of the three rows of `stains.matrix`, shape of `density`; amounts may be negative.

    The third column is what two stains leave unexplained.
    """
    amounts: Floats = np.asarray(density, np.float64) @ np.linalg.inv(stains.matrix)
    return amounts


def deconvolve(rgb: npt.NDArray[Any], stains: Stains = QUPATH_HE) -> Floats:
    """Return the amount of each stain in each pixel (Ruifrok and Johnston 2001).

    Parameters
    ----------
    rgb : numpy.ndarray
        Shape (..., 3), 0 to 255.
    stains : Stains
        QuPath's for H&E by default.

    Returns
    -------
    numpy.ndarray
        Shape (..., 3), float64: each stain in optical density, then the residual where two are given.
    """
    return concentrations(optical_density(_checked(rgb), stains.background), stains)


def compose(amounts: Floats, stains: Stains = QUPATH_HE) -> Floats:
    """Return RGB (float, unclipped) of amounts as `deconvolve` gives them; its inverse for intensities of 1 and above.

    Examples
    --------
    >>> pixel = np.array([[180.0, 90.0, 140.0]])
    >>> bool(np.abs(compose(deconvolve(pixel)) - pixel).max() < 1e-9)
    True
    """
    rgb: Floats = np.asarray(stains.background, float) * np.exp(-(np.asarray(amounts, np.float64) @ stains.matrix))
    return rgb


def normalise(rgb: npt.NDArray[Any], source: Stains, source_high: Floats, target: Stains, target_high: Floats) -> npt.NDArray[np.uint8]:
    """Return `rgb` as if stained like a reference: each stain's amount is scaled, and shown in the reference's colour.

    Parameters
    ----------
    rgb : numpy.ndarray
        Shape (..., 3), 0 to 255.
    source, target : Stains
        Of the slide and of the reference, two stains each, in the same order.
    source_high, target_high : numpy.ndarray
        Shape (2,): high amount of each stain (99th percentile over tissue), as `stain_estimation.high_amounts` gives.
        They are of whole slides: taken tile by tile they make seams, and stain blank glass.

    Returns
    -------
    numpy.ndarray
        Shape of `rgb`, uint8.

    Raises
    ------
    InputError
        If a stain is missing from the slide or the reference.

    Notes
    -----
    Macenko et al., ISBI 2009, doi:10.1109/ISBI.2009.5193250. The residual is kept unscaled, so that pigment and ink stay what they are.
    """
    high, wanted = np.asarray(source_high, float), np.asarray(target_high, float)
    if not ((high > 1e-3).all() and (wanted > 1e-3).all()):
        raise InputError("One of the two stains is missing, so that the colours cannot be normalised.", "Choose a region with both stains.")
    amounts = deconvolve(rgb, source)
    amounts[..., :2] *= wanted / high
    return np.clip(np.rint(compose(amounts, target)), 0, 255).astype(np.uint8)


def _checked(rgb: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = np.asarray(rgb)
    if array.ndim < 1 or array.shape[-1] != 3:
        raise InputError(f"Stains need three colours; the image has the shape {array.shape}.", "Choose a brightfield image.")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise InputError(f"Stains need colours of 8 bits; the image has {array.dtype}.", "Choose a brightfield image with 8 bits.")
    return array
