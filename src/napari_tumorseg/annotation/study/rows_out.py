"""The tables of a study as plain rows, for export and report: no folder, no name of a file, arms only once the data are locked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.study.context import StudyContext, is_locked
from napari_tumorseg.annotation.study.tables import (
    AnswerRow,
    AuditRow,
    CaseRow,
    CommentRow,
    ExclusionRow,
    PersonRow,
    PlantedRow,
    TaskRow,
    VersionRow,
)
from napari_tumorseg.core.errors import InputError

__all__ = ["TABLES", "rows"]

#: Tables that are given out.
TABLES = ("tasks", "events", "versions", "ratings", "comments", "audit", "planted")

Row = dict[str, Any]


def rows(context: StudyContext, table: str) -> list[Row]:
    """Return the rows of a table; see `StudyStore.rows`."""
    makers = {
        "tasks": _tasks,
        "versions": _versions,
        "ratings": _ratings,
        "comments": _comments,
        "audit": _audit,
        "planted": _planted,
        "events": _events,
    }
    if table not in makers:
        raise InputError(f"There is no table {table!r}.", f"There are {', '.join(TABLES)}.")
    with context.reading() as session:
        return list(makers[table](context, session))


def _tasks(context: StudyContext, session: Session) -> Iterator[Row]:
    shown = is_locked(session) or not context.protocol.is_comparison
    cases = dict(session.execute(sa.select(CaseRow.id, CaseRow.code)).all())
    expertise = dict(session.execute(sa.select(PersonRow.id, PersonRow.expertise)).all())
    excluded = dict(session.execute(sa.select(ExclusionRow.task_id, ExclusionRow.reason)).all())
    uids = dict(session.execute(sa.select(VersionRow.id, VersionRow.uid)).all())
    order: dict[str, int] = {}
    query = sa.select(TaskRow).order_by(sa.case((TaskRow.submitted_us > 0, 0), else_=1), TaskRow.submitted_us, TaskRow.id)
    for row in session.scalars(query):
        done = row.state == "submitted"
        if done and row.person:
            order[row.person] = order.get(row.person, 0) + 1
        yield {
            "task": row.id,
            "code": row.code,
            # While the arms are hidden, so is which codes are one case.
            "case": cases[row.case_id] if shown else None,
            "step": row.step,
            "role": row.role,
            "round": row.round,
            "person": row.person,
            "expertise": expertise.get(row.person or "", ""),
            "arm": row.arm if shown else None,
            "start": row.start if shown else None,
            "start_version": uids.get(row.start_version) if shown and row.start_version else None,
            "practice": row.practice,
            "period": row.period,
            "repeat": row.repeat if shown else None,
            "position": row.position,
            "order": order[row.person] if done and row.person else None,
            "state": row.state,
            "first_us": row.first_us or None,
            "submitted_us": row.submitted_us or None,
            "decision": row.decision,
            "version": uids.get(row.version_id) if row.version_id else None,
            "journal": row.journal,
            "excluded": excluded.get(row.id),
            # Voxels changed against the AI would tell the arm.
            "facts": json.loads(row.facts) if shown else {},
        }


def _versions(context: StudyContext, session: Session) -> Iterator[Row]:
    shown = is_locked(session) or not context.protocol.is_comparison
    cases = dict(session.execute(sa.select(CaseRow.id, CaseRow.code)).all())
    parents = dict(session.execute(sa.select(VersionRow.id, VersionRow.uid)).all())
    for row in session.scalars(sa.select(VersionRow).order_by(VersionRow.id)):
        yield {
            "version": row.uid,
            "case": cases[row.case_id] if shown else None,
            "task": row.task_id,
            "step": row.step,
            "author": row.author,
            "kind": row.kind if shown else None,
            "parent": parents.get(row.parent_id) if shown and row.parent_id else None,
            "made_us": row.made_us,
            "shape": row.shape,
            "sha256": row.sha256,
            "facts": json.loads(row.facts) if shown else {},
        }


def _ratings(context: StudyContext, session: Session) -> Iterator[Row]:
    del context
    codes: Mapping[int, tuple[str, str | None]] = {r.id: (r.code, r.person) for r in session.scalars(sa.select(TaskRow))}
    for row in session.scalars(sa.select(AnswerRow).order_by(AnswerRow.id)):
        code, person = codes[row.task_id]
        yield {"task": row.task_id, "code": code, "person": person, "question": row.question, "value": row.value, "at_us": row.at_us}


def _comments(context: StudyContext, session: Session) -> Iterator[Row]:
    del context
    for row, task in session.execute(
        sa.select(CommentRow, TaskRow).join(TaskRow, TaskRow.id == CommentRow.task_id).order_by(CommentRow.id)
    ):
        yield {
            "task": task.id, "code": task.code, "step": task.step, "round": task.round, "person": task.person,
            "z": row.z, "y": row.y, "x": row.x, "text": row.text, "at_us": row.at_us,
        }  # fmt: skip


def _audit(context: StudyContext, session: Session) -> Iterator[Row]:
    del context
    names = [column.name for column in sa.inspect(AuditRow).columns]
    for row in session.scalars(sa.select(AuditRow).order_by(AuditRow.seq)):
        yield {name: getattr(row, name) for name in names}


def _planted(context: StudyContext, session: Session) -> Iterator[Row]:
    if not is_locked(session):
        return
    del context
    query = (
        sa.select(PlantedRow, VersionRow, TaskRow)
        .join(VersionRow, VersionRow.id == PlantedRow.version_id)
        .join(TaskRow, TaskRow.start_version == VersionRow.id)
    )
    for row, version, task in session.execute(query.order_by(PlantedRow.id)):
        record = json.loads(row.record)
        yield {
            "task": task.id,
            "code": task.code,
            "version": version.uid,
            **{k: v for k, v in record.items() if k != "detail"},
            **record["detail"],
        }


def _events(context: StudyContext, session: Session) -> Iterator[Row]:
    """Yield what was done at the screen, from the journals of submitted tasks."""
    from napari_tumorseg.annotation.entries import EntryKind, interactions_of
    from napari_tumorseg.annotation.reader import JournalReader

    for task in session.scalars(sa.select(TaskRow).where(TaskRow.journal != "").order_by(TaskRow.id)):
        path = journal_file(context, task)
        with JournalReader(path) as reader:
            for entry in reader.entries(EntryKind.EVENT, EntryKind.PATCH):
                base = {"task": task.id, "code": task.code, "person": task.person, "session": entry.session}
                if entry.kind is EntryKind.PATCH:
                    yield {
                        **base,
                        "mono_ns": entry.mono_ns,
                        "wall_us": entry.wall_us,
                        "kind": "patch",
                        "data": {"tool": entry.tool, "source": entry.source},
                    }
                else:
                    for event in interactions_of(entry):
                        wall_us = entry.wall_us + (event.mono_ns - entry.mono_ns) // 1000
                        yield {**base, "mono_ns": event.mono_ns, "wall_us": wall_us, "kind": event.kind, "data": dict(event.data)}


def journal_file(context: StudyContext, task: TaskRow) -> Path:
    """Return the path of a submitted task's journal; raise `InputError` where it is missing."""
    path = context.files / task.journal if context.files is not None else None
    if path is None or not path.is_file():
        raise InputError(f"The record of the work on task {task.code} is missing.", "Bring the folder journals back from a backup.")
    return path
