"""A section of results in the window: its sentences, tables and plots, with rows and points that can be chosen."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_tumorseg.widgets.parts import note
from napari_tumorseg.widgets.plot_view import PlotView
from napari_tumorseg.workflows.report.section import Section, Table, number

__all__ = ["ResultView", "TableView"]


class _Cell(QTableWidgetItem):
    """A cell that sorts by its value, not by its text; what is missing comes last."""

    def __init__(self, value: Any, row: int) -> None:
        super().__init__(number(value))
        self.value = value
        self.row_of_result = row
        self.setToolTip(number(value))

    def __lt__(self, other: QTableWidgetItem) -> bool:
        mine, its = self.value, getattr(other, "value", None)
        if mine is None or its is None:
            return its is None and mine is not None
        same = isinstance(mine, int | float) and isinstance(its, int | float)
        return bool(mine < its) if same else str(mine) < str(its)


class TableView(QTableWidget):
    """A `Table`, sorted by a click on its heading.

    Signals
    -------
    chosen(str)
        Key of the row that became current.

    Parameters
    ----------
    table : Table
        What to show.
    """

    chosen = Signal(str)

    def __init__(self, table: Table) -> None:
        super().__init__(len(table.rows), len(table.columns))
        self.table = table
        self.setHorizontalHeaderLabels(list(table.columns))
        numeric = table.numeric
        for r, row in enumerate(table.rows):
            for c, value in enumerate(row):
                cell = _Cell(value, r)
                side = Qt.AlignmentFlag.AlignRight if numeric[c] else Qt.AlignmentFlag.AlignLeft
                cell.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(r, c, cell)
        self.setSortingEnabled(True)
        self.horizontalHeader().setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setAlternatingRowColors(True)
        self.setStyleSheet("QTableView { alternate-background-color: rgba(128, 128, 128, 28); }QHeaderView::section { padding: 1px 3px; }")
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.setAccessibleName(table.title or "Results")
        self.setMinimumHeight(min(320, 22 * (len(table.rows) + 1) + 12))
        self.currentCellChanged.connect(lambda row, *_rest: self._on_row(row))

    def show_key(self, key: str) -> None:
        """Make the row of a key current, where there is one."""
        if key not in self.table.keys:
            return
        wanted = self.table.keys.index(key)
        for row in range(self.rowCount()):
            if self._result_row(row) == wanted:
                self.setCurrentCell(row, 0)

    def as_text(self) -> str:
        """Return heading and rows as they are sorted, for a spreadsheet: cells by tabs, numbers in full."""
        rows = [self.table.rows[self._result_row(row)] for row in range(self.rowCount())]
        lines = ["\t".join(self.table.columns), *("\t".join("" if cell is None else str(cell) for cell in row) for row in rows)]
        return "\n".join(lines) + "\n"

    def _result_row(self, row: int) -> int:
        cell = self.item(row, 0)
        assert isinstance(cell, _Cell)
        return cell.row_of_result

    def _on_row(self, row: int) -> None:
        if row >= 0 and self.table.keys:
            self.chosen.emit(self.table.keys[self._result_row(row)])


class ResultView(QWidget):
    """A `Section`: one tab a table, one for all plots.

    Signals
    -------
    chosen(str)
        Key of a row or point that was chosen.

    Parameters
    ----------
    section : Section
        What to show.
    """

    chosen = Signal(str)

    def __init__(self, section: Section) -> None:
        super().__init__()
        self.section = section
        self._choosing = False
        self.tables = [TableView(table) for table in section.tables if table.rows]
        self.plots = [PlotView(plot) for plot in section.plots]
        heading = QLabel(section.heading)
        heading.setStyleSheet("font-weight: bold;")
        heading.setWordWrap(True)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Results")
        for view in self.tables:
            self.tabs.addTab(view, view.table.title)
            view.chosen.connect(self._choose)
        for plot in self.plots:
            self.tabs.addTab(plot, plot.plot.title)
            plot.chosen.connect(self._choose)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(heading)
        for sentence in section.text:
            layout.addWidget(note(sentence))
        layout.addWidget(self.tabs, 1)
        for sentence in section.notes:
            layout.addWidget(note(f"Note: {sentence}"))

    @property
    def table_in_front(self) -> Table | None:
        """The table that is seen, the first where a plot is; None without any."""
        view = self._view_in_front()
        return view.table if view is not None else None

    def copy(self) -> str:
        """Put the table in front on the clipboard; return its title, empty without a table."""
        view = self._view_in_front()
        clipboard = QApplication.clipboard()
        if view is None or clipboard is None:
            return ""
        clipboard.setText(view.as_text())
        return view.table.title

    def _view_in_front(self) -> TableView | None:
        front = self.tabs.currentWidget()
        return front if isinstance(front, TableView) else next(iter(self.tables), None)

    def _choose(self, key: str) -> None:
        if self._choosing:
            return
        self._choosing = True
        try:
            for view in self.tables:
                view.show_key(key)
        finally:
            self._choosing = False
        self.chosen.emit(key)
