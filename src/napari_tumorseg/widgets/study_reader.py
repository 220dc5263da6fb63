"""The images of a study's tasks: of the one that is wanted, and of the one that is likely to come next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.inference.memory import free_bytes
from napari_tumorseg.widgets.read_ahead import ReadAhead
from napari_tumorseg.workflows.queue import case_bytes, may_read_ahead
from napari_tumorseg.workflows.study.desk import Desk, peek_next, read_task

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.records import StudyTask
    from napari_tumorseg.core.case import Case
    from napari_tumorseg.widgets.jobs import JobRunner

__all__ = ["TaskReader"]


class TaskReader(ReadAhead):
    """Reads tasks, while memory is plenty one that nobody waits for; the keys are their numbers.

    Parameters
    ----------
    runner : JobRunner
        Starts the jobs.
    owner : QObject
        Owner.
    """

    def __init__(self, runner: JobRunner, owner: Any) -> None:
        super().__init__(runner, "study case", owner)

    def want_task(self, desk: Desk, task: StudyTask, done: Callable[[Any], None], failed: Callable[[BaseException], None]) -> None:
        """Have the `OpenTask` of a task for `done`, at once where it was read ahead."""
        self.want(str(task.id), lambda progress: read_task(desk, task, progress), done, failed)

    def look_for_next(self, desk: Desk, open_now: Case | None, still: Callable[[], bool]) -> None:
        """Read ahead what is likely to come after the task in hand, where `still` says that it is in hand yet."""
        like = case_bytes(open_now) if open_now is not None else 0

        def done(found: tuple[StudyTask, Path] | None) -> None:
            if found is None or not still() or not may_read_ahead(found[1], like, free_bytes("cpu")):
                return
            task = found[0]
            self.look_ahead(
                str(task.id), lambda progress: read_task(desk, task, progress), lambda read: case_bytes(read.case) <= free_bytes("cpu")
            )

        # What goes wrong with it is told when it is wanted.
        self._runner.start("study", lambda _progress: peek_next(desk), done=done)
