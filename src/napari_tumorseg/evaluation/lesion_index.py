"""The lesions of a mask, kept up to date by looking only at what an edit touches.

A mask's lesions are the 26-connected parts of its schema's lesion region. `LesionIndex` keeps each with a number that stays:

- A lesion keeps its number while it grows, shrinks or moves by steps that overlap, or whose boxes touch.
- When lesions merge, the one that gives most voxels to the whole keeps its number; the others end.
- When one falls apart, the part with most of its voxels keeps the number, the others get new ones. In ties the older number wins.
- Numbers are not used again, except that undo and redo give back the numbers of that moment.
- `split` cuts a part into lesions, `join` makes one lesion of several; neither changes a voxel. A cut stays where it was drawn
  while the part is edited: a new voxel goes to the nearest piece. A lesion that grows together with a part that was cut stays a
  lesion of its own. When a part that was cut falls apart along the cut, there is nothing left to remember.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion, LesionChanges, Trail
from napari_tumorseg.core.patches import PatchSource
from napari_tumorseg.evaluation.diameters import SlicePlane
from napari_tumorseg.evaluation.lesion_identity import Found, Memory, identify, recall
from napari_tumorseg.evaluation.lesion_units import LesionView, Unit, index_sums, meets, overlap, relative, row_of, shift, tightened, union
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
        self._plane = SlicePlane.of(grid)
        # What lies beyond the table meets its last entry, which is False.
        self._values = int(np.iinfo(labels.dtype).max) + 1 if labels.dtype == np.uint8 else max(schema.values) + 2
        self._is_inside = np.zeros(self._values, bool)
        self._is_inside[list(schema.region(self.region).values)] = True
        self._units: dict[int, Unit] = {}
        self._shown: dict[int, int] = {}
        self._rows: dict[int, Lesion] = {}
        self._buried: dict[int, Unit] = {}
        self._keep: set[int] = set()
        self._trail: Trail[Memory] = Trail()
        self._epoch = 0
        self._next_part = 1
        self._next = 1
        self._counts = np.zeros(self._values, np.int64)
        for plane in labels:
            self._counts += self._table(plane)
        self._fill(labels)

    @classmethod
    def of(cls, document: MaskDocument) -> LesionIndex:
        """Return the index of a document as it is now."""
        return cls(document.labels, document.grid, document.schema)

    @property
    def regions_ml(self) -> dict[str, float]:
        """Volume in mL of every region of the schema in the whole mask."""
        per_voxel_ml = self.grid.voxel_volume_mm3 / 1000
        return {r.name: float(sum(int(self._counts[v]) for v in r.values)) * per_voxel_ml for r in self.schema.regions}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Ids of all lesions, in order."""
        return tuple(sorted(self._rows))

    def row(self, number: int) -> Lesion:
        """Return the row of a lesion; raise `KeyError` where there is none of this number."""
        return self._rows[number]

    def view(self) -> LesionView:
        """Return the lesions as they are now, to be read from any thread."""
        return LesionView(tuple(self._rows[number] for number in self.numbers), {n: self._members(n) for n in self._rows})

    def fork(self) -> LesionIndex:
        """Return a copy that can be brought up to date in another thread; this one is not changed by that."""
        other = object.__new__(LesionIndex)
        other.__dict__.update(self.__dict__)
        for name in ("_units", "_shown", "_rows", "_buried", "_keep"):
            setattr(other, name, getattr(self, name).copy())
        other._trail = self._trail.copy()
        other._counts = self._counts.copy()
        return other

    def cost_voxels(self, changes: Sequence[Change], labels: Labels) -> int:
        """Return how many voxels an update after these changes has to label; `labels` is the mask after the last of them."""
        box = union(change.patch.box for change in changes)
        grown = box.grown(1, self.grid.shape)
        olds = self._met(grown)
        if len(olds) == 1 and len(changes) == 1 and connected_parts(self._inside(labels[grown.slices]))[1] == 1:
            return grown.size
        return union([box, *(unit.box for unit in olds)]).size

    def follow(self, change: Change, labels: Labels) -> LesionChanges:
        """Bring the index up to date after one change.

        Parameters
        ----------
        change : Change
            What the document told; it has to be the one after the last that was given.
        labels : numpy.ndarray
            The mask after it, shape (z, y, x).

        Returns
        -------
        LesionChanges
            The rows that may differ.
        """
        return self.follow_all([change], labels)

    def follow_all(self, changes: Sequence[Change], labels: Labels) -> LesionChanges:
        """Bring the index up to date after several changes at once; `labels` is the mask after the last of them.

        Undoing several later gives exact lesions, but their numbers come from the rules and not from memory.
        """
        box = union(change.patch.box for change in changes)
        reclaim = any(change.patch.origin.tool == "bring back lesion" for change in changes)
        if len(changes) > 1:
            for change in changes:
                self._counts += self._table(change.patch.new) - self._table(change.patch.old)
            found = self._update(labels, box, None, None, reclaim)
            for change in changes:
                self._trail.walk(change.patch.origin.source, None)
            return found[0]
        patch = changes[0].patch
        source, old = patch.origin.source, patch.old
        self._counts += self._table(patch.new) - self._table(old)
        memory = self._trail.next(source)
        if memory is not None and memory.epoch != self._epoch:
            memory = None
        changed, before = self._update(labels, box, old, memory, reclaim or source in (PatchSource.UNDO, PatchSource.REDO))
        self._trail.walk(source, before)
        return changed

    # -- identities that the user gives

    def bury(self, number: int) -> None:
        """Keep what a lesion was when it vanishes, so that it gets its number back when it is brought back."""
        self._keep.update(unit.id for unit in self._members(number))

    def join(self, numbers: Sequence[int]) -> int:
        """Make one lesion of several without changing a voxel; return its number, that of the largest.

        Raises
        ------
        InputError
            If there are fewer than two, or one of them is not there.
        """
        known = [number for number in dict.fromkeys(numbers) if number in self._rows]
        if len(known) < 2 or len(known) < len(set(numbers)):
            raise InputError("Two or more lesions of the list are joined.", "Choose them in the lesion table.")
        keeper = min(known, key=lambda number: (-self._rows[number].voxels, number))
        for number in known:
            for unit in self._members(number):
                self._shown[unit.id] = keeper
        self._refresh({*known})
        return keeper

    def members(self, number: int) -> tuple[int, ...]:
        """Return the own numbers of what a lesion is joined from; its own alone where it is not joined."""
        return tuple(unit.id for unit in self._members(number))

    def separate(self, number: int) -> tuple[int, ...]:
        """Take apart what was joined to the lesion `number`; return the numbers that its members have now."""
        members = self.members(number)
        for own in members:
            self._shown.pop(own, None)
        self._refresh({number, *members})
        return members

    def split(self, number: int, labels: Labels, seeds: Sequence[Sequence[int]] = ()) -> tuple[int, ...]:
        """Cut a lesion that is one connected part into several without changing a voxel.

        Parameters
        ----------
        number : int
            Which lesion. One that was joined is taken apart first (`separate`).
        labels : numpy.ndarray
            The mask, shape (z, y, x).
        seeds : sequence of (z, y, x)
            One voxel in each of the new lesions; by default `lesion_cut.cut` finds two.

        Returns
        -------
        tuple of int
            The numbers of the pieces; the largest keeps `number`.

        Raises
        ------
        InputError
            If the lesion is not there, is joined, or cannot be cut there.
        """
        from napari_tumorseg.evaluation.lesion_cut import cut

        units = self._members(number) if number in self._rows else ()
        if len(units) != 1:
            raise InputError(f"Lesion {number} is not one connected part.", "Take apart what was joined first.")
        (unit,) = units
        pieces = cut(unit.inside, unit.box, self.grid, seeds)
        if len(pieces) < 2:
            raise InputError(f"Lesion {number} cannot be cut there.", "Choose two places inside of it that are apart.")
        pieces.sort(key=lambda piece: -int(np.count_nonzero(piece)))
        made = []
        for place, piece in enumerate(pieces):
            own = unit.id if place == 0 else self._new_number()
            made.append(self._unit(own, unit.part, unit.box, piece, labels))
        self._epoch += 1
        self._exchange([unit], made)
        return tuple(new.id for new in made)

    def heal(self, numbers: Sequence[int], labels: Labels) -> int:
        """Take back a cut: make one lesion of pieces of one part; return its number, the first given.

        Raises
        ------
        InputError
            If these are no longer pieces of one part.
        """
        units = [self._units[number] for number in numbers if number in self._units]
        if len(units) < 2 or len(units) < len(numbers) or len({unit.part for unit in units}) > 1:
            raise InputError("The cut is no longer there.", "Join the lesions instead.")
        box = union(unit.box for unit in units)
        inside = np.zeros(box.shape, bool)
        for unit in units:
            inside[relative(unit.box, box)] |= unit.inside
        self._epoch += 1
        self._exchange(units, [self._unit(units[0].id, units[0].part, box, inside, labels)])
        return units[0].id

    # -- inside

    def _new_number(self) -> int:
        self._next += 1
        return self._next - 1

    def _unit(self, number: int, part: int, box: Box, inside: npt.NDArray[np.bool_], labels: Labels) -> Unit:
        own, mask = tightened(box, inside)
        return Unit.of(number, part, own, mask, labels[own.slices], self._plane, self._values)

    def _fill(self, labels: Labels) -> None:
        import cc3d

        inside = self._inside(labels)
        box = bounding_box(inside)
        if box is None:
            return
        parts, count = connected_parts(inside[box.slices])
        stats = cc3d.statistics(parts, no_slice_conversion=False)
        voxels, boxes = np.asarray(stats["voxel_counts"])[1:], stats["bounding_boxes"][1:]
        made = []
        for i in sorted(range(count), key=lambda i: (-int(voxels[i]), tuple(s.start for s in boxes[i]))):
            own = Box(shift([s.start for s in boxes[i]], box.start), shift([s.stop for s in boxes[i]], box.start))
            part = self._next_part
            self._next_part += 1
            mask = parts[boxes[i]] == i + 1
            made.append(Unit.of(self._new_number(), part, own, mask, labels[own.slices], self._plane, self._values))
        self._exchange([], made)

    def _inside(self, labels: Labels) -> npt.NDArray[np.bool_]:
        if labels.dtype == np.uint8:
            return np.asarray(self._is_inside[labels])
        return np.asarray(self._is_inside[np.minimum(labels, self._values - 1)])

    def _table(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        return np.bincount(np.minimum(labels, self._values - 1).ravel(), minlength=self._values).astype(np.int64)

    def _members(self, number: int) -> tuple[Unit, ...]:
        if not self._shown:
            return (self._units[number],) if number in self._units else ()
        own = [self._units[number]] if number in self._units and self._shown.get(number, number) == number else []
        return (*own, *(self._units[i] for i, shown in sorted(self._shown.items()) if shown == number and i != number and i in self._units))

    def _exchange(self, olds: Iterable[Unit], news: Iterable[Unit]) -> set[int]:
        """Put units in the place of others and bring the rows of their lesions up to date; return those lesions' ids."""
        touched = set()
        for unit in olds:
            del self._units[unit.id]
            touched.add(self._shown.get(unit.id, unit.id))
        for unit in news:
            self._units[unit.id] = unit
            touched.add(self._shown.get(unit.id, unit.id))
        self._refresh(touched)
        return touched

    def _refresh(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            members = self._members(number)
            if members:
                self._rows[number] = row_of(number, members, self.schema, self.region, self._plane)
            else:
                self._rows.pop(number, None)

    def _met(self, box: Box) -> list[Unit]:
        """Return all pieces of the parts that have a voxel in `box`."""
        met = {unit.part for unit in self._units.values() if meets(unit.box, box) and unit.inside[relative(box, unit.box)].any()}
        return [unit for unit in self._units.values() if unit.part in met]

    def _update(self, labels: Labels, box: Box, old: Labels | None, memory: Memory | None, ghosts: bool) -> tuple[LesionChanges, Memory]:
        """Bring the lesions up to date after what is in `box` has changed; return what that did, and a memory of how it was."""
        grown = box.grown(1, self.grid.shape)
        olds = self._met(grown)
        before = Memory.of(olds, self._epoch)
        if len(olds) == 1 and old is not None and (memory is None or memory.ids == {olds[0].id}):
            quick = self._grow_or_shrink(olds[0], labels, box, grown, old)
            if quick is not None:
                return self._changes(olds, [quick], box, old, labels, {}, {}), before
        whole = union([box, *(unit.box for unit in olds)])
        owner = np.zeros(whole.shape, np.min_scalar_type(len(olds)))
        for place, unit in enumerate(olds, start=1):
            owner[relative(unit.box, whole)][unit.inside] = place
        inside = owner > 0
        # Whatever of the region lies in the changed box belongs to lesions that are looked at; beyond it others may come near.
        inside[relative(box, whole)] = self._inside(labels[box.slices])
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

        part_of = {}
        for own in sorted(set(found.part)):
            part_of[own] = self._next_part
            self._next_part += 1
        news, cut_off = [], {}
        for piece, place in enumerate(find_objects(found.pieces.astype(np.int32, copy=False), max_label=len(found.ids))):
            number = found.ids[piece] or self._new_number()
            if found.came_from[piece]:
                cut_off[number] = found.came_from[piece]
            box = Box(shift([s.start for s in place], whole.start), shift([s.stop for s in place], whole.start))
            mask = found.pieces[place] == piece + 1
            news.append(Unit.of(number, part_of[found.part[piece]], box, mask, labels[box.slices], self._plane, self._values))
        return news, cut_off

    def _grow_or_shrink(self, unit: Unit, labels: Labels, box: Box, grown: Box, old: Labels) -> Unit | None:
        """Return a lesion after an edit that leaves it in one piece; None when that needs a closer look.

        A part stays connected when its voxels in the changed box and one voxel around are: every way through the box enters and
        leaves it there.
        """
        near = self._inside(labels[grown.slices])
        _, count = connected_parts(near)
        if count != 1:
            return None
        frame = bounding_box(near)
        assert frame is not None
        inner = Box(shift(frame.start, grown.start), shift(frame.stop, grown.start))
        whole = unit.box.union(inner)
        inside = np.zeros(whole.shape, bool)
        inside[relative(unit.box, whole)] = unit.inside
        now = labels[box.slices]
        has, had = self._inside(now), self._inside(old)
        here = overlap(box, whole)
        inside[relative(here, whole)] = has[relative(here, box)]
        own, mask = tightened(whole, inside)
        counts = unit.counts - self._table(old[had]) + self._table(now[has])
        plus, minus = index_sums(has, box), index_sums(had, box)
        z, y, x = (total + a - b for total, a, b in zip(unit.sums, plus, minus, strict=True))
        outline = unit.outline.updated(mask, own, box, self._plane)
        return Unit(unit.id, unit.part, own, mask, counts, (z, y, x), outline)

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
            self._shown.get(unit.id, unit.id)
            for unit in (*olds, *news)
            if meets(unit.box, box) and (unit.inside[relative(box, unit.box)] & differs[relative(unit.box, box)]).any()
        }
        rows = dict(self._rows)
        present = {unit.id for unit in news}
        for unit in olds:
            if unit.id not in present and unit.id in self._keep:
                self._buried[unit.id] = unit
        for number in present:
            self._buried.pop(number, None)
        touched = self._exchange(olds, news)
        shown = {new: self._shown.get(source, source) for new, source in cut_off.items()}
        return LesionChanges(
            {n: rows[n] for n in sorted(touched) if n in rows},
            {n: self._rows[n] for n in sorted(touched) if n in self._rows},
            frozenset(edited),
            shown,
            {gone: self._shown.get(kept, kept) for gone, kept in went.items()},
        )
