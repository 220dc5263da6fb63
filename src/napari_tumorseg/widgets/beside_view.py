"""A canvas beside the main one, in step with it, to look at only: a prior study, another version of the mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_tumorseg._layers import mask_to_layer
from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.napari_views import SideCanvas
from napari_tumorseg.widgets.parts import button, note
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.workflows.scene import PLANES, Scene

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["BesideView"]

#: Given the main view's window, returns that of an image beside it; None to leave it.
Limits = Callable[[float, float], tuple[float, float] | None]


class BesideView(QObject):
    """Slice, plane, zoom, position and window follow the main view, and the other way round for what the mouse does here.

    Nothing can be painted. The mask beside is hidden with the current one.

    Parameters
    ----------
    session : Session
        With a scene.
    scene : Scene
        That of the session.
    name : str
        What is beside.
    short : str
        The same in a word, for the button that closes it.
    close : callable
        What that button does.
    first : bool
        On the left of the main canvas, as time runs; otherwise on its right.
    """

    def __init__(self, session: Session, scene: Scene, name: str, short: str, close: Callable[[], None], *, first: bool = True) -> None:
        super().__init__(session)
        self._session = session
        self.scene = scene
        self._images: dict[str, tuple[Image, Limits]] = {}
        self._mask: Labels | None = None
        self._led_by: Layer | None = None
        self._following = False
        self.canvas = SideCanvas(session.viewer)
        # Without a layer napari counts two axes.
        self.canvas.model.dims.ndim = 3
        self.view = PlaneView(self.canvas.model, self.canvas.canvas, session.view.crosshair, self)
        self.title = note(name=name)
        self.root = QWidget()
        self.root.setObjectName(f"tumorseg_{short}")
        self.root.setAccessibleName(name)
        self.root.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        shut = button(f"Close {short}", "Show the current study alone", close)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(shut)
        layout = QVBoxLayout(self.root)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.canvas.widget, 1)
        # The canvas has the view's own sliders in step; a second row would only take room.
        self.canvas.sliders.hide()
        self._place = main_window(session.viewer).centralWidget().layout()
        self._place.insertWidget(0 if first else -1, self.root, 1)
        self._stretch(1)
        session.masks_changed.connect(self._follow_mask)
        self._follow_mask()
        session.view.plane_changed.connect(self._turn)
        session.view.window_changed.connect(self._on_window)
        self._cameras = (session.viewer.scene.camera, self.canvas.model.scene.camera)
        for camera, slot in zip(self._cameras, (self._on_main_camera, self._on_side_camera), strict=True):
            camera.events.zoom.connect(slot)
            camera.events.center.connect(slot)

    @property
    def has_mask(self) -> bool:
        """Whether a mask is shown."""
        return self._mask is not None

    @property
    def images(self) -> tuple[str, ...]:
        """Names of the images that are there."""
        return tuple(self._images)

    def close(self) -> None:
        """Give back all that the view holds on to."""
        self._session.masks_changed.disconnect(self._follow_mask)
        self._lead(None)
        self._session.view.plane_changed.disconnect(self._turn)
        self._session.view.window_changed.disconnect(self._on_window)
        for camera, slot in zip(self._cameras, (self._on_main_camera, self._on_side_camera), strict=True):
            camera.events.zoom.disconnect(slot)
            camera.events.center.disconnect(slot)
        self.view.close()
        self._images.clear()
        self._mask = None
        self.canvas.close()
        self._place.removeWidget(self.root)
        self._stretch(0)
        self.root.hide()
        self.root.deleteLater()
        self.deleteLater()

    def say(self, text: str) -> None:
        """Tell above the canvas what is shown."""
        self.title.setText(text)
        self.title.show()

    def add_image(self, name: str, layer: Image, limits: Limits) -> None:
        """Take an image in scene axes; `limits` says in which window it is shown."""
        layer.visible = False
        layer.interpolation2d = "linear"
        first = not self._images
        self._images[name] = (layer, limits)
        self.canvas.model.layers.insert(0, layer)
        if first:
            self.view.show(self.scene)
            self._turn(self._session.view.plane)

    def add_mask(self, mask: MaskVersion, name: str) -> None:
        """Show a mask on the scene's grid; it cannot be edited."""
        array, meta, kind = mask_to_layer(mask, name)
        layer = Layer.create(array, {**meta, "opacity": 0.45}, kind)
        layer.editable = False
        self._mask = layer
        self._on_mask_shown()
        self.canvas.model.layers.append(layer)

    def show_image(self, name: str) -> bool:
        """Show an image; return whether it is there."""
        if name not in self._images:
            return False
        for other, (layer, _limits) in self._images.items():
            layer.visible = other == name
        self.canvas.model.layers.selection.clear()
        window = self._session.view.window
        if window is not None:
            self._on_window(*window)
        return True

    # -- inside

    def _follow_mask(self) -> None:
        """Hide the mask when the current one is hidden, by key or by hand."""
        active = self._session.active
        self._lead(active.view.layer if active is not None and active.view is not None else None)

    def _lead(self, layer: Layer | None) -> None:
        if self._led_by is not None:
            self._led_by.events.visible.disconnect(self._on_mask_shown)
        self._led_by = layer
        if layer is not None:
            layer.events.visible.connect(self._on_mask_shown)
            self._on_mask_shown()

    def _on_mask_shown(self, _event: Any = None) -> None:
        if self._mask is not None and self._led_by is not None:
            self._mask.visible = self._led_by.visible

    def _stretch(self, share: int) -> None:
        # Others may be beside, too; they keep their share of the place.
        beside = [self._place.itemAt(i).widget() for i in range(self._place.count())]
        share = 1 if any(w is not None and w.objectName().startswith("tumorseg_") for w in beside) else share
        for index in range(self._place.count()):
            self._place.setStretch(index, share)

    def _turn(self, plane: str) -> None:
        if plane in PLANES and self._images:
            self.view.turn(plane)
            self._on_main_camera()

    def _on_main_camera(self) -> None:
        self._copy_camera(*self._cameras)

    def _on_side_camera(self) -> None:
        self._copy_camera(self._cameras[1], self._cameras[0])

    def _copy_camera(self, source: Any, target: Any) -> None:
        plain = self._session.viewer.dims.ndisplay == 2 and self.canvas.model.dims.ndisplay == 2
        if self._following or not plain or not self._images or self.view.plane != self._session.view.plane:
            return
        self._following = True
        try:
            target.zoom = source.zoom
            target.center = (*target.center[:-2], *source.center[-2:])
        finally:
            self._following = False

    def _on_window(self, low: float, high: float) -> None:
        for layer, limits_of in self._images.values():
            limits = limits_of(low, high) if layer.visible else None
            if limits is not None:
                whole = layer.contrast_limits_range
                layer.contrast_limits_range = (min(whole[0], limits[0]), max(whole[1], limits[1]))
                layer.contrast_limits = limits
