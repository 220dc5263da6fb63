"""What an arm does to the time of a reading: the primary analysis of a study, and what stands beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.evaluation.study.mixed import Effect, MixedFit, fit_mixed
from napari_tumorseg.evaluation.study.randomisation import FEWEST_RATERS, ArmTest, RandomisationTest, Redraw
from napari_tumorseg.evaluation.study.readings import Readings, summary

__all__ = ["MODEL", "analyse_time", "fit_time", "saved_percent", "signed_rank_on_cases"]

#: The model, in words.
MODEL = "log time ~ arm x period + session order + log(reference lesions); random: rater, case, rater x arm, case x arm"
_MODEL_FIXED = "log time ~ arm x period + session order + log(reference lesions) + rater x arm; random: case, case x arm; raters are fixed"


def analyse_time(readings: Readings, redraw: Redraw, *, draws: int = 1999, confidence: float = 0.95) -> dict[str, Any]:
    """Return everything that is said about time, as JSON values.

    Parameters
    ----------
    readings : Readings
        The finished readings.
    redraw : callable
        The protocol's own allocation, drawn again.
    draws : int
        How often.
    confidence : float
        Of all intervals.

    Returns
    -------
    dict
        ``primary``: per cent saved with interval and p, by `RandomisationTest`. ``claim``: for whom it holds. ``arms``: medians and
        quartiles. ``mixed``: the mixed model with Kenward-Roger and its variances; ``effect_sd`` is how what the arm does to log time
        differs between raters and between cases. ``signed_rank``: Wilcoxon's test on case means, None where cases are too few or unpaired.
    """
    found = RandomisationTest(readings, redraw, draws).test(readings.log_s, alpha=1 - confidence)
    fit = fit_time(readings, raters_random=found.raters_random)
    arm = fit.effect({"arm": 1.0})
    low, high = arm.interval(confidence)
    return {
        "readings": len(readings),
        "raters": len(readings.raters),
        "cases": len(readings.cases),
        **summary(readings),
        "model": MODEL if found.raters_random else _MODEL_FIXED,
        "claim": _claim(readings, found),
        "primary": {**_percent(found.estimate, found.low, found.high), **_test(found), "confidence": confidence},
        "mixed": {
            **_percent(arm.estimate, low, high),
            "p": arm.p,
            "df": _finite(arm.df),
            "se_log": arm.se,
            "variances": dict(fit.variances),
            "effect_sd": {
                name: float(np.sqrt(2 * fit.variances[f"{name}:arm"])) for name in ("rater", "case") if f"{name}:arm" in fit.variances
            },
            "fixed": {name: _row(fit.effect({name: 1.0}), confidence) for name in fit.names if name in _TOLD},
        },
        "signed_rank": signed_rank_on_cases(readings),
    }


def fit_time(readings: Readings, *, raters_random: bool | None = None, log_s: npt.ArrayLike | None = None) -> MixedFit:
    """Fit the model of `MODEL` to log times; the fixed effect "arm" is the change from the first to the second arm in a middling period.

    Parameters
    ----------
    readings : Readings
        The finished readings.
    raters_random : bool, optional
        By default whether there are `FEWEST_RATERS` or more. Otherwise raters and what the arm does to each are fixed effects that sum to
        zero, so that "arm" is the mean over these raters.
    log_s : array_like, optional
        Other log times than the readings' own.
    """
    r = readings
    random_raters = len(r.raters) >= FEWEST_RATERS if raters_random is None else raters_random
    outcome = r.log_s if log_s is None else np.asarray(log_s, np.float64)
    covariates = r.covariates()
    second = (r.arm > 0).astype(np.intp)
    fixed = {"one": np.ones(len(r)), "arm": r.arm, "period": covariates["period"], "arm:period": r.arm * covariates["period"]}
    fixed |= {"order": covariates["order"], "log_lesions": covariates["log_lesions"]}
    random = {"case": r.case, "case:arm": 2 * r.case + second}
    if random_raters:
        random = {"rater": r.rater, "case": r.case, "rater:arm": 2 * r.rater + second, "case:arm": 2 * r.case + second}
    else:
        last = len(r.raters) - 1
        for number, name in enumerate(r.raters[:-1]):
            column = (r.rater == number).astype(float) - (r.rater == last)
            fixed |= {f"rater {name}": column, f"arm:rater {name}": column * r.arm}
    return fit_mixed(outcome, fixed, random)


def saved_percent(log_effect: float) -> float:
    """Return the per cent of time that an effect on log time saves.

    Examples
    --------
    >>> round(saved_percent(float(np.log(0.7))), 6)
    30.0
    """
    return 100 * (1 - float(np.exp(log_effect)))


def signed_rank_on_cases(readings: Readings) -> dict[str, Any] | None:
    """Return Wilcoxon's signed-rank test of the cases' mean log times, arm against arm; None with fewer than six cases in both arms.

    Only means of cases go in: single readings of one case, or of one rater, are not independent. With fewer than six pairs the test cannot
    reach p < 0.05.
    """
    from scipy.stats import wilcoxon

    means = []
    for case in range(len(readings.cases)):
        here = readings.case == case
        arms = [readings.log_s[here & (readings.arm == half)] for half in (-0.5, 0.5)]
        if all(len(times) for times in arms):
            means.append(float(arms[1].mean() - arms[0].mean()))
    if len(means) < 6:
        return None
    differences = np.array(means)
    p = 1.0 if not differences.any() else float(wilcoxon(differences, zero_method="pratt").pvalue)
    return {"cases": len(means), "median_saved_percent": saved_percent(float(np.median(differences))), "p": p}


# -- inside

_TOLD = ("arm", "period", "arm:period", "order", "log_lesions")


def _percent(estimate: float, low: float, high: float) -> dict[str, Any]:
    # More time is less saved, so that the ends change places.
    return {
        "saved_percent": saved_percent(estimate),
        "low_percent": _finite(saved_percent(high)),
        "high_percent": _finite(saved_percent(low)),
    }


def _test(found: ArmTest) -> dict[str, Any]:
    names = ("p", "p_redraw", "p_t", "draws", "raters_random")
    return {"log_ratio": found.estimate, "se_log": found.se, "df": _finite(found.df), **{name: getattr(found, name) for name in names}}


def _row(effect: Effect, confidence: float) -> dict[str, Any]:
    low, high = effect.interval(confidence)
    return {
        "estimate_log": effect.estimate,
        "se": effect.se,
        "df": _finite(effect.df),
        "p": effect.p,
        "low": _finite(low),
        "high": _finite(high),
    }


def _claim(readings: Readings, found: ArmTest) -> str:
    second, first = readings.arms[1], readings.arms[0]
    if found.raters_random:
        return f"{second} against {first}, for raters and cases like these ({len(readings.raters)} raters, {len(readings.cases)} cases)."
    whom = "this rater" if len(readings.raters) == 1 else f"these {len(readings.raters)} raters"
    return (
        f"{second} against {first}, for {whom} only, on cases like these {len(readings.cases)}: "
        f"with fewer than {FEWEST_RATERS} raters nothing is said about others."
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
