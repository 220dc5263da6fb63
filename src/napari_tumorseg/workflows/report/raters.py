"""The agreement of raters, as a section of the page and as plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_tumorseg.workflows.report.plot import Marker, Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table
from napari_tumorseg.workflows.report.words import interval, titled

__all__ = ["rater_plots", "rater_section"]

_MARKERS: tuple[Marker, ...] = ("circle", "triangle", "square", "cross")


def rater_plots(document: Mapping[str, Any]) -> tuple[Plot, ...]:
    """Return the pairwise Dice by case and the volumes by rater, for a document of `workflows.raters.raters` of kind "masks".

    Documents of categories and values have no plot.
    """
    if document["kind"] != "masks":
        return ()
    rows = [row for row in document["pairs"] if row["label"] == "any"]
    cases = tuple(dict.fromkeys(row["case"] for row in rows))
    place = {case: i for i, case in enumerate(cases)}
    pairs = dict.fromkeys((row["rater_a"], row["rater_b"]) for row in rows)
    dice = tuple(
        Series(f"{a} and {b}", *_points(rows, place, a, b), marker=_MARKERS[i % len(_MARKERS)], keys=_keys(rows, a, b))
        for i, (a, b) in enumerate(pairs)
    )
    sizes = [row for row in document["volumes"] if row["label"] == "any"]
    volumes = []
    for i, rater in enumerate(document["raters"]):
        own = [row for row in sizes if row["rater"] == rater and row["case"] in place]
        x, y, keys = finite_points((float(place[row["case"]]), row["volume_ml"], row["case"]) for row in own)
        volumes.append(Series(rater, x, y, _MARKERS[i % len(_MARKERS)], keys=keys))
    names = cases if len(cases) <= 20 else ()
    x_label = "case" if names else "case, in order"
    return (
        Plot("Pairwise Dice", x_label, "Dice", dice, x_names=names, caption="Each point is one pair of readings of a case."),
        Plot("Volumes", x_label, "volume (mL)", tuple(volumes), x_names=names, caption="Volume that each rater outlined."),
    )


def _of(rows: list[Mapping[str, Any]], a: str, b: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if (row["rater_a"], row["rater_b"]) == (a, b) and row["dice"] is not None]


def _points(rows: list[Mapping[str, Any]], place: Mapping[str, int], a: str, b: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    own = _of(rows, a, b)
    return tuple(float(place[row["case"]]) for row in own), tuple(row["dice"] for row in own)


def _keys(rows: list[Mapping[str, Any]], a: str, b: str) -> tuple[str, ...]:
    return tuple(row["case"] for row in _of(rows, a, b))


def rater_section(document: Mapping[str, Any]) -> Section:
    """Return the section of a document of `workflows.raters.raters`, of any kind."""
    tables = {"masks": _mask_tables, "categories": _category_tables, "values": _value_tables}[document["kind"]](document)
    text = f"{document['cases']} cases, {len(document['raters'])} raters: {', '.join(document['raters'])}."
    return Section("Agreement of raters", (text,), tables, rater_plots(document), tuple(document["notes"]))


def _scores(entries: Any, keys: tuple[str, ...]) -> tuple[tuple[Any, ...], ...]:
    rows: list[tuple[Any, ...]] = []
    for entry in entries:
        for name, score in entry["scores"].items():
            if score["n"]:
                shown = (score["mean"], interval(score["mean_ci"]), score["median"], score["min"], score["max"], score["n"])
                rows.append((titled(entry, keys), name, *shown))
    return tuple(rows)


def _mask_tables(document: Mapping[str, Any]) -> tuple[Table, ...]:
    columns = ("which", "score", "mean", "interval of the mean", "median", "lowest", "highest", "pairs")
    icc = tuple(
        (titled(entry, ("arm", "label")), row["name"], row["icc"], interval(row["icc_ci"]), entry["cases"])
        for entry in document["volume_icc"]
        for row in entry["icc"]
    )
    return (
        Table("Within and between raters", columns, _scores(document["groups"], ("arm", "kind", "groups", "label"))),
        Table("By pair of raters", columns, _scores(document["rater_pairs"], ("arm", "rater_a", "rater_b", "label"))),
        Table("Intraclass correlation of the volumes", ("which", "coefficient", "value", "interval", "cases"), icc),
    )


def _category_tables(document: Mapping[str, Any]) -> tuple[Table, ...]:
    pairs = tuple(
        (titled(pair, ("arm", "rater_a", "rater_b", "kind")), name, pair[name]["kappa"], interval(pair[name]["kappa_ci"]), pair[name]["n"])
        for pair in document["pairs"]
        for name in ("plain", "linear", "quadratic")
        if name in pair
    )
    return (Table("Cohen's kappa", ("pair", "weights", "kappa", "interval", "cases"), pairs), _arm_table(document))


def _value_tables(document: Mapping[str, Any]) -> tuple[Table, ...]:
    pairs = tuple(
        (titled(pair, ("arm", "rater_a", "rater_b", "kind")), found["ccc"], interval(found["ccc_ci"]), pair["n"])
        for pair in document["pairs"]
        if (found := pair["concordance"])
    )
    icc = tuple((arm["arm"], row["name"], row["icc"], interval(row["icc_ci"])) for arm in document["arms"] for row in arm["icc"])
    return (
        Table("Concordance (CCC)", ("pair", "CCC", "interval", "cases"), pairs),
        Table("Intraclass correlation", ("arm", "coefficient", "value", "interval"), icc),
        _arm_table(document),
    )


def _arm_table(document: Mapping[str, Any]) -> Table:
    rows: list[tuple[Any, ...]] = []
    for arm in document["arms"]:
        name = arm["arm"] or "all raters"
        if arm.get("fleiss"):
            rows.append((name, "Fleiss' kappa", arm["fleiss"]["kappa"], interval(arm["fleiss"].get("kappa_ci"))))
        for scale, found in arm["krippendorff"].items():
            if found:
                rows.append((name, f"Krippendorff's alpha, {scale}", found["alpha"], interval(found.get("alpha_ci"))))
    return Table("All raters together", ("arm", "measure", "value", "interval"), tuple(rows))
