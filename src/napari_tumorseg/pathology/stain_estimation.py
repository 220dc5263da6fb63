"""Stain vectors estimated from a slide's own pixels, by Macenko's and by Vahadane's method."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.stain import QUPATH_HE, Stains, concentrations, optical_density

__all__ = ["estimate_macenko", "estimate_vahadane", "high_amounts"]

Floats = npt.NDArray[np.float64]
_NAMES = ("Haematoxylin", "Eosin")
_FEWEST = 100
_MOST = 200_000


def _stained(rgb: npt.NDArray[Any], background: tuple[float, float, float], least: float) -> Floats:
    """Return the optical density of the pixels that hold stain, shape (n, 3), evenly thinned to 200,000."""
    density = optical_density(np.asarray(rgb).reshape(-1, 3), background)
    density = density[density.mean(axis=1) > least]
    if len(density) < _FEWEST:
        raise InputError(f"Only {len(density)} pixels hold stain, too few to estimate its colours.", "Choose a region with tissue.")
    thinned: Floats = density[:: -(-len(density) // _MOST)]
    return thinned


def _in_order(one: Floats, two: Floats, background: tuple[float, float, float]) -> Stains:
    """Return haematoxylin first: of the two it absorbs the larger share of red."""
    pair = sorted((np.abs(one), np.abs(two)), key=lambda vector: -vector[0] / np.linalg.norm(vector))
    first, second = (tuple(float(value) for value in vector) for vector in pair)
    return Stains(_NAMES, ((first[0], first[1], first[2]), (second[0], second[1], second[2])), background)


def estimate_macenko(
    rgb: npt.NDArray[Any],
    *,
    background: tuple[float, float, float] = (255.0, 255.0, 255.0),
    least_density: float = 0.15,
    percentile: float = 1.0,
) -> Stains:
    """Estimate haematoxylin and eosin as the extreme directions of the plane that holds most of the optical density.

    Parameters
    ----------
    rgb : numpy.ndarray
        Shape (..., 3), 0 to 255; tissue with both stains.
    background : tuple of float
        Intensity of clear glass.
    least_density : float
        Pixels whose mean over the colours is below it (natural logarithm) are left out as glass.
    percentile : float
        The directions are this and 100 minus this percentile of the angle.

    Returns
    -------
    Stains
        Haematoxylin first.

    Raises
    ------
    InputError
        If there is too little stain, or one colour only.

    Notes
    -----
    Macenko et al., ISBI 2009, doi:10.1109/ISBI.2009.5193250, but for the threshold: the paper asks it of each colour, and thereby
    leaves out pure eosin, which absorbs hardly any red.
    """
    density = _stained(rgb, background, least_density)
    _, plane = np.linalg.eigh(np.cov(density, rowvar=False))
    plane = plane[:, [2, 1]]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)
    projected = density @ plane
    angles = np.arctan2(projected[:, 1], projected[:, 0])
    low, high = np.percentile(angles, [percentile, 100.0 - percentile])
    one, two = (plane @ np.array([np.cos(angle), np.sin(angle)]) for angle in (low, high))
    return _in_order(one, two, background)


def estimate_vahadane(
    rgb: npt.NDArray[Any],
    *,
    background: tuple[float, float, float] = (255.0, 255.0, 255.0),
    least_density: float = 0.15,
    sparsity: float = 0.1,
    seed: int = 0,
) -> Stains:
    """Estimate haematoxylin and eosin as the two colours of a sparse non-negative factorisation of the optical density.

    Parameters
    ----------
    rgb, background, least_density
        As for `estimate_macenko`.
    sparsity : float
        Weight of the amounts' sum (L1) against the squared error.
    seed : int
        Of the order in which pixels are learnt from.

    Notes
    -----
    Vahadane et al., IEEE TMI 2016, 35:1962, doi:10.1109/TMI.2016.2529665; solved by scikit-learn's online dictionary learning, begun at
    QuPath's vectors, on at most 20,000 pixels.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning

    density = _stained(rgb, background, least_density)
    density = density[:: -(-len(density) // 20_000)]
    learner = MiniBatchDictionaryLearning(
        n_components=2,
        alpha=sparsity,
        max_iter=30,
        batch_size=512,
        fit_algorithm="cd",
        transform_algorithm="lasso_cd",
        positive_code=True,
        positive_dict=True,
        dict_init=np.asarray(QUPATH_HE.vectors),
        random_state=seed,
    )
    one, two = learner.fit(density).components_
    if min(np.linalg.norm(one), np.linalg.norm(two)) < 1e-6:
        raise InputError("Only one stain was found.", "Choose a region with both stains.")
    return _in_order(one, two, background)


def high_amounts(rgb: npt.NDArray[Any], stains: Stains, *, least_density: float = 0.15) -> Floats:
    """Return the 99th percentile of each stain's amount over the pixels that hold stain, shape (2,); see `stain.normalise`."""
    amounts = concentrations(_stained(rgb, stains.background, least_density), stains)
    high: Floats = np.percentile(amounts[:, :2], 99.0, axis=0)
    return high
