"""The steps of a journal that is being written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError as TooEarly
from itertools import islice
from typing import TypeVar

from napari_tumorseg.annotation.entries import Entry, EntryKind, patch_of
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.reader import Steps
from napari_tumorseg.annotation.store import Store
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.patches import Patch

__all__ = ["read_steps"]

_T = TypeVar("_T")

# The writer reads for us and writes nothing meanwhile: no more at once than it takes a few milliseconds.
_AT_ONCE = 200
_LOOK_AGAIN_S = 0.05


def read_steps(journal: Journal, progress: Progress | None = None) -> Steps:
    """Return what a live journal holds up to now, read by the thread that writes it.

    The file is locked against everybody else, so the journal is asked, in small portions between which it writes what
    came in. Call it from a job: it waits.

    Parameters
    ----------
    journal : Journal
        Open.
    progress : Progress, optional
        Reports and cancels.

    Returns
    -------
    Steps
        The changes and checkpoints; more may follow in the journal.

    Raises
    ------
    InputError
        If the journal is closed, cannot be written at present, or holds no mask to begin from.
    """
    progress = progress or Progress()
    kinds = (EntryKind.CHECKPOINT, EntryKind.PATCH)
    total = max(1, _answer(journal, lambda store: store.patch_count, progress, 0.0))
    checkpoints: list[Entry] = []
    patches: list[tuple[int, Patch]] = []
    after, more = 0, True
    while more:
        part = _answer(journal, _portion(kinds, after), progress, len(patches) / total)
        checkpoints += [entry for entry in part if entry.kind is EntryKind.CHECKPOINT]
        patches += [(entry.revision, patch_of(entry)) for entry in part if entry.kind is EntryKind.PATCH]
        after = part[-1].seq if part else after
        more = len(part) == _AT_ONCE
    progress.update(1.0, "Read the record of changes")
    return Steps(journal.task, checkpoints, patches)


def _portion(kinds: tuple[EntryKind, ...], after: int) -> Callable[[Store], list[Entry]]:
    return lambda store: list(islice(store.entries(*kinds, after=after), _AT_ONCE))


def _answer(journal: Journal, question: Callable[[Store], _T], progress: Progress, fraction: float) -> _T:
    future = journal.ask(question)
    while True:
        progress.update(fraction, "Reading the record of changes")
        try:
            return future.result(_LOOK_AGAIN_S)
        except TooEarly:
            if journal.failing:
                raise InputError(f"The record of changes cannot be read: {journal.failing}.", "Try again when it is saved.") from None
            if not journal.alive:
                raise InputError("The record of changes was closed.", "Choose the mask again.") from None
