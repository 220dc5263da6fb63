"""What an earlier run left unfinished, and what to do with it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.widgets.journal_keeper import JournalKeeper, journal_there
from napari_tumorseg.widgets.work import Work
from napari_tumorseg.workflows.open_case import OpenRequest
from napari_tumorseg.workflows.recover import FoundJournal, Left, discard, find_journals

__all__ = ["RestoreNote"]


class RestoreNote(QWidget):
    """Lists masks whose work was broken off, or closed without saving it; hidden while there are none.

    Each has Restore, Keep for later and Discard. Tasks of a study are not among them.

    Parameters
    ----------
    work : Work
        Opens the case of a mask that is restored.
    keeper : JournalKeeper
        Brings the mask back.
    """

    def __init__(self, work: Work, keeper: JournalKeeper) -> None:
        super().__init__()
        self._work = work
        self._session = work.session
        self._keeper = keeper
        self._waiting: FoundJournal | None = None
        self.rows: list[RestoreRow] = []
        self.title = QLabel("Work that was not finished")
        self.title.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(8, 6, 8, 6)
        self._layout.setSpacing(6)
        self._layout.addWidget(self.title)
        self.hide()
        work.ended.connect(self._on_ended)
        self.look()

    def look(self) -> None:
        """Look for journals that were left, in a job."""
        session = self._session
        if journal_there(session):
            session.runner.start("journals", self._find, done=self._show, failed=session.report)

    def _find(self, _progress: Progress) -> tuple[FoundJournal, ...]:
        left = find_journals(self._session.settings, Left.BROKEN_OFF, Left.NOT_SAVED)
        # A task of a study goes on in its study, where it is known whose it is.
        return tuple(found for found in left if not found.study_task)

    def _show(self, found: tuple[FoundJournal, ...]) -> None:
        for row in self.rows:
            self._remove(row)
        for journal in found:
            # One in which nothing was changed is worth offering too: it may hold a model's result.
            row = RestoreRow(journal, self._restore, self._remove, self._discard)
            self.rows.append(row)
            self._layout.addWidget(row)
        self.setVisible(bool(self.rows))

    def _remove(self, row: RestoreRow) -> None:
        if row in self.rows:
            self.rows.remove(row)
        row.hide()
        row.deleteLater()
        self.setVisible(bool(self.rows))

    def _restore(self, row: RestoreRow) -> None:
        found = row.journal
        if self._keeper.fits(found):
            self._remove(row)
            self._keeper.restore(found)
            return
        gone = [p for p in found.image_paths if not p.exists()]
        if not found.image_paths or gone:
            self._session.said.emit(f"The images of {found.task.case} are not where they were. Open the case, then choose Restore.", True)
            return
        self._waiting = found
        self._work.open_paths(OpenRequest(found.image_paths))

    def _on_ended(self, kind: str, outcome: str) -> None:
        if kind != "open" or self._waiting is None:
            return
        found, self._waiting = self._waiting, None
        if outcome != "done":
            return
        with self._session.reporting():
            self._keeper.restore(found)
            for row in [r for r in self.rows if r.journal is found]:
                self._remove(row)

    def _discard(self, row: RestoreRow) -> None:
        with self._session.reporting():
            kept = discard(row.journal)
            self._remove(row)
            self._session.said.emit(f"Put away, not deleted: {kept}", False)


class RestoreRow(QWidget):
    """One journal: what it is of, and three buttons.

    Parameters
    ----------
    journal : FoundJournal
        What was left.
    restore, keep, discard : callable
        What the buttons do; given this row.
    """

    def __init__(
        self,
        journal: FoundJournal,
        restore: Callable[[RestoreRow], None],
        keep: Callable[[RestoreRow], None],
        discard: Callable[[RestoreRow], None],
    ) -> None:
        super().__init__()
        self.journal = journal
        self.label = QLabel(f"{journal.line} ({journal.left.value})")
        self.label.setWordWrap(True)
        self.restore = self._button("Restore", "Open the mask as it was left; every step can be undone", restore)
        self.keep = self._button("Keep for later", "Leave it as it is; it is offered again at the next start", keep)
        self.discard = self._button("Discard", "Put it into the folder discarded; nothing is deleted", discard)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.label)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for button in (self.restore, self.keep, self.discard):
            row.addWidget(button)
        layout.addLayout(row)

    def _button(self, text: str, tip: str, act: Callable[[RestoreRow], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setAccessibleName(f"{text}: {self.journal.line}")
        button.clicked.connect(lambda: act(self))
        return button
