"""A person's way through the tasks of a study: take, work, pause, submit, answer, next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.timing import SUBMIT
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.widgets.parts import choose
from napari_tumorseg.widgets.session_part import SessionPart
from napari_tumorseg.widgets.study_case import StudyCase
from napari_tumorseg.widgets.study_lease import LeaseKeeper
from napari_tumorseg.widgets.study_pause import PauseCover
from napari_tumorseg.widgets.study_reader import TaskReader
from napari_tumorseg.workflows.study import desk as desks
from napari_tumorseg.workflows.study.desk import COMMENTS, Desk, Finished, OpenDesk, TaskInHand

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.protocol import Question
    from napari_tumorseg.annotation.study.records import Comment, Handout, Lease, Receipt, StudyTask
    from napari_tumorseg.widgets.session import Session
    from napari_tumorseg.workflows.study.task import OpenTask

__all__ = ["StudyWork"]


class StudyWork(SessionPart):
    """Goes through the tasks of one person; one at a time, the next one read ahead.

    Signals
    -------
    changed()
        Another state.
    opened(object)
        The `TaskInHand` that is shown.
    read_ahead()
        The images of the task that is likely to come next are there.
    submitted(object)
        A `Receipt`.

    Attributes
    ----------
    desk : Desk, optional
        Study and person.
    about : OpenDesk, optional
        What is known of them.
    hand : TaskInHand, optional
        The task that is worked on.
    busy : str
        What is waited for, "" for nothing.
    line : str
        Why there is no task, or what went wrong.
    comments : list of Comment
        Pinned, not handed in yet.
    asked : tuple, optional
        A submitted task and the questions about it that come before the next.
    may_submit : callable
        Given the decision and the code, says whether the result is handed in.
    """

    opened = Signal(object)
    read_ahead = Signal()
    submitted = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.desk: Desk | None = None
        self.about: OpenDesk | None = None
        self.hand: TaskInHand | None = None
        self.busy = ""
        self.line = ""
        self.comments: list[Comment] = []
        self.asked: tuple[StudyTask, tuple[Question, ...]] | None = None
        self.may_submit: Callable[[str, str], bool] = self._ask
        self.case = StudyCase(session)
        self._cover = PauseCover(session.viewer)
        self._lease: Lease | None = None
        self._reader = TaskReader(session.runner, self)
        self._reader.read.connect(lambda _key: self.read_ahead.emit())
        self._keeping = LeaseKeeper(session.runner, self)
        self._keeping.lost.connect(self._on_failed)

    # -- state

    @property
    def paused(self) -> bool:
        """Whether a declared pause lasts."""
        return self._cover.on

    @property
    def ahead(self) -> str:
        """Number of the task whose images have been read ahead, "" for none."""
        return self._reader.key

    # -- what the user does

    def open(self, study: str, person: str, files: Path | None = None) -> None:
        """Open a study by its folder or URL, and say who works."""
        if self.hand is not None or self.busy:
            return
        session = self._session
        desk = Desk(study.strip(), person.strip(), session.settings, files)

        def done(about: OpenDesk) -> None:
            self.desk, self.about, self.line = desk, about, about.why
            self._reader.forget()
            self._ask_open()

        self._start("Opening the study", lambda: desks.open_desk(desk), done)

    def leave_study(self) -> None:
        """Let go of the study, to open another one."""
        if self.hand is None and not self.busy:
            self.desk = self.about = self.asked = None
            self._reader.forget()
            self._say("")

    def next(self) -> None:
        """Take the next task, and show it."""
        desk = self.desk
        if desk is None or self.hand is not None or self.busy or self.asked is not None:
            return
        self._start("Looking for your next task", lambda: desks.ask_next(desk), self._on_handout)

    def pause(self, on: bool, dock: QWidget) -> None:
        """Begin or end a declared pause; the images are hidden while it lasts, `dock` stays usable."""
        if self.hand is None or self.busy or on is self.paused:
            return
        self._session.keeper.record(EventKind.PAUSE, on=on)
        self._cover.set_on(on, dock)
        if not on:
            self._session.view.focus()
        self.changed.emit()

    def set_comments(self, comments: list[Comment]) -> None:
        """Keep what is pinned, in the record of the work too, so that it outlives a crash."""
        self.comments = comments
        journal = self._session.keeper.journal
        if journal is not None:
            journal.status(**{COMMENTS: [[*comment.voxel, comment.text] for comment in comments]})
        self.changed.emit()

    def submit(self, decision: str = "submit", answers: Mapping[str, int] | None = None) -> None:
        """Hand in the mask with what is pinned; it is never changed afterwards."""
        desk, hand, session = self.desk, self.hand, self._session
        if desk is None or hand is None or self.busy or self.paused:
            return
        with session.reporting():
            mask = self.case.check(hand)
            if decision == "return" and not self.comments:
                raise InputError("A case is sent back with a comment.", "Pin one to the place that is to be corrected.")
            if not self.may_submit(decision.capitalize(), hand.task.code):
                return
            session.sync()
            version = mask.document.snapshot()
            session.keeper.record(EventKind.SAVED, name=SUBMIT)
            journal = self.case.close()
            done = Finished(version, decision, tuple(self.comments), dict(answers or {}), journal)
            self._keeping.stop()
            self._start("Submitting", lambda: desks.finish_task(desk, hand, done), self._on_submitted, self._on_refused)

    def leave(self) -> None:
        """Put the task away; it is the person's until its lease is over, and goes on where it was left."""
        if self.hand is not None and not self.busy:
            with self._session.reporting():
                self.pause(False, QWidget())
                self.case.close()
                self._put_down()
                self._say("Left for later: it is your next task.")

    def answer(self, answers: Mapping[str, int]) -> None:
        """Answer what is asked after a task."""
        desk, asked = self.desk, self.asked
        if desk is None or asked is None or self.busy:
            return

        def done(_nothing: object) -> None:
            self.asked = None
            self._start("Looking for questions", lambda: desks.open_desk(desk), self._on_looked)

        self._start("Keeping your answers", lambda: desks.answer_questions(desk, asked[0].id, answers), done)

    # -- inside: a task comes

    def _on_handout(self, got: Handout) -> None:
        if got.task is None or got.lease is None:
            self._say(got.why)
            return
        desk, task = self.desk, got.task
        assert desk is not None
        self._lease = got.lease
        self.busy = f"Reading the images of {task.code}"
        self.changed.emit()
        self._reader.want_task(desk, task, self._on_read, self._on_unread)

    def _on_read(self, opened: OpenTask) -> None:
        desk, lease = self.desk, self._lease
        assert desk is not None
        assert lease is not None
        self._start(f"Opening {opened.task.code}", lambda: desks.begin_task(desk, opened, lease), self._show, self._on_unread)

    def _on_unread(self, error: BaseException) -> None:
        self._on_failed(error)
        desk, lease = self.desk, self._lease
        if desk is not None and lease is not None:
            self._lease = None
            # Nobody could work on it here; another machine may have the images.
            self._session.runner.start("study", lambda _progress: desks.give_back(desk, lease))

    def _show(self, hand: TaskInHand) -> None:
        assert self.desk is not None
        assert self.about is not None
        try:
            self.case.show(hand, self.desk.person, self.about.protocol)
        except Exception as error:
            self._on_unread(error)
            return
        self.hand, self.comments = hand, list(hand.drafts)
        self._keeping.hold(self.desk, hand, self.about.protocol.lease_minutes)
        self._say(hand.note)
        self.opened.emit(hand)
        self._reader.look_for_next(self.desk, self._session.case, lambda: self.hand is hand)

    # -- inside: a task goes

    def _on_submitted(self, receipt: Receipt) -> None:
        hand, about = self.hand, self.about
        assert hand is not None
        assert about is not None
        self._put_down()
        asked = tuple(about.protocol.question(name) for name in receipt.questions)
        self.asked = (hand.task, asked) if asked else None
        self._say(f"Submitted {hand.task.code}.")
        self.submitted.emit(receipt)

    def _on_refused(self, error: BaseException) -> None:
        """Show the task again as it was handed in: nothing is lost where it was not taken."""
        self._on_failed(error)
        desk, hand = self.desk, self.hand
        assert desk is not None
        assert hand is not None
        self.hand = None
        line, pinned = self.line, list(self.comments)

        def again(found: TaskInHand) -> None:
            self._show(found)
            self.comments = pinned
            self._say(line)

        self._start(f"Opening {hand.task.code} again", lambda: desks.begin_task(desk, hand.opened, hand.lease), again)

    def _put_down(self) -> None:
        self._keeping.stop()
        self.hand = self._lease = None
        self.comments = []

    def _on_looked(self, about: OpenDesk) -> None:
        self.about = about
        self._ask_open()

    def _ask_open(self) -> None:
        assert self.about is not None
        self.asked = self.about.unanswered[0] if self.about.unanswered else None
        self._say("" if self.asked is not None else self.about.why)

    # -- inside

    def _start(
        self, title: str, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[BaseException], None] | None = None
    ) -> None:
        self.busy = title

        def take(found: Any) -> None:
            self.busy = ""
            done(found)

        self._session.runner.start("study", lambda _progress: work(), done=take, failed=failed or self._on_failed)
        self.changed.emit()

    def _on_failed(self, error: BaseException) -> None:
        self._session.report(error)
        self._say(str(error))

    def _say(self, line: str) -> None:
        self.busy = ""
        self.line = line
        self.changed.emit()

    def _ask(self, verb: str, code: str) -> bool:
        window = self._session.parent()
        assert isinstance(window, QWidget)
        return bool(choose(window, f"{verb} {code}?", "A result is never changed once it is handed in.", (verb,)))
