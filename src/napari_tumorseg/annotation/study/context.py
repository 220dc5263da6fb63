"""What everything that works on a study shares: its database, its clock, its protocol, and transactions that are audited."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from napari_tumorseg.annotation.entries import Clock
from napari_tumorseg.annotation.study.audit import Note, append
from napari_tumorseg.annotation.study.database import Database
from napari_tumorseg.annotation.study.plan import canonical_json
from napari_tumorseg.annotation.study.protocol import Protocol
from napari_tumorseg.annotation.study.tables import AuditRow, Base, StudyRow, TaskRow
from napari_tumorseg.core.errors import InputError

__all__ = ["Change", "StudyContext", "is_locked", "row_digest"]

#: What of a task is fixed when it is made; the rest changes until it is submitted.
DESIGN = ("id", "code", "case_id", "step", "role", "round", "place", "arm", "start", "practice", "period", "repeat", "position")
# A case's folder may move; when the data were locked is noted by itself.
_LOOSE = {"case": {"location"}, "study": {"locked_us"}}


def row_digest(row: Base, columns: tuple[str, ...] = ()) -> str:
    """Return the hash of a row's content, of some columns or of all that do not change; bytes count by their own hash."""
    table = row.__tablename__
    names = columns or tuple(c.name for c in sa.inspect(type(row)).columns if c.name not in _LOOSE.get(table, ()))
    values = {name: getattr(row, name) for name in names}
    plain = {name: hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else value for name, value in values.items()}
    return hashlib.sha256(canonical_json(plain).encode()).hexdigest()


def row_name(row: Base, *, design: bool = False) -> str:
    """Return what a row is called in the audit log, e.g. "version:5"."""
    return f"{row.__tablename__}{'-design' if design else ''}:{sa.inspect(row).mapper.primary_key_from_instance(row)[0]}"


@dataclass
class Change:
    """A transaction under way.

    Attributes
    ----------
    session : sqlalchemy.orm.Session
        Of the database.
    at_us : int
        When it began, microseconds since 1970.
    """

    session: Session
    at_us: int
    _notes: list[tuple[str, str, dict[str, Any], list[Base]]] = field(default_factory=list)
    _rows: list[Base] = field(default_factory=list)

    def add(self, row: Base) -> None:
        """Write a row; the next note names it with its hash."""
        self.session.add(row)
        self._rows.append(row)

    def finished(self, row: TaskRow) -> None:
        """Have the next note name a task that does not change any more."""
        self._rows.append(row)

    def note(self, action: str, subject: str, **details: Any) -> None:
        """Say in the audit log what is done; written at the end of the transaction."""
        self._notes.append((action, subject, details, self._rows))
        self._rows = []

    def notes(self) -> list[Note]:
        """Return what is to be written, the rows hashed as they are now."""
        found = []
        for action, subject, details, rows in self._notes:
            hashes = {}
            for row in rows:
                if isinstance(row, TaskRow):
                    hashes[row_name(row, design=True)] = row_digest(row, DESIGN)
                if not isinstance(row, TaskRow) or row.state == "submitted":
                    hashes[row_name(row)] = row_digest(row)
            found.append(Note(action, subject, {**details, **({"rows": hashes} if hashes else {})}))
        return found


@dataclass
class StudyContext:
    """An open study.

    Attributes
    ----------
    database : Database
        Where it is kept.
    clock : Clock
        Where time is read.
    files : Path, optional
        Folder that journals are copied into and that case folders are relative to.
    protocol : Protocol
        How the study is done.
    uid, title, schema, package : str
        Of the study; `package` is "" for a whole study.
    seed : int
        Of every draw.
    """

    database: Database
    clock: Clock
    files: Path | None
    protocol: Protocol
    uid: str
    title: str
    schema: str
    seed: int
    package: str = ""

    @contextmanager
    def changing(self, actor: str) -> Iterator[Change]:
        """Give an audited transaction."""
        with self.database.write() as session:
            change = Change(session, self.clock.wall_ns() // 1000)
            yield change
            session.flush()
            notes = change.notes()
            if notes:
                # The last lock that is taken, so that nobody waits for somebody who waits.
                self.database.lock_audit(session)
                append(session, self.clock, actor, notes)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a transaction that only looks."""
        with self.database.read() as session:
            yield session


def study_row(session: Session) -> StudyRow:
    """Return the study's own row."""
    return session.scalars(sa.select(StudyRow)).one()


def is_locked(session: Session) -> bool:
    """Whether the data are locked."""
    return bool(session.scalar(sa.select(StudyRow.locked_us)))


def refuse_locked(session: Session) -> None:
    """Raise `InputError` where the data are locked."""
    if is_locked(session):
        raise InputError("The data of the study are locked.", "Nothing is added or changed any more.")


def audit_head(session: Session) -> tuple[int, str]:
    """Return number and hash of the last entry of the audit log."""
    row = session.execute(sa.select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)).first()
    return (row[0], row[1]) if row else (0, "")
