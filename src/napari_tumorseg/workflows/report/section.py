"""A result as sentences, tables and plots, apart from where it is shown: a page, or the window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_tumorseg.workflows.report.plot import Plot

__all__ = ["Section", "Table", "number"]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    title : str
        Above it; may be empty.
    columns : tuple of str
        Their names, with units.
    rows : tuple of tuple
        Cells of text, numbers, booleans or None.
    keys : tuple of str
        What each row is about, as in the series of plots; empty, or one a row.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"a row of {len(wrong[0])} cells in a table of {len(self.columns)} columns")
        if self.keys and len(self.keys) != len(self.rows):
            raise ValueError(f"{len(self.keys)} keys for {len(self.rows)} rows")

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns are of numbers: all of their cells are, dashes aside."""
        return tuple(all(_is_number(row[column]) for row in self.rows) for column in range(len(self.columns)))


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes
    ----------
    heading : str
        What was measured.
    text : tuple of str
        Sentences below it.
    tables : tuple of Table
        Numbers.
    plots : tuple of Plot
        Drawings of them.
    notes : tuple of str
        What qualifies them.
    places_mm : mapping of str to (float, float, float)
        Where what a key names lies in the open case: RAS millimetres; the window jumps there.
    """

    heading: str
    text: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    notes: tuple[str, ...] = ()
    places_mm: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)


def number(value: Any) -> str:
    """Return a cell's text: numbers to four digits, None and what is not finite as a dash.

    Examples
    --------
    >>> number(0.123456), number(12345.678), number(3), number(None), number("ET")
    ('0.1235', '12346', '3', '–', 'ET')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _is_number(cell: Any) -> bool:
    return isinstance(cell, int | float | None) and not isinstance(cell, bool)
