"""How far a study is, by step and person; never by arm."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import sqlalchemy as sa

from napari_tumorseg.annotation.study.context import StudyContext, audit_head, study_row
from napari_tumorseg.annotation.study.tables import CaseRow, ExclusionRow, PersonRow, PlanRow, TaskRow

__all__ = ["status"]


def status(context: StudyContext) -> dict[str, Any]:
    """Return counts of tasks by step, person and state; see `StudyStore.status`."""
    now_us = context.clock.wall_ns() // 1000
    with context.reading() as session:
        study = study_row(session)
        rows = list(session.scalars(sa.select(TaskRow).order_by(TaskRow.id)))
        people = list(session.scalars(sa.select(PersonRow).order_by(PersonRow.id)))
        cases = list(session.scalars(sa.select(CaseRow)))
        plan = session.scalars(sa.select(PlanRow.sha256).order_by(PlanRow.id.desc()).limit(1)).first()
        seq, head = audit_head(session)
        excluded = session.scalar(sa.select(sa.func.count(ExclusionRow.id)))
    return {
        "study": context.uid,
        "title": context.title,
        "protocol": context.protocol.name,
        "offline": bool(context.package),
        "locked": bool(study.locked_us),
        "cases": len([case for case in cases if not case.practice]),
        "practice_cases": len([case for case in cases if case.practice]),
        "tasks": dict(sorted(Counter(row.state for row in rows).items())),
        "steps": {
            step.name: dict(sorted(Counter(row.state for row in rows if row.step == step.name).items()))
            for step in context.protocol.steps
            if step.role != "model"
        },
        "people": [_of_person(person, rows, now_us) for person in people],
        "excluded": excluded or 0,
        "plan_sha256": plan or None,
        "audit_entries": seq,
        "audit_head": head,
    }


def _of_person(person: PersonRow, rows: list[TaskRow], now_us: int) -> dict[str, Any]:
    own = [row for row in rows if person.id in (row.person, row.lease_person)]
    resting = [row.not_before_us for row in own if row.state == "ready" and row.not_before_us > now_us]
    return {
        "id": person.id,
        "roles": json.loads(person.roles),
        "expertise": person.expertise,
        "submitted": sum(row.state == "submitted" for row in own),
        "open": sum(row.state in ("waiting", "ready", "leased", "packed") for row in own),
        "has": [row.code for row in own if row.state == "leased" and row.lease_person == person.id],
        "next_at_us": min(resting) if resting and not any(r.state == "ready" and r.not_before_us <= now_us for r in own) else None,
    }
