"""What a protocol asks about a task, each with its answers in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_tumorseg.widgets.parts import note, toggle

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.protocol import Question

__all__ = ["QuestionRows"]


class QuestionRows(QWidget):
    """Questions below one another; none is answered beforehand.

    Signals
    -------
    answered()
        Another answer was chosen.

    Parameters
    ----------
    questions : sequence of Question
        Of the protocol.
    """

    answered = Signal()

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__()
        self._groups: dict[str, QButtonGroup] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for question in questions:
            layout.addWidget(note(question.text, name=question.text))
            layout.addLayout(self._answers(question))

    @property
    def answers(self) -> dict[str, int]:
        """What has been chosen."""
        return {name: group.checkedId() for name, group in self._groups.items() if group.checkedId() >= 0}

    @property
    def complete(self) -> bool:
        """Whether every question is answered."""
        return len(self.answers) == len(self._groups)

    def choose(self, name: str, value: int) -> None:
        """Answer a question."""
        made = self._groups[name].button(value)
        if made is not None:
            made.click()

    def _answers(self, question: Question) -> QHBoxLayout:
        yes_no = question.kind == "yes-no"
        values = [(1, "Yes"), (0, "No")] if yes_no else [(v, str(v)) for v in range(question.lowest, question.highest + 1)]
        group = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(4)
        if question.low:
            row.addWidget(QLabel(question.low))
        for value, text in values:
            made = toggle(text, f"{question.text} {text}", f"{question.text} {text}")
            group.addButton(made, value)
            row.addWidget(made, 1)
        if question.high:
            row.addWidget(QLabel(question.high))
        group.idClicked.connect(lambda _value: self.answered.emit())
        self._groups[question.name] = group
        return row
