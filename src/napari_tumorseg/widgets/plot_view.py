"""A plot in the window, by pyqtgraph: it can be zoomed, and its points chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_tumorseg.workflows.report.plot import COLOURS, Line, Plot, Series

__all__ = ["PlotView"]

_SYMBOLS = {"circle": "o", "cross": "x", "triangle": "t1", "square": "s", "none": None}
#: The page is white and the plot with it: the colours are chosen for that, whatever the theme of the window.
_PAPER, _INK = "#ffffff", "#1a1a1a"


class PlotView(QWidget):
    """Shows a `Plot`.

    Signals
    -------
    chosen(str)
        Key of a point that was clicked.

    Parameters
    ----------
    plot : Plot
        What to show.
    """

    chosen = Signal(str)

    def __init__(self, plot: Plot) -> None:
        super().__init__()
        self.plot = plot
        self.canvas = pg.GraphicsLayoutWidget()
        self.canvas.setBackground(_PAPER)
        self.canvas.setMinimumHeight(240)
        self.canvas.setAccessibleName(plot.title)
        self.canvas.setAccessibleDescription(plot.caption)
        self.setToolTip(plot.caption)
        palette = self.palette()
        palette.setColor(QPalette.ColorRole.Window, Qt.GlobalColor.white)
        self.setPalette(palette)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        self.item = self.canvas.addPlot(row=1, col=0)
        # pyqtgraph leaves its menus without a parent, and so alive after the window.
        for menu in (self.item.ctrlMenu, self.item.vb.menu):
            menu.setParent(self, menu.windowFlags())
        self._legend: Any = None
        self._fill(self.item)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a size at which the labels can be read."""
        return QSize(360, 280)

    def _fill(self, item: Any) -> None:
        plot = self.plot
        item.setTitle(plot.title, color=_INK, size="11pt")
        item.setLabel("bottom", plot.x_label, color=_INK)
        item.setLabel("left", plot.y_label, color=_INK)
        for side in ("bottom", "left"):
            item.getAxis(side).setPen(_INK)
            item.getAxis(side).setTextPen(_INK)
            # Units stand in the labels; a second prefix from pyqtgraph would contradict them.
            item.getAxis(side).enableAutoSIPrefix(False)
        item.showGrid(x=True, y=True, alpha=0.2)
        item.setMenuEnabled(True)
        named = [series.name for series in plot.series if series.name and series.x] + [line.name for line in plot.lines if line.slope]
        if named:
            # Above the plot, where it covers no point.
            self._legend = pg.LegendItem(labelTextColor=_INK, colCount=min(len(named), 4))
            self.canvas.addItem(self._legend, row=0, col=0)
            self._legend.setMaximumHeight(24 * -(-len(named) // 4))
        for band in plot.bands:
            item.addItem(pg.LinearRegionItem((band.low, band.high), "horizontal", brush="#56b4e933", pen=pg.mkPen(None), movable=False))
        for number, series in enumerate(plot.series):
            self._add_series(item, series, COLOURS[number % len(COLOURS)])
        for line in plot.lines:
            self._add_line(item, line)
        if plot.x_log:
            item.setLogMode(x=True, y=False)
        if plot.x_names:
            item.getAxis("bottom").setTicks([list(enumerate(plot.x_names))])
            item.setXRange(-0.6, len(plot.x_names) - 0.4, padding=0)
        if plot.y_limits is not None:
            item.setYRange(*plot.y_limits, padding=0.02)

    def _add_series(self, item: Any, series: Series, colour: str) -> None:
        if not series.x:
            return
        if series.error:
            heights = [(y - low, high - y) for y, (low, high) in zip(series.y, series.error, strict=True)]
            bars = pg.ErrorBarItem(pen=pg.mkPen(colour, width=1.5))
            below, above = np.array(heights).T
            bars.setData(x=np.array(series.x), y=np.array(series.y), top=above, bottom=below, beam=0)
            item.addItem(bars)
        keys = list(series.keys) or None
        points = pg.PlotDataItem(
            list(series.x),
            list(series.y),
            pen=pg.mkPen(colour, width=1.5) if series.joined else None,
            symbol=_SYMBOLS[series.marker],
            symbolBrush=colour,
            symbolPen=pg.mkPen(colour, width=1.5),
            symbolSize=9,
            data=keys,
        )
        self._name(points, series.name)
        points.sigPointsClicked.connect(lambda _item, clicked, _event=None: self._on_clicked(clicked))
        item.addItem(points)

    def _add_line(self, item: Any, line: Line) -> None:
        style = Qt.PenStyle.DashLine if line.dashed else Qt.PenStyle.SolidLine
        pen = pg.mkPen(_INK, width=1.2, style=style)
        if line.slope == 0:
            label = (
                {"label": line.name, "labelOpts": {"color": _INK, "position": 0.85, "anchors": [(0.5, 1), (0.5, 1)]}} if line.name else {}
            )
            item.addItem(pg.InfiniteLine(line.intercept, angle=0, pen=pen, **label))
            return
        ends = self.plot.x_range
        drawn = pg.PlotDataItem(list(ends), [line.slope * x + line.intercept for x in ends], pen=pen)
        self._name(drawn, line.name)
        item.addItem(drawn)

    def _name(self, drawn: Any, name: str) -> None:
        if name and self._legend is not None:
            self._legend.addItem(drawn, name)

    def _on_clicked(self, points: Any) -> None:
        if len(points) and points[0].data() is not None:
            self.chosen.emit(str(points[0].data()))
