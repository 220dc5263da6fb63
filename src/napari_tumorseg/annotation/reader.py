"""Reading a journal: what it holds, whether it is whole, and the mask as it was left."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_tumorseg.annotation.checkpoints import first_and_until, labels_of
from napari_tumorseg.annotation.entries import Entry, EntryKind, Interaction, interactions_of, patch_of
from napari_tumorseg.annotation.store import Store, Verdict
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.document import Labels, MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.patches import Patch

__all__ = ["JournalReader", "Steps"]


class Steps:
    """The changes of a journal with what is needed to have the mask after any of them.

    Parameters
    ----------
    task : Task
        What the journal is about.
    checkpoints : sequence of Entry
        Of kind CHECKPOINT, oldest first; at least one.
    patches : sequence of (int, Patch)
        Revision and change, in order.

    Raises
    ------
    InputError
        If there is no checkpoint to begin from.
    """

    def __init__(self, task: Task, checkpoints: Sequence[Entry], patches: Sequence[tuple[int, Patch]]) -> None:
        if not checkpoints:
            raise InputError(f"The record of {task.mask} was broken off before it held the mask.", "Open the mask's own file.")
        self.task = task
        # After a failed disk there may be a gap; what stands before one cannot be joined to what stands behind it.
        whole = _without_gap(patches, checkpoints)
        self.revisions = [revision for revision, _ in whole]
        self.patches = [patch for _, patch in whole]
        start = self.revisions[0] - 1 if whole else 0
        self._checkpoints = [c for c in checkpoints if first_and_until(c)[0] >= start] or [checkpoints[-1]]
        self.first = start if whole else first_and_until(self._checkpoints[-1])[1]

    @property
    def last(self) -> int:
        """Revision after the last change."""
        return self.revisions[-1] if self.revisions else self.first

    def labels_at(self, revision: int) -> Labels:
        """Return the mask after the change of that revision; `first` is the mask before all changes.

        Raises
        ------
        InputError
            If the journal has no such revision.
        """
        if not self.first <= revision <= self.last:
            raise InputError(f"The record holds steps {self.first} to {self.last}, not {revision}.", "Choose one of them.")
        untils = [first_and_until(c)[1] for c in self._checkpoints]
        # The last checkpoint at or before it, else the first one, from which is gone back.
        entry = self._checkpoints[max(0, bisect.bisect_right(untils, revision) - 1)]
        first, until = first_and_until(entry)
        between = self._between(first, until)
        labels = labels_of(entry, self.task.grid.shape, between)
        for _, patch in self._between(until, revision):
            labels[patch.box.slices] = patch.new
        for _, patch in reversed(self._between(revision, until)):
            labels[patch.box.slices] = patch.old
        return labels

    def _between(self, after: int, until: int) -> list[tuple[int, Patch]]:
        a, b = bisect.bisect_right(self.revisions, after), bisect.bisect_right(self.revisions, until)
        return list(zip(self.revisions[a:b], self.patches[a:b], strict=True))


class JournalReader:
    """A journal that nobody is writing.

    Parameters
    ----------
    path : Path
        A journal left by a killed process, or a closed one, in a folder that may be read-only.

    Raises
    ------
    InputError
        If it is no journal, cannot be read, or another process is writing it.

    Examples
    --------
    >>> JournalReader(Path("nowhere.journal"))
    Traceback (most recent call last):
    ...
    napari_tumorseg.core.errors.InputError: There is no record of changes nowhere.journal. Choose another one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Beside a file that was closed well there is no log; then looking needs no lock.
        self._alone = path.with_name(path.name + "-wal").exists()
        self._store = Store.open(path, alone=self._alone)
        try:
            self.task: Task = self._store.task
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Return the reader."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._store.close(single=self._alone)

    @property
    def sessions(self) -> list[dict[str, Any]]:
        """Every opening of the journal: number, monotonic and wall time, process, program."""
        return self._store.sessions

    @property
    def persons(self) -> dict[str, dict[str, Any]]:
        """Who worked, and what is known of them."""
        return self._store.persons

    @property
    def local(self) -> dict[str, Any]:
        """Facts of the machine that wrote it; empty in a copy."""
        return self._store.local

    @property
    def patch_count(self) -> int:
        """Number of changes, undos included."""
        return self._store.patch_count

    @property
    def closed(self) -> dict[str, Any] | None:
        """What was said when it was closed; None where the process that wrote it ended without a word."""
        last = self._store.last(EntryKind.STATUS)
        facts: dict[str, Any] | None = (last.data or {}).get("closed") if last is not None and last.seq == self._store.seq else None
        return facts

    @property
    def newest(self) -> Entry | None:
        """The last change of the mask, or the last entry where there was none."""
        return self._store.last(EntryKind.PATCH) or self._store.last(EntryKind.STATUS)

    def entries(self, *kinds: EntryKind) -> Iterator[Entry]:
        """Yield the entries in order, of some kinds or all."""
        return self._store.entries(*kinds)

    def interactions(self) -> Iterator[Interaction]:
        """Yield what was done at the screen, in order."""
        for entry in self._store.entries(EntryKind.EVENT):
            yield from interactions_of(entry)

    def patches(self) -> Iterator[tuple[int, Patch]]:
        """Yield revision and change, in order."""
        for entry in self._store.entries(EntryKind.PATCH):
            yield entry.revision, patch_of(entry)

    def steps(self) -> Steps:
        """Return the changes with the checkpoints, for going to any of them."""
        return Steps(self.task, list(self._store.entries(EntryKind.CHECKPOINT)), list(self.patches()))

    def verify(self) -> Verdict:
        """Return whether every entry is there and unaltered, and which is the first that is not."""
        return self._store.verify()

    def document(self, steps: Steps | None = None) -> MaskDocument:
        """Return the mask as it was left, with everything that can be undone and brought back.

        Parameters
        ----------
        steps : Steps, optional
            Of `steps`, where they are read already.

        When the last undo was recorded in part, `MaskDocument.finish_walk` finishes it; call it once the
        document is followed by its journal again.

        Raises
        ------
        InputError
            If the journal was broken off before it held the mask.
        ConflictError
            If its changes do not follow from one another.
        """
        steps, task = steps or self.steps(), self.task
        review = Review.NOT_REVIEWED if task.kind is MaskKind.AI else Review.IN_CORRECTION
        locked: frozenset[int] = frozenset()
        for entry in self._store.entries(EntryKind.STATUS):
            facts = entry.data or {}
            review = Review(facts["review"]) if "review" in facts else review
            locked = frozenset(facts["locked"]) if "locked" in facts else locked
        labels = steps.labels_at(steps.last)
        version = MaskVersion(labels, task.grid, task.schema, task.kind, task.author, review, version=task.version)
        return MaskDocument.resumed(version, steps.patches, steps.last, locked)


def _without_gap(patches: Sequence[tuple[int, Patch]], checkpoints: Sequence[Entry]) -> list[tuple[int, Patch]]:
    """Return the changes behind the last gap in the revisions, none where a checkpoint stands behind the last of them."""
    start = len(patches)
    while start and (start == len(patches) or patches[start - 1][0] + 1 == patches[start][0]):
        start -= 1
    whole = list(patches[start:])
    newest = max(first_and_until(c)[1] for c in checkpoints)
    return whole if whole and newest <= whole[-1][0] and any(first_and_until(c)[1] >= whole[0][0] - 1 for c in checkpoints) else []
