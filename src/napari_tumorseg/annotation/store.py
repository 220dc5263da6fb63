"""The file of a journal: one SQLite database, to which is only ever appended.

Tables: ``task`` (one row: what the file is about), ``session`` (one row for each opening by a
process), ``person``, ``entries`` (everything that happened, chained by SHA-256) and ``local`` (paths
of this machine, which copies leave out). What ``task``, ``session`` and ``person`` say stands in the
payloads of status entries too, so that the chain covers it.

While a process writes, it holds the file alone (SQLite's exclusive lock, which the system drops when
the process ends, however it ends), with a write-ahead log beside it. A closed journal is one file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from napari_tumorseg.annotation.entries import FIRST, Entry, EntryKind, to_json
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.errors import InputError

__all__ = ["APPLICATION_ID", "FORMAT", "Store", "Verdict", "verify"]

#: In the file's header (SQLite's application_id), so that `file` and this program know it: "TSJ1".
APPLICATION_ID = 0x54534A31
#: Version of the tables (SQLite's user_version).
FORMAT = 1

_TABLES = """
CREATE TABLE task (id INTEGER PRIMARY KEY CHECK (id = 1), head TEXT NOT NULL) STRICT;
CREATE TABLE session (
    id INTEGER PRIMARY KEY, mono_ns INTEGER NOT NULL, wall_us INTEGER NOT NULL, software TEXT NOT NULL, facts TEXT NOT NULL
) STRICT;
CREATE TABLE person (name TEXT PRIMARY KEY, facts TEXT NOT NULL) STRICT;
CREATE TABLE local (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, session INTEGER NOT NULL, mono_ns INTEGER NOT NULL, wall_us INTEGER NOT NULL, kind TEXT NOT NULL,
    source TEXT NOT NULL, act TEXT NOT NULL, tool TEXT NOT NULL, person TEXT NOT NULL, step TEXT NOT NULL,
    made_us INTEGER NOT NULL, revision INTEGER NOT NULL, box TEXT NOT NULL, dtype TEXT NOT NULL,
    old BLOB NOT NULL, new BLOB NOT NULL, payload TEXT NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX entries_by_kind ON entries (kind, seq);
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'entries are only ever added'); END;
CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'entries are only ever added'); END;
"""
_COLUMNS = "seq,session,mono_ns,wall_us,kind,source,act,tool,person,step,made_us,revision,box,dtype,old,new,payload,previous,hash"
_MARKS = ",".join("?" * len(_COLUMNS.split(",")))


class Store:
    """An open journal file. Belongs to the thread that made it.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of `create` or `open`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        row = connection.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        self.seq: int = row[0] if row else 0
        self.head: bytes = bytes(row[1]) if row else FIRST

    @classmethod
    def create(cls, path: Path) -> Store:
        """Make a new file and hold it alone; raise `sqlite3.Error` or `OSError` where that cannot be."""
        if path.exists():
            raise FileExistsError(17, "there is a journal of that name", str(path))
        connection = _connect(path, "rwc")
        try:
            _hold(connection)
            connection.executescript(f"BEGIN;PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={FORMAT};{_TABLES}COMMIT;")
            return cls(connection)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def open(cls, path: Path, *, alone: bool = True) -> Store:
        """Open a file that is there, to write to it alone or only to read it.

        Raises
        ------
        InputError
            If it is no journal, of a newer program, or held by another process.
        """
        if not path.is_file():
            raise InputError(f"There is no record of changes {path}.", "Choose another one.")
        connection: sqlite3.Connection | None = None
        try:
            connection = _connect(path, "rw" if alone else "ro")
            # Before anything is written: a file that is not ours stays as it is.
            identity = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if identity != APPLICATION_ID:
                raise InputError(f"{path.name} is not a record of changes.", "Choose another file.")
            if version > FORMAT:
                raise InputError(f"{path.name} was written by a newer program.", "Install the newest version.")
            if alone:
                _hold(connection)
            return cls(connection)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise _readable(error, path) from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise

    # -- writing

    def append(self, entries: Iterable[Entry], session: int) -> None:
        """Add entries of a session, all or none, and chain them."""
        seq, head = self.seq, self.head
        rows = []
        for entry in entries:
            seq += 1
            entry = replace(entry, session=session)
            digest = entry.digest(seq, head)
            rows.append(_row(replace(entry, seq=seq, previous=head, hash=digest)))
            head = digest
        with self._connection:
            self._connection.executemany(f"INSERT INTO entries ({_COLUMNS}) VALUES ({_MARKS})", rows)
        self.seq, self.head = seq, head

    def set_task(self, task: Task) -> None:
        """Write what the file is about, once."""
        with self._connection:
            self._connection.execute("INSERT INTO task VALUES (1, ?)", (to_json(task.to_json()),))

    def add_session(self, mono_ns: int, wall_us: int, facts: dict[str, Any]) -> int:
        """Count an opening of the file and return its number."""
        with self._connection:
            cursor = self._connection.execute(
                "INSERT INTO session (mono_ns, wall_us, software, facts) VALUES (?, ?, ?, ?)",
                (mono_ns, wall_us, facts.get("software", ""), to_json(facts)),
            )
        return int(cursor.lastrowid or 0)

    def add_person(self, name: str, facts: dict[str, Any]) -> None:
        """Write a person down, or what is newly known of them."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO person VALUES (?, ?)", (name, to_json(facts)))

    def set_local(self, values: dict[str, Any]) -> None:
        """Remember facts of this machine that copies leave out, e.g. paths."""
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO local VALUES (?, ?)", [(k, to_json(v)) for k, v in values.items()])

    def settle(self) -> None:
        """Bring everything to the disk's own memory, so that even a power cut cannot take it."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self, *, single: bool = True) -> None:
        """Close; with `single` what remains is one file with nothing beside it."""
        try:
            if single:
                self._connection.execute("PRAGMA journal_mode=DELETE").fetchall()
        finally:
            self._connection.close()

    def copy_to(self, path: Path) -> None:
        """Write a copy as one file at `path`, which must not exist, without the facts of this machine."""
        self._connection.execute("VACUUM INTO ?", (str(path),))
        forget_local(path)

    def rescue_to(self, path: Path) -> None:
        """Copy everything, page by page, to a new file, while this one can still be read."""
        target = sqlite3.connect(path)
        try:
            self._connection.backup(target)
        finally:
            target.close()

    # -- reading

    @property
    def task(self) -> Task:
        """What the file is about; raises `InputError` where it does not say."""
        row = self._connection.execute("SELECT head FROM task").fetchone()
        if row is None:
            raise InputError("The record of changes says nothing of its mask.", "It was broken off before anything was done.")
        return Task.from_json(json.loads(row[0]))

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Every opening: its number, times, and facts."""
        rows = self._connection.execute("SELECT id, mono_ns, wall_us, facts FROM session ORDER BY id")
        return [{**json.loads(facts), "id": i, "mono_ns": mono, "wall_us": wall} for i, mono, wall, facts in rows]

    @property
    def persons(self) -> dict[str, dict[str, Any]]:
        """What is known of each person, by name."""
        return {name: json.loads(facts) for name, facts in self._connection.execute("SELECT name, facts FROM person ORDER BY name")}

    @property
    def local(self) -> dict[str, Any]:
        """Facts of the machine that wrote the file."""
        return {key: json.loads(value) for key, value in self._connection.execute("SELECT key, value FROM local")}

    @property
    def patch_count(self) -> int:
        """Number of changes, undos included."""
        return int(self._connection.execute("SELECT count(*) FROM entries WHERE kind = 'patch'").fetchone()[0])

    def entries(self, *kinds: EntryKind, after: int = 0) -> Iterator[Entry]:
        """Yield the entries in order, of some kinds or of all, after a sequence number."""
        where = f" AND kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = f"SELECT {_COLUMNS} FROM entries WHERE seq > ?{where} ORDER BY seq"
        for row in self._connection.execute(query, (after, *(kind.value for kind in kinds))):
            yield _entry(row)

    def last(self, kind: EntryKind) -> Entry | None:
        """Return the newest entry of a kind."""
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE kind = ? ORDER BY seq DESC LIMIT 1", (kind.value,)).fetchone()
        return _entry(row) if row else None

    def verify(self) -> Verdict:
        """Return whether the chain holds, and where it first does not."""
        found = verify(self.entries())
        if not found.ok:
            return found
        heads = [e.data["task"] for e in self.entries(EntryKind.STATUS) if "task" in (e.data or {})]
        row = self._connection.execute("SELECT head FROM task").fetchone()
        if heads and (row is None or row[0] != to_json(heads[0])):
            return replace(found, ok=False, seq=1, problem="what the file says of its task is not what its first entry says")
        return found


@dataclass(frozen=True)
class Verdict:
    """What checking a chain gave.

    Attributes
    ----------
    ok : bool
        Whether every entry is there, in order and as it was written.
    entries : int
        How many were found good.
    head : str
        Hash of the last good one, hexadecimal. Kept elsewhere, it shows whether entries were cut off the end.
    closed : bool
        Whether the last entry says that the journal was closed; one cut off at its end is not.
    seq : int, optional
        The first entry that is altered, missing or out of order.
    problem : str
        What is wrong with it.
    """

    ok: bool
    entries: int
    head: str
    closed: bool = False
    seq: int | None = None
    problem: str = ""


def verify(entries: Iterable[Entry]) -> Verdict:
    """Return whether entries form an unbroken chain from the first one on."""
    head, count, last = FIRST, 0, None
    for entry in entries:
        expected = count + 1
        problem = ""
        at = expected
        if entry.seq != expected:
            problem = f"entry {expected} is missing" if entry.seq > expected else f"entry {entry.seq} is out of order"
            at = min(expected, entry.seq)
        elif entry.previous != head:
            problem = f"entry {entry.seq} does not follow from the one before it: an entry was put in, taken out or moved"
        elif entry.digest(entry.seq, head) != entry.hash:
            problem = f"entry {entry.seq} was altered"
        if problem:
            return Verdict(False, count, head.hex(), False, at, problem)
        head, count, last = entry.hash, entry.seq, entry
    closed = last is not None and last.kind is EntryKind.STATUS and "closed" in (last.data or {})
    return Verdict(True, count, head.hex(), closed)


def forget_local(path: Path) -> None:
    """Take the facts of this machine out of a closed copy."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute("DELETE FROM local")
        connection.execute("VACUUM")
    finally:
        connection.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    # A lock that another process holds is told at once: nobody waits for a window.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=0.0, check_same_thread=False)


