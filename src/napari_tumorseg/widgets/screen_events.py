"""What a person does at the screen, for the record: pointer, wheel, keys, slices, layers, focus."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QWidget

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.timeline import BEAT_S

__all__ = ["ScreenEvents"]

_MOVE_EVERY_S = 0.1
_PAINTING = frozenset({"paint", "erase", "fill", "polygon"})
_VIEW_EVERY_MS = 150
_PRESSES = {
    QEvent.Type.MouseButtonPress: "press",
    QEvent.Type.MouseButtonRelease: "release",
    QEvent.Type.MouseButtonDblClick: "double",
}


class ScreenEvents(QObject):
    """Watches a window and its views, and tells what happens there; costs some microseconds for each event.

    Moves of the pointer and turns of the wheel are told ten times a second, zooming and panning when they pause. Every 20 s it is told
    that the program runs.

    Parameters
    ----------
    record : callable
        Told the `EventKind` and its data; JSON values.
    window : QWidget
        Owner.
    """

    def __init__(self, record: Callable[..., None], window: QWidget) -> None:
        super().__init__(window)
        self._record = record
        self._views: dict[QWidget, _View] = {}
        self._moved_s = 0.0
        self._turned_s = 0.0
        self._turned = 0
        self._focused = True
        self._beat = QTimer(self)
        self._beat.setInterval(int(BEAT_S * 1000))
        self._beat.timeout.connect(lambda: self._record(EventKind.BEAT))
        self._beat.start()
        # A filter on the window itself would keep napari's viewer alive after the window.
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            application.focusWindowChanged.connect(self._on_focus)

    def watch(self, viewer: Any, canvas: QWidget, name: str, *, layers: bool = True) -> None:
        """Watch a view, too: its model, the widget that it is drawn on, and the name it has in the record.

        With `layers`, what becomes of its layers is told; a view beside the main one has the same layers.
        """
        if canvas not in self._views:
            self._views[canvas] = _View(self._record, viewer, canvas, name, layers, self)
            canvas.installEventFilter(self)

    def leave(self, canvas: QWidget) -> None:
        """Watch a view no longer."""
        view = self._views.pop(canvas, None)
        if view is not None:
            self._record(EventKind.VIEW, view=view.name, on=False)
            view.stop()
            view.deleteLater()
            # napari deletes its canvas before its window.
            with suppress(RuntimeError):
                canvas.removeEventFilter(self)

    def tell_views(self) -> None:
        """Tell where every view stands, for a record that begins now."""
        self._record(EventKind.BEAT)
        for canvas, view in self._views.items():
            self._record(EventKind.VIEW, view=view.name, on=canvas.isVisible())
            view.tell()

    def stop(self) -> None:
        """Watch nothing any longer."""
        self._beat.stop()
        for canvas in tuple(self._views):
            self.leave(canvas)
        application = QGuiApplication.instance()
        if isinstance(application, QGuiApplication):
            with suppress(TypeError, RuntimeError):
                application.focusWindowChanged.disconnect(self._on_focus)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """See an event and let it pass."""
        if event is None:
            return False
        kind = event.type()
        view = self._views.get(watched) if isinstance(watched, QWidget) else None
        if view is None:
            return False
        if kind == QEvent.Type.MouseMove:
            now = time.monotonic()
            if now - self._moved_s >= _MOVE_EVERY_S:
                self._moved_s = now
                view.tell_pointer("move", 0)
        elif kind in _PRESSES and isinstance(event, QMouseEvent):
            view.tell_pointer(_PRESSES[kind], event.button().value)
        elif kind == QEvent.Type.Wheel and isinstance(event, QWheelEvent):
            self._turned += event.angleDelta().y()
            now = time.monotonic()
            if now - self._turned_s >= _MOVE_EVERY_S:
                self._record(EventKind.WHEEL, view=view.name, by=self._turned)
                self._turned_s, self._turned = now, 0
        elif kind in (QEvent.Type.Show, QEvent.Type.Hide):
            self._record(EventKind.VIEW, view=view.name, on=kind == QEvent.Type.Show)
            if kind == QEvent.Type.Show:
                view.tell_place()
        elif kind == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and not event.isAutoRepeat():
            self._record(EventKind.KEY, key=QKeySequence(event.keyCombination()).toString(QKeySequence.SequenceFormat.PortableText))
        return False

    def _on_focus(self, window: Any) -> None:
        """Tell when no window of the program has the keyboard any longer, or one has it again; its dialogs are part of the work."""
        focused = window is not None
        if focused is not self._focused:
            self._focused = focused
            self._record(EventKind.FOCUS, on=focused)


class _View(QObject):
    """Slices, zoom and layers of one viewer model."""

    def __init__(self, record: Callable[..., None], viewer: Any, canvas: QWidget, name: str, layers: bool, owner: QObject) -> None:
        super().__init__(owner)
        self.name = name
        self._layers = layers
        self._record = record
        self._viewer = viewer
        self._canvas = canvas
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_VIEW_EVERY_MS)
        self._pause.timeout.connect(self._tell_zoom)
        viewer.dims.events.current_step.connect(self._tell_slice)
        viewer.dims.events.order.connect(self._tell_slice)
        viewer.dims.events.ndisplay.connect(self._tell_slice)
        viewer.scene.camera.events.zoom.connect(self._on_moved)
        viewer.scene.camera.events.center.connect(self._on_moved)
        if layers:
            viewer.layers.selection.events.active.connect(self._tell_active)
            viewer.layers.events.inserted.connect(self._on_inserted)
            viewer.layers.events.removed.connect(self._on_removed)
            for layer in viewer.layers:
                self._follow(layer)

    def stop(self) -> None:
        """Let go of the model."""
        viewer = self._viewer
        self._pause.stop()
        viewer.dims.events.current_step.disconnect(self._tell_slice)
        viewer.dims.events.order.disconnect(self._tell_slice)
        viewer.dims.events.ndisplay.disconnect(self._tell_slice)
        viewer.scene.camera.events.zoom.disconnect(self._on_moved)
        viewer.scene.camera.events.center.disconnect(self._on_moved)
        if self._layers:
            viewer.layers.selection.events.active.disconnect(self._tell_active)
            viewer.layers.events.inserted.disconnect(self._on_inserted)
            viewer.layers.events.removed.disconnect(self._on_removed)
            for layer in viewer.layers:
                self._leave(layer)

    def tell(self) -> None:
        self.tell_place()
        for layer in self._viewer.layers if self._layers else ():
            self._record(EventKind.LAYER, view=self.name, name=layer.name, shown=bool(layer.visible))

    def tell_place(self) -> None:
        self._tell_slice()
        self._tell_zoom()

    def tell_pointer(self, act: str, button: int) -> None:
        at = [round(float(v), 2) for v in self._viewer.cursor.position]
        self._record(EventKind.POINTER, act=act, view=self.name, at=at, button=button)

    def _tell_slice(self, _event: Any = None) -> None:
        dims = self._viewer.dims
        self._record(
            EventKind.SLICE,
            view=self.name,
            step=[int(v) for v in dims.current_step],
            at=[round(float(v), 3) for v in dims.point],
            order=[int(v) for v in dims.order],
            shown=int(dims.ndisplay),
        )

    def _on_moved(self, _event: Any = None) -> None:
        if not self._pause.isActive():
            self._pause.start()

    def _tell_zoom(self) -> None:
        camera = self._viewer.scene.camera
        size = [self._canvas.width(), self._canvas.height()]
        centre = [round(float(v), 2) for v in camera.center]
        self._record(EventKind.ZOOM, view=self.name, zoom=round(float(camera.zoom), 4), centre=centre, size=size)

    def _tell_active(self, _event: Any = None) -> None:
        layer = self._viewer.layers.selection.active
        self._record(EventKind.LAYER, view=self.name, active=layer.name if layer is not None else "")

    def _tell_shown(self, event: Any) -> None:
        self._record(EventKind.LAYER, view=self.name, name=event.source.name, shown=bool(event.source.visible))

    def _tell_mode(self, event: Any) -> None:
        mode = str(event.mode)
        self._record(EventKind.TOOL, tool=mode if mode in _PAINTING else "")

    def _on_inserted(self, event: Any) -> None:
        self._follow(event.value)

    def _on_removed(self, event: Any) -> None:
        self._leave(event.value)

    def _follow(self, layer: Any) -> None:
        layer.events.visible.connect(self._tell_shown)
        if hasattr(layer.events, "mode"):
            layer.events.mode.connect(self._tell_mode)

    def _leave(self, layer: Any) -> None:
        layer.events.visible.disconnect(self._tell_shown)
        if hasattr(layer.events, "mode"):
            layer.events.mode.disconnect(self._tell_mode)
