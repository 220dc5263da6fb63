"""A correction played again: the mask after any step, forwards and backwards."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.reader import JournalReader, Steps
from napari_tumorseg.core.document import Labels
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.patches import Patch

__all__ = ["Replay", "Step"]

# So many acts are put together to one leap, with which a far step is about a hundred times as fast as act by act.
_LEAP = 100


@dataclass(frozen=True)
class Step:
    """What one act did.

    Attributes
    ----------
    index : int
        1 for the first act.
    revision : int
        Of the mask after it.
    box : Box
        What it changed.
    tool, person : str
        With what, and who.
    source : str
        Value of `PatchSource`.
    time : datetime.datetime
        When, with time zone.
    """

    index: int
    revision: int
    box: Box
    tool: str
    person: str
    source: str
    time: dt.datetime


@dataclass(frozen=True, eq=False)
class _Leap:
    """What many acts do together: flat indices of the voxels, their labels before and after, and the box of all acts."""

    at: npt.NDArray[np.int64]
    before: Labels
    after: Labels
    box: Box

    @classmethod
    def of(cls, patches: list[Patch], shape: tuple[int, int, int]) -> _Leap:
        at, before, after = [], [], []
        box = patches[0].box
        for patch in patches:
            box = box.union(patch.box)
            old, new = patch.old, patch.new
            changed = np.nonzero(old != new)
            at.append(np.ravel_multi_index(tuple(i + a for i, a in zip(changed, patch.box.start, strict=True)), shape))
            before.append(old[changed])
            after.append(new[changed])
        flat, old, new = np.concatenate(at), np.concatenate(before), np.concatenate(after)
        # The first act at a voxel says what it held, the last one what it holds.
        voxels, first = np.unique(flat, return_index=True)
        _, last = np.unique(flat[::-1], return_index=True)
        old, new = old[first], new[::-1][last]
        differs = old != new
        return cls(voxels[differs], old[differs], new[differs], box)


class Replay:
    """Walks through a journal act by act; patches of one step are one act.

    Parameters
    ----------
    steps : Steps
        Of `JournalReader.steps`.

    Attributes
    ----------
    steps : tuple of Step
        All acts, undos and redos among them.
    """

    def __init__(self, steps: Steps) -> None:
        self.task = steps.task
        self._source = steps
        self._groups = _grouped(steps.patches)
        self.steps: tuple[Step, ...] = tuple(self._describe())
        self._labels = steps.labels_at(steps.first)
        self._leaps: dict[int, _Leap] = {}
        self._at = 0

    @classmethod
    def of(cls, reader: JournalReader) -> Replay:
        """Return the replay of an open journal; the journal may be closed afterwards."""
        return cls(reader.steps())

    def __len__(self) -> int:
        """Return the number of acts."""
        return len(self._groups)

    @property
    def index(self) -> int:
        """Number of acts that are done; 0 at the start."""
        return self._at

    @property
    def labels(self) -> Labels:
        """The mask now, shape (z, y, x), as a read-only view."""
        view = self._labels.view()
        view.flags.writeable = False
        return view

    def seek(self, index: int) -> Box | None:
        """Go to where `index` acts are done; return the box that holds all that changed on the way, None if nothing did.

        Near steps are walked, far ones are reached by leaps over many acts.

        Raises
        ------
        InputError
            If there is no such act.
        """
        if not 0 <= index <= len(self):
            raise InputError(f"The record has {len(self)} steps, not {index}.", "Choose one of them.")
        box: Box | None = None
        while self._at != index:
            done = self._leap(index) or self._walk(forward=index > self._at)
            box = done if box is None else box.union(done)
        return box

    def play(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[Step, Labels]]:
        """Yield each act after `start` with the mask after it; the mask is a view that changes with the next act."""
        self.seek(start)
        for index in range(start + 1, (len(self) if stop is None else stop) + 1):
            self.seek(index)
            yield self.steps[index - 1], self.labels

    def changed_per_slice(self, axis: int = 0) -> npt.NDArray[np.int64]:
        """Return how many voxels were changed in each slice along an axis of the mask, all acts together."""
        counts = np.zeros(self.task.grid.shape[axis], np.int64)
        others = tuple(a for a in range(3) if a != axis)
        for group in self._groups:
            for patch in group:
                part = (patch.old != patch.new).sum(axis=others)
                counts[patch.box.start[axis] : patch.box.stop[axis]] += part
        return counts

    def _walk(self, *, forward: bool) -> Box:
        """Do the next act, or take back the last; return the box of that."""
        group = self._groups[self._at if forward else self._at - 1]
        box = group[0].box
        for patch in group if forward else reversed(group):
            self._labels[patch.box.slices] = patch.new if forward else patch.old
            box = box.union(patch.box)
        self._at += 1 if forward else -1
        return box

    def _leap(self, index: int) -> Box | None:
        """Do or take back many acts at once, where that does not go beyond `index`; return the box of that, None where it would."""
        forward = index > self._at
        if self._at % _LEAP or abs(index - self._at) < _LEAP:
            return None
        number = self._at // _LEAP - (not forward)
        leap = self._leaps.get(number)
        if leap is None:
            acts = self._groups[number * _LEAP : (number + 1) * _LEAP]
            leap = self._leaps[number] = _Leap.of([patch for act in acts for patch in act], self.task.grid.shape)
        self._labels.reshape(-1)[leap.at] = leap.after if forward else leap.before
        self._at += _LEAP if forward else -_LEAP
        return leap.box

    def _describe(self) -> Iterator[Step]:
        revision = self._source.first
        for index, group in enumerate(self._groups, 1):
            revision += len(group)
            box = group[0].box
            for patch in group[1:]:
                box = box.union(patch.box)
            origin = group[-1].origin
            yield Step(index, revision, box, origin.tool, origin.person, origin.source.value, origin.time)


def _grouped(patches: list[Patch]) -> list[list[Patch]]:
    groups: list[list[Patch]] = []
    for patch in patches:
        if groups and groups[-1][-1].origin.step == patch.origin.step and groups[-1][-1].origin.source is patch.origin.source:
            groups[-1].append(patch)
        else:
            groups.append([patch])
    return groups
