"""How far raters find the same lesions, where nobody can count those that nobody saw.

In free-response reading there are no true negatives, so that Cohen's kappa has no fourth cell, and what it gives depends on a number that
is made up. The *index of specific agreement* needs none: of two raters it is 2 a / (2 a + b + c), with a lesions that both have, b and c
that only one has (Dice, Ecology 1945;26:297-302; Fleiss, Biometrics 1975;31:651-659); of several the sum over all pairs stands above and
below the line. It is the probability that a lesion marked by a rater drawn at random is marked by another. Lesions of one case hang
together, so its interval is from a bootstrap over cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["bootstrap_cases", "pair_counts", "specific_agreement"]

Found = npt.NDArray[np.bool_]


def pair_counts(found: npt.ArrayLike, read: npt.ArrayLike | None = None) -> tuple[int, int]:
    """Return, over all pairs of raters, the lesions that both have, and those that one of them has alone.

    Parameters
    ----------
    found : array_like
        Boolean (lesions, raters): who has which lesion of a case.
    read : array_like, optional
        Boolean (raters,): who read the case; all by default.

    Examples
    --------
    >>> pair_counts([[True, True], [True, False], [False, True]])
    (1, 2)
    """
    marks = np.asarray(found, bool)
    if read is not None:
        marks = marks[:, np.asarray(read, bool)]
    raters = marks.shape[1]
    votes = marks.sum(1)
    both = int((votes * (votes - 1) // 2).sum())
    return both, int((votes * (raters - votes)).sum())


def specific_agreement(cases: Sequence[npt.ArrayLike], *, draws: int = 2000, confidence: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Return the index of specific agreement of raters on lesions.

    Parameters
    ----------
    cases : sequence of array_like
        For each case who has which lesion, boolean (lesions, raters of that case), two raters or more. A case without any lesion counts
        nothing: there the raters agree in what cannot be counted.
    draws : int
        Of the bootstrap over cases.
    confidence : float
        Of the percentile interval.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``index`` with ``low`` and ``high`` (None where nobody has a lesion), ``both`` and ``alone`` counts over pairs, ``cases`` and
        how many of them are ``empty``.

    Raises
    ------
    InputError
        If a case was read by fewer than two raters.

    Examples
    --------
    >>> told = specific_agreement([[[True, True], [True, False]], [[True, True]]], draws=100)
    >>> told["index"], told["both"], told["alone"]
    (0.8, 2, 1)
    """
    shapes = [np.asarray(case, bool) for case in cases]
    if any(case.ndim != 2 or case.shape[1] < 2 for case in shapes):
        raise InputError("A case was read by fewer than two raters.", "Leave it out of the agreement on lesions.")
    counts = np.array([pair_counts(case) for case in shapes], np.float64).reshape(-1, 2)
    low, high = bootstrap_cases(counts, _index, draws=draws, confidence=confidence, seed=seed)
    both, alone = (int(v) for v in counts.sum(0))
    value = _index(counts.sum(0)[None])[0]
    return {
        "index": _plain(value),
        "low": low,
        "high": high,
        "confidence": confidence,
        "both": both,
        "alone": alone,
        "cases": len(shapes),
        "empty": int((counts.sum(1) == 0).sum()),
        "draws": draws,
    }


def bootstrap_cases(
    sums: npt.NDArray[np.float64], statistic: Any, *, draws: int = 2000, confidence: float = 0.95, seed: int = 0
) -> tuple[float | None, float | None]:
    """Return the percentile interval of a statistic of sums over cases.

    Parameters
    ----------
    sums : numpy.ndarray
        What each case adds, shape (cases, k).
    statistic : callable
        Of sums (draws, k), returns (draws,); draws for which it is nan are left out.
    draws, confidence, seed : int, float, int
        Of the bootstrap.

    Returns
    -------
    tuple of float
        None for both with fewer than two cases, or where the statistic is never a number.
    """
    if len(sums) < 2:
        return None, None
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    values = np.asarray(statistic(weights @ sums), np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        return None, None
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _index(sums: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    whole = 2 * sums[:, 0] + sums[:, 1]
    return np.where(whole > 0, 2 * sums[:, 0] / np.where(whole > 0, whole, 1.0), np.nan)


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
