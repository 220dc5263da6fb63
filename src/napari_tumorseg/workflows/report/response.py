"""Lesions over time, as a section and as plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_tumorseg.workflows.report.plot import Marker, Plot, Series, finite_points
from napari_tumorseg.workflows.report.section import Section, Table

__all__ = ["response_section"]

_MARKERS: tuple[Marker, ...] = ("circle", "triangle", "square", "cross")
#: More lesions than can be told apart are drawn as one sum.
_MOST_LINES = 12


def response_section(document: Mapping[str, Any]) -> Section:
    """Return the section of a document of `workflows.response.respond`: category, lesions and volumes at each time point."""
    points = document["timepoints"]
    text = f"Lesions of the region {document['region']} over {len(points)} time points: {', '.join(point['name'] for point in points)}."
    tables = (_categories(document), _lesions(points), _tracks(document))
    return Section("Response over time", (text,), tables, _plots(document), tuple(document["warnings"]))


def _categories(document: Mapping[str, Any]) -> Table:
    columns = ("criteria", "time point", "sum", "unit", "from baseline (%)", "from smallest (%)", "category", "basis")
    rows = []
    for found in document["criteria"].values():
        for point, own in zip(document["timepoints"], found["timepoints"], strict=True):
            changes = (_percent(own["change_from_baseline"]), _percent(own["change_from_nadir"]))
            category = own["category"] or own["imaging"]
            rows.append((found["title"], point["name"], own["sum"], found["unit"], *changes, category, own["basis"]))
    return Table("Categories", columns, tuple(rows))


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _lesions(points: Any) -> Table:
    columns = ("time point", "lesion", "status", "volume (mL)", "longest (mm)", "across (mm)", "product (mm²)", "slices")
    keys = ("status", "volume_ml", "longest_mm", "perpendicular_mm", "product_mm2", "slices")
    rows = [
        (point["name"], ", ".join(map(str, lesion["tracks"])), *(lesion[key] for key in keys))
        for point in points
        for lesion in point["lesions"]
    ]
    return Table("Lesions", columns, tuple(rows))


def _tracks(document: Mapping[str, Any]) -> Table:
    names = tuple(point["name"] for point in document["timepoints"])
    rows = [(track["track"], *(own["status"] for own in track["timepoints"])) for track in document["tracks"]]
    return Table("What became of each lesion", ("lesion", *names), tuple(rows))


def _plots(document: Mapping[str, Any]) -> tuple[Plot, ...]:
    """Return volumes and sums of diameters over time: by days where all scans are dated, else by time point."""
    points = document["timepoints"]
    dated = all(point["days"] is not None for point in points)
    x = [float(point["days"] if dated else point["timepoint"]) for point in points]
    label, names = ("days from baseline", ()) if dated else ("time point", tuple(point["name"] for point in points))
    total_x, total_y, _ = finite_points((at, point["total_volume_ml"], "") for at, point in zip(x, points, strict=True))
    series = [Series("all lesions", total_x, total_y, "square", joined=True)]
    tracks = document["tracks"]
    for number, track in enumerate(tracks if len(tracks) <= _MOST_LINES else ()):
        rows = ((at, own["volume_ml"], str(track["track"])) for at, own in zip(x, track["timepoints"], strict=True))
        own_x, own_y, keys = finite_points(rows)
        series.append(Series(f"lesion {track['track']}", own_x, own_y, _MARKERS[number % len(_MARKERS)], joined=True, keys=keys))
    volumes = Plot("Volumes over time", label, "volume (mL)", tuple(series), x_names=names)
    sums = []
    for number, found in enumerate(found for found in document["criteria"].values() if found["unit"] == "mm"):
        own_x, own_y, _ = finite_points((at, own["sum"], "") for at, own in zip(x, found["timepoints"], strict=True))
        sums.append(Series(found["title"], own_x, own_y, _MARKERS[number % len(_MARKERS)], joined=True))
    return volumes, Plot("Sum of the diameters", label, "sum of longest diameters of targets (mm)", tuple(sums), x_names=names)
