"""One person at work on a study in the window: what is next, the task with all that it may show, and its result.

Every function opens the study for itself and closes it again, so that they may be called from any thread, and a study that was
moved or a database that is gone is told about where it is met.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.case import Case, MaskVersion
from napari_tumorseg.core.errors import InputError, TumorSegError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.workflows.recover import FoundJournal, Left, Restored, find_journals, restore
from napari_tumorseg.workflows.study.task import OpenTask, change_facts, open_task

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.protocol import Protocol, Question
    from napari_tumorseg.annotation.study.records import Comment, Handout, Lease, Receipt, StudyTask, VersionInfo
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = [
    "COMMENTS",
    "Desk",
    "Finished",
    "OpenDesk",
    "TaskInHand",
    "answer_questions",
    "ask_next",
    "begin_task",
    "finish_task",
    "give_back",
    "last_desk",
    "open_desk",
    "peek_next",
    "read_task",
    "renew_lease",
]

#: Field of a journal's status that holds the comments which were pinned and not handed in.
COMMENTS = "study_comments"
_REMEMBERED = "study_desk.json"


@dataclass(frozen=True)
class Desk:
    """Where somebody works.

    Attributes
    ----------
    study : str
        Folder, or URL of the database.
    person : str
        Who.
    settings : Settings
        Where this machine's journals lie.
    files : Path, optional
        See `StudyStore.open`.
    """

    study: str
    person: str
    settings: Settings
    files: Path | None = None

    def open(self) -> StudyStore:
        """Open the study; the caller closes it."""
        from napari_tumorseg.annotation.study.store import StudyStore

        return StudyStore.open(self.study, files=self.files)


@dataclass(frozen=True)
class OpenDesk:
    """What is known of a study before a task is taken.

    Attributes
    ----------
    title : str
        Of the study, else of its protocol.
    protocol : Protocol
        How it is done.
    unanswered : tuple of (StudyTask, tuple of Question)
        What the person has submitted and still is to be asked about.
    why : str
        Why there is no task now; "" where there is one.
    """

    title: str
    protocol: Protocol
    unanswered: tuple[tuple[StudyTask, tuple[Question, ...]], ...]
    why: str


@dataclass(frozen=True, eq=False)
class TaskInHand:
    """A task that somebody works on.

    Attributes
    ----------
    opened : OpenTask
        Images and the mask to begin with.
    lease : Lease
        The right to submit it.
    journal : mapping
        What the journal's `Task` says of the study.
    comments : tuple of Comment
        By earlier steps.
    versions : tuple of (VersionInfo, MaskVersion)
        Of the steps before, where the step sees them.
    found : FoundJournal, optional
        Record of the work up to now, where it was begun on this machine.
    restored : Restored, optional
        The mask of that record.
    drafts : tuple of Comment
        Pinned before, and not handed in.
    note : str
        What the person should know of how it was opened.
    """

    opened: OpenTask
    lease: Lease
    journal: Mapping[str, Any]
    comments: tuple[Comment, ...] = ()
    versions: tuple[tuple[VersionInfo, MaskVersion], ...] = ()
    found: FoundJournal | None = None
    restored: Restored | None = None
    drafts: tuple[Comment, ...] = ()
    note: str = ""

    @property
    def task(self) -> StudyTask:
        """What is to be done."""
        return self.opened.task


@dataclass(frozen=True)
class Finished:
    """What somebody hands in.

    Attributes
    ----------
    mask : MaskVersion
        As they leave it.
    decision : str
        See `Submission.decision`.
    comments : tuple of Comment
        Pinned to places.
    answers : mapping of str to int
        To what is asked with the result.
    journal : Path, optional
        Closed record of the work; taken away once the study has its copy.
    """

    mask: MaskVersion
    decision: str = "submit"
    comments: tuple[Comment, ...] = ()
    answers: Mapping[str, int] = field(default_factory=dict)
    journal: Path | None = None


# -- the desk


def open_desk(desk: Desk) -> OpenDesk:
    """Return what is known before a task is taken, and remember study and person on this machine.

    Raises
    ------
    InputError
        If there is no such study, or the person is not in it.
    """
    with desk.open() as study:
        why = study.why_nothing(desk.person)
        asked = tuple((task, tuple(study.protocol.question(n) for n in names)) for task, names in study.unanswered(desk.person))
        title = study.context.title or study.protocol.title
        found = OpenDesk(title, study.protocol, asked, why)
    _remember(desk)
    return found


def last_desk(settings: Settings) -> tuple[str, str]:
    """Return the study and the person of the last time; ("", "") where there was none."""
    try:
        values = json.loads((settings.state_dir / _REMEMBERED).read_text(encoding="utf-8"))
        return str(values["study"]), str(values["person"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def _remember(desk: Desk) -> None:
    from napari_tumorseg.io.atomic import atomic_write

    try:
        desk.settings.state_dir.mkdir(parents=True, exist_ok=True)
        with atomic_write(desk.settings.state_dir / _REMEMBERED) as part:
            part.write_text(json.dumps({"study": desk.study, "person": desk.person}), encoding="utf-8")
    except (OSError, TumorSegError):
        return  # It saves some typing the next time, no more.


# -- a task


def ask_next(desk: Desk) -> Handout:
    """Take the person's next task; see `StudyStore.next_task`."""
    with desk.open() as study:
        return study.next_task(desk.person)


