"""A plot as SVG, by matplotlib."""

from __future__ import annotations

import io
from typing import Any

from napari_tumorseg.workflows.report.plot import COLOURS, Line, Plot, Series

__all__ = ["svg"]

_MARKERS = {"circle": "o", "cross": "x", "triangle": "^", "square": "s", "none": ""}
#: Inches; two stand side by side on the page.
_SIZE = (5.2, 3.7)


def svg(plot: Plot) -> str:
    """Return a plot as an ``<svg>`` element, the same text for the same plot.

    Parameters
    ----------
    plot : Plot
        What to draw.

    Returns
    -------
    str
        Element for a page, without the XML declaration; letters are drawn as outlines, so that no font is needed.

    Examples
    --------
    >>> from napari_tumorseg.workflows.report.plot import Series
    >>> svg(Plot("Volumes", "mL", "mL", (Series("", (1.0, 2.0), (2.0, 3.0)),)))[:4]
    '<svg'
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": plot.title, "font.size": 9.0, "svg.fonttype": "path"}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        FigureCanvasSVG(figure)
        _fill(figure.add_subplot(), plot)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    document = text.getvalue()
    return document[document.index("<svg") :].strip()


def _fill(axes: Any, plot: Plot) -> None:
    axes.set(title=plot.title, xlabel=plot.x_label, ylabel=plot.y_label)
    if plot.x_log:
        axes.set_xscale("log")
    for band in plot.bands:
        axes.axhspan(band.low, band.high, color="#56B4E9", alpha=0.2, linewidth=0)
    for number, series in enumerate(plot.series):
        _points(axes, series, COLOURS[number % len(COLOURS)])
    for line in plot.lines:
        _line(axes, line, plot.x_range)
    if plot.x_names:
        axes.set_xticks(range(len(plot.x_names)), plot.x_names, rotation=30 if len(plot.x_names) > 4 else 0)
        axes.set_xlim(-0.6, len(plot.x_names) - 0.4)
    if plot.y_limits is not None:
        axes.set_ylim(*plot.y_limits)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if plot.empty:
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color="#555555")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def _points(axes: Any, series: Series, colour: str) -> None:
    if not series.x:
        return
    marker = _MARKERS[series.marker]
    style = "-" if series.joined else ""
    axes.plot(series.x, series.y, linestyle=style, marker=marker, color=colour, markersize=4.5, alpha=0.8, label=series.name or None)
    if series.error:
        low, high = zip(*series.error, strict=True)
        axes.vlines(series.x, low, high, color=colour, linewidth=1.2)


def _line(axes: Any, line: Line, x_range: tuple[float, float]) -> None:
    style = {"linestyle": "--" if line.dashed else "-", "color": "#333333", "linewidth": 1.0}
    if line.slope != 0:
        low, high = x_range
        axes.plot((low, high), (line.slope * low + line.intercept, line.slope * high + line.intercept), label=line.name or None, **style)
        return
    axes.axhline(line.intercept, **style)
    if line.name:
        axes.annotate(
            line.name,
            (1.0, line.intercept),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize=7.5,
            color="#333333",
        )
