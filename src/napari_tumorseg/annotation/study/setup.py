"""Making a study: cases, people, masks of models, the plan, and the tasks that the protocol asks for."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.study.allocation import Instance, allocate
from napari_tumorseg.annotation.study.context import Change, StudyContext, refuse_locked
from napari_tumorseg.annotation.study.masks import mask_of, version_row
from napari_tumorseg.annotation.study.plan import Plan, canonical_json, check_arms
from napari_tumorseg.annotation.study.planted import PlantedError
from napari_tumorseg.annotation.study.protocol import MODEL_ROLE
from napari_tumorseg.annotation.study.recode import draw_codes
from napari_tumorseg.annotation.study.records import NewCase, Person
from napari_tumorseg.annotation.study.submission import open_up
from napari_tumorseg.annotation.study.tables import CaseRow, PersonRow, PlanRow, PlantedRow, TaskRow, VersionRow
from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError

__all__ = ["Planter", "add_ai_mask", "add_cases", "add_people", "add_plan", "make_tasks"]

#: Puts an error into a mask: given case code, mask, kind and seed, returns the mask with it and the record.
Planter = Callable[[str, MaskVersion, str, int], tuple[MaskVersion, PlantedError]]


def add_cases(context: StudyContext, cases: Sequence[NewCase]) -> tuple[str, ...]:
    """Add cases under codes of their own; return the codes in the order given."""
    with context.changing("") as change:
        session = change.session
        refuse_locked(session)
        _refuse_tasks(session, "Cases")
        known: dict[str, str] = dict(session.execute(sa.select(CaseRow.fingerprint, CaseRow.code)).all())
        seen: dict[str, str] = {}
        for case in cases:
            if case.fingerprint in known or case.fingerprint in seen:
                raise InputError("Two cases hold the same images.", "Take one of them out; a case is repeated by the protocol.")
            seen[case.fingerprint] = case.location
        taken = set(known.values())
        codes = draw_codes(len(cases), context.seed, taken, f"case {len(taken)}")
        # By their content, so that codes do not follow the order of the folders.
        order = sorted(range(len(cases)), key=lambda i: cases[i].fingerprint)
        by_index = dict(zip(order, codes, strict=True))
        for index in order:
            case = cases[index]
            change.add(CaseRow(code=by_index[index], location=case.location, fingerprint=case.fingerprint, practice=case.practice))
        change.note("cases added", "", count=len(cases))
        return tuple(by_index[i] for i in range(len(cases)))


def add_people(context: StudyContext, people: Sequence[Person]) -> None:
    """Add people; raise `InputError` for a role that the protocol does not have, or an id that is somebody else's."""
    with context.changing("") as change:
        refuse_locked(change.session)
        for person in people:
            unknown = [role for role in person.roles if role not in context.protocol.roles]
            if unknown or not person.roles:
                raise InputError(
                    f"{person.id} has the role {unknown[0] if unknown else ''!r}, which {context.protocol.name} does not know.",
                    f"It knows {', '.join(context.protocol.roles)}.",
                )
            roles = canonical_json(list(person.roles))
            there = change.session.get(PersonRow, person.id)
            if there is not None and (there.roles, there.expertise) == (roles, person.expertise):
                continue  # said again, after something else had failed
            if there is not None:
                raise InputError(f"{person.id} is in the study already, as another.", "Give each person an id of their own.")
            change.add(PersonRow(id=person.id, roles=roles, expertise=person.expertise, added_us=change.at_us))
            change.note("person added", person.id, roles=list(person.roles))


def add_ai_mask(context: StudyContext, case: str, mask: MaskVersion, facts: Mapping[str, Any] | None = None) -> None:
    """Keep a model's mask of a case.

    Parameters
    ----------
    context : StudyContext
        The study.
    case : str
        Code.
    mask : MaskVersion
        With the model's name as author.
    facts : mapping, optional
        ``seconds`` that the model took beforehand, version and hashes of the model.
    """
    with context.changing("") as change:
        session = change.session
        refuse_locked(session)
        row = session.scalars(sa.select(CaseRow).where(CaseRow.code == case)).one()
        if mask.schema.name != context.schema:
            raise InputError(f"The AI mask of case {case} has the labels of {mask.schema.name}.", f"The study's are {context.schema}.")
        mask.schema.check(mask.labels, f"The AI mask of case {case}")
        if ai_mask(session, row.id) is not None:
            raise InputError(f"Case {case} has an AI mask already.", "It is never changed.")
        step = next((s.name for s in context.protocol.steps if s.role == MODEL_ROLE), "model")
        version = version_row(mask, case_id=row.id, step=step, author=mask.author, kind="ai", at_us=change.at_us, facts=facts)
        change.add(version)
        change.note("AI mask added", case, mask_sha256=version.sha256)


