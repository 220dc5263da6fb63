"""The end of a study: tasks that are left out, and the lock after which arms are shown."""

from __future__ import annotations

import sqlalchemy as sa

from napari_tumorseg.annotation.study.context import StudyContext, refuse_locked, study_row
from napari_tumorseg.annotation.study.submission import follow
from napari_tumorseg.annotation.study.tables import ExclusionRow, TaskRow
from napari_tumorseg.core.errors import InputError

__all__ = ["exclude", "lock"]


def exclude(context: StudyContext, task_id: int, reason: str, by: str) -> None:
    """Leave a task out of the analysis; see `StudyStore.exclude`."""
    with context.changing(by) as change:
        refuse_locked(change.session)
        row = change.session.get(TaskRow, task_id)
        if row is None or not reason.strip():
            raise InputError(f"The study has no task {task_id}, or no reason was given.", "Name a task of the exported table, and say why.")
        if change.session.scalar(sa.select(sa.func.count(ExclusionRow.id)).where(ExclusionRow.task_id == task_id)):
            raise InputError(f"Task {row.code} is excluded already.", "Nothing needs to be done.")
        change.add(ExclusionRow(task_id=task_id, reason=reason.strip(), by=by, at_us=change.at_us))
        change.note("excluded", row.code, task=task_id, reason=reason.strip())
        if row.state != "submitted":
            row.state, row.lease_token, row.package = "withdrawn", "", ""
            change.session.flush()
            follow(context, change, row)


def lock(context: StudyContext, by: str, *, incomplete: bool = False) -> None:
    """End a study; see `StudyStore.lock`."""
    with context.changing(by) as change:
        refuse_locked(change.session)
        left = change.session.scalar(sa.select(sa.func.count(TaskRow.id)).where(TaskRow.state.not_in(("submitted", "withdrawn")))) or 0
        if left and not incomplete:
            raise InputError(f"{left} tasks are not done.", "Finish or exclude them, or lock with --incomplete.")
        study_row(change.session).locked_us = change.at_us
        change.note("locked", "", open=left)