def peek_next(desk: Desk) -> tuple[StudyTask, Path] | None:
    """Return the task that is likely to come after the one in hand, with the folder of its images; None where nobody knows."""
    with desk.open() as study:
        task = study.peek(desk.person)
        return (task, study.case_folder(task)) if task is not None else None


def read_task(desk: Desk, task: StudyTask, progress: Progress | None = None) -> OpenTask:
    """Read the images of a task and the mask that it begins with, without anything that says whose they are.

    Raises
    ------
    InputError
        If the images are not there, or are not those that the study was made with.
    """
    with desk.open() as study:
        opened = open_task(study, task, progress)
    return replace(opened, case=_nameless(opened.case))


def begin_task(desk: Desk, opened: OpenTask, lease: Lease) -> TaskInHand:
    """Return a task with what its step may see, and the work that was begun on it on this machine."""
    with desk.open() as study:
        task = opened.task
        hand = TaskInHand(
            opened,
            lease,
            study.journal_facts(task, desk.person),
            study.comments(task),
            tuple((info, study.mask(info.uid)) for info in study.versions(task)),
        )
    return _with_earlier_work(desk, hand)


def renew_lease(desk: Desk, lease: Lease) -> Lease:
    """Keep a task for as long again; see `StudyStore.renew`."""
    with desk.open() as study:
        return study.renew(lease)


def give_back(desk: Desk, lease: Lease) -> None:
    """Give a task back that could not be opened, so that it is not lost for the time of its lease."""
    with desk.open() as study:
        study.release(lease)


def finish_task(desk: Desk, hand: TaskInHand, done: Finished) -> Receipt:
    """Submit a result: mask, comments, answers, the record of the work, and what was changed.

    Raises
    ------
    ConflictError
        If another program has the task, or it was submitted already.
    InputError
        If something of it does not suit the task. Then nothing is handed in, and the record stays.
    """
    from napari_tumorseg.annotation.study.records import Submission

    opened = hand.opened
    if done.decision == "return" and not done.comments:
        raise InputError("A case is sent back with a comment.", "Pin one to the place that is to be corrected.")
    facts = change_facts(opened.mask if opened.task.has_mask else None, done.mask)
    result = Submission(done.mask, opened.fingerprint, done.decision, done.answers, done.comments, done.journal, facts)
    with desk.open() as study:
        receipt = study.submit(hand.lease, result)
    if done.journal is not None:
        done.journal.unlink(missing_ok=True)
    return receipt


def answer_questions(desk: Desk, task_id: int, answers: Mapping[str, int]) -> None:
    """Keep answers to what is asked after a task."""
    with desk.open() as study:
        study.answer(task_id, desk.person, answers)


# -- inside


def _nameless(case: Case) -> Case:
    """Return a case whose images do not say from which files they are: those names tell whose they are, and a repeat from a first time."""
    points = []
    for point in case.timepoints:
        points.append(replace(point, volumes={key: replace(volume, source=None) for key, volume in point.volumes.items()}))
    return replace(case, timepoints=tuple(points))


def _with_earlier_work(desk: Desk, hand: TaskInHand) -> TaskInHand:
    key = hand.journal["more"]["study_task"]
    found = next((j for j in find_journals(desk.settings, *Left) if j.study_task == key and j.task.person == desk.person), None)
    if found is None:
        return hand
    try:
        return replace(hand, found=found, restored=restore(found), drafts=_drafts(found))
    except TumorSegError as error:
        return replace(hand, note=f"The record of your work on {hand.task.code} cannot be read: {error.message} The task begins anew.")


def _drafts(found: FoundJournal) -> tuple[Comment, ...]:
    """Return the comments that were pinned last; they are told anew after each change."""
    from napari_tumorseg.annotation.entries import EntryKind
    from napari_tumorseg.annotation.reader import JournalReader
    from napari_tumorseg.annotation.study.records import Comment

    last: list[Any] = []
    with JournalReader(found.path) as reader:
        for entry in reader.entries(EntryKind.STATUS):
            last = (entry.data or {}).get(COMMENTS, last)
    return tuple(Comment((int(z), int(y), int(x)), str(text)) for z, y, x, text in last)
