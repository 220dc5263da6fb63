from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.core.decision import Decided, Decision
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.diameters import lesion_diameters
from napari_tumorseg.evaluation.lesion_index import LesionIndex

METS = preset("brats-mets-2025")
SHAPE = (5, 9, 10)
GRID = Grid.from_spacing(SHAPE, (3.0, 0.7, 0.5), "IPL")
HAND = PatchSource.HAND


class Followed:
    """A document and the index that follows it, with everything that was told."""

    def __init__(self, labels: np.ndarray, grid: Grid = GRID) -> None:
        self.document = MaskDocument(labels, grid, METS)
        self.index = LesionIndex.of(self.document)
        self.told = []
        self._decided = None
        self.document.listen(lambda change: self.told.append(self.index.follow(change, self.document.labels, self._decided)))

    def paint(self, slices, value: int, decision: Decision | None = None) -> None:
        box = Box(tuple(s.start for s in slices), tuple(s.stop for s in slices))
        new = np.full(box.shape, value, np.uint8)
        self._decided = decision
        self.document.write(box, new, Origin(HAND, "paint"))
        self._decided = None

    def decide(self, what: Decided, number: int, **facts) -> None:
        anchor = self.index.view().units[number][0].first_voxel
        self._decided = Decision(what, number, anchor, **facts)
        self.document.mark(anchor, Origin(PatchSource.TOOL, what.tool))
        self._decided = None

    def split(self, number: int, seeds=()) -> None:
        self.decide(Decided.SPLIT, number, seeds=self.index.seeds(number, seeds))

    @property
    def rows(self):
        return {row.id: row for row in self.index.view().lesions}

    @property
    def voxels(self):
        return {number: row.voxels for number, row in self.rows.items()}


def at(z: int, y: slice, x: slice):
    return slice(z, z + 1), y, x


def assert_is_a_full_relabelling(index: LesionIndex, document: MaskDocument) -> None:
    """Compare every row with the parts that scipy finds in the whole mask."""
    labels, grid = document.labels, document.grid
    inside = np.isin(labels, METS.region("WT").values)
    parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
    view = index.view()
    assert len(view.lesions) == count
    seen = set()
    for row in view.lesions:
        box = tuple(slice(a, b) for a, b in zip(row.box_start, row.box_stop, strict=True))
        own = view.part(row)
        number = int(parts[box][own][0])
        seen.add(number)
        where = parts == number
        assert np.array_equal(where[box], own)
        assert row.voxels == np.count_nonzero(where)
        assert ndimage.find_objects(where.astype(np.uint8))[0] == box
        assert row.volume_mm3 == row.voxels * grid.voxel_volume_mm3
        assert np.allclose(row.centroid_mm, grid.to_mm(ndimage.center_of_mass(where)), atol=1e-9, rtol=0)
        make_up = {label.name: np.count_nonzero(labels[where] == label.value) * grid.voxel_volume_mm3 for label in METS.labels}
        assert row.labels_mm3 == {name: volume for name, volume in make_up.items() if volume}
        assert row.diameters == lesion_diameters(where, grid)
    assert seen == set(range(1, count + 1))
    for region in METS.regions:
        volume_ml = np.isin(labels, region.values).sum() * grid.voxel_volume_mm3 / 1000
        assert index.regions_ml[region.name] == pytest.approx(volume_ml)


@st.composite
def edits(draw):
    """A box and a value to write, or "undo" or "redo"."""
    act = draw(st.sampled_from(["write"] * 5 + ["undo", "undo", "redo"]))
    if act != "write":
        return act
    start = [draw(st.integers(0, n - 1)) for n in SHAPE]
    stop = [min(n, a + draw(st.integers(1, 4))) for a, n in zip(start, SHAPE, strict=True)]
    box = Box(tuple(start), tuple(stop))
    if draw(st.booleans()):
        return box, np.full(box.shape, draw(st.sampled_from([0, 0, 1, 2, 3, 4])), np.uint8)
    return box, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.04, 0.3]), st.lists(edits(), min_size=1, max_size=12), st.integers(1, 3))
def test_after_any_edits_it_equals_a_full_relabelling(seed, share, acts, batch) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.integers(1, 5, SHAPE) * (rng.random(SHAPE) < share)).astype(np.uint8)
    document = MaskDocument(labels, GRID, METS)
    index = LesionIndex.of(document)
    waiting = []
    document.listen(waiting.append)
    for act in acts:
        if act == "undo":
            document.undo()
        elif act == "redo":
            document.redo()
        else:
            box, new = act
            if isinstance(new, int):
                noise = np.random.default_rng(new)
                new = (noise.integers(1, 5, box.shape) * (noise.random(box.shape) < 0.3)).astype(np.uint8)
            document.write(box, new, Origin(HAND, "paint"))
        if len(waiting) >= batch:
            index.follow_all([(change, None) for change in waiting], document.labels)
            waiting.clear()
            assert_is_a_full_relabelling(index, document)
            assert len(set(index.numbers)) == len(index.numbers)
    if waiting:
        index.follow_all([(change, None) for change in waiting], document.labels)
        assert_is_a_full_relabelling(index, document)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.lists(edits().filter(lambda e: e not in ("undo", "redo")), min_size=1, max_size=8))
