"""How much of the differences stays within a bound: coverage probability and total deviation index."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.pairs import interval, paired

__all__ = ["coverage", "coverage_probability", "total_deviation_index", "total_deviation_index_approximate"]

Floats = npt.NDArray[np.float64]

# Halvings of a bracket until it is below one unit in the last place of a float64.
_HALVINGS = 64
_RESAMPLES = 2000


def coverage_probability(mean: npt.ArrayLike, sd: npt.ArrayLike, bound: npt.ArrayLike) -> Floats:
    """Return the probability that a normal difference stays within ±`bound`.

    ``Φ((κ - d)/s) - Φ((-κ - d)/s)``: L. Lin et al., J. Am. Stat. Assoc. 97:257, 2002 (10.1198/016214502753479392).

    Parameters
    ----------
    mean, sd, bound : array_like
        Of the differences, in their unit; broadcast against each other.

    Examples
    --------
    >>> round(float(coverage_probability(0.0, 1.0, 1.959964)), 6)
    0.95
    """
    from scipy.special import ndtr

    d, s, k = (np.asarray(a, np.float64) for a in (mean, sd, bound))
    safe = np.where(s > 0, s, 1.0)
    within = ndtr((k - d) / safe) - ndtr((-k - d) / safe)
    return np.asarray(np.where(s > 0, within, (np.abs(d) <= k).astype(np.float64)))


def total_deviation_index(mean: npt.ArrayLike, sd: npt.ArrayLike, share: float = 0.9) -> Floats:
    """Return the bound that holds `share` of normal differences: the κ at which `coverage_probability` is `share`.

    Examples
    --------
    >>> round(float(total_deviation_index(0.0, 1.0, 0.95)), 6)
    1.959964
    """
    from scipy.special import ndtri

    if not 0 < share < 1:
        raise InputError(f"{share:g} is not a share of the differences.", "Give a number between 0 and 1, e.g. 0.9.")
    d, s = np.broadcast_arrays(np.abs(np.asarray(mean, np.float64)), np.asarray(sd, np.float64))
    # The far tail holds between none and as much as the near one.
    low = np.maximum(0.0, d + s * ndtri(share))
    high = d + s * ndtri((1 + share) / 2)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = coverage_probability(d, s, middle) >= share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.asarray((low + high) / 2)


def total_deviation_index_approximate(mean: npt.ArrayLike, sd: npt.ArrayLike, share: float = 0.9) -> Floats:
    """Return ``z_{(1+p)/2} sqrt(d² + s²)``: L. I. Lin, Stat. Med. 19:255, 2000, close to the exact index while |d| is below s."""
    from scipy.special import ndtri

    return np.asarray(ndtri((1 + share) / 2) * np.hypot(np.asarray(mean, np.float64), np.asarray(sd, np.float64)))


def coverage(
    reference: npt.ArrayLike, test: npt.ArrayLike, bound: float, share: float = 0.9, confidence: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """Return coverage probability within `bound` and total deviation index at `share`, with bootstrap intervals.

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient, n >= 3.
    bound : float
        Largest acceptable difference κ, in the unit of the measurements.
    share : float
        Share of differences that the total deviation index holds.
    confidence : float
        Of the intervals (percentiles of 2000 resamples of the patients).
    seed : int
        Of the resamples.

    Returns
    -------
    dict
        ``bound``, ``coverage_probability``, ``coverage_probability_ci``, ``coverage_observed`` (share of the pairs themselves),
        ``share``, ``tdi``, ``tdi_ci``, ``tdi_approximate``, ``tdi_observed`` (quantile of the absolute differences), ``n``.

    Examples
    --------
    >>> coverage([1, 2, 3, 4], [1.1, 2.1, 3.1, 4.1], 0.2)["coverage_observed"]
    1.0
    """
    x, y = paired(reference, test)
    if not (np.isfinite(bound) and bound >= 0):
        raise InputError(f"{bound:g} is not a bound of a difference.", "Give a number from 0, in the unit of the measurements.")
    d = y - x
    mean, sd = float(d.mean()), float(d.std(ddof=1))
    chosen = d[np.random.default_rng(seed).integers(0, d.size, (_RESAMPLES, d.size))]
    means, sds = chosen.mean(axis=1), chosen.std(axis=1, ddof=1)
    tails = ((1 - confidence) / 2, (1 + confidence) / 2)
    return {
        "bound": float(bound),
        "coverage_probability": float(coverage_probability(mean, sd, bound)),
        "coverage_probability_ci": interval(*np.quantile(coverage_probability(means, sds, bound), tails)),
        "coverage_observed": float(np.mean(np.abs(d) <= bound)),
        "share": float(share),
        "tdi": float(total_deviation_index(mean, sd, share)),
        "tdi_ci": interval(*np.quantile(total_deviation_index(means, sds, share), tails)),
        "tdi_approximate": float(total_deviation_index_approximate(mean, sd, share)),
        "tdi_observed": float(np.quantile(np.abs(d), share)),
        "n": int(d.size),
    }
