"""The search layout: the prior study beside the current one, registered, in step with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Signal

from napari_tumorseg._layers import volume_to_layers
from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.beside_view import BesideView
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.napari_views import SideCanvas, main_qt_viewer
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.workflows.display import in_reading_order
from napari_tumorseg.workflows.prior import PriorStudy, align_prior, carry_mask, prior_index

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
        self._side: BesideView | None = None
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
        self._side = BesideView(self._session, scene, "Prior study", "prior", self.close)
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
        if side.show_image(name):
            self._tell(side, study, name)
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
                array, meta, kind = found[0]
                side.add_image(name, Layer.create(array, meta, kind), lambda low, high: self._window(name, volume, low, high))
                if found[1] is not None:
                    side.add_mask(found[1], "Prior mask")
                side.show_image(name)
                self._tell(side, study, name)

        job = self._session.runner.start("prior picture", work, done=take, failed=self._session.report)
        self._picture_job = job
        job.finished.connect(lambda: self._forget(job))

    def _tell(self, side: BesideView, study: PriorStudy, name: str) -> None:
        shown = self._session.view.sequence
        moved = "at the positions in the files" if not study.registration.improved else f"turned by {study.registration.rotation_deg:.1f}°"
        lacks = "" if name == shown or not shown else f" (no {shown} there)"
        side.say(f"{study.title}: {name}{lacks}, {moved}")
        self.changed.emit()

    def _window(self, name: str, volume: Volume, low: float, high: float) -> tuple[float, float] | None:
        """Return the prior's window: the same numbers where they have a unit, else the same part of its own window."""
        ours = self._session.volumes.get(self._session.view.sequence)
        if ours is None or name != self._session.view.sequence:
            return None
        absolute = ours.unit == volume.unit and any(ours.unit.upper().startswith(unit) for unit in _ABSOLUTE)
        return (low, high) if absolute else _same_part((low, high), ours, volume)

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None
        if self._picture_job is job:
            self._picture_job = None
        self.changed.emit()


def _same_part(window: tuple[float, float], ours: Volume, theirs: Volume) -> tuple[float, float]:
    from napari_tumorseg.workflows.display import display_window

    mine, other = display_window(ours), display_window(theirs)
    gain = (other.high - other.low) / (mine.high - mine.low)
    ends: npt.NDArray[np.float64] = other.low + gain * (np.array(window) - mine.low)
    return float(ends[0]), float(ends[1])
