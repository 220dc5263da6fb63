"""Four views of one case: axial, coronal and sagittal, each to be painted in, and the mask in 3-D."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QFrame, QLabel, QSplitter, QVBoxLayout, QWidget

from napari_tumorseg.widgets.crosshair import PLANE_COLOURS
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.napari_adapter import main_window, real
from napari_tumorseg.widgets.napari_views import CentralPlace, SceneLines, SideCanvas, main_qt_viewer
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.widgets.surface_view import SurfaceView
from napari_tumorseg.widgets.view_relay import ViewRelay
from napari_tumorseg.workflows.scene import PLANES

__all__ = ["LinkedViews"]

_THREE_D_DELAY_MS = 200
_QUIET = "rgba(128, 128, 128, 90)"


class _Panel(QFrame):
    """A frame around one view that says by its colour which one is active, and by a text when it is switched off."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(f"tumorseg_view_{name}")
        self.setAccessibleName(f"View {name}")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(1, 1, 1, 1)
        self._layout.setSpacing(0)
        self._note = QLabel()
        self._note.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._note.hide()
        self._layout.addWidget(self._note)
        self.mark(None)

    def hold(self, widget: QWidget) -> None:
        """Put a view inside."""
        self._layout.addWidget(widget, 1)

    def mark(self, colour: str | None) -> None:
        """Frame the panel as the active one, in a colour, or as one of the others."""
        self.setStyleSheet(f"#{self.objectName()} {{ border: 1px solid {colour or _QUIET}; }}")

    def say(self, text: str) -> None:
        """Show a text instead of the view, "" for the view."""
        self._note.setText(text)
        self._note.setVisible(bool(text))


class _SideView(QObject):
    """A view beside the main one: its canvas, its layers, its place in the scene."""

    def __init__(self, owner: LinkedViews, plane: str) -> None:
        super().__init__(owner)
        session = owner.session
        self.canvas = SideCanvas(session.viewer)
        # Without a layer napari counts two axes.
        self.canvas.model.dims.ndim = 3
        self.view = PlaneView(self.canvas.model, self.canvas.canvas, session.view.crosshair, self)
        self.relay: ViewRelay | None = None
        self.plane = plane
        if plane != "3-D":
            session.view.read_mouse(self.view)
            self.relay = ViewRelay(
                session.viewer,
                self.canvas.model,
                owner.find_mask,
                lambda line: session.said.emit(line, True),
                session.lesions.describe,
                self,
            )
        self.canvas.model.dims.events.ndisplay.connect(self._keep)
        self.canvas.model.dims.events.order.connect(self._keep)

    def show(self, scene: Any) -> None:
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
        # A view is one plane for as long as it lives; adding a layer, or a key, may have turned it.
        if self.view.scene is not None and self.view.plane != self.plane:
            self.view.turn(self.plane)


