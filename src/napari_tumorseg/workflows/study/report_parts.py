"""The middle of a study's report: endpoints, time, learning, coverage, what is kept; and a pipeline's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval, plain
from napari_tumorseg.workflows.study import report_plots as plots
from napari_tumorseg.workflows.study.report_masks import agreement_section, bias_section, lesion_section, volume_section
from napari_tumorseg.workflows.study.report_readings import values_of
from napari_tumorseg.workflows.study.report_time import quartiles
from napari_tumorseg.workflows.study.report_words import arms_of, beside, by_arms, minutes, scaled, score_title, spread

__all__ = ["comparison_sections", "pipeline_sections"]

Document = Mapping[str, Any]
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_KEPT = (
    *(("code", "reading"), ("case", "case"), ("rater", "rater"), ("arm", "arm"), ("period", "period"), ("order", "order")),
    *(("volume_ml", "volume (mL)"), ("voxels_added", "voxels added"), ("voxels_removed", "removed")),
    *(("lesions", "lesions"), ("lesions_added", "added"), ("lesions_deleted", "deleted")),
    ("lesions_accepted_unmodified", "accepted unmodified"),
    *(("dice_with_start", "Dice with start"), ("dice_before", "Dice before"), ("dice", "Dice after"), ("planted", "planted")),
)


def comparison_sections(document: Document, tables: Rows) -> list[Section]:
    """Return the sections of a comparison, the primary endpoint first."""
    arms = arms_of(document)
    return [
        _results(document),
        _time(document, tables, arms),
        agreement_section(document, tables, arms),
        volume_section(document, arms),
        lesion_section(document, tables),
        bias_section(document, arms),
        _learning(document, tables, arms),
        _coverage(document, arms),
        _kept(document, tables, arms),
    ]


# -- the plan's tests


def _results(document: Document) -> Section:
    told = document["endpoints"]
    level = f"{100 * document['constants']['intervals']:g} %"
    if told is None:
        return Section("Result", ("The study has no plan, so that there is no primary endpoint; everything below is exploratory.",))
    titles = arms_of(document)
    claim = (document["time"]["analysis"] or {}).get("claim", "")
    text = [
        f"Primary endpoint, {_said(told['primary'], titles, level)}",
        f"Non-inferiority, {_quality_said(told['quality'], titles, level)}",
    ]
    if claim:
        text.insert(1, f"The claim: {claim}")
    columns = ("endpoint", "measure", "estimate", f"{level} interval", "p", "p (Holm)", "better", "readings", "without the measure")
    rows = tuple(
        (r["name"], r["measure"], *_estimate(r), r["p"], r["p_holm"], titles[_verdict(r)] if r["rejected"] else "not shown", r["readings"],
         len(r["left_out"]))
        for r in told["secondary"]
    )  # fmt: skip
    notes = [f"{r['name']}: {r['why']} It counts among the tests as p = 1." for r in told["secondary"] if r["why"]]
    for row in (told["primary"], told["quality"], *told["secondary"]):
        if not row["why"] and (row["low"] is None or row["high"] is None):
            notes.append(
                f"The interval of {row['name']} has no end: so few allocations could have been drawn that none is rejected at this level."
            )
        if row["left_out"]:
            notes.append(f"{row['name']}: {len(row['left_out'])} readings have no {row['measure']}: {', '.join(row['left_out'])}.")
    return Section("Result", tuple(text), (Table("Secondary endpoints, adjusted by Holm's rule", columns, rows),), notes=tuple(notes))


def _said(row: Mapping[str, Any], titles: Mapping[str, str], level: str) -> str:
    """Return an endpoint in a sentence."""
    second, first = (titles[name] for name in row["contrast"])
    if row["why"]:
        return f"{row['name']} ({row['measure']}) could not be tested. {row['why']}"
    if row["scale"] == "log":
        saved, ends = 100 * (1 - row["estimate"]), [None if v is None else 100 * (1 - v) for v in (row["high"], row["low"])]
        amount = f"{second} saved {plain(saved)} % against {first} ({level} interval {interval(ends)} %)"
        if not row["measure"].endswith("_s"):
            amount = f"{second} is {plain(row['estimate'])} times {first} ({level} interval {interval([row['low'], row['high']])})"
    else:
        amount = f"{second} less {first}: {plain(row['estimate'])} ({level} interval {interval([row['low'], row['high']])})"
    by = f"p = {plain(row['p'])}, the larger of {plain(row['p_redraw'])} by re-drawing the allocation and {plain(row['p_t'])} by t"
    return f"{row['name']} ({row['measure']}): {amount}; {by}; {row['readings']} readings."


def _quality_said(row: Mapping[str, Any], titles: Mapping[str, str], level: str) -> str:
    if row["why"]:
        return f"{row['name']} ({row['measure']}) could not be tested for non-inferiority at {row['margin']:g}. {row['why']}"
    second, first = (titles[name] for name in row["contrast"])
    verdict = "not inferior" if row["non_inferior"] else "non-inferiority was not shown"
    ends = interval([row["low"], row["high"]])
    return (
        f"{row['name']} ({row['measure']}): {second} less {first} is {plain(row['difference'])} ({level} interval {ends}); "
        f"margin {row['margin']:g}: {verdict}; {row['readings']} readings."
    )


def _estimate(row: Mapping[str, Any]) -> tuple[Any, str]:
    if row["estimate"] is None:
        return None, ""
    return row["estimate"], interval([row["low"], row["high"]]) + (" (ratio)" if row["scale"] == "log" else "")


def _verdict(row: Mapping[str, Any]) -> str:
    lower = row["estimate"] < (1.0 if row["scale"] == "log" else 0.0)
    return str(row["contrast"][0 if lower == (row["better"] == "lower") else 1])


# -- time


def _time(document: Document, tables: Rows, arms: Mapping[str, str]) -> Section:
    told = document["time"]
    by_arm = beside("Times by arm (min)", "time", _TIMES, told["by_arm"], arms, 1 / 60)
    text = [
        "The primary time runs from the first image shown to submit, less declared pauses and lost focus; waiting for a model included."
    ]
    model = document["model_s"]
    if model["n"]:
        text.append(f"The model ran beforehand for {plain(model['median'])} s a case (median of {model['n']}); that is in no time above.")
    notes = [f"{len(told['left_out'])} readings have no time: {', '.join(told['left_out'])}."] if told["left_out"] else []
    analysis = told["analysis"]
    if analysis is None:
        return Section("Time", (*text, f"The times of the arms could not be compared. {told['why']}"), (by_arm,), notes=tuple(notes))
    figures = (plots.time_plot(tables["readings"], arms), plots.curve_plot(told["curve"], dict(list(arms.items())[:2])))
    curve = tuple(
        (r["gaps_cut_at_s"] or "whole", *(minutes(r["median_s"].get(arm)) for arm in list(arms)[:2]), r["saved_percent"])
        for r in told["curve"]
    )
    columns = ("gaps cut at (s)", *(f"{title}, median (min)" for title in list(arms.values())[:2]), "saved (%)")
    parts = (
        by_arm,
        _models(analysis),
        Table("Sensitivity to idle gaps", columns, curve),
        _by_case(tables["readings"], arms),
        *_by_what(tables["times_by"], arms),
    )
    return Section("Time", (*text, f"Model: {analysis['model']}."), parts, figures, tuple(notes))


_TIMES = {
    "primary_s": "primary",
    "active_s": "active",
    "idle_s": "idle",
    "waiting_s": "waiting for a model",
    "wall_s": "wall",
    "paused_s": "declared pauses",
    "unfocused_s": "without focus",
    "replay_s": "looking at a replay",
    "asleep_s": "machine asleep",
    "between_s": "between openings",
    "beforehand_s": "model before the first image",
}


def _by_case(rows: Sequence[Mapping[str, Any]], arms: Mapping[str, str]) -> Table:
    names = ("primary_s", "active_s", "idle_s", "waiting_s", "wall_s")
    cells = []
    for case in sorted({row["case"] for row in rows}):
        for arm, title in arms.items():
            own = [row for row in rows if (row["case"], row["arm"]) == (case, arm)]
            if own:
                medians = [minutes(quartiles(values_of(own, name))["median"]) for name in names]
                cells.append((case, own[0]["case_lesions"], title, len(own), *medians))
    columns = ("case", "lesions", "arm", "readings", "primary", "active", "idle", "waiting", "wall")
    return Table("Times by case: medians (min)", columns, tuple(cells))


def _models(analysis: Mapping[str, Any]) -> Table:
    rows: list[tuple[Any, ...]] = []
    primary, mixed = analysis["primary"], analysis["mixed"]
    for name, found in (("re-drawn allocations and t (primary)", primary), ("mixed model, Kenward-Roger", mixed)):
        ends = interval([found["low_percent"], found["high_percent"]])
        rows.append((f"time saved (%): {name}", found["saved_percent"], ends, found["p"], found["df"]))
    rows.append(("time saved (%): by medians, no model", analysis["saved_by_medians_percent"], "", None, None))
    ranked = analysis["signed_rank"]
    if ranked:
        name = f"time saved (%): Wilcoxon's signed ranks on the means of {ranked['cases']} cases"
        rows.append((name, ranked["median_saved_percent"], "", ranked["p"], None))
    for name, found in mixed["fixed"].items():
        if name != "arm":
            rows.append((f"log time: {name}", found["estimate_log"], interval([found["low"], found["high"]]), found["p"], found["df"]))
    rows += [
        (f"standard deviation of the saving (log time) between {name}s", value, "", None, None)
        for name, value in mixed["effect_sd"].items()
    ]
    rows += [(f"variance of log time: {name}", value, "", None, None) for name, value in mixed["variances"].items()]
    return Table("Models of the primary time", ("what", "estimate", "interval", "p", "df"), tuple(rows))


def _by_what(rows: Sequence[Mapping[str, Any]], arms: Mapping[str, str]) -> list[Table]:
    """Return where the primary time went by tool and by phase, as means over the readings of an arm."""
    found = []
    for by in ("tool", "phase"):
        own = [row for row in rows if row["by"] == by]
        cells = []
        for arm, title in arms.items():
            readings = {row["task"] for row in rows if row["arm"] == arm}
            whole = sum(row["counted_s"] for row in own if row["arm"] == arm)
            for name in sorted({row["name"] for row in own if row["arm"] == arm}):
                here = [row for row in own if (row["arm"], row["name"]) == (arm, name)]
                sums = [sum(row[key] for row in here) for key in ("counted_s", "active_s", "idle_s", "waiting_s")]
                share = 100 * sums[0] / whole if whole else None
                cells.append((title, name or "none", *(value / 60 / len(readings) for value in sums), share))
        columns = ("arm", by, "primary (min)", "active (min)", "idle (min)", "waiting (min)", "share (%)")
        found.append(Table(f"Mean time of a reading by {by}", columns, tuple(cells)))
    return found


# -- learning, coverage, what is kept


def _learning(document: Document, tables: Rows, arms: Mapping[str, str]) -> Section:
    told = document["time"]["learning"]
    shown = dict(list(arms.items())[:2])
    if told is None:
        why = document["time"]["why_no_learning"] or document["time"]["why"]
        return Section("Learning", (f"Learning could not be estimated. {why}",))
    rows = tuple(
        (arms[arm], r["value"], interval([r["low"], r["high"]]), r["p"], r["df"]) for arm, r in told["faster_percent_per_doubling"].items()
    )
    table = Table("Faster for each doubling of the readings done (%)", ("arm", "value", "interval", "p", "df"), rows)
    text = "Where all cases are read once before any is read again, it holds the second look at a case as well."
    return Section("Learning", (text,), (table,), (plots.learning_plot(tables["readings"], told["curve"], shown),))


def _coverage(document: Document, arms: Mapping[str, str]) -> Section:
    rows = tuple(
        (title, name, found["n"], *spread(found, 100))
        for arm, title in arms.items()
        for key, name in (("unseen_share", "image"), ("unseen_share_of_lesions", "lesions of the final mask"))
        if (found := document["coverage"].get(arm, {}).get(key))
    )
    text = f"Displayed for {document['constants']['seen_after_s']:g} s or more in slices of one orientation; displayed is not looked at."
    return Section("Coverage", (text,), (Table("Never displayed (%)", ("arm", "of the", "readings", "median", "quartiles"), rows),))


def _kept(document: Document, tables: Rows, arms: Mapping[str, str]) -> Section:
    answers = tuple(
        (
            row["question"],
            arms.get(row["arm"], row["arm"]),
            row["n"],
            row["median"],
            interval([row["q1"], row["q3"]]),
            scaled(row["share_yes"]),
        )
        for row in by_arms(document["answers"], arms)
    )
    columns = ("question", "arm", "answers", "median", "quartiles", "yes (%)")
    rows = tuple(tuple(row.get(key) for key, _ in _KEPT) for row in tables["readings"])
    text = "Against what each reading began with; Dice before and after with the other raters' from scratch. All columns: readings.csv."
    return Section(
        "What was kept of each reading",
        (text,),
        (Table("Answers", columns, answers), Table("Readings", tuple(title for _, title in _KEPT), rows)),
    )


# -- pipelines


def pipeline_sections(document: Document) -> list[Section]:
    """Return the sections of a pipeline."""
    steps = document["steps"]
    rows, changes = [], []
    for step in steps:
        times, seen = step["times"], step["unseen_share"]["median"]
        wall = minutes(times["wall_s"]["median"])
        counts = (step["done"], step["cases"], step["returned"], step["comments"])
        rows.append((step["title"], step["role"], *counts, *spread(times["primary_s"], 1 / 60), wall, scaled(seen)))
        medians = [found["median"] for found in step["changes"].values()]
        changes.append((step["title"], step["unmodified"], *medians))
    columns = ("step", "role", "done", "cases", "sent back", "comments", "primary (min)", "quartiles", "wall (min)", "never displayed (%)")
    names = (
        "step",
        "unmodified",
        "voxels added",
        "removed",
        "relabelled",
        "lesions added",
        "lesions deleted",
        "Dice with what it began with",
    )
    titles = {step["step"]: step["title"] for step in steps}
    agree = tuple(
        (titles.get(r["step"], r["step"]), score_title(r["score"]), r["mean"], interval(r["mean_ci"]), r["n"], r["cases"])
        for r in document["agreement"]
    )
    tables = (
        Table("Steps", columns, tuple(rows)),
        Table("What a step changed: medians, number unmodified", names, tuple(changes)),
        Table("Agreement of people who did one step", ("step", "score", "mean", "interval", "pairs", "cases"), agree),
    )
    text = "Nothing is compared in a pipeline: no arm, no test."
    return [Section("Steps", (text,), tables)]
