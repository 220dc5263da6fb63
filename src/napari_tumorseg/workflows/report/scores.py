"""The scores of a segmentation, as a section and as plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from napari_tumorseg.workflows.report.plot import Line, Marker, Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval

__all__ = ["lesion_key", "score_plots", "score_section"]

#: What a lesion's match is called, and its marker: no kind is told by colour alone.
_MATCHES: tuple[tuple[str, Marker], ...] = (("found", "circle"), ("missed", "cross"), ("false", "triangle"))


def score_plots(document: Mapping[str, Any]) -> tuple[Plot, ...]:
    """Return the plots of a document of `workflows.evaluate.evaluate`.

    Returns
    -------
    tuple of Plot
        Dice of each lesion against its volume, where the profile looks at lesions; of folders also the scores of the cases by
        region, and the volumes of prediction against reference with the difference against their mean.
    """
    plots = []
    if document["lesions"]:
        plots.append(_dice_against_size(document["lesions"]))
    if "cases" in document:
        plots += [_cases(document["cases"]), *_volumes(document["cases"])]
    return tuple(plots)


def lesion_key(row: Mapping[str, Any]) -> str:
    """Return what a lesion is called in tables and plots: case, region and number."""
    return " ".join(str(part) for part in (row.get("case"), row["region"], row["id"]) if part is not None)


def score_section(document: Mapping[str, Any]) -> Section:
    """Return the section of a document of `workflows.evaluate.evaluate`."""
    several = "cases" in document
    constants = document["constants"]
    sentences = [f"Profile {document['profile']}, version {constants['version']}: {constants['title']} ({constants['reference']})."]
    if several:
        sentences.append(
            f"Means of {len(document['cases'])} cases; intervals of {document['bootstrap']['confidence']:.0%} by bootstrap over cases."
        )
    tables = [_region_table(document)]
    if several:
        tables.append(_case_table(document["cases"]))
    if document["lesions"]:
        tables.append(_lesion_table(document["lesions"], several))
    places = {} if several else {lesion_key(row): tuple(row["centroid_mm"]) for row in document["lesions"]}
    return Section(
        f"Segmentation: {_name(document['prediction'])} against {_name(document['reference'])}",
        tuple(sentences),
        tuple(tables),
        score_plots(document),
        tuple(document["warnings"]),
        places,
    )


def _name(path: str) -> str:
    return path.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1]


def _nsd_columns(regions: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({tolerance for scores in regions for tolerance in scores["lesionwise_nsd"]}, key=float)


def _region_table(document: Mapping[str, Any]) -> Table:
    regions, limits = document["regions"], document.get("confidence_intervals", {})
    tolerances = _nsd_columns(regions.values())
    shown: list[tuple[str, str]] = [("lesionwise_dice", "lesion-wise Dice"), ("lesionwise_hd95", "lesion-wise HD95 (mm)")]
    counts = [("n_tp", "found"), ("n_fp", "false"), ("n_fn", "missed")]
    whole = [("dice", "Dice"), ("hd95", "HD95 (mm)"), ("nsd", "NSD"), ("sensitivity", "sensitivity"), ("specificity", "specificity")]
    volumes = [("volume_ref_ml", "reference (mL)"), ("volume_pred_ml", "prediction (mL)")]
    if all(scores["lesionwise_dice"] is None for scores in regions.values()):
        shown, counts, tolerances = [], [], []
    columns = ["region", *(title for _, title in shown), *(f"lesion-wise NSD at {t} mm" for t in tolerances)]
    columns += [title for _, title in (*counts, *whole, *volumes)]
    if limits:
        columns.append("interval of the Dice")
    rows = []
    for name, scores in regions.items():
        row = [name, *(scores[key] for key, _ in shown), *(scores["lesionwise_nsd"].get(t) for t in tolerances)]
        row += [scores[key] for key, _ in (*counts, *whole, *volumes)]
        if limits:
            row.append(interval(limits[name].get("lesionwise_dice") or limits[name].get("dice")))
        rows.append(tuple(row))
    return Table("Regions", tuple(columns), tuple(rows))


def _case_table(cases: Sequence[Mapping[str, Any]]) -> Table:
    columns = ("case", "region", "lesion-wise Dice", "Dice", "HD95 (mm)", "found", "false", "missed", "reference (mL)", "prediction (mL)")
    keys = ("lesionwise_dice", "dice", "hd95", "n_tp", "n_fp", "n_fn", "volume_ref_ml", "volume_pred_ml")
    rows = [(case["case"], name, *(scores[key] for key in keys)) for case in cases for name, scores in case["regions"].items()]
    return Table("Cases", columns, tuple(rows), tuple(str(row[0]) for row in rows))


def _lesion_table(lesions: Sequence[Mapping[str, Any]], several: bool) -> Table:
    columns: tuple[str, ...] = ("region", "lesion", "match", "volume (mm³)", "Dice", "HD95 (mm)", "counted", "x (mm)", "y (mm)", "z (mm)")
    keys = tuple(map(lesion_key, lesions))
    rows: list[tuple[Any, ...]] = [
        (r["region"], r["id"], r["status"], r["volume_mm3"], r["dice"], r["hd95"], r["counted"], *(round(c, 1) for c in r["centroid_mm"]))
        for r in lesions
    ]
    if several:
        columns = ("case", *columns)
        rows = [(r["case"], *row) for r, row in zip(lesions, rows, strict=True)]
    return Table("Lesions", columns, tuple(rows), keys)


def _dice_against_size(lesions: Sequence[Mapping[str, Any]]) -> Plot:
    series = []
    for status, marker in _MATCHES:
        own = [row for row in lesions if row["status"] == status]
        x, y, keys = finite_points(((row["volume_mm3"], row["dice"], lesion_key(row)) for row in own), above_zero=True)
        series.append(Series(f"{status} ({len(own)})", x, y, marker, keys=keys))
    return Plot(
        "Dice against size",
        "volume of the lesion (mm³)",
        "Dice",
        tuple(series),
        x_log=True,
        y_limits=(-0.05, 1.05),
        caption="Every lesion of every region; missed and false ones have a Dice of 0.",
    )


def _cases(cases: Sequence[Mapping[str, Any]]) -> Plot:
    names = tuple(dict.fromkeys(name for case in cases for name in case["regions"]))
    lesion_wise = any(scores["lesionwise_dice"] is not None for case in cases for scores in case["regions"].values())
    key = "lesionwise_dice" if lesion_wise else "dice"
    points = [
        (place + _spread(number, len(cases)), case["regions"][name][key], case["case"])
        for place, name in enumerate(names)
        for number, case in enumerate(cases)
        if name in case["regions"]
    ]
    x, y, keys = finite_points(points)
    title = "Lesion-wise Dice by case" if lesion_wise else "Dice by case"
    return Plot(title, "region", "Dice", (Series("", x, y, keys=keys),), x_names=names, y_limits=(-0.05, 1.05), caption="One point a case.")


def _spread(number: int, count: int) -> float:
    """Lay the cases of a region side by side."""
    return 0.5 * (number / max(count - 1, 1) - 0.5) if count > 1 else 0.0


def _volumes(cases: Sequence[Mapping[str, Any]]) -> tuple[Plot, Plot]:
    markers: tuple[Marker, ...] = ("circle", "triangle", "square", "cross")
    names = tuple(dict.fromkeys(name for case in cases for name in case["regions"]))
    scatter, difference = [], []
    for number, name in enumerate(names):
        own = [(case["case"], case["regions"][name]) for case in cases if name in case["regions"] and not case["missing"]]
        marker = markers[number % len(markers)]
        x, y, keys = finite_points((s["volume_ref_ml"], s["volume_pred_ml"], case) for case, s in own)
        scatter.append(Series(name, x, y, marker, keys=keys))
        means = tuple((a + b) / 2 for a, b in zip(x, y, strict=True))
        difference.append(Series(name, means, tuple(b - a for a, b in zip(x, y, strict=True)), marker, keys=keys))
    return (
        Plot("Volumes", "reference (mL)", "prediction (mL)", tuple(scatter), (Line("identity", 1.0, 0.0),), caption="One point a case."),
        Plot(
            "Difference of volumes",
            "mean of both (mL)",
            "prediction minus reference (mL)",
            tuple(difference),
            (Line("", 0.0, 0.0),),
            caption="For bias and limits of agreement of one region, see `tumorseg agree`.",
        ),
    )
