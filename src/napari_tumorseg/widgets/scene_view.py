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
from napari_tumorseg.widgets.edge_letters import EdgeLettersOverlay
from napari_tumorseg.widgets.napari_adapter import canvas_widget
from napari_tumorseg.workflows.display import Window
from napari_tumorseg.workflows.scene import PLANES, Scene

__all__ = ["SceneView"]

_AXIS_NAMES = ("S-I", "A-P", "R-L")
_MARGIN = 3.0
_SMALLEST_FIELD_MM = 80.0


class SceneView(QObject):
    """Shows volumes one at a time, turns the view to a plane, and frames a place.

    Signals
    -------
    sequence_changed(str)
        Name of the volume that is seen; "" for none.
    plane_changed(str)
        "axial", "coronal", "sagittal", "3-D", or "" for another order of the axes.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    parent : QObject
        Owner.
    """

    sequence_changed = Signal(str)
    plane_changed = Signal(str)

    def __init__(self, viewer: Any, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.scene: Scene | None = None
        self.layers: dict[str, list[Image]] = {}
        self.sequence = ""
        self._letters = EdgeLettersOverlay(viewer)
        viewer.dims.events.order.connect(self._on_turned)
        viewer.dims.events.ndisplay.connect(self._on_turned)
        viewer.dims.events.current_step.connect(self._on_moved)

    def show(self, volumes: Mapping[str, Volume], scene: Scene, first: str) -> None:
        """Show volumes on a scene, in the order given; only `first` is visible."""
        self.clear()
        self.scene = scene
        for name in reversed(list(volumes)):
            self.layers[name] = [self._add(data) for data in volume_to_layers(volumes[name], scene)]
        self.layers = {name: self.layers[name] for name in volumes}
        viewer = self._viewer
        viewer.dims.axis_labels = (*viewer.dims.axis_labels[: self._lead], *_AXIS_NAMES)
        viewer.scene.camera.orientation = ("towards", "down", "right")
        viewer.canvas.overlays.scale_bar.visible = True
        # Images are read on black whatever the theme.
        viewer.canvas.background_color_override = "black"
        self.show_sequence(first)
        self.show_plane("axial")
        self._go_to(scene.to_world(scene.grid.to_mm([n // 2 for n in scene.grid.shape])))
        self._viewer.reset_view()

    def clear(self) -> None:
        """Take the volumes out of the viewer."""
        for layers in self.layers.values():
            for layer in layers:
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        self.layers = {}
        self.scene = None
        self.sequence = ""
        self._viewer.canvas.background_color_override = None
        self._update_letters()

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
            low, high = layer.contrast_limits_range
            layer.contrast_limits_range = (min(low, window.low), max(high, window.high))
            layer.contrast_limits = (window.low, window.high)

    @property
    def plane(self) -> str:
        """The plane in view: a name of `PLANES`, "3-D", or "" for another order of the axes."""
        if self._viewer.dims.ndisplay == 3:
            return "3-D"
        return next((name for name in PLANES if self._order(name) == tuple(self._viewer.dims.order)), "")

    @property
    def _lead(self) -> int:
        """Number of axes before the scene's three, which layers of others may bring."""
        return max(0, int(self._viewer.dims.ndim) - 3)

    def _order(self, plane: str) -> tuple[int, ...]:
        return (*range(self._lead), *(self._lead + axis for axis in PLANES[plane]))

    def _go_to(self, world: npt.NDArray[np.float64]) -> None:
        self._viewer.dims.point = (*self._viewer.dims.point[: self._lead], *(float(v) for v in world))

    def show_plane(self, name: str) -> None:
        """Turn the view to a plane of `PLANES`, or to "3-D", seen from the front."""
        viewer = self._viewer
        if self.scene is None:
            return
        if name == "3-D":
            viewer.dims.order = self._order("axial")
            viewer.dims.ndisplay = 3
            # From the front, the patient's left on the right of the screen.
            viewer.scene.camera.set_view_direction(view_direction=(0, 1, 0), up_direction=(-1, 0, 0))
            viewer.reset_view(reset_camera_angle=False)
            return
        viewer.dims.ndisplay = 2
        if tuple(viewer.dims.order) != self._order(name):
            viewer.dims.order = self._order(name)
            viewer.reset_view()

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
        shown = [axis - self._lead for axis in self._viewer.dims.order[-3:]]
        self._viewer.scene.camera.center = tuple(float(world[axis]) for axis in shown)
        if self._viewer.dims.ndisplay == 2:
            extent = float(((np.array(there.stop) - np.array(there.start)) * scale)[shown[-2:]].max())
            self._viewer.scene.camera.zoom = min(self._viewer.canvas.size) / max(_SMALLEST_FIELD_MM, _MARGIN * extent)

    def focus(self) -> None:
        """Give the keyboard back to the canvas, so that napari's keys work after a click in the dock."""
        canvas_widget(self._viewer).setFocus()

    def _add(self, data: tuple[npt.NDArray[Any], dict[str, Any], str]) -> Image:
        array, meta, kind = data
        layer = Layer.create(array, {**meta, "visible": False}, kind)
        if not layer.rgb:
            layer.interpolation2d = "linear"
        self._viewer.add_layer(layer)
        return layer

    def _on_turned(self) -> None:
        self._update_letters()
        self.plane_changed.emit(self.plane)

    def _on_moved(self) -> None:
        self._update_letters()

    def _update_letters(self) -> None:
        dims = self._viewer.dims
        if self.scene is None or dims.ndisplay != 2 or dims.ndim < 3:
            self._letters.clear()
            return
        order = [axis - self._lead for axis in dims.order[-3:]]
        if sorted(order) != [0, 1, 2]:
            self._letters.clear()
            return
        axis = order[0]
        along, count = float(dims.point[self._lead + axis]), self.scene.grid.shape[axis]
        step = round((along - self.scene.translate_mm[axis]) / self.scene.scale_mm[axis])
        direction = ("SI", "AP", "RL")[axis][int(along >= 0)]
        title = f"{self.plane.capitalize() or 'Turned'}\n{direction} {abs(along):.1f} mm\n{step + 1} of {count}"
        self._letters.set(self.scene.letters(order), title)
