"""Means of the scores of many cases, with bootstrap intervals over cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_tumorseg.evaluation.resampling import RESAMPLES, mean_interval

__all__ = ["flat_scores", "summarise"]

#: Not averaged: of the spread inside a case.
_WITHIN_CASE = "lesionwise_std"


def flat_scores(scores: Mapping[str, Any], prefix: str = "") -> dict[str, float | None]:
    """Return the scores of a region with nested ones named "outer_inner".

    Examples
    --------
    >>> flat_scores({"dice": 0.5, "lesionwise_nsd": {"1.0": 0.25}})
    {'dice': 0.5, 'lesionwise_nsd_1.0': 0.25}
    """
    out: dict[str, float | None] = {}
    for name, value in scores.items():
        if isinstance(value, Mapping):
            out |= flat_scores(value, f"{prefix}{name}_")
        else:
            out[prefix + name] = value
    return out


def summarise(cases: Sequence[Mapping[str, Mapping[str, Any]]], confidence: float = 0.95, seed: int = 0) -> dict[str, Any]:
    """Average the scores of cases.

    Parameters
    ----------
    cases : sequence of mapping
        "regions" of `score_case`, one per case.
    confidence : float
        Of the intervals.
    seed : int
        Of the bootstrap.

    Returns
    -------
    dict
        "regions" in the form of a single case, holding means over the cases that have the score, None where none has;
        "confidence_intervals" {region: {score: [low, high] or None}} and "n_scored" {region: {score: cases}} with
        nested scores named "outer_inner"; "bootstrap": how the intervals were made.
    """
    names = dict.fromkeys(name for case in cases for name in case)
    means: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    counts: dict[str, Any] = {}
    for name in names:
        rows = [{k: v for k, v in case[name].items() if k != _WITHIN_CASE} for case in cases if name in case]
        columns = {key: [row for row in (flat_scores(r).get(key) for r in rows) if row is not None] for key in _keys(rows)}
        mean = {key: float(np.mean(values)) if values else None for key, values in columns.items()}
        means[name] = _nested(_shape(rows), mean)
        counts[name] = {key: len(values) for key, values in columns.items()}
        found = {key: mean_interval(values, confidence=confidence, seed=seed) for key, values in columns.items()}
        intervals[name] = {key: list(pair) if pair else None for key, pair in found.items()}
    method = "percentiles of the mean over cases drawn with replacement"
    return {
        "regions": means,
        "confidence_intervals": intervals,
        "n_scored": counts,
        "bootstrap": {"method": method, "confidence": confidence, "resamples": RESAMPLES, "seed": seed},
    }


def _keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in flat_scores(row)))


def _shape(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the union of the rows, nested as they are."""
    shape: dict[str, Any] = {}
    for row in rows:
        for name, value in row.items():
            shape[name] = _shape([shape.get(name, {}), value]) if isinstance(value, Mapping) else None
    return shape


def _nested(shape: Mapping[str, Any], flat: Mapping[str, float | None], prefix: str = "") -> dict[str, Any]:
    return {
        name: _nested(inner, flat, f"{prefix}{name}_") if isinstance(inner, Mapping) else flat[prefix + name]
        for name, inner in shape.items()
    }
