"""Which lesion is which after an edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.evaluation.lesion_units import Shape, Unit, meets, relative, tightened

__all__ = ["Found", "Memory", "Named", "identify", "recall"]

Numbers = npt.NDArray[np.integer[Any]]


class Named(Protocol):
    """Voxels with a number, as `Unit` has them."""

    @property
    def id(self) -> int:
        """Its own number."""

    @property
    def part(self) -> int:
        """Number of the connected part."""

    @property
    def first_voxel(self) -> tuple[int, int, int]:
        """The first voxel (z, y, x) in C order."""

    def as_shape(self) -> Shape:
        """Return its voxels with its number."""


@dataclass(frozen=True)
class Memory:
    """The numbers that the lesions at some place had at some moment.

    Attributes
    ----------
    numbers : mapping
        Number of each lesion that was a whole part, by its first voxel (z, y, x).
    cut : tuple of Shape
        The pieces of parts that were cut.
    shown : mapping of int to int
        The lesion as whose member a unit was shown, by the unit's own number, where it was not a lesion by itself.
    """

    numbers: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    cut: tuple[Shape, ...] = ()
    shown: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, units: Sequence[Named], shown: Mapping[int, int]) -> Memory:
        """Return the memory of these units, all pieces of each part among them; `shown` may name others too."""
        size: dict[int, int] = {}
        for unit in units:
            size[unit.part] = size.get(unit.part, 0) + 1
        whole = {unit.first_voxel: unit.id for unit in units if size[unit.part] == 1}
        cut = tuple(unit.as_shape() for unit in units if size[unit.part] > 1)
        return cls(whole, cut, {unit.id: shown[unit.id] for unit in units if unit.id in shown})

    @property
    def ids(self) -> set[int]:
        """All numbers in it."""
        return {*self.numbers.values(), *(unit.id for unit in self.cut)}


@dataclass
class Found:
    """The pieces at a place after an edit.

    Attributes
    ----------
    pieces : numpy.ndarray
        Piece of each voxel of a box, 1 to n, 0 outside.
    part : list of int
        Number of the connected part of each piece, from 1 in this box alone.
    ids : list of int
        Its lesion's number; 0 for a new one.
    came_from : list of int
        For a new one, the number of the lesion that gave most of its voxels; 0 for none.
    went_into : dict of int to int
        For a lesion that ended, the index of the piece that holds most of it.
    """

    pieces: Numbers
    part: list[int]
    ids: list[int]
    came_from: list[int]
    went_into: dict[int, int] = field(default_factory=dict)


def identify(
    parts: Numbers, count: int, owner: Numbers, olds: Sequence[Unit], box: Box, spacing_mm: Sequence[float], ghosts: Sequence[Shape] = ()
) -> Found:
    """Find out which lesion is which by what they have in common with those before.

    Parameters
    ----------
    parts : numpy.ndarray
        Shape of `box`: the connected parts after the edit, 1 to `count`.
    count : int
        How many.
    owner : numpy.ndarray
        Shape of `box`: place in `olds`, from 1, of the lesion that each voxel belonged to; 0 for none.
    olds : sequence of Unit
        The lesions before.
    box : Box
        Where in the mask.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    ghosts : sequence of Shape
        Lesions that are gone and may come back with their number.
    """
    shared = _overlaps(parts, count, owner, len(olds))
    pieces, part = _cut_again(parts, count, owner, olds, shared, spacing_mm)
    if len(part) != count:
        shared = _overlaps(pieces, len(part), owner, len(olds))
    ids = [0] * len(part)
    free = set(range(len(olds)))
    pairs = np.argwhere(shared)
    for piece, old in sorted(pairs.tolist(), key=lambda pair: (-int(shared[pair[0], pair[1]]), olds[pair[1]].id, pair[0])):
        if not ids[piece] and old in free:
            ids[piece] = olds[old].id
            free.remove(old)
    _claim(pieces, ids, ghosts, box)
    _follow_moves(pieces, ids, olds, free, shared, box)
    came_from = [olds[int(row.argmax())].id if not number and row.any() else 0 for row, number in zip(shared, ids, strict=True)]
    went = {olds[old].id: int(shared[:, old].argmax()) for old in free if shared[:, old].any()}
    return Found(pieces, part, ids, came_from, went)


def recall(parts: Numbers, count: int, memory: Memory, box: Box) -> Found | None:
    """Give back the numbers that lesions had when the mask was as it is now; None when the memory does not fit."""
    pieces = np.zeros(parts.shape, np.int32)
    ids: list[int] = []
    part: list[int] = []
    for unit in memory.cut:
        here = relative(unit.box, box)
        if pieces[here].shape != unit.inside.shape:
            return None
        ids.append(unit.id)
        pieces[here][unit.inside] = len(ids)
        part.append(int(parts[here][unit.inside].max()))
    cut = set(part)
    for voxel, number in memory.numbers.items():
        index = tuple(v - a for v, a in zip(voxel, box.start, strict=True))
        if any(not 0 <= i < n for i, n in zip(index, parts.shape, strict=True)):
            return None
        own = int(parts[index])
        if not own or own in part:
            return None
        ids.append(number)
        part.append(own)
    table = np.zeros(count + 1, np.int32)
    for place in range(len(memory.cut), len(ids)):
        table[part[place]] = place + 1
    np.copyto(pieces, table[parts], where=pieces == 0)
    if set(part) != set(range(1, count + 1)) or not np.array_equal(pieces > 0, parts > 0):
        return None
    if any(len(set(np.unique(pieces[parts == own]).tolist())) != part.count(own) for own in cut):
        return None
    return Found(pieces, part, ids, [0] * len(ids))


def _overlaps(pieces: Numbers, count: int, owner: Numbers, olds: int) -> npt.NDArray[np.int64]:
    """Return the voxels that each piece has in common with each old lesion, shape (pieces, olds)."""
    inside = pieces > 0
    flat = pieces[inside].astype(np.int64) * (olds + 1) + owner[inside]
    table = np.bincount(flat, minlength=(count + 1) * (olds + 1)).reshape(count + 1, olds + 1)
    return np.asarray(table[1:, 1:])


def _cut_again(
    parts: Numbers, count: int, owner: Numbers, olds: Sequence[Unit], shared: npt.NDArray[np.int64], spacing_mm: Sequence[float]
) -> tuple[Numbers, list[int]]:
    """Cut the parts that hold pieces of one that was cut, along the old cut; new voxels go to the nearest piece."""
    cut = []
    for number in range(1, count + 1):
        before = [olds[old].part for old in np.flatnonzero(shared[number - 1]).tolist()]
        if len(before) > len(set(before)):
            cut.append(number)
    part = list(range(1, count + 1))
    if not cut:
        return parts, part
    pieces = parts.astype(np.int32)
    for number in cut:
        own = parts == number
        held = np.where(own, owner, 0)
        fresh = bounding_box(own & (owner == 0))
        if fresh is not None:
            from scipy.ndimage import distance_transform_edt

            # The part is connected, so that next to its new voxels there is at least one that is known.
            near = fresh.grown(1, own.shape).slices
            nearest = distance_transform_edt(held[near] == 0, sampling=spacing_mm, return_distances=False, return_indices=True)
            filled = held[near][tuple(nearest)]
            held[near] = np.where(own[near], filled, 0)
        for place, old in enumerate(np.unique(held[own]).tolist()):
            if place:
                part.append(number)
                pieces[held == old] = len(part)
    return pieces, part


def _claim(pieces: Numbers, ids: list[int], ghosts: Sequence[Shape], box: Box) -> None:
    """Give lesions that come back the numbers they had."""
    for ghost in ghosts:
        here = relative(ghost.box, box)
        if ghost.id in ids or pieces[here].shape != ghost.inside.shape:
            continue
        most = np.bincount(pieces[here][ghost.inside], minlength=len(ids) + 1)[1:]
        open_ = [int(n) if not number else 0 for n, number in zip(most, ids, strict=True)]
        if any(open_):
            ids[int(np.argmax(open_))] = ghost.id


def _follow_moves(pieces: Numbers, ids: list[int], olds: Sequence[Unit], free: set[int], shared: npt.NDArray[np.int64], box: Box) -> None:
    """Let a lesion that was moved without overlap keep its number, where the boxes touch."""
    moved = [piece for piece, number in enumerate(ids) if not number and not shared[piece].any()]
    gone = [old for old in sorted(free) if not shared[:, old].any()]
    if not moved or not gone:
        return
    pairs = []
    for piece in moved:
        own, _ = tightened(box, pieces == piece + 1)
        middle = (np.array(own.start) + own.stop) / 2
        reach = Box(tuple(a - 1 for a in own.start), tuple(b + 1 for b in own.stop))  # type: ignore[arg-type]
        for old in gone:
            if meets(reach, olds[old].box):
                away = float(np.linalg.norm(middle - (np.array(olds[old].box.start) + olds[old].box.stop) / 2))
                pairs.append((away, olds[old].id, piece, old))
    for _, number, piece, old in sorted(pairs):
        if not ids[piece] and old in free:
            ids[piece] = number
            free.remove(old)
