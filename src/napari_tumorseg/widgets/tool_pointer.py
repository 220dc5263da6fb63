"""What the user points at on the canvas while an editing tool is in hand: a voxel or an outline."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal

from napari_tumorseg.editing.scope import Target
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.wire import Wire
from napari_tumorseg.workflows.scene import Scene

__all__ = ["Pointer"]


class Pointer(QObject):
    """Listens to one layer of a mask while a tool is in hand.

    Signals
    -------
    pointed(object)
        A `Target`.
    drawing(object)
        The outline so far in world coordinates, shape (n, 3); empty when there is none.
    left()
        The user has taken up another tool of napari's, or pressed Escape.

    Parameters
    ----------
    view : MaskLayer
        The layer.
    kind : str
        "click" or "outline".
    wire : Wire, optional
        With it an outline is set click by click and closed by a double click; without it, it is drawn.
    parent : QObject
        Owner.
    """

    pointed = Signal(object)
    drawing = Signal(object)
    left = Signal()

    def __init__(self, view: MaskLayer, kind: str, wire: Wire | None, parent: QObject) -> None:
        super().__init__(parent)
        self._view = view
        self._wire = wire
        self._path: list[npt.NDArray[np.float64]] = []
        self._shown: list[npt.NDArray[np.float64]] = []
        self._axis = 0
        layer = view.layer
        layer.mode = "pan_zoom"
        layer.mouse_pan = False
        layer.cursor = "cross"
        self._press: Callable[..., Any] = self._click if kind == "click" else self._draw if wire is None else self._anchor
        layer.mouse_drag_callbacks.append(self._press)
        if wire is not None:
            layer.mouse_move_callbacks.append(self._lead)
            layer.mouse_double_click_callbacks.append(self._close)
        layer.events.mode.connect(self._on_mode)

    def release(self) -> None:
        """Let the layer go."""
        layer = self._view.layer
        layer.events.mode.disconnect(self._on_mode)
        layer.mouse_drag_callbacks.remove(self._press)
        if self._wire is not None:
            layer.mouse_move_callbacks.remove(self._lead)
            layer.mouse_double_click_callbacks.remove(self._close)
        if str(layer.mode) == "pan_zoom":
            layer.mouse_pan = True
            layer.cursor = "standard"
        self._forget()

    def give_up(self) -> bool:
        """Drop the outline that is being drawn; return whether there was one."""
        had = bool(self._path)
        self._forget()
        return had

    def finish(self) -> bool:
        """Close the outline that is being drawn; return whether there was one to close."""
        path = self._path
        if len(path) < 3:
            return False
        self._forget()
        axis = self._axis
        points = self._to_mask(np.array(path))
        middle = np.rint(points.mean(axis=0)).astype(int)
        middle[axis] = round(float(points[0, axis]))
        z, y, x = (int(np.clip(v, 0, n - 1)) for v, n in zip(middle, self._view.document.grid.shape, strict=True))
        self.pointed.emit(Target(voxel=(z, y, x), path=points, axis=axis))
        return True

    # -- where

    @property
    def _scene(self) -> Scene:
        return self._view.scene

    def _to_mask(self, index: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Map fractional indices (..., 3) of the scene to those of the mask."""
        return np.asarray(self._scene.reference.to_index(self._scene.grid.to_mm(index)))

    def _index(self, event: Any) -> npt.NDArray[np.float64]:
        return np.asarray(self._view.layer.world_to_data(event.position), float)[-3:]

    def _inside(self, index: npt.NDArray[np.float64]) -> bool:
        return bool((np.rint(index) >= 0).all() and (np.rint(index) < np.array(self._scene.grid.shape)).all())

    def _use(self, event: Any) -> bool:
        """Whether this event of the mouse is for the tool; in 3-D there is no slice to point at."""
        return event.button == 1 and not event.modifiers and len(event.dims_displayed) == 2

    def _set_axis(self, event: Any) -> None:
        lead = len(event.position) - 3
        hidden = ({0, 1, 2} - {int(axis) - lead for axis in event.dims_displayed}).pop()
        self._axis = self._scene.move.order[hidden]

    # -- the mouse

    def _click(self, _layer: Any, event: Any) -> Generator[None, None, None]:
        if not self._use(event):
            return
        self._set_axis(event)
        index = self._index(event)
        yield
        while event.type == "mouse_move":
            yield
        if self._inside(index):
            z, y, x = (int(v) for v in np.rint(self._to_mask(np.rint(index))))
            self.pointed.emit(Target(voxel=(z, y, x), axis=self._axis))

    def _draw(self, _layer: Any, event: Any) -> Generator[None, None, None]:
        if not self._use(event):
            return
        self._set_axis(event)
        self._path = [self._index(event)]
        yield
        while event.type == "mouse_move":
            if not self._path:  # given up by Escape
                yield
                continue
            self._path.append(self._index(event))
            self._show(self._path)
            yield
        if not self.finish():
            self._forget()

    def _anchor(self, _layer: Any, event: Any) -> None:
        if not self._use(event) or self._wire is None:
            return
        index = self._index(event)
        if not self._inside(index):
            return
        if not self._path:
            self._set_axis(event)
            self._shown = [index]
        else:
            self._shown.extend(self._way(index))
        self._path.append(index)
        self._wire.start(self._to_mask(index), self._axis)
        self._show(self._shown)

    def _lead(self, _layer: Any, event: Any) -> None:
        index = self._index(event)
        if self._path and self._inside(index):
            self._show([*self._shown, *self._way(index)])

    def _close(self, _layer: Any, event: Any) -> None:
        if self._path and len(event.dims_displayed) == 2:
            self.finish()

    def _way(self, index: npt.NDArray[np.float64]) -> list[npt.NDArray[np.float64]]:
        assert self._wire is not None
        scene = self._scene
        return list(np.asarray(scene.grid.to_index(scene.reference.to_mm(self._wire.to(self._to_mask(index))))))

    def _show(self, path: list[npt.NDArray[np.float64]]) -> None:
        scene = self._scene
        self.drawing.emit(np.array(path) * np.array(scene.scale_mm) + np.array(scene.translate_mm))

    def _forget(self) -> None:
        self._path, self._shown = [], []
        self.drawing.emit(np.zeros((0, 3)))

    def _on_mode(self) -> None:
        if str(self._view.layer.mode) != "pan_zoom":
            self.left.emit()
