"""Whether a study is as it was written: the audit log, the rows that it names, the masks, the journals, the plan's file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.study.audit import AuditEntry, Problem, read_entries, verify_chain
from napari_tumorseg.annotation.study.context import DESIGN, StudyContext, row_digest, row_name, study_row
from napari_tumorseg.annotation.study.masks import mask_of
from napari_tumorseg.annotation.study.tables import (
    AnswerRow,
    Base,
    CaseRow,
    CommentRow,
    ExclusionRow,
    MergedRow,
    PackedRow,
    PersonRow,
    PlanRow,
    PlantedRow,
    TaskRow,
    VersionRow,
)
from napari_tumorseg.core.errors import InputError

__all__ = ["verify"]

_ROWS = (VersionRow, AnswerRow, CommentRow, ExclusionRow, PlanRow, PlantedRow, PackedRow, MergedRow, CaseRow, PersonRow)


def verify(context: StudyContext, head: str = "") -> list[Problem]:
    """Return everything that is not as it was written; see `StudyStore.verify`."""
    with context.reading() as session:
        entries = read_entries(session)
        problems = verify_chain(entries, head)
        problems += _rows(session, entries)
        problems += _masks(session)
        problems += _journals(session, context.files)
        problems += _plan(session, context.files)
    return problems


def _rows(session: Session, entries: list[AuditEntry]) -> list[Problem]:
    """Compare every row with the hash that the log has of it."""
    expected: dict[str, str] = {}
    for entry in entries:
        try:
            expected.update(entry.data.get("rows", {}))
        except (ValueError, AttributeError):
            continue  # told as an altered entry
    problems = []
    present = _present(session)
    for name, digest in present.items():
        if name not in expected:
            problems.append(Problem(_told(name), "is not in the audit log: it was put in"))
        elif expected[name] != digest:
            problems.append(Problem(_told(name), "was altered"))
    return problems + [Problem(_told(name), "is missing") for name in expected if name not in present]


def _present(session: Session) -> dict[str, str]:
    found: dict[str, str] = {}
    everything: list[Base] = [study_row(session)]
    for kind in _ROWS:
        everything += session.scalars(sa.select(kind))
    for row in everything:
        found[row_name(row)] = row_digest(row)
    for task in session.scalars(sa.select(TaskRow)):
        found[row_name(task, design=True)] = row_digest(task, DESIGN)
        if task.state == "submitted":
            found[row_name(task)] = row_digest(task)
    return found


def _told(name: str) -> str:
    table, _, key = name.partition(":")
    return f"{table.replace('-design', '')} {key}"


def _masks(session: Session) -> list[Problem]:
    problems = []
    for row in session.scalars(sa.select(VersionRow)):
        try:
            mask_of(row)
        except InputError:
            problems.append(Problem(f"version {row.id}", "has other voxels than were submitted"))
    return problems


def _journals(session: Session, files: Path | None) -> list[Problem]:
    problems = []
    for row in session.scalars(sa.select(TaskRow).where(TaskRow.journal != "").order_by(TaskRow.id)):
        path = None if files is None else files / row.journal
        if path is None or not path.is_file():
            problems.append(Problem(f"journal of task {row.code}", "is missing"))
        elif hashlib.sha256(path.read_bytes()).hexdigest() != row.journal_sha256:
            problems.append(Problem(f"journal of task {row.code}", "was altered"))
    return problems


def _plan(session: Session, files: Path | None) -> list[Problem]:
    row = session.scalars(sa.select(PlanRow).order_by(PlanRow.id.desc()).limit(1)).first()
    if row is None:
        return []
    problems = []
    if hashlib.sha256(row.text.encode()).hexdigest() != row.sha256:
        problems.append(Problem("plan", "is not what was hashed"))
    path = None if files is None else files / "plan.json"
    if path is not None and path.is_file():
        try:
            same = json.loads(path.read_text(encoding="utf-8")) == json.loads(row.text)
        except ValueError:
            same = False
        if not same:
            problems.append(Problem("file plan.json", "says another plan than the one that was hashed"))
    return problems
