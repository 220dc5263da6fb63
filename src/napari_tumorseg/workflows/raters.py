"""How well raters agree: on the masks of a folder or table, or on the categories or values of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.evaluation.agreement.icc import intraclass
from napari_tumorseg.evaluation.raters.krippendorff import Scale
from napari_tumorseg.evaluation.raters.masks import compare_masks, summarise
from napari_tumorseg.io.arrays import present_values
from napari_tumorseg.io.table import Table, is_missing, read_table
from napari_tumorseg.workflows.rater_consensus import write_consensus
from napari_tumorseg.workflows.rater_readings import Reading, pairs_of, readings_of_folder, readings_of_table
from napari_tumorseg.workflows.rater_tables import compare_categories, compare_values

__all__ = ["ANY", "RatersRequest", "raters"]

#: Name of the structure made of all labels.
ANY = "any"


@dataclass(frozen=True)
class RatersRequest:
    """Whose agreement is measured, and how.

    Attributes
    ----------
    source : Path
        Folder of masks, or CSV table: with columns case, rater and one of path (masks), category or value; optional arm,
        group, repeat. Or a table with a column case and one column of categories or values per rater.
    out : Path, optional
        Folder for the consensus masks and agreement maps; without, they are not made.
    tolerances_mm : tuple of float
        Of the normalised surface Dice.
    order : tuple of str
        Categories from the lowest to the highest, for weighted kappa and ordinal alpha.
    scale : str, optional
        Of a table with one column per rater: "nominal" and "ordinal" make them categories, "interval" and "ratio" values. By
        default, values where all cells are numbers and more than ten different ones occur.
    confidence : float
        Of all intervals.
    """

    source: Path
    out: Path | None = None
    tolerances_mm: tuple[float, ...] = (1.0, 2.0)
    order: tuple[str, ...] = ()
    scale: Scale | None = None
    confidence: float = 0.95


def raters(request: RatersRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Compare raters.

    Parameters
    ----------
    request : RatersRequest
        Source and settings.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    dict
        JSON document with ``kind`` ("masks", "categories" or "values"), ``source``, ``raters``, ``cases`` (a number), ``settings``,
        ``pairs`` and ``notes``. Of categories and values: see `compare_categories` and `compare_values`. Of masks:

        - ``pairs``: ``case``, ``arm``, ``label`` ("any", or a value where there are several), ``rater_a``, ``rater_b``, ``group_a``,
          ``group_b``, ``groups`` (both), ``repeat_a``, ``repeat_b``, ``kind`` ("inter" or "intra") and the scores of `compare_masks`;
        - ``groups`` and ``rater_pairs``: ``pairs``, ``cases``, ``both_empty`` and ``scores`` (see `summarise`) by arm, kind, groups
          and label, and by pair of raters;
        - ``volumes``: ``case``, ``arm``, ``rater``, ``repeat``, ``label``, ``volume_ml``;
        - ``volume_icc``: ``arm``, ``label``, ``raters``, ``cases``, ``icc`` (see `intraclass`), ``why`` where there is none;
        - ``consensus``: what `write_consensus` returns, where ``out`` is given.

    Raises
    ------
    InputError
        If nothing can be read, there is one rater only, or no rater drew anything.
    GeometryError
        If the masks of a case are on different grids.
    """
    progress = progress or Progress()
    if not request.tolerances_mm or any(not math.isfinite(t) or t < 0 for t in request.tolerances_mm):
        raise InputError("A tolerance is negative or no number.", "Give millimetres from 0.")
    if not 0 < request.confidence < 1:
        raise InputError(f"The confidence is {request.confidence:g}.", "Give a number between 0 and 1.")
    if request.source.is_dir():
        return _compare_masks(readings_of_folder(request.source), request, progress)
    if not request.source.exists():
        raise InputError(f"{request.source} does not exist.", "Name a folder of masks or a CSV table.")
    table = read_table(request.source)
    content = next((name for name in ("path", "category", "value") if name in table.columns), "")
    if content == "path":
        return _compare_masks(readings_of_table(table, content), request, progress)
    if request.out is not None:
        raise InputError(f"{table.path.name} names no masks, so there is no consensus to write.", "Leave out --out.")
    if content == "value" or (not content and _are_values(table, request.scale)):
        return compare_values(table, request.confidence)
    return compare_categories(table, request.order, request.confidence)


def _are_values(table: Table, scale: Scale | None) -> bool:
    if scale is not None:
        return scale in ("interval", "ratio")
    columns = [name for name in table.columns if name not in ("", "case")]
    cells = {row.values[name]: table.number(row, name) for row in table.rows for name in columns if not is_missing(row.values[name])}
    return len(cells) > 10 and None not in cells.values()


