"""What the sections of a study's report share: the order of the arms, and how numbers stand in cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from napari_tumorseg.workflows.report.section import Table
from napari_tumorseg.workflows.report.words import interval

__all__ = ["arms_of", "beside", "by_arms", "minutes", "scaled", "score_title", "spread"]


def arms_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Return titles by arm: what is compared with first, then the other of the contrast, then the rest."""
    second, first = document["contrast"]
    order = [first, second, *(name for name in document["study"]["arms"] if name not in (first, second))]
    return {name: document["study"]["arms"][name]["title"] for name in order}


def minutes(seconds: float | None) -> float | None:
    """Return seconds in minutes."""
    return None if seconds is None else seconds / 60


def spread(found: Mapping[str, Any], scale: float = 1.0) -> tuple[Any, ...]:
    """Return median and quartiles as two cells."""
    median, q1, q3 = (None if found[key] is None else found[key] * scale for key in ("median", "q1", "q3"))
    return median, interval([q1, q3])


def scaled(share: float | None) -> float | None:
    """Return a share in per cent."""
    return None if share is None else 100 * share


def score_title(name: str) -> str:
    """Return what a score of `evaluation.raters.masks` is called in a table."""
    known = {"dice": "Dice", "hd95_mm": "HD95 (mm)", "lesion_f1": "lesions: F1"}
    return known.get(name, f"NSD at {name.removeprefix('nsd ')} mm")


def by_arms(rows: Sequence[Mapping[str, Any]], arms: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """Return rows in the order of the arms."""
    order = list(arms)
    return sorted(rows, key=lambda row: order.index(row["arm"]) if row["arm"] in order else len(order))


def beside(
    title: str, what: str, names: Mapping[str, str], found: Mapping[str, Mapping[str, Any]], arms: Mapping[str, str], scale: float = 1.0
) -> Table:
    """Return medians and quartiles with the arms beside one another; `names` are titles by column, `found` by arm and column."""
    columns = [what]
    for arm in arms.values():
        columns += [f"{arm}: readings", "median", "quartiles"]
    rows = []
    for key, name in names.items():
        cells = [found.get(arm, {}).get(key, {"n": 0, "median": None, "q1": None, "q3": None}) for arm in arms]
        if any(cell["n"] for cell in cells):
            rows.append((name, *(value for cell in cells for value in (cell["n"], *spread(cell, scale)))))
    return Table(title, tuple(columns), tuple(rows))
