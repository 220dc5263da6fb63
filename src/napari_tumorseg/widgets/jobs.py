"""Work off the GUI thread; the only file that knows threads.

A `Job` runs a function that takes a `Progress`; its signals arrive on the GUI thread. A cancelled
job counts as over at once: what its function still returns is dropped, and the thread ends at the
function's next safe point.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal

from napari_tumorseg.core.errors import Cancelled
from napari_tumorseg.core.jobs import CancelToken, Progress, ProgressState

__all__ = ["Job", "JobRunner"]

_REPORT_EVERY_S = 0.05


class Job(QObject):
    """One piece of work.

    Signals
    -------
    progress(float, str)
        Fraction done, 0 to 1, and the step under way.
    done(object)
        What the function returned.
    failed(object)
        The exception it raised.
    cancelled()
        The user stopped it.
    finished()
        After any of the three.
    """

    progress = Signal(float, str)
    done = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    finished = Signal()
    _reported = Signal(object)
    _ended = Signal(object, object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.name = name
        self.token = CancelToken()
        self._over = False
        queued = Qt.ConnectionType.QueuedConnection
        self._reported.connect(self._on_reported, queued)
        self._ended.connect(self._on_ended, queued)

    @property
    def over(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self._over

    def cancel(self) -> None:
        """Stop; `cancelled` and `finished` are emitted before this returns."""
        if self._over:
            return
        self._over = True
        self.token.cancel()
        self.cancelled.emit()
        self.finished.emit()

    def _on_reported(self, state: ProgressState) -> None:
        if not self._over:
            self.progress.emit(state.fraction, state.message)

    def _on_ended(self, result: Any, error: BaseException | None) -> None:
        # The thread is through with this object, whether or not anybody still waits for it.
        self.deleteLater()
        if self._over:
            return
        self._over = True
        if error is None:
            self.done.emit(result)
        elif isinstance(error, Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(error)
        self.finished.emit()


class _Run(QRunnable):
    def __init__(self, job: Job, function: Callable[[Progress], Any]) -> None:
        super().__init__()
        self._job = job
        self._function = function
        self._last_s = 0.0
        self._last_message = ""

    def run(self) -> None:
        result, error = None, None
        try:
            result = self._function(Progress(self._report, self._job.token))
        except BaseException as caught:
            error = caught
        self._emit(lambda: self._job._ended.emit(result, error))

    def _report(self, state: ProgressState) -> None:
        now = time.monotonic()
        # A new step is always told: the one before a long wait is the one that the user sees.
        if now - self._last_s >= _REPORT_EVERY_S or state.fraction >= 1.0 or state.message != self._last_message:
            self._last_s, self._last_message = now, state.message
            self._emit(lambda: self._job._reported.emit(state))

    @staticmethod
    def _emit(emit: Callable[[], None]) -> None:
        try:
            emit()
        except RuntimeError:
            # The window was closed while the job ran; nobody is left to tell.
            return


class JobRunner(QObject):
    """Starts jobs and waits for their threads when its owner goes.

    Parameters
    ----------
    parent : QObject
        The owner.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._running: list[Job] = []

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs that are not over."""
        return tuple(self._running)

    def start(
        self,
        name: str,
        function: Callable[[Progress], Any],
        *,
        done: Callable[[Any], None] | None = None,
        failed: Callable[[BaseException], None] | None = None,
        cancelled: Callable[[], None] | None = None,
        progress: Callable[[float, str], None] | None = None,
        finished: Callable[[], None] | None = None,
    ) -> Job:
        """Run `function(progress)` in a thread and return its job; callbacks run on the GUI thread."""
        job = Job(name, self)
        for signal, slot in (
            (job.done, done),
            (job.failed, failed),
            (job.cancelled, cancelled),
            (job.progress, progress),
            (job.finished, finished),
        ):
            if slot is not None:
                signal.connect(slot)
        job.finished.connect(lambda: self._forget(job))
        self._running.append(job)
        self._pool.start(_Run(job, function))
        return job

    def stop(self) -> None:
        """Cancel all jobs and wait until no thread runs."""
        for job in self.running:
            job.cancel()
        self._pool.waitForDone()

    def _forget(self, job: Job) -> None:
        if job in self._running:
            self._running.remove(job)
