"""How values stand in the tables of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["interval", "plain", "titled"]


def plain(value: Any) -> str:
    """Return a number to four digits, a dash where there is none.

    Examples
    --------
    >>> plain(0.51239), plain(None), plain(12)
    ('0.5124', '–', '12')
    """
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def interval(pair: Sequence[float | None] | None) -> str:
    """Return an interval in words, empty where there is none.

    Examples
    --------
    >>> interval([0.1, 0.25]), interval([None, 0.2]), interval(None)
    ('0.1 to 0.25', '– to 0.2', '')
    """
    return "" if pair is None or all(end is None for end in pair) else f"{plain(pair[0])} to {plain(pair[1])}"


def titled(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """Return those values of a row that are there, for a heading or a name.

    Examples
    --------
    >>> titled({"arm": "AI", "label": "", "kind": "inter"}, ("arm", "label", "kind"))
    'AI, inter'
    """
    return ", ".join(str(row[key]) for key in keys if row.get(key))
