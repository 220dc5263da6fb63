"""What a person may see of a study's tasks: images, masks, versions and comments, as the protocol blinds them."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from napari_tumorseg.annotation.study.context import StudyContext
from napari_tumorseg.annotation.study.folder import located
from napari_tumorseg.annotation.study.handout import task_record
from napari_tumorseg.annotation.study.masks import mask_of
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.records import Comment, StudyTask, VersionInfo
from napari_tumorseg.annotation.study.tables import CaseRow, CommentRow, TaskRow, VersionRow
from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import InputError

__all__ = ["case_folder", "comments", "mask", "start_mask", "task", "versions"]


def task(context: StudyContext, task_id: int) -> StudyTask:
    """Return a task as its person may know it."""
    with context.reading() as session:
        row = session.get(TaskRow, task_id)
        if row is None:
            raise InputError(f"The study has no task {task_id}.", "Ask for the next task.")
        return task_record(context, session, row)


def case_folder(context: StudyContext, of: StudyTask) -> Path:
    """Return the folder of a task's images; raise `InputError` where it is not there."""
    with context.reading() as session:
        row = session.get_one(CaseRow, session.get_one(TaskRow, of.id).case_id)
    path = located(row.location, context.files)
    if not row.location or not path.exists():
        raise InputError(
            f"The images of task {of.code} are not where the study has them.",
            "If they were moved, name their folder: tumorseg study assign STUDY --cases FOLDER.",
        )
    return path


def start_mask(context: StudyContext, of: StudyTask) -> MaskVersion | None:
    """Return the mask that a task begins with, None where it is drawn from scratch; its author is not told."""
    with context.reading() as session:
        number = session.get_one(TaskRow, of.id).start_version
        row = session.get(VersionRow, number) if number is not None else None
        return None if row is None else _blinded(mask_of(row), context.protocol)


def mask(context: StudyContext, uid: str) -> MaskVersion:
    """Return a version of a mask; its author is not told where people are blinded."""
    with context.reading() as session:
        row = session.scalars(sa.select(VersionRow).where(VersionRow.uid == uid)).first()
        if row is None:
            raise InputError(f"The study has no version {uid}.", "Choose one of the task's versions.")
        return _blinded(mask_of(row), context.protocol)


def versions(context: StudyContext, of: StudyTask) -> tuple[VersionInfo, ...]:
    """Return the versions of the steps before that a step may see, oldest first; () where it sees none.

    Those by others in the same step and round are left out: whoever works beside is not seen.
    """
    if not of.sees_versions:
        return ()
    with context.reading() as session:
        own = session.get_one(TaskRow, of.id)
        query = sa.select(VersionRow, TaskRow).join(TaskRow, TaskRow.id == VersionRow.task_id)
        query = query.where(VersionRow.case_id == own.case_id, _not_beside(own))
        found = session.execute(query.order_by(VersionRow.id)).all()
    hidden = context.protocol.blinding.raters or context.protocol.blinding.origin
    return tuple(
        VersionInfo(version.uid, _title(context.protocol, made), made.step, made.round, "" if hidden else version.author)
        for version, made in found
    )


def comments(context: StudyContext, of: StudyTask) -> tuple[Comment, ...]:
    """Return the comments on a case by earlier steps and rounds, oldest first; none where raters are blinded to one another.

    Those by others in the same step and round are left out: the checkers of a round judge without knowing what the other said.
    """
    if context.protocol.blinding.raters:
        return ()
    with context.reading() as session:
        own = session.get_one(TaskRow, of.id)
        query = sa.select(CommentRow, TaskRow).join(TaskRow, TaskRow.id == CommentRow.task_id)
        query = query.where(TaskRow.case_id == own.case_id, _not_beside(own))
        found = session.execute(query.order_by(CommentRow.id)).all()
    return tuple(Comment((row.z, row.y, row.x), row.text, made.step, made.round) for row, made in found)


def _not_beside(own: TaskRow) -> sa.ColumnElement[bool]:
    """Return the condition that a task is not another person's in the same step and round."""
    return sa.or_(TaskRow.step != own.step, TaskRow.round != own.round, TaskRow.id == own.id)


def _blinded(version: MaskVersion, protocol: Protocol) -> MaskVersion:
    blind = protocol.blinding
    if blind.origin:
        # Neither the author nor whether it was a model; the record of each voxel begins anew.
        return replace(version, author="", kind=MaskKind.RATER, review=Review.IN_CORRECTION, version=uuid.uuid4().hex)
    hidden = blind.model if version.kind is MaskKind.AI else blind.raters
    return replace(version, author="") if hidden else version


def _title(protocol: Protocol, made: TaskRow) -> str:
    step = protocol.step(made.step)
    number = f" {made.place}" if step.people > 1 else ""
    return f"{step.title or step.name}{number}" + (f", round {made.round}" if made.round > 1 else "")
