"""The images of a case in a napari viewer, in radiological convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer
from qtpy.QtCore import QObject, Signal

from napari_tumorseg._layers import volume_to_layers
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.crosshair import Crosshair
from napari_tumorseg.widgets.napari_adapter import canvas_widget
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.workflows.display import Window
from napari_tumorseg.workflows.scene import Scene

__all__ = ["SceneView"]

_MARGIN = 3.0
_SMALLEST_FIELD_MM = 80.0
# A drag across this many pixels doubles the window, or moves it by its own width.
_PX_PER_WINDOW = 250.0


class SceneView(QObject):
    """Shows volumes one at a time, turns the view to a plane, and frames a place.

    Signals
    -------
    scene_changed()
        Other volumes are shown, or none.
    sequence_changed(str)
        Name of the volume that is seen; "" for none.
    plane_changed(str)
        "axial", "coronal", "sagittal", "3-D", or "" for another order of the axes.
    window_changed(float, float)
        Lower and upper limit of the grey-scale window of the volume that is seen.
    framed(object, float)
        World coordinates (z, y, x) that were brought to the middle, and the size of the field in mm.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    parent : QObject
        Owner.

    Attributes
    ----------
    crosshair : Crosshair
        Where all views of the case are.
    main : PlaneView
        napari's own canvas.
    """

    scene_changed = Signal()
    sequence_changed = Signal(str)
    plane_changed = Signal(str)
    window_changed = Signal(float, float)
    framed = Signal(object, float)

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.scene: Scene | None = None
        self.layers: dict[str, list[Image]] = {}
        self.sequence = ""
        self.crosshair = Crosshair(self)
        self.main = PlaneView(viewer, canvas_widget(viewer), self.crosshair, self)
        self.main.turned.connect(self.plane_changed)
        self._letters = self.main.letters
        self._window_at_press = (0.0, 1.0)
        self.read_mouse(self.main)

    def read_mouse(self, view: PlaneView) -> None:
        """Let a drag on a view's canvas set the window of the volume that is seen."""
        view.input.window_began.connect(self.begin_window)
        view.input.window_dragged.connect(self.drag_window)

    def show(self, volumes: Mapping[str, Volume], scene: Scene, first: str) -> None:
        """Show volumes on a scene, in the order given; only `first` is visible."""
        self.clear()
        for name in reversed(list(volumes)):
            self.layers[name] = [self._add(data) for data in volume_to_layers(volumes[name], scene)]
        self.layers = {name: self.layers[name] for name in volumes}
        self.scene = scene
        self.main.show(scene)
        self.show_sequence(first)
        self.show_plane("axial")
        self._go_to(scene.to_world(scene.grid.to_mm([n // 2 for n in scene.grid.shape])))
        self._viewer.reset_view()
        self.scene_changed.emit()

    def clear(self) -> None:
        """Take the volumes out of the viewer."""
        shown = self.scene is not None
        self.scene = None
        self.main.show(None)
        if shown:
            self.scene_changed.emit()
        shown_layers = [layer for layers in self.layers.values() for layer in layers if layer in self._viewer.layers]
        if shown_layers:
            # napari collects garbage after each removal otherwise, a quarter of a second for every volume.
            with self._viewer.layers.batched_update():
                for layer in shown_layers:
                    self._viewer.layers.remove(layer)
        self.layers = {}
        self.sequence = ""

    def show_sequence(self, name: str) -> None:
        """Make one volume visible and hide the others."""
        if name not in self.layers:
            return
        for other, layers in self.layers.items():
            for layer in layers:
                layer.visible = other == name
        self.sequence = name
        self.sequence_changed.emit(name)

    def step_sequence(self, by: int) -> None:
        """Show the next (1) or previous (-1) volume, round and round."""
        names = list(self.layers)
        if names:
            at = names.index(self.sequence) if self.sequence in names else 0
            self.show_sequence(names[(at + by) % len(names)])

    def set_window(self, window: Window) -> None:
        """Show the visible volume in a grey-scale window."""
        for layer in self.layers.get(self.sequence, ()):
            if not layer.rgb:
                low, high = layer.contrast_limits_range
                layer.contrast_limits_range = (min(low, window.low), max(high, window.high))
                layer.contrast_limits = (window.low, window.high)

    @property
    def window(self) -> tuple[float, float] | None:
        """Lower and upper limit of the grey-scale window of the visible volume; None for a colour image or no volume."""
        layer = next((layer for layer in self.layers.get(self.sequence, ()) if not layer.rgb), None)
        return None if layer is None else (float(layer.contrast_limits[0]), float(layer.contrast_limits[1]))

    def begin_window(self) -> None:
        """Remember the window from which a drag starts."""
        self._window_at_press = self.window or (0.0, 1.0)

    def drag_window(self, right_px: float, down_px: float) -> None:
        """Set the window by the way of the mouse since `begin_window`: to the right widens it, downwards raises its level."""
        if self.window is None:
            return
        low, high = self._window_at_press
        width, level = high - low, (low + high) / 2
        new_width = width * 2.0 ** (right_px / _PX_PER_WINDOW)
        new_level = level + width * down_px / _PX_PER_WINDOW
        self.set_window(Window.around("by hand", new_width, new_level))
        self._viewer.status = f"Window {new_width:.4g}, level {new_level:.4g}"

    @property
    def plane(self) -> str:
        """The plane in view: a name of `PLANES`, "3-D", or "" for another order of the axes."""
        return self.main.plane

    def _go_to(self, world: npt.NDArray[np.float64]) -> None:
        self.crosshair.move([float(v) for v in world])
        self._viewer.dims.point = (*self._viewer.dims.point[: self.main.lead], *(float(v) for v in world))

    def show_plane(self, name: str) -> None:
        """Turn the view to a plane of `PLANES`, or to "3-D", seen from the front."""
        if self.scene is not None and self.main.turn(name):
            self._viewer.reset_view(reset_camera_angle=False)

    def frame(self, point_mm: tuple[float, float, float], box: Box) -> None:
        """Bring a place in the patient to the middle of the view, with its box and a margin.

        Parameters
        ----------
        point_mm : tuple of float
            (x, y, z) in RAS millimetres.
        box : Box
            On the reference grid.
        """
        if self.scene is None:
            return
        scale = np.array(self.scene.scale_mm)
        there = self.scene.box_to_scene(box)
        # The slice through the centre of mass misses a lesion that is bent; its box bounds the choice.
        world = self.scene.to_world(point_mm)
        low = np.array(self.scene.translate_mm) + np.array(there.start) * scale
        high = np.array(self.scene.translate_mm) + (np.array(there.stop) - 1) * scale
        world = np.clip(world, low, high)
        self._go_to(world)
        self.main.centre(world)
        shown = list(self.main.order[-2:])
        extent = float(((np.array(there.stop) - np.array(there.start)) * scale)[shown].max())
        field_mm = max(_SMALLEST_FIELD_MM, _MARGIN * extent)
        if self._viewer.dims.ndisplay == 2:
            self._viewer.scene.camera.zoom = min(self._viewer.canvas.size) / field_mm
        self.framed.emit(world, field_mm)

    def focus(self) -> None:
        """Give the keyboard back to the canvas, so that napari's keys work after a click in the dock."""
        canvas_widget(self._viewer).setFocus()

    def _add(self, data: tuple[npt.NDArray[Any], dict[str, Any], str]) -> Image:
        array, meta, kind = data
        layer = Layer.create(array, {**meta, "visible": False}, kind)
        if not layer.rgb:
            layer.interpolation2d = "linear"
            layer.events.contrast_limits.connect(self._on_window)
        self._viewer.add_layer(layer)
        return layer

    def _on_window(self) -> None:
        window = self.window
        if window is not None:
            self.window_changed.emit(*window)