def _hold(connection: sqlite3.Connection) -> None:
    # Exclusive before WAL: then there is no file of shared memory, and the lock is the mark of a live process.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    # NORMAL: a commit is in the system's memory, which outlives the process; `settle` takes it to the disk.
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")


def _readable(error: sqlite3.Error, path: Path) -> InputError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return InputError(f"{path.name} is being written by another window.", "Close it there first.")
    return InputError(f"{path.name} cannot be read: {text}.", "Choose another file, or a copy of it.")


def _row(entry: Entry) -> tuple[Any, ...]:
    box = ",".join(map(str, entry.box))
    return (
        entry.seq, entry.session, entry.mono_ns, entry.wall_us, entry.kind.value, str(entry.source), str(entry.act), entry.tool,
        entry.person, entry.step, entry.made_us, entry.revision, box, entry.dtype, entry.old, entry.new, entry.payload,
        entry.previous, entry.hash,
    )  # fmt: skip


def _entry(row: tuple[Any, ...]) -> Entry:
    seq, session, mono, wall, kind, source, act, tool, person, step, made, revision, box, dtype, old, new, payload, previous, digest = row
    corners = tuple(int(v) for v in box.split(",")) if box else ()
    return Entry(
        EntryKind(kind), mono, wall, session, source, act, tool, person, step, made, revision, corners, dtype,
        bytes(old), bytes(new), payload, seq, bytes(previous), bytes(digest),
    )  # fmt: skip
