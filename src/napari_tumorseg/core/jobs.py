"""Progress and cancelling, as plain objects that every long function accepts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from napari_tumorseg.core.errors import Cancelled

__all__ = ["CancelToken", "Progress", "ProgressState"]


@dataclass(frozen=True)
class ProgressState:
    """What a job is doing.

    Attributes
    ----------
    fraction : float
        Work done, 0 to 1.
    message : str
        The step under way, in the user's words.
    """

    fraction: float
    message: str


class CancelToken:
    """A switch that is turned once; safe to share between threads.

    Examples
    --------
    >>> token = CancelToken()
    >>> token.cancelled
    False
    >>> token.cancel()
    >>> token.raise_if_cancelled()
    Traceback (most recent call last):
    ...
    napari_tumorseg.core.errors.Cancelled: stopped by the user
    """

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop at its next safe point."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._event.is_set()

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` if `cancel` was called."""
        if self._event.is_set():
            raise Cancelled("stopped by the user")


def _unheard(state: ProgressState) -> None:
    """Let a report go nowhere: the caller did not ask to hear it."""
    del state


@dataclass(frozen=True)
class Progress:
    """A job's way to say how far it is, and to hear that it should stop.

    A part of a job gets a part of its parent's range by `part`, so that no function needs to
    know where it stands in the whole.

    Parameters
    ----------
    report : callable
        Receives a `ProgressState`; may be called from any thread.
    cancel : CancelToken
        Checked at each `update`.
    start, stop : float
        The share of the whole, 0 to 1, that this object covers.

    Examples
    --------
    >>> seen = []
    >>> whole = Progress(seen.append)
    >>> whole.part(0.5, 1.0).update(0.5, "Writing")
    >>> seen[0].fraction
    0.75
    """

    report: Callable[[ProgressState], None] = _unheard
    cancel: CancelToken = field(default_factory=CancelToken)
    start: float = 0.0
    stop: float = 1.0

    def update(self, fraction: float, message: str) -> None:
        """Report `fraction` (0 to 1 of this part) and raise `Cancelled` if asked to stop."""
        self.cancel.raise_if_cancelled()
        inside = min(max(fraction, 0.0), 1.0)
        self.report(ProgressState(self.start + inside * (self.stop - self.start), message))

    def part(self, start: float, stop: float) -> Progress:
        """Return a `Progress` over the share from `start` to `stop` of this one."""
        width = self.stop - self.start
        return Progress(self.report, self.cancel, self.start + start * width, self.start + stop * width)
