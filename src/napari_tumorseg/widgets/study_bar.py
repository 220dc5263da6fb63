"""The big bar of a task: which it is, whether it runs, and what to do with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_tumorseg.widgets.parts import button, emphasise, note

if TYPE_CHECKING:
    from napari_tumorseg.widgets.study_work import StudyWork

__all__ = ["StudyBar"]

_BIG = "font-size: 17px; font-weight: bold;"
_HEIGHT_PX = 38


class StudyBar(QFrame):
    """Tells code, step, round, practice and state; takes, pauses, hands in and leaves a task.

    Parameters
    ----------
    work : StudyWork
        What is told.
    dock : QWidget
        Stays usable during a pause.
    """

    def __init__(self, work: StudyWork, dock: QWidget) -> None:
        super().__init__()
        self._work = work
        self._dock = dock
        self._since_s = 0.0
        self._spent_s = 0.0
        self.answers: dict[str, int] = {}
        self.ready = True
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.task = QLabel()
        self.task.setStyleSheet(_BIG)
        self.task.setWordWrap(True)
        self.task.setAccessibleName("Task and step")
        self.state = QLabel()
        self.state.setStyleSheet(_BIG)
        self.state.setAccessibleName("State of the task")
        self.practice = note("Practice: it does not count.", name="Practice")
        self.next = button("My next task", "Take your next task; its images open as the protocol says", work.next, primary=True)
        self.submit = button("Submit", "Hand the mask in; it is never changed afterwards", lambda: self._submit("submit"), primary=True)
        self.accept = button("Accept", "Accept the mask as it is now and pass it on", lambda: self._submit("accept"), primary=True)
        self.back = button("Return", "Send the case back; what is pinned says why", lambda: self._submit("return"))
        self.pause = button("Pause", "Stop the time and hide the images", lambda: work.pause(not work.paused, dock))
        self.later = button("Leave for later", "Close the case; it goes on where you left it, as your next task", work.leave)
        for made in (self.next, self.submit, self.accept, self.back, self.pause):
            made.setMinimumHeight(_HEIGHT_PX)
        grid = QGridLayout()
        for place, made in enumerate((self.accept, self.back)):
            grid.addWidget(made, 0, place)
        grid.addWidget(self.submit, 1, 0, 1, 2)
        grid.addWidget(self.pause, 2, 0)
        grid.addWidget(self.later, 2, 1)
        layout = QVBoxLayout(self)
        for widget in (self.task, self.practice, self.state, self.next):
            layout.addWidget(widget)
        layout.addLayout(grid)
        self._tick = QTimer(self)
        self._tick.setInterval(1000)
        self._tick.timeout.connect(self._tell_state)
        work.opened.connect(self._on_opened)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        work = self._work
        hand, idle = work.hand, not work.busy
        working = hand is not None and not work.paused and idle
        decides = hand is not None and hand.task.may_return
        if hand is not None:
            again = f", round {hand.task.round}" if hand.task.round > 1 else ""
            self.task.setText(f"{hand.task.code}: {hand.task.title}{again}")
        self.task.setVisible(hand is not None)
        self.practice.setVisible(hand is not None and hand.task.practice)
        self.next.setVisible(hand is None)
        self.next.setEnabled(idle and work.about is not None and work.asked is None)
        for made in (self.accept, self.back):
            made.setVisible(decides)
        self.submit.setVisible(hand is not None and not decides)
        for made in (self.pause, self.later):
            made.setVisible(hand is not None)
        self.later.setEnabled(working)
        self.submit.setEnabled(working and self.ready)
        self.accept.setEnabled(working and self.ready)
        self.back.setEnabled(working and self.ready and bool(work.comments))
        self.pause.setEnabled(hand is not None and idle)
        self.pause.setText("Continue" if work.paused else "Pause")
        self.pause.setAccessibleName(self.pause.text())
        emphasise(self.pause, work.paused)
        self._follow_clock()
        self._tell_state()

    def _submit(self, decision: str) -> None:
        self._work.submit(decision, self.answers)

    def _on_opened(self, _hand: object) -> None:
        self._spent_s, self._since_s = 0.0, time.monotonic()

    def _follow_clock(self) -> None:
        """Count for the eye only, and only where the protocol shows the time; what counts is computed from the record."""
        work = self._work
        shows = work.about is not None and work.about.protocol.show_clock and work.hand is not None
        runs = shows and not work.paused and not work.busy
        now = time.monotonic()
        if runs and not self._tick.isActive():
            self._since_s = now
            self._tick.start()
        elif not runs and self._tick.isActive():
            self._spent_s += now - self._since_s
            self._tick.stop()

    def _tell_state(self) -> None:
        work = self._work
        running = self._tick.isActive()
        spent = self._spent_s + (time.monotonic() - self._since_s if running else 0.0)
        shows = work.about is not None and work.about.protocol.show_clock
        clock = f"  {int(spent) // 60}:{int(spent) % 60:02d}" if shows and work.hand is not None else ""
        word = f"… {work.busy}" if work.busy else "" if work.hand is None else "‖ paused" if work.paused else "● running"
        self.state.setText(word + (clock if not work.busy else ""))
        self.state.setVisible(bool(word))
