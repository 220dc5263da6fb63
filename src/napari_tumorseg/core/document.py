"""The one owner of a mask, and the patches that change it.

A `MaskDocument` changes by `apply(Patch)` alone. Views (napari layers, lesion tables) listen and
redraw the changed box. A patch holds the old and the new labels of its box, so that it can be
undone, replayed, checked and attributed without anything else.
"""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import ConflictError, InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema

__all__ = ["Change", "MaskDocument", "Origin", "Patch", "PatchSource"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


class PatchSource(StrEnum):
    """What kind of act changed the mask."""

    MODEL = "model"
    TOOL = "tool"
    HAND = "hand"
    UNDO = "undo"
    REDO = "redo"
    EXTERNAL = "external"


@dataclass(frozen=True)
class Origin:
    """Where a patch came from.

    Attributes
    ----------
    source : PatchSource
        Kind of act.
    tool : str
        Name of the model, brush or tool.
    person : str
        Who was working.
    time : datetime.datetime
        When, with time zone.
    step : str
        Patches with the same step are undone together.
    """

    source: PatchSource
    tool: str = ""
    person: str = ""
    time: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    step: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Patch:
    """Old and new labels inside a box.

    Attributes
    ----------
    box : Box
        Where.
    dtype : str
        NumPy dtype of the labels.
    old_bytes, new_bytes : bytes
        Labels before and after, C order, zlib.
    origin : Origin
        Where it came from.
    """

    box: Box
    dtype: str
    old_bytes: bytes
    new_bytes: bytes
    origin: Origin

    @classmethod
    def between(cls, box: Box, old: Labels, new: Labels, origin: Origin) -> Patch:
        """Return the patch that turns `old` into `new`, both of the shape of `box`.

        Raises
        ------
        InputError
            If a shape is not that of the box, or `new` holds what the dtype of `old` cannot.
        """
        if old.shape != box.shape or new.shape != box.shape:
            raise InputError(f"A patch over {box.shape} was given {old.shape} and {new.shape}.", "Give both arrays the shape of the box.")
        dtype = np.dtype(old.dtype)
        return cls(box, dtype.str, _pack(old), _pack(_cast(new, dtype)), origin)

    @property
    def old(self) -> Labels:
        """Labels before, shape of the box."""
        return _unpack(self.old_bytes, self.dtype, self.box)

    @property
    def new(self) -> Labels:
        """Labels after, shape of the box."""
        return _unpack(self.new_bytes, self.dtype, self.box)

    def inverted(self, origin: Origin) -> Patch:
        """Return the patch that undoes this one."""
        return replace(self, old_bytes=self.new_bytes, new_bytes=self.old_bytes, origin=origin)


def _cast(labels: npt.NDArray[Any], dtype: np.dtype[Any]) -> Labels:
    """Return `labels` as `dtype`; a value that would wrap round is refused."""
    cast: Labels = labels.astype(dtype, copy=False)
    if labels.dtype != dtype and not np.array_equal(cast, labels):
        raise InputError(f"The edit holds values that a mask of type {dtype} cannot.", "Use the labels of the mask's schema.")
    return cast


def _pack(labels: Labels) -> bytes:
    return zlib.compress(np.ascontiguousarray(labels).tobytes(), 1)


def _unpack(data: bytes, dtype: str, box: Box) -> Labels:
    return np.frombuffer(zlib.decompress(data), dtype=np.dtype(dtype)).reshape(box.shape)


@dataclass(frozen=True)
class Change:
    """What listeners of a document are told: the patch and the revision after it."""

    patch: Patch
    revision: int


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
        self._undo: list[list[Patch]] = []
        self._redo: list[list[Patch]] = []
        self._listeners: list[Callable[[Change], None]] = []

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
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step to bring back."""
        return bool(self._redo)

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
        kept = self.guarded(old, _cast(new, old.dtype))
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
        change = self._put(patch)
        self._redo.clear()
        if self._undo and self._undo[-1][-1].origin.step == patch.origin.step:
            self._undo[-1].append(patch)
        else:
            self._undo.append([patch])
        self._tell([change])

    def undo(self, person: str = "") -> bool:
        """Take back the last step; return whether there was one."""
        return self._walk(self._undo, self._redo, PatchSource.UNDO, person)

    def redo(self, person: str = "") -> bool:
        """Bring back the last undone step; return whether there was one."""
        return self._walk(self._redo, self._undo, PatchSource.REDO, person)

    def snapshot(self) -> MaskVersion:
        """Return a copy of the mask as a finished version."""
        return MaskVersion(self._labels.copy(), self.grid, self.schema, self.kind, self.author, self.review)

    def _walk(self, source: list[list[Patch]], target: list[list[Patch]], kind: PatchSource, person: str) -> bool:
        if not source:
            return False
        step = source.pop()
        origin = Origin(kind, step[-1].origin.tool, person)
        inverses = [patch.inverted(origin) for patch in reversed(step)]
        with self._unlocked():
            changes = [self._put(inverse) for inverse in inverses]
        target.append(inverses)
        self._tell(changes)
        return True

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
