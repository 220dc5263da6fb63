"""Keeping a task while it is worked on."""

from __future__ import annotations

from qtpy.QtCore import QObject, QTimer, Signal

from napari_tumorseg.core.errors import ConflictError
from napari_tumorseg.widgets.jobs import JobRunner
from napari_tumorseg.workflows.study.desk import Desk, TaskInHand, renew_lease

__all__ = ["LeaseKeeper"]

# While a lease lasts.
_RENEWALS = 3


class LeaseKeeper(QObject):
    """Renews the lease of the task in hand.

    Signals
    -------
    lost(object)
        The error that says that the task is another program's by now.

    Parameters
    ----------
    runner : JobRunner
        Starts the jobs.
    owner : QObject
        Owner.
    """

    lost = Signal(object)

    def __init__(self, runner: JobRunner, owner: QObject) -> None:
        super().__init__(owner)
        self._runner = runner
        self._held: tuple[Desk, TaskInHand] | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.renew)

    def hold(self, desk: Desk, hand: TaskInHand, lease_minutes: float) -> None:
        """Keep a task from now on."""
        self._held = desk, hand
        self._timer.start(round(lease_minutes * 60_000 / _RENEWALS))

    def stop(self) -> None:
        """Keep it no longer."""
        self._held = None
        self._timer.stop()

    def renew(self) -> None:
        """Keep the task for as long again, in a job."""
        held = self._held
        if held is None:
            return

        def failed(error: BaseException) -> None:
            # A network that is down for a moment is tried again; a task that is another's is lost.
            if isinstance(error, ConflictError) and self._held is held:
                self.stop()
                self.lost.emit(error)

        self._runner.start("study", lambda _progress: renew_lease(held[0], held[1].lease), failed=failed)
