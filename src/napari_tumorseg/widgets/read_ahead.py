"""Reading what is wanted, and meanwhile what is likely to be wanted next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.widgets.jobs import Job, JobRunner

__all__ = ["ReadAhead"]


@dataclass(frozen=True)
class _Wanted:
    key: str
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]


class ReadAhead(QObject):
    """Reads in a thread, one thing at a time, and holds at most one that nobody waits for.

    It is dropped when another one is wanted.

    Signals
    -------
    read(str)
        Key of what has been read ahead.

    Parameters
    ----------
    runner : JobRunner
        Starts the jobs.
    name : str
        Of the jobs.
    owner : QObject
        Owner.
    """

    read = Signal(str)

    def __init__(self, runner: JobRunner, name: str, owner: QObject) -> None:
        super().__init__(owner)
        self._runner = runner
        self._name = name
        self._ahead: tuple[str, Any] | None = None
        self._job: Job | None = None
        self._reading = ""
        self._wanted: _Wanted | None = None

    @property
    def key(self) -> str:
        """Key of what has been read ahead, "" for nothing."""
        return self._ahead[0] if self._ahead is not None else ""

    @property
    def reading(self) -> bool:
        """Whether a thread reads."""
        return self._job is not None

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for what is read."""
        return self._wanted is not None

    def want(self, key: str, work: Callable[[Progress], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        """Have something for `done`: at once where it has been read, else when it is; what was wanted before is not any more."""
        self._wanted = _Wanted(key, done, failed)
        if self._ahead is not None and self._ahead[0] == key:
            found, self._ahead = self._ahead[1], None
            self._wanted = None
            done(found)
        elif self._reading != key:
            self.drop()
            self._read(key, work, lambda _found: True)

    def look_ahead(self, key: str, work: Callable[[Progress], Any], keep: Callable[[Any], bool]) -> None:
        """Read what nobody waits for yet, unless a thread reads already; held where `keep` says so."""
        if self._job is None and key != self.key:
            self._ahead = None
            self._read(key, work, keep)

    def drop(self) -> None:
        """Let go of what was read ahead, and stop reading; who waits still waits."""
        self._ahead = None
        self._reading = ""
        job, self._job = self._job, None
        if job is not None:
            job.cancel()

    def forget(self) -> None:
        """Drop everything, and let nobody wait any longer."""
        self._wanted = None
        self.drop()

    # -- inside

    def _read(self, key: str, work: Callable[[Progress], Any], keep: Callable[[Any], bool]) -> None:
        self._reading = key
        job = self._runner.start(
            self._name, work, done=lambda found: self._on_read(key, found, keep), failed=lambda error: self._on_failed(key, error)
        )
        self._job = job
        job.finished.connect(lambda: self._forget(job))

    def _on_read(self, key: str, found: Any, keep: Callable[[Any], bool]) -> None:
        # The thread is free, though its job says so only after this.
        self._reading, self._job = "", None
        wanted = self._wanted
        if wanted is not None and wanted.key == key:
            self._wanted = None
            wanted.done(found)
        elif keep(found):
            self._ahead = (key, found)
            self.read.emit(key)

    def _on_failed(self, key: str, error: BaseException) -> None:
        self._reading = ""
        # What nobody waits for is told about when it is wanted.
        wanted = self._wanted
        if wanted is not None and wanted.key == key:
            self._wanted = None
            wanted.failed(error)

    def _forget(self, job: Job) -> None:
        if self._job is job:
            self._job = None
