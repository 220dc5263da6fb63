"""What a journal is made of: entries in a chain, and what a person did at the screen."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.patches import Origin, Patch, PatchSource

__all__ = ["FIRST", "Clock", "Entry", "EntryKind", "EventKind", "Interaction", "interactions_of", "patch_of"]

#: What the first entry has as the hash before it.
FIRST = bytes(32)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class Clock(NamedTuple):
    """Where a journal reads the time.

    Attributes
    ----------
    mono_ns : callable
        Nanoseconds that never run backwards; they count from an unknown start, which is another one in each process.
    wall_ns : callable
        Nanoseconds since 1970 in UTC, which a person may set back. A laptop that slept shows as wall time that passed while
        the other clock stood still.
    """

    mono_ns: Callable[[], int] = time.monotonic_ns
    wall_ns: Callable[[], int] = time.time_ns


class EntryKind(StrEnum):
    """What an entry is."""

    #: Opened, closed, another review state, other locks: the payload says which.
    STATUS = "status"
    #: The mask was changed.
    PATCH = "patch"
    #: Things done at the screen, many in one entry.
    EVENT = "event"
    #: The whole mask.
    CHECKPOINT = "checkpoint"
    #: A person said something about a lesion or the mask.
    REVIEW = "review"
    #: Which lesion is which, and how each stands, after a change of the mask: what is different from before.
    LESIONS = "lesions"


class EventKind(StrEnum):
    """What a person did, and what the data of such an `Interaction` are."""

    #: The images of the task are on the screen: ``volumes``.
    SHOWN = "shown"
    #: A view's place: ``view``, ``step`` (indices in scene axes), ``at`` (mm in scene axes), ``order``, ``shown`` (2 or 3 axes).
    SLICE = "slice"
    #: A view's zoom and middle: ``view``, ``zoom`` (screen pixels per mm), ``centre`` (mm), ``size`` (pixels).
    ZOOM = "zoom"
    #: Pointer pressed, dragged or released: ``act``, ``view``, ``at`` (mm in scene axes), ``button``.
    POINTER = "pointer"
    #: Wheel turned: ``view``, ``by``.
    WHEEL = "wheel"
    #: Key pressed: ``key``.
    KEY = "key"
    #: Layer chosen, shown or hidden: ``name``, ``shown`` or ``active``.
    LAYER = "layer"
    #: The window has the keyboard or lost it: ``on``.
    FOCUS = "focus"
    #: A declared pause began or ended: ``on``.
    PAUSE = "pause"
    #: A model or another long job began or ended: ``name``, ``on``, ``outcome``.
    JOB = "job"
    #: Another tool: ``tool``, "" for none.
    TOOL = "tool"
    #: A view came on the screen or went: ``view``, ``on``.
    VIEW = "view"
    #: The program runs and records; said every 20 s, so that a longer silence is known to be sleep.
    BEAT = "beat"
    #: A lesion came into focus: ``id``.
    LESION = "lesion"
    #: A step of the work began, e.g. search or correct: ``name``.
    PHASE = "phase"
    #: The mask was saved or submitted: ``name``.
    SAVED = "saved"


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing that a person did.

    Attributes
    ----------
    mono_ns : int
        When, by the monotonic clock of its session.
    kind : str
        One of `EventKind`, or a word of another program.
    data : mapping
        What is said there; JSON values.
    """

    mono_ns: int
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a journal. Only `seq`, `previous` and `hash` are the chain's; the rest is content.

    Attributes
    ----------
    seq : int
        1, 2, 3 and so on, without gaps.
    session : int
        Which opening of the journal; monotonic times are comparable within one. Set when it is written, as the chain is.
    mono_ns, wall_us : int
        When it was recorded: monotonic nanoseconds, and microseconds since 1970 in UTC.
    kind : EntryKind
        What it is.
    source, act, tool, person, step : str
        Of the patch's `Origin`; ``act`` is `Origin.act`.
    made_us : int
        `Origin.time` in microseconds since 1970 in UTC; 0 for other entries.
    revision : int
        Of the mask after a patch; 0 for other entries.
    box : tuple of int
        Start and stop, (z, y, x) each; empty for other entries.
    dtype : str
        NumPy dtype of a patch or checkpoint.
    old, new : bytes
        A patch's labels; a checkpoint's in `new`.
    payload : str
        JSON.
    previous, hash : bytes
        SHA-256 of the entry before, and of this one.
    """

    kind: EntryKind
    mono_ns: int
    wall_us: int
    session: int = 0
    source: str = ""
    act: str = ""
    tool: str = ""
    person: str = ""
    step: str = ""
    made_us: int = 0
    revision: int = 0
    box: tuple[int, ...] = ()
    dtype: str = ""
    old: bytes = b""
    new: bytes = b""
    payload: str = ""
    seq: int = 0
    previous: bytes = FIRST
    hash: bytes = b""

    @property
    def data(self) -> Any:
        """The payload, read; None where there is none."""
        return json.loads(self.payload) if self.payload else None

    @property
    def wall(self) -> dt.datetime:
        """Wall time in UTC."""
        return _EPOCH + dt.timedelta(microseconds=self.wall_us)

    def digest(self, seq: int, previous: bytes) -> bytes:
        """Return the SHA-256 of this content at place `seq` after an entry of hash `previous`.

        Every field goes in as its length (8 bytes, little-endian) and its bytes; text is UTF-8, numbers are decimal.
        So no two different entries run together to the same bytes.
        """
        made = hashlib.sha256(previous)
        box = ",".join(map(str, self.box))
        numbers = (seq, self.session, self.mono_ns, self.wall_us)
        texts = (self.kind, self.source, self.act, self.tool, self.person, self.step, self.made_us, self.revision, box, self.dtype)
        for part in (*(str(value).encode() for value in (*numbers, *texts)), self.old, self.new, self.payload.encode()):
            made.update(len(part).to_bytes(8, "little"))
            made.update(part)
        return made.digest()


def of_patch(patch: Patch, revision: int, mono_ns: int, wall_us: int) -> Entry:
    """Return the entry of a patch; nothing is compressed anew."""
    origin, box = patch.origin, patch.box
    made_us = (origin.time - _EPOCH) // dt.timedelta(microseconds=1)
    return Entry(
        EntryKind.PATCH,
        mono_ns,
        wall_us,
        source=origin.source,
        act=origin.act,
        tool=origin.tool,
        person=origin.person,
        step=origin.step,
        made_us=made_us,
        revision=revision,
        box=(*box.start, *box.stop),
        dtype=patch.dtype,
        old=patch.old_bytes,
        new=patch.new_bytes,
    )


def patch_of(entry: Entry) -> Patch:
    """Return the patch of an entry of kind PATCH, equal to the one that was recorded."""
    z0, y0, x0, z1, y1, x1 = entry.box
    source, act = PatchSource(entry.source), PatchSource(entry.act)
    made = _EPOCH + dt.timedelta(microseconds=entry.made_us)
    origin = Origin(source, entry.tool, entry.person, made, entry.step, act if act is not source else None)
    return Patch(Box((z0, y0, x0), (z1, y1, x1)), entry.dtype, entry.old, entry.new, origin)


def of_interactions(events: Sequence[tuple[int, int, str, Mapping[str, Any]]]) -> Entry:
    """Return one entry of many events (monotonic ns, wall us, kind, data), in order; it keeps their times to the microsecond."""
    mono_ns, wall_us = events[0][:2]
    rows = [[(mono - mono_ns) // 1000, kind, data] if data else [(mono - mono_ns) // 1000, kind] for mono, _, kind, data in events]
    return Entry(EntryKind.EVENT, mono_ns, wall_us, payload=to_json(rows))


def interactions_of(entry: Entry) -> list[Interaction]:
    """Return the events of an entry of kind EVENT."""
    return [Interaction(entry.mono_ns + row[0] * 1000, row[1], row[2] if len(row) > 2 else {}) for row in entry.data]


def to_json(value: Any) -> str:
    """Return `value` as JSON in one line, keys in order; what JSON does not know becomes text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