def _compare_masks(readings: Sequence[Reading], request: RatersRequest, progress: Progress) -> dict[str, Any]:
    by_case: dict[str, list[Reading]] = {}
    for reading in readings:
        by_case.setdefault(reading.case, []).append(reading)
    alone = {case: group for case, group in by_case.items() if not pairs_of(group)}
    several = {case: group for case, group in by_case.items() if case not in alone}
    if not several:
        names = sorted({reading.rater for reading in readings})
        raise InputError(
            f"{request.source} has no case with two readings (raters found: {', '.join(names[:8])}).", "See `tumorseg raters --help`."
        )
    rows: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    consensus: list[dict[str, Any]] = []
    for number, (case, group) in enumerate(several.items()):
        part = progress.part(number / len(several), (number + 1) / len(several))
        part.update(0.0, f"Reading {case}")
        masks = _read(group)
        part.update(0.3, f"Comparing {case}")
        own, sizes = _compare_case(group, masks, request)
        rows += own
        volumes += sizes
        if request.out is not None:
            part.update(0.6, f"Fusing {case}")
            consensus += write_consensus(case, group, masks, request.out)
    if all(row["both_empty"] for row in rows):
        raise InputError("No rater drew anything in any case.", "Check the masks.")
    notes = []
    if alone:
        shown = ", ".join(f"{case} ({group[0].rater})" for case, group in list(alone.items())[:8])
        more = f" and {len(alone) - 8} more" if len(alone) > 8 else ""
        notes.append(f"Left out, having no second reading to compare with: {shown}{more}.")
    empty = sum(row["both_empty"] for row in rows if row["label"] == ANY)
    if empty:
        notes.append(f"In {empty} comparisons both masks are empty: the raters agree, and no score is defined.")
    lost = sum(row["hd95_mm"] is None and not row["both_empty"] for row in rows if row["label"] == ANY)
    if lost:
        notes.append(f"In {lost} comparisons one mask is empty: Dice and NSD are 0, and HD95 is not defined and not in the mean.")
    progress.update(1.0, "Done")
    return {
        "kind": "masks",
        "source": str(request.source),
        "raters": sorted({reading.rater for group in several.values() for reading in group}),
        "cases": len(several),
        "settings": {"tolerances_mm": list(request.tolerances_mm), "confidence": request.confidence, "connectivity": 26},
        "pairs": rows,
        "groups": _grouped(rows, ("arm", "kind", "groups", "label"), request.confidence),
        "rater_pairs": _grouped(
            [row for row in rows if row["kind"] == "inter"], ("arm", "rater_a", "rater_b", "label"), request.confidence
        ),
        "volumes": volumes,
        "volume_icc": _volume_icc(volumes, request.confidence),
        "consensus": consensus,
        "notes": notes,
    }


def _read(group: Sequence[Reading]) -> list[MaskVersion]:
    """Return the masks of one case, all on the grid of the first."""
    from napari_tumorseg.io.geometry import mask_on_grid
    from napari_tumorseg.io.registry import read_mask

    masks: list[MaskVersion] = []
    for reading in group:
        assert reading.path is not None
        mask = read_mask(reading.path)
        if masks:
            assert group[0].path is not None
            mask = mask_on_grid(mask, masks[0].grid, str(reading.path), str(group[0].path))
        masks.append(mask)
    return masks


def _compare_case(
    group: Sequence[Reading], masks: Sequence[MaskVersion], request: RatersRequest
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    grid = masks[0].grid
    # Outside the box around everything that was drawn there is nothing to compare.
    boxes = [box for box in (bounding_box(mask.labels) for mask in masks) if box is not None]
    slices = reduce(Box.union, boxes).slices if boxes else Box((0, 0, 0), (1, 1, 1)).slices
    of = {reading.who: np.ascontiguousarray(mask.labels[slices]) for reading, mask in zip(group, masks, strict=True)}
    values = sorted({value for mask in of.values() for value in present_values(mask)})
    labels = {ANY: 0, **({str(value): value for value in values} if len(values) > 1 else {})}
    rows, volumes = [], []
    for label, value in labels.items():
        inside = {who: (mask == value if value else mask != 0) for who, mask in of.items()}
        for a, b, kind in pairs_of(group):
            rows.append(
                {
                    "case": a.case,
                    "arm": a.arm,
                    "label": label,
                    "rater_a": a.rater,
                    "rater_b": b.rater,
                    "group_a": a.group,
                    "group_b": b.group,
                    "groups": " and ".join(sorted({a.group, b.group})) if a.group or b.group else "",
                    "repeat_a": a.repeat,
                    "repeat_b": b.repeat,
                    "kind": kind,
                    **compare_masks(inside[a.who], inside[b.who], grid.spacing_mm, request.tolerances_mm),
                }
            )
        for reading in group:
            volume = int(np.count_nonzero(inside[reading.who])) * grid.voxel_volume_mm3 / 1000
            known = {"case": reading.case, "arm": reading.arm, "rater": reading.rater, "repeat": reading.repeat}
            volumes.append({**known, "label": label, "volume_ml": volume})
    return rows, volumes


def _grouped(rows: Sequence[dict[str, Any]], keys: Sequence[str], confidence: float) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        {
            **dict(zip(keys, key, strict=True)),
            "pairs": len(own),
            "cases": len({row["case"] for row in own}),
            "both_empty": sum(row["both_empty"] for row in own),
            "scores": summarise(own, "case", confidence),
        }
        for key, own in groups.items()
    ]


def _volume_icc(volumes: Sequence[dict[str, Any]], confidence: float) -> list[dict[str, Any]]:
    """Return the intraclass correlations of the volumes of first readings, by arm and label, over cases that all raters read."""
    found = []
    for arm, label in dict.fromkeys((row["arm"], row["label"]) for row in volumes):
        by_case: dict[str, dict[str, float]] = {}
        for row in volumes:
            if (row["arm"], row["label"], row["repeat"]) == (arm, label, 1):
                by_case.setdefault(row["case"], {})[row["rater"]] = row["volume_ml"]
        names = sorted({rater for own in by_case.values() for rater in own})
        complete = [[own[rater] for rater in names] for own in by_case.values() if len(own) == len(names)]
        entry: dict[str, Any] = {"arm": arm, "label": label, "raters": names, "cases": len(complete), "icc": []}
        if len(complete) < 2:
            entry["why"] = f"{len(complete)} of the cases were read by all raters, and two are needed"
        elif np.ptp(complete) == 0:
            entry["why"] = "all volumes are the same"
        else:
            entry["icc"] = intraclass(np.array(complete), confidence)
        found.append(entry)
    return found
