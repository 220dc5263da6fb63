"""One view of the scene: its slice, its letters, the crosshair in it and the mouse on it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_tumorseg.widgets.crosshair import PLANE_COLOURS, Crosshair
from napari_tumorseg.widgets.edge_letters import EdgeLettersOverlay, plane_of, slice_title
from napari_tumorseg.widgets.napari_views import SceneLines
from napari_tumorseg.widgets.view_input import ViewInput
from napari_tumorseg.workflows.scene import PLANES, Scene

__all__ = ["PlaneView"]

_AXIS_NAMES = ("S-I", "A-P", "R-L")
# The lines leave the place they point at free to be seen.
_GAP_MM = 4.0
_ALPHA = 0.75
_BOX = (0.5, 0.5, 0.5, 0.6)
_PLANE_OF_AXIS = {order[0]: plane for plane, order in PLANES.items()}


class PlaneView(QObject):
    """Keeps one canvas at the crosshair, whichever of the two is moved.

    Signals
    -------
    turned(str)
        The plane in view: a name of `PLANES`, "3-D", or "" for another order of the axes.

    Parameters
    ----------
    model : ViewerModel
        Of the canvas: napari's own viewer, or one beside it.
    canvas : QWidget
        What the mouse goes to.
    crosshair : Crosshair
        Shared by all views.
    parent : QObject
        Owner.

    Attributes
    ----------
    letters : EdgeLettersOverlay
        At the edges.
    input : ViewInput
        The mouse.
    lines : SceneLines, optional
        The crosshair's lines, while they are wanted.
    scene : Scene, optional
        What is shown.
    title_3d : str
        What is written over the view in 3-D.
    """

    turned = Signal(str)

    def __init__(self, model: Any, canvas: QWidget, crosshair: Crosshair, parent: QObject) -> None:
        super().__init__(parent)
        self.model = model
        self.canvas = canvas
        self.crosshair = crosshair
        self.scene: Scene | None = None
        self.lines: SceneLines | None = None
        self.title_3d = ""
        self.letters = EdgeLettersOverlay(model)
        self.input = ViewInput(model, canvas, self)
        self.input.placed.connect(self._on_placed)
        self._following = False
        self._seen = tuple(float(v) for v in model.dims.point[-3:]) if model.dims.ndim >= 3 else (0.0, 0.0, 0.0)
        model.dims.events.order.connect(self._on_turned)
        model.dims.events.ndisplay.connect(self._on_turned)
        model.dims.events.current_step.connect(self._on_stepped)
        crosshair.moved.connect(self._on_crosshair)

    def close(self) -> None:
        """Let go of the canvas and the crosshair."""
        dims = self.model.dims
        dims.events.order.disconnect(self._on_turned)
        dims.events.ndisplay.disconnect(self._on_turned)
        dims.events.current_step.disconnect(self._on_stepped)
        self.crosshair.moved.disconnect(self._on_crosshair)
        self.canvas.removeEventFilter(self.input)
        self.show_lines(None)

    @property
    def lead(self) -> int:
        """Number of axes before the scene's three, which layers of others may bring."""
        return max(0, int(self.model.dims.ndim) - 3)

    @property
    def order(self) -> tuple[int, ...]:
        """The scene's axes as the view has them; the last two or three are seen."""
        return tuple(int(axis) - self.lead for axis in self.model.dims.order[-3:])

    @property
    def plane(self) -> str:
        """The plane in view: a name of `PLANES`, "3-D", or "" for another order of the axes."""
        return "3-D" if self.model.dims.ndisplay == 3 else plane_of(self.order)

    def show(self, scene: Scene | None) -> None:
        """Show a scene, in radiological convention; None for nothing."""
        self.scene = scene
        self.input.enabled = scene is not None
        model = self.model
        if scene is None:
            model.canvas.background_color_override = None
            model.canvas.overlays.scale_bar.visible = False
        else:
            self.name_axes()
            model.scene.camera.orientation = ("towards", "down", "right")
            model.canvas.overlays.scale_bar.visible = True
            # Images are read on black whatever the theme.
            model.canvas.background_color_override = "black"
        self._draw()

    def name_axes(self) -> None:
        """Call the sliders after the patient's directions."""
        dims = self.model.dims
        if dims.ndim >= 3:
            dims.axis_labels = (*dims.axis_labels[: self.lead], *_AXIS_NAMES)

    def turn(self, plane: str) -> bool:
        """Turn the view to a plane of `PLANES` or to "3-D", seen from the front; return whether it has turned."""
        dims, lead = self.model.dims, self.lead
        before = (dims.ndisplay, tuple(dims.order))
        wanted = (*range(lead), *(lead + axis for axis in PLANES["axial" if plane == "3-D" else plane]))
        if plane == "3-D":
            dims.order = wanted
            dims.ndisplay = 3
            # From the front, the patient's left on the right of the screen.
            self.model.scene.camera.set_view_direction(view_direction=(0, 1, 0), up_direction=(-1, 0, 0))
            return True
        dims.ndisplay = 2
        if tuple(dims.order) != wanted:
            dims.order = wanted
        self._on_crosshair()
        return before != (dims.ndisplay, tuple(dims.order))

    def centre(self, point_mm: npt.ArrayLike) -> None:
        """Bring world coordinates (z, y, x) to the middle of the canvas."""
        point = np.asarray(point_mm, float)
        shown = self.order if self.model.dims.ndisplay == 3 else self.order[-2:]
        camera = self.model.scene.camera
        rest = camera.center[: len(camera.center) - len(shown)]
        camera.center = (*rest, *(float(point[axis]) for axis in shown))

    def holds(self, point_mm: npt.ArrayLike) -> bool:
        """Whether world coordinates (z, y, x) are on the canvas, their slice apart."""
        point = np.asarray(point_mm, float)
        camera, size = self.model.scene.camera, self.canvas.size()
        half = np.array([size.height(), size.width()]) / 2 / camera.zoom
        return bool((np.abs(point[list(self.order[-2:])] - np.array(camera.center[-2:])) < half).all())

    def show_lines(self, lines: SceneLines | None) -> None:
        """Show the crosshair by these lines, or not at all."""
        if self.lines is not None and self.lines is not lines:
            self.lines.close()
        self.lines = lines
        self._draw()

    def _on_placed(self, world: npt.NDArray[np.float64]) -> None:
        if self.scene is None:
            return
        first = np.array(self.scene.translate_mm)
        last = first + (np.array(self.scene.grid.shape) - 1) * np.array(self.scene.scale_mm)
        self.crosshair.move(np.clip(world[-3:], first, last))

    def _on_turned(self) -> None:
        self._draw()
        self.turned.emit(self.plane)

    def _on_stepped(self) -> None:
        dims = self.model.dims
        if dims.ndim < 3:
            return
        here = tuple(float(v) for v in dims.point[-3:])
        if self.scene is not None and not self._following:
            # A coordinate within the plane is followed only when somebody sets it; it is not kept up otherwise.
            point = zip(here, self._seen, self.crosshair.point_mm, strict=True)
            self.crosshair.move([new if new != old else kept for new, old, kept in point])
        self._seen = here
        self._draw()

    def _on_crosshair(self) -> None:
        dims = self.model.dims
        if self.scene is None or dims.ndim < 3:
            return
        self._following = True
        try:
            # Only across the plane: a coordinate within it would have every layer sliced anew for the same picture.
            if dims.ndisplay == 2:
                axis = self.order[0]
                if abs(dims.point[self.lead + axis] - self.crosshair.point_mm[axis]) > 1e-6:
                    dims.set_point(self.lead + axis, self.crosshair.point_mm[axis])
        finally:
            self._following = False
        self._draw()

    def _draw(self) -> None:
        self._draw_letters()
        self._draw_lines()

    def _draw_letters(self) -> None:
        dims, scene, order = self.model.dims, self.scene, self.order
        if scene is not None and dims.ndisplay == 3 and self.title_3d:
            self.letters.set_title(self.title_3d)
            return
        if scene is None or dims.ndim < 3 or dims.ndisplay != 2 or sorted(order) != [0, 1, 2]:
            self.letters.clear()
            return
        self.letters.set(scene.letters(order), slice_title(scene, order, float(dims.point[self.lead + order[0]])))

    def _draw_lines(self) -> None:
        if self.lines is None:
            return
        scene, order = self.scene, self.order
        if scene is None or sorted(order) != [0, 1, 2]:
            self.lines.set([])
            return
        half = np.array(scene.scale_mm) / 2
        low = np.array(scene.translate_mm) - half
        high = low + 2 * half * np.array(scene.grid.shape)
        point = np.array(self.crosshair.point_mm)
        shown = list(order if self.model.dims.ndisplay == 3 else order[-2:])
        gap = 0.0 if len(shown) == 3 else _GAP_MM
        made = []
        for along in shown:
            ends = np.tile(point, (4, 1))
            ends[:, along] = (low[along], max(low[along], point[along] - gap), min(high[along], point[along] + gap), high[along])
            made.append((ends[:, shown], _rgba(self._line_plane(along, shown))))
        if len(shown) == 3:
            made.append((_edges(low[shown], high[shown]), _BOX))
        self.lines.set(made)

    def _line_plane(self, along: int, shown: list[int]) -> str:
        """Return the plane that a line along an axis of the view stands for; in 3-D the one it is at right angles to."""
        if len(shown) == 3:
            return _PLANE_OF_AXIS[along]
        return _PLANE_OF_AXIS[next(axis for axis in shown if axis != along)]


def _edges(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the 24 ends of the edges of a box."""
    corners = list(itertools.product((0, 1), repeat=3))
    pairs = [(a, b) for a in corners for b in corners if a < b and sum(i != j for i, j in zip(a, b, strict=True)) == 1]
    return np.array([low + np.array(corner) * (high - low) for pair in pairs for corner in pair])


def _rgba(plane: str) -> tuple[float, float, float, float]:
    colour = PLANE_COLOURS[plane]
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, _ALPHA
