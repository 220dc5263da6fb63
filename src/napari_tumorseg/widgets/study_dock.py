"""The dock in which somebody works on a study: which one, the task with its bar, comments, versions, questions."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from napari_tumorseg.widgets.docking import add_dock, prefer_width, raise_dock
from napari_tumorseg.widgets.napari_adapter import main_window
from napari_tumorseg.widgets.parts import button, note
from napari_tumorseg.widgets.session import Session
from napari_tumorseg.widgets.step_correct import CorrectStep
from napari_tumorseg.widgets.steps import StepList
from napari_tumorseg.widgets.study_bar import StudyBar
from napari_tumorseg.widgets.study_comments import CommentList
from napari_tumorseg.widgets.study_open import StudyOpenForm
from napari_tumorseg.widgets.study_questions import QuestionRows
from napari_tumorseg.widgets.study_versions import VersionPanel
from napari_tumorseg.widgets.study_work import StudyWork

__all__ = ["StudyDock", "show_study"]

_WIDTH_PX, _LEAST_PX = 400, 340


def show_study(viewer: Any) -> StudyDock:
    """Show the dock of a viewer, made at the first call, in front of others."""
    window = main_window(viewer)
    found = window.findChild(StudyDock)
    if found is None:
        found = StudyDock(Session.of(viewer))
        prefer_width(viewer, add_dock(viewer, found, "Study", "right", beside=True), _WIDTH_PX)
    raise_dock(found)
    return found


class StudyDock(QWidget):
    """One person's tasks, one after the other.

    Parameters
    ----------
    session : Session
        In which they open.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.work = StudyWork.of(session)
        self._session = session
        self.setAccessibleName("Study")
        self.form = StudyOpenForm(session.settings)
        self.form.wanted.connect(self.work.open)
        self.title = note(name="Study and person")
        self.other = button("Other study…", "Open another study, or work as somebody else", self.work.leave_study)
        self.said = note(name="What is next, or what went wrong")
        self.bar = StudyBar(self.work, self)
        self.comments = CommentList(session, self.work)
        self.versions = VersionPanel(session, self.work)
        self.questions: QuestionRows | None = None
        self._asked_for: object = None
        self._questions_place = QVBoxLayout()
        self.send = button("Send the answers", "Keep the answers; they are never changed afterwards", self._send, primary=True)
        head = QHBoxLayout()
        head.addWidget(self.title, 1)
        head.addWidget(self.other)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.form)
        layout.addLayout(head)
        layout.addWidget(self.bar)
        layout.addWidget(self.said)
        layout.addLayout(self._questions_place)
        layout.addWidget(self.send)
        layout.addWidget(self.comments)
        layout.addWidget(self.versions)
        layout.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(_LEAST_PX)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self.work.changed.connect(self.refresh)
        self.work.opened.connect(self._show_tools)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        work = self.work
        about, hand = work.about, work.hand
        self.form.setVisible(about is None)
        self.form.setEnabled(not work.busy)
        self.title.setText(f"{about.title}, as {work.desk.person}" if about is not None and work.desk is not None else "")
        self.title.setVisible(about is not None)
        self.other.setVisible(about is not None and hand is None)
        self.other.setEnabled(not work.busy)
        self.bar.setVisible(about is not None)
        self.said.setText(work.line)
        self.said.setVisible(bool(work.line) and not work.busy)
        pinned = hand is not None and (hand.task.may_return or bool(hand.comments))
        self.comments.setVisible(pinned and not work.paused)
        self.versions.setEnabled(not work.paused and not work.busy)
        self.comments.setEnabled(not work.busy)
        self._show_questions()
        # It hands in what is answered here.
        self.bar.refresh()

    # -- inside

    def _show_tools(self, _hand: object) -> None:
        """Open the step with the tools, in the tab beside."""
        for steps in main_window(self._session.viewer).findChildren(StepList):
            steps.open([step.title for step in steps.steps].index(CorrectStep.title))

    def _show_questions(self) -> None:
        """Show what is asked now: after a task, or together with handing it in."""
        work = self.work
        now = tuple(q for q in work.about.protocol.questions if q.when == "submit") if work.about is not None else ()
        key: object = None
        questions = now
        if work.asked is not None:
            key, questions = ("after", work.asked[0].id), work.asked[1]
        elif work.hand is not None and now:
            key = ("submit", work.hand.task.id)
        if key != self._asked_for:
            self._asked_for = key
            if self.questions is not None:
                self._questions_place.removeWidget(self.questions)
                self.questions.hide()
                self.questions.deleteLater()
                self.questions = None
            if key is not None:
                self.questions = QuestionRows(questions)
                self.questions.answered.connect(self._on_answered)
                self._questions_place.addWidget(self.questions)
        self.send.setVisible(work.asked is not None)
        self._tell_answers()

    def _on_answered(self) -> None:
        self._tell_answers()
        self.bar.refresh()

    def _tell_answers(self) -> None:
        asked = self.questions
        self.send.setEnabled(asked is not None and asked.complete and not self.work.busy)
        with_it = asked is not None and self.work.asked is None
        self.bar.answers = asked.answers if asked is not None and with_it else {}
        self.bar.ready = not with_it or (asked is not None and asked.complete)

    def _send(self) -> None:
        if self.questions is not None and self.questions.complete:
            self.work.answer(self.questions.answers)
