"""All keys of the correction on one sheet: ours and napari's, as they are set now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app_model.types import KeyBinding
from napari.settings import get_settings
from napari.utils.interactions import Shortcut
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_tumorseg.widgets.napari_adapter import main_window

__all__ = ["CheatSheet", "Row", "naparis_rows"]

#: A key as this system writes it, and what it does.
Row = tuple[str, str]

_NAPARIS = (
    ("napari:activate_labels_paint_mode", "Paint"),
    ("napari:activate_labels_erase_mode", "Erase"),
    ("napari:activate_labels_fill_mode", "Fill"),
    ("napari:activate_labels_polygon_mode", "Polygon"),
    ("napari:activate_labels_picker_mode", "Take the label under the cursor"),
    ("napari:activate_labels_pan_zoom_mode", "Move the image"),
    ("napari:hold_for_pan_zoom", "Move the image while held"),
    ("napari:decrease_brush_size", "Smaller brush"),
    ("napari:increase_brush_size", "Larger brush"),
    ("napari:decrease_label_id", "Label before"),
    ("napari:increase_label_id", "Label after"),
    ("napari:swap_selected_and_background_labels", "Swap label and background"),
    ("napari:toggle_preserve_labels", "Paint on background only"),
    ("napari:increment_dims_left", "Slice before"),
    ("napari:increment_dims_right", "Slice after"),
    ("napari:toggle_selected_visibility", "Show or hide the layer"),
    ("napari:reset_view", "Fit the view"),
)


def naparis_rows() -> list[Row]:
    """Return napari's own keys for drawing, as the user has set them."""
    chosen = get_settings().shortcuts.shortcuts
    rows = [(_text(chosen.get(action, ())), title) for action, title in _NAPARIS]
    undo = [("Ctrl+Z", "Undo"), ("Ctrl+Shift+Z", "Redo")]
    return [*((_text([KeyBinding.from_str(key)]), title) for key, title in undo), *((key, title) for key, title in rows if key)]


def _text(keys: Sequence[Any]) -> str:
    return " or ".join(str(Shortcut(key)) for key in keys)


class CheatSheet(QDialog):
    """The sheet, beside the window, which stays usable; the same key closes it.

    Parameters
    ----------
    viewer : napari.Viewer
        Whose window it belongs to.
    groups : sequence of (str, sequence of Row)
        Our keys under their headings.
    """

    def __init__(self, viewer: Any, groups: Sequence[tuple[str, Sequence[Row]]]) -> None:
        super().__init__(main_window(viewer))
        self.setWindowTitle("Keys")
        self.setModal(False)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.groups = [*groups, ("napari", naparis_rows())]
        columns = QHBoxLayout()
        columns.setSpacing(28)
        # Three columns are low enough for a laptop's screen.
        high = sum(len(rows) + 2 for _, rows in self.groups) / 3
        column, used = QVBoxLayout(), 0
        columns.addLayout(column)
        for title, rows in self.groups:
            if used and used + len(rows) / 2 > high:
                column.addStretch(1)
                column, used = QVBoxLayout(), 0
                columns.addLayout(column)
            column.addWidget(_group(title, rows))
            used += len(rows) + 2
        column.addStretch(1)
        layout = QVBoxLayout(self)
        layout.addLayout(columns)
        hint = QLabel("Every key can be changed under File > Preferences > Shortcuts.")
        layout.addWidget(hint)

    @classmethod
    def toggle(cls, viewer: Any, groups: Sequence[tuple[str, Sequence[Row]]]) -> CheatSheet | None:
        """Show the sheet, or close it where it is shown."""
        found = main_window(viewer).findChild(cls)
        if found is not None and found.isVisible():
            found.close()
            return None
        sheet = cls(viewer, groups)
        sheet.show()
        return sheet


def _group(title: str, rows: Sequence[Row]) -> QWidget:
    made = QWidget()
    grid = QGridLayout(made)
    grid.setContentsMargins(0, 0, 0, 6)
    grid.setVerticalSpacing(0)
    grid.setHorizontalSpacing(14)
    heading = QLabel(f"<b>{title}</b>")
    grid.addWidget(heading, 0, 0, 1, 2)
    for number, (key, text) in enumerate(rows, start=1):
        shown = QLabel(f"<code>{key}</code>")
        shown.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        grid.addWidget(shown, number, 0)
        grid.addWidget(QLabel(text), number, 1)
    grid.setColumnStretch(1, 1)
    return made
