"""A view beside the main one: its canvas, its layers, its place in the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QObject

from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.napari_views import SideCanvas
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.widgets.search_slab import SlabView
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.widgets.surface_view import SurfaceView
from napari_tumorseg.widgets.view_relay import ViewRelay
from napari_tumorseg.workflows.scene import Scene

__all__ = ["PlaneSide", "SideView", "ThreeDSide"]


class SideView(QObject):
    """A second canvas over the scene, kept to one plane for as long as it lives.

    Parameters
    ----------
    session : Session
        Of the viewer.
    plane : str
        A name of `PLANES`, or "3-D".
    parent : QObject
        Owner.

    Attributes
    ----------
    plane : str
        What the view is kept to.
    canvas : SideCanvas
        What is drawn on.
    view : PlaneView
        Of the canvas.
    relay : ViewRelay, optional
        Keeps the layers like the main viewer's; a view in 3-D has layers of its own.
    """

    def __init__(self, session: Session, plane: str, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self.canvas = SideCanvas(session.viewer)
        # Without a layer napari counts two axes.
        self.canvas.model.dims.ndim = 3
        self.view = PlaneView(self.canvas.model, self.canvas.canvas, session.view.crosshair, self)
        self.relay: ViewRelay | None = None
        self.plane = plane
        self.canvas.model.dims.events.ndisplay.connect(self._keep)
        self.canvas.model.dims.events.order.connect(self._keep)

    def show(self, scene: Scene | None) -> None:
        """Show a scene in this view's plane."""
        if scene is not None:
            self.view.scene = scene
            self.turn(self.plane)
        self.view.show(scene)

    def turn(self, plane: str) -> None:
        """Show another plane."""
        self.plane = plane
        self.view.turn(plane)

    def close(self) -> None:
        """Give back all that the view holds on to."""
        dims = self.canvas.model.dims
        dims.events.ndisplay.disconnect(self._keep)
        dims.events.order.disconnect(self._keep)
        if self.relay is not None:
            self.relay.close()
        self.view.close()
        self.canvas.close()

    def _keep(self) -> None:
        # Adding a layer, or a key, may have turned the view.
        if self.view.scene is not None and self.view.plane != self.plane:
            self.view.turn(self.plane)


class PlaneSide(SideView):
    """A plane to be painted in, with the layers of the main viewer.

    Parameters
    ----------
    session : Session
        Of the viewer.
    plane : str
        A name of `PLANES`.
    find_mask : callable
        Given a layer of the main viewer, returns its `MaskLayer`, None where it is no mask of the case.
    parent : QObject
        Owner.
    """

    def __init__(self, session: Session, plane: str, find_mask: Callable[[Layer], MaskLayer | None], parent: QObject) -> None:
        super().__init__(session, plane, parent)
        session.keeper.screen.watch(self.canvas.model, self.canvas.canvas, f"beside {plane}", layers=False)
        session.view.read_mouse(self.view)
        self.relay = ViewRelay(
            session.viewer, self.canvas.model, find_mask, lambda line: session.said.emit(line, True), session.lesions.describe, self
        )
        self._slab = SlabView.of(session)
        self._slab.changed.connect(self._show_slab)
        self.view.turned.connect(self._show_slab)
        self._show_slab()

    def close(self) -> None:
        """Give back all that the view holds on to."""
        self._slab.changed.disconnect(self._show_slab)
        self._session.keeper.screen.leave(self.canvas.canvas)
        super().close()

    def _show_slab(self, _plane: str = "") -> None:
        self._slab.apply_to(self.view)


class ThreeDSide(SideView):
    """The active mask as surfaces, with the image behind them where that is wanted.

    Parameters
    ----------
    session : Session
        Of the viewer.
    parent : QObject
        Owner.

    Attributes
    ----------
    surface : SurfaceView
        What is drawn.
    """

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(session, "3-D", parent)
        self.view.title_3d = "3-D"
        self.surface = SurfaceView(self.view, session.runner, session.report, self)
        self._image_shown = False
        session.masks_changed.connect(self._follow_mask)
        session.view.sequence_changed.connect(self._follow_sequence)

    def show(self, scene: Scene | None) -> None:
        """Show a scene, the active mask and, where it is wanted, the image."""
        self.surface.show(scene)
        super().show(scene)
        self._follow_mask()
        self._follow_sequence()

    def show_image(self, shown: bool) -> None:
        """Show the image behind the surfaces, or the surfaces alone."""
        self._image_shown = shown
        self._follow_sequence()

    def want(self, shown: bool, seen: bool) -> None:
        """Say whether the view is drawn at all, and whether it is seen now."""
        self.canvas.widget.setVisible(shown)
        self.surface.want(shown and seen)

    def close(self) -> None:
        """Give back all that the view holds on to."""
        self._session.masks_changed.disconnect(self._follow_mask)
        self._session.view.sequence_changed.disconnect(self._follow_sequence)
        self.surface.close()
        super().close()

    def _follow_mask(self) -> None:
        active = self._session.active
        self.surface.watch(active.document if active is not None and self._session.view.scene is not None else None)

    def _follow_sequence(self, _name: str = "") -> None:
        view = self._session.view
        layers: Any = view.layers.get(view.sequence, ())
        self.surface.show_image(layers[0] if self._image_shown and layers else None)
