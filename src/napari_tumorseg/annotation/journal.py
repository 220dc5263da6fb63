"""The journal of a mask: every change and every act at the screen, on disk as it happens.

One thread owns the file. Whoever paints puts an entry into a queue, which costs some microseconds,
and goes on. A change waits for the changes of the steps before it to be written; a hand leaves more
than time enough for that, and a disk that stalls holds the brush for a tenth of a second at most. So a
process that is killed at any moment loses at most the stroke in flight. A power cut may take what was
not yet settled on the disk: the strokes since the last pause of a second, at most those of five seconds.
When the disk is full, read-only or gone, the entries stay in memory, in order, and are written when
it can be; one line says so. Nothing is raised into the painting.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from napari_tumorseg.annotation.checkpoints import Capture
from napari_tumorseg.annotation.entries import Clock, Entry, EntryKind, of_patch, to_json
from napari_tumorseg.annotation.journal_queue import Act, JournalQueue, Last
from napari_tumorseg.annotation.live_file import LiveFile, why
from napari_tumorseg.annotation.local_disk import refuse_network
from napari_tumorseg.annotation.store import Store
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.errors import TumorSegError
from napari_tumorseg.core.patches import Patch

__all__ = ["ENDING", "Journal", "JournalState"]

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

#: Ending of a journal's file name.
ENDING = ".journal"

_WAIT_S = 0.1
_TICK_S = 1.0
_SETTLE_S = 5.0
_SAY_AGAIN_S = 300.0
_CHECKPOINT_PATCHES = 1000
_CHECKPOINT_BYTES = 8 << 20


class JournalState(StrEnum):
    """How the record is; the value is what the user reads."""

    SAVED = "All changes saved"
    SAVING = "Saving"
    MEMORY = "Not saved: working in memory"


class Journal:
    """Writes the journal of one mask in a thread of its own.

    Parameters
    ----------
    path : Path
        The live file, on a disk of this machine; made if it is not there, continued if it is.
    task : Task
        What it is about; ignored where the file is there already.
    document : MaskDocument
        The mask, for checkpoints. `Recorder` tells the journal of its changes.
    clock : Clock
        Where time is read.
    told : callable
        Told when writing fails, in one line why, and when all is on the disk again. Called from the journal's thread. The line is
        empty when the same was said less than five minutes ago, as on a disk that is full again and again.
    local : mapping, optional
        Facts of this machine (paths) that copies of the journal leave out.
    retry_s : float
        How long to wait before writing is tried again.
    wait_s : float
        How long a change may wait for those before it.

    Raises
    ------
    OutputError
        If the folder lies on a network drive.
    InputError
        If the file is there and is no journal, or another process is writing it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> document = MaskDocument(np.zeros((2, 2, 2), np.uint8), Grid.from_spacing((2, 2, 2), (1, 1, 1)), preset("lesion"))
    >>> path = Path(tempfile.mkdtemp()) / "a.journal"
    >>> journal = Journal(path, Task.of(document, "phantom", "lesion"), document)
    >>> journal.event("key", key="N")
    >>> journal.close()
    True
    >>> [p.name for p in path.parent.iterdir()]
    ['a.journal']
    """

    def __init__(
        self,
        path: Path,
        task: Task,
        document: MaskDocument,
        *,
        clock: Clock | None = None,
        told: Callable[[JournalState, str], None] | None = None,
        local: Mapping[str, Any] | None = None,
        retry_s: float = 2.0,
        wait_s: float = _WAIT_S,
    ) -> None:
        refuse_network(path.parent)
        self.path = path
        self._document = document
        self._clock = Clock() if clock is None else clock
        self._told = told
        self._retry_s = retry_s
        self._wait_s = wait_s
        self._queue = JournalQueue(Capture(document))
        self._people: set[str] = set()
        self._since_patches = 0
        self._since_bytes = 0
        self._unsettled = False
        self._settled_s = time.monotonic()
        self._said_s = self._settled_s - _SAY_AGAIN_S
        self._file = LiveFile(path, task, local or {}, self._now())
        self._thread = threading.Thread(target=self._run, name=f"journal {path.stem}", daemon=True)
        self._thread.start()

    # -- for whoever paints

    @property
    def task(self) -> Task:
        """What the journal is about."""
        return self._file.task

    @property
    def state(self) -> JournalState:
        """How the record is at this moment."""
        if self._queue.failing:
            return JournalState.MEMORY
        return JournalState.SAVED if self._queue.complete else JournalState.SAVING

    @property
    def failing(self) -> str:
        """Why nothing can be written, in two words, e.g. "disk full"; "" while all is well."""
        return self._queue.failing

    @property
    def alive(self) -> bool:
        """Whether the journal's thread runs."""
        return self._thread.is_alive()

    def record(self, patch: Patch, revision: int) -> int:
        """Put a change of the mask into the queue and return its number there."""
        return self._queue.put(of_patch(patch, revision, *self._now()))

    def status(self, **facts: Any) -> int:
        """Record a state: locks, review, or what else the caller names."""
        return self._note(EntryKind.STATUS, "", facts)

    def review(self, person: str = "", **facts: Any) -> int:
        """Record what a person said about a lesion or the mask."""
        return self._note(EntryKind.REVIEW, person, facts)

    def note(self, kind: EntryKind, person: str, facts: Mapping[str, Any]) -> None:
        """Record what `workflows.lesion_ledger` says of the lesions.

        A decision at once. Which lesion is which after a change, with whatever comes next or within about a second: that can be
        found out again.
        """
        if kind is not EntryKind.LESIONS:
            self._note(kind, person, facts)
            return
        mono, wall = self._now()
        self._queue.put_soon(Entry(kind, mono, wall, person=person, payload=to_json(facts)))

    def person(self, name: str, **facts: Any) -> int:
        """Record who works, and what is known of them (role, expertise)."""
        return self._note(EntryKind.STATUS, name, {"person": {"name": name, **facts}})

    def event(self, kind: str, **data: Any) -> None:
        """Record an act at the screen; `data` are JSON values and stay as they are.

        Cheap enough for every move of the pointer: many go to the disk as one entry, within about a
        second or with the next change of the mask.
        """
        self._queue.put_soon(Act(*self._now(), kind, data))

    def wait_for(self, number: int) -> bool:
        """Wait until what has that number in the queue is written; return whether it is.

        Returns at once while writing fails. When the time is over before it is written, nobody waits again until it is.
        """
        return self._queue.wait_for(number, self._wait_s, self._thread.is_alive)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything so far is written; return whether it is."""
        return self._queue.flush(timeout_s)

    def ask(self, question: Callable[[Store], _T]) -> Future[_T]:
        """Have a function called with the open file, after everything before it is written; return its future result."""
        future: Future[_T] = Future()
        self._queue.put((question, future))
        return future

    def close(self, timeout_s: float = 20.0, **facts: Any) -> bool:
        """Write what is left, and leave one file behind; return whether all of it is there."""
        if not self._queue.closing:
            mono, wall = self._now()
            self._queue.put(Last(Entry(EntryKind.STATUS, mono, wall, payload=to_json({"closed": facts}))))
        self._queue.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and self._queue.complete

    # -- inside, any thread

    def _now(self) -> tuple[int, int]:
        return self._clock.mono_ns(), self._clock.wall_ns() // 1000

    def _note(self, kind: EntryKind, person: str, facts: Mapping[str, Any]) -> int:
        mono, wall = self._now()
        return self._queue.put(Entry(kind, mono, wall, person=person, payload=to_json(facts)))

    # -- inside, the journal's thread

    def _run(self) -> None:
        while True:
            idle, closing = self._queue.wait(self._unsettled, _TICK_S, self._retry_s)
            try:
                self._write()
                self._settle(idle=idle)
            except Exception as error:
                # Of whatever kind, a fault of our own too: the record must not end without a word.
                self._fail(error)
            if closing:
                self._finish()
                return

    def _write(self) -> None:
        store = self._file.ready(failed=bool(self._queue.failing))
        if self._file.gap:
            self._file.gap = False
            self._capture_next()
        while True:
            entries, taken, other = self._queue.next_run()
            self._commit(store, entries, taken)
            if other is not None:
                self._serve(store, other)
            elif self._since_patches >= _CHECKPOINT_PATCHES or self._since_bytes >= _CHECKPOINT_BYTES:
                self._capture_next()
            elif self._queue.empty:
                break
        self._recovered()

    def _capture_next(self) -> None:
        self._queue.capture_next(Capture(self._document))
        self._since_patches = self._since_bytes = 0

    def _commit(self, store: Store, entries: list[Entry], taken: int, *, ahead: int = 0) -> None:
        """Write entries that stand for the next `taken` items of the queue after its first `ahead`."""
        if entries:
            self._write_people(store, entries)
            store.append(entries, self._file.session)
            self._unsettled = True
        for entry in entries:
            if entry.kind is EntryKind.PATCH:
                self._since_patches += 1
                self._since_bytes += len(entry.old) + len(entry.new)
        dropped = self._queue.done(taken, ahead)
        if dropped:
            self.status(events_dropped=dropped)

    def _write_people(self, store: Store, entries: list[Entry]) -> None:
        for entry in entries:
            facts = (entry.data or {}).get("person") if entry.kind is EntryKind.STATUS else None
            if facts or (entry.person and entry.person not in self._people):
                store.add_person(entry.person, {k: v for k, v in (facts or {}).items() if k != "name"})
                self._people.add(entry.person)

    def _serve(self, store: Store, item: Any) -> None:
        """Do the item at the head of the queue that is no entry."""
        if isinstance(item, Capture):
            for _ in item.blocks():
                if self._queue.urgent:
                    self._overtake(store)
            self._overtake(store)
            self._commit(store, [item.entry(*self._now())], 1)
            return
        if isinstance(item, Last):
            store.append([item.entry], self._file.session)
            self._commit(store, [], 1)
            return
        question, future = item
        try:
            result = question(store)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(result)
        self._commit(store, [], 1)

    def _overtake(self, store: Store) -> None:
        """Write the changes that came in behind the checkpoint under way: they must stand before it, and be safe soon."""
        self._queue.calm()
        entries, taken, _ = self._queue.next_run(1)
        self._commit(store, entries, taken, ahead=1)

    def _settle(self, *, idle: bool) -> None:
        now = time.monotonic()
        if self._unsettled and (idle or now - self._settled_s > _SETTLE_S):
            self._settled_s = now
            try:
                self._file.ready(failed=False).settle()
                self._unsettled = False
            except sqlite3.Error as error:
                # It stands in the log beside the file, so nothing is lost unless the power fails.
                _LOG.info("%s could not be settled: %s", self.path, error)

    def _fail(self, error: BaseException) -> None:
        first = not self._queue.failing
        short, line = why(error, self.path.parent)
        self._queue.fail(short)
        if first:
            _LOG.warning("%s", line, exc_info=error)
            now = time.monotonic()
            again, self._said_s = now - self._said_s < _SAY_AGAIN_S, now
            self._tell(JournalState.MEMORY, "" if again else line)

    def _recovered(self) -> None:
        if self._queue.failing:
            self._queue.fail("")
            self._tell(JournalState.SAVED, "")

    def _tell(self, state: JournalState, line: str) -> None:
        if self._told is None:
            return
        try:
            self._told(state, line)
        except Exception:
            _LOG.exception("Nobody could be told that the journal is %s", state)

    def _finish(self) -> None:
        try:
            self._settle(idle=True)
            self._file.close(single=not self._queue.failing)
        except (sqlite3.Error, OSError, TumorSegError) as error:
            _LOG.warning("%s could not be closed well: %s", self.path, error)
