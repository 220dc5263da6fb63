"""The plots of a study's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_tumorseg.workflows.report.plot import Line, Marker, Plot, Series, finite_points
from napari_tumorseg.workflows.report.words import plain

__all__ = ["agreement_plot", "curve_plot", "learning_plot", "quality_plot", "time_plot", "volume_plots"]

_MARKERS: tuple[Marker, ...] = ("circle", "triangle", "square", "cross")
Row = Mapping[str, Any]


def time_plot(rows: Sequence[Row], arms: Mapping[str, str]) -> Plot:
    """Return the times of the cases by arm, one line a case; `arms` are titles by name, in order."""
    means = _case_means(rows, arms, "primary_s", log=True)
    scaled = {case: {arm: value / 60 for arm, value in by.items()} for case, by in means.items()}
    caption = "One line a case: geometric mean of its readings. Squares: medians of all readings."
    return _joined("Time by arm", "primary time (min)", scaled, arms, _medians(rows, arms, "primary_s", 1 / 60), caption)


def quality_plot(rows: Sequence[Row], arms: Mapping[str, str]) -> Plot:
    """Return the Dice with the other raters' masks from scratch by arm, one line a case."""
    means = _case_means(rows, arms, "dice", log=False)
    caption = "Dice with the other raters' masks from scratch. One line a case: mean of its readings. Squares: medians of all readings."
    return _joined("Dice by arm", "Dice", means, arms, _medians(rows, arms, "dice", 1.0), caption)


def agreement_plot(pairs: Sequence[Row], arms: Mapping[str, str]) -> Plot:
    """Return the Dice between raters by arm, one line a case."""
    between = [row for row in pairs if row["kind"] == "between"]
    means = _case_means(between, arms, "dice", log=False)
    caption = (
        "Dice of every two raters in one arm. One line a case: mean of its pairs. Agreement in an arm with a shared start is no proof."
    )
    return _joined("Dice between raters", "Dice", means, arms, _medians(between, arms, "dice", 1.0), caption)


def curve_plot(curve: Sequence[Row], arms: Mapping[str, str]) -> Plot:
    """Return the median time by arm with gaps between acts cut at each threshold; levels are the times with whole gaps."""
    series, lines = [], []
    for number, (arm, title) in enumerate(arms.items()):
        cut = [(row["gaps_cut_at_s"], row["median_s"].get(arm), "") for row in curve if row["gaps_cut_at_s"] is not None]
        x, y, _ = finite_points((at, None if median is None else median / 60, key) for at, median, key in cut)
        series.append(Series(title, x, y, _MARKERS[number % len(_MARKERS)], joined=True))
        whole = next((row["median_s"].get(arm) for row in curve if row["gaps_cut_at_s"] is None), None)
        if whole is not None:
            lines.append(Line("", 0.0, whole / 60, dashed=True))
    caption = "Dashed: primary time, gaps whole. Reviewing is looking without moving: the curve does not replace it."
    return Plot("Idle gaps cut", "gaps cut at (s)", "median time (min)", tuple(series), tuple(lines), caption=caption)


def learning_plot(rows: Sequence[Row], curve: Mapping[str, Sequence[Row]], arms: Mapping[str, str]) -> Plot:
    """Return medians and quartiles of the times over the raters' order, by fifths of it."""
    series = []
    for number, (arm, title) in enumerate(arms.items()):
        x, y, errors = [], [], []
        for fifth in curve.get(arm, ()):
            last = fifth is curve[arm][-1]
            times = [
                float(row["primary_s"]) / 60
                for row in rows
                if row["arm"] == arm and row.get("primary_s") and fifth["from"] <= row["order"] and (row["order"] < fifth["to"] or last)
            ]
            low, high = (float(v) for v in np.percentile(times, (25, 75)))
            # Beside each other, so that both bars are seen.
            x.append((fifth["from"] + fifth["to"]) / 2 + 0.02 * number * (fifth["to"] - fifth["from"] + 1))
            y.append(fifth["median_s"] / 60)
            errors.append((low, high))
        series.append(Series(title, tuple(x), tuple(y), _MARKERS[number % len(_MARKERS)], joined=True, error=tuple(errors)))
    caption = "Medians and quartiles of fifths of the order."
    return Plot("Learning", "place among the rater's readings", "primary time (min)", tuple(series), caption=caption)


def volume_plots(document: Row, arms: Mapping[str, str]) -> tuple[Plot, ...]:
    """Return Bland and Altman's plot of raters by arm, and of the two arms of one rater."""
    plots = []
    for arm, title in arms.items():
        found = document["by_arm"].get(arm, {}).get("differences")
        if found and found["points"]:
            name = f"Volumes of two raters: {title}"
            plots.append(_bland(name, found, "Each point is one pair of raters of a case: the later by name less the earlier."))
    if document["arms"] and document["arms"]["points"]:
        first, second = list(arms.values())[:2]
        caption = f"Each point is one case of one rater: {second} less {first}."
        plots.append(_bland("Volumes of one rater in both arms", document["arms"], caption))
    return tuple(plots)


def _bland(title: str, found: Row, caption: str) -> Plot:
    x, y, keys = finite_points((p["mean"], p["difference"], p["name"]) for p in found["points"])
    lines: list[Line] = []
    if found["limits"] is not None:
        low, high = found["limits"]
        lines = [
            Line(f"bias {plain(found['bias'])}", 0.0, found["bias"]),
            Line(f"upper limit {plain(high)}", 0.0, high, dashed=True),
            Line(f"lower limit {plain(low)}", 0.0, low, dashed=True),
        ]
    return Plot(title, "mean (mL)", "difference (mL)", (Series("", x, y, keys=keys),), tuple(lines), caption=caption)


def _case_means(rows: Sequence[Row], arms: Mapping[str, str], name: str, *, log: bool) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for case in sorted({row["case"] for row in rows}):
        for arm in arms:
            values = [float(row[name]) for row in rows if (row["case"], row["arm"]) == (case, arm) and row.get(name) is not None]
            if values:
                mean = float(np.exp(np.mean(np.log(values)))) if log else float(np.mean(values))
                found.setdefault(case, {})[arm] = mean
    return found


def _medians(rows: Sequence[Row], arms: Mapping[str, str], name: str, scale: float) -> dict[str, float]:
    values = {arm: [float(r[name]) * scale for r in rows if r["arm"] == arm and r.get(name) is not None] for arm in arms}
    return {arm: float(np.median(found)) for arm, found in values.items() if found}


def _joined(
    title: str, y_label: str, cases: Mapping[str, Mapping[str, float]], arms: Mapping[str, str], medians: Mapping[str, float], caption: str
) -> Plot:
    places = {arm: float(number) for number, arm in enumerate(arms)}
    series = [
        Series("", tuple(places[arm] for arm in by), tuple(by.values()), "circle", joined=True, keys=(case,) * len(by))
        for case, by in cases.items()
    ]
    if medians:
        x, y = tuple(places[arm] for arm in medians), tuple(medians.values())
        series.append(Series("median of all", x, y, "square", keys=("median",) * len(x)))
    return Plot(title, "", y_label, tuple(series), x_names=tuple(arms.values()), caption=caption)
