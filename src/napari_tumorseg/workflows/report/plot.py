"""What a plot shows, apart from what draws it: the page draws it by matplotlib, the window by pyqtgraph.

Examples
--------
>>> plot = Plot("Volumes", "Reference (mL)", "Test (mL)", (Series("lesions", (1.0, 2.0), (1.1, 1.8)),), (Line("identity", 1.0, 0.0),))
>>> plot.x_range, plot.y_range
((1.0, 2.0), (1.1, 1.8))
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["COLOURS", "Band", "Line", "Marker", "Plot", "Series", "finite_points"]

#: Okabe and Ito's colours, which people with colour blindness tell apart (https://jfly.uni-koeln.de/color/), in order of use.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

Marker = Literal["circle", "cross", "triangle", "square", "none"]


@dataclass(frozen=True)
class Series:
    """Points of one kind.

    Attributes
    ----------
    name : str
        For the legend; empty for none.
    x, y : tuple of float
        As many of one as of the other, all finite.
    marker : str
        No kind is told apart by its colour alone.
    joined : bool
        Whether a line goes from point to point.
    keys : tuple of str
        What each point is, e.g. a lesion's number; shown by the window and used to jump there. Empty, or one a point.
    error : tuple of (float, float)
        Interval of y for each point; empty for none.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    marker: Marker = "circle"
    joined: bool = False
    keys: tuple[str, ...] = ()
    error: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"{len(self.x)} x and {len(self.y)} y in a series")
        if self.keys and len(self.keys) != len(self.x):
            raise ValueError(f"{len(self.keys)} keys for {len(self.x)} points")
        if self.error and len(self.error) != len(self.x):
            raise ValueError(f"{len(self.error)} intervals for {len(self.x)} points")
        if not all(map(math.isfinite, (*self.x, *self.y))):
            raise ValueError("a plot's points are finite")


@dataclass(frozen=True)
class Line:
    """A straight line ``y = slope x + intercept``; a level is one of slope 0."""

    name: str
    slope: float
    intercept: float
    dashed: bool = False


@dataclass(frozen=True)
class Band:
    """The interval of a level, from `low` to `high` over all x."""

    low: float
    high: float


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes
    ----------
    title, x_label, y_label : str
        The labels carry the unit.
    series, lines, bands : tuple
        What is drawn.
    x_log : bool
        Whether x is drawn on a logarithmic scale; all x are then above 0.
    x_names : tuple of str
        Names for x = 0, 1, 2...; empty where x is a quantity.
    y_limits : (float, float), optional
        Of the axis; by default what is shown.
    caption : str
        Below the plot: what it shows, and what was left out.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...] = ()
    lines: tuple[Line, ...] = ()
    bands: tuple[Band, ...] = ()
    x_log: bool = False
    x_names: tuple[str, ...] = ()
    y_limits: tuple[float, float] | None = None
    caption: str = ""

    def __post_init__(self) -> None:
        if self.x_log and any(x <= 0 for series in self.series for x in series.x):
            raise ValueError("x on a logarithmic scale is above 0")

    @property
    def empty(self) -> bool:
        """Whether there is no point."""
        return not any(series.x for series in self.series)

    @property
    def x_range(self) -> tuple[float, float]:
        """Lowest and highest x of the points; (0, 1) without points."""
        return _range(x for series in self.series for x in series.x)

    @property
    def y_range(self) -> tuple[float, float]:
        """Lowest and highest y of the points and their intervals; (0, 1) without points."""
        return _range(y for series in self.series for y in (*series.y, *(end for pair in series.error for end in pair)))


def _range(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    return (min(found), max(found)) if found else (0.0, 1.0)


def finite_points(
    rows: Iterable[tuple[float | None, float | None, str]], above_zero: bool = False
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    """Return x, y and keys of the rows (x, y, key) that can be drawn.

    Parameters
    ----------
    rows : iterable of (float or None, float or None, str)
        Points.
    above_zero : bool
        Whether points with x of 0 or less are left out too.

    Returns
    -------
    tuple of tuple
        x, y, keys.

    Examples
    --------
    >>> finite_points([(1.0, 2.0, "a"), (None, 2.0, "b"), (0.0, 1.0, "c")], above_zero=True)
    ((1.0,), (2.0,), ('a',))
    """
    kept = [
        (float(x), float(y), key)
        for x, y, key in rows
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y) and (x > 0 or not above_zero)
    ]
    xs, ys, keys = zip(*kept, strict=True) if kept else ((), (), ())
    return tuple(xs), tuple(ys), tuple(keys)
