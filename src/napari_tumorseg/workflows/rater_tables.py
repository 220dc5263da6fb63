"""Raters who gave categories or numbers, in a table."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.concordance import concordance
from napari_tumorseg.evaluation.agreement.icc import intraclass
from napari_tumorseg.evaluation.raters.categories import WEIGHTS, Weights, cohen_kappa, fleiss_kappa
from napari_tumorseg.evaluation.raters.krippendorff import krippendorff_alpha
from napari_tumorseg.io.table import Table, number
from napari_tumorseg.workflows.rater_readings import Reading, lacks, readings_of_table

__all__ = ["compare_categories", "compare_values"]


def compare_categories(table: Table, order: Sequence[str] = (), confidence: float = 0.95) -> dict[str, Any]:
    """Measure the agreement on categories.

    Parameters
    ----------
    table : Table
        Columns case, rater, category (and arm, group, repeat), or case and one column per rater.
    order : sequence of str
        The categories from the lowest to the highest. Without, numbers are ordered as numbers; other categories have no order
        then, and no weighted kappa.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict
        ``kind`` "categories", ``source``, ``raters``, ``cases``, ``categories``, ``ordered``, ``settings``, ``notes``; ``pairs``:
        ``arm``, ``rater_a``, ``rater_b``, ``group_a``, ``group_b``, ``repeat_a``, ``repeat_b``, ``kind``, ``plain``, and where ordered
        ``linear`` and ``quadratic``, each what `cohen_kappa` returns; ``arms``: per arm ``raters``, ``fleiss`` (over cases that all
        raters judged; None where there is none) and ``krippendorff`` by scale.
    """
    readings = _readings(table, "category")
    categories, ordered = _categories(readings, order)
    pairs = []
    for arm, a, b, kind, cases in _pairs(readings):
        first, second = ([own[case].cell for case in cases] for own in (a, b))
        one, other = next(iter(a.values())), next(iter(b.values()))
        weights: tuple[Weights, ...] = WEIGHTS if ordered else WEIGHTS[:1]
        kappas: dict[str, Any] = {w: cohen_kappa(first, second, categories, w, confidence) for w in weights}
        pairs.append({**_named(arm, one, other, kind), **kappas})
    if not pairs:
        raise InputError(f"{table.path.name} has no two raters who judged the same case.", "Agreement needs two raters.")
    arms = [_arm_of_categories(arm, readings, categories, ordered, confidence) for arm in sorted({r.arm for r in readings})]
    notes = [] if ordered else ["The categories have no order, so there is no weighted kappa; give it with --order."]
    return {
        **_head("categories", table, readings, confidence),
        "categories": categories,
        "ordered": ordered,
        "pairs": pairs,
        "arms": arms,
        "notes": notes,
    }


def compare_values(table: Table, confidence: float = 0.95) -> dict[str, Any]:
    """Measure the agreement on numbers.

    Parameters
    ----------
    table : Table
        Columns case, rater, value (and arm, group, repeat), or case and one column per rater.
    confidence : float
        Of the intervals.

    Returns
    -------
    dict
        ``kind`` "values", ``source``, ``raters``, ``cases``, ``settings``, ``notes``; ``pairs``: as for categories, with ``n`` and
        ``concordance`` (None where fewer than three cases or a constant leave none, ``why`` then); ``arms``: ``raters``,
        ``cases_all_judged``, ``icc`` over those cases (empty with ``why`` where there is none), ``krippendorff`` by scale.
    """
    readings = _readings(table, "value")
    numbers = {reading.who: _value(reading, table) for reading in readings}
    pairs = []
    for arm, a, b, kind, cases in _pairs(readings):
        entry = {**_named(arm, next(iter(a.values())), next(iter(b.values())), kind), "n": len(cases)}
        try:
            entry["concordance"] = concordance([numbers[a[c].who] for c in cases], [numbers[b[c].who] for c in cases], confidence)
        except InputError as error:
            entry |= {"concordance": None, "why": error.message}
        pairs.append(entry)
    if not pairs:
        raise InputError(f"{table.path.name} has no two raters who judged the same case.", "Agreement needs two raters.")
    arms = []
    for arm in sorted({reading.arm for reading in readings}):
        names, rows = _grid(readings, arm)
        matrix = np.array([[np.nan if cell is None else numbers[cell.who] for cell in row] for row in rows]).T
        entry = {"arm": arm, "raters": names, "icc": [], "krippendorff": {}}
        complete = matrix[~np.isnan(matrix).any(axis=1)]
        entry["cases_all_judged"] = int(complete.shape[0])
        if complete.shape[0] < 2 or complete.shape[1] < 2:
            entry["why"] = f"{complete.shape[0]} of the cases were judged by all {len(names)} raters, and two are needed"
        elif np.ptp(complete) == 0:
            entry["why"] = "all values are the same"
        else:
            entry["icc"] = intraclass(complete, confidence)
        scales = ("interval", "ratio") if np.nanmin(matrix) >= 0 else ("interval",)
        entry["krippendorff"] = {scale: _alpha(matrix.T, scale, confidence) for scale in scales}
        arms.append(entry)
    return {**_head("values", table, readings, confidence), "pairs": pairs, "arms": arms, "notes": []}


def _readings(table: Table, content: str) -> list[Reading]:
    if "rater" in table.columns:
        return readings_of_table(table, content)
    table.require("case")
    names = [name for name in table.columns if name and name != "case"]
    if len(names) < 2:
        raise InputError(f"{table.path.name} has one rater only ({', '.join(names)}).", "Agreement needs two raters.")
    found: list[Reading] = []
    seen: dict[str, int] = {}
    for row in table.rows:
        case = row.values["case"]
        if case in seen:
            raise InputError(f"Lines {seen[case]} and {row.line} of {table.path.name} are both {case}.", "Leave one row per case.")
        seen[case] = row.line
        found += [Reading(case, name, cell=row.values[name], line=row.line) for name in names if not lacks(row.values[name], content)]
    return found


def _categories(readings: Sequence[Reading], order: Sequence[str]) -> tuple[list[str], bool]:
    found = {reading.cell for reading in readings}
    if order:
        if len(set(order)) != len(order):
            raise InputError("A category is named twice in the order.", "Name each once.")
        missing = sorted(found - set(order))
        if missing:
            line = next(reading.line for reading in readings if reading.cell == missing[0])
            raise InputError(f"Line {line} has the category '{missing[0]}', which the order does not name.", "Name all categories.")
        return list(order), True
    if all(number(cell) is not None for cell in found):
        return sorted(found, key=lambda cell: (float(cell), cell)), True
    return sorted(found), len(found) <= 2


def _value(reading: Reading, table: Table) -> float:
    value = number(reading.cell, decimal_comma=table.decimal_comma)
    if value is None:
        raise InputError(f"Line {reading.line} of {table.path.name} has the value '{reading.cell}'.", "Write a finite number there.")
    return value


Own = dict[str, Reading]


def _pairs(readings: Sequence[Reading]) -> list[tuple[str, Own, Own, str, list[str]]]:
    """Return arm, the two raters' readings by case, "inter" or "intra", and the cases that both have."""
    series: dict[tuple[str, str, int], Own] = {}
    for reading in readings:
        series.setdefault((reading.arm, reading.rater, reading.repeat), {})[reading.case] = reading
    pairs = []
    for (key_a, a), (key_b, b) in combinations(series.items(), 2):
        same_rater = key_a[1] == key_b[1]
        common = [case for case in a if case in b]
        if key_a[0] == key_b[0] and common and (same_rater or key_a[2] == key_b[2]):
            pairs.append((key_a[0], a, b, "intra" if same_rater else "inter", common))
    return pairs


