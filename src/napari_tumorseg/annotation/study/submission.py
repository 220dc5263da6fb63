"""Taking results, and what follows from them: the next step, the next period, a case sent back."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.study.context import Change, StudyContext, refuse_locked
from napari_tumorseg.annotation.study.handout import leased_row
from napari_tumorseg.annotation.study.masks import facts_json, grid_of, version_row
from napari_tumorseg.annotation.study.protocol import Step
from napari_tumorseg.annotation.study.records import Lease, Receipt, Submission
from napari_tumorseg.annotation.study.tables import AnswerRow, CaseRow, CommentRow, TaskRow, VersionRow
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError

__all__ = ["JOURNALS", "answer", "check", "follow", "journal_name", "open_up", "record", "submit"]

#: Folder of the journals among the study's files.
JOURNALS = "journals"

_DONE = ("submitted", "withdrawn")


def submit(context: StudyContext, lease: Lease, submission: Submission) -> Receipt:
    """Take a result; see `StudyStore.submit`."""
    kept = _keep_journal(context, lease.task_id, submission.journal)
    with context.changing(lease.person) as change:
        session = change.session
        refuse_locked(session)
        _lock_case(session, lease.task_id)
        row = leased_row(session, lease)
        version = record(context, change, row, lease.person, submission, kept)
        change.note(
            "submitted", row.code, task=row.id, step=row.step, round=row.round, decision=row.decision,
            mask_sha256=version.sha256, journal_sha256=row.journal_sha256,
        )  # fmt: skip
        follow(context, change, row)
        asked = tuple(q.name for q in context.protocol.questions if q.when == "after")
        return Receipt(row.id, version.uid, asked)


def record(
    context: StudyContext, change: Change, row: TaskRow, person: str, submission: Submission, journal: tuple[str, str]
) -> VersionRow:
    """Write a result into a task that is this person's; journal is name and hash of the copy."""
    session = change.session
    check(context, session, row, submission)
    version = version_row(
        submission.mask, case_id=row.case_id, task_id=row.id, step=row.step, author=person, kind="rater",
        at_us=change.at_us, parent_id=row.start_version,
    )  # fmt: skip
    change.add(version)
    session.flush()
    for question, value in sorted(submission.answers.items()):
        change.add(AnswerRow(task_id=row.id, question=question, value=value, at_us=change.at_us))
    for comment in submission.comments:
        z, y, x = comment.voxel
        change.add(CommentRow(task_id=row.id, z=z, y=y, x=x, text=comment.text, at_us=change.at_us))
    row.person, row.decision, row.version_id = person, submission.decision, version.id
    row.journal, row.journal_sha256 = journal
    row.facts = facts_json(submission.facts)
    row.lease_token, row.lease_until_us, row.lease_person = "", 0, ""
    row.submitted_us, row.state = change.at_us, "submitted"
    session.flush()
    change.finished(row)
    return version


def answer(context: StudyContext, task_id: int, person: str, answers: Mapping[str, int]) -> None:
    """Keep answers to questions about a submitted task; see `StudyStore.answer`."""
    with context.changing(person) as change:
        session = change.session
        refuse_locked(session)
        row = session.get(TaskRow, task_id)
        if row is None or row.state != "submitted" or row.person != person:
            raise InputError("That task is not one that you have submitted.", "Answer for your own tasks.")
        said = set(session.scalars(sa.select(AnswerRow.question).where(AnswerRow.task_id == task_id)))
        for question, value in sorted(answers.items()):
            context.protocol.question(question).check(value)
            if question in said:
                raise InputError(f"{question!r} was answered already for task {row.code}.", "An answer is never changed.")
            change.add(AnswerRow(task_id=task_id, question=question, value=value, at_us=change.at_us))
        change.note("answered", row.code, task=task_id, questions=sorted(answers))


def follow(context: StudyContext, change: Change, row: TaskRow) -> None:
    """Do what a submission leads to. The offline part of a study leaves the next steps to the whole one."""
    if context.protocol.is_comparison:
        open_up(context, change.session, row.case_id)
    elif not context.package:
        _next_step(context, change, row)


def open_up(context: StudyContext, session: Session, case_id: int) -> None:
    """Make the readings of a case ready whose time has come: the one before is done, and a sham has its mask."""
    washout_us = round(context.protocol.washout_days * 86_400e6)
    rows = list(session.scalars(sa.select(TaskRow).where(TaskRow.case_id == case_id).order_by(TaskRow.period)))
    for row in rows:
        before = [r for r in rows if r.person == row.person and r.period < row.period]
        if row.state != "waiting" or any(r.state not in _DONE for r in before):
            continue
        if row.start == "other-rater":
            row.start_version = _other_raters_mask(context, rows, row)
            if row.start_version is None:
                continue
        last_us = max((r.submitted_us for r in before), default=0)
        row.not_before_us = last_us + washout_us if last_us else 0
        row.state = "ready"
    session.flush()


def _other_raters_mask(context: StudyContext, rows: list[TaskRow], row: TaskRow) -> int | None:
    from_scratch = sorted(
        r.version_id for r in rows if r.start == "empty" and r.person != row.person and r.state == "submitted" and r.version_id is not None
    )
    return random.Random(f"sham {context.seed} {row.id}").choice(from_scratch) if from_scratch else None


def _lock_case(session: Session, task_id: int) -> None:
    # Two people who finish a step of one case at once must see one another.
    case_id = session.scalar(sa.select(TaskRow.case_id).where(TaskRow.id == task_id))
    if case_id is not None:
        session.execute(sa.select(CaseRow.id).where(CaseRow.id == case_id).with_for_update())


