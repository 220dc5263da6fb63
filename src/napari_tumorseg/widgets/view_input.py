"""What the mouse does on a canvas as radiologists know it, kept apart from painting.

The wheel goes through the slices, with Ctrl it zooms; the right button held sets window and level,
the middle one moves the image; a double click puts the crosshair, and so does Shift with the left
button, which works while a brush is chosen, too. All of this is taken from the canvas before napari
sees it; the left button, and a right click without a drag, stay napari's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QEvent, QObject, QPointF, Qt, Signal
from qtpy.QtGui import QMouseEvent, QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

__all__ = ["ViewInput", "is_drawing", "world_at"]

_NOTCH = 120
_ZOOM_PER_NOTCH = 1.15
_CLICK_PX = 3
_HAND_OVER = (
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseMove,
    QEvent.Type.MouseButtonRelease,
    QEvent.Type.MouseButtonDblClick,
)


def world_at(model: Any, canvas: QWidget, position: QPointF) -> npt.NDArray[np.float64]:
    """Return the world coordinates under a place on a canvas that shows a plane.

    Parameters
    ----------
    model : ViewerModel
        Of the canvas.
    canvas : QWidget
        The canvas.
    position : QPointF
        In pixels of the widget.

    Returns
    -------
    numpy.ndarray
        Shape (ndim,), in the order of the model's axes; the slice's own place along what is not shown.
    """
    camera, size = model.scene.camera, canvas.size()
    world = np.array(model.dims.point, np.float64)
    row, column = model.dims.displayed[-2:]
    centre = camera.center[-2:]
    world[row] = centre[0] + (position.y() - size.height() / 2) / camera.zoom
    world[column] = centre[1] + (position.x() - size.width() / 2) / camera.zoom
    return world


def is_drawing(model: Any) -> bool:
    """Whether a left click would draw, pick or transform rather than move the image."""
    active = model.layers.selection.active
    # A tool that points takes the left button from the camera, and stays in napari's mode of moving the image.
    return active is not None and bool(active.visible) and (str(active.mode) != "pan_zoom" or not active.mouse_pan)


class ViewInput(QObject):
    """Gives the mouse on one canvas its meaning in a reading room; in 3-D all is left to napari.

    Signals
    -------
    activated()
        A button was pressed on the canvas.
    placed(object)
        World coordinates, shape (ndim,), where the crosshair was put.
    window_began(), window_dragged(float, float)
        Window and level are being set; the way since the press, in pixels to the right and down.

    Parameters
    ----------
    model : ViewerModel
        Of the canvas.
    canvas : QWidget
        The canvas.
    parent : QObject
        Owner.

    Attributes
    ----------
    enabled : bool
        Whether anything is taken from napari.
    """

    activated = Signal()
    placed = Signal(object)
    window_began = Signal()
    window_dragged = Signal(float, float)

    def __init__(self, model: Any, canvas: QWidget, parent: QObject) -> None:
        super().__init__(parent)
        self._model = model
        self._canvas = canvas
        self.enabled = False
        self._held = Qt.MouseButton.NoButton
        self._from = QPointF()
        self._last = QPointF()
        self._moved = False
        self._left_down = False
        self._notches = 0.0
        self._passing = False
        canvas.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Take what is meant for reading; let napari have the rest."""
        if self._passing or event is None or watched is not self._canvas:
            return False
        kind = event.type()
        if kind == QEvent.Type.MouseButtonPress:
            self.activated.emit()
        if not self.enabled or self._model.dims.ndisplay != 2:
            self._held = Qt.MouseButton.NoButton
            return False
        if kind == QEvent.Type.Wheel and isinstance(event, QWheelEvent):
            return self._wheel(event)
        if kind in _HAND_OVER and isinstance(event, QMouseEvent):
            return self._mouse(kind, event)
        return False

    def _wheel(self, event: QWheelEvent) -> bool:
        modifiers = event.modifiers()
        if modifiers & Qt.KeyboardModifier.AltModifier:
            return False
        if self._left_down or self._held != Qt.MouseButton.NoButton:
            # A finger that touches the wheel during a stroke must not move the slice under it.
            return True
        notches = event.angleDelta().y() / _NOTCH
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self._zoom(_ZOOM_PER_NOTCH**notches, event.position())
            return True
        self._notches += notches
        steps = int(self._notches)
        self._notches -= steps
        if steps:
            self._step(-steps)
        return True

    def _step(self, by: int) -> None:
        dims = self._model.dims
        axis = dims.order[-3] if dims.ndim >= 3 else None
        if axis is not None:
            last = int(dims.nsteps[axis]) - 1
            dims.set_current_step(axis, min(max(int(dims.current_step[axis]) + by, 0), last))

    def _zoom(self, factor: float, position: QPointF) -> None:
        camera = self._model.scene.camera
        shown = list(self._model.dims.displayed[-2:])
        under = world_at(self._model, self._canvas, position)[shown]
        centre = np.array(camera.center[-2:])
        camera.zoom = camera.zoom * factor
        camera.center = tuple(float(v) for v in under + (centre - under) / factor)

    def _mouse(self, kind: QEvent.Type, event: QMouseEvent) -> bool:
        if kind == QEvent.Type.MouseMove:
            return self._move(event)
        if kind == QEvent.Type.MouseButtonRelease:
            return self._release(event)
        return self._press(kind, event)

    def _press(self, kind: QEvent.Type, event: QMouseEvent) -> bool:
        button = event.button()
        if self._held != Qt.MouseButton.NoButton:
            return True
        if button == Qt.MouseButton.LeftButton:
            shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            twice = kind == QEvent.Type.MouseButtonDblClick and not is_drawing(self._model)
            if not shifted and not twice:
                self._left_down = True
                return False
            self._place(event.position())
        elif button not in (Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton) or self._left_down:
            return False
        self._held = button
        self._from = self._last = QPointF(event.position())
        self._moved = False
        return True

    def _move(self, event: QMouseEvent) -> bool:
        if self._held == Qt.MouseButton.NoButton:
            return False
        here = QPointF(event.position())
        way = here - self._from
        if not self._moved and max(abs(way.x()), abs(way.y())) < _CLICK_PX:
            return True
        if self._held == Qt.MouseButton.RightButton:
            if not self._moved:
                self.window_began.emit()
            self.window_dragged.emit(way.x(), way.y())
        elif self._held == Qt.MouseButton.MiddleButton:
            camera = self._model.scene.camera
            row, column = camera.center[-2:]
            camera.center = (row - (here.y() - self._last.y()) / camera.zoom, column - (here.x() - self._last.x()) / camera.zoom)
        else:
            self._place(here)
        self._moved = True
        self._last = here
        return True

    def _release(self, event: QMouseEvent) -> bool:
        if event.button() == Qt.MouseButton.LeftButton:
            self._left_down = False
        if self._held == Qt.MouseButton.NoButton or event.button() != self._held:
            return self._held != Qt.MouseButton.NoButton
        held, self._held = self._held, Qt.MouseButton.NoButton
        if held == Qt.MouseButton.RightButton and not self._moved:
            self._hand_over_click(event)
        return True

    def _hand_over_click(self, event: QMouseEvent) -> None:
        """Let napari have a right click that was no drag: it begins an outline that is filled."""
        self._passing = True
        try:
            for kind, buttons in (
                (QEvent.Type.MouseButtonPress, event.button()),
                (QEvent.Type.MouseButtonRelease, Qt.MouseButton.NoButton),
            ):
                again = QMouseEvent(kind, event.position(), event.globalPosition(), event.button(), buttons, event.modifiers())
                QApplication.sendEvent(self._canvas, again)
        finally:
            self._passing = False

    def _place(self, position: QPointF) -> None:
        self.placed.emit(world_at(self._model, self._canvas, position))
