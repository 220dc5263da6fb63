"""Lines through two measurements that both have errors: Passing-Bablok and Deming."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.pairs import finite_or_none, interval, paired

__all__ = ["deming", "passing_bablok"]

Floats = npt.NDArray[np.float64]

# All slopes between pairs are held at once: 5000 patients are 12.5 million, 100 MB.
_MOST = 5000


def passing_bablok(reference: npt.ArrayLike, test: npt.ArrayLike, confidence: float = 0.95) -> dict[str, Any]:
    """Return Passing and Bablok's line with its intervals.

    Slope: the median of the slopes between all pairs of patients, shifted by the number of slopes below -1; intercept: the
    median of ``y - b x``. Nothing is assumed of the errors, and outliers weigh little. H. Passing and W. Bablok, J. Clin.
    Chem. Clin. Biochem. 21:709, 1983 (10.1515/cclm.1983.21.11.709).

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient, 3 <= n <= 5000.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict
        ``slope``, ``slope_ci``, ``intercept``, ``intercept_ci``, ``n``. Limits are None where there are too few patients for them,
        and all is None where the columns run against each other: the method compares measurements of one quantity.

    Raises
    ------
    InputError
        If a value is not finite, there are too few or too many, or one measurement is constant.

    Examples
    --------
    >>> found = passing_bablok([1, 2, 3, 4, 5], [3, 5, 7, 9, 11])
    >>> found["slope"], found["intercept"]
    (2.0, 1.0)
    """
    from scipy.stats import norm

    x, y = paired(reference, test, vary=True)
    n = x.size
    if n > _MOST:
        raise InputError(f"Passing-Bablok regression of {n} patients needs too much memory.", f"Take at most {_MOST} patients.")
    slopes = _slopes(x, y)
    count, shift = slopes.size, int(np.count_nonzero(slopes < -1))
    if count == 0:
        raise InputError(
            "All differences between patients are of opposite sign in the two columns.", "Check that the columns belong together."
        )
    slope = _shifted_median(slopes, shift)
    reach = float(norm.ppf((1 + confidence) / 2)) * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    first = round((count - reach) / 2)
    low, high = (_at(slopes, place + shift) for place in (first, count - first + 1))
    if first < 1:
        low = high = math.nan
    return {
        "slope": finite_or_none(slope),
        "slope_ci": interval(low, high),
        "intercept": finite_or_none(_intercept(x, y, slope)),
        "intercept_ci": interval(_intercept(x, y, high), _intercept(x, y, low)),
        "n": n,
    }


def _slopes(x: Floats, y: Floats) -> Floats:
    """Return the sorted slopes between all pairs, infinite where x is equal; pairs of equal points and slopes of -1 are left out."""
    i, j = np.triu_indices(x.size, 1)
    dx, dy = x[j] - x[i], y[j] - y[i]
    kept = ~((dx == 0) & (dy == 0))
    dx, dy = dx[kept], dy[kept]
    slopes = np.divide(dy, dx, out=np.where(dy > 0, np.inf, -np.inf), where=dx != 0)
    return np.sort(slopes[slopes != -1])


def _at(slopes: Floats, place: int) -> float:
    """Return the slope at a place that counts from 1, NaN outside."""
    return float(slopes[place - 1]) if 1 <= place <= slopes.size else math.nan


def _shifted_median(slopes: Floats, shift: int) -> float:
    middle = slopes.size // 2
    if slopes.size % 2:
        return _at(slopes, middle + 1 + shift)
    return (_at(slopes, middle + shift) + _at(slopes, middle + 1 + shift)) / 2


def _intercept(x: Floats, y: Floats, slope: float) -> float:
    return float(np.median(y - slope * x)) if math.isfinite(slope) else math.nan


def deming(reference: npt.ArrayLike, test: npt.ArrayLike, error_ratio: float = 1.0, confidence: float = 0.95) -> dict[str, Any]:
    """Return Deming's line, its intervals by the jackknife.

    K. Linnet, Clin. Chem. 39:424, 1993 (10.1093/clinchem/39.3.424); limits by Student's t with n - 2 degrees of freedom.

    Parameters
    ----------
    reference, test : array_like
        Shape (n,), one value per patient, n >= 3.
    error_ratio : float
        Variance of the test's errors over that of the reference's; 1 is orthogonal regression.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict
        ``slope``, ``slope_ci``, ``intercept``, ``intercept_ci``, ``error_ratio``, ``n``.

    Raises
    ------
    InputError
        If a value is not finite, there are too few, one measurement is constant, or the two do not vary together.

    Examples
    --------
    >>> found = deming([1, 2, 3, 4, 5], [3, 5, 7, 9, 11])
    >>> round(found["slope"], 9), round(found["intercept"], 9)
    (2.0, 1.0)
    """
    from scipy.stats import t

    x, y = paired(reference, test, vary=True)
    if not (math.isfinite(error_ratio) and error_ratio > 0):
        raise InputError(f"{error_ratio:g} is not a ratio of error variances.", "Give a positive number.")
    n, mx, my = x.size, float(x.mean()), float(y.mean())
    dx, dy = x - mx, y - my
    sums = np.array([(dx**2).sum(), (dy**2).sum(), (dx * dy).sum()])
    if abs(sums[2]) <= 1e-15 * math.sqrt(sums[0] * sums[1]):
        raise InputError("The two columns do not vary together, so no line fits them.", "Check that the columns belong together.")
    slope = float(_deming_slope(sums[0], sums[1], sums[2], error_ratio))
    # Sums of squares without one patient, for all patients at once.
    share = n / (n - 1)
    slopes = _deming_slope(sums[0] - share * dx**2, sums[1] - share * dy**2, sums[2] - share * dx * dy, error_ratio)
    intercepts = (my - dy / (n - 1)) - slopes * (mx - dx / (n - 1))
    intercept = my - slope * mx
    half = float(t.ppf((1 + confidence) / 2, n - 2))
    reach = [half * math.sqrt((n - 1) / n * float(((left - left.mean()) ** 2).sum())) for left in (slopes, intercepts)]
    return {
        "slope": slope,
        "slope_ci": interval(slope - reach[0], slope + reach[0]),
        "intercept": intercept,
        "intercept_ci": interval(intercept - reach[1], intercept + reach[1]),
        "error_ratio": float(error_ratio),
        "n": n,
    }


def _deming_slope(sxx: Any, syy: Any, sxy: Any, error_ratio: float) -> Any:
    apart = syy - error_ratio * sxx
    root = np.hypot(apart, 2 * math.sqrt(error_ratio) * sxy)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (apart + root) / (2 * sxy)
