"""Sections of a study's report that are made of its masks: quality, agreement, volumes, lesions, automation bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval, plain
from napari_tumorseg.workflows.study import report_plots as plots
from napari_tumorseg.workflows.study.report_words import arms_of, beside, by_arms, scaled, score_title

__all__ = ["agreement_section", "bias_section", "lesion_section", "volume_section"]

Document = Mapping[str, Any]
Rows = Mapping[str, Sequence[Mapping[str, Any]]]
_MERGES = 40


def agreement_section(document: Document, tables: Rows, arms: Mapping[str, str]) -> Section:
    """Return quality against the others' masks from scratch, and the agreement of pairs; `arms` are titles by name, in order."""
    text = (
        "Quality: each reading against the other raters' first masks from scratch. Agreement: readings of one arm against one another, "
        f"in the region {document['constants']['lesion_region']}.",
    )
    parts = [
        beside("Quality", "measure", _QUALITY, document["quality"], arms),
        _pair_table(document["agreement"], arms),
    ]
    notes = [] if document["agreement"] else ["No case was read twice in one arm, so there is no agreement to tell."]
    figures = [plots.quality_plot(tables["readings"], arms)]
    if tables["pairs"]:
        figures.append(plots.agreement_plot(tables["pairs"], arms))
    return Section("Quality and agreement", text, tuple(parts), tuple(figures), tuple(notes))


_QUALITY = {
    "dice": "Dice",
    "nsd": "NSD",
    "lesion_dice": "lesion-wise Dice",
    "lesions_missed": "lesions missed",
    "lesions_false": "lesions that are not there",
    "dice_before": "Dice of what it began with",
}


def _pair_table(found: Sequence[Mapping[str, Any]], arms: Mapping[str, str]) -> Table:
    rows = tuple(
        (
            arms.get(r["arm"], r["arm"]),
            f"{r['kind']} raters",
            score_title(r["score"]),
            r["mean"],
            interval(r["mean_ci"]),
            r["median"],
            r["n"],
            r["cases"],
        )
        for r in by_arms(found, arms)
    )
    return Table("Agreement of pairs", ("arm", "which", "score", "mean", "interval", "median", "pairs", "cases"), rows)


def volume_section(document: Document, arms: Mapping[str, str]) -> Section:
    """Return intraclass correlation, repeatability and limits of agreement of volumes."""
    rows: list[tuple[Any, ...]] = []
    notes = []
    for arm, title in arms.items():
        found = document["volumes"]["by_arm"].get(arm)
        if not found:
            continue
        rows += [
            (title, f"{row['name']} of log volume, absolute agreement", row["icc"], interval(row["icc_ci"]), found["cases"])
            for row in found["icc"] or ()
        ]
        repeats = found["repeatability"]
        if repeats:
            rows.append(
                (title, "repeatability coefficient (mL)", repeats["coefficient"], interval(repeats["coefficient_ci"]), repeats["n"])
            )
            rows.append((title, "repeatability limits (%)", None, interval(repeats["percent_limits"]), repeats["n"]))
        differences = found["differences"]
        if differences["limits"] is not None:
            rows.append(
                (title, "limits of agreement between raters (mL)", differences["bias"], interval(differences["limits"]), differences["n"])
            )
        if found["left_out"]:
            notes.append(f"{title}: left out, because a volume is 0 and has no logarithm: {', '.join(found['left_out'])}.")
        if not found["icc"]:
            notes.append(f"{title}: too few cases were read by two raters for an intraclass correlation.")
    if document["volumes"]["arms"] and document["volumes"]["arms"]["limits"] is not None:
        found = document["volumes"]["arms"]
        second, first = (arms[name] for name in document["contrast"])
        rows.append((f"{second} less {first}", "bias and limits, one rater (mL)", found["bias"], interval(found["limits"]), found["n"]))
    notes.append("Points of one case are not independent: the limits describe these readings, and have no intervals.")
    table = Table("Volumes", ("arm", "measure", "value", "interval or limits", "n"), tuple(rows))
    return Section("Volumes", (), (table,), plots.volume_plots(document["volumes"], arms), tuple(notes))


