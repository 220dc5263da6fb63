"""The lesions of the active mask, one row each, and what can be done with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QSizePolicy,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.widgets.lesion_model import COLUMNS, LesionFilter, LesionModel
from napari_tumorseg.widgets.parts import button
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.workflows.lesion_report import LesionEntry, total_text, write_lesions

__all__ = ["LesionModel", "LesionTable"]

#: Space around the text of a cell and of a heading, and of the sort arrow.
_CELL_PX, _HEADING_PX, _ARROW_PX = 12, 12, 16
_MADE_OF = next(i for i, column in enumerate(COLUMNS) if column[0].startswith("Made of"))


class LesionTable(QWidget):
    """Table of lesions; choosing a row goes there, the right mouse button and the keys decide about it.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._showing = False
        self._kept: dict[int, tuple[Lesion, LesionEntry]] = {}
        self._schema: LabelSchema | None = None
        self.setAccessibleName("Lesions")
        self.empty = QLabel("Lesions are listed here as soon as there is a mask. Choose one to go there.")
        self.empty.setWordWrap(True)
        self.totals = QLabel()
        self.totals.setAccessibleName("Totals")
        self.totals.setWordWrap(True)
        self.totals.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.only = QComboBox()
        self.only.setAccessibleName("Show lesions with this status or label")
        self.only.setToolTip("Show only lesions with this status or label; next and previous follow what is shown")
        self.only.activated.connect(lambda _row: self._filter())
        self.save = button("Save as CSV", "Write this list to a file, with units and without names", self.ask_and_save)
        self.model = LesionModel(self)
        self._sorted = LesionFilter(self.model, self)
        self.table = self._make_table()
        self._top = QWidget()
        top = QHBoxLayout(self._top)
        top.setContentsMargins(0, 0, 0, 0)
        for widget, stretch in ((self.totals, 1), (self.only, 0), (self.save, 0)):
            top.addWidget(widget, stretch)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        for part in (self.empty, self._top, self.table):
            layout.addWidget(part)
        self.setMinimumHeight(90)
        session.lesions.changed.connect(self.refresh)
        session.masks_changed.connect(self.refresh)
        session.focus.changed.connect(self._show_selected)
        session.focus.walk_in_order_of(self._sorted.numbers, self.selected)
        self.destroyed.connect(lambda: session.focus.walk_in_order_of(None))
        self.refresh()

    def _make_table(self) -> QTableView:
        table = QTableView()
        table.setModel(self._sorted)
        table.setSortingEnabled(True)
        table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        # Several are chosen to be joined.
        table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        table.setAlternatingRowColors(True)
        # napari's own padding of headings would take a third of the width of a small screen.
        table.setStyleSheet("QTableView { alternate-background-color: rgba(128, 128, 128, 28); }QHeaderView::section { padding: 1px 3px; }")
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.setAccessibleName("Lesions")
        table.setAccessibleDescription("Choose a lesion to go there; the menu key or the right mouse button shows what can be done with it")
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._show_menu)
        rows, columns, selection = table.verticalHeader(), table.horizontalHeader(), table.selectionModel()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(22)
        if columns is not None:
            # What a lesion is made of is the only long text: it gets what is left, and is cut with dots and a tooltip.
            columns.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            columns.setSectionResizeMode(_MADE_OF, QHeaderView.ResizeMode.Stretch)
            columns.setMinimumSectionSize(34)
            columns.setHighlightSections(False)
            columns.sortIndicatorChanged.connect(lambda *_: self._fit_columns())
        if selection is not None:
            selection.currentRowChanged.connect(self._on_current)
        table.clicked.connect(self._on_clicked)
        return table

    def sizeHint(self) -> Any:  # noqa: N802
        """Return about 180 px of height."""
        size = super().sizeHint()
        size.setHeight(180)
        return size

    # -- what is shown

    def entries(self) -> list[LesionEntry]:
        """Return the lesions with their statuses, rejected ones among them, by number."""
        lesions, sheet = self._session.lesions, self._session.lesions.sheet
        kept: dict[int, tuple[Lesion, LesionEntry]] = {}
        for row in lesions.rows:
            status = sheet.status(row.id) if sheet is not None else LesionStatus.TODO
            known = self._kept.get(row.id)
            # Counting voxels is left out for lesions that are as they were.
            if known is not None and known[0] is row and known[1].status is status and known[1].by_hand_share is not None:
                kept[row.id] = known
            else:
                kept[row.id] = (row, LesionEntry(row, status, lesions.by_hand_share(row)))
        for gone in sheet.rejected if sheet is not None else ():
            kept.setdefault(gone.lesion.id, (gone.lesion, LesionEntry(gone.lesion, LesionStatus.REJECTED)))
        self._kept = kept
        return [kept[number][1] for number in sorted(kept)]

    def refresh(self) -> None:
        """Show the lesions as they are now."""
        active = self._session.active
        there = active is not None
        self._showing = True
        try:
            entries = self.entries() if there else []
            schema = active.document.schema if active is not None else None
            self._offer_filters(schema)
            self.model.set_entries(entries, schema)
            self._sorted.invalidate()
            self._fit_columns()
        finally:
            self._showing = False
        self.empty.setVisible(not there)
        self._top.setVisible(there)
        self.table.setVisible(there)
        if active is not None:
            volumes = ", ".join(f"{name} {ml_text(v)} mL" for name, v in self._session.lesions.regions_ml.items() if v)
            text = f"{active.name}: {total_text(entries)}{'. ' + volumes if volumes else ''}"
            self.totals.setText(text)
            self.totals.setToolTip(text)

    def _fit_columns(self) -> None:
        """Give each column what its heading and its cells need.

        Qt's own way keeps room for a sort arrow in every heading, a third of the width of a small screen.
        """
        header = self.table.horizontalHeader()
        if header is None:
            return
        letters, figures = header.fontMetrics(), self.table.fontMetrics()
        texts = [[cell[1] for cell in self.model.cells(entry)] for entry in self.model.entries]
        for column, (title, _, _) in enumerate(COLUMNS):
            if column == _MADE_OF:
                continue
            arrow = _ARROW_PX if column == header.sortIndicatorSection() else 0
            heading = max(letters.horizontalAdvance(line) for line in title.split("\n")) + _HEADING_PX + arrow
            # Asking Qt for the width of every cell would take longer than all the rest; equally long texts differ by little.
            shown = {row[column] for row in texts} if column else {status.text for status in LesionStatus}
            longest = max((len(text) for text in shown), default=0)
            cells = max((figures.horizontalAdvance(text) for text in shown if len(text) >= longest - 1), default=0) + _CELL_PX
            width = max(heading, cells)
            if width != header.sectionSize(column):
                header.resizeSection(column, width)

    def _offer_filters(self, schema: LabelSchema | None) -> None:
        if schema is self._schema:
            return
        self._schema = schema
        self._kept = {}
        self.only.clear()
        self.only.addItem("All lesions", (None, ""))
        for status in LesionStatus:
            self.only.addItem(status.text, (status, ""))
        for label in schema.labels if schema is not None else ():
            self.only.addItem(f"With {label.name}", (None, label.name))
        self._filter()

    def _filter(self) -> None:
        status, label = self.only.currentData() or (None, "")
        self._sorted.show_only(LesionStatus(status) if status is not None else None, label)

    # -- going there

    def _on_current(self, current: QModelIndex, _before: QModelIndex) -> None:
        if not self._showing and self.table.hasFocus():
            self._go(current)

    def _on_clicked(self, index: QModelIndex) -> None:
        if len(self.selected()) <= 1:
            self._go(index)

    def _go(self, index: QModelIndex) -> None:
        row = self._sorted.mapToSource(index).row()
        if 0 <= row < len(self.model.entries):
            self._session.focus.go_to(self.model.entries[row].lesion)

    def _show_selected(self, lesion: Lesion) -> None:
        row = next((i for i, other in enumerate(self.model.entries) if other.lesion.id == lesion.id), None)
        shown = self._sorted.mapFromSource(self.model.index(row, 0)) if row is not None else QModelIndex()
        selection = self.table.selectionModel()
        if not shown.isValid() or selection is None:
            return
        self._showing = True
        try:
            flags = QItemSelectionModel.SelectionFlag
            selection.setCurrentIndex(shown, flags.ClearAndSelect | flags.Rows)
            self.table.scrollTo(shown)
        finally:
            self._showing = False

    def selected(self) -> list[int]:
        """Return the numbers of the rows that are chosen, from top to bottom."""
        selection = self.table.selectionModel()
        rows = sorted(index.row() for index in selection.selectedRows()) if selection is not None else []
        return [self.model.entries[self._sorted.mapToSource(self._sorted.index(row, 0)).row()].lesion.id for row in rows]

    # -- deciding

    def _show_menu(self, at: QPoint) -> None:
        index, port = self.table.indexAt(at), self.table.viewport()
        if index.isValid() and port is not None:
            number = self.model.entries[self._sorted.mapToSource(index).row()].lesion.id
            self.menu(number).popup(port.mapToGlobal(at))

    def menu(self, number: int) -> QMenu:
        """Return the menu of what can be done with a lesion; it goes when it is closed."""
        review, sheet = self._session.focus.review, self._session.lesions.sheet
        made = QMenu(self)
        made.setToolTipsVisible(True)
        made.aboutToHide.connect(made.deleteLater)

        def offer(text: str, tip: str, act: Any, enabled: bool = True) -> None:
            action = made.addAction(text)
            if action is not None:
                action.setToolTip(tip)
                action.setEnabled(enabled)
                action.triggered.connect(lambda _on=False: act())

        if sheet is not None and sheet.status(number) is LesionStatus.REJECTED:
            offer("Bring back", "Put the lesion's voxels back where the mask is empty", lambda: review.bring_back(number))
            return made
        chosen = self.selected()
        others = [other for other in (chosen if number in chosen else []) if other != number]
        offer("Accept", "The lesion is right as it is", lambda: review.accept(number, advance=False))
        offer("Reject", "Take the lesion out of the mask; it stays in this list", lambda: review.reject(number, advance=False))
        offer("Uncertain", "A second read is wanted", lambda: review.call_uncertain(number, advance=False))
        offer("To do", "The lesion is still to be looked at", lambda: review.put_back(number))
        made.addSeparator()
        offer(
            "Split as lesions",
            "Make two lesions at the narrowest place, or part what was joined; no voxel changes",
            lambda: review.split(number),
        )
        if others:
            names = ", ".join(map(str, others))
            offer(
                f"Join with {names}", "Make one lesion of those that are chosen; no voxel changes", lambda: review.join([number, *others])
            )
        else:
            self._offer_joins(made, number)
        return made

    def _offer_joins(self, menu: QMenu, number: int) -> None:
        """Offer the nearest lesions to join with."""
        nearest = self._session.focus.review.nearest(number)[:8]
        joins = menu.addMenu("Join with")
        if joins is None:
            return
        joins.setEnabled(bool(nearest))
        for other in nearest:
            action = joins.addAction(f"Lesion {other}")
            if action is not None:
                action.triggered.connect(lambda _on=False, o=other: self._session.focus.review.join([number, o]))

    # -- file

    def ask_and_save(self) -> None:
        """Ask for a file and write the list to it."""
        active = self._session.active
        if active is None:
            return
        name = f"{active.name}-lesions.csv"
        folder = active.path.parent if active.path is not None else Path.home()
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the list of lesions", str(folder / name), "Table (*.csv)")
        if chosen:
            self.write(Path(chosen))

    def write(self, path: Path) -> None:
        """Write the list, as it is sorted and filtered here, to a file."""
        active = self._session.active
        if active is None:
            return
        by_id = {entry.lesion.id: entry for entry in self.model.entries}
        with self._session.reporting():
            written = write_lesions([by_id[number] for number in self._sorted.numbers()], active.document.schema, path)
            self._session.said.emit(f"Saved {written}", False)
