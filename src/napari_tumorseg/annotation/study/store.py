"""The store of a study: who does what next, what came of it, and the proof that nothing was changed afterwards.

The same code keeps a study in one SQLite file in its folder, or in PostgreSQL for a team over a network.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from napari_tumorseg.annotation.entries import Clock
from napari_tumorseg.annotation.study import checks, ending, handout, rows_out, setup, submission, views
from napari_tumorseg.annotation.study.audit import Problem
from napari_tumorseg.annotation.study.context import Change, StudyContext, audit_head, study_row
from napari_tumorseg.annotation.study.database import Database, closed_on_error, is_url, refuse_password
from napari_tumorseg.annotation.study.folder import STUDY_FILE, StudyFolder, write_text
from napari_tumorseg.annotation.study.plan import Plan
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.protocol_file import parse_protocol
from napari_tumorseg.annotation.study.records import Comment, Handout, Lease, NewCase, Person, Receipt, StudyTask, Submission, VersionInfo
from napari_tumorseg.annotation.study.signing import new_key, public_of
from napari_tumorseg.annotation.study.tables import CaseRow, PlanRow, StudyRow, TaskRow, VersionRow
from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError

__all__ = ["StudyStore"]


class StudyStore:
    """An open study; may be used by one thread at a time. Made by `create` and `open`.

    Parameters
    ----------
    context : StudyContext
        Database, protocol and clock.
    place : StudyFolder, optional
        The study's folder; None where it was opened by its URL.

    Examples
    --------
    >>> import tempfile
    >>> from napari_tumorseg.annotation.study.protocol_file import load_protocol
    >>> folder = Path(tempfile.mkdtemp()) / "study"
    >>> with StudyStore.create(folder, load_protocol("brats-mets-raters"), seed=1) as study:
    ...     study.add_people([Person("R1", ("rater",))])
    ...     study.next_task("R1").why
    'No case has come to your step yet.'
    >>> StudyStore.open(folder).verify()
    []
    """

    def __init__(self, context: StudyContext, place: StudyFolder | None = None) -> None:
        self._context = context
        self.place = place

    @classmethod
    def create(
        cls,
        folder: Path,
        protocol: Protocol,
        *,
        seed: int,
        title: str = "",
        database: str = "",
        files: str = ".",
        clock: Clock | None = None,
        mounts: str | None = None,
        uid: str = "",
        package: str = "",
        public_key: str = "",
    ) -> StudyStore:
        """Make a study in a new or empty folder.

        Parameters
        ----------
        folder : Path
            Of the study.
        protocol : Protocol
            How it is done; copied into the study.
        seed : int
            Of every draw.
        title : str
            For reports.
        database : str
            URL of an empty PostgreSQL database; "" for a file in the folder.
        files : str
            Folder of the journals, from which the cases' folders are counted; relative to `folder`.
        clock : Clock, optional
            Where time is read.
        mounts : str, optional
            See `share.check_disk`.
        uid, package, public_key : str
            Of the whole study, where this one is its offline part.

        Raises
        ------
        InputError
            If there is a study already.
        OutputError
            If the folder cannot be written, or lies where files cannot be locked.
        """
        if (folder / STUDY_FILE).exists() or (folder.is_dir() and any(folder.iterdir())):
            raise InputError(f"The folder {folder} is not empty.", "Choose a new folder for the study.")
        refuse_password(database)
        place = StudyFolder(folder, database or StudyFolder(folder).database, files)
        base = Database(place.url, mounts)
        private = new_key()
        with closed_on_error(base):
            place.make()
            base.upgrade()
            context = StudyContext(
                base, clock or Clock(), place.files_path, protocol, uid or uuid.uuid4().hex, title, protocol.schema, seed, package
            )
            with context.changing("") as change:
                if change.session.scalar(sa.select(sa.func.count(StudyRow.id))):
                    raise InputError(f"There is a study in {base.name} already.", "Name an empty database.")
                change.add(_study_row(context, change, public_key or public_of(private)))
                change.note("study made", context.uid, protocol=protocol.name, seed=seed)
        if not package:
            place.write_key(private)
        write_text(folder / "protocol.toml", protocol.text)
        place.write()
        return cls(context, place)

    @classmethod
    def open(cls, place: Path | str, *, files: Path | None = None, clock: Clock | None = None, mounts: str | None = None) -> StudyStore:
        """Open a study by its folder, or a team's by the URL of its database.

        Parameters
        ----------
        place : Path or str
            Folder or URL.
        files : Path, optional
            Folder of journals and cases, where it is another one on this machine.
        clock : Clock, optional
            Where time is read.
        mounts : str, optional
            See `share.check_disk`.
        """
        folder = None if is_url(str(place)) else StudyFolder.read(Path(place))
        url = str(place) if folder is None else folder.url
        if folder is not None and not is_url(folder.database) and not (folder.folder / folder.database).is_file():
            raise InputError(f"The study's database {folder.database} is not in {folder.folder}.", "Bring it back, or correct study.toml.")
        base = Database(url, mounts)
        with closed_on_error(base):
            base.upgrade()
            with base.read() as session:
                row = session.scalars(sa.select(StudyRow)).first()
            if row is None:
                raise InputError(f"There is no study in {base.name}.", "Make one with tumorseg study init.")
            protocol = parse_protocol(row.protocol, "protocol.toml of the study")
        root = files or (folder.files_path if folder is not None else None)
        return cls(StudyContext(base, clock or Clock(), root, protocol, row.uid, row.title, row.schema, row.seed, row.package), folder)

    def __enter__(self) -> Self:
        """Return the study."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the database."""
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._context.database.close()

    # -- what it is

    @property
    def context(self) -> StudyContext:
        """Database, protocol and clock, for the modules of this package."""
        return self._context

    @property
    def protocol(self) -> Protocol:
        """How the study is done."""
        return self._context.protocol

    @property
    def uid(self) -> str:
        """Id of the study, in every copy and package."""
        return self._context.uid

    @property
    def seed(self) -> int:
        """Of every draw."""
        return self._context.seed

    @property
    def files(self) -> Path | None:
        """Folder of journals, from which cases' folders are counted."""
        return self._context.files

    @property
    def package(self) -> str:
        """The package that this study is the offline part of; "" for a whole study."""
        return self._context.package

    @property
    def locked(self) -> bool:
        """Whether the data are locked, and the arms shown."""
        with self._context.reading() as session:
            return bool(study_row(session).locked_us)

    @property
    def plan(self) -> Plan | None:
        """The plan of the analysis that counts."""
        with self._context.reading() as session:
            text = session.scalars(sa.select(PlanRow.text).order_by(PlanRow.id.desc()).limit(1)).first()
        return Plan.from_json(json.loads(text)) if text else None

    @property
    def cases(self) -> dict[str, tuple[str, str, bool]]:
        """Folder, fingerprint and whether it is for practice, by the case's own code; not for raters."""
        with self._context.reading() as session:
            return {
                row.code: (row.location, row.fingerprint, row.practice) for row in session.scalars(sa.select(CaseRow).order_by(CaseRow.id))
            }

    @property
    def ai_cases(self) -> frozenset[str]:
        """Codes of the cases that have a model's mask."""
        with self._context.reading() as session:
            query = sa.select(CaseRow.code).join(VersionRow, VersionRow.case_id == CaseRow.id).where(VersionRow.kind == "ai")
            return frozenset(session.scalars(query))

    # -- setting up

    def add_cases(self, cases: Sequence[NewCase]) -> tuple[str, ...]:
        """Add cases under codes of their own; return the codes in the order given."""
        return setup.add_cases(self._context, cases)

    def add_people(self, people: Sequence[Person]) -> None:
        """Add people with roles of the protocol."""
        setup.add_people(self._context, people)

    def add_ai_mask(self, case: str, mask: MaskVersion, facts: Mapping[str, Any] | None = None) -> None:
        """Keep a model's mask of a case; see `setup.add_ai_mask`."""
        setup.add_ai_mask(self._context, case, mask, facts)

    def set_plan(self, plan: Plan) -> str:
        """Keep the plan with the study's seed, write it to plan.json, and return its hash; refused once a case has been handed out."""
        digest = setup.add_plan(self._context, plan)
        if self.place is not None:
            write_text(self.place.folder / "plan.json", plan.seeded(self.seed).canonical + "\n")
        return digest

    def make_tasks(self, planter: setup.Planter | None = None) -> int:
        """Draw the allocation and make the tasks, once; return how many."""
        return setup.make_tasks(self._context, planter)

    def move_case(self, case: str, location: str) -> None:
        """Say where a case's folder is now."""
        with self._context.changing("") as change:
            change.session.scalars(sa.select(CaseRow).where(CaseRow.code == case)).one().location = location
            change.note("case moved", case)

    # -- working

    def next_task(self, person: str) -> Handout:
        """Give a person the next task.

        A task that they have and did not submit comes back, and the program that had it can no longer submit it. Otherwise: practice
        first, then by period and drawn order; not before the washout is over; no step of a case that they have worked on.

        Raises
        ------
        InputError
            If they are not in the study, the data are locked, or there is no plan yet and the protocol wants one.
        """
        return handout.next_task(self._context, person)

    def peek(self, person: str) -> StudyTask | None:
        """Return the task that is likely to come next, to load its images; it is not taken."""
        return handout.peek(self._context, person)

    def why_nothing(self, person: str) -> str:
        """Return why a person gets no task now; "" where there is one."""
        return handout.why_nothing(self._context, person)

    def renew(self, lease: Lease) -> Lease:
        """Keep a task for the protocol's `lease_minutes` from now; raise `ConflictError` where another program has it."""
        return handout.renew(self._context, lease)

    def release(self, lease: Lease) -> None:
        """Give a task back without a result."""
        handout.release(self._context, lease)

    def submit(self, lease: Lease, result: Submission) -> Receipt:
        """Take a result, which is never changed afterwards, and go on as the protocol says.

        Raises
        ------
        ConflictError
            If the task was submitted already, or another program has it.
        InputError
            If the images that were open are those of another case, or mask, decision, answers, comments or journal do not suit the task.
        """
        return submission.submit(self._context, lease, result)

    def answer(self, task_id: int, person: str, answers: Mapping[str, int]) -> None:
        """Keep answers to the questions that are asked after a task; each once."""
        submission.answer(self._context, task_id, person, answers)

    def unanswered(self, person: str) -> tuple[tuple[StudyTask, tuple[str, ...]], ...]:
        """Return the person's submitted tasks with questions that are still open."""
        return handout.unanswered(self._context, person)

    # -- looking

    def task(self, task_id: int) -> StudyTask:
        """Return a task as its person may know it."""
        return views.task(self._context, task_id)

    def case_folder(self, task: StudyTask) -> Path:
        """Return the folder of a task's images; raise `InputError` where it is not there."""
        return views.case_folder(self._context, task)

    def start_mask(self, task: StudyTask) -> MaskVersion | None:
        """Return the mask that a task begins with, None where it is drawn from scratch; its author is not told."""
        return views.start_mask(self._context, task)

    def mask(self, uid: str) -> MaskVersion:
        """Return a version of a mask; its author is not told where people are blinded."""
        return views.mask(self._context, uid)

    def versions(self, task: StudyTask) -> tuple[VersionInfo, ...]:
        """Return the versions that a step may see side by side: of the steps before, oldest first; () where it sees none."""
        return views.versions(self._context, task)

    def comments(self, task: StudyTask) -> tuple[Comment, ...]:
        """Return the comments on a case by earlier steps, oldest first; none where raters are blinded to one another."""
        return views.comments(self._context, task)

    def journal_facts(self, task: StudyTask, person: str) -> dict[str, Any]:
        """Return the fields of the journal's `Task` that tie it to this task; it names neither arm nor patient."""
        more = {"study_task": f"{self.uid}:{task.id}", "round": task.round, "practice": task.practice, "role": task.role}
        return {"case": task.code, "person": person, "protocol": self.protocol.name, "step": task.step, "more": more}

    def journal_file(self, task_id: int) -> Path:
        """Return the journal of a submitted task."""
        with self._context.reading() as session:
            return rows_out.journal_file(self._context, session.get_one(TaskRow, task_id))

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table of `rows_out.TABLES` as rows; arms, cases and what tells them are None until the data are locked."""
        return rows_out.rows(self._context, table)

    def status(self) -> dict[str, Any]:
        """Return how far the study is: tasks by step, person and state; nothing by arm."""
        from napari_tumorseg.annotation.study.progress import status

        return status(self._context)

    # -- ending

    def exclude(self, task_id: int, reason: str, by: str) -> None:
        """Leave a task out of the analysis, with a reason; one that was not submitted is withdrawn."""
        ending.exclude(self._context, task_id, reason, by)

    def lock(self, by: str, *, incomplete: bool = False) -> None:
        """End the study: nothing is added any more, and arms are shown.

        Raises
        ------
        InputError
            If tasks are not done, unless `incomplete` says that they will not be.
        """
        ending.lock(self._context, by, incomplete=incomplete)

    def verify(self, head: str = "") -> list[Problem]:
        """Return everything that is not as it was written; empty where all is well.

        Parameters
        ----------
        head : str
            Hash of an audit entry that was noted down elsewhere (see `audit_head`), which shows whether the log's end was cut off.
        """
        return checks.verify(self._context, head)

    @property
    def audit_head(self) -> tuple[int, str]:
        """Number and hash of the audit log's last entry, to be noted down elsewhere."""
        with self._context.reading() as session:
            return audit_head(session)


def _study_row(context: StudyContext, change: Change, public_key: str) -> StudyRow:
    return StudyRow(
        uid=context.uid, title=context.title, seed=context.seed, schema=context.schema, protocol=context.protocol.text,
        protocol_sha256=hashlib.sha256(context.protocol.text.encode()).hexdigest(), created_us=change.at_us,
        public_key=public_key, package=context.package, locked_us=0,
    )  # fmt: skip
