"""The one owner of a mask, and the patches that change it.

A `MaskDocument` changes by `apply(Patch)` alone. Views (napari layers, lesion tables) listen and
redraw the changed box. A patch holds the old and the new labels of its box, so that it can be
undone, replayed, checked and attributed without anything else.

A document is changed by one thread. Another one may look at it while nothing is half done, inside
`MaskDocument.steady`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import ConflictError, InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.patches import Change, History, Origin, Patch, PatchSource, cast_labels

__all__ = ["Change", "History", "MaskDocument", "Origin", "Patch", "PatchSource"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


class MaskDocument:
    """A mask that is being worked on.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer; copied.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the values.
    kind : MaskKind
        Who made the first version.
    author : str
        Person or model that made the first version.

    Examples
    --------
    >>> from napari_tumorseg.core.labels import preset
    >>> grid = Grid.from_spacing((4, 4, 4), (1, 1, 1))
    >>> doc = MaskDocument(np.zeros((4, 4, 4), np.uint8), grid, preset("lesion"))
    >>> painted = np.ones((1, 2, 2), np.uint8)
    >>> doc.write(Box((0, 0, 0), (1, 2, 2)), painted, Origin(PatchSource.HAND, "paint"))
    True
    >>> int(doc.labels.sum()), doc.undo(), int(doc.labels.sum())
    (4, True, 0)
    """

    def __init__(
        self,
        labels: Labels,
        grid: Grid,
        schema: LabelSchema,
        kind: MaskKind = MaskKind.RATER,
        author: str = "",
        review: Review | None = None,
    ) -> None:
        first = MaskVersion(np.array(labels), grid, schema, kind, author)
        self._labels = first.labels
        self.grid = grid
        self.schema = schema
        self.kind = kind
        self.author = author
        self.version = first.version
        self.review = review or (Review.NOT_REVIEWED if kind is MaskKind.AI else Review.IN_CORRECTION)
        self._locked: frozenset[int] = frozenset()
        self._revision = 0
        self._history = History()
        self._listeners: list[Callable[[Change], None]] = []
        self._lock = threading.RLock()

    @classmethod
    def resumed(cls, last: MaskVersion, patches: Iterable[Patch], revision: int, locked: frozenset[int] = frozenset()) -> MaskDocument:
        """Return a document as it was left: labels, revision and everything that can be undone and brought back.

        Parameters
        ----------
        last : MaskVersion
            The labels after the last patch, copied, with their review state; the document keeps its `version`.
        patches : iterable of Patch
            All that were applied, oldest first. When the last undo or redo is there in part only, `finish_walk` does the rest.
        revision : int
            Number of patches applied.
        locked : frozenset of int
            Labels that nothing may overwrite.

        Raises
        ------
        ConflictError
            If the patches do not follow from one another.
        """
        document = cls(last.labels, last.grid, last.schema, last.kind, last.author, last.review)
        document.version = last.version
        for patch in patches:
            document._history.add(patch)
        document._revision = revision
        document.locked = locked
        return document

    @property
    def labels(self) -> Labels:
        """The mask, shape (z, y, x), as a read-only view."""
        view = self._labels.view()
        view.flags.writeable = False
        return view

    @property
    def revision(self) -> int:
        """Number of patches applied so far, undos included."""
        return self._revision

    @property
    def locked(self) -> frozenset[int]:
        """Label values that nothing may overwrite."""
        return self._locked

    @locked.setter
    def locked(self, values: frozenset[int]) -> None:
        unknown = set(values) - set(self.schema.values) - {0}
        if unknown:
            raise InputError(f"{self.schema.name} has no labels {sorted(unknown)} to lock.", "Lock labels of the schema.")
        self._locked = frozenset(values)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step to bring back."""
        return self._history.can_redo

    @property
    def history(self) -> History:
        """The steps that can be taken back and brought back; read it, and leave it as it is."""
        return self._history

    @contextmanager
    def steady(self, timeout_s: float = -1.0) -> Iterator[bool]:
        """Hold the mask still: inside the block no change is half made or half told.

        For another thread that copies a part of the labels. Whoever paints meanwhile waits, so the
        block is kept to a millisecond.

        Parameters
        ----------
        timeout_s : float
            How long to wait for a change under way; -1 for as long as it takes.

        Yields
        ------
        bool
            Whether it is held; always true without a timeout.
        """
        held = self._lock.acquire(timeout=timeout_s)
        try:
            yield held
        finally:
            if held:
                self._lock.release()

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Call `listener` after every change; return a function that stops that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def guarded(self, old: Labels, new: Labels) -> Labels:
        """Return `new` with every voxel that is locked in `old` put back, shapes equal."""
        if not self._locked:
            return new
        return np.where(np.isin(old, list(self._locked)), old, new)

    def propose(self, box: Box, new: Labels, origin: Origin) -> Patch | None:
        """Return the patch that writes `new` into `box`, locks kept; None when nothing changes.

        The patch is cut to the voxels that differ.
        """
        old = self._labels[box.slices]
        if new.shape != old.shape:
            raise InputError(f"A change of shape {new.shape} does not fit its box {box.shape}.", "Give the array the shape of the box.")
        kept = self.guarded(old, cast_labels(new, old.dtype))
        inner = bounding_box(kept != old)
        if inner is None:
            return None
        offset = box.start
        moved = Box(
            (inner.start[0] + offset[0], inner.start[1] + offset[1], inner.start[2] + offset[2]),
            (inner.stop[0] + offset[0], inner.stop[1] + offset[1], inner.stop[2] + offset[2]),
        )
        return Patch.between(moved, old[inner.slices], kept[inner.slices], origin)

    def write(self, box: Box, new: Labels, origin: Origin) -> bool:
        """Apply the patch of `propose`; return whether anything changed."""
        patch = self.propose(box, new, origin)
        if patch is not None:
            self.apply(patch)
        return patch is not None

    def mark(self, voxel: tuple[int, int, int], origin: Origin) -> None:
        """Add a step that changes no voxel, e.g. a decision about a lesion; it is undone and brought back in its turn.

        Parameters
        ----------
        voxel : tuple of int
            What it is about, (z, y, x).
        origin : Origin
            Who decided what; its `step` names the decision.
        """
        z, y, x = voxel
        box = Box(voxel, (z + 1, y + 1, x + 1))
        there = self._labels[box.slices]
        self.apply(Patch.between(box, there, there, origin))

    def apply(self, patch: Patch) -> None:
        """Change the mask, then tell the listeners.

        Every listener is told, even when one of them fails; its error is raised afterwards and
        the change stands.

        Raises
        ------
        ConflictError
            If the mask does not hold the patch's old labels, or a locked label would change.
        InputError
            If the patch was made for a mask of another dtype.
        """
        with self._lock:
            change = self._put(patch)
            self._history.add(patch)
            self._tell([change])

    def undo(self, person: str = "") -> bool:
        """Take back the last step; return whether there was one."""
        return self._take(self._history.next_walk(PatchSource.UNDO, person))

    def redo(self, person: str = "") -> bool:
        """Bring back the last undone step; return whether there was one."""
        return self._take(self._history.next_walk(PatchSource.REDO, person))

    def finish_walk(self) -> bool:
        """Finish an undo or redo of which a record held a part only; return whether there was one."""
        return self._take(self._history.unfinished())

    def snapshot(self) -> MaskVersion:
        """Return a copy of the mask as a finished version."""
        return MaskVersion(self._labels.copy(), self.grid, self.schema, self.kind, self.author, self.review)

    def _take(self, walk: list[Patch]) -> bool:
        with self._lock:
            with self._unlocked():
                changes = [self._put(patch) for patch in walk]
            for patch in walk:
                self._history.add(patch)
            self._tell(changes)
        return bool(walk)

    @contextmanager
    def _unlocked(self) -> Iterator[None]:
        # Undo goes back to a state that was allowed when it was made.
        locked, self._locked = self._locked, frozenset()
        try:
            yield
        finally:
            self._locked = locked

    def _put(self, patch: Patch) -> Change:
        if np.dtype(patch.dtype) != self._labels.dtype:
            raise InputError(f"The edit is of type {np.dtype(patch.dtype)}, the mask of {self._labels.dtype}.", "Make the edit again.")
        target = self._labels[patch.box.slices]
        old, new = patch.old, patch.new
        if not np.array_equal(target, old):
            raise ConflictError("The mask has changed since this edit was made.", "Make the edit again.")
        if self._locked and not np.array_equal(self.guarded(old, new), new):
            raise ConflictError("The edit would change a locked label.", "Unlock the label or edit another one.")
        target[...] = new
        self._revision += 1
        return Change(patch, self._revision)

    def _tell(self, changes: list[Change]) -> None:
        # A journal on a full disk must not keep the window from showing what was painted.
        failed: Exception | None = None
        for change in changes:
            for listener in tuple(self._listeners):
                try:
                    listener(change)
                except Exception as error:
                    failed = failed or error
        if failed is not None:
            raise failed
