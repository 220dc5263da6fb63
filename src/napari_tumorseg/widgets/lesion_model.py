"""The lesion list as a Qt model: what its cells show, sort by and are filtered by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSortFilterProxyModel, Qt

from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.workflows.lesion_report import LesionEntry

__all__ = ["COLUMNS", "SORT", "LesionFilter", "LesionModel"]

#: Title, tooltip, whether it holds numbers.
COLUMNS: tuple[tuple[str, str, bool], ...] = (
    ("Status", "What was decided: ○ to do, ✓ accepted, ✎ edited, + added, ? uncertain (second read), ✗ rejected", False),
    ("No.", "The lesion's number; it stays while the lesion is edited", True),
    ("Made of\n(mL)", "Volume of each label inside the lesion", False),
    ("mL", "Volume in millilitres", True),
    ("Longest\nmm", "Longest diameter in an axial slice, in millimetres (RECIST 1.1, RANO-BM)", True),
    ("Across\nmm", "Longest diameter at a right angle to it in the same slice, in millimetres", True),
    ("Product\nmm²", "Longest diameter times its perpendicular, in square millimetres (RANO)", True),
    ("Centre\n(mm)", "Centre of mass: right (R) or left (L), anterior (A) or posterior (P), superior (S) or inferior (I)", False),
    ("By\nhand", "Share of the lesion's voxels that a person changed or added; the rest is as the model had it", True),
)
SORT = Qt.ItemDataRole.UserRole
_ROOT = QModelIndex()


class LesionModel(QAbstractTableModel):
    """Lesions as rows; sorting uses the numbers, not what is written."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.entries: tuple[LesionEntry, ...] = ()
        self._schema: LabelSchema | None = None
        self._cells: dict[int, tuple[LesionEntry, tuple[tuple[Any, str], ...]]] = {}

    @property
    def lesions(self) -> tuple[Lesion, ...]:
        """The lesions of the rows, rejected ones among them."""
        return tuple(entry.lesion for entry in self.entries)

    def set_entries(self, entries: Sequence[LesionEntry], schema: LabelSchema | None) -> None:
        """Show other lesions; a row whose number stays is changed, not replaced, so that it stays selected."""
        numbers = [entry.lesion.id for entry in entries]
        known = [entry.lesion.id for entry in self.entries]
        if schema is not self._schema:
            self._cells.clear()
            self.beginResetModel()
            self.entries, self._schema = tuple(entries), schema
            self.endResetModel()
            return
        if numbers != known:
            self._move_rows(entries, set(numbers), known)
        changed = [i for i, (old, new) in enumerate(zip(self.entries, entries, strict=True)) if old is not new and old != new]
        self.entries = tuple(entries)
        self._cells = {number: self._cells[number] for number in numbers if number in self._cells}
        for row in changed:
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def _move_rows(self, entries: Sequence[LesionEntry], there: set[int], known: list[int]) -> None:
        """Take out the rows that are gone and put in those that are new; both lists are in order of the number."""
        kept = list(self.entries)
        for row in reversed([i for i, number in enumerate(known) if number not in there]):
            self.beginRemoveRows(_ROOT, row, row)
            del kept[row]
            self.entries = tuple(kept)
            self.endRemoveRows()
        for row, entry in enumerate(entries):
            if row >= len(kept) or kept[row].lesion.id != entry.lesion.id:
                self.beginInsertRows(_ROOT, row, row)
                kept.insert(row, entry)
                self.entries = tuple(kept)
                self.endInsertRows()

    def rowCount(self, parent: QModelIndex = _ROOT) -> int:  # noqa: N802
        """Return the number of lesions."""
        return 0 if parent.isValid() else len(self.entries)

    def columnCount(self, parent: QModelIndex = _ROOT) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: N802
        """Return a column's title and tooltip."""
        if orientation == Qt.Orientation.Horizontal and 0 <= section < len(COLUMNS):
            if role == Qt.ItemDataRole.DisplayRole:
                return COLUMNS[section][0]
            if role == Qt.ItemDataRole.ToolTipRole:
                return COLUMNS[section][1]
        return None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, or sorts by."""
        if not index.isValid() or index.row() >= len(self.entries):
            return None
        entry, column = self.entries[index.row()], index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if COLUMNS[column][2] else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        if role == Qt.ItemDataRole.ToolTipRole and COLUMNS[column][0].startswith("Made of"):
            return "\n".join(self._parts(entry.lesion, title=True))
        if role not in (Qt.ItemDataRole.DisplayRole, SORT):
            return None
        value, text = self.cells(entry)[column]
        return value if role == SORT else text

    def cells(self, entry: LesionEntry) -> tuple[tuple[Any, str], ...]:
        """Return what a row is sorted by and what it shows, for each column; made once for an entry."""
        # Qt asks for every cell many times while a stroke is followed.
        known = self._cells.get(entry.lesion.id)
        if known is None or known[0] is not entry:
            known = self._cells[entry.lesion.id] = (entry, self._made_cells(entry))
        return known[1]

    def _made_cells(self, entry: LesionEntry) -> tuple[tuple[Any, str], ...]:
        lesion, sizes, share = entry.lesion, entry.lesion.diameters, entry.by_hand_share
        x, y, z = lesion.centroid_mm
        return (
            (list(LesionStatus).index(entry.status), entry.status.text),
            (lesion.id, str(lesion.id)),
            (", ".join(lesion.labels_mm3), ", ".join(self._parts(lesion))),
            (lesion.volume_mm3, ml_text(lesion.volume_mm3 / 1000)),
            (sizes.longest_mm, f"{sizes.longest_mm:.1f}"),
            (sizes.perpendicular_mm, f"{sizes.perpendicular_mm:.1f}"),
            (sizes.product_mm2, f"{sizes.product_mm2:.0f}" if sizes.product_mm2 >= 10 else f"{sizes.product_mm2:.1f}"),
            (z, f"{_along(x, 'R', 'L')}, {_along(y, 'A', 'P')}, {_along(z, 'S', 'I')}"),
            (-1.0 if share is None else share, "" if share is None else f"{100 * share:.0f} %"),
        )

    def _parts(self, lesion: Lesion, title: bool = False) -> list[str]:
        names = {label.name: label.title for label in self._schema.labels} if title and self._schema is not None else {}
        return [f"{names.get(name, name)} {ml_text(volume / 1000)}{' mL' if title else ''}" for name, volume in lesion.labels_mm3.items()]


class LesionFilter(QSortFilterProxyModel):
    """Sorts the rows, and shows those of one status or one label."""

    def __init__(self, model: LesionModel, parent: Any = None) -> None:
        super().__init__(parent)
        self._entries = model
        self._status: LesionStatus | None = None
        self._label = ""
        self.setSourceModel(model)
        self.setSortRole(SORT)
        self.setDynamicSortFilter(True)

    def show_only(self, status: LesionStatus | None = None, label: str = "") -> None:
        """Show the lesions with this status and this label, by name; all without them."""
        self._status, self._label = status, label
        self.invalidate()

    def filterAcceptsRow(self, row: int, parent: QModelIndex = _ROOT) -> bool:  # noqa: N802
        """Return whether a row of the model is shown."""
        del parent
        if row >= len(self._entries.entries):
            return False
        entry = self._entries.entries[row]
        return self._status in (None, entry.status) and (not self._label or self._label in entry.lesion.labels_mm3)

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:  # noqa: N802
        """Return whether one row comes before another; equal ones go by number."""
        first, second = left.data(SORT), right.data(SORT)
        if first != second:
            return bool(first < second)
        return self._entries.entries[left.row()].lesion.id < self._entries.entries[right.row()].lesion.id

    def numbers(self) -> list[int]:
        """Return the lesions' numbers from top to bottom."""
        rows = (self.mapToSource(self.index(row, 0)).row() for row in range(self.rowCount()))
        return [self._entries.entries[row].lesion.id for row in rows]


def _along(value: float, positive: str, negative: str) -> str:
    return f"{positive if value >= 0 else negative} {abs(value):.0f}"
