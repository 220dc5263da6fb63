"""What the linked views need of napari's private parts; held to by `tests/gui/test_napari_views.py`.

napari has no second canvas. `SideCanvas` makes one of a model and napari's own Qt viewer,
`CentralPlace` puts widgets where the main canvas is and gives the place back, and `SceneLines`
draws lines that are no layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari._qt.qt_viewer import QtViewer
from napari.components import ViewerModel
from napari.settings import get_settings
from napari.utils.key_bindings import KeymapProvider
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QWidget

from napari_tumorseg.widgets.napari_adapter import real

__all__ = ["CentralPlace", "SceneLines", "SideCanvas", "main_qt_viewer"]

# What a key of napari does to the view under the cursor; all its other keys of the viewer are for the main one.
_OWN_ACTIONS: dict[str, Callable[[Any], None]] = {
    "napari:increment_dims_left": lambda model: model.dims._increment_dims_left(),
    "napari:increment_dims_right": lambda model: model.dims._increment_dims_right(),
}
_ON_TOP = 100_000


def main_qt_viewer(viewer: Any) -> QtViewer:
    """Return the Qt viewer of napari's window, the canvas with its sliders."""
    found: QtViewer = real(viewer).window._qt_viewer
    return found


class _OwnKeys(KeymapProvider):
    """The keys of `_OWN_ACTIONS` for one model, as the user has set them now."""

    def __init__(self, model: ViewerModel) -> None:
        super().__init__()
        self._model = model

    @property
    def keymap(self) -> dict[Any, Callable[[Any], None]]:
        """Keys and what they do."""
        chosen = get_settings().shortcuts.shortcuts
        return {key: self._run(action) for name, action in _OWN_ACTIONS.items() for key in chosen.get(name, ())}

    def _run(self, action: Callable[[Any], None]) -> Callable[[Any], None]:
        return lambda _provider: action(self._model)


class _SideQtViewer(QtViewer):
    """A canvas beside the main one: keys that are not about its own slice, and dropped files, are for the main viewer."""

    def __init__(self, model: ViewerModel, main: Any) -> None:
        self._main = main
        self._own_keys = _OwnKeys(model)
        super().__init__(model, show_welcome_screen=False)

    def _bind_shortcuts(self) -> None:
        # The window's own Qt viewer has bound them; once more would take back what was set since.
        return

    def _on_active_change(self) -> None:
        active = self.viewer.layers.selection.active
        first = [] if active is None else [active]
        self._key_map_handler.keymap_providers = [*first, self._own_keys, self._main]

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:  # noqa: N802
        """Let the main canvas say whether it takes this."""
        main_qt_viewer(self._main).dragEnterEvent(event)

    def dropEvent(self, event: QDropEvent | None) -> None:  # noqa: N802
        """Let the main viewer open what was dropped."""
        main_qt_viewer(self._main).dropEvent(event)


class SideCanvas:
    """A second canvas: a viewer model of its own and the Qt widget that draws it.

    Parameters
    ----------
    main : napari.Viewer
        Viewer of the window; gets the keys that are not about this canvas, and the status line.

    Attributes
    ----------
    model : ViewerModel
        Layers, dims and camera of this canvas.
    widget : QWidget
        To be put into a layout.
    canvas : QWidget
        What mouse and keys go to.
    drawn : bool
        Whether it has been drawn once.
    """

    def __init__(self, main: Any) -> None:
        self._main = real(main)
        self.drawn = False
        self.model = ViewerModel()
        self._qt: QtViewer = _SideQtViewer(self.model, self._main)
        self.widget: QWidget = self._qt
        self.canvas: QWidget = self._qt.canvas.native
        self._qt.canvas._scene_canvas.events.draw.connect(self._on_draw)
        self.model.cursor.events.position.connect(self._tell_cursor)
        self.model.events.mouse_over_canvas.connect(self._tell_over)

    @property
    def sliders(self) -> QWidget:
        """The row with the slice slider."""
        return self._qt.dims

    def screenshot(self) -> npt.NDArray[np.uint8]:
        """Return what the canvas shows, shape (rows, columns, 4)."""
        return np.asarray(self._qt.screenshot(flash=False))

    def close(self) -> None:
        """Close the canvas for good, with the layers on it."""
        self.model.cursor.events.position.disconnect(self._tell_cursor)
        self.model.events.mouse_over_canvas.disconnect(self._tell_over)
        self._qt._key_map_handler.keymap_providers = []
        self._qt.close()
        self._qt.deleteLater()

    def _on_draw(self, _event: Any) -> None:
        self.drawn = True
        self._qt.canvas._scene_canvas.events.draw.disconnect(self._on_draw)

    def _tell_cursor(self) -> None:
        # napari's status line reads the main viewer's cursor; positions are in the same world.
        main = self._main
        here = self.model.cursor.position
        if self.model.mouse_over_canvas and len(here) == 3 and len(main.cursor.position) >= 3:
            main.cursor.position = (*main.cursor.position[:-3], *here)

    def _tell_over(self) -> None:
        self._main.mouse_over_canvas = self.model.mouse_over_canvas


