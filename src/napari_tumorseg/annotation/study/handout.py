"""Handing out tasks: to each person the next one, and none to two.

On PostgreSQL the row of a free task is locked as it is found and rows that others are looking at are passed over
(``FOR UPDATE SKIP LOCKED``); on SQLite a transaction that hands out is alone (``BEGIN IMMEDIATE``).
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from napari_tumorseg.annotation.study.context import StudyContext, refuse_locked
from napari_tumorseg.annotation.study.records import Handout, Lease, StudyTask
from napari_tumorseg.annotation.study.tables import AnswerRow, CaseRow, PersonRow, PlanRow, TaskRow
from napari_tumorseg.core.errors import ConflictError, InputError

__all__ = ["free_parameters", "free_query", "next_task", "peek", "release", "renew", "task_record", "unanswered", "why_nothing"]


def next_task(context: StudyContext, person: str) -> Handout:
    """Give a person their next task, or the one that they have not submitted; see `StudyStore.next_task`."""
    with context.changing(person) as change:
        session = change.session
        refuse_locked(session)
        roles = _roles(session, person, lock=True)
        row = session.scalars(_HAD, {"person": person}).first()
        resumed = row is not None
        if row is None:
            row = session.scalars(_FREE_LOCKED, free_parameters(person, roles, change.at_us)).first()
        if row is None:
            return _nothing(session, person, roles, change.at_us)
        _check_plan(context, session, row)
        first = not row.first_us
        row.state, row.lease_person, row.lease_token = "leased", person, uuid.uuid4().hex
        row.lease_until_us = change.at_us + _lease_us(context)
        row.first_us = row.first_us or change.at_us
        change.note("resumed" if resumed else "handed out", row.code, task=row.id, step=row.step, first=first)
        lease = Lease(row.id, person, row.lease_token, row.lease_until_us)
        return Handout(task_record(context, session, row), lease, resumed)


def peek(context: StudyContext, person: str) -> StudyTask | None:
    """Return the task that the person is likely to get after the one that they have, without taking it."""
    with context.reading() as session:
        row = session.scalars(_FREE, free_parameters(person, _roles(session, person), context.clock.wall_ns() // 1000)).first()
        return task_record(context, session, row) if row is not None else None


def why_nothing(context: StudyContext, person: str) -> str:
    """Return why a person gets no task now; "" where there is one."""
    now_us = context.clock.wall_ns() // 1000
    with context.reading() as session:
        roles = _roles(session, person)
        if session.scalars(_FREE, free_parameters(person, roles, now_us)).first() is not None:
            return ""
        return _nothing(session, person, roles, now_us).why


def renew(context: StudyContext, lease: Lease) -> Lease:
    """Keep a task for as long again; raise `ConflictError` where another program has it by now."""
    with context.database.write() as session:
        row = leased_row(session, lease)
        row.lease_until_us = context.clock.wall_ns() // 1000 + _lease_us(context)
        return Lease(row.id, lease.person, lease.token, row.lease_until_us)


def release(context: StudyContext, lease: Lease) -> None:
    """Give a task back without a result."""
    with context.changing(lease.person) as change:
        row = leased_row(change.session, lease)
        row.state, row.lease_person, row.lease_token, row.lease_until_us = "ready", "", "", 0
        change.note("given back", row.code, task=row.id, step=row.step)


def leased_row(session: Session, lease: Lease) -> TaskRow:
    """Return the locked row of a lease; raise where it is not this program's any more."""
    row = session.scalars(sa.select(TaskRow).where(TaskRow.id == lease.task_id).with_for_update()).first()
    if row is None:
        raise InputError(f"The study has no task {lease.task_id}.", "Ask for the next task.")
    if row.state == "submitted":
        raise ConflictError(f"Task {row.code} ({row.step}) was submitted already.", "A submitted result is never changed.")
    if row.state != "leased" or row.lease_token != lease.token:
        raise ConflictError(f"Task {row.code} ({row.step}) was taken over by another program.", "Ask for the next task.")
    return row


def unanswered(context: StudyContext, person: str) -> tuple[tuple[StudyTask, tuple[str, ...]], ...]:
    """Return submitted tasks of a person with questions that are still to be answered, oldest first."""
    wanted = tuple(q.name for q in context.protocol.questions if q.when == "after")
    found = []
    with context.reading() as session:
        rows = session.scalars(
            sa.select(TaskRow).where(TaskRow.state == "submitted", TaskRow.person == person).order_by(TaskRow.submitted_us)
        )
        for row in rows:
            said = set(session.scalars(sa.select(AnswerRow.question).where(AnswerRow.task_id == row.id)))
            rest = tuple(name for name in wanted if name not in said)
            if rest:
                found.append((task_record(context, session, row), rest))
    return tuple(found)