def lesion_section(document: Document, tables: Rows) -> Section:
    """Return the agreement on detection, and lesions that one has as one and another has apart."""
    arms, found = arms_of(document), document["lesions"]
    rows = tuple(
        (title, r["index"], interval([r["low"], r["high"]]), r["both"], r["alone"], r["cases"], r["empty"])
        for arm, title in arms.items()
        if (r := document["detection"].get(arm))
    )
    columns = ("arm", "index of specific agreement", "interval", "both (pairs)", "one alone (pairs)", "cases", "without lesions")
    text = (
        f"{found['lesions']} lesions in {found['cases']} cases, of which {found['of_one_reading']} are in one reading only and "
        f"{found['of_the_ai_alone']} in the AI's mask alone. Rule: {document['constants']['lesion_identity']}.",
    )
    merges = tuple(
        (r["case"], r["reading"], r["its lesion"], r["apart in"], ", ".join(map(str, r["lesions there"])))
        for r in tables["merges"][:_MERGES]
    )
    notes = [f"{len(tables['merges']) - _MERGES} more merges and splits are in merges.csv."] if len(tables["merges"]) > _MERGES else []
    if not rows:
        notes.append("No case was read by two raters in one arm, so there is no agreement on detection.")
    listed = Table("Merges and splits", ("case", "reading with one lesion", "lesion", "apart in", "lesions there"), merges)
    return Section("Which lesions were found", text, (Table("Detection", columns, rows), listed), notes=tuple(notes))


def bias_section(document: Document, arms: Mapping[str, str]) -> Section:
    """Return omission and commission by arm, and what became of planted errors."""
    told, planted = document["bias"], document["planted"]
    tables: list[Table] = []
    text = ["A shared start makes raters agree, right or wrong: readings are judged by the other raters' readings from scratch."]
    if told["result"] is None:
        text.append("No reading could be judged: no other rater has read its case from scratch.")
    else:
        result = told["result"]
        first, second = told["arms"]
        rows = []
        for rate, name in _RATES.items():
            difference = result["difference"][rate]
            ends = interval([scaled(difference["low"]), scaled(difference["high"])])
            rows.append((name, *(_percent(result["arms"][arm], rate) for arm in (first, second)), scaled(difference["value"]), ends))
        columns = ("rate (%)", arms[first], arms[second], "difference (points)", "interval")
        tables.append(Table(f"Omission and commission, {told['judged']} readings, {result['cases']} cases", columns, tuple(rows)))
    if not any(arm["start"] == "ai" for arm in document["study"]["arms"].values()):
        text.append("No arm began with an AI's mask, so nothing is said about its mistakes.")
    if planted:
        through = [
            (kind, r["errors"], r["readings"], r["through"], scaled(r["share"]), interval([scaled(r["low"]), scaled(r["high"])]))
            for kind, r in planted.items()
        ]
        titles = ("planted", "errors", "readings", "got through", "share (%)", "interval (%)")
        tables.append(Table("Planted errors", titles, tuple(through)))
    elif document["study"]["protocol"]["planted"]["share"] == 0:
        text.append("The protocol planted no errors.")
    notes = [f"{told['unjudged']} readings could not be judged by anybody else's from scratch."] if told["unjudged"] else []
    if document["planted_no_errors"]:
        codes = ", ".join(document["planted_no_errors"])
        notes.append(f"Left out of the planted errors, because the others' masks have it so too: {codes}.")
    return Section("Automation bias", tuple(text), tuple(tables), notes=tuple(notes))


_RATES = {
    "omission": "omission: lesions that are there and were not marked",
    "commission": "commission: marked lesions that are not there",
    "ai_missed_omission": "omission where the AI had missed the lesion",
    "ai_false_commission": "kept of what the AI had marked and is not there",
}
_COUNTS = {
    "omission": ("omitted", "present"),
    "commission": ("committed", "marked"),
    "ai_missed_omission": ("ai_missed_omitted", "ai_missed"),
    "ai_false_commission": ("ai_false_kept", "ai_false"),
}


def _percent(arm: Mapping[str, Any], rate: str) -> str:
    count, whole = (arm[name] for name in _COUNTS[rate])
    return f"{plain(scaled(arm[rate]))} ({count} of {whole})"
