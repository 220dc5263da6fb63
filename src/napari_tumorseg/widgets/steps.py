"""The list of steps: one is open at a time, each tells its state in a word."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_tumorseg.widgets.work import Work

__all__ = ["Step", "StepList"]


class Step(QWidget):
    """One step of the way from images to a saved mask.

    Signals
    -------
    state_changed(str)
        The state in a word or two, with a sign.

    Parameters
    ----------
    work : Work
        Of the viewer.
    """

    title = ""
    state_changed = Signal(str)
    wants_open = Signal()

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.work = work
        self.session = work.session
        self.state = ""
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(10, 4, 10, 10)
        self.body.setSpacing(8)
        self.setAccessibleName(self.title)

    def set_state(self, text: str) -> None:
        """Tell the state."""
        if text != self.state:
            self.state = text
            self.state_changed.emit(text)


class _Header(QFrame):
    clicked = Signal()

    def __init__(self, number: int, title: str) -> None:
        super().__init__()
        self.setObjectName("stepHeader")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._title = title
        self._arrow = QLabel("▸")
        self._arrow.setFixedWidth(14)
        name = QLabel(f"{number}  {title}")
        name.setStyleSheet("font-weight: bold; font-size: 14px;")
        self._state = QLabel()
        self._state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._state.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 7, 10, 7)
        row.addWidget(self._arrow)
        row.addWidget(name)
        row.addWidget(self._state, 1)
        self.setStyleSheet(
            "#stepHeader { border: none; border-top: 1px solid rgba(128, 128, 128, 90); background: rgba(128, 128, 128, 30); }"
            "#stepHeader:focus { border: 1px solid #3d9be9; }"
        )
        self.setToolTip(f"Open the step {title} (Enter)")

    def show_state(self, text: str, opened: bool) -> None:
        self._arrow.setText("▾" if opened else "▸")
        self._state.setText(text)
        self.setAccessibleName(f"{self._title}: {text or 'nothing done'}, {'open' if opened else 'closed'}")

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        self.clicked.emit()
        if event is not None:
            event.accept()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        if event is not None and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
            return
        super().keyPressEvent(event)


class StepList(QWidget):
    """Steps below one another.

    Parameters
    ----------
    steps : sequence of Step
        In the order of the work.
    """

    def __init__(self, steps: Any) -> None:
        super().__init__()
        self.steps: tuple[Step, ...] = tuple(steps)
        self._headers: list[_Header] = []
        self._opened = -1
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for number, step in enumerate(self.steps):
            header = _Header(number + 1, step.title)
            header.clicked.connect(lambda n=number: self.open(n))
            step.state_changed.connect(lambda _text, n=number: self._show_state(n))
            step.wants_open.connect(lambda n=number: self.open(n))
            self._headers.append(header)
            layout.addWidget(header)
            layout.addWidget(step)
        layout.addStretch(1)
        self.open(0)

    @property
    def opened(self) -> int:
        """Index of the open step."""
        return self._opened

    def open(self, number: int) -> None:
        """Open a step and close the others."""
        self._opened = number
        for index, step in enumerate(self.steps):
            step.setVisible(index == number)
            self._show_state(index)

    def _show_state(self, number: int) -> None:
        self._headers[number].show_state(self.steps[number].state, number == self._opened)
