"""One scale for several views of planes: zooming in one zooms in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.workflows.scene import PLANES

__all__ = ["SharedScale"]


class SharedScale(QObject):
    """Shows every plane at the scale of the one that was zoomed last.

    Parameters
    ----------
    views : callable
        Returns the views that are shown now.
    parent : QObject
        Owner.
    """

    def __init__(self, views: Callable[[], tuple[PlaneView, ...]], parent: QObject) -> None:
        super().__init__(parent)
        self._views = views
        self._zooming = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.fit)

    def follow(self, view: PlaneView) -> None:
        """Let a view set the scale of the others."""
        view.model.scene.camera.events.zoom.connect(self._on_zoom)

    def fit_soon(self) -> None:
        """Fit after the window has laid the canvases out; before that they do not know their sizes."""
        self._soon.start(0)

    def stop(self) -> None:
        """Drop what was to be fitted soon."""
        self._soon.stop()

    def fit(self) -> None:
        """Show all of the image in every view, at one scale."""
        views = self._views()
        if len(views) < 2 or views[0].scene is None:
            return
        flat = [view for view in views if view.plane in PLANES]
        with self._once():
            for view in views:
                view.model.reset_view(reset_camera_angle=False)
            shown = [view for view in flat if view.canvas.isVisible()]
            if shown:
                zoom = min(view.model.scene.camera.zoom for view in shown)
                for view in flat:
                    view.model.scene.camera.zoom = zoom

    @contextmanager
    def _once(self) -> Iterator[None]:
        # A camera that is set tells so; the others are not to be set by it again.
        self._zooming = True
        try:
            yield
        finally:
            self._zooming = False

    def _on_zoom(self, event: Any) -> None:
        if self._zooming:
            return
        views = self._views()
        source = next((view for view in views if view.model.scene.camera is event.source), None)
        if source is None or source.scene is None or source.plane not in PLANES:
            return
        with self._once():
            for view in views:
                if view is not source and view.plane in PLANES:
                    view.model.scene.camera.zoom = source.model.scene.camera.zoom