def check(context: StudyContext, session: Session, row: TaskRow, submission: Submission) -> None:
    """Raise `InputError` for a result that does not suit its task."""
    protocol = context.protocol
    step = protocol.step(row.step)
    case = session.get_one(CaseRow, row.case_id)
    if submission.fingerprint != case.fingerprint:
        raise InputError(
            f"The images that are open are not those of task {row.code}.", "Open the task's own case and submit it from there."
        )
    allowed = ("accept", "return") if step.may_return else ("submit",)
    if submission.decision not in allowed:
        raise InputError(f"{submission.decision!r} is no decision of the step {row.step}.", f"Decide {' or '.join(allowed)}.")
    if submission.decision == "return" and not submission.comments:
        raise InputError(f"Task {row.code} is sent back without a comment.", "Pin one to the place that is to be corrected.")
    if submission.mask.schema.name != context.schema:
        raise InputError(f"The mask has the labels of {submission.mask.schema.name}.", f"The study's are {context.schema}.")
    submission.mask.schema.check(submission.mask.labels)
    first = session.scalars(sa.select(VersionRow).where(VersionRow.case_id == row.case_id).order_by(VersionRow.id).limit(1)).first()
    if first is not None and not grid_of(first).matches(submission.mask.grid):
        raise GeometryError(
            f"The mask of task {row.code} is not on the grid of the case's other masks.", "Draw it on the case's own images."
        )
    for comment in submission.comments:
        inside = all(0 <= v < n for v, n in zip(comment.voxel, submission.mask.grid.shape, strict=True))
        if not inside or not comment.text.strip():
            raise InputError(
                f"A comment at {comment.voxel} says nothing or lies outside the image.", "Pin it to a voxel and say what is wrong."
            )
    now = {q.name: q for q in protocol.questions if q.when == "submit"}
    for question, value in submission.answers.items():
        if question not in now:
            raise InputError(f"{question!r} is not asked with the result.", f"Asked are {', '.join(now) or 'none'}.")
        now[question].check(value)
    missing = sorted(set(now) - set(submission.answers))
    if missing:
        raise InputError(f"{missing[0]!r} was not answered.", "Answer it and submit again.")


def _keep_journal(context: StudyContext, task_id: int, journal: Path | None) -> tuple[str, str]:
    """Copy a journal into the study; return its name among the files and its hash."""
    if journal is None:
        return "", ""
    if context.files is None:
        raise InputError("The study has no folder for records of work.", "Open it through a folder with a study.toml.")
    from napari_tumorseg.annotation.reader import JournalReader

    with JournalReader(journal) as reader:
        about = reader.task.more.get("study_task")
    if about != f"{context.uid}:{task_id}":
        raise InputError(f"{journal.name} is the record of another task.", "Submit the task from its own window.")
    digest = hashlib.sha256(journal.read_bytes()).hexdigest()
    name = journal_name(task_id, digest)
    target = context.files / name
    part = target.with_suffix(".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(journal, part)
        part.replace(target)
    except OSError as error:
        raise OutputError(
            f"The record of the work cannot be copied to {target.parent}: {error.strerror}.", "Free some space, and submit again."
        ) from error
    return name, digest


def journal_name(task_id: int, digest: str) -> str:
    """Return the name of a journal among the study's files: by its content, so that nothing later can write over it."""
    return f"{JOURNALS}/{task_id:06d}-{digest[:16]}.journal"


# -- a pipeline goes on


def _next_step(context: StudyContext, change: Change, row: TaskRow) -> None:
    session = change.session
    siblings = list(
        session.scalars(
            sa.select(TaskRow)
            .where(TaskRow.case_id == row.case_id, TaskRow.step == row.step, TaskRow.round == row.round)
            .order_by(TaskRow.place)
        )
    )
    if any(r.state not in _DONE for r in siblings):
        return
    step = context.protocol.step(row.step)
    done = [r for r in siblings if r.state == "submitted"]
    if not done:
        change.note("dropped", row.code, step=row.step)
        return
    row = done[-1]
    if any(r.decision == "return" for r in done):
        _make(change, row, context.protocol.step(step.return_to), row.round + 1)
        change.note("sent back", row.code, to=step.return_to, round=row.round + 1)
        return
    following = context.protocol.after(row.step)
    if following is None:
        change.note("finished", row.code, version=row.version_id)
    else:
        _make(change, row, following, row.round)
        change.note("passed on", row.code, to=following.name, round=row.round)


def _make(change: Change, row: TaskRow, step: Step, round_: int) -> None:
    """Make the tasks of a step of a case; those who did it in an earlier round do it again."""
    session = change.session
    earlier = list(
        session.scalars(
            sa.select(TaskRow)
            .where(TaskRow.case_id == row.case_id, TaskRow.step == step.name, TaskRow.state == "submitted")
            .order_by(TaskRow.round.desc(), TaskRow.place)
        )
    )
    same = [r for r in earlier if r.round == earlier[0].round] if earlier else []
    for place in range(1, step.people + 1):
        own = next((r for r in same if r.place == place), None)
        # Whoever corrects goes on from their own version; the others from what the step before has made.
        going_back = round_ > row.round
        start = own.version_id if going_back and own is not None else row.version_id
        change.add(
            TaskRow(
                code=row.code, case_id=row.case_id, step=step.name, role=step.role, round=round_, place=place,
                person=own.person if own is not None else None, start="previous", start_version=start,
                practice=row.practice, position=row.position, state="ready",
            )
        )  # fmt: skip
    session.flush()
