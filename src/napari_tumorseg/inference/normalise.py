"""Bringing intensities to the range that a network was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import ModelError

__all__ = ["NORMALISERS", "normaliser", "unchanged", "zscore_nonzero"]

Normaliser = Callable[[npt.NDArray[Any]], npt.NDArray[np.float32]]


def zscore_nonzero(volume: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Scale the nonzero voxels to mean 0 and standard deviation 1, clip to +-5, background 0.

    Parameters
    ----------
    volume : numpy.ndarray
        Shape (z, y, x), any real dtype; 0 is background.

    Returns
    -------
    numpy.ndarray
        float32, same shape; all zero where the image is empty.

    Examples
    --------
    >>> zscore_nonzero(np.array([[[0, 2, 4]]])).tolist()
    [[[0.0, -1.0, 1.0]]]
    """
    brain = volume != 0
    values = volume[brain].astype(np.float32)
    scaled = np.zeros(volume.shape, np.float32)
    if values.size:
        scaled[brain] = np.clip((values - values.mean()) / max(float(values.std()), 1e-6), -5, 5)
    return scaled


def unchanged(volume: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the values as float32, for images that are on the wanted scale already."""
    return np.asarray(volume, np.float32)


#: Normalisers by the name that a model's table gives.
NORMALISERS: Mapping[str, Normaliser] = MappingProxyType({"zscore-nonzero": zscore_nonzero, "none": unchanged})


def normaliser(name: str) -> Normaliser:
    """Return a normaliser of `NORMALISERS`; raise `ModelError` when there is none of that name."""
    try:
        return NORMALISERS[name]
    except KeyError:
        raise ModelError(f"The model asks for the normalisation {name!r}.", f"Use one of {', '.join(NORMALISERS)}.") from None
