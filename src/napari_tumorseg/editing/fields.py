"""What a form needs to know about a tool's settings, as metadata of dataclass fields."""

from __future__ import annotations

from typing import Any

__all__ = ["about"]


def about(label: str, low: float | None = None, high: float | None = None, by: float | None = None) -> dict[str, Any]:
    """Return a field's metadata: its label and, for a number, its limits and step.

    Examples
    --------
    >>> about("Radius (mm)", 0, 50)
    {'label': 'Radius (mm)', 'min': 0, 'max': 50}
    """
    found = {"label": label, "min": low, "max": high, "step": by}
    return {key: value for key, value in found.items() if value is not None}
