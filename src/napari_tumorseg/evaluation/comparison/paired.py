"""Differences between two models on the same cases."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.resampling import mean_interval

__all__ = ["holm", "paired_difference", "signed_rank_p"]

# 2^50 ways are counted without rounding in a float64.
_MOST_EXACT = 50


def paired_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, units: Sequence[Hashable] | None = None, confidence: float = 0.95, seed: int = 0
) -> dict[str, Any]:
    """Return how far two models are apart on the cases that both have a score of.

    Parameters
    ----------
    a, b : array_like
        Shape (n,), score of each case; NaN where there is none.
    units : sequence, optional
        Patient of each entry, where one has several (lesions); the bootstrap draws whole patients, and there is no Wilcoxon
        test then, which would take them for independent.
    confidence : float
        Of the interval.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        ``n``, ``dropped`` (without a score of either), ``mean_a``, ``mean_b``, ``difference`` (mean of a - b), ``difference_ci``
        (percentile bootstrap over patients), ``median_difference``, ``larger_a``, ``equal``, ``larger_b`` (numbers of cases), ``p``
        (Wilcoxon signed rank, two-sided; None with `units`). Numbers are None where there is nothing to compare.

    Raises
    ------
    InputError
        If the lengths differ.

    Examples
    --------
    >>> found = paired_difference([0.9, 0.8, 0.7, float("nan")], [0.8, 0.8, 0.9, 0.5])
    >>> found["n"], found["dropped"], round(found["difference"], 4)
    (3, 1, -0.0333)
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.shape != y.shape or x.ndim != 1:
        raise InputError(f"The scores have the shapes {x.shape} and {y.shape}.", "Give one score of each model per case.")
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    whose = None if units is None else [unit for unit, here in zip(units, kept, strict=True) if here]
    counts = {"n": int(x.size), "dropped": int((~kept).sum())}
    if not x.size:
        nothing = dict.fromkeys(("mean_a", "mean_b", "difference", "median_difference", "p"))
        return {**counts, **nothing, "difference_ci": [None, None], "larger_a": 0, "equal": 0, "larger_b": 0}
    d = x - y
    limits = mean_interval(d, whose, confidence, seed)
    return {
        **counts,
        "mean_a": float(x.mean()),
        "mean_b": float(y.mean()),
        "difference": float(d.mean()),
        "difference_ci": list(limits) if limits else [None, None],
        "median_difference": float(np.median(d)),
        "larger_a": int((d > 0).sum()),
        "equal": int((d == 0).sum()),
        "larger_b": int((d < 0).sum()),
        "p": signed_rank_p(d) if whose is None else None,
    }


def signed_rank_p(differences: npt.ArrayLike) -> float:
    """Return the two-sided p value of Wilcoxon's signed rank test (F. Wilcoxon, Biometrics Bull. 1:80, 1945, 10.2307/3001968).

    Zeros are left out; 1 where nothing else is there. Up to 50 differences the distribution is counted out, ties included;
    SciPy's, which needs a second for twelve differences with a tie and approximates from fourteen, takes over beyond.

    Parameters
    ----------
    differences : array_like
        Shape (n,), finite; taken as equal, or zero, to 12 decimals.

    Examples
    --------
    >>> signed_rank_p([1.0, 2.0, 3.0]), signed_rank_p([0.0, 0.0])
    (0.25, 1.0)
    """
    from scipy.stats import rankdata, wilcoxon

    d = np.asarray(differences, np.float64).round(12)
    d = d[d != 0]
    if not d.size:
        return 1.0
    if d.size > _MOST_EXACT:
        return float(wilcoxon(d, method="asymptotic").pvalue)
    # Twice the ranks are whole numbers, also where ties share one.
    ranks = np.rint(2 * rankdata(np.abs(d))).astype(int)
    ways = np.zeros(ranks.sum() + 1)
    ways[0] = 1.0
    for rank in ranks:
        ways[rank:] = ways[rank:] + ways[:-rank]
    seen = int(ranks[d > 0].sum())
    tail = float(min(ways[: seen + 1].sum(), ways[seen:].sum()) / 2.0**d.size)
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p values adjusted for their number by Holm's step-down method (S. Holm, Scand. J. Stat. 6:65, 1979).

    None, a comparison that could not be made, stays None and does not count.

    Examples
    --------
    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    from statsmodels.stats.multitest import multipletests

    known = [p for p in p_values if p is not None]
    adjusted = iter(multipletests(known, method="holm")[1].tolist() if known else [])
    return [None if p is None else float(next(adjusted)) for p in p_values]
