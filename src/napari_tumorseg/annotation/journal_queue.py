"""What is to be written to a journal, between those who put it in and the one thread that writes it."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from napari_tumorseg.annotation.checkpoints import Capture
from napari_tumorseg.annotation.entries import Entry, of_interactions

__all__ = ["Act", "JournalQueue", "Last"]

# About an hour of pointer moves; changes of the mask are never dropped.
_MOST_EVENTS = 50_000


class Act(NamedTuple):
    """An act at the screen; many become one entry."""

    mono_ns: int
    wall_us: int
    kind: str
    data: Mapping[str, Any]


class Last(NamedTuple):
    """The entry that nothing follows, not even a checkpoint that was asked for before it."""

    entry: Entry


class JournalQueue:
    """Items in order, with how many were put in and how many are written.

    Items are `Entry`, `Act`, `Last`, `Capture` and whatever else the writer serves. They are counted without
    the captures, which others may overtake.

    Parameters
    ----------
    first : Capture
        The checkpoint that the journal begins with.
    """

    def __init__(self, first: Capture) -> None:
        self._pending: deque[Any] = deque([first])
        self._acts = 0
        self._dropped = 0
        self._captures = 1
        self._put = 0
        self._written = 0
        self._urgent = False
        self._quiet = False
        self._closing = False
        self._failing = ""
        self._late = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._caught_up = threading.Condition(self._lock)

    # -- any thread

    @property
    def failing(self) -> str:
        """Why nothing can be written, in two words; "" while all is well."""
        return self._failing

    @property
    def closing(self) -> bool:
        """Whether nothing more is to come."""
        return self._closing

    @property
    def missing(self) -> int:
        """How many items are not written."""
        return self._put - self._written

    @property
    def complete(self) -> bool:
        """Whether all is written, the checkpoints too."""
        return not self.missing and not self._captures

    def put(self, item: Any) -> int:
        """Add an item that is to be written at once, and return its number."""
        with self._lock:
            self._put += 1
            self._pending.append(item)
            self._urgent = True
            self._wake.notify()
            return self._put

    def put_soon(self, item: Entry | Act) -> None:
        """Add an item that is written with whatever comes next or within about a second; acts beyond the most are dropped."""
        with self._lock:
            if type(item) is Act:
                if self._acts >= _MOST_EVENTS:
                    self._dropped += 1
                    return
                self._acts += 1
            self._put += 1
            self._pending.append(item)
            if self._quiet:
                self._quiet = False
                self._wake.notify()

    def wait_for(self, number: int, timeout_s: float, alive: Callable[[], bool]) -> bool:
        """Wait until an item is written; return whether it is.

        Returns at once while writing fails. When the time is over before it is written, nobody waits again until it is.
        """
        if self._written >= number:
            return True
        with self._lock:
            if self._failing or self._written < self._late or not alive():
                return self._written >= number
            done = self._caught_up.wait_for(lambda: self._written >= number or bool(self._failing), timeout_s)
            self._late = 0 if done else number
            return self._written >= number

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything so far is written; return whether it is."""
        with self._lock:
            number = self._put
            self._urgent = True
            self._wake.notify()

            def there() -> bool:
                return self._written >= number and not self._captures

            self._caught_up.wait_for(lambda: there() or bool(self._failing), timeout_s)
            return there()

    def close(self) -> None:
        """Say that nothing more is to come."""
        with self._lock:
            self._closing = self._urgent = True
            self._wake.notify()

    # -- the thread that writes

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._pending

    @property
    def urgent(self) -> bool:
        """Whether something came in that is to be written at once."""
        return self._urgent

    def wait(self, busy: bool, tick_s: float, retry_s: float) -> tuple[bool, bool]:
        """Wait for something to do.

        Parameters
        ----------
        busy : bool
            Whether there is something to do without any item.
        tick_s, retry_s : float
            How long to wait at most, when all is well and while writing fails.

        Returns
        -------
        idle, closing : bool
            Whether nothing urgent came in, and whether nothing more is to come.
        """
        with self._lock:
            self._quiet = not (self._pending or busy)
            self._wake.wait_for(self._due, None if self._quiet else retry_s if self._failing else tick_s)
            idle = not self._urgent
            self._urgent = self._quiet = False
            return idle, self._closing

    def calm(self) -> None:
        """Take note of what is urgent so far."""
        with self._lock:
            self._urgent = False

    def next_run(self, ahead: int = 0) -> tuple[list[Entry], int, Any]:
        """Return entries for the items from place `ahead` on, how many items they stand for, and the item that ends the run."""
        with self._lock:
            items = tuple(itertools.islice(self._pending, ahead, None))
        entries: list[Entry] = []
        taken = 0
        for alike, group in itertools.groupby(items, key=type):
            if alike is Entry:
                run: list[Any] = list(group)
                entries += run
            elif alike is Act:
                run = list(group)
                entries.append(of_interactions(run))
            else:
                return entries, taken, next(group)
            taken += len(run)
        return entries, taken, None

    def capture_next(self, capture: Capture) -> None:
        """Have a checkpoint written before everything else."""
        with self._lock:
            self._captures += 1
            self._pending.appendleft(capture)

    def done(self, taken: int, ahead: int = 0) -> int:
        """Take away items that are written, after the first `ahead`; return how many acts were dropped meanwhile."""
        with self._lock:
            for _ in range(taken):
                self._acts -= type(self._pending[ahead]) is Act
                self._captures -= type(self._pending[ahead]) is Capture
                self._written += type(self._pending[ahead]) is not Capture
                del self._pending[ahead]
            dropped, self._dropped = (self._dropped, 0) if not self._acts else (0, self._dropped)
            self._caught_up.notify_all()
        return dropped

    def fail(self, why: str) -> None:
        """Say that writing fails, so that nobody waits for it; "" when it works again."""
        with self._lock:
            self._failing = why
            if why:
                self._caught_up.notify_all()

    def _due(self) -> bool:
        return self._closing or (self._urgent and not self._failing) or (self._quiet and bool(self._pending))
