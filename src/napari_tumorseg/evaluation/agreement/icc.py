"""Intraclass correlation coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.pairs import finite_or_none, interval

__all__ = ["MeanSquares", "intraclass", "mean_squares"]


@dataclass(frozen=True)
class MeanSquares:
    """The analysis of variance of a table of targets (rows) by raters (columns).

    Attributes
    ----------
    targets, raters : int
        n and k.
    rows, columns, error : float
        Mean squares of the two-way model without interaction, ``MSR``, ``MSC``, ``MSE``.
    within : float
        Mean square within targets of the one-way model, ``MSW``.
    """

    targets: int
    raters: int
    rows: float
    columns: float
    error: float
    within: float


def mean_squares(ratings: npt.ArrayLike) -> MeanSquares:
    """Return the mean squares of a (targets, raters) table without gaps.

    Raises
    ------
    InputError
        If there are fewer than two targets or raters, or a value is not finite.

    Examples
    --------
    >>> mean_squares([[1, 2], [3, 4], [5, 6]]).error
    0.0
    """
    table = np.asarray(ratings, np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise InputError(
            f"The table of ratings has the shape {table.shape}.", "It needs at least two targets (rows) and two raters (columns)."
        )
    if not np.isfinite(table).all():
        raise InputError(
            f"{int((~np.isfinite(table)).sum())} ratings are missing or not finite.", "Leave out the targets that they belong to."
        )
    n, k = table.shape
    grand, by_row, by_column = table.mean(), table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    rest = float(((table - by_row - by_column + grand) ** 2).sum())
    columns = float(n * ((by_column - grand) ** 2).sum())
    return MeanSquares(
        n,
        k,
        float(k * ((by_row - grand) ** 2).sum()) / (n - 1),
        columns / (k - 1),
        rest / ((n - 1) * (k - 1)),
        (rest + columns) / (n * (k - 1)),
    )


def intraclass(ratings: npt.ArrayLike, confidence: float = 0.95) -> list[dict[str, Any]]:
    """Return the intraclass correlation coefficients of a table of ratings.

    Names are those of P. E. Shrout and J. L. Fleiss, Psychol. Bull. 86:420, 1979 (10.1037/0033-2909.86.2.420); intervals by F
    are those of K. O. McGraw and S. P. Wong, Psychol. Methods 1:30, 1996 (10.1037/1082-989X.1.1.30), whose names are given too.

    Parameters
    ----------
    ratings : array_like
        Shape (targets, raters), without gaps.
    confidence : float
        Of the intervals.

    Returns
    -------
    list of dict
        ICC(1,1), (2,1), (3,1), (1,k), (2,k), (3,k): ``name``, ``mcgraw_wong``, ``model``, ``agreement`` ("absolute" or
        "consistency"), ``unit`` ("single" or "average"), ``icc``, ``icc_ci``, ``f``, ``df`` [of targets, of error], ``p`` (that the
        coefficient is 0). The two-way consistency coefficient is one number for random and fixed raters, here under (3,1).

    Raises
    ------
    InputError
        If the table is too small, has gaps, or all its values are the same.

    Examples
    --------
    >>> [round(row["icc"], 2) for row in intraclass([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])]
    [0.17, 0.29, 0.71, 0.44, 0.62, 0.91]
    """
    table = np.asarray(ratings, np.float64)
    m = mean_squares(table)
    if np.ptp(table) == 0:
        raise InputError(f"All ratings are {table.flat[0]:g}.", "An intraclass correlation needs targets that differ.")
    n, k = m.targets, m.raters
    one_way, two_way = (n - 1, n * (k - 1)), (n - 1, (n - 1) * (k - 1))
    single = [
        ("ICC(1,1)", "ICC(1)", "one-way random", "absolute", m.within, one_way, _ratio(m.rows - m.within, m.rows + (k - 1) * m.within)),
        (
            "ICC(2,1)", "ICC(A,1)", "two-way random", "absolute", m.error, two_way,
            _ratio(m.rows - m.error, m.rows + (k - 1) * m.error + k * (m.columns - m.error) / n),
        ),
        ("ICC(3,1)", "ICC(C,1)", "two-way mixed", "consistency", m.error, two_way, _ratio(m.rows - m.error, m.rows + (k - 1) * m.error)),
    ]  # fmt: skip
    rows: list[dict[str, Any]] = []
    averages: list[dict[str, Any]] = []
    for name, other, model, agreement, error, df, value in single:
        limits = _absolute_limits(m, value, confidence) if name == "ICC(2,1)" else _f_limits(m.rows, error, df, k, confidence)
        f = _ratio(m.rows, error)
        row = {"name": name, "mcgraw_wong": other, "model": model, "agreement": agreement, "unit": "single"}
        test = {"f": finite_or_none(f), "df": list(df), "p": _p(f, df)}
        rows.append({**row, "icc": finite_or_none(value), "icc_ci": interval(*limits), **test})
        mean = {**row, "name": name.replace(",1", ",k"), "mcgraw_wong": other.replace("1)", "k)"), "unit": "average"}
        stepped = [_spearman_brown(v, k) for v in (value, *limits)]
        averages.append({**mean, "icc": finite_or_none(stepped[0]), "icc_ci": interval(*stepped[1:]), **test})
    return rows + averages


def _ratio(above: float, below: float) -> float:
    if below:
        return above / below
    return float("nan") if above == 0 else float("inf")


def _p(f: float, df: tuple[int, int]) -> float | None:
    from scipy.stats import f as distribution

    return 0.0 if f == float("inf") else finite_or_none(distribution.sf(f, *df))


def _spearman_brown(value: float, raters: int) -> float:
    """Return the reliability of the mean of `raters` from that of one."""
    return _ratio(raters * value, 1 + (raters - 1) * value)


def _f_limits(rows: float, error: float, df: tuple[int, int], raters: int, confidence: float) -> tuple[float, float]:
    from scipy.stats import f as distribution

    if error == 0:
        return 1.0, 1.0
    ratio, upper = rows / error, (1 + confidence) / 2
    low = ratio / float(distribution.ppf(upper, *df))
    high = ratio * float(distribution.ppf(upper, df[1], df[0]))
    return (low - 1) / (low + raters - 1), (high - 1) / (high + raters - 1)


def _absolute_limits(m: MeanSquares, value: float, confidence: float) -> tuple[float, float]:
    """Return McGraw and Wong's limits of ICC(A,1), with Satterthwaite's degrees of freedom."""
    from scipy.stats import f as distribution

    n, k = m.targets, m.raters
    if m.error == 0 and m.columns == 0:
        return 1.0, 1.0
    # a MSC + b MSE, times (1 - ICC) n: no division where the coefficient is 1.
    a, b = k * value, n * (1 - value) + k * value * (n - 1)
    whole = a * m.columns + b * m.error
    parts = (a * m.columns) ** 2 / (k - 1) + (b * m.error) ** 2 / ((n - 1) * (k - 1))
    if parts == 0:
        return float("nan"), float("nan")
    df = whole**2 / parts
    upper = (1 + confidence) / 2
    f_low, f_high = float(distribution.ppf(upper, n - 1, df)), float(distribution.ppf(upper, df, n - 1))
    spread = k * m.columns + (k * n - k - n) * m.error
    low = _ratio(n * (m.rows - f_low * m.error), f_low * spread + n * m.rows)
    return low, _ratio(n * (f_high * m.rows - m.error), spread + n * f_high * m.rows)
