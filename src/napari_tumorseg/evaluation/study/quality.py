"""Whether faster is as good: non-inferiority at a margin that was stated before, and Holm's rule over what is secondary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.randomisation import RandomisationTest, Redraw
from napari_tumorseg.evaluation.study.readings import Readings
from napari_tumorseg.evaluation.study.time_model import fit_time

__all__ = ["holm", "non_inferiority"]


def non_inferiority(
    readings: Readings, quality: npt.ArrayLike, redraw: Redraw, *, margin: float, alpha: float = 0.025, draws: int = 1999
) -> dict[str, Any]:
    """Test that the second arm is worse than the first by less than a margin.

    Parameters
    ----------
    readings : Readings
        The finished readings; their times are not used.
    quality : array_like
        Of each reading, more is better, e.g. Dice with the reference, shape (n,). Rows that are not a number must be left out before.
    redraw : callable
        The protocol's own allocation, drawn again.
    margin : float
        How much worse is still no worse, above 0, in the units of `quality`; stated in the plan.
    alpha : float
        One-sided level; the interval is of 1 - 2 alpha.
    draws : int
        Of the allocation.

    Returns
    -------
    dict
        ``difference`` (second minus first arm) with ``low`` and ``high``; ``non_inferior``: whether ``low`` lies above -margin, by the same
        two tests as the primary endpoint, re-drawing and t (ICH E9, 3.3.2; the confidence interval is the test); ``mixed``: the mixed
        model's, with Kenward-Roger.

    Raises
    ------
    InputError
        If the margin is not above 0 or a quality is not a number.
    """
    values = np.asarray(quality, np.float64)
    if not margin > 0:
        raise InputError(f"The margin of non-inferiority is {margin:g}.", "State one above 0, e.g. 0.05 of Dice.")
    if values.shape != (len(readings),) or not np.isfinite(values).all():
        raise InputError("A reading has no quality.", "Leave it out, and list it among the exclusions.")
    found = RandomisationTest(readings, redraw, draws).test(values, alpha=2 * alpha)
    mixed = fit_time(readings, raters_random=found.raters_random, log_s=values).effect({"arm": 1.0})
    low, high = mixed.interval(1 - 2 * alpha)
    means = {name: float(values[readings.arm == half].mean()) for name, half in zip(readings.arms, (-0.5, 0.5), strict=True)}
    return {
        "means": means,
        "difference": found.estimate,
        "low": _finite(found.low),
        "high": _finite(found.high),
        "confidence": 1 - 2 * alpha,
        "margin": margin,
        "non_inferior": bool(found.low > -margin),
        "raters_random": found.raters_random,
        "mixed": {"difference": mixed.estimate, "low": _finite(low), "high": _finite(high), "df": _finite(mixed.df)},
    }


def holm(p: Mapping[str, float | None], alpha: float = 0.05) -> dict[str, dict[str, Any]]:
    """Return p-values adjusted by Holm's rule (Scand J Stat 1979;6:65-70), and which are below the level.

    Endpoints whose p is None (there was nothing to test) are counted among the tests, as if theirs were 1, because the plan named them.

    Examples
    --------
    >>> {name: round(row["adjusted"], 3) for name, row in holm({"dice": 0.01, "nsd": 0.04, "detection": 0.03}).items()}
    {'dice': 0.03, 'nsd': 0.06, 'detection': 0.06}
    """
    if not p:
        return {}
    from statsmodels.stats.multitest import multipletests

    values = [1.0 if v is None else float(v) for v in p.values()]
    rejected, adjusted, _, _ = multipletests(values, alpha=alpha, method="holm")
    rows = zip(p.items(), adjusted, rejected, strict=True)
    return {name: {"p": v, "adjusted": float(a), "rejected": bool(r) and v is not None} for (name, v), a, r in rows}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
