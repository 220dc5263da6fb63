"""What happened in a journal, opening by opening, on one clock for each, with what the clocks say of sleep and of changed time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from napari_tumorseg.annotation.entries import Entry, EntryKind, EventKind, interactions_of
from napari_tumorseg.annotation.reader import JournalReader

__all__ = ["BEAT_S", "JUMP_S", "Moment", "Opening", "Timeline", "timeline_of"]

#: How often a program that runs and records says so, in seconds (`EventKind.BEAT`).
BEAT_S = 20.0
#: Wall and monotonic clock that part by more than this say that one of them stood still or was changed.
JUMP_S = 2.0
# A program that is silent this long did not run.
_SILENT_S = 2.5 * BEAT_S
_READ = (EntryKind.STATUS, EntryKind.PATCH, EntryKind.EVENT, EntryKind.REVIEW)


class Moment(NamedTuple):
    """Something that happened.

    Attributes
    ----------
    at_s : float
        Seconds since its journal was opened this time, by the monotonic clock; time asleep is taken out.
    kind : str
        A word of `EventKind`, or "patch", "review" or "status".
    data : mapping
        Of the event; of a patch its ``source``, ``act``, ``tool``, ``revision`` and whether it changed a voxel (``mark`` if not).
    """

    at_s: float
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Opening:
    """One opening of a journal: by another process, or by the same one later.

    Attributes
    ----------
    number : int
        From 1.
    moments : tuple of Moment
        In order of time.
    length_s : float
        From its opening to the last thing recorded, time asleep taken out.
    asleep_s : float
        How long the machine or the program stood still, as far as the clocks and the beats tell it.
    set_back_s : tuple of float
        Each time that the wall clock was set back during it: by how much.
    closed : bool
        Whether it was closed well; a killed process closes nothing.
    before_s : float or None
        Time between the last thing of the opening before and this one; None where the clocks do not tell it.
    """

    number: int
    moments: tuple[Moment, ...]
    length_s: float
    asleep_s: float = 0.0
    set_back_s: tuple[float, ...] = ()
    closed: bool = False
    before_s: float | None = 0.0


@dataclass(frozen=True)
class Timeline:
    """All openings of a journal.

    Attributes
    ----------
    openings : tuple of Opening
        In order.
    dropped : int
        Events that were not kept, because the disk was full for an hour or more.
    """

    openings: tuple[Opening, ...]
    dropped: int = 0


@dataclass
class _Raw:
    """An opening while it is read: clock readings (monotonic ns, wall us) and moments in monotonic ns."""

    number: int
    clocks: list[tuple[int, int]] = field(default_factory=list)
    moments: list[tuple[int, str, Mapping[str, Any]]] = field(default_factory=list)
    boot: str = ""
    closed: bool = False


def timeline_of(reader: JournalReader) -> Timeline:
    """Return what happened in a journal that nobody is writing."""
    return timeline_from(reader.entries(*_READ))


def timeline_from(entries: Iterable[Entry]) -> Timeline:
    """Return what happened in entries that stand in their order, of one journal.

    Two clocks are kept because each fails in its own way. The monotonic clock starts anew with the machine and on most systems stands
    still while it sleeps; the wall clock can be set. Within an opening only the monotonic clock counts. Where the wall clock ran ahead of
    it by more than `JUMP_S`, the machine slept (or the clock was put forward: neither is working time); where it fell behind, it was set
    back. Where the program says every `BEAT_S` that it runs, a longer silence is sleep, too, for systems whose monotonic clock goes on.
    """
    raws: list[_Raw] = []
    dropped = 0
    for entry in entries:
        if not raws or raws[-1].number != entry.session:
            raws.append(_Raw(entry.session))
        raw = raws[-1]
        raw.clocks.append((entry.mono_ns, entry.wall_us))
        if entry.kind is EntryKind.EVENT:
            raw.moments += [(i.mono_ns, i.kind, i.data) for i in interactions_of(entry)]
            raw.closed = False
        elif entry.kind is EntryKind.PATCH:
            facts = {"source": entry.source, "act": entry.act, "tool": entry.tool, "revision": entry.revision}
            raw.moments.append((entry.mono_ns, "patch", {**facts, **({"mark": True} if entry.old == entry.new else {})}))
            raw.closed = False
        else:
            said = entry.data or {}
            raw.moments.append((entry.mono_ns, entry.kind.value, said))
            raw.boot = said.get("opened", {}).get("boot", raw.boot)
            raw.closed = "closed" in said
            dropped += int(said.get("events_dropped", 0))
    openings = []
    for n, raw in enumerate(raws):
        openings.append(_finished(raw, _between(raws[n - 1], raw) if n else 0.0))
    return Timeline(tuple(openings), dropped)


def _between(before: _Raw, after: _Raw) -> float | None:
    """Return the seconds between two openings; by the monotonic clock where the machine was not started anew between them."""
    (mono, wall), (then, now) = before.clocks[-1], after.clocks[0]
    mono = max(mono, *(at for at, _, _ in before.moments)) if before.moments else mono
    wall_s = (now - wall) / 1e6
    if before.boot and before.boot == after.boot and then >= mono:
        # Asleep, the monotonic clock may have stood still; a wall clock that was set back says less than it.
        return max((then - mono) / 1e9, wall_s)
    return wall_s if wall_s >= 0 else None


def _finished(raw: _Raw, before_s: float | None) -> Opening:
    asleep, back = _jumps(raw.clocks)
    moments = sorted(raw.moments, key=lambda m: m[0])
    start = min(raw.clocks[0][0], moments[0][0]) if moments else raw.clocks[0][0]
    told, shift, silent = [], 0.0, 0.0
    beats = any(kind == EventKind.BEAT for _, kind, _ in moments)
    at_s, beating = 0.0, False
    for mono, kind, data in moments:
        now_s = (mono - start) / 1e9
        if beats and beating and now_s - at_s > _SILENT_S:
            gone = now_s - at_s - BEAT_S
            shift += gone
            silent += gone
        beating = beating or kind == EventKind.BEAT
        at_s = now_s
        told.append(Moment(now_s - shift, kind, data))
    length = told[-1].at_s if told else 0.0
    return Opening(raw.number, tuple(told), length, asleep + silent, tuple(back), raw.closed, before_s)


def _jumps(clocks: Sequence[tuple[int, int]]) -> tuple[float, list[float]]:
    """Return the seconds that the wall clock ran ahead of the monotonic one, and each time that it was set back."""
    ahead, back = 0.0, []
    for (mono, wall), (mono_then, wall_then) in pairwise(sorted(clocks)):
        parted = (wall_then - wall) / 1e6 - (mono_then - mono) / 1e9
        if parted > JUMP_S:
            ahead += parted
        elif parted < -JUMP_S:
            back.append(-parted)
    return ahead, back