def task_record(context: StudyContext, session: Session, row: TaskRow) -> StudyTask:
    """Return a task as its person may know it."""
    step = context.protocol.step(row.step)
    fingerprint = session.scalars(sa.select(CaseRow.fingerprint).where(CaseRow.id == row.case_id)).one()
    return StudyTask(
        row.id, row.code, row.step, step.title or row.step, row.role, row.round, row.person or "", row.practice, row.position,
        row.start_version is not None, step.may_return, step.sees_versions, fingerprint,
    )  # fmt: skip


def _lease_us(context: StudyContext) -> int:
    return int(context.protocol.lease_minutes * 60e6)


def _roles(session: Session, person: str, *, lock: bool = False) -> list[str]:
    # Locked, so that two programs of one person do not get two steps of one case.
    query = sa.select(PersonRow).where(PersonRow.id == person)
    row = session.scalars(query.with_for_update() if lock else query).first()
    if row is None:
        known = ", ".join(session.scalars(sa.select(PersonRow.id).order_by(PersonRow.id)))
        raise InputError(
            f"{person or 'Nobody'} is not in this study.", f"There are {known}." if known else "Add people with tumorseg study assign."
        )
    roles: list[str] = json.loads(row.roles)
    return roles


def free_query() -> sa.Select[Any]:
    """Return the query for the tasks that a person may have, the first one first; its parameters are `free_parameters`."""
    person: sa.BindParameter[Any] = sa.bindparam("person")
    other = aliased(TaskRow)
    worked = (
        sa.select(other.id)
        .where(other.case_id == TaskRow.case_id, other.id != TaskRow.id)
        .where(sa.or_(other.person == person, sa.and_(other.lease_person == person, other.state == "leased")))
        .exists()
    )
    # Of a case that somebody has worked on, they do no other step: nobody checks their own work.
    pool = sa.and_(TaskRow.person.is_(None), TaskRow.role.in_(sa.bindparam("roles", expanding=True)), ~worked)
    left = sa.and_(TaskRow.state == "leased", TaskRow.lease_until_us <= sa.bindparam("now_us"))
    return (
        sa.select(TaskRow)
        .where(sa.or_(TaskRow.state == "ready", left), sa.or_(TaskRow.person == person, pool))
        .where(TaskRow.not_before_us <= sa.bindparam("now_us"))
        .order_by(TaskRow.practice.desc(), TaskRow.round.desc(), TaskRow.period, TaskRow.position, TaskRow.id)
    )


def free_parameters(person: str, roles: list[str], now_us: int) -> dict[str, Any]:
    """Return the parameters of `free_query`."""
    return {"person": person, "roles": roles, "now_us": now_us}


# Built once: making a statement takes longer than running it.
_HAD = (
    sa.select(TaskRow)
    .where(TaskRow.state == "leased", TaskRow.lease_person == sa.bindparam("person"))
    .order_by(TaskRow.id)
    .limit(1)
    .with_for_update()
)
_FREE = free_query().limit(1)
_FREE_LOCKED = _FREE.with_for_update(skip_locked=True, of=TaskRow)


def _check_plan(context: StudyContext, session: Session, row: TaskRow) -> None:
    if context.protocol.needs_plan and not row.practice and session.scalar(sa.select(sa.func.count(PlanRow.id))) == 0:
        raise InputError("The study has no plan yet, and cases are handed out only afterwards.", "Make one with init --plan FILE.")


def _nothing(session: Session, person: str, roles: list[str], now_us: int) -> Handout:
    """Return why a person gets nothing."""
    mine = sa.or_(TaskRow.person == person, sa.and_(TaskRow.person.is_(None), TaskRow.role.in_(roles)))
    count = sa.select(sa.func.count(TaskRow.id)).where(mine)
    if session.scalar(count) == 0 and session.scalar(sa.select(sa.func.count(TaskRow.id)).where(TaskRow.role.in_(roles))) == 0:
        return Handout(None, why="No case has come to your step yet.")
    later = session.scalar(
        sa.select(sa.func.min(TaskRow.not_before_us)).where(mine, TaskRow.state == "ready", TaskRow.not_before_us > now_us)
    )
    if later:
        day = dt.datetime.fromtimestamp(later / 1e6, dt.UTC)
        return Handout(None, why=f"Nothing until {day:%Y-%m-%d %H:%M} UTC: cases are read again after a pause.", not_before_us=int(later))
    if session.scalar(count.where(TaskRow.state == "packed")):
        return Handout(None, why="Your tasks were given out in a package.")
    if session.scalar(count.where(TaskRow.state.in_(("waiting", "ready", "leased")))):
        return Handout(None, why="Nothing now: your next tasks wait for other people.")
    return Handout(None, why="All your tasks are done.")
