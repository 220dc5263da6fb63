"""The search layout: the prior study beside the current one, registered, in step with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image, Labels, Layer
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_tumorseg._layers import mask_to_layer, volume_to_layers
from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.napari_views import SideCanvas, main_qt_viewer
from napari_tumorseg.widgets.parts import button, note
from napari_tumorseg.widgets.plane_view import PlaneView
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.display import in_reading_order
from napari_tumorseg.workflows.prior import PriorStudy, align_prior, carry_mask, prior_index
from napari_tumorseg.workflows.scene import PLANES, Scene

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["SearchLayout"]

# Units in which one number means the same in both studies.
_ABSOLUTE = ("HU", "SUV")


class SearchLayout(SessionPart):
    """Shows the visit before the open one to the left of the canvas.

    Slice, plane, zoom, position, sequence and window follow the current study, and the other way
    round for what the mouse does in the prior. The prior is only looked at: nothing can be painted in it.

    Signals
    -------
    changed()
        The layout was opened or closed, or shows something else.
    progress(float, str)
        While the prior is being registered.
    """

    progress = Signal(float, str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.study: PriorStudy | None = None
        self._side: _PriorView | None = None
        self._job: Job | None = None
        self._picture_job: Job | None = None
        session.view.scene_changed.connect(self.close)
        session.view.sequence_changed.connect(self._on_sequence)
        # The main Qt viewer is closed by a script, the window by its user.
        for closed in (main_window(session.viewer), main_qt_viewer(session.viewer)):
            closed.installEventFilter(self)

    # -- state

    @property
    def possible(self) -> bool:
        """Whether the case has a visit before the open one."""
        case = self._session.case
        return case is not None and prior_index(case, self._session.timepoint) is not None

    @property
    def on(self) -> bool:
        """Whether the prior is shown."""
        return self._side is not None

    @property
    def busy(self) -> bool:
        """Whether the prior is being registered or brought to the scene."""
        return self._job is not None or self._picture_job is not None

    @property
    def canvas(self) -> SideCanvas | None:
        """The prior's canvas while it is shown."""
        return self._side.canvas if self._side is not None else None

    @property
    def text(self) -> str:
        """What is shown of the prior, "" while it is not."""
        return self._side.title.text() if self._side is not None else ""

    # -- what the user does

    def toggle(self) -> None:
        """Show the prior, or the current study alone; stop registering."""
        if self.on or self._job is not None:
            self.close()
        else:
            self.open()

    def open(self) -> None:
        """Register the prior in a thread, then show it."""
        session = self._session
        case = session.case
        before = prior_index(case, session.timepoint) if case is not None else None
        if case is None or before is None:
            session.said.emit("This case has no earlier visit. Open a folder with one sub-folder for each date.", True)
            return
        if self.on or self._job is not None:
            return
        current, prior = case.timepoints[session.timepoint], case.timepoints[before]

        def work(progress: Progress) -> PriorStudy:
            return align_prior(current, prior, progress=progress)

        job = session.runner.start("prior", work, done=self._show, failed=session.report, progress=self.progress.emit)
        self._job = job
        job.finished.connect(lambda: self._forget(job))
        session.said.emit("Registering the prior study.", False)
        self.changed.emit()

    def close(self) -> None:
        """Show the current study alone and let go of the prior."""
        for job in (self._job, self._picture_job):
            if job is not None:
                job.cancel()
        self._job = self._picture_job = None
        side, self._side = self._side, None
        if side is not None:
            side.close()
        self.study = None
        self.changed.emit()

    def eventFilter(self, _watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Give the canvas back before the window goes."""
        if event is not None and event.type() == QEvent.Type.Close and self.on:
            self.close()
        return False

    # -- inside

    def _show(self, study: PriorStudy) -> None:
        scene = self._session.view.scene
        if scene is None:
            return
        self.study = study
        self._side = _PriorView(self._session, study, scene, self.close)
        for line in study.notes:
            self._session.said.emit(line, False)
        self._bring(self._counterpart())

    def _counterpart(self) -> str:
        """Return the prior's sequence for the one in view: its namesake, else the first in reading order."""
        assert self.study is not None
        names = [n for n, v in self.study.point.volumes.items() if not v.channels]
        wanted = self._session.view.sequence
        return wanted if wanted in names else in_reading_order(names)[0]

    def _on_sequence(self, name: str) -> None:
        if self._side is not None and name:
            self._bring(self._counterpart())

    def _bring(self, name: str) -> None:
        """Show a sequence of the prior, brought to the scene in a thread the first time."""
        side, study = self._side, self.study
        assert side is not None
        assert study is not None
        if self._picture_job is not None:
            self._picture_job.cancel()
        if side.show_sequence(name):
            self.changed.emit()
            return
        volume, scene = study.point.volumes[name], side.scene
        mask = study.newest_mask() if not side.has_mask else None

        def work(progress: Progress) -> tuple[Any, MaskVersion | None]:
            progress.update(0.0, "Bringing the prior to the current study")
            made = volume_to_layers(volume, scene)[0]
            if mask is None:
                return made, None
            labels = carry_mask(mask[1], scene.reference, progress.part(0.5, 1.0))
            return made, MaskVersion(labels, scene.reference, mask[1].schema, mask[1].kind, mask[1].author)

        def take(found: tuple[Any, MaskVersion | None]) -> None:
            if self._side is side:
                side.add_sequence(name, volume, found[0])
                if found[1] is not None:
                    side.add_mask(found[1])
                side.show_sequence(name)

        job = self._session.runner.start("prior picture", work, done=take, failed=self._session.report)
        self._picture_job = job
        job.finished.connect(lambda: self._forget(job))

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None
        if self._picture_job is job:
            self._picture_job = None
        self.changed.emit()


class _PriorView(QObject):
    """The prior's canvas beside the main one, with its title."""

    def __init__(self, session: Session, study: PriorStudy, scene: Scene, close: Any) -> None:
        super().__init__(session)
        self._session = session
        self._study = study
        self.scene = scene
        self._images: dict[str, tuple[Image, Volume]] = {}
        self._mask: Labels | None = None
        self._led_by: Layer | None = None
        self._following = False
        self.canvas = SideCanvas(session.viewer)
        # Without a layer napari counts two axes.
        self.canvas.model.dims.ndim = 3
        self.view = PlaneView(self.canvas.model, self.canvas.canvas, session.view.crosshair, self)
        self.title = note(name="Prior study")
        self.root = QWidget()
        self.root.setObjectName("tumorseg_prior")
        self.root.setAccessibleName("Prior study")
        self.root.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        shut = button("Close prior", "Show the current study alone", close)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(shut)
        layout = QVBoxLayout(self.root)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(head)
        layout.addWidget(self.canvas.widget, 1)
        # The canvas has the view's own sliders in step; a second row would only take room.
        self.canvas.sliders.hide()
        # On the left, as time runs; whatever else shares the place stays on the right.
        self._place = main_window(session.viewer).centralWidget().layout()
        self._place.insertWidget(0, self.root, 1)
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
        """Whether the prior's mask is shown."""
        return self._mask is not None

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

    def add_sequence(self, name: str, volume: Volume, made: Any) -> None:
        """Take a picture of a sequence."""
        array, meta, kind = made
        layer = Layer.create(array, {**meta, "visible": False}, kind)
        layer.interpolation2d = "linear"
        first = not self._images
        self._images[name] = (layer, volume)
        self.canvas.model.layers.insert(0, layer)
        if first:
            self.view.show(self.scene)
            self._turn(self._session.view.plane)

    def add_mask(self, mask: MaskVersion) -> None:
        """Show the prior's mask; it cannot be edited."""
        array, meta, kind = mask_to_layer(mask, "Prior mask")
        layer = Layer.create(array, {**meta, "opacity": 0.45}, kind)
        layer.editable = False
        self._mask = layer
        self._on_mask_shown()
        self.canvas.model.layers.append(layer)

    def show_sequence(self, name: str) -> bool:
        """Show a sequence; return whether it is there."""
        if name not in self._images:
            return False
        for other, (layer, _volume) in self._images.items():
            layer.visible = other == name
        study, shown = self._study, self._session.view.sequence
        moved = "at the positions in the files" if not study.registration.improved else f"turned by {study.registration.rotation_deg:.1f}°"
        lacks = "" if name == shown or not shown else f" (no {shown} there)"
        self.title.setText(f"{study.title}: {name}{lacks}, {moved}")
        self.title.show()
        self.canvas.model.layers.selection.clear()
        window = self._session.view.window
        if window is not None:
            self._on_window(*window)
        return True

    def _follow_mask(self) -> None:
        """Hide the prior's mask when the current one is hidden, by key or by hand."""
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
        """Show the prior in the same window: the same numbers where they have a unit, else the same part of its own window."""
        ours = self._session.volumes.get(self._session.view.sequence)
        for name, (layer, volume) in self._images.items():
            if not layer.visible or ours is None or name != self._session.view.sequence:
                continue
            absolute = ours.unit == volume.unit and any(ours.unit.upper().startswith(unit) for unit in _ABSOLUTE)
            limits = (low, high) if absolute else _same_part((low, high), ours, volume)
            whole = layer.contrast_limits_range
            layer.contrast_limits_range = (min(whole[0], limits[0]), max(whole[1], limits[1]))
            layer.contrast_limits = limits


def _same_part(window: tuple[float, float], ours: Volume, theirs: Volume) -> tuple[float, float]:
    from napari_tumorseg.workflows.display import display_window

    mine, other = display_window(ours), display_window(theirs)
    gain = (other.high - other.low) / (mine.high - mine.low)
    ends: npt.NDArray[np.float64] = other.low + gain * (np.array(window) - mine.low)
    return float(ends[0]), float(ends[1])
