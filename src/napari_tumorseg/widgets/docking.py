"""Docks of napari's window: where they are put and how large they are."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_tumorseg.widgets.napari_adapter import main_window

__all__ = ["add_dock", "prefer_height", "prefer_width", "raise_dock"]


def add_dock(viewer: Any, widget: QWidget, name: str, area: str, *, beside: bool = False) -> QWidget:
    """Dock a widget below or beside napari's canvas and return its dock; `beside` makes it a tab of what is in that area."""
    dock: QWidget = viewer.window.add_dock_widget(widget, name=name, area=area, add_vertical_stretch=False, tabify=beside)
    return dock


def prefer_height(viewer: Any, dock: QWidget, height_px: int) -> None:
    """Give a dock below the canvas its height; the corners go to the docks at the sides."""
    window = main_window(viewer)
    window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
    window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
    if isinstance(dock, QDockWidget):
        window.resizeDocks([dock], [height_px], Qt.Orientation.Vertical)
        layout = window.layout()
        if layout is not None:
            layout.activate()


def prefer_width(viewer: Any, dock: QWidget, width_px: int) -> None:
    """Give a dock beside the canvas its width."""
    if isinstance(dock, QDockWidget):
        main_window(viewer).resizeDocks([dock], [width_px], Qt.Orientation.Horizontal)


def raise_dock(widget: QWidget) -> None:
    """Show the dock that holds `widget` before others."""
    dock: QWidget | None = widget
    while dock is not None and not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    if dock is not None:
        dock.show()
        dock.raise_()
