"""Four views of one case: axial, coronal and sagittal, each to be painted in, and the mask in 3-D."""

from __future__ import annotations

import weakref
from typing import Any

from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, QTimer

from napari_tumorseg.widgets.crosshair import PLANE_COLOURS
from napari_tumorseg.widgets.mask_layer import MaskLayer
from napari_tumorseg.widgets.napari_adapter import main_window, real
from napari_tumorseg.widgets.napari_views import CentralPlace, SceneLines, main_qt_viewer
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.widgets.shared_scale import SharedScale
from napari_tumorseg.widgets.side_view import PlaneSide, SideView, ThreeDSide
from napari_tumorseg.widgets.surface_view import SurfaceView
from napari_tumorseg.widgets.view_panels import ViewPanels
from napari_tumorseg.workflows.scene import PLANES

__all__ = ["LinkedViews"]

_THREE_D_DELAY_MS = 200
_PANELS = ("main", "second", "third", "3-D")
_IN_3D = 3


class LinkedViews(SessionPart):
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

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.session = session
        self.active = "axial"
        self.alone = False
        self._crosshair_shown = True
        self._three_d = True
        self._image_3d = False
        self._place = CentralPlace(session.viewer)
        self._panels: ViewPanels | None = None
        self._planes: list[PlaneSide] = []
        self._third: ThreeDSide | None = None
        self._closing = False
        self._scale = SharedScale(lambda: self.views, self)
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
        view.crosshair.moved.connect(self._keep_in_sight)
        view.main.input.activated.connect(lambda: self._activate(0))
        self._scale.follow(view.main)
        session.focus.changed.connect(self._on_highlight)
        session.lesions.changed.connect(self._on_highlight)
        # The main Qt viewer is closed by a script, the window by its user.
        window = main_window(session.viewer)
        self._window = weakref.ref(window)
        for closed in (window, main_qt_viewer(session.viewer)):
            closed.installEventFilter(self)

    # -- what the user does

    @property
    def on(self) -> bool:
        """Whether the four views are shown."""
        return self._panels is not None

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
        if self._third is not None:
            self._third.show_image(shown)
        self.changed.emit()

    def fit(self) -> None:
        """Show all of the image in every view, at one scale."""
        self._scale.fit()

    # -- what others ask

    @property
    def surface(self) -> SurfaceView | None:
        """The surfaces in the 3-D view; None until that view is made."""
        return self._third.surface if self._third is not None else None

    @property
    def sides(self) -> tuple[SideView, ...]:
        """The views beside napari's own, the planes first."""
        return (*self._planes, *((self._third,) if self._third is not None else ()))

    @property
    def views(self) -> tuple[PlaneView, ...]:
        """All views, napari's own first; only that one while the others are off."""
        return (self.session.view.main, *(side.view for side in self.sides))

    @property
    def owners(self) -> tuple[tuple[PlaneView, Any], ...]:
        """All views, each with what `SceneLines` draw on."""
        return ((self.session.view.main, self.session.viewer), *((side.view, side.canvas) for side in self.sides))

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
        side = next((side for side in self.sides if side.view is view), None)
        if side is None:
            return layer
        return side.relay.counterpart(layer) if side.relay is not None else None

    def mask_layers(self) -> list[MaskLayer]:
        """Return the layers of the active mask, napari's own first, then one for each other plane; a tool listens to all."""
        active = self.session.active
        if active is None or active.view is None:
            return []
        own = active.view
        sides = (side.relay.mask_layer(own.layer) for side in self.sides if side.relay is not None)
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
        view = self.session.view
        self._panels = panels = ViewPanels(_PANELS)
        # A place for the main view first: what is put into the window later is sized with it.
        self._place.lend(panels, panels.panels[0].hold)
        for plane in [plane for plane in PLANES if plane != view.plane][: _IN_3D - 1]:
            side = PlaneSide(self.session, plane, self.find_mask, self)
            self._planes.append(side)
            self._scale.follow(side.view)
            self._put(len(self._planes), side)
        self.active = view.plane
        self.alone = False
        self._on_scene()
        self._on_highlight()
        self.show_crosshair(self._crosshair_shown)
        panels.even()
        self._arrange()

    def _put(self, number: int, side: SideView) -> None:
        assert self._panels is not None
        self._panels.panels[number].hold(side.canvas.widget)
        side.view.input.activated.connect(lambda: self._activate(number))

    def _open_three_d(self) -> None:
        """Make the 3-D view: after the planes have been drawn, because nobody waits for it."""
        if not self.on or self._third is not None or not self._three_d:
            return
        if any(side.canvas.canvas.isVisible() and not side.canvas.drawn for side in self._planes):
            self._three_d_soon.start(_THREE_D_DELAY_MS)
            return
        self._third = side = ThreeDSide(self.session, self)
        self._put(_IN_3D, side)
        side.show(self.session.view.scene)
        side.show_image(self._image_3d)
        if self._crosshair_shown:
            side.view.show_lines(SceneLines(side.canvas, 4))
        self._arrange(fit=False)
        side.canvas.model.reset_view(reset_camera_angle=False)

    def _close(self) -> None:
        self._scale.stop()
        self._three_d_soon.stop()
        sides, self._planes, self._third = self.sides, [], None
        self._place.give_back()
        self.session.view.main.show_lines(None)
        for side in sides:
            side.close()
            side.deleteLater()
        if self._panels is not None:
            self._panels.hide()
            self._panels.deleteLater()
            self._panels = None
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
        if self._panels is None:
            return
        if self._three_d and self._third is None:
            self._three_d_soon.start(_THREE_D_DELAY_MS)
        active = self._active_number()
        self._panels.show_panels(active if self.alone else None)
        self._panels.panels[_IN_3D].say("" if self._three_d else "The 3-D view is off")
        if self._third is not None:
            self._third.want(self._three_d, not self.alone or active == _IN_3D)
        self._mark()
        if fit:
            self._scale.fit_soon()
        self.changed.emit()

    def _mark(self) -> None:
        if self._panels is not None:
            self._panels.mark(self._active_number(), PLANE_COLOURS.get(self.active, "#DDDDDD"))

    def _on_scene(self) -> None:
        scene = self.session.view.scene
        for side in self.sides:
            side.show(scene)
        if scene is not None and self.on:
            self._scale.fit_soon()

    def _on_main_turned(self, plane: str) -> None:
        """Show what the main view leaves, each plane once."""
        if not self.on or plane not in PLANES:
            return
        shown = [side.plane for side in self._planes]
        if plane in shown:
            missing = next(p for p in PLANES if p != plane and p not in shown)
            self._planes[shown.index(plane)].turn(missing)
        if self.active not in (view.plane for view in self.views):
            self.active = plane
        self._mark()
        self._scale.fit_soon()

    def _on_highlight(self, _lesion: object = None) -> None:
        for side in self._planes:
            if side.relay is not None:
                side.relay.follow_highlight()

    def _on_framed(self, world: Any, _field_mm: float) -> None:
        for side in self._planes:
            side.view.centre(world)
            if self.session.view.plane in PLANES:
                side.canvas.model.scene.camera.zoom = self.session.viewer.scene.camera.zoom

    def _keep_in_sight(self) -> None:
        for view in self.views if self.on else ():
            if view.plane in PLANES and not view.holds(self.session.view.crosshair.point_mm):
                view.centre(self.session.view.crosshair.point_mm)


def linked_views(viewer: Any) -> LinkedViews:
    """Return the linked views of a viewer; for commands, which are given one."""
    return LinkedViews.of(Session.of(real(viewer)))