def test_undoing_all_gives_back_every_number(seed, acts) -> None:
    rng = np.random.default_rng(seed)
    followed = Followed((rng.integers(1, 4, SHAPE) * (rng.random(SHAPE) < 0.06)).astype(np.uint8))
    document = followed.document

    def numbered() -> np.ndarray:
        ids = np.zeros(SHAPE, int)
        view = followed.index.view()
        for row in view.lesions:
            box = tuple(slice(a, b) for a, b in zip(row.box_start, row.box_stop, strict=True))
            ids[box][view.part(row)] = row.id
        return ids

    states = [numbered()]
    for box, new in acts:
        if isinstance(new, int):
            new = (np.random.default_rng(new).random(box.shape) < 0.3).astype(np.uint8)
        if document.write(box, new, Origin(HAND, "paint")):
            states.append(numbered())
    for state in reversed(states[:-1]):
        document.undo()
        assert np.array_equal(numbered(), state)
    for state in states[1:]:
        document.redo()
        assert np.array_equal(numbered(), state)


def two_blobs() -> Followed:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2:6, 0:4] = 3
    labels[2, 2:5, 6:9] = 1
    return Followed(labels)


def test_when_lesions_merge_the_larger_keeps_its_number_and_undo_gives_the_other_back() -> None:
    it = two_blobs()
    assert it.voxels == {1: 16, 2: 9}
    it.paint(at(2, slice(3, 4), slice(4, 6)), 2)
    assert it.voxels == {1: 27}
    assert dict(it.told[-1].went_into) == {2: 1}
    assert it.told[-1].edited == {1}
    it.document.undo()
    assert it.voxels == {1: 16, 2: 9}


def test_when_a_lesion_falls_apart_the_largest_part_keeps_its_number() -> None:
    it = two_blobs()
    it.paint(at(2, slice(3, 4), slice(0, 4)), 0)
    assert it.voxels == {1: 8, 2: 9, 3: 4}
    assert dict(it.told[-1].came_from) == {3: 1}
    it.document.undo()
    assert it.voxels == {1: 16, 2: 9}
    it.document.redo()
    assert it.voxels == {1: 8, 2: 9, 3: 4}
    it.document.undo()
    # A number that was given once does not name another lesion.
    it.paint(at(4, slice(8, 9), slice(9, 10)), 1)
    assert it.voxels == {1: 16, 2: 9, 4: 1}


def test_a_lesion_that_moves_keeps_its_number() -> None:
    it = two_blobs()
    new = it.document.labels[2:3, 0:9, 0:10].copy()
    new[0, 2:5, 6:9] = 0
    new[0, 5:8, 7:10] = 1
    it.document.write(Box((2, 0, 0), (3, 9, 10)), new, Origin(HAND, "move"))
    assert it.voxels == {1: 16, 2: 9}
    it.document.undo()
    assert it.voxels == {1: 16, 2: 9}


def test_a_cut_stays_while_both_pieces_are_edited() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 1:6, 0:4] = 3
    labels[2, 3, 4:6] = 3
    labels[1:4, 2:5, 6:9] = 3
    it = Followed(labels)
    (whole,) = it.rows.values()
    it.split(1)
    assert set(it.rows) == {1, 2}
    assert it.told[-1].came_from == {2: 1}
    assert sum(it.voxels.values()) == whole.voxels
    assert np.array_equal(it.document.labels, labels), "no voxel is changed"
    left, right = it.rows[1], it.rows[2]
    assert left.box_start[2] == 0
    assert right.box_stop[2] == 9
    before = it.voxels
    it.paint(at(2, slice(2, 3), slice(9, 10)), 1)  # beside the right piece
    assert it.voxels == {1: before[1], 2: before[2] + 1}
    it.paint(at(2, slice(1, 2), slice(0, 1)), 0)
    assert it.voxels == {1: before[1] - 1, 2: before[2] + 1}
    it.document.undo()
    it.document.undo()
    assert it.voxels == before
    it.paint(at(2, slice(3, 4), slice(3, 7)), 0)
    assert set(it.rows) == {1, 2}, "apart along the cut both keep their numbers"
    it.document.undo()
    assert it.voxels == before
    it.document.undo()
    assert it.rows == {1: whole}
    it.document.redo()
    assert it.rows == {1: left, 2: right}
    assert np.array_equal(it.document.labels, labels)