class LinkedViews(QObject):
    """Shows the other two planes and the mask in 3-D beside napari's own canvas.

    napari's canvas stays the first view, with its layer list and controls; the others have
    layers of their own over the same arrays and documents. All share crosshair and scale.

    Signals
    -------
    changed()
        The views were switched on or off, or another one is active or alone.

    Parameters
    ----------
    session : Session
        Of the viewer.

    Attributes
    ----------
    active : str
        Plane of the view that was clicked last, or "3-D".
    alone : bool
        Whether the active view has the whole place.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.active = "axial"
        self.alone = False
        self.surface: SurfaceView | None = None
        self._crosshair_shown = True
        self._three_d = True
        self._image_3d = False
        self._place = CentralPlace(session.viewer)
        self._sides: list[_SideView] = []
        self._panels: list[_Panel] = []
        self._root: QWidget | None = None
        self._rows: list[QSplitter] = []
        self._zooming = False
        self._closing = False
        self._fit_soon = QTimer(self)
        self._fit_soon.setSingleShot(True)
        self._fit_soon.timeout.connect(self.fit)
        self._three_d_soon = QTimer(self)
        self._three_d_soon.setSingleShot(True)
        self._three_d_soon.timeout.connect(self._open_three_d)
        self._reopen = QTimer(self)
        self._reopen.setSingleShot(True)
        self._reopen.timeout.connect(self._on_not_closed)
        view = session.view
        view.scene_changed.connect(self._on_scene)
        view.plane_changed.connect(self._on_main_turned)
        view.framed.connect(self._on_framed)
        view.sequence_changed.connect(self._on_sequence)
        view.crosshair.moved.connect(self._keep_in_sight)
        view.main.input.activated.connect(lambda: self._activate(0))
        session.viewer.scene.camera.events.zoom.connect(self._on_main_zoom)
        session.masks_changed.connect(self._on_mask)
        session.focus.changed.connect(self._on_highlight)
        session.lesions.changed.connect(self._on_highlight)
        # The main Qt viewer is closed by a script, the window by its user.
        window = main_window(session.viewer)
        self._window = weakref.ref(window)
        for closed in (window, main_qt_viewer(session.viewer)):
            closed.installEventFilter(self)

    @classmethod
    def of(cls, session: Session) -> LinkedViews:
        """Return the linked views of a session, made at the first call and switched off."""
        found = session.findChild(cls)
        return found if found is not None else cls(session)

    # -- what the user does

    @property
    def on(self) -> bool:
        """Whether the four views are shown."""
        return bool(self._sides)

    def toggle(self) -> None:
        """Show four views, or napari's alone again."""
        self.set_on(not self.on)

    def set_on(self, on: bool) -> None:
        """Show four views, or napari's alone."""
        if on and not self.on:
            self._open()
        elif not on and self.on:
            self._close()

    def toggle_alone(self) -> None:
        """Give the active view the whole place, or show all four again."""
        if self.on:
            self._set_alone(not self.alone)

    @property
    def crosshair_shown(self) -> bool:
        """Whether the crosshair's lines are drawn."""
        return self._crosshair_shown

    def show_crosshair(self, shown: bool) -> None:
        """Draw the crosshair's lines in all views, or in none."""
        self._crosshair_shown = shown
        for view, owner in self.owners:
            view.show_lines(SceneLines(owner, 4) if shown and self.on else None)
        self.changed.emit()

    @property
    def three_d(self) -> bool:
        """Whether the 3-D view is drawn."""
        return self._three_d

    def show_three_d(self, shown: bool) -> None:
        """Draw the mask in 3-D, or leave that view empty, where drawing is slow."""
        self._three_d = shown
        self._arrange()

    @property
    def image_in_three_d(self) -> bool:
        """Whether the image is seen behind the surfaces."""
        return self._image_3d

    def show_image_in_three_d(self, shown: bool) -> None:
        """Show the image behind the surfaces; slow without a graphics card."""
        self._image_3d = shown
        self._on_sequence()
        self.changed.emit()

    def fit(self) -> None:
        """Show all of the image in every view, at one scale."""
        if not self.on or self.session.view.scene is None:
            return
        flat = [view for view in self.views if view.plane in PLANES]
        self._zooming = True
        try:
            for view in self.views:
                view.model.reset_view(reset_camera_angle=False)
            shown = [view for view in flat if view.canvas.isVisible()]
            if shown:
                zoom = min(view.model.scene.camera.zoom for view in shown)
                for view in flat:
                    view.model.scene.camera.zoom = zoom
        finally:
            self._zooming = False

    # -- what others ask

    @property
    def views(self) -> tuple[PlaneView, ...]:
        """All views, napari's own first; only that one while the others are off."""
        return (self.session.view.main, *(side.view for side in self._sides))

    @property
    def owners(self) -> tuple[tuple[PlaneView, Any], ...]:
        """All views, each with what `SceneLines` draw on."""
        return ((self.session.view.main, self.session.viewer), *((side.view, side.canvas) for side in self._sides))

    def view_of(self, plane: str) -> PlaneView:
        """Return the view that shows a plane or "3-D".

        Raises
        ------
        KeyError
            If none does.
        """
        for view in self.views:
            if view.plane == plane:
                return view
        raise KeyError(plane)

    def counterpart(self, layer: Layer, plane: str) -> Layer | None:
        """Return what stands for a layer of napari's layer list in the view of a plane; None where nothing does."""
        view = self.view_of(plane)
        side = next((side for side in self._sides if side.view is view), None)
        if side is None:
            return layer
        return side.relay.counterpart(layer) if side.relay is not None else None

    def mask_layers(self) -> list[MaskLayer]:
        """Return the layers of the active mask, napari's own first, then one for each other plane; a tool listens to all."""
        active = self.session.active
        if active is None or active.view is None:
            return []
        own = active.view
        sides = (side.relay.mask_layer(own.layer) for side in self._sides if side.relay is not None)
        return [own, *(layer for layer in sides if layer is not None)]

    def find_mask(self, layer: Layer) -> MaskLayer | None:
        """Return the mask of the case that a layer shows."""
        return next((m.view for m in self.session.masks if m.view is not None and m.view.layer is layer), None)

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Close the views before napari closes its window."""
        if event is not None and event.type() == QEvent.Type.Close and self.on and not self._closing:
            self._closing = True
            self.set_on(False)
            self._reopen.start(0)
        return False

    # -- inside

    def _open(self) -> None:
        session = self.session
        panels = [_Panel(name) for name in ("main", "second", "third", "3-D")]
        root = QSplitter(Qt.Orientation.Vertical)
        root.setObjectName("tumorseg_views")
        self._rows = [QSplitter(Qt.Orientation.Horizontal), QSplitter(Qt.Orientation.Horizontal)]
        for number, panel in enumerate(panels):
            self._rows[number // 2].addWidget(panel)
        for row in self._rows:
            row.setChildrenCollapsible(False)
            root.addWidget(row)
        root.setChildrenCollapsible(False)
        self._root, self._panels = root, panels
        # A place for the main view first: what is put into the window later is sized with it.
        self._place.lend(root, panels[0].hold)
        others = [plane for plane in PLANES if plane != session.view.plane][:2]
        self._sides = []
        for plane in others:
            self._add(plane)
        for side in self._sides:
            side.canvas.model.scene.camera.events.zoom.connect(self._on_side_zoom)
        self.active = session.view.plane
        self.alone = False
        self._on_scene()
        self._on_highlight()
        self.show_crosshair(self._crosshair_shown)
        for splitter in (root, *self._rows):
            splitter.setSizes([10_000, 10_000])
        self._arrange()

    def _add(self, plane: str) -> _SideView:
        side = _SideView(self, plane)
        self._sides.append(side)
        number = len(self._sides)
        self._panels[number].hold(side.canvas.widget)
        side.view.input.activated.connect(lambda: self._activate(number))
        return side

    def _open_three_d(self) -> None:
        """Make the 3-D view: after the planes have been drawn, because nobody waits for it."""
        if not self.on or self.surface is not None or not self._three_d:
            return
        side = self._add("3-D")
        side.view.title_3d = "3-D"
        self.surface = SurfaceView(side.view, self.session.runner, self.session.report, self)
        scene = self.session.view.scene
        self.surface.show(scene)
        side.show(scene)
        self._on_mask()
        self._on_sequence()
        if self._crosshair_shown:
            side.view.show_lines(SceneLines(side.canvas, 4))
        self._arrange(fit=False)
        side.canvas.model.reset_view(reset_camera_angle=False)

    def _close(self) -> None:
        self._fit_soon.stop()
        self._three_d_soon.stop()
        if self.surface is not None:
            self.surface.close()
            self.surface.deleteLater()
            self.surface = None
        sides, self._sides = self._sides, []
        self._place.give_back()
        self.session.view.main.show_lines(None)
        for side in sides:
            side.close()
            side.deleteLater()
        if self._root is not None:
            self._root.hide()
            self._root.deleteLater()
        self._root, self._panels, self._rows = None, [], []
        self.alone = False
        self.active = self.session.view.plane
        if not self._closing and self.session.view.scene is not None:
            self.session.viewer.reset_view(reset_camera_angle=False)
        self.changed.emit()

    def _on_not_closed(self) -> None:
        # The user was asked, and keeps the window.
        self._closing = False
        window = self._window()
        if window is not None and window.isVisible():
            self.set_on(True)

    def _activate(self, number: int) -> None:
        if not self.on:
            return
        plane = self.views[number].plane
        if plane != self.active:
            self.active = plane
            self._mark()
            self.changed.emit()

    def _active_number(self) -> int:
        return next((n for n, view in enumerate(self.views) if view.plane == self.active), 0)

    def _set_alone(self, alone: bool) -> None:
        self.alone = alone
        self._arrange()

    def _arrange(self, fit: bool = True) -> None:
        """Show the panels that are wanted, and size what is in them."""
        if not self.on:
            return
        if self._three_d and self.surface is None:
            self._three_d_soon.start(_THREE_D_DELAY_MS)
        active = self._active_number()
        for number, panel in enumerate(self._panels):
            panel.setVisible(not self.alone or number == active)
        for number, row in enumerate(self._rows):
            row.setVisible(not self.alone or active // 2 == number)
        self._panels[3].say("" if self._three_d else "The 3-D view is off")
        if self.surface is not None:
            self._sides[2].canvas.widget.setVisible(self._three_d)
            self.surface.want(self._three_d and (not self.alone or active == 3))
        self._mark()
        if fit:
            # The canvases know their sizes after the window has laid them out.
            self._fit_soon.start(0)
        self.changed.emit()

    def _mark(self) -> None:
        active = self._active_number()
        for number, panel in enumerate(self._panels):
            panel.mark(PLANE_COLOURS.get(self.active, "#DDDDDD") if number == active else None)

    def _on_scene(self) -> None:
        scene = self.session.view.scene
        if self.surface is not None:
            self.surface.show(scene)
        for side in self._sides:
            side.show(scene)
        self._on_mask()
        self._on_sequence()
        if scene is not None and self.on:
            self._fit_soon.start(0)

    def _on_main_turned(self, plane: str) -> None:
        """Show what the main view leaves, each plane once."""
        if not self.on or plane not in PLANES:
            return
        shown = [side.plane for side in self._sides[:2]]
        if plane in shown:
            missing = next(p for p in PLANES if p != plane and p not in shown)
            self._sides[shown.index(plane)].turn(missing)
        if self.active not in (view.plane for view in self.views):
            self.active = plane
        self._mark()
        self._fit_soon.start(0)

    def _on_mask(self) -> None:
        if self.surface is not None:
            active = self.session.active
            self.surface.watch(active.document if active is not None and self.session.view.scene is not None else None)

    def _on_sequence(self, _name: str = "") -> None:
        if self.surface is not None:
            layers = self.session.view.layers.get(self.session.view.sequence, ())
            self.surface.show_image(layers[0] if self._image_3d and layers else None)

    def _on_highlight(self, _lesion: object = None) -> None:
        for side in self._sides:
            if side.relay is not None:
                side.relay.follow_highlight()

    def _on_framed(self, world: Any, _field_mm: float) -> None:
        for side in self._sides:
            if side.plane != "3-D":
                side.view.centre(world)
                if self.session.view.plane in PLANES:
                    side.canvas.model.scene.camera.zoom = self.session.viewer.scene.camera.zoom

    def _keep_in_sight(self) -> None:
        for view in self.views if self.on else ():
            if view.plane in PLANES and not view.holds(self.session.view.crosshair.point_mm):
                view.centre(self.session.view.crosshair.point_mm)

    def _on_main_zoom(self) -> None:
        self._share_zoom(self.session.view.main)

    def _on_side_zoom(self, event: Any) -> None:
        side = next((side for side in self._sides if side.canvas.model.scene.camera is event.source), None)
        if side is not None:
            self._share_zoom(side.view)

    def _share_zoom(self, source: PlaneView) -> None:
        """Show every plane at the scale of one."""
        if self._zooming or not self.on or source.plane not in PLANES or self.session.view.scene is None:
            return
        self._zooming = True
        try:
            for view in self.views:
                if view is not source and view.plane in PLANES:
                    view.model.scene.camera.zoom = source.model.scene.camera.zoom
        finally:
            self._zooming = False


def linked_views(viewer: Any) -> LinkedViews:
    """Return the linked views of a viewer; for commands, which are given one."""
    return LinkedViews.of(Session.of(real(viewer)))
