"""Journals on this machine: where they lie, which were left by a process that ended without a word, and what to do with them."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from napari_tumorseg.annotation.journal import ENDING
from napari_tumorseg.annotation.local_disk import file_system, is_network, refuse_network
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.store import forget_local
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.errors import InputError, OutputError
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.workflows.lesion_ledger import LesionLedger, restored_ledger

__all__ = [
    "FoundJournal",
    "Left",
    "Restored",
    "copy_beside",
    "discard",
    "file_away",
    "find_journals",
    "journal_folder",
    "new_journal_path",
    "restore",
]

_DISCARDED = "discarded"


class Left(StrEnum):
    """How a journal was left; the value is what the user reads."""

    #: The process ended without closing it.
    BROKEN_OFF = "broken off"
    #: Closed, with changes that are in no saved mask.
    NOT_SAVED = "closed, not saved"
    #: Closed, its mask saved.
    SAVED = "saved"


@dataclass(frozen=True)
class FoundJournal:
    """A journal that nobody is writing.

    Attributes
    ----------
    path : Path
        Its file.
    task : Task
        Case, mask and all that it is about.
    left : Left
        How it was left.
    edits : int
        Number of changes, undos included.
    last : datetime.datetime
        When the last change was made, in UTC.
    image_paths : tuple of Path
        Where the case's images were.
    mask_path : Path, optional
        Where the mask was saved last.
    """

    path: Path
    task: Task
    left: Left
    edits: int
    last: dt.datetime
    image_paths: tuple[Path, ...] = ()
    mask_path: Path | None = None

    @property
    def study_task(self) -> str:
        """Study and number of the task that it belongs to; "" outside a study."""
        return str(self.task.more.get("study_task", ""))

    @property
    def line(self) -> str:
        """What the user reads of it: case, mask, number of changes, local time.

        No more than one line, whatever a case is called.
        """
        changes = "no change" if not self.edits else "1 change" if self.edits == 1 else f"{self.edits:,} changes"
        return f"{self.task.case}, mask {self.task.mask}: {changes}, {self.last.astimezone():%Y-%m-%d %H:%M}"


def journal_folder(settings: Settings) -> Path:
    """Return the folder of live journals: below the state folder, or on the local disk where that is a network drive.

    Raises
    ------
    OutputError
        If neither is a local disk.
    """
    folder = _folders(settings)[0]
    if is_network(file_system(folder)):
        folder = _folders(settings)[1]
        refuse_network(folder)
    return folder


def new_journal_path(settings: Settings, now: dt.datetime | None = None) -> Path:
    """Return a free path for a journal; its name says when it was begun and nothing of the patient."""
    started = now or dt.datetime.now(dt.UTC)
    return journal_folder(settings) / f"{started:%Y-%m-%dT%H-%M-%S}-{uuid.uuid4().hex[:8]}{ENDING}"


def find_journals(settings: Settings, *left: Left) -> tuple[FoundJournal, ...]:
    """Return the journals of this machine that no process is writing, the newest first.

    Parameters
    ----------
    settings : Settings
        Names the folder.
    left : Left
        Only those left so; the ones that were broken off by default.

    Notes
    -----
    A journal that a process is writing is locked by it, and the system drops the lock when the process ends, however it ends.
    A journal that cannot be read, or holds no mask yet, is left out and left where it is.
    """
    wanted = left or (Left.BROKEN_OFF,)
    found = []
    for folder in _folders(settings):
        if not folder.is_dir() or is_network(file_system(folder)):
            continue
        for path in sorted(folder.glob(f"*{ENDING}")):
            try:
                journal = _describe(path)
            except InputError:
                continue
            if journal is not None and journal.left in wanted:
                found.append(journal)
    return tuple(sorted(found, key=lambda j: j.last, reverse=True))


@dataclass(frozen=True)
class Restored:
    """What came back from a journal.

    Attributes
    ----------
    document : MaskDocument
        The mask.
    lesions : LesionLedger
        Its lesions with their numbers, statuses, splits and joins.
    """

    document: MaskDocument
    lesions: LesionLedger


def restore(journal: FoundJournal) -> Restored:
    """Return the mask of a journal and its lesions as they were left, with all that can be undone and brought back.

    Let the document be followed by a `Journal` of the same path, which goes on in the file, and call
    `MaskDocument.finish_walk`.

    Raises
    ------
    InputError
        If the journal is gone, cannot be read, or another process is writing it.
    ConflictError
        If its changes do not follow from one another.
    """
    with JournalReader(journal.path) as reader:
        steps = reader.steps()
        document = reader.document(steps)
        return Restored(document, restored_ledger(reader, steps, document))


def discard(journal: FoundJournal) -> Path:
    """Move a journal out of sight, to a folder beside it, and return where it is; nothing is deleted.

    Raises
    ------
    OutputError
        If it cannot be moved.
    """
    target = journal.path.parent / _DISCARDED / journal.path.name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Reading it has made it one file; a log beside it would be of another reader.
        journal.path.replace(target)
    except OSError as error:
        raise OutputError(
            f"{journal.path.name} could not be moved: {error.strerror or error}.", "Close other windows and try again."
        ) from error
    return target


def copy_beside(journal: Path, mask: Path) -> Path:
    """Write a copy of a closed journal beside a saved mask, atomically, and return where.

    The copy is one file, has the mask's name and the ending ".journal", and leaves out the paths of this machine. The folder
    may be on a network drive.

    Raises
    ------
    InputError
        If the journal cannot be read or another process is writing it.
    OutputError
        If the copy cannot be written.
    """
    from napari_tumorseg.io.atomic import atomic_write

    JournalReader(journal).close()
    stem = mask.name.split(".")[0] if mask.name.lower().endswith((".nii.gz", ".seg.nrrd")) else mask.stem
    target = mask.with_name(f"{stem}{ENDING}")
    with tempfile.TemporaryDirectory() as folder, atomic_write(target) as part:
        # SQLite works on the local disk only; the share gets finished bytes.
        local = Path(folder) / "copy"
        shutil.copyfile(journal, local)
        forget_local(local)
        shutil.copyfile(local, part)
    return target


def file_away(settings: Settings) -> tuple[Path, ...]:
    """Bring the journals of saved masks to where the masks are, and return the copies.

    A journal whose mask's folder is gone or read-only stays where it is, and is tried again the next time.
    """
    copies = []
    for journal in find_journals(settings, Left.SAVED):
        if journal.mask_path is None:
            continue
        try:
            copies.append(copy_beside(journal.path, journal.mask_path))
        except (InputError, OutputError):
            continue
        journal.path.unlink(missing_ok=True)
    return tuple(copies)


def _folders(settings: Settings) -> tuple[Path, Path]:
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return settings.state_dir / "journals", Path(tempfile.gettempdir()) / f"napari-tumorseg-{user}" / "journals"


def _describe(path: Path) -> FoundJournal | None:
    with JournalReader(path) as reader:
        last = reader.newest
        if last is None:
            return None
        closed = reader.closed
        left = Left.BROKEN_OFF if closed is None else Left.SAVED if closed.get("saved") else Left.NOT_SAVED
        local = reader.local
        paths = tuple(Path(p) for p in local.get("paths", ()))
        mask = Path(local["mask"]) if local.get("mask") else None
        return FoundJournal(path, reader.task, left, reader.patch_count, last.wall, paths, mask)
