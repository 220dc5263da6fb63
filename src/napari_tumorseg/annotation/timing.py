"""How long a task took, from what was recorded anyway: no stopwatch, and every figure can be computed again.

The *primary time* runs from the first image shown to submit, less declared pauses and the time in which no window of the program had the
keyboard; waiting for a model is part of it. A model that ran before the first image was shown is reported apart. Looking without moving is
work, so idle gaps stay in; what would be left if gaps were cut at 10 to 120 s is a curve beside it, never the primary time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.timeline import Moment, Opening, Timeline, timeline_of

__all__ = ["IDLE_S", "MODEL_JOBS", "SUBMIT", "THRESHOLDS_S", "Seconds", "TaskTiming", "task_timing", "timing_of"]

#: Gaps longer than this count as idle in the figures named "idle" and "active"; the curve shows the others.
IDLE_S = 60.0
#: Where the sensitivity curve is told.
THRESHOLDS_S = (10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0)
#: Name in the data of a `EventKind.SAVED` that hands the mask in.
SUBMIT = "submit"
#: Jobs during which a person waits for a model.
MODEL_JOBS = frozenset({"segment", "model", "prompt", "learn"})
# Looking at a replay is no work on the case.
_NO_WORK = frozenset({"replay"})
_ACTS = frozenset(
    {
        *(EventKind.POINTER, EventKind.WHEEL, EventKind.KEY, EventKind.SLICE, EventKind.ZOOM, EventKind.LAYER, EventKind.TOOL),
        *(EventKind.LESION, EventKind.PHASE, EventKind.SAVED, "review", "patch"),
    }
)
_RESETS = frozenset({EventKind.SHOWN, EventKind.FOCUS, EventKind.PAUSE, EventKind.JOB})

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seconds:
    """Parts of the counted time.

    Attributes
    ----------
    counted_s : float
        Primary time; the sum of the three others.
    active_s : float
        Not waiting and not idle.
    idle_s : float
        Beyond the first `IDLE_S` of a gap without any act.
    waiting_s : float
        While a model ran.
    """

    counted_s: float = 0.0
    active_s: float = 0.0
    idle_s: float = 0.0
    waiting_s: float = 0.0

    def to_json(self) -> dict[str, float]:
        """Return it as JSON values, to the millisecond."""
        return {name: round(getattr(self, name), 3) for name in ("counted_s", "active_s", "idle_s", "waiting_s")}


@dataclass
class _State:
    """What held between two moments."""

    focused: bool = True
    paused: bool = False
    running: frozenset[str] = frozenset()
    lesion: str = ""
    tool: str = ""
    phase: str = ""


@dataclass(frozen=True)
class _Span:
    """Time between two moments; `since_s` is how long before its start the last act was."""

    length_s: float
    since_s: float
    state: _State


@dataclass(frozen=True)
class TaskTiming:
    """The times of one task.

    Attributes
    ----------
    whole : Seconds
        Of the task; ``whole.counted_s`` is the primary time.
    wall_s : float or None
        From the first image shown to the end with everything in it, nights included; None where no clock tells it.
    paused_s, unfocused_s, replay_s : float
        What was taken off: declared pauses, no window with the keyboard, a replay looked at. Where several hold, the first counts.
    beforehand_s : float
        Models that ran before the first image was shown.
    asleep_s : float
        The machine or program stood still. Not in the primary time.
    between_s : float or None
        Between openings, e.g. from a crash to when the work was taken up; None where the clocks do not tell it. Not in the primary time.
    openings : int
        How often the journal was opened.
    broken_off : int
        Openings that were not closed well, the last one aside where the task was submitted in it.
    set_back_s : tuple of float
        Each time the wall clock was set back.
    shown, submitted : bool
        Whether the two ends were recorded; without, the first and last thing recorded stand for them.
    dropped : int
        Events that were not kept.
    by_lesion, by_tool, by_phase : mapping of str to Seconds
        The primary time by what was in focus or in hand; "" is what had none.
    """

    whole: Seconds
    wall_s: float | None
    paused_s: float
    unfocused_s: float
    replay_s: float
    beforehand_s: float
    asleep_s: float
    between_s: float | None
    openings: int
    broken_off: int
    set_back_s: tuple[float, ...]
    shown: bool
    submitted: bool
    dropped: int
    by_lesion: Mapping[str, Seconds]
    by_tool: Mapping[str, Seconds]
    by_phase: Mapping[str, Seconds]
    _since: Floats = field(repr=False, compare=False, default_factory=lambda: np.zeros(0))
    _length: Floats = field(repr=False, compare=False, default_factory=lambda: np.zeros(0))

    @property
    def primary_s(self) -> float:
        """Primary time in seconds."""
        return self.whole.counted_s

    def trimmed_s(self, threshold_s: float) -> float:
        """Return the primary time with every gap between acts cut to `threshold_s`; waiting for a model stays whole."""
        return self.primary_s - float(_beyond(self._since, self._length, threshold_s).sum())

    def curve(self, thresholds_s: Sequence[float] = THRESHOLDS_S) -> dict[float, float]:
        """Return the trimmed time for each threshold, in seconds."""
        return {threshold: self.trimmed_s(threshold) for threshold in thresholds_s}

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        plain = ("wall_s", "paused_s", "unfocused_s", "replay_s", "beforehand_s", "asleep_s", "between_s")
        times = {name: None if (value := getattr(self, name)) is None else round(value, 3) for name in plain}
        facts = {name: getattr(self, name) for name in ("openings", "broken_off", "shown", "submitted", "dropped")}
        by = {name: {key: s.to_json() for key, s in getattr(self, name).items()} for name in ("by_lesion", "by_tool", "by_phase")}
        curve = {f"{threshold:g}": round(value, 3) for threshold, value in self.curve().items()}
        return {
            "primary_s": round(self.primary_s, 3),
            **self.whole.to_json(),
            **times,
            **facts,
            "set_back_s": [round(v, 3) for v in self.set_back_s],
            "idle_after_s": IDLE_S,
            "trimmed_s": curve,
            **by,
        }


def task_timing(reader: JournalReader) -> TaskTiming:
    """Return the times of the task that a journal is about; nobody may be writing it."""
    return timing_of(timeline_of(reader))


def timing_of(timeline: Timeline) -> TaskTiming:
    """Return the times of a task from its timeline.

    In each opening time counts from its first image shown (from its first act, where none was recorded), and ends with the last thing
    recorded in it, in the last one with submit. What a killed process did after its last record is lost: at most the time to the next
    beat. An opening after submit, e.g. to look at the mask once more, counts nothing.
    """
    openings, submitted = _until_submit(timeline.openings)
    shown = any(m.kind == EventKind.SHOWN for o in openings for m in o.moments)
    spans: list[_Span] = []
    beforehand = 0.0
    begun = False
    starts: list[float] = []
    for opening in openings:
        start = _start(opening)
        starts.append(start)
        if not begun:
            beforehand += _jobs_before(opening, start)
            begun = start < opening.length_s or any(m.kind == EventKind.SHOWN for m in opening.moments)
        spans += _spans(opening, start)
    between = [o.before_s for o in openings[1:]]
    asleep = sum(o.asleep_s for o in openings)
    lengths = sum(o.length_s for o in openings) - (starts[0] if starts else 0.0)
    known = None if any(b is None for b in between) else float(sum(b for b in between if b is not None))
    counted = [s for s in spans if not (s.state.paused or not s.state.focused or s.state.running & _NO_WORK)]
    free = [s for s in counted if not s.state.running & MODEL_JOBS]
    ended = openings[:-1] if submitted else openings
    return TaskTiming(
        whole=_seconds(counted),
        wall_s=None if known is None else lengths + asleep + known,
        paused_s=sum((s.length_s for s in spans if s.state.paused), 0.0),
        unfocused_s=sum((s.length_s for s in spans if not s.state.paused and not s.state.focused), 0.0),
        replay_s=sum((s.length_s for s in spans if not s.state.paused and s.state.focused and s.state.running & _NO_WORK), 0.0),
        beforehand_s=beforehand,
        asleep_s=asleep,
        between_s=known,
        openings=len(timeline.openings),
        broken_off=sum(not o.closed for o in ended),
        set_back_s=tuple(v for o in openings for v in o.set_back_s),
        shown=shown,
        submitted=submitted,
        dropped=timeline.dropped,
        by_lesion=_by(counted, "lesion"),
        by_tool=_by(counted, "tool"),
        by_phase=_by(counted, "phase"),
        _since=np.array([s.since_s for s in free]),
        _length=np.array([s.length_s for s in free]),
    )


def is_submit(moment: Moment) -> bool:
    """Whether the mask was handed in at a moment."""
    return (moment.kind == EventKind.SAVED and moment.data.get("name") == SUBMIT) or (
        moment.kind == "status" and "submitted" in moment.data
    )


def _until_submit(openings: Sequence[Opening]) -> tuple[list[Opening], bool]:
    """Return the openings up to the last submit, the last one cut there, and whether there was one."""
    for index in range(len(openings) - 1, -1, -1):
        at = [n for n, m in enumerate(openings[index].moments) if is_submit(m)]
        if at:
            kept = openings[index].moments[: at[-1] + 1]
            return [*openings[:index], replace(openings[index], moments=kept, length_s=kept[-1].at_s)], True
    return list(openings), False


def _start(opening: Opening) -> float:
    """Return when time begins to count in an opening: first image shown, else first act."""
    for wanted in ({EventKind.SHOWN.value}, _ACTS):
        for moment in opening.moments:
            if moment.kind in wanted:
                return moment.at_s
    return opening.length_s


def _jobs_before(opening: Opening, start_s: float) -> float:
    """Return the seconds in which a model ran before `start_s`."""
    total, since = 0.0, None
    for moment in opening.moments:
        if moment.at_s > start_s:
            break
        if moment.kind == EventKind.JOB and moment.data.get("name") in MODEL_JOBS:
            if moment.data.get("on"):
                since = moment.at_s
            elif since is not None:
                total, since = total + moment.at_s - since, None
    return total + (start_s - since if since is not None else 0.0)


def _spans(opening: Opening, start_s: float) -> Iterator[_Span]:
    """Yield the time between moments from `start_s` on, each with what held in it."""
    state = _State()
    at, acted = start_s, start_s
    for moment in opening.moments:
        if moment.at_s > at:
            yield _Span(moment.at_s - at, at - acted, state)
            at = moment.at_s
        state = _followed(state, moment)
        if moment.at_s >= start_s and (_is_act(moment) or moment.kind in _RESETS):
            acted = moment.at_s


def _is_act(moment: Moment) -> bool:
    # The result of a model arrives by itself.
    return moment.kind in _ACTS and not (moment.kind == "patch" and moment.data.get("source") == "model")


def _followed(state: _State, moment: Moment) -> _State:
    kind, data = moment.kind, moment.data
    if kind == EventKind.FOCUS:
        return replace(state, focused=bool(data.get("on")))
    if kind == EventKind.PAUSE:
        return replace(state, paused=bool(data.get("on")))
    if kind == EventKind.JOB:
        name = {str(data.get("name", ""))}
        return replace(state, running=state.running | name if data.get("on") else state.running - name)
    if kind == EventKind.LESION:
        return replace(state, lesion=str(data.get("id") or ""))
    if kind == EventKind.TOOL:
        return replace(state, tool=str(data.get("tool", "")))
    if kind == EventKind.PHASE:
        return replace(state, phase=str(data.get("name", "")))
    return state


def _beyond(since: Floats, length: Floats, threshold_s: float) -> Floats:
    """Return which part of each span lies beyond a threshold after the last act."""
    return np.minimum(np.maximum(since + length - threshold_s, 0.0), length)


def _seconds(spans: Sequence[_Span]) -> Seconds:
    counted = sum((s.length_s for s in spans), 0.0)
    waiting = sum((s.length_s for s in spans if s.state.running & MODEL_JOBS), 0.0)
    free = [s for s in spans if not s.state.running & MODEL_JOBS]
    since, length = np.array([s.since_s for s in free]), np.array([s.length_s for s in free])
    idle = float(_beyond(since, length, IDLE_S).sum())
    return Seconds(counted, counted - waiting - idle, idle, waiting)


def _by(spans: Sequence[_Span], name: str) -> dict[str, Seconds]:
    groups: dict[str, list[_Span]] = {}
    for span in spans:
        groups.setdefault(getattr(span.state, name), []).append(span)
    return {key: _seconds(group) for key, group in sorted(groups.items())}
