"""The lesions of the active mask, one row each."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableView, QVBoxLayout, QWidget

from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.widgets.session import Session

__all__ = ["LesionModel", "LesionTable"]

_COLUMNS = (
    ("Lesion", "Number, 1 for the largest"),
    ("Region", "Region whose connected parts are the lesions"),
    ("Volume (mL)", "Volume in millilitres"),
    ("Centre (mm)", "Centre of mass: right (R) or left (L), anterior (A) or posterior (P), superior (S) or inferior (I)"),
    ("Made of (mL)", "Volume of each label inside the lesion"),
)
_SORT = Qt.ItemDataRole.UserRole
_ROOT = QModelIndex()


class LesionModel(QAbstractTableModel):
    """Lesions as rows; sorting uses the numbers, not what is written."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.lesions: tuple[Lesion, ...] = ()
        self._schema: LabelSchema | None = None

    def set_lesions(self, lesions: tuple[Lesion, ...], schema: LabelSchema | None) -> None:
        """Show other lesions; rows that stay keep their selection."""
        if len(lesions) == len(self.lesions):
            self.lesions, self._schema = lesions, schema
            if lesions:
                self.dataChanged.emit(self.index(0, 0), self.index(len(lesions) - 1, len(_COLUMNS) - 1))
            return
        self.beginResetModel()
        self.lesions, self._schema = lesions, schema
        self.endResetModel()

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:  # noqa: N802
        """Return the number of lesions."""
        return 0 if parent.isValid() else len(self.lesions)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return a column's title and tooltip."""
        if orientation == Qt.Orientation.Horizontal and 0 <= section < len(_COLUMNS):
            if role == Qt.ItemDataRole.DisplayRole:
                return _COLUMNS[section][0]
            if role == Qt.ItemDataRole.ToolTipRole:
                return _COLUMNS[section][1]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, or sorts by."""
        if not index.isValid() or index.row() >= len(self.lesions):
            return None
        lesion, column = self.lesions[index.row()], index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            numbers = column in (0, 2)
            return int((Qt.AlignmentFlag.AlignRight if numbers else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole and column == len(_COLUMNS) - 1:
            return "\n".join(self._parts(lesion, title=True))
        if role not in (Qt.ItemDataRole.DisplayRole, _SORT):
            return None
        x, y, z = lesion.centroid_mm
        shown: tuple[tuple[Any, str], ...] = (
            (lesion.id, str(lesion.id)),
            (lesion.region, lesion.region),
            (lesion.volume_mm3, _ml(lesion.volume_mm3)),
            (z, f"{_along(x, 'R', 'L')}, {_along(y, 'A', 'P')}, {_along(z, 'S', 'I')}"),
            (", ".join(lesion.labels_mm3), ", ".join(self._parts(lesion))),
        )
        value, text = shown[column]
        return value if role == _SORT else text

    def _parts(self, lesion: Lesion, title: bool = False) -> list[str]:
        names = {label.name: label.title for label in self._schema.labels} if title and self._schema is not None else {}
        return [f"{names.get(name, name)} {_ml(volume)}{' mL' if title else ''}" for name, volume in lesion.labels_mm3.items()]


def _ml(volume_mm3: float) -> str:
    """Return a volume in mL with two significant places, as the user reads it."""
    value = volume_mm3 / 1000
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _along(value: float, positive: str, negative: str) -> str:
    return f"{positive if value >= 0 else negative} {abs(value):.0f}"


class LesionTable(QWidget):
    """Table of lesions; choosing a row goes there.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.setAccessibleName("Lesions")
        self.empty = QLabel("Lesions are listed here as soon as there is a mask. Choose one to go there.")
        self.empty.setWordWrap(True)
        self.totals = QLabel()
        self.totals.setAccessibleName("Totals")
        self.model = LesionModel(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.model)
        self._sorted.setSortRole(_SORT)
        self.table = QTableView()
        self.table.setModel(self._sorted)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAlternatingRowColors(True)
        self.table.setStyleSheet("QTableView { alternate-background-color: rgba(128, 128, 128, 28); }")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setAccessibleName("Lesions, by falling volume")
        self.table.setTabKeyNavigation(False)
        rows = self.table.verticalHeader()
        if rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(22)
        columns = self.table.horizontalHeader()
        if columns is not None:
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setStretchLastSection(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        for widget in (self.empty, self.totals, self.table):
            layout.addWidget(widget)
        self.setMinimumHeight(90)
        selection = self.table.selectionModel()
        if selection is not None:
            selection.currentRowChanged.connect(self._on_current)
        self.table.clicked.connect(self._go)
        session.lesions.changed.connect(self.refresh)
        session.masks_changed.connect(self.refresh)
        session.focus.changed.connect(self._show_selected)
        self._showing = False
        self.refresh()

    def sizeHint(self) -> Any:  # noqa: N802
        """Return about 180 px of height."""
        size = super().sizeHint()
        size.setHeight(180)
        return size

    def refresh(self) -> None:
        """Show the lesions as they are now."""
        active = self._session.active
        rows = self._session.lesions.rows if active is not None else ()
        self._showing = True
        try:
            self.model.set_lesions(rows, active.document.schema if active is not None else None)
        finally:
            self._showing = False
        self.empty.setVisible(active is None)
        self.table.setVisible(active is not None)
        self.totals.setVisible(active is not None)
        if active is not None:
            volumes = ", ".join(f"{name} {_ml(1000 * volume)} mL" for name, volume in self._session.lesions.regions_ml.items() if volume)
            count = f"{len(rows)} lesion{'' if len(rows) == 1 else 's'}"
            self.totals.setText(f"{active.name}: {count}{'. ' + volumes if volumes else ''}")

    def _on_current(self, current: QModelIndex, _before: QModelIndex) -> None:
        if not self._showing and self.table.hasFocus():
            self._go(current)

    def _go(self, index: QModelIndex) -> None:
        row = self._sorted.mapToSource(index).row()
        if 0 <= row < len(self.model.lesions):
            self._session.focus.go_to(self.model.lesions[row])

    def _show_selected(self, lesion: Lesion) -> None:
        row = next((i for i, other in enumerate(self.model.lesions) if other.id == lesion.id), None)
        if row is not None:
            self._showing = True
            try:
                self.table.selectRow(self._sorted.mapFromSource(self.model.index(row, 0)).row())
            finally:
                self._showing = False