class SceneLines:
    """Straight lines in the world of a canvas, over all layers, in its pictures too.

    Parameters
    ----------
    owner : SideCanvas or napari.Viewer
        The canvas.
    count : int
        How many lines.
    """

    def __init__(self, owner: Any, count: int = 3) -> None:
        from vispy.scene.visuals import Line

        self._qt = owner._qt if isinstance(owner, SideCanvas) else main_qt_viewer(owner)
        self._lines = []
        for _ in range(count):
            line = Line(pos=np.zeros((2, 3), np.float32), connect="segments", method="gl", parent=self._qt.canvas.view.scene)
            line.order = _ON_TOP
            line.set_gl_state("translucent", depth_test=False)
            line.visible = False
            self._lines.append(line)

    @property
    def shown(self) -> tuple[tuple[tuple[float, ...], ...], ...]:
        """Ends of the visible lines in world order."""
        return tuple(tuple(tuple(float(v) for v in p[::-1]) for p in line.pos) for line in self._lines if line.visible)

    def set(self, lines: Sequence[tuple[npt.ArrayLike, tuple[float, float, float, float]]]) -> None:
        """Show lines.

        Parameters
        ----------
        lines : sequence of (array, colour)
            Array of shape (2 n, d): ends of n segments along the d displayed axes, in napari's order;
            colour in RGBA, 0 to 1.
        """
        for line, given in zip(self._lines, (*lines, *(None,) * len(self._lines)), strict=False):
            if given is None:
                line.visible = False
                continue
            ends = np.asarray(given[0], np.float32)[:, ::-1]
            flat = np.zeros((len(ends), 3), np.float32)
            flat[:, : ends.shape[1]] = ends
            line.set_data(pos=flat, color=given[1], connect="segments")
            line.visible = True

    def close(self) -> None:
        """Take the lines off the canvas."""
        for line in self._lines:
            line.parent = None
        self._lines.clear()


class CentralPlace:
    """The place of the main canvas in napari's window, lent to another widget and given back.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.
    """

    def __init__(self, viewer: Any) -> None:
        # The canvas is held only while the place is lent: a window that is closed must not be kept by this.
        self._viewer = real(viewer)
        self._qt: QtViewer | None = None
        self._widget: QWidget | None = None

    @property
    def lent(self) -> bool:
        """Whether another widget is in the place."""
        return self._widget is not None

    def lend(self, widget: QWidget, put: Callable[[QWidget], None]) -> None:
        """Show `widget` in the place; `put` is given the main canvas to put inside it."""
        if self._widget is not None:
            raise RuntimeError("the place is lent already")
        self._qt = main_qt_viewer(self._viewer)
        layout = self._qt.parentWidget().layout()
        # First into the window, then the canvas into it: outside the window its OpenGL context would be lost.
        layout.addWidget(widget)
        layout.removeWidget(self._qt)
        put(self._qt)
        self._widget = widget

    def give_back(self) -> None:
        """Put the main canvas back and take the other widget out of the window's layout."""
        if self._widget is None or self._qt is None:
            return
        layout = self._widget.parentWidget().layout()
        layout.addWidget(self._qt)
        layout.removeWidget(self._widget)
        self._qt.show()
        self._qt = self._widget = None
