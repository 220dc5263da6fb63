"""A declared pause: nothing of the case can be seen or changed while it lasts."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QWidget

from napari_tumorseg.widgets.napari_adapter import main_window

__all__ = ["PauseCover"]

# Larger than any screen, so that a dock can be made larger meanwhile.
_MORE_PX = 8000


class PauseCover:
    """Puts a plain area in the place of all canvases and disables the docks but one.

    The canvases are hidden, not covered, so that the record says that they were not seen.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._cover: QLabel | None = None
        self._hidden: list[QWidget] = []
        self._disabled: list[QDockWidget] = []
        self._sheets: list[QWidget] = []

    @property
    def on(self) -> bool:
        """Whether the pause lasts."""
        return self._cover is not None

    def set_on(self, on: bool, but: QWidget) -> None:
        """Begin or end the pause; the dock that holds `but` stays usable."""
        if on and self._cover is None:
            self._begin(but)
        elif not on and self._cover is not None:
            self._end()

    def _begin(self, but: QWidget) -> None:
        window = main_window(self._viewer)
        place = window.centralWidget()
        layout = place.layout() if place is not None else None
        assert layout is not None
        widgets = [item.widget() for i in range(layout.count()) if (item := layout.itemAt(i)) is not None]
        self._hidden = [widget for widget in widgets if widget is not None and not widget.isHidden()]
        for widget in self._hidden:
            widget.hide()
        self._disabled = [d for d in window.findChildren(QDockWidget) if not d.isAncestorOf(but) and d.isEnabled()]
        for dock in self._disabled:
            # The thumbnails of the layer list show the images, too. What is hidden would lose its place among the docks.
            sheet = QWidget(dock)
            sheet.setAutoFillBackground(True)
            sheet.setGeometry(0, dock.height() - _content_height(dock), _MORE_PX, _MORE_PX)
            sheet.show()
            self._sheets.append(sheet)
            dock.setEnabled(False)
        self._cover = QLabel("Paused\n\nContinue in the Study dock to see the images again.")
        self._cover.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._cover.setAccessibleName("Paused, the images are hidden")
        self._cover.setStyleSheet("font-size: 22px;")
        layout.addWidget(self._cover)

    def _end(self) -> None:
        cover, self._cover = self._cover, None
        assert cover is not None
        cover.hide()
        cover.setParent(None)
        cover.deleteLater()
        for widget in self._hidden:
            widget.show()
        for dock in self._disabled:
            dock.setEnabled(True)
        for sheet in self._sheets:
            sheet.hide()
            sheet.setParent(None)
            sheet.deleteLater()
        self._hidden, self._disabled, self._sheets = [], [], []


def _content_height(dock: QDockWidget) -> int:
    content = dock.widget()
    return content.height() if content is not None else 0
