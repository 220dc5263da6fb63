"""The line that is always there: saved or not, which mask and who has seen it, what is running."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_tumorseg.annotation.journal import JournalState
from napari_tumorseg.widgets.work import Work

__all__ = ["StatusLine"]


class StatusLine(QWidget):
    """Tells the state of a session in at most four short lines.

    Parameters
    ----------
    work : Work
        Whose state is shown.
    """

    def __init__(self, work: Work, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._session = work.session
        self.saved = _line("Whether the mask is saved")
        self.mask = _line("The active mask and its review state")
        self.message = _line("The last message")
        self.message.hide()
        self.step = _line("What is running")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.bar.setAccessibleName("How much is done")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop what is running; nothing is changed")
        self.cancel.setAccessibleName("Cancel what is running")
        self.cancel.clicked.connect(work.cancel)
        self.busy = QWidget()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        box = QVBoxLayout(self.busy)
        box.setContentsMargins(0, 0, 0, 0)
        box.setSpacing(2)
        box.addWidget(self.step)
        box.addLayout(row)
        self.busy.hide()
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.setSpacing(3)
        for widget in (self.busy, self.message, self.mask, self.saved):
            layout.addWidget(widget)
        self._title = ""
        work.started.connect(self._on_started)
        work.progress.connect(self._on_progress)
        work.ended.connect(self._on_ended)
        self._session.said.connect(self._on_said)
        self._session.edited.connect(self.refresh)
        self._session.masks_changed.connect(self.refresh)
        self._session.case_changed.connect(self._on_case)
        self._session.keeper.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state as it is now."""
        active = self._session.active
        if active is None:
            self.mask.setText("No mask yet")
            self.saved.setText("Nothing to save" if self._session.case is not None else "No case open")
            return
        self.mask.setText(f"{active.name}: {active.review_text}")
        keeper = self._session.keeper
        if self._work.save_problem:
            self.saved.setText("✗ Not saved; working in memory")
        elif active.saved:
            self.saved.setText("✓ All changes saved")
        elif keeper.state is JournalState.MEMORY:
            self.saved.setText(keeper.text)
        else:
            self.saved.setText("● Not saved yet; every change is kept in the journal")

    def _on_started(self, kind: str, title: str) -> None:
        self._title = title
        self.message.hide()
        self.step.setText(title)
        self.bar.setValue(0)
        self.cancel.setEnabled(kind != "save")
        self.busy.show()
        if kind == "save":
            self.saved.setText("… Saving")

    def _on_progress(self, fraction: float, message: str) -> None:
        self.bar.setValue(round(fraction * 1000))
        self.step.setText(f"{self._title}: {round(fraction * 100)} %\n{message}")

    def _on_ended(self, _kind: str, outcome: str) -> None:
        self.busy.hide()
        if outcome == "cancelled":
            self._on_said("Cancelled; nothing was changed.", False)
        self.refresh()

    def _on_said(self, line: str, problem: bool) -> None:
        self.message.setText(f"✗ {line}" if problem else line)
        self.message.show()

    def _on_case(self) -> None:
        self.message.hide()
        self.refresh()


def _line(name: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setAccessibleName(name)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
