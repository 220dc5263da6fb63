"""Whether raters become faster over a study, in each arm, and whether the arms differ in that."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.mixed import Effect, fit_mixed
from napari_tumorseg.evaluation.study.readings import Readings

__all__ = ["learning"]


def learning(readings: Readings, confidence: float = 0.95) -> dict[str, Any]:
    """Return how times change with each doubling of the readings done, by arm.

    Log time falls in a straight line over the logarithm of the number of readings (the power law of practice: Newell and Rosenbloom 1981;
    Wright, J Aeronaut Sci 1936;3:122-128). The model has the slope in each arm, the arm, the logarithm of the lesion count, and random
    rater, case, rater x arm and case x arm; degrees of freedom are Kenward and Roger's. In a design in which every case is read for the
    second time after all were read for the first, learning and knowing the case cannot be told apart; the slope holds both.

    Returns
    -------
    dict
        ``faster_percent_per_doubling`` by arm with interval and p, ``difference`` (second minus first arm, log time), and ``curve``: the
        median time of each fifth of the order in each arm.

    Raises
    ------
    InputError
        If nobody read more than two cases.
    """
    if np.ptp(readings.order) < 2:
        raise InputError("Nobody read more than two cases.", "Learning needs more readings of each rater.")
    r = readings
    doublings = np.log2(r.order)
    doublings = doublings - doublings.mean()
    second = (r.arm > 0).astype(np.intp)
    fixed = {"one": np.ones(len(r)), "arm": r.arm, "first": doublings * (1 - second), "second": doublings * second}
    fixed |= {"log_lesions": r.covariates()["log_lesions"]}
    random = {"rater": r.rater, "case": r.case, "rater:arm": 2 * r.rater + second, "case:arm": 2 * r.case + second}
    fit = fit_mixed(r.log_s, fixed, random)
    told: dict[str, Any] = {"faster_percent_per_doubling": {}, "curve": {}}
    for name, half, column in zip(r.arms, (-0.5, 0.5), ("first", "second"), strict=True):
        effect = fit.effect({column: 1.0})
        low, high = effect.interval(confidence)
        percent = {key: _plain(100 * (1 - float(np.exp(v)))) for key, v in (("value", effect.estimate), ("low", high), ("high", low))}
        told["faster_percent_per_doubling"][name] = {**percent, "p": effect.p, "df": _plain(effect.df)}
        told["curve"][name] = _fifths(r, half)
    told["difference"] = _row(fit.effect({"second": 1.0, "first": -1.0}), confidence)
    return told


def _row(effect: Effect, confidence: float) -> dict[str, Any]:
    low, high = effect.interval(confidence)
    return {"log_per_doubling": effect.estimate, "low": _plain(low), "high": _plain(high), "p": effect.p, "df": _plain(effect.df)}


def _fifths(r: Readings, half: float) -> list[dict[str, float]]:
    edges = np.quantile(r.order, np.linspace(0, 1, 6))
    rows = []
    for low, high in pairwise(edges):
        here = (r.arm == half) & (r.order >= low) & ((r.order < high) | ((high == edges[-1]) & (r.order == high)))
        if here.any():
            rows.append({"from": float(low), "to": float(high), "readings": int(here.sum()), "median_s": float(np.median(r.seconds[here]))})
    return rows


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
