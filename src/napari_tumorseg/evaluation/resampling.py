"""Bootstrap intervals over patients."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["RESAMPLES", "draws", "mean_interval"]

#: Resamples of every bootstrap here; percentiles of so many move by about 1 % of the interval's width.
RESAMPLES = 2000


def draws(units: int, seed: int = 0, resamples: int = RESAMPLES) -> npt.NDArray[np.int64]:
    """Return how often each unit is drawn in each resample.

    Returns
    -------
    numpy.ndarray
        int64 (resamples, units); every row sums to `units`.

    Examples
    --------
    >>> set(draws(5, resamples=3).sum(axis=1).tolist())
    {5}
    """
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), resamples)


def mean_interval(
    values: npt.ArrayLike, units: Sequence[Hashable] | None = None, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a mean.

    Parameters
    ----------
    values : array_like
        Shape (n,), finite.
    units : sequence, optional
        Which unit (patient) each value belongs to. Units are drawn with all their values, since values of one patient are
        not independent; by default each value is a unit.
    confidence : float
        Of the interval.
    seed : int
        Of the resamples.

    Returns
    -------
    tuple of float or None
        Lower and upper limit; None with fewer than two units, of which nothing can be drawn.

    Examples
    --------
    >>> mean_interval([1.0, 1.0, 1.0])
    (1.0, 1.0)
    """
    v = np.asarray(values, np.float64)
    place: dict[Hashable, int] = {}
    owner = np.array([place.setdefault(unit, len(place)) for unit in (units if units is not None else range(v.size))], np.intp)
    if len(place) < 2:
        return None
    sums, counts = np.bincount(owner, v, len(place)), np.bincount(owner, minlength=len(place))
    drawn = draws(len(place), seed).astype(np.float64)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)
