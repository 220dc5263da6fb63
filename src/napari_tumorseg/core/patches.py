"""Patches, the only way in which a mask changes, and the history that follows from them."""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import ConflictError, InputError
from napari_tumorseg.core.grid import Box

__all__ = ["Change", "History", "Origin", "Patch", "PatchSource", "cast_labels"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


class PatchSource(StrEnum):
    """What kind of act changed the mask."""

    MODEL = "model"
    TOOL = "tool"
    HAND = "hand"
    UNDO = "undo"
    REDO = "redo"
    EXTERNAL = "external"


_WALKS = (PatchSource.UNDO, PatchSource.REDO)


@dataclass(frozen=True, slots=True)
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
    of : PatchSource, optional
        For undo and redo: the kind of act that is taken back or brought back.
    """

    source: PatchSource
    tool: str = ""
    person: str = ""
    time: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    step: str = field(default_factory=lambda: uuid.uuid4().hex)
    of: PatchSource | None = None

    @property
    def act(self) -> PatchSource:
        """The kind of act behind the patch, undone or not: never UNDO or REDO where that is known."""
        return self.of or self.source


@dataclass(frozen=True, slots=True)
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
        return cls(box, dtype.str, _pack(old), _pack(cast_labels(new, dtype)), origin)

    @property
    def old(self) -> Labels:
        """Labels before, shape of the box."""
        return _unpack(self.old_bytes, self.dtype, self.box)

    @property
    def new(self) -> Labels:
        """Labels after, shape of the box."""
        return _unpack(self.new_bytes, self.dtype, self.box)

    @property
    def is_mark(self) -> bool:
        """Whether it changes no voxel: a decision that has its place among the steps, as `MaskDocument.mark` makes it."""
        return self.old_bytes == self.new_bytes

    def inverted(self, origin: Origin) -> Patch:
        """Return the patch that undoes this one."""
        return replace(self, old_bytes=self.new_bytes, new_bytes=self.old_bytes, origin=origin)


def cast_labels(labels: npt.NDArray[Any], dtype: np.dtype[Any]) -> Labels:
    """Return `labels` as `dtype`, any shape; raise `InputError` for a value that would wrap round."""
    cast: Labels = labels.astype(dtype, copy=False)
    if labels.dtype != dtype and not np.array_equal(cast, labels):
        raise InputError(f"The edit holds values that a mask of type {dtype} cannot.", "Use the labels of the mask's schema.")
    return cast


def _pack(labels: Labels) -> bytes:
    return zlib.compress(np.ascontiguousarray(labels).tobytes(), 1)


def _unpack(data: bytes, dtype: str, box: Box) -> Labels:
    return np.frombuffer(zlib.decompress(data), dtype=np.dtype(dtype)).reshape(box.shape)


@dataclass(frozen=True, slots=True)
class Change:
    """What listeners of a document are told: the patch and the revision after it."""

    patch: Patch
    revision: int


class History:
    """The steps that can be taken back and brought back.

    The stacks follow from the patches alone, in the order in which they were applied, so that a
    journal gives back the whole history: a patch of source UNDO or REDO belongs to the step on top
    of the other stack, any other patch joins the newest step when it has the same step id.

    Examples
    --------
    >>> history = History()
    >>> one = np.ones((1, 1, 1), np.uint8)
    >>> history.add(Patch.between(Box.whole((1, 1, 1)), one, one, Origin(PatchSource.HAND, "paint")))
    >>> len(history.undo), len(history.redo)
    (1, 0)
    """

    def __init__(self) -> None:
        self._undo: list[list[Patch]] = []
        self._redo: list[list[Patch]] = []
        self._rest: list[Patch] = []
        self._walk = ""

    @property
    def undo(self) -> tuple[tuple[Patch, ...], ...]:
        """Steps that stand, oldest first."""
        return tuple(tuple(step) for step in self._undo)

    @property
    def redo(self) -> tuple[tuple[Patch, ...], ...]:
        """Steps that were undone, as the inverse patches that did it; the next to come back is last."""
        return tuple(tuple(step) for step in self._redo)

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to undo."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is an undone step to bring back."""
        return bool(self._redo)

    def add(self, patch: Patch) -> None:
        """Count in a patch that was applied.

        Raises
        ------
        ConflictError
            If it undoes or brings back a step that is not there.
        """
        origin = patch.origin
        if origin.source not in _WALKS:
            self._walk = ""
            self._rest = []
            self._redo.clear()
            if self._undo and self._undo[-1][-1].origin.step == origin.step:
                self._undo[-1].append(patch)
            else:
                self._undo.append([patch])
            return
        source, target = (self._undo, self._redo) if origin.source is PatchSource.UNDO else (self._redo, self._undo)
        if origin.step != self._walk:
            if not source:
                raise ConflictError(f"The record has a step of {origin.source.value} with nothing before it.", "Use an earlier copy.")
            self._rest = source.pop()
            self._walk = origin.step
            target.append([])
        if not self._rest:
            raise ConflictError(f"The record has a step of {origin.source.value} longer than its step.", "Use an earlier copy.")
        self._rest.pop()
        target[-1].append(patch)

    def next_walk(self, kind: PatchSource, person: str = "") -> list[Patch]:
        """Return the patches that undo the last step or bring back the last undone one; empty when there is none."""
        source = self._undo if kind is PatchSource.UNDO else self._redo
        return _inverses(source[-1], Origin(kind, person=person)) if source else []

    def unfinished(self) -> list[Patch]:
        """Return what is missing of the last undo or redo, of which only a part was added; mostly empty."""
        if not self._rest:
            return []
        last = (self._redo if self._redo and self._redo[-1] and self._redo[-1][-1].origin.step == self._walk else self._undo)[-1][-1].origin
        return _inverses(self._rest, last)


def _inverses(step: list[Patch], origin: Origin) -> list[Patch]:
    """Return the patches that take back `step`, last first, each saying what it takes back."""
    return [patch.inverted(replace(origin, tool=patch.origin.tool, of=patch.origin.act)) for patch in reversed(step)]