def add_plan(context: StudyContext, plan: Plan, *, as_it_is: bool = False) -> str:
    """Keep the plan and return its hash; raise `InputError` once a case that counts was handed out.

    Parameters
    ----------
    context : StudyContext
        The study.
    plan : Plan
        What is planned; gets the study's seed.
    as_it_is : bool
        Whether it has its seed already, in the offline part of a study.
    """
    if context.protocol.is_comparison:
        check_arms(plan, tuple(arm.name for arm in context.protocol.arms))
    plan = plan if as_it_is else plan.seeded(context.seed)
    with context.changing("") as change:
        session = change.session
        refuse_locked(session)
        if session.scalars(sa.select(PlanRow.sha256).order_by(PlanRow.id.desc()).limit(1)).first() == plan.sha256:
            return plan.sha256
        begun = session.scalar(sa.select(sa.func.count(TaskRow.id)).where(TaskRow.first_us > 0, TaskRow.practice.is_(False)))
        packed = session.scalar(sa.select(sa.func.count(TaskRow.id)).where(TaskRow.state == "packed", TaskRow.practice.is_(False)))
        if begun or packed:
            raise InputError(
                "The plan cannot be changed: the first case has been handed out.", "Report a change beside the plan, not in it."
            )
        change.add(PlanRow(text=plan.canonical, sha256=plan.sha256, at_us=change.at_us))
        change.note("plan", "", sha256=plan.sha256)
        return plan.sha256


def ai_mask(session: Session, case_id: int) -> VersionRow | None:
    """Return the model's mask of a case."""
    return session.scalars(sa.select(VersionRow).where(VersionRow.case_id == case_id, VersionRow.kind == "ai")).first()


def make_tasks(context: StudyContext, planter: Planter | None = None) -> int:
    """Make the tasks that the protocol asks for, once, and return how many.

    Raises
    ------
    InputError
        If they are there already, or cases, people or AI masks are missing.
    """
    with context.changing("") as change:
        session = change.session
        context.database.lock_setup(session)
        refuse_locked(session)
        _refuse_tasks(session, "Tasks")
        cases = list(session.scalars(sa.select(CaseRow).order_by(CaseRow.fingerprint)))
        people = list(session.scalars(sa.select(PersonRow).order_by(PersonRow.id)))
        if not any(not case.practice for case in cases):
            raise InputError("The study has no case that counts.", "Add cases with tumorseg study init.")
        missing = [case.code for case in cases if context.protocol.needs_ai and ai_mask(session, case.id) is None]
        if missing:
            raise InputError(
                f"{len(missing)} cases have no AI mask: {', '.join(missing[:8])}.",
                "Name a model with --model, or a folder with --ai-masks.",
            )
        rows = _readings(context, cases, people) if context.protocol.is_comparison else _first_steps(context, session, cases, people)
        for row in rows:
            change.add(row)
        session.flush()
        if context.protocol.is_comparison:
            _start(context, change, rows, planter)
        change.note("tasks made", "", count=len(rows), seed=context.seed)
        return len(rows)


def _refuse_tasks(session: Session, what: str) -> None:
    if session.scalar(sa.select(sa.func.count(TaskRow.id))):
        raise InputError(f"{what} cannot be added: the tasks have been drawn.", "Begin another study for other cases.")


