"""Agreement, detection, automation bias, coverage and answers of a study's report, from the rows of its readings and cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.workflows.study.report_cases import CaseFound
from napari_tumorseg.workflows.study.report_readings import Row, values_of
from napari_tumorseg.workflows.study.report_time import quartiles

__all__ = ["agreement", "answers", "bias", "by_arm", "detection", "planted", "volumes"]


def agreement(pairs: Sequence[Row], confidence: float) -> list[Row]:
    """Return the scores of pairs of readings of one arm, between and within raters; intervals by bootstrap over cases."""
    from napari_tumorseg.evaluation.raters.masks import summarise

    groups = sorted({(row["arm"], row["kind"]) for row in pairs})
    found = []
    for arm, kind in groups:
        rows = [row for row in pairs if (row["arm"], row["kind"]) == (arm, kind)]
        cases = len({row["case"] for row in rows})
        found += [
            {"arm": arm, "kind": kind, "score": name, "cases": cases, **score}
            for name, score in summarise(rows, "case", confidence).items()
        ]
    return found


def volumes(rows: Sequence[Row], contrast: tuple[str, str] | None, confidence: float) -> dict[str, Any]:
    """Return ICC and repeatability by arm, and the differences of volumes.

    Returns
    -------
    dict
        ``by_arm``: see `case_masks.volume_agreement`, with ``differences``, Bland and Altman's on all pairs of raters. ``arms``: of the
        contrast, each rater's volume in its first arm less theirs in the other, first readings.
    """
    from napari_tumorseg.evaluation.study.case_masks import volume_agreement

    known = [row for row in rows if row.get("volume_ml") is not None]
    told: dict[str, Any] = {"by_arm": {}, "arms": None}
    for arm, found in volume_agreement(known, confidence).items():
        told["by_arm"][arm] = {**found, "differences": _differences(_between(known, arm), confidence)}
    if contrast is not None:
        told["arms"] = _differences(_within(known, contrast), confidence)
    return told


def _first(rows: Sequence[Row], arm: str) -> dict[tuple[str, str], float]:
    return {(row["case"], row["rater"]): float(row["volume_ml"]) for row in rows if row["arm"] == arm and row["repeat"] == 1}


def _between(rows: Sequence[Row], arm: str) -> list[Row]:
    """Return each pair of raters of each case: the later one by name less the earlier."""
    own = sorted(_first(rows, arm).items())
    return [
        {"case": case, "name": f"{case}: {other} - {rater}", "mean": (a + b) / 2, "difference": b - a}
        for i, ((case, rater), a) in enumerate(own)
        for (same, other), b in own[i + 1 :]
        if same == case
    ]


def _within(rows: Sequence[Row], contrast: tuple[str, str]) -> list[Row]:
    """Return each rater's volumes of a case in both arms."""
    one, other = (_first(rows, arm) for arm in contrast)
    return [
        {"case": case, "name": f"{case}: {rater}", "mean": (one[case, rater] + other[case, rater]) / 2,
         "difference": one[case, rater] - other[case, rater]}
        for case, rater in sorted(one.keys() & other.keys())
    ]  # fmt: skip


def _differences(points: list[Row], confidence: float) -> dict[str, Any]:
    from napari_tumorseg.evaluation.agreement.bland_altman import bland_altman

    if len(points) < 3:
        return {"n": len(points), "points": points, "bias": None, "limits": None}
    half = np.array([p["difference"] for p in points]) / 2
    mean = np.array([p["mean"] for p in points])
    found = bland_altman(mean - half, mean + half, confidence)
    return {"n": len(points), "points": points, "bias": found["bias"], "limits": found["limits"]}


def detection(cases: Sequence[CaseFound], confidence: float) -> dict[str, Any]:
    """Return the index of specific agreement by arm, over cases that two raters or more read in it."""
    from napari_tumorseg.evaluation.study.detection import specific_agreement

    marks: dict[str, list[Any]] = {}
    for case in cases:
        for arm, found in case.lesions.found.items():
            if found.shape[1] > 1:
                marks.setdefault(arm, []).append(found)
    return {arm: specific_agreement(found, confidence=confidence) for arm, found in sorted(marks.items())}


def bias(cases: Sequence[CaseFound], contrast: tuple[str, str]) -> dict[str, Any]:
    """Return omission and commission by arm, and who could not be judged."""
    from napari_tumorseg.evaluation.study.bias import automation_bias

    readings = [reading for case in cases for reading in case.lesions.readings]
    unjudged = [name for case in cases for name in case.lesions.unjudged]
    arms = (contrast[1], contrast[0])
    told = automation_bias(readings, arms) if any(r.arm in arms for r in readings) else None
    return {"result": told, "arms": list(arms), "judged": len(readings), "unjudged": len(unjudged)}


def planted(cases: Sequence[CaseFound], confidence: float) -> dict[str, Any] | None:
    """Return what became of planted errors, None where there was none."""
    from napari_tumorseg.evaluation.study.bias import planted_errors

    rows = [row for case in cases for row in case.planted]
    return planted_errors(rows, confidence) if rows else None


def by_arm(rows: Sequence[Row], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return number, median and quartiles of columns by arm."""
    arms = sorted({row["arm"] for row in rows})
    return {arm: {name: quartiles(values_of([r for r in rows if r["arm"] == arm], name)) for name in names} for arm in arms}


def answers(rows: Sequence[Row], questions: Sequence[Any]) -> list[Row]:
    """Return how each question was answered in each arm: number, median and quartiles, or the share of yes."""
    found = []
    for question in questions:
        for arm in sorted({row["arm"] for row in rows}):
            values = values_of([row for row in rows if row["arm"] == arm], question.name)
            share = float(np.mean(values)) if values and question.kind == "yes-no" else None
            found.append({"question": question.text, "name": question.name, "arm": arm, **quartiles(values), "share_yes": share})
    return found


def usable(function: Any, *arguments: Any) -> tuple[Any, str]:
    """Return what a function returns and "", or None and why it cannot."""
    try:
        return function(*arguments), ""
    except InputError as error:
        return None, str(error)
