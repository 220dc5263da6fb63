"""Keeps a journal for each mask of a session, from when it is opened until it is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Qt, QTimer, Signal

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.journal import Journal, JournalState
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.task import Reference, Task
from napari_tumorseg.core.errors import InputError, TumorSegError
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.napari_adapter import canvas_widget, main_window
from napari_tumorseg.widgets.screen_events import ScreenEvents
from napari_tumorseg.widgets.tool_events import ToolEvents
from napari_tumorseg.workflows.recover import FoundJournal, Restored, file_away, journal_folder, new_journal_path, restore

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session
    from napari_tumorseg.widgets.work import Work

__all__ = ["JournalKeeper"]

# A state that passes sooner is not worth a word.
_LOOK_AGAIN_MS = 500


@dataclass(eq=False)
class _Book:
    """One mask's journal and what writes into it."""

    mask: OpenMask
    journal: Journal
    recorder: Recorder
    saved_as: tuple[int | None, Path | None] = (None, None)
    kept: bool = False

    def close(self) -> None:
        """Close the journal; one in which nothing happened is taken away."""
        self.recorder.look()
        self.recorder.stop()
        untouched = not self.mask.document.revision and not self.kept
        whole = self.journal.close(saved=self.mask.saved, revision=self.mask.document.revision)
        if untouched and whole:
            self.journal.path.unlink(missing_ok=True)


