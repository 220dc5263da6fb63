"""Bland and Altman's bias and limits of agreement."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.evaluation.agreement.pairs import finite_or_none, interval, paired

__all__ = ["bland_altman"]

# The non-central t of SciPy loses digits at the large non-centralities of large samples, where the two intervals agree to 1 %.
_MOST_EXACT = 1000


def bland_altman(reference: npt.ArrayLike, test: npt.ArrayLike, confidence: float = 0.95, agreement: float = 0.95) -> dict[str, Any]:
    """Return bias and limits of agreement with their intervals.

    Bias is the mean of ``test - reference``; the limits are ``bias ± z s`` with the n - 1 standard deviation s (J. M. Bland
    and D. G. Altman, Lancet 327:307, 1986, 10.1016/S0140-6736(86)90837-8). The interval of the bias is Student's. Those of the
    limits are the exact ones of a normal quantile by the non-central t (A. Carkeet, Optom. Vis. Sci. 92:e71, 2015,
    10.1097/OPX.0000000000000513); above 1000 pairs the approximation ``± t s sqrt(1/n + z²/(2(n-1)))`` of Bland and Altman,
    Stat. Methods Med. Res. 8:135, 1999.

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient, n >= 3.
    confidence : float
        Of the intervals.
    agreement : float
        Share of differences that the limits hold.

    Returns
    -------
    dict
        ``bias``, ``bias_ci``, ``sd``, ``limits`` [lower, upper], ``lower_limit_ci``, ``upper_limit_ci``, ``limits_interval``
        ("exact" or "approximate"), ``slope`` of the difference on the mean with ``slope_p`` (proportional bias),
        ``normality_p`` (Shapiro-Wilk on the differences), ``n``. None where a number is not defined.

    Raises
    ------
    InputError
        If a value is not finite or there are too few.

    Examples
    --------
    >>> found = bland_altman([1, 2, 3, 4], [2, 2, 4, 6])
    >>> found["bias"], [round(limit, 3) for limit in found["limits"]]
    (1.0, [-0.6, 2.6])
    """
    from scipy.stats import nct, norm, t

    x, y = paired(reference, test)
    d = y - x
    n, bias, sd = d.size, float(d.mean()), float(d.std(ddof=1))
    z = float(norm.ppf((1 + agreement) / 2))
    tail = (1 - confidence) / 2
    half = float(t.ppf(1 - tail, n - 1)) * sd / math.sqrt(n)
    if n <= _MOST_EXACT:
        near, far = (float(nct.ppf(q, n - 1, z * math.sqrt(n))) / math.sqrt(n) * sd for q in (tail, 1 - tail))
    else:
        reach = float(t.ppf(1 - tail, n - 1)) * sd * math.sqrt(1 / n + z**2 / (2 * (n - 1)))
        near, far = z * sd - reach, z * sd + reach
    slope, slope_p = _proportional(x, y)
    return {
        "bias": bias,
        "bias_ci": interval(bias - half, bias + half),
        "sd": sd,
        "limits": [bias - z * sd, bias + z * sd],
        "lower_limit_ci": interval(bias - far, bias - near),
        "upper_limit_ci": interval(bias + near, bias + far),
        "limits_interval": "exact" if n <= _MOST_EXACT else "approximate",
        "slope": slope,
        "slope_p": slope_p,
        "normality_p": _normality(d),
        "n": n,
    }


def _proportional(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return slope and p value of the difference on the mean."""
    from scipy.stats import linregress

    mean, d = (x + y) / 2, y - x
    if np.ptp(mean) == 0 or np.ptp(d) == 0:
        return (0.0, None) if np.ptp(mean) else (None, None)
    fit = linregress(mean, d)
    return finite_or_none(fit.slope), finite_or_none(fit.pvalue)


def _normality(d: npt.NDArray[np.float64]) -> float | None:
    from scipy.stats import shapiro

    # SciPy's p value is not meant for more than 5000 values.
    return finite_or_none(shapiro(d).pvalue) if np.ptp(d) > 0 and d.size <= 5000 else None