def _readings(context: StudyContext, cases: list[CaseRow], people: list[PersonRow]) -> list[TaskRow]:
    """Return the tasks of a comparison."""
    protocol, step = context.protocol, context.protocol.steps[0]
    raters = [person.id for person in people]
    by_code = {case.code: case for case in cases}
    found = [
        *_practice(context, [case.code for case in cases if case.practice], raters),
        *allocate(protocol, [case.code for case in cases if not case.practice], raters, context.seed),
    ]
    codes = draw_codes(len(found), context.seed, set(by_code))
    rows = []
    for index, instance in enumerate(found):
        case = by_code[instance.case]
        start = protocol.arm(instance.arm).start
        rows.append(
            TaskRow(
                code=codes[index] if protocol.recode == "task" else case.code, case_id=case.id, step=step.name, role=step.role,
                round=1, place=1, person=instance.rater, arm=instance.arm, start=start, practice=case.practice,
                period=instance.period, repeat=instance.repeat, position=instance.position, state="waiting",
            )
        )  # fmt: skip
    return rows


def _practice(context: StudyContext, cases: list[str], raters: list[str]) -> list[Instance]:
    """Return everybody's practice: each case once, the arms that need no other rater in turn."""
    arms = [arm.name for arm in context.protocol.arms if arm.start != "other-rater"]
    return [
        Instance(case, rater, arms[(number + shift) % len(arms)], 1, 1, number + 1)
        for shift, rater in enumerate(sorted(raters))
        for number, case in enumerate(sorted(cases))
    ]


def _start(context: StudyContext, change: Change, rows: list[TaskRow], planter: Planter | None) -> None:
    """Give readings their AI masks, some with an error, and make ready what can begin."""
    session = change.session
    with_ai = [row for row in rows if row.start == "ai"]
    for row in with_ai:
        found = ai_mask(session, row.case_id)
        row.start_version = found.id if found is not None else None
    _plant(context, change, [row for row in with_ai if not row.practice], planter)
    for case_id in sorted({row.case_id for row in rows}):
        open_up(context, session, case_id)


def _plant(context: StudyContext, change: Change, rows: list[TaskRow], planter: Planter | None) -> None:
    """Plant errors in the share of tasks that the protocol says, kinds in turn; what a case does not allow is another one's."""
    planted = context.protocol.planted
    wanted = round(planted.share * len(rows))
    if not wanted:
        return
    if planter is None:
        raise InputError(
            "The protocol plants errors, and nothing was given to plant them with.", "Make the tasks with tumorseg study assign."
        )
    session, done = change.session, 0
    for row in random.Random(f"planted {context.seed}").sample(rows, len(rows)):
        if done == wanted:
            break
        original = session.get_one(VersionRow, row.start_version)
        case = session.get_one(CaseRow, row.case_id).code
        kind = planted.kinds[done % len(planted.kinds)]
        try:
            mask, error = planter(case, mask_of(original), kind, context.seed * 1_000_003 + row.id)
        except InputError:
            continue
        version = version_row(
            mask, case_id=row.case_id, step=original.step, author=original.author, kind="planted", at_us=change.at_us, parent_id=original.id
        )
        change.add(version)
        session.flush()
        change.add(PlantedRow(version_id=version.id, record=canonical_json(error.to_json())))
        row.start_version = version.id
        done += 1
    if done < wanted:
        raise InputError(f"Errors could be planted in {done} of {wanted} tasks only.", "Plant a smaller share, or other kinds.")


def _first_steps(context: StudyContext, session: Session, cases: list[CaseRow], people: list[PersonRow]) -> list[TaskRow]:
    """Return the tasks of a pipeline's first step, in random order."""
    import json

    protocol = context.protocol
    roles = {person.id: set(json.loads(person.roles)) for person in people}
    for step in protocol.steps:
        able = [person for person, has in roles.items() if step.role in has]
        if step.role != MODEL_ROLE and len(able) < step.people:
            raise InputError(f"The step {step.name} needs {step.people} of the role {step.role}, and there are {len(able)}.", "Add people.")
    first = next(step for step in protocol.steps if step.role != MODEL_ROLE)
    rng = random.Random(f"order {context.seed}")
    rows = []
    for position, case in enumerate(rng.sample(cases, len(cases)), 1):
        made = ai_mask(session, case.id) if first.start in ("ai", "previous") else None
        for place in range(1, first.people + 1):
            rows.append(
                TaskRow(
                    code=case.code, case_id=case.id, step=first.name, role=first.role, round=1, place=place, person=None, start=first.start,
                    start_version=made.id if made is not None else None, practice=case.practice, position=position, state="ready",
                )
            )  # fmt: skip
    return rows
