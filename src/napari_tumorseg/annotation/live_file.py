"""The file that a journal is writing: made, held, opened anew after a failure, rescued when it is taken away."""

from __future__ import annotations

import errno
import os
import platform
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_tumorseg.annotation.entries import Entry, EntryKind, to_json
from napari_tumorseg.annotation.store import Store
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.errors import TumorSegError

__all__ = ["LiveFile", "why"]


class LiveFile:
    """Keeps a `Store` open at a path for as long as there is a disk to keep it on.

    Parameters
    ----------
    path : Path
        The file; made by `ready` if it is not there.
    task : Task
        Written into a new file; read from one that is there.
    local : mapping
        Facts of this machine that copies leave out.
    opened : tuple of int
        Monotonic nanoseconds and wall microseconds of this opening.

    Raises
    ------
    InputError
        If the file is there and is no journal, or another process is writing it.

    Attributes
    ----------
    session : int
        Number of this opening in the file.
    gap : bool
        Set when entries that had been written are gone, so that a checkpoint is needed.
    """

    def __init__(self, path: Path, task: Task, local: Mapping[str, Any], opened: tuple[int, int]) -> None:
        self.path = path
        self.task = task
        self.session = 1
        self.gap = False
        self._local = dict(local)
        self._opened = opened
        self._store: Store | None = None
        self._identity = (0, 0)
        if path.exists():
            self._open(Store.open(path), new=False)

    def ready(self, *, failed: bool) -> Store:
        """Return the open file, after a failure opened anew; raise what SQLite or the system says where it cannot be.

        Parameters
        ----------
        failed : bool
            Whether the last use failed, which may have left the connection unusable.
        """
        if self._store is not None and _identity(self.path) != self._identity:
            self._rescue(self._store)
        elif self._store is not None and failed:
            self._reopen(self._store)
        if self._store is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open(Store.open(self.path) if self.path.exists() else Store.create(self.path), new=not self.path.exists())
        assert self._store is not None
        return self._store

    def close(self, *, single: bool) -> None:
        """Close; with `single` what remains is one file."""
        if self._store is not None:
            store, self._store = self._store, None
            store.close(single=single)

    def _open(self, store: Store, *, new: bool) -> None:
        mono, wall = self._opened
        facts = _facts(self.task.software)
        try:
            new = new or store.seq == 0
            if new:
                store.set_task(self.task)
            else:
                self.task = store.task
            session = store.add_session(mono, wall, facts)
            if self.task.person and self.task.person not in store.persons:
                store.add_person(self.task.person, {})
            if self._local:
                store.set_local(self._local)
            said = {"opened": {**facts, "session": session}, **({"task": self.task.to_json()} if new else {})}
            store.append([Entry(EntryKind.STATUS, mono, wall, person=self.task.person, payload=to_json(said))], session)
        except BaseException:
            store.close(single=False)
            if new:
                self.path.unlink(missing_ok=True)
            raise
        self.session = session
        self._take(store)

    def _take(self, store: Store) -> None:
        self._store = store
        self._identity = _identity(self.path)

    def _reopen(self, store: Store) -> None:
        seq, head = store.seq, store.head
        self.close(single=False)
        self._take(Store.open(self.path))
        assert self._store is not None
        self.gap = self.gap or (self._store.seq, self._store.head) != (seq, head)

    def _rescue(self, store: Store) -> None:
        # What was taken away can still be read while it is open; if the drive is gone, a new file is begun.
        part = self.path.with_suffix(".part")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        try:
            store.rescue_to(part)
        except sqlite3.Error:
            part.unlink(missing_ok=True)
            self.gap = True
        else:
            part.replace(self.path)
        self.close(single=False)
        if self.path.exists():
            self._take(Store.open(self.path))


def why(error: BaseException, folder: Path) -> tuple[str, str]:
    """Return why changes cannot be recorded in `folder`: in two words, and in a line that says what to do."""
    text = str(error).lower()
    number = getattr(error, "errno", None)
    kept = "The work goes on in memory and is written as soon as it can be"
    if isinstance(error, TumorSegError):
        return "no place to write", f"{error} {kept}."
    if "full" in text or number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "disk full", f"Changes cannot be recorded: the disk that holds {folder} is full. {kept}; free some space."
    if "readonly" in text or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "folder read-only", f"Changes cannot be recorded: the folder {folder} is read-only. {kept}; make it writable."
    if not folder.is_dir():
        return "folder gone", f"Changes cannot be recorded: the folder {folder} is gone. {kept}; bring it back."
    return "disk failed", f"Changes cannot be recorded in {folder}: {error}. {kept}."


def _identity(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_dev, found.st_ino


def _facts(software: str) -> dict[str, Any]:
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        started = boot.read_text(encoding="ascii").strip()
    except OSError:
        started = ""
    # Monotonic times of two processes compare where the machine was not started anew between them.
    return {"software": software, "process": os.getpid(), "boot": started, "python": platform.python_version(), "system": platform.system()}