def test_cuts_and_strokes_are_undone_in_order() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2, 2:6, 0:9] = 3
    it = Followed(labels)
    states = [it.rows]
    it.paint(at(2, slice(6, 7), slice(8, 9)), 3)
    states.append(it.rows)
    it.split(1, [(2, 3, 1), (2, 3, 8)])
    states.append(it.rows)
    it.split(it.index.view().at((2, 6, 8)).id, [(2, 3, 7), (2, 6, 8)])
    states.append(it.rows)
    it.decide(Decided.JOIN, 1, lesions=(1, 3))
    states.append(it.rows)
    it.paint(at(2, slice(1, 2), slice(0, 3)), 3)
    states.append(it.rows)
    assert [len(state) for state in states] == [1, 1, 2, 3, 2, 2]
    for _ in range(2):
        for state in reversed(states[:-1]):
            it.document.undo()
            assert it.rows == state
        for state in states[1:]:
            it.document.redo()
            assert it.rows == state


def test_what_grows_together_with_a_cut_part_stays_itself() -> None:
    it = two_blobs()
    it.split(1, [(2, 2, 0), (2, 5, 3)])
    it.paint(at(2, slice(3, 4), slice(4, 6)), 2)
    assert set(it.rows) == {1, 2, 3}
    assert sum(it.voxels.values()) == 27


def test_joined_lesions_are_one_row_and_survive_edits() -> None:
    it = two_blobs()
    alone = it.rows
    assert it.index.keeper([2, 1]) == 1
    it.decide(Decided.JOIN, 1, lesions=(2, 1))
    assert it.told[-1].went_into == {2: 1}
    (row,) = it.rows.values()
    both = np.isin(it.document.labels, METS.region("WT").values)
    assert row.voxels == 25
    assert np.allclose(row.centroid_mm, GRID.to_mm(ndimage.center_of_mass(both)))
    assert row.diameters.longest_mm == pytest.approx(lesion_diameters(both, GRID).longest_mm)
    assert it.index.view().at((2, 2, 7)).id == 1
    assert np.array_equal(it.index.view().part(row), both[2:3, 2:6, 0:9])
    it.paint(at(2, slice(5, 6), slice(7, 8)), 3)
    assert it.voxels == {1: 26}
    assert it.told[-1].edited == {1}
    it.document.undo()
    assert it.index.members(1) == (1, 2)
    it.decide(Decided.SEPARATE, 1)
    assert it.rows == alone
    it.document.undo()
    assert it.rows == {1: row}
    it.document.undo()
    assert it.rows == alone
    with pytest.raises(InputError, match="Two or more"):
        it.index.keeper([1])
    with pytest.raises(InputError, match="Two or more"):
        it.index.keeper([1, 99])


def test_a_lesion_that_is_brought_back_gets_its_number_again() -> None:
    it = two_blobs()
    it.paint(at(2, slice(2, 5), slice(6, 9)), 0, Decision(Decided.REJECT, 2, (2, 2, 6)))
    it.paint(at(0, slice(0, 1), slice(0, 1)), 3)
    assert it.voxels == {1: 16, 3: 1}
    it.paint(at(2, slice(2, 5), slice(6, 9)), 1, Decision(Decided.BRING_BACK, 2, (2, 2, 6)))
    assert it.voxels == {1: 16, 2: 9, 3: 1}


def test_a_fork_can_be_brought_up_to_date_alone() -> None:
    it = two_blobs()
    fork = it.index.fork()
    it.paint(at(2, slice(3, 4), slice(4, 6)), 2)
    assert [row.voxels for row in fork.view().lesions] == [16, 9]
    assert it.voxels == {1: 27}


def test_cutting_refuses_places_outside() -> None:
    it = two_blobs()
    with pytest.raises(InputError, match="outside"):
        it.index.seeds(1, [(0, 0, 0), (2, 2, 2)])
    with pytest.raises(InputError, match="cannot be cut there"):
        it.index.seeds(1, [(2, 2, 2)])
    it.decide(Decided.JOIN, 1, lesions=(1, 2))
    with pytest.raises(InputError, match="not one connected part"):
        it.index.seeds(1)


def test_the_neck_is_where_two_balls_touch() -> None:
    z, y, x = np.mgrid[:24, :24, :44]
    big = (z - 12) ** 2 + (y - 12) ** 2 + (x - 13) ** 2 < 10.5**2
    small = (z - 12) ** 2 + (y - 12) ** 2 + (x - 29) ** 2 < 6.5**2
    labels = np.where(big | small, 3, 0).astype(np.uint8)
    it = Followed(labels, Grid.from_spacing(labels.shape, (1, 1, 1)))
    assert set(it.rows) == {1}
    it.split(1)
    view = it.index.view()
    assert view.at((12, 12, 5)).id == 1
    assert view.at((12, 12, 33)).id == 2
    assert it.voxels[1] == pytest.approx(np.count_nonzero(big), rel=0.03)
    assert it.voxels[2] == pytest.approx(np.count_nonzero(small), rel=0.1)
