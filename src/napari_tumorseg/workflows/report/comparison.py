"""Models against each other, as a section and as plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_tumorseg.workflows.report.plot import Line, Marker, Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval, plain

__all__ = ["comparison_section"]

_MARKERS: tuple[Marker, ...] = ("circle", "triangle", "square", "cross")


def comparison_section(document: Mapping[str, Any]) -> Section:
    """Return the section of a document of `workflows.compare_models.compare_models`."""
    models = [model["name"] for model in document["models"]]
    text = f"{len(models)} models on {len(document['cases'])} cases by the profile {document['profile']}: {', '.join(models)}."
    tables = [_ranking(document), _differences(document), _strata(document), _scores(document)]
    return Section("Models against each other", (text,), tuple(t for t in tables if t), _plots(document, models), tuple(document["notes"]))


def _ranking(document: Mapping[str, Any]) -> Table | None:
    ranking = document["ranking"]
    if not ranking:
        return None
    rows = zip(ranking["models"], ranking["rank"], ranking["mean_rank"], ranking["first_share"], strict=True)
    tau = ranking["kendall_tau"]
    title = f"Ranking; Kendall's tau of {ranking['resamples']} bootstrap rankings with it {plain(tau['mean'])}"
    return Table(
        title, ("model", "rank", "mean rank", "share of bootstrap rankings where first"), tuple(sorted(rows, key=lambda row: row[1]))
    )


def _differences(document: Mapping[str, Any]) -> Table:
    columns = ("models", "region", "score", "mean difference", "interval", "p (Wilcoxon)", "p (Holm)", "better", "cases")
    rows = tuple(
        (
            f"{r['a']} minus {r['b']}",
            r["region"],
            r["score"],
            r["difference"],
            interval(r["difference_ci"]),
            r["p"],
            r["p_holm"],
            r["better"] or "not shown",
            r["n"],
        )
        for r in document["differences"]
    )
    return Table("Paired differences", columns, rows)


def _strata(document: Mapping[str, Any]) -> Table | None:
    columns = ("region", "size", "model", "Dice", "interval", "sensitivity", "lesions", "cases")
    rows = tuple(
        (row["region"], row["size"], m["name"], m["dice"], interval(m["dice_ci"]), m.get("sensitivity"), row["n"], row["cases"])
        for row in document["strata"]["rows"]
        for m in row["models"]
    )
    return Table(f"By size of the {document['strata']['by']}", columns, rows) if rows else None


def _scores(document: Mapping[str, Any]) -> Table:
    keys = ("case", "model", "region", "lesionwise_dice", "dice", "hd95", "nsd")
    titles = ("case", "model", "region", "lesion-wise Dice", "Dice", "HD95 (mm)", "NSD")
    return Table("Scores", titles, tuple(tuple(row.get(key) for key in keys) for row in document["scores"]))


def _plots(document: Mapping[str, Any], models: list[str]) -> tuple[Plot, ...]:
    """Return one plot of the Dice by region, and one of the paired differences with their intervals."""
    rows = document["scores"]
    key = "lesionwise_dice" if any(row.get("lesionwise_dice") is not None for row in rows) else "dice"
    regions = tuple(dict.fromkeys(row["region"] for row in rows))
    series = []
    for number, model in enumerate(models):
        shift = 0.5 * (number / max(len(models) - 1, 1) - 0.5)
        own = [row for row in rows if row["model"] == model]
        x, y, keys = finite_points((regions.index(row["region"]) + shift, row.get(key), row["case"]) for row in own)
        series.append(Series(model, x, y, _MARKERS[number % len(_MARKERS)], keys=keys))
    name = "Lesion-wise Dice" if key == "lesionwise_dice" else "Dice"
    plots = [Plot(f"{name} by region", "region", name, tuple(series), x_names=regions, y_limits=(-0.05, 1.05), caption="One point a case.")]
    found = [r for r in document["differences"] if r["score"] == key and r["difference_ci"] and None not in r["difference_ci"]]
    if found:
        names = tuple(f"{r['region']}: {r['a']} - {r['b']}" for r in found)
        errors = tuple((float(r["difference_ci"][0]), float(r["difference_ci"][1])) for r in found)
        points = Series("", tuple(map(float, range(len(found)))), tuple(r["difference"] for r in found), error=errors)
        plots.append(Plot("Paired differences", "", f"difference of the {name}", (points,), (Line("", 0.0, 0.0),), x_names=names))
    return tuple(plots)
