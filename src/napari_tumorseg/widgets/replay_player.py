"""A correction played again in the viewer, in place of the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QObject, QTimer, Signal

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.reader import Steps
from napari_tumorseg.annotation.replay import Replay, Step
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.widgets.jobs import Job
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.provenance_overlay import ProvenanceOverlay
from napari_tumorseg.widgets.replay_layer import ReadOnlyLabels, schema_colours
from napari_tumorseg.widgets.replay_source import read_steps

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ReplayPlayer"]

_STEP_MS = 250
_OPACITY = 0.6
# So much is unpacked while the window waits, about 10 ms; more goes to a job.
_NEAR_VOXELS = 1_000_000
_NEAR_STEPS = 100
# A step over more of the volume than this, as of a model, has no place to go to.
_WHOLE_SHARE = 0.25


@dataclass(frozen=True)
class _Before:
    """How the window was before the replay."""

    visible: bool
    mode: str
    active: Any
    origin_shown: bool
    dims: tuple[Any, ...]
    point: tuple[float, ...]
    centre: tuple[float, ...]
    zoom: float


class ReplayPlayer(QObject):
    """Reads the journal of a session's active mask and shows the mask after any of its steps.

    The mask's own layer is hidden meanwhile, and no layer that can be painted on is active. `close` puts
    everything back.

    Signals
    -------
    changed()
        Another step is shown, the record was read, or playing began or ended.
    failed(object)
        The exception for which the record could not be read.
    gone()
        The mask, or the layer of the replay, is no longer there.

    Parameters
    ----------
    session : Session
        With an active mask that has a journal.
    parent : QObject
        Owner.

    Attributes
    ----------
    steps : Steps, optional
        What was read; None until then.
    follow : bool
        Whether the view goes to the place of each step.
    """

    changed = Signal()
    failed = Signal(object)
    gone = Signal()

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        assert session.active is not None
        self._session = session
        self._mask: OpenMask = session.active
        self.steps: Steps | None = None
        self.follow = True
        self._replay: Replay | None = None
        self._picture: ReadOnlyLabels | None = None
        # A copy of what is shown: a job may be on its way to another step while this one is drawn.
        self._buffer: npt.NDArray[Any] = np.zeros((0, 0, 0), np.uint8)
        self._shown = self._wanted = 0
        self._revision = -1
        self._job: Job | None = None
        self._before: _Before | None = None
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setInterval(_STEP_MS)
        self._timer.timeout.connect(self._tick)
        session.masks_changed.connect(self._on_masks)
        session.edited.connect(self._on_edited)

    # -- state

    @property
    def mask(self) -> OpenMask:
        """Whose correction it is."""
        return self._mask

    @property
    def count(self) -> int:
        """Number of steps; 0 until they are read."""
        return len(self._replay) if self._replay is not None else 0

    @property
    def index(self) -> int:
        """Number of steps that are done in what is shown."""
        return self._shown

    @property
    def step(self) -> Step | None:
        """The last step done in what is shown; None at the start."""
        return self._replay.steps[self._shown - 1] if self._replay is not None and self._shown else None

    @property
    def reading(self) -> bool:
        """Whether the record is being read."""
        return self._replay is None and self._job is not None

    @property
    def playing(self) -> bool:
        """Whether step follows step by itself."""
        return self._timer.isActive()

    @property
    def outdated(self) -> bool:
        """Whether the mask was changed since its record was read."""
        return self._replay is not None and self._mask.document.revision != self._revision

    # -- what the user does

    def read(self) -> None:
        """Read the record as it is now, in a job, and show the mask as it is at its end."""
        journal = self._session.keeper.journal
        if journal is None or self._closed:
            return
        self.pause()
        self._cancel()
        revision = self._mask.document.revision
        self._replay = None

        def work(progress: Progress) -> tuple[Steps, Replay]:
            steps = read_steps(journal, progress)
            replay = Replay(steps)
            replay.seek(len(replay))
            return steps, replay

        def done(answer: tuple[Steps, Replay]) -> None:
            self._revision = revision
            self._take(*answer)

        self._start(work, done, self.failed.emit)
        self.changed.emit()

    def go(self, index: int) -> None:
        """Show the mask after `index` steps, at once where it is near, else as soon as a job has it."""
        self._wanted = min(max(index, 0), self.count)
        self._advance()

    def play(self) -> None:
        """Go on step by step, from the start where the end was reached."""
        if self.count and not self.playing:
            if self._shown == self.count:
                self.go(0)
            self._timer.start()
            self.changed.emit()

    def pause(self) -> None:
        """Stop at the step that is shown."""
        if self.playing:
            self._timer.stop()
            self.changed.emit()

    def close(self) -> None:
        """Take the replay out of the viewer and put back what was there."""
        if self._closed:
            return
        self._closed = True
        self._timer.stop()
        self._cancel()
        session = self._session
        session.masks_changed.disconnect(self._on_masks)
        session.edited.disconnect(self._on_edited)
        picture, self._picture = self._picture, None
        if picture is not None and picture.there:
            picture.remove()
        self._put_back()

    # -- inside

    def _start(self, work: Any, done: Any, failed: Any = None) -> None:
        def finished() -> None:
            if self._job is job:
                self._job = None
                self._advance()
                self.changed.emit()

        job = self._session.runner.start("replay", work, done=done, failed=failed or self._session.report, finished=finished)
        self._job = job

    def _cancel(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def _take(self, steps: Steps, replay: Replay) -> None:
        self.steps, self._replay = steps, replay
        self._shown = self._wanted = len(replay)
        if self._picture is not None:
            self._buffer[...] = replay.labels
            self._picture.redraw(Box.whole(self._buffer.shape))
        elif self.count:
            self._buffer = np.array(replay.labels)
            self._take_over()
        self.changed.emit()

    def _advance(self) -> None:
        replay = self._replay
        if replay is None or self._job is not None or self._wanted == self._shown:
            return
        wanted = self._wanted
        low, high = sorted((wanted, self._shown))
        near = high - low <= _NEAR_STEPS and sum(step.box.size for step in replay.steps[low:high]) <= _NEAR_VOXELS
        if near:
            self._show(wanted, replay.seek(wanted))
        else:
            self._start(lambda _progress: (wanted, replay.seek(wanted)), lambda answer: self._show(*answer))

    def _show(self, index: int, box: Box | None) -> None:
        if self._replay is None or self._picture is None:
            return
        self._shown = index
        if box is not None:
            self._buffer[box.slices] = self._replay.labels[box.slices]
        step = self.step
        if self.follow and step is not None and step.box.size <= _WHOLE_SHARE * self._buffer.size:
            middle = [(a + b - 1) / 2 for a, b in zip(step.box.start, step.box.stop, strict=True)]
            x, y, z = (float(v) for v in self._mask.document.grid.to_mm(middle))
            self._session.view.frame((x, y, z), step.box)
        if box is not None:
            self._picture.redraw(box)
        self.changed.emit()

    def _tick(self) -> None:
        # A step that takes longer than the pause between two is waited for.
        if self._job is not None:
            return
        if self._shown >= self.count:
            self.pause()
        else:
            self.go(self._shown + 1)

    def _take_over(self) -> None:
        session, viewer = self._session, self._session.viewer
        view, camera = self._mask.view, viewer.scene.camera
        overlay = ProvenanceOverlay.of(session)
        self._before = _Before(
            visible=view is not None and bool(view.layer.visible),
            mode=str(view.layer.mode) if view is not None else "",
            active=viewer.layers.selection.active,
            origin_shown=overlay.on,
            dims=(viewer.dims.ndisplay, tuple(viewer.dims.order)),
            point=tuple(viewer.dims.point),
            centre=tuple(camera.center),
            zoom=float(camera.zoom),
        )
        # Whoever measures the time of the correction must know that this is none.
        session.keeper.record(EventKind.JOB, name="replay", on=True)
        overlay.set_on(False)
        self._picture = ReadOnlyLabels(
            session, self._buffer, "Replay", schema_colours(self._mask.document.schema), opacity=_OPACITY, gone=self.gone.emit
        )
        if view is not None:
            view.layer.visible = False
        # Undo and the brushes go to the active layer, and what they do to the mask would not be seen.
        viewer.layers.selection.active = self._picture.layer

    def _put_back(self) -> None:
        before, self._before = self._before, None
        session, mask = self._session, self._mask
        if before is None or mask not in session.masks:
            return
        here = session.active is mask
        if mask.view is not None:
            mask.view.layer.visible = here and before.visible
            mask.view.layer.mode = before.mode or mask.view.layer.mode
        if not here:
            return
        session.keeper.record(EventKind.JOB, name="replay", on=False, outcome="done")
        viewer = session.viewer
        if before.active in viewer.layers:
            viewer.layers.selection.active = before.active
        if (viewer.dims.ndisplay, tuple(viewer.dims.order)) == before.dims:
            viewer.dims.point = before.point
            viewer.scene.camera.center = before.centre
            viewer.scene.camera.zoom = before.zoom
        ProvenanceOverlay.of(session).set_on(before.origin_shown)

    def _on_masks(self) -> None:
        if self._session.active is not self._mask:
            self.gone.emit()

    def _on_edited(self) -> None:
        if self.outdated:
            self.changed.emit()
