"""The audit log: who did what when, only ever added to, each entry chained to the one before by SHA-256.

Triggers of the database refuse changes; the chain shows those that were made around them. An entry names the rows that were
written with it, each with a hash of its content, so that a row that was altered, taken out or put in is named as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.annotation.entries import Clock
from napari_tumorseg.annotation.study.plan import canonical_json

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["FIRST", "AuditEntry", "Note", "Problem", "append", "read_entries", "verify_chain"]

#: What the first entry has as the hash before it.
FIRST = "0" * 64
# Clocks of a team's machines differ by so much without anybody having set one back.
_TOLERANCE_US = 2_000_000


@dataclass(frozen=True)
class AuditEntry:
    """One entry.

    Attributes
    ----------
    seq : int
        1, 2, 3 and so on, without gaps.
    at_us : int
        Microseconds since 1970 in UTC, by the clock of the machine that wrote it.
    mono_ns : int
        Its monotonic clock, comparable between entries of one `boot`.
    boot : str
        Which start of which machine.
    actor : str
        Person, or "" for the program.
    action, subject : str
        What was done, and to what.
    payload : str
        Canonical JSON: details; under "rows" the hashes of what was written.
    previous, hash : str
        SHA-256, hexadecimal, of the entry before and of this one.
    """

    seq: int
    at_us: int
    mono_ns: int
    boot: str
    actor: str
    action: str
    subject: str
    payload: str
    previous: str
    hash: str = ""

    @property
    def digest(self) -> str:
        """The hash that the entry ought to have.

        Examples
        --------
        >>> from dataclasses import replace
        >>> entry = AuditEntry(1, 0, 0, "", "R1", "submitted", "K7", "{}", FIRST)
        >>> entry.digest == replace(entry, actor="R2").digest
        False
        """
        parts = [self.seq, self.at_us, self.mono_ns, self.boot, self.actor, self.action, self.subject, self.payload, self.previous]
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()

    @property
    def data(self) -> dict[str, Any]:
        """The payload."""
        values: dict[str, Any] = json.loads(self.payload)
        return values


@dataclass(frozen=True)
class Note:
    """What is to be written: action, subject and details."""

    action: str
    subject: str
    details: dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written.

    Attributes
    ----------
    where : str
        "entry 12" of the log, or a row such as "version 5".
    what : str
        "was altered", "is missing" and so on.
    severe : bool
        False for what may have an innocent reason, such as a clock set back.
    """

    where: str
    what: str
    severe: bool = True

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.where[:1].upper()}{self.where[1:]} {self.what}."


def append(session: Session, clock: Clock, actor: str, notes: Sequence[Note]) -> None:
    """Add entries within a transaction that holds the log's end.

    An entry that is earlier than the one before it says so (``clock_back_s``): the clock was set back, or two machines disagree.
    """
    import sqlalchemy as sa

    from napari_tumorseg.annotation.study.tables import AuditRow

    last = session.scalars(sa.select(AuditRow).order_by(AuditRow.seq.desc()).limit(1)).first()
    seq, head = (last.seq, last.hash) if last else (0, FIRST)
    at_us, mono_ns, boot = clock.wall_ns() // 1000, clock.mono_ns(), boot_id()
    back_us = _set_back(last, at_us, mono_ns, boot) if last is not None else 0
    for note in notes:
        seq += 1
        details = {**note.details, **({"clock_back_s": round(back_us / 1e6, 3)} if back_us else {})}
        back_us = 0
        entry = AuditEntry(seq, at_us, mono_ns, boot, actor, note.action, note.subject, canonical_json(details), head)
        head = entry.digest
        session.add(AuditRow(**{**entry.__dict__, "hash": head}))


def _set_back(last: Any, at_us: int, mono_ns: int, boot: str) -> int:
    """Return by how many microseconds the clock was set back since an entry, 0 where it was not."""
    expected = last.at_us
    if boot and boot == last.boot and mono_ns >= last.mono_ns:
        # On one machine the monotonic clock shows it even where the wall clock has passed the entry again.
        expected += (mono_ns - last.mono_ns) // 1000
    back = expected - at_us
    return int(back) if back > _TOLERANCE_US else 0


def boot_id() -> str:
    """Return what tells this start of this machine from others, "" where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def read_entries(session: Session) -> list[AuditEntry]:
    """Return all entries in order."""
    import sqlalchemy as sa

    from napari_tumorseg.annotation.study.tables import AuditRow

    names = [column.name for column in AuditRow.__table__.columns]
    return [
        AuditEntry(**{name: getattr(row, name) for name in names}) for row in session.scalars(sa.select(AuditRow).order_by(AuditRow.seq))
    ]


def verify_chain(entries: Iterable[AuditEntry], head: str = "") -> list[Problem]:
    """Return everything that is wrong with a log: altered, missing, moved entries, and clocks set back.

    Parameters
    ----------
    entries : iterable of AuditEntry
        By their numbers, all that there are.
    head : str
        Hash of an entry that was noted down elsewhere; shows whether entries were cut off the end.

    Returns
    -------
    list of Problem
        Empty where the log is whole.
    """
    problems: list[Problem] = []
    expected, previous, hashes = 1, FIRST, set()
    for entry in entries:
        if entry.seq > expected:
            missing = f"entry {expected} is" if entry.seq == expected + 1 else f"entries {expected} to {entry.seq - 1} are"
            problems.append(Problem(missing.rpartition(" ")[0], f"{missing.rpartition(' ')[2]} missing"))
        elif entry.seq < expected:
            problems.append(Problem(f"entry {entry.seq}", "is there twice, or out of order"))
        if entry.digest != entry.hash:
            problems.append(Problem(f"entry {entry.seq}", "was altered"))
        elif entry.previous != previous and entry.seq == expected:
            problems.append(Problem(f"entry {entry.seq}", "does not follow from the one before it, which was altered, moved or put in"))
        problems += _said(entry)
        # The chain goes on from what the entry says, so that one fault is not told of all entries behind it.
        expected, previous = entry.seq + 1, entry.hash
        hashes.add(entry.hash)
    if head and head not in hashes:
        problems.append(Problem("the end of the log", f"is not there: no entry has the hash {head[:12]}…"))
    return problems


def _said(entry: AuditEntry) -> list[Problem]:
    try:
        back = entry.data.get("clock_back_s")
    except (ValueError, AttributeError):
        return []  # an altered payload, which was told
    return [Problem(f"entry {entry.seq}", f"was written after the clock had been set back by {back} s", severe=False)] if back else []
