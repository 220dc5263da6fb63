"""How far two measurements of one patient by one method may lie apart."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.pairs import finite_or_none, interval

__all__ = ["repeatability"]


def repeatability(repeats: Iterable[npt.ArrayLike], confidence: float = 0.95) -> dict[str, Any]:
    """Return the repeatability coefficient of repeated measurements.

    ``RC = 1.96 sqrt(2) wSD``, where wSD is the within-patient standard deviation, pooled over patients (J. M. Bland and
    D. G. Altman, BMJ 313:41, 1996; D. L. Raunig et al., Stat. Methods Med. Res. 24:27, 2015, 10.1177/0962280214537344). Its
    interval is by the chi-squared distribution of the pooled variance. Where all values are positive, the asymmetric limits
    in percent come from the same on their logarithms.

    Parameters
    ----------
    repeats : iterable of array_like
        The repeats of each patient; patients with one are left out.
    confidence : float
        Of the interval, and of the difference that RC bounds.

    Returns
    -------
    dict
        ``coefficient`` RC, ``coefficient_ci``, ``within_sd``, ``df``, ``n`` patients with repeats, ``percent_limits`` [lower,
        upper] (None where a value is not positive), ``within_cv`` (None alike).

    Raises
    ------
    InputError
        If no patient has two measurements, or a value is not finite.

    Examples
    --------
    >>> round(repeatability([[1.0, 2.0], [4.0, 4.0], [7.0, 6.0]])["coefficient"], 3)
    1.6
    """
    from scipy.stats import chi2, norm

    groups = [np.asarray(group, np.float64).ravel() for group in repeats]
    groups = [group for group in groups if group.size > 1]
    if not groups:
        raise InputError("No patient was measured twice.", "Repeatability needs repeats of the same patient.")
    if not all(np.isfinite(group).all() for group in groups):
        raise InputError("A repeat is missing or not finite.", "Complete or drop it.")
    df = sum(group.size - 1 for group in groups)
    reach = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(2)
    variance = _pooled(groups, df)
    tails = (float(chi2.ppf((1 + confidence) / 2, df)), float(chi2.ppf((1 - confidence) / 2, df)))
    low, high = (reach * math.sqrt(df * variance / tail) for tail in tails)
    positive = all((group > 0).all() for group in groups)
    logs = _pooled([np.log(group) for group in groups], df) if positive else math.nan
    edge = reach * math.sqrt(logs)
    return {
        "coefficient": reach * math.sqrt(variance),
        "coefficient_ci": interval(low, high),
        "within_sd": math.sqrt(variance),
        "df": df,
        "n": len(groups),
        "percent_limits": interval(100 * math.expm1(-edge), 100 * math.expm1(edge) if edge < 700 else math.inf) if positive else None,
        "within_cv": finite_or_none(math.sqrt(math.expm1(logs))) if positive and logs < 700 else None,
    }


def _pooled(groups: list[npt.NDArray[np.float64]], df: int) -> float:
    return sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / df