class JournalKeeper(QObject):
    """Opens, feeds and closes the journals of a session.

    A mask has its journal from when it is opened, not from the first stroke: what the mask held then must be on the disk
    before anything is painted, and a model's result is worth as much as a stroke.

    Signals
    -------
    changed()
        The text for the status line is another one.
    restored(object)
        An `OpenMask` that came back from a journal.

    Parameters
    ----------
    session : Session
        Owner.

    Attributes
    ----------
    study_facts : callable
        Given a mask that is opened, returns what its journal's `Task` says of a study; {} outside one. The journal of a study's
        task is kept even when nothing was changed: looking is work.
    """

    changed = Signal()
    restored = Signal(object)
    _told = Signal(object, str)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._books: dict[OpenMask, _Book] = {}
        self._resumed: dict[OpenMask, FoundJournal] = {}
        self._refused = ""
        self.study_facts: Callable[[OpenMask], Mapping[str, Any]] = lambda _mask: {}
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(_LOOK_AGAIN_MS)
        self._again.timeout.connect(self.changed)
        self._told.connect(self._on_told, Qt.ConnectionType.QueuedConnection)
        viewer, window = session.viewer, main_window(session.viewer)
        self.screen = ScreenEvents(self.record, window)
        self.screen.watch(viewer, canvas_widget(viewer), "main")
        ToolEvents(self.record, session)
        session.masks_changed.connect(self.look)
        session.edited.connect(self._on_edited)
        session.focus.changed.connect(self._on_lesion)
        # Emitted while the window's children, this among them, are still there.
        window.destroyed.connect(self.stop)
        if journal_there(session):
            session.runner.start("journals", lambda _progress: file_away(session.settings))

    # -- state

    @property
    def journal(self) -> Journal | None:
        """The journal of the active mask."""
        book = self._book
        return book.journal if book is not None else None

    @property
    def state(self) -> JournalState:
        """How the record of the active mask is; SAVED where there is no mask."""
        journal = self.journal
        if journal is None:
            return JournalState.MEMORY if self._refused and self._session.active is not None else JournalState.SAVED
        return journal.state

    @property
    def text(self) -> str:
        """The state with its sign, for the status line: all is saved, is being saved, or why it cannot be."""
        state = self.state
        if state is JournalState.MEMORY:
            journal = self.journal
            reason = (journal.failing if journal is not None else "") or "no local disk"
            return f"✗ Not saved: {reason}, working in memory"
        return f"✓ {state.value}" if state is JournalState.SAVED else f"… {state.value}"

    def record(self, kind: str, **data: Any) -> None:
        """Record an act at the screen in the journal of the active mask; nothing where there is none."""
        book = self._book
        if book is not None:
            book.journal.event(kind, **data)

    def watch_jobs(self, work: Work) -> None:
        """Record when models and other long jobs begin and end."""
        work.started.connect(self._on_job_started)
        work.ended.connect(self._on_job_ended)

    # -- opening and closing

    def look(self) -> None:
        """Open the journals of masks that are new, close those of masks that are gone."""
        books = self._books
        for mask in [m for m in books if m not in self._session.masks]:
            books.pop(mask).close()
        before = self._book
        for mask in self._session.masks:
            if mask not in books:
                self._open(mask)
        if self._book is not None and before is not self._book:
            self.record(EventKind.SHOWN, volumes=list(self._session.volumes))
            self.screen.tell_views()
        self.changed.emit()

    def hold(self, masks: Iterable[OpenMask]) -> tuple[Path, ...] | None:
        """Keep the journals of masks whose case is about to be closed; return their files, None unless all is on the disk."""
        books = [self._books.get(mask) for mask in masks]
        if not all(book is not None and book.journal.flush() for book in books):
            return None
        held = [book for book in books if book is not None]
        for book in held:
            book.kept = True
        return tuple(book.journal.path for book in held)

    def stop(self, _window: Any = None) -> None:
        """Close everything and watch nothing any longer."""
        books, self._books = self._books, {}
        for book in books.values():
            book.close()
        self._again.stop()
        self.screen.stop()

    def _open(self, mask: OpenMask) -> None:
        session, found = self._session, self._resumed.pop(mask, None)
        case = session.case
        volume = session.volumes.get(mask.reference)
        source = volume.source if volume is not None else None
        study = self.study_facts(mask)
        task = Task.of(
            mask.document,
            case.name if case is not None else "",
            mask.name,
            sequence=mask.reference,
            reference=Reference.of(source.paths if source is not None else ()),
            **{"person": session.settings.person, **study},
        )
        try:
            path = found.path if found is not None else new_journal_path(session.settings)
            local = {"paths": [str(p) for p in _where(session.volumes, task.case)]}
            journal = Journal(path, task, mask.document, told=self._told.emit, local=local)
        except TumorSegError as error:
            if not self._refused:
                self._refused = str(error)
                session.said.emit(str(error), True)
            return
        self._refused = ""
        self._books[mask] = _Book(mask, journal, Recorder(mask.document, journal), (mask.saved_revision, mask.path), bool(study))
        session.lesions.record_into(mask.document, journal.note)

    # -- restoring

    def fits(self, found: FoundJournal) -> bool:
        """Whether the open case is the one that a journal belongs to."""
        session = self._session
        return session.case is not None and session.case.name == found.task.case and self._reference(found) is not None

    def restore(self, found: FoundJournal) -> None:
        """Open the mask of a journal beside those that are open, in a job; the journal goes on in its file.

        Raises
        ------
        InputError
            If another case is open.
        """
        if not self.fits(found):
            raise InputError(f"The mask {found.task.mask} belongs to the case {found.task.case}.", "Open that case first.")
        session = self._session
        session.runner.start("restore", lambda _progress: restore(found), done=lambda back: self.adopt(found, back), failed=session.report)

    def adopt(self, found: FoundJournal, back: Restored) -> None:
        """Open the mask that was read from a journal, which goes on in its file; nothing where its case is not open."""
        session, document = self._session, back.document
        reference = self._reference(found)
        if reference is None:
            return
        taken = {m.name for m in session.masks}
        wanted = found.task.mask
        name = next(n for n in (wanted, *(f"{wanted} {i}" for i in range(2, len(taken) + 3))) if n not in taken)
        mask = OpenMask(name, document, reference, path=found.mask_path)
        session.lesions.expect(back.lesions)
        self._resumed[mask] = found
        session.masks.append(mask)
        session.activate(mask)
        # Heard by the journal now, so that the file holds the whole undo.
        document.finish_walk()
        source = session.volumes[reference].source
        if found.task.reference.size and source is not None and Reference.of(source.paths).size != found.task.reference.size:
            session.said.emit(f"{name} is back, but the image {reference} is not the file it was drawn on. Check the mask.", True)
        else:
            session.said.emit(f"{name} is back with {found.edits:,} change{'' if found.edits == 1 else 's'}; undo works.", False)
        self.restored.emit(mask)

    def _reference(self, found: FoundJournal) -> str | None:
        return next((n for n, v in self._session.volumes.items() if v.grid.matches(found.task.grid)), None)

    # -- inside

    @property
    def _book(self) -> _Book | None:
        active = self._session.active
        return self._books.get(active) if active is not None else None

    def _on_edited(self) -> None:
        book = self._book
        if book is None:
            return
        book.recorder.look()
        saved = (book.mask.saved_revision, book.mask.path)
        if saved != book.saved_as:
            book.saved_as = saved
            book.journal.event(EventKind.SAVED, revision=saved[0])
            if saved[1] is not None:
                where = str(saved[1])
                book.journal.ask(lambda store: store.set_local({"mask": where}))
        if not self._again.isActive():
            self._again.start()

    def _on_lesion(self, lesion: Lesion) -> None:
        self.record(EventKind.LESION, id=int(lesion.id))

    def _on_job_started(self, kind: str, _title: str) -> None:
        self.record(EventKind.JOB, name=kind, on=True)

    def _on_job_ended(self, kind: str, outcome: str) -> None:
        self.record(EventKind.JOB, name=kind, on=False, outcome=outcome)

    def _on_told(self, _state: JournalState, line: str) -> None:
        if line:
            self._session.said.emit(line, True)
        self.changed.emit()


def journal_there(session: Session) -> bool:
    """Whether there is a folder of journals at all; no job is begun for none."""
    try:
        return journal_folder(session.settings).is_dir()
    except TumorSegError:
        return False


def _where(volumes: dict[str, Volume], case: str) -> tuple[Path, ...]:
    """Return what to open to have the case again: its folder where that gives its name, else files and DICOM folders."""
    sources = [v.source for v in volumes.values() if v.source is not None]
    places = [p.parent if s.format == "dicom" else p for s in sources for p in s.paths]
    unique = tuple(dict.fromkeys(p.absolute() for p in places))
    for folder in unique[0].parents if unique else ():
        if folder.name == case and all(p.is_relative_to(folder) for p in unique):
            return (folder,)
    return unique