def _named(arm: str, a: Reading, b: Reading, kind: str) -> dict[str, Any]:
    names = {"arm": arm, "rater_a": a.rater, "rater_b": b.rater, "group_a": a.group, "group_b": b.group}
    return {**names, "repeat_a": a.repeat, "repeat_b": b.repeat, "kind": kind}


def _head(kind: str, table: Table, readings: Sequence[Reading], confidence: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": str(table.path),
        "raters": sorted({reading.rater for reading in readings}),
        "cases": len({reading.case for reading in readings}),
        "settings": {"confidence": confidence},
    }


def _grid(readings: Sequence[Reading], arm: str) -> tuple[list[str], list[list[Reading | None]]]:
    """Return the raters of an arm and their first reading of each case (raters, cases), None where there is none."""
    first = {(r.rater, r.case): r for r in readings if r.arm == arm and r.repeat == 1}
    names = sorted({rater for rater, _ in first})
    cases = list(dict.fromkeys(case for _, case in first))
    return names, [[first.get((name, case)) for case in cases] for name in names]


def _arm_of_categories(arm: str, readings: Sequence[Reading], categories: list[str], ordered: bool, confidence: float) -> dict[str, Any]:
    names, rows = _grid(readings, arm)
    place = {category: i for i, category in enumerate(categories)}
    codes = np.array([[np.nan if cell is None else place[cell.cell] for cell in row] for row in rows], np.float64)
    complete = codes[:, ~np.isnan(codes).any(axis=0)].astype(int)
    entry: dict[str, Any] = {"arm": arm, "raters": names, "fleiss": None, "krippendorff": {}}
    if complete.shape[0] >= 2 and complete.shape[1]:
        entry["fleiss"] = fleiss_kappa(np.stack([(complete == i).sum(axis=0) for i in range(len(categories))], axis=1))
    scales = ("nominal", "ordinal") if ordered else ("nominal",)
    entry["krippendorff"] = {scale: _alpha(codes, scale, confidence) for scale in scales}
    values = [number(category) for category in categories]
    if ordered and None not in values:
        numeric = np.where(np.isnan(codes), np.nan, np.array(values, np.float64)[np.nan_to_num(codes).astype(int)])
        entry["krippendorff"]["interval"] = _alpha(numeric, "interval", confidence)
    return entry


def _alpha(matrix: Any, scale: Any, confidence: float) -> dict[str, Any] | None:
    try:
        return krippendorff_alpha(matrix, scale, confidence)
    except InputError:  # no case was judged twice in this arm
        return None
