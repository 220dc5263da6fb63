"""A rater who is not there: known work, written into a real journal by a clock that is set by hand.

For checks from end to end (does the timing find what was planted?) and for rehearsing a study before there are data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.entries import Clock, EventKind
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.annotation.timeline import BEAT_S
from napari_tumorseg.annotation.timing import SUBMIT
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.patches import Origin, PatchSource

__all__ = ["Habits", "HandClock", "rehearse"]


class HandClock:
    """A monotonic and a wall clock that go on when they are told to.

    Parameters
    ----------
    wall_s : float
        Seconds since 1970 to begin with.

    Examples
    --------
    >>> clock = HandClock(1000.0)
    >>> clock.work(2.5)
    >>> clock.sleep(60)
    >>> clock.clock.mono_ns(), clock.clock.wall_ns()
    (3500000000, 1062500000000)
    """

    def __init__(self, wall_s: float = 1_700_000_000.0) -> None:
        self._mono_ns = 1_000_000_000
        self._wall_ns = round(wall_s * 1e9)
        self.clock = Clock(lambda: self._mono_ns, lambda: self._wall_ns)

    def work(self, seconds: float) -> None:
        """Both clocks go on."""
        self._mono_ns += round(seconds * 1e9)
        self._wall_ns += round(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        """Suspend the machine: the monotonic clock stands still, as it does on Linux and macOS."""
        self._wall_ns += round(seconds * 1e9)

    def set_back(self, seconds: float) -> None:
        """Set the wall clock back."""
        self._wall_ns -= round(seconds * 1e9)

    def restart(self) -> None:
        """Start the machine anew: the monotonic clock begins at some other time."""
        self._mono_ns = 7_000_000_000


@dataclass(frozen=True)
class Habits:
    """How a rater works, besides how long.

    Attributes
    ----------
    think_share : float
        Share of the time that is looked at the image without any act.
    think_s : float
        How long such a look is, on average.
    act_s : float
        Time between acts.
    pause_s, away_s, asleep_s : float
        A declared pause, time in another program, and a suspended machine, once in each task; 0 for none.
    wait_share : float
        Share of the time in which a model runs at the beginning.
    before_s : float
        Time that a model ran before the images were shown.
    break_off : float
        Share of the work after which the process is killed and the work taken up an hour later; 0 for never.
    """

    think_share: float = 0.4
    think_s: float = 25.0
    act_s: float = 1.5
    pause_s: float = 0.0
    away_s: float = 0.0
    asleep_s: float = 0.0
    wait_share: float = 0.0
    before_s: float = 0.0
    break_off: float = 0.0


@dataclass
class _Desk:
    """One opening of the journal: the document, its recorder, and the time that is still to be worked."""

    clock: HandClock
    document: MaskDocument
    journal: Journal
    recorder: Recorder = field(init=False)
    beaten_s: float = 0.0

    def __post_init__(self) -> None:
        self.recorder = Recorder(self.document, self.journal)

    def spend(self, seconds: float) -> None:
        """Let time pass while the program beats."""
        left = seconds
        while self.beaten_s + left >= BEAT_S:
            step = BEAT_S - self.beaten_s
            self.clock.work(step)
            self.journal.event(EventKind.BEAT)
            left, self.beaten_s = left - step, 0.0
        self.clock.work(left)
        self.beaten_s += left

    def during(self, kind: EventKind, seconds: float, first: bool, **data: Any) -> None:
        """Say that something is on (or off, for `first` False), let time pass, and say the opposite."""
        self.journal.event(kind, on=first, **data)
        self.spend(seconds)
        self.journal.event(kind, on=not first, **data)


def rehearse(
    path: Path,
    document: MaskDocument,
    primary_s: float,
    rng: np.random.Generator,
    habits: Habits | None = None,
    clock: HandClock | None = None,
    again: Callable[[], MaskDocument] | None = None,
    final: npt.NDArray[np.unsignedinteger[Any]] | None = None,
    **more: Any,
) -> None:
    """Write the journal of a task whose primary time is `primary_s`, by a rater with some habits.

    Parameters
    ----------
    path : Path
        The journal; must not exist.
    document : MaskDocument
        The mask; something is painted at each tenth act or so.
    primary_s : float
        Time from the first image shown to submit, less pauses, time away and sleep; waiting for a model included.
    rng : numpy.random.Generator
        Source of chance.
    habits : Habits
        How the rater works.
    clock : HandClock
        The time.
    again : callable, optional
        Needed with `Habits.break_off`: gives the document back after the kill, as restoring a journal does.
    final : numpy.ndarray
        Shape (z, y, x): what the mask becomes, slice by slice, the rest of it at the end; voxels by chance where it is not given.
    **more
        Fields of the task: case, person, step ...
    """
    habits, clock = habits or Habits(), clock or HandClock()
    facts = {"case": "phantom", "mask": "lesions", **more}
    task = Task.of(document, facts.pop("case"), facts.pop("mask"), **facts)
    desk = _Desk(clock, document, Journal(path, task, document, clock=clock.clock))
    if habits.before_s:
        desk.during(EventKind.JOB, habits.before_s, True, name="segment")
    _show(desk)
    waiting = primary_s * habits.wait_share
    if waiting:
        desk.during(EventKind.JOB, waiting, True, name="segment")
    work = primary_s - waiting
    first = work * habits.break_off
    if first:
        _work(desk, first, rng, habits, final)
        _kill(desk, path)
        clock.work(3600)
        clock.restart()
        assert again is not None
        restored = again()
        desk = _Desk(clock, restored, Journal(path, task, restored, clock=clock.clock))
        _show(desk)
    if habits.pause_s:
        desk.during(EventKind.PAUSE, habits.pause_s, True)
    if habits.away_s:
        desk.during(EventKind.FOCUS, habits.away_s, False)
    clock.sleep(habits.asleep_s)
    _work(desk, work - first, rng, habits, final)
    while final is not None and _paint_towards(desk, final):
        pass
    desk.journal.event(EventKind.SAVED, name=SUBMIT)
    desk.recorder.stop()
    desk.journal.close()


def _show(desk: _Desk) -> None:
    desk.journal.event(EventKind.SHOWN, volumes=["T1c"])
    # One view, so wide that it shows slices as a whole wherever the image lies.
    desk.journal.event(EventKind.ZOOM, view="main", centre=[0.0, 0.0], zoom=4.0, size=[10_000, 10_000])
    desk.journal.event(EventKind.BEAT)
    desk.beaten_s = 0.0
    desk.journal.event(EventKind.PHASE, name="correct")


def _work(
    desk: _Desk, seconds: float, rng: np.random.Generator, habits: Habits, final: npt.NDArray[np.unsignedinteger[Any]] | None
) -> None:
    """Look, scroll and paint for some time, lesion after lesion."""
    spent, acts, lesion = 0.0, 0, 0
    shape = desk.document.grid.shape
    thinks = habits.think_share * habits.act_s / max(1e-9, habits.think_s * (1 - habits.think_share))
    while spent < seconds:
        gap = rng.exponential(habits.think_s) if rng.random() < thinks else rng.exponential(habits.act_s)
        gap = min(gap, seconds - spent)
        desk.spend(gap)
        spent += gap
        acts += 1
        if acts % 40 == 1:
            lesion += 1
            desk.journal.event(EventKind.LESION, id=lesion)
            desk.journal.event(EventKind.TOOL, tool="paint" if lesion % 2 else "grow")
        if acts % 10 == 0 and final is not None:
            _paint_towards(desk, final)
        elif acts % 10 == 0:
            z, y, x = (int(v) for v in np.unravel_index(int(rng.integers(desk.document.labels.size)), shape))
            box = Box((z, y, x), (z + 1, y + 1, x + 1))
            flipped = (desk.document.labels[box.slices] == 0).astype(np.uint8)
            desk.document.write(box, flipped, Origin(PatchSource.HAND, "paint", "R1"))
        else:
            step = [int(rng.integers(shape[0])), 0, 0]
            desk.journal.event(EventKind.SLICE, view="main", step=step, order=[0, 1, 2], shown=2)


def _paint_towards(desk: _Desk, final: npt.NDArray[np.unsignedinteger[Any]]) -> bool:
    """Paint what is different in the first slice that differs; return whether there was one."""
    found = bounding_box(desk.document.labels != final)
    if found is None:
        return False
    z = found.start[0]
    box = Box((z, *found.start[1:]), (z + 1, *found.stop[1:]))
    desk.document.write(box, final[box.slices].astype(desk.document.labels.dtype), Origin(PatchSource.HAND, "paint", "R1"))
    return True


def _kill(desk: _Desk, path: Path) -> None:
    """Leave the file as a killed process does: as it was, with nothing said of an end."""
    left = path.with_suffix(".left")
    desk.journal.ask(lambda store: store.rescue_to(left)).result()
    desk.recorder.stop()
    desk.journal.close()
    left.replace(path)
