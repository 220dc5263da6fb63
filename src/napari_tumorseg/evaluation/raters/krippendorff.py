"""Krippendorff's alpha: any number of raters, any scale, with gaps."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.pairs import interval

__all__ = ["SCALES", "Scale", "krippendorff_alpha"]

Scale = Literal["nominal", "ordinal", "interval", "ratio"]
#: Scales of measurement, by falling generality.
SCALES: tuple[Scale, ...] = ("nominal", "ordinal", "interval", "ratio")

Floats = npt.NDArray[np.float64]
_RESAMPLES = 1000
# Resampling costs the square of the number of different values; beyond this alpha comes without an interval.
_MOST_VALUES = 64


def krippendorff_alpha(ratings: npt.ArrayLike, scale: Scale = "nominal", confidence: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Return Krippendorff's alpha.

    ``1 - D_o / D_e`` from the coincidences of values within cases: K. Krippendorff, Computing Krippendorff's Alpha-Reliability,
    2011 (repository.upenn.edu/asc_papers/43). 1 is agreement without exception, 0 is chance.

    Parameters
    ----------
    ratings : array_like
        Shape (raters, cases), float; NaN where a rater did not judge. Nominal categories as any numbers.
    scale : str
        What a disagreement weighs: "nominal" 1; "ordinal" by the number of values between, "interval" by the square of the
        difference, "ratio" by the square of the difference over the sum.
    confidence : float
        Of the interval.
    seed : int
        Of the bootstrap over cases (1000 resamples).

    Returns
    -------
    dict
        ``alpha`` (None where all values are the same), ``alpha_ci`` ([None, None] alike, and where more than 64 different values
        occur), ``scale``, ``n`` (cases that at least two raters judged), ``values`` (judgements in them).

    Raises
    ------
    InputError
        If no case was judged twice, a value is infinite, or the scale is ratio and a value is negative.

    Examples
    --------
    >>> nan = float("nan")
    >>> ratings = [[1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
    ...            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan]]
    >>> [round(krippendorff_alpha(ratings, scale)["alpha"], 3) for scale in SCALES]
    [0.743, 0.815, 0.849, 0.797]
    """
    table = np.atleast_2d(np.asarray(ratings, np.float64))
    if table.ndim != 2 or np.isinf(table).any():
        raise InputError("Ratings are a table of raters by cases without infinite values.", "Leave gaps as NaN.")
    if scale not in SCALES:
        raise InputError(f"'{scale}' is no scale.", f"Choose one of {', '.join(SCALES)}.")
    if scale == "ratio" and np.nanmin(table, initial=0.0) < 0:
        raise InputError("A value is negative, which a ratio scale does not have.", "Choose the interval scale.")
    table = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if not table.size:
        raise InputError("No case was judged by two raters.", "Agreement needs cases that several raters judged.")
    values = np.unique(table[~np.isnan(table)])
    counts = np.stack([(table == value).sum(axis=0) for value in values], axis=1).astype(np.float64)
    alpha = _alpha(counts, np.ones(len(counts)), values, scale)
    limits: list[float | None] = [None, None]
    if not np.isnan(alpha) and values.size <= _MOST_VALUES:
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), _RESAMPLES).astype(np.float64)
        found = np.array([_alpha(counts, times, values, scale) for times in drawn])
        # A resample of one value only has no alpha; it agrees without exception.
        limits = interval(*np.quantile(np.nan_to_num(found, nan=1.0), ((1 - confidence) / 2, (1 + confidence) / 2)))
    return {
        "alpha": None if np.isnan(alpha) else alpha,
        "alpha_ci": limits,
        "scale": scale,
        "n": int(counts.shape[0]),
        "values": int(counts.sum()),
    }


def _alpha(counts: Floats, times: Floats, values: Floats, scale: Scale) -> float:
    """Return alpha of cases that count `times` each, NaN where one value is all there is."""
    weight = times / (counts.sum(axis=1) - 1)
    coincidences = counts.T @ (counts * weight[:, None]) - np.diag(weight @ counts)
    margins = coincidences.sum(axis=0)
    apart = _squared_distance(values, margins, scale)
    expected = float(margins @ apart @ margins)
    if expected <= 0:
        return float("nan")
    return 1.0 - (float(margins.sum()) - 1.0) * float((coincidences * apart).sum()) / expected


def _squared_distance(values: Floats, margins: Floats, scale: Scale) -> Floats:
    """Return the squared metric difference of each pair of values."""
    if scale == "nominal":
        return 1.0 - np.eye(values.size)
    difference = values[:, None] - values[None, :]
    if scale == "interval":
        return np.asarray(difference**2)
    if scale == "ratio":
        total = values[:, None] + values[None, :]
        return np.divide(difference, total, out=np.zeros_like(difference), where=total != 0) ** 2
    # The values of the lower one, of the upper one and of all between, less half of either end.
    middle = np.cumsum(margins) - margins / 2
    return np.asarray((middle[:, None] - middle[None, :]) ** 2)
