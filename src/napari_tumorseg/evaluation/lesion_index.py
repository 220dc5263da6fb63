"""The lesions of a mask, kept up to date by looking only at what an edit touches.

A mask's lesions are the 26-connected parts of its schema's lesion region. `LesionIndex` keeps each with a number that stays:

- A lesion keeps its number while it grows, shrinks or moves by steps that overlap, or whose boxes touch.
- When lesions merge, the one that gives most voxels to the whole keeps its number; the others end.
- When one falls apart, the part with most of its voxels keeps the number, the others get new ones. In ties the older number wins.
- Numbers are not used again, except that undo and redo give back the numbers of that moment.
- A person may cut a part into lesions, or make one lesion of several; neither changes a voxel. A cut stays where it was drawn
  while the part is edited: a new voxel goes to the nearest piece. A lesion that grows together with a part that was cut stays a
  lesion of its own. When a part that was cut falls apart along the cut, there is nothing left to remember.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.decision import Decided, Decision
from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion, LesionChanges, Trail
from napari_tumorseg.core.patches import PatchSource
from napari_tumorseg.evaluation.diameters import SlicePlane
from napari_tumorseg.evaluation.lesion_cut import cut, seeds_at_neck
from napari_tumorseg.evaluation.lesion_identity import Found, Memory, identify, recall
from napari_tumorseg.evaluation.lesion_rows import LesionRows
from napari_tumorseg.evaluation.lesion_state import Identities, IndexState
from napari_tumorseg.evaluation.lesion_units import (
    LesionView,
    RegionValues,
    Shape,
    Unit,
    grown_or_shrunk,
    meets,
    relative,
    shift,
    tightened,
    union,
)
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["LesionIndex"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


class LesionIndex:
    """The lesions of a mask with numbers that stay.

    It holds the boxes of the lesions, no array of the mask's size. All that it reports equals what labelling the whole mask
    anew gives, numbers excepted. It does not listen by itself: give it every `Change` of the document, in order.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer, values of `schema`.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the values.
    region : str, optional
        Region whose parts are the lesions; the schema's `lesion_region` by default.

    Examples
    --------
    >>> from napari_tumorseg.core.document import Origin
    >>> from napari_tumorseg.core.labels import preset
    >>> mask = np.zeros((3, 3, 9), np.uint8)
    >>> mask[1, 1, :4], mask[1, 1, 6:] = 1, 1
    >>> document = MaskDocument(mask, Grid.from_spacing(mask.shape, (1, 1, 1)), preset("lesion"))
    >>> index = LesionIndex.of(document)
    >>> stop = document.listen(lambda change: index.follow(change, document.labels))
    >>> [(row.id, row.voxels) for row in index.view().lesions]
    [(1, 4), (2, 3)]
    >>> bridge = Box((1, 1, 4), (2, 2, 6))
    >>> _ = document.write(bridge, np.ones((1, 1, 2), np.uint8), Origin(PatchSource.HAND, "paint"))
    >>> [(row.id, row.voxels) for row in index.view().lesions]
    [(1, 9)]
    >>> _ = document.undo()
    >>> [(row.id, row.voxels) for row in index.view().lesions]
    [(1, 4), (2, 3)]
    """

    def __init__(self, labels: Labels, grid: Grid, schema: LabelSchema, region: str | None = None) -> None:
        self.grid = grid
        self.schema = schema
        self.region = region or schema.lesion_region
        self._rows = LesionRows(schema, self.region, SlicePlane.of(grid))
        self._values = RegionValues.of(schema, self.region, labels.dtype)
        self._buried: dict[int, Shape] = {}
        self._keep: set[int] = set()
        self._trail: Trail[Memory] = Trail()
        self._next_part = 1
        self._next = 1
        # Most of a mask is empty.
        self._counts = self._values.count(labels[labels > 0])
        self._counts[0] += labels.size - int(self._counts.sum())
        self._fill(labels)

    @classmethod
    def of(cls, document: MaskDocument) -> LesionIndex:
        """Return the index of a document as it is now."""
        return cls(document.labels, document.grid, document.schema)

    @classmethod
    def resumed(cls, labels: Labels, grid: Grid, schema: LabelSchema, state: IndexState) -> LesionIndex | None:
        """Return the index of a mask with the numbers that a record gives its lesions; None where the record is of another mask."""
        index = cls(labels, grid, schema)
        return index if index._take(state, labels) else None

    @property
    def regions_ml(self) -> dict[str, float]:
        """Volume in mL of every region of the schema in the whole mask."""
        voxels = {region.name: sum(int(self._counts[value]) for value in region.values) for region in self.schema.regions}
        return {name: count * self.grid.voxel_volume_mm3 / 1000 for name, count in voxels.items()}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Ids of all lesions, in order."""
        return tuple(sorted(self._rows.rows))

    def row(self, number: int) -> Lesion:
        """Return the row of a lesion; raise `KeyError` where there is none of this number."""
        return self._rows.rows[number]

    def view(self) -> LesionView:
        """Return the lesions as they are now, to be read from any thread."""
        return LesionView(tuple(self._rows.rows[number] for number in self.numbers), {n: self._rows.members(n) for n in self._rows.rows})

    def fork(self) -> LesionIndex:
        """Return a copy that can be brought up to date in another thread; this one is not changed by that."""
        other = object.__new__(LesionIndex)
        other.__dict__.update(self.__dict__)
        for name in ("_rows", "_buried", "_keep", "_trail", "_counts"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def facts(self) -> dict[str, Any]:
        """Return which lesion is which as JSON values, for a record; what changes afterwards is in `LesionChanges.facts`."""
        return self._identities().facts()

    def cost_voxels(self, changes: Sequence[Change], labels: Labels) -> int:
        """Return how many voxels an update after these changes has to label; `labels` is the mask after the last of them."""
        if all(change.patch.is_mark for change in changes):
            return 0
        box = union(change.patch.box for change in changes)
        grown = box.grown(1, self.grid.shape)
        olds = self._met(grown)
        if len(olds) == 1 and len(changes) == 1 and connected_parts(self._values.where(labels[grown.slices]))[1] == 1:
            return grown.size
        return union([box, *(unit.box for unit in olds)]).size

    def follow(self, change: Change, labels: Labels, decision: Decision | None = None) -> LesionChanges:
        """Bring the index up to date after one change.

        Parameters
        ----------
        change : Change
            What the document told; it has to be the one after the last that was given.
        labels : numpy.ndarray
            The mask after it, shape (z, y, x).
        decision : Decision, optional
            What the change stands for, where a person decided about a lesion.

        Returns
        -------
        LesionChanges
            The rows that may differ.
        """
        patch, source = change.patch, change.patch.origin.source
        memory = self._trail.next(source)
        before = self._identities()
        if patch.is_mark:
            changed, then = self._regroup(decision, memory, labels)
        else:
            if decision is not None and decision.what is Decided.REJECT:
                # It gets its number back when it is brought back.
                self._keep.update(unit.id for unit in self._rows.members(decision.lesion))
            old = patch.old
            self._counts += self._values.count(patch.new) - self._values.count(old)
            back = decision is not None and decision.what is Decided.BRING_BACK
            changed, then = self._update(labels, patch.box, old, memory, back or source in (PatchSource.UNDO, PatchSource.REDO))
        self._trail.walk(source, then)
        return replace(changed, facts=self._identities().facts(before))

    def follow_all(self, changes: Sequence[tuple[Change, Decision | None]], labels: Labels) -> list[LesionChanges]:
        """Follow several changes with their decisions, oldest first; `labels` is the mask after the last of them."""
        if len(changes) == 1:
            return [self.follow(changes[0][0], labels, changes[0][1])]
        now, done = labels.copy(), []
        for change, _ in reversed(changes):
            now[change.patch.box.slices] = change.patch.old
        for change, decision in changes:
            now[change.patch.box.slices] = change.patch.new
            done.append(self.follow(change, now, decision))
        return done

    # -- what a person may decide

    def members(self, number: int) -> tuple[int, ...]:
        """Return the own numbers of what a lesion is joined from; its own alone where it is not joined."""
        return tuple(unit.id for unit in self._rows.members(number))

    def keeper(self, numbers: Sequence[int]) -> int:
        """Return which of the lesions gives its number to all when they are joined: the largest.

        Raises
        ------
        InputError
            If there are fewer than two, or one of them is not there.
        """
        known = [number for number in dict.fromkeys(numbers) if number in self._rows.rows]
        if len(known) < 2 or len(known) < len(set(numbers)):
            raise InputError("Two or more lesions of the list are joined.", "Choose them in the lesion table.")
        return min(known, key=lambda number: (-self._rows.rows[number].voxels, number))

    def seeds(self, number: int, wanted: Sequence[Sequence[int]] = ()) -> tuple[tuple[int, int, int], ...]:
        """Return one voxel in each of the pieces that a lesion would be split into.

        Parameters
        ----------
        number : int
            Which lesion. One that is joined of several is separated first.
        wanted : sequence of (z, y, x)
            Voxels of the mask; by default two beside the narrowest neck.

        Raises
        ------
        InputError
            If the lesion is not there, is joined, or cannot be cut there.
        """
        units = self._rows.members(number)
        if len(units) != 1:
            raise InputError(f"Lesion {number} is not one connected part.", "Take apart what was joined first.")
        unit = units[0]
        seeds = tuple(shift(seed, (0, 0, 0)) for seed in wanted) or seeds_at_neck(unit.inside, unit.box, self.grid)
        if len(cut(unit.inside, unit.box, self.grid, seeds)) < 2:
            raise InputError(f"Lesion {number} cannot be cut there.", "Choose two places inside of it that are apart.")
        return seeds

    # -- inside

    def _new_number(self) -> int:
        self._next += 1
        return self._next - 1

    def _unit(self, number: int, part: int, box: Box, inside: npt.NDArray[np.bool_], labels: Labels) -> Unit:
        own, mask = tightened(box, inside)
        return Unit.of(number, part, own, mask, labels[own.slices], self._rows.plane, len(self._values))

    def _fill(self, labels: Labels) -> None:
        import cc3d

        inside = self._values.where(labels)
        box = bounding_box(inside)
        if box is None:
            return
        parts, count = connected_parts(inside[box.slices])
        stats = cc3d.statistics(parts, no_slice_conversion=False)
        voxels, boxes = np.asarray(stats["voxel_counts"])[1:], stats["bounding_boxes"][1:]
        made = []
        for i in sorted(range(count), key=lambda i: (-int(voxels[i]), tuple(s.start for s in boxes[i]))):
            own = Box(shift([s.start for s in boxes[i]], box.start), shift([s.stop for s in boxes[i]], box.start))
            part, self._next_part = self._next_part, self._next_part + 1
            mask = parts[boxes[i]] == i + 1
            made.append(Unit.of(self._new_number(), part, own, mask, labels[own.slices], self._rows.plane, len(self._values)))
        self._rows.exchange([], made)

    def _met(self, box: Box) -> list[Unit]:
        """Return all pieces of the parts that have a voxel in `box`."""
        met = {unit.part for unit in self._rows.units.values() if meets(unit.box, box) and unit.inside[relative(box, unit.box)].any()}
        return self._rows.of_parts(met)

    def _identities(self) -> Identities:
        return Identities(self._rows.units.copy(), self._rows.shown.copy(), self._buried.copy(), frozenset(self._keep), self._next)

    def _take(self, state: IndexState, labels: Labels) -> bool:
        """Give the lesions the numbers of a record; return whether it is of this mask."""
        parts = self._rows.units.values()
        units = state.units_among(parts, lambda known, shape: self._unit(known.id, known.part, shape.box, shape.inside, labels))
        if units is None:
            return False
        self._rows.take(units, state.shown)
        self._buried, self._keep = state.buried, state.kept
        self._trail, self._next = state.trail, state.next_number
        self._next_part = 1 + max((unit.part for unit in units.values()), default=0)
        return True

    def _regroup(self, decision: Decision | None, memory: Memory | None, labels: Labels) -> tuple[LesionChanges, Memory]:
        """Follow a step that changes no voxel; return what that did to the rows, and a memory of how it was."""
        what = decision.what if decision is not None else None
        if decision is not None and what is Decided.SPLIT:
            return self._split(decision, labels)
        if decision is not None and what in (Decided.JOIN, Decided.SEPARATE):
            numbers = decision.lesions if what is Decided.JOIN else (decision.lesion,)
            units = [unit for number in numbers for unit in self._rows.members(number)]
            then = Memory.of(self._rows.of_parts({unit.part for unit in units}), self._rows.shown)
            shown = {unit.id: decision.lesion for unit in units} if what is Decided.JOIN else {}
            return self._rows.regroup(members={unit.id for unit in units}, shown=shown), then
        if memory is None or not memory.ids:
            return LesionChanges(), Memory()
        return self._recalled(memory, labels)

    def _split(self, decision: Decision, labels: Labels) -> tuple[LesionChanges, Memory]:
        unit = self._rows.members(decision.lesion)[0]
        then = Memory.of(self._rows.of_parts({unit.part}), self._rows.shown)
        pieces = cut(unit.inside, unit.box, self.grid, decision.seeds)
        pieces.sort(key=lambda piece: -int(np.count_nonzero(piece)))
        numbers = [unit.id if place == 0 else self._new_number() for place in range(len(pieces))]
        made = [self._unit(own, unit.part, unit.box, piece, labels) for own, piece in zip(numbers, pieces, strict=True)]
        return self._rows.regroup([unit], made), then

    def _recalled(self, memory: Memory, labels: Labels) -> tuple[LesionChanges, Memory]:
        """Take back or bring back a step that changed no voxel."""
        places = [*memory.numbers, *(shape.first_voxel for shape in memory.cut)]
        olds = self._rows.of_parts({unit.part for unit in self._rows.units.values() if any(unit.holds(place) for place in places)})
        then = Memory.of(olds, self._rows.shown)
        news: list[Unit] = []
        if then.ids != memory.ids:
            box = union(unit.box for unit in olds)
            inside = np.zeros(box.shape, bool)
            for unit in olds:
                inside[relative(unit.box, box)] |= unit.inside
            found = recall(*connected_parts(inside), memory, box)
            news = self._units_of(found, box, labels)[0] if found is not None else []
        return self._rows.regroup(olds if news else [], news, then.ids | memory.ids, memory.shown), then

    def _update(self, labels: Labels, box: Box, old: Labels | None, memory: Memory | None, ghosts: bool) -> tuple[LesionChanges, Memory]:
        """Bring the lesions up to date after what is in `box` has changed; return what that did, and a memory of how it was."""
        grown = box.grown(1, self.grid.shape)
        olds = self._met(grown)
        before = Memory.of(olds, self._rows.shown)
        if len(olds) == 1 and old is not None and (memory is None or memory.ids == {olds[0].id}):
            quick = grown_or_shrunk(olds[0], labels, box, old, self._rows.plane, self._values)
            if quick is not None:
                return self._changes(olds, [quick], box, old, labels, {}, {}), before
        whole = union([box, *(unit.box for unit in olds)])
        owner = np.zeros(whole.shape, np.min_scalar_type(len(olds)))
        for place, unit in enumerate(olds, start=1):
            owner[relative(unit.box, whole)][unit.inside] = place
        inside = owner > 0
        # Whatever of the region lies in the changed box belongs to lesions that are looked at; beyond it others may come near.
        inside[relative(box, whole)] = self._values.where(labels[box.slices])
        parts, count = connected_parts(inside)
        found = recall(parts, count, memory, whole) if memory is not None else None
        if found is None:
            gone = [unit for unit in self._buried.values() if meets(unit.box, whole)] if ghosts else []
            found = identify(parts, count, owner, olds, whole, self.grid.spacing_mm, gone)
        news, cut_off = self._units_of(found, whole, labels)
        went = {number: news[piece].id for number, piece in found.went_into.items()}
        return self._changes(olds, news, box, old, labels, cut_off, went), before

    def _units_of(self, found: Found, whole: Box, labels: Labels) -> tuple[list[Unit], dict[int, int]]:
        from scipy.ndimage import find_objects

        part_of = dict(zip(sorted(set(found.part)), itertools.count(self._next_part)))
        self._next_part += len(part_of)
        news, cut_off = [], {}
        for piece, place in enumerate(find_objects(found.pieces.astype(np.int32, copy=False), max_label=len(found.ids))):
            number = found.ids[piece] or self._new_number()
            if found.came_from[piece]:
                cut_off[number] = found.came_from[piece]
            box = Box(shift([s.start for s in place], whole.start), shift([s.stop for s in place], whole.start))
            mask = found.pieces[place] == piece + 1
            news.append(Unit.of(number, part_of[found.part[piece]], box, mask, labels[box.slices], self._rows.plane, len(self._values)))
        return news, cut_off

    def _changes(
        self,
        olds: Sequence[Unit],
        news: Sequence[Unit],
        box: Box,
        old: Labels | None,
        labels: Labels,
        cut_off: Mapping[int, int],
        went: Mapping[int, int],
    ) -> LesionChanges:
        differs = np.ones(box.shape, bool) if old is None else labels[box.slices] != old
        edited = {
            self._rows.lesion_of(unit.id)
            for unit in (*olds, *news)
            if meets(unit.box, box) and (unit.inside[relative(box, unit.box)] & differs[relative(unit.box, box)]).any()
        }
        before = dict(self._rows.rows)
        present = {unit.id for unit in news}
        for unit in olds:
            if unit.id not in present and unit.id in self._keep:
                self._buried[unit.id] = unit.as_shape()
        self._buried = {number: shape for number, shape in self._buried.items() if number not in present}
        was, now = self._rows.difference(before, self._rows.exchange(olds, news))
        came_from = {new: self._rows.lesion_of(source) for new, source in cut_off.items()}
        return LesionChanges(was, now, frozenset(edited), came_from, {gone: self._rows.lesion_of(kept) for gone, kept in went.items()})
