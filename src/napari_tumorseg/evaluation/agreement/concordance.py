"""Lin's concordance correlation coefficient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.evaluation.agreement.pairs import finite_or_none, interval, paired

__all__ = ["concordance"]


def concordance(reference: npt.ArrayLike, test: npt.ArrayLike, confidence: float = 0.95) -> dict[str, Any]:
    """Return Lin's concordance correlation coefficient (CCC) with its interval.

    ``2 s_xy / (s_x² + s_y² + (mean x - mean y)²)`` with 1/n moments; 1 exactly where ``y = x``. The interval is by Fisher's z
    with the variance of L. I. Lin, Biometrics 45:255, 1989 (10.2307/2532051), as corrected in Biometrics 56:324, 2000.

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient, n >= 3.
    confidence : float
        Of the interval.

    Returns
    -------
    dict
        ``ccc``, ``ccc_ci`` [low, high], ``pearson_r`` (precision), ``bias_correction`` C_b (accuracy, ccc = r C_b),
        ``scale_shift`` s_y / s_x, ``location_shift`` (mean y - mean x) / sqrt(s_x s_y), ``n``.

    Raises
    ------
    InputError
        If a value is not finite, there are too few, or one measurement is constant.

    Examples
    --------
    >>> concordance([1, 2, 3, 4], [1, 2, 3, 4])["ccc"]
    1.0
    >>> round(concordance([1, 2, 3, 4], [2, 3, 4, 5])["ccc"], 4)
    0.7143
    """
    from scipy.stats import norm

    x, y = paired(reference, test, vary=True)
    n = x.size
    dx, dy = x - x.mean(), y - y.mean()
    sx, sy = math.sqrt(np.mean(dx**2)), math.sqrt(np.mean(dy**2))
    shift = float((y.mean() - x.mean()) / math.sqrt(sx * sy))
    scale = sy / sx
    # From the mean of d², so that y = x gives 1 and not the nearest number to it.
    apart = float(np.mean((y - x) ** 2))
    ccc = 1.0 - apart / (sx**2 + sy**2 + float(y.mean() - x.mean()) ** 2)
    r = min(1.0, max(-1.0, float(np.mean(dx * dy)) / (sx * sy)))
    accuracy = 2.0 / (scale + 1.0 / scale + shift**2)
    if abs(ccc) >= 1:
        low = high = ccc
    else:
        # Written with C_b = ccc / r, which stays finite where r is 0.
        rest = 1.0 - ccc**2
        variance = (
            (1 - r**2) * accuracy**2 / rest
            + 2 * ccc**2 * accuracy * (1 - ccc) * shift**2 / rest**2
            - ccc**2 * accuracy**2 * shift**4 / (2 * rest**2)
        ) / (n - 2)
        half = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(max(variance, 0.0))
        low, high = math.tanh(math.atanh(ccc) - half), math.tanh(math.atanh(ccc) + half)
    return {
        "ccc": ccc,
        "ccc_ci": interval(low, high),
        "pearson_r": r,
        "bias_correction": accuracy,
        "scale_shift": finite_or_none(scale),
        "location_shift": finite_or_none(shift),
        "n": n,
    }
