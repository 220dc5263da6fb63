from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.document import Change, MaskDocument, Origin, Patch, PatchSource
from napari_tumorseg.core.errors import ConflictError, InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset

SHAPE = (3, 4, 5)
GRID = Grid.from_spacing(SHAPE, (2, 1, 1))
SCHEMA = preset("brats-mets-2025")
ONE = Box((0, 0, 0), (1, 1, 1))


def document(labels: np.ndarray | None = None, **kwargs: Any) -> MaskDocument:
    return MaskDocument(np.zeros(SHAPE, np.uint8) if labels is None else labels, GRID, SCHEMA, **kwargs)


def hand(step: str = "stroke") -> Origin:
    return Origin(PatchSource.HAND, "paint", "A.B.", step=step)


def filled(box: Box, value: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.full(box.shape, value, dtype)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    pairs = [sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1)))) for n in SHAPE]
    return Box(*zip(*((a, b + 1) for a, b in pairs), strict=True))  # type: ignore[arg-type]


class AnyOrderOfEdits(RuleBasedStateMachine):
    """A document beside a list of whole arrays, one for each step."""

    @initialize(labels=hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 4)))
    def open(self, labels: np.ndarray) -> None:
        self.document = document(labels)
        self.states = [labels.copy()]
        self.steps: list[str | None] = [None]
        self.undone: list[np.ndarray] = []
        # Rebuilt from what listeners are told alone, as a layer or a journal is.
        self.replica = labels.copy()
        self.told = 0
        self.patches: list[Patch] = []
        self.document.listen(self.hear)

    def hear(self, change: Change) -> None:
        region = self.replica[change.patch.box.slices]
        np.testing.assert_array_equal(region, change.patch.old)
        region[...] = change.patch.new
        self.told += 1
        self.patches.append(change.patch)
        assert change.revision == self.told

    @rule(box=boxes(), data=st.data(), step=st.sampled_from("abc"))
    def write(self, box: Box, data: st.DataObject, step: str) -> None:
        new = data.draw(hnp.arrays(np.uint8, box.shape, elements=st.integers(0, 4)))
        expected = self.states[-1].copy()
        old = expected[box.slices]
        expected[box.slices] = np.where(np.isin(old, list(self.document.locked)), old, new)
        changes = not np.array_equal(expected, self.states[-1])
        assert self.document.write(box, new, hand(step)) == changes
        if not changes:
            return
        self.undone.clear()
        if self.steps[-1] == step:
            self.states[-1] = expected
        else:
            self.states.append(expected)
            self.steps.append(step)

    @rule()
    def undo(self) -> None:
        possible = len(self.states) > 1
        assert self.document.undo("A.B.") == possible
        if possible:
            self.undone.append(self.states.pop())
            self.steps.pop()

    @rule()
    def redo(self) -> None:
        possible = bool(self.undone)
        assert self.document.redo() == possible
        if possible:
            self.states.append(self.undone.pop())
            self.steps.append(None)  # nothing joins a step that was brought back

    @rule(values=st.frozensets(st.integers(0, 4)))
    def lock(self, values: frozenset[int]) -> None:
        self.document.locked = values

    @precondition(lambda self: hasattr(self, "document"))
    @invariant()
    def holds_what_was_written(self) -> None:
        np.testing.assert_array_equal(self.document.labels, self.states[-1])
        np.testing.assert_array_equal(self.replica, self.states[-1])
        assert self.document.revision == self.told
        assert self.document.can_undo == (len(self.states) > 1)
        assert self.document.can_redo == bool(self.undone)

    @precondition(lambda self: hasattr(self, "document"))
    @invariant()
    def comes_back_from_its_patches(self) -> None:
        again = MaskDocument.resumed(self.document.snapshot(), self.patches, self.told)
        assert again.revision == self.document.revision
        assert again.history.undo == self.document.history.undo
        assert again.history.redo == self.document.history.redo
        assert not again.finish_walk()
        for expected in reversed(self.states[:-1]):
            assert again.undo()
            np.testing.assert_array_equal(again.labels, expected)
        assert not again.undo()


AnyOrderOfEdits.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestAnyOrderOfEdits = AnyOrderOfEdits.TestCase


@given(hnp.arrays(np.uint8, SHAPE), hnp.arrays(np.uint8, SHAPE), st.sampled_from(["u1", "<u2", ">u2", "<u4"]))
def test_a_patch_holds_and_inverts_its_labels(old: np.ndarray, new: np.ndarray, dtype: str) -> None:
    patch = Patch.between(Box.whole(SHAPE), old.astype(dtype), new, hand())
    np.testing.assert_array_equal(patch.old, old)
    np.testing.assert_array_equal(patch.new, new)
    assert patch.new.dtype == np.dtype(dtype)
    back = patch.inverted(hand())
    np.testing.assert_array_equal(back.old, new)
    np.testing.assert_array_equal(back.new, old)
    assert pickle.loads(pickle.dumps(patch)) == patch


def test_a_patch_has_the_shape_of_its_box() -> None:
    with pytest.raises(InputError, match="A patch over"):
        Patch.between(ONE, np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 2), np.uint8), hand())


def test_a_patch_is_cut_to_the_voxels_that_differ() -> None:
    doc = document()
    new = np.zeros(SHAPE, np.uint8)
    new[1, 2:4, 3] = 3
    patch = doc.propose(Box.whole(SHAPE), new, hand())
    assert patch is not None
    assert patch.box == Box((1, 2, 3), (2, 4, 4))
    assert not doc.labels.any()
    assert doc.propose(Box.whole(SHAPE), np.zeros(SHAPE, np.uint8), hand()) is None


def test_a_change_must_fit_its_box() -> None:
    with pytest.raises(InputError, match="does not fit its box"):
        document().write(ONE, np.ones((1, 1, 2), np.uint8), hand())
    with pytest.raises(InputError, match="does not fit its box"):
        document().write(Box((0, 0, 0), (9, 1, 1)), np.ones((9, 1, 1), np.uint8), hand())


@pytest.mark.parametrize("value", [256, 300, -1, 1.5])
def test_labels_never_wrap_round(value: float) -> None:
    doc = document()
    with pytest.raises(InputError, match="values that a mask of type uint8 cannot"):
        doc.write(ONE, np.array([[[value]]]), hand())
    assert not doc.labels.any()


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, np.uint16])
def test_other_types_are_taken_when_their_values_fit(dtype: Any) -> None:
    doc = document()
    assert doc.write(ONE, filled(ONE, 1, dtype), hand())
    assert doc.labels.dtype == np.uint8
    assert doc.labels[0, 0, 0] == 1


def test_a_stale_patch_is_refused_and_changes_nothing() -> None:
    doc = document()
    stale = doc.propose(ONE, filled(ONE, 1), hand("first"))
    assert stale is not None
    doc.write(ONE, filled(ONE, 2), hand("second"))
    doc.write(ONE, filled(ONE, 3), hand("third"))
    doc.undo()
    revision = doc.revision
    with pytest.raises(ConflictError, match="changed since"):
        doc.apply(stale)
    assert (doc.labels[0, 0, 0], doc.revision, doc.can_redo) == (2, revision, True)


def test_a_patch_of_another_type_is_refused() -> None:
    wide = Patch.between(ONE, filled(ONE, 0, np.uint16), filled(ONE, 1, np.uint16), hand())
    with pytest.raises(InputError, match="of type uint16, the mask of uint8"):
        document().apply(wide)


def test_a_patch_cannot_change_what_was_locked_after_it_was_made() -> None:
    doc = document(np.ones(SHAPE, np.uint8))
    patch = doc.propose(ONE, filled(ONE, 2), hand())
    assert patch is not None
    doc.locked = frozenset({1})
    with pytest.raises(ConflictError, match="locked"):
        doc.apply(patch)
    assert (doc.labels == 1).all()
    doc.locked = frozenset()
    doc.apply(patch)
    assert doc.labels[0, 0, 0] == 2


def test_undo_reaches_behind_a_lock() -> None:
    doc = document()
    doc.write(ONE, filled(ONE, 1), hand())
    doc.locked = frozenset({1})
    assert doc.undo()
    assert not doc.labels.any()
    assert doc.locked == frozenset({1})


def test_only_labels_of_the_schema_can_be_locked() -> None:
    doc = document()
    doc.locked = frozenset({0, 3})
    with pytest.raises(InputError, match=r"no labels \[7\]"):
        doc.locked = frozenset({3, 7})
    assert doc.locked == frozenset({0, 3})


def test_patches_of_one_step_are_undone_together() -> None:
    doc = document()
    for x in range(5):
        doc.write(Box((0, 0, x), (1, 1, x + 1)), filled(ONE, 1), hand("one stroke"))
    doc.write(ONE, filled(ONE, 2), hand("another"))
    doc.undo()
    assert doc.labels.sum() == 5
    doc.undo()
    assert doc.labels.sum() == 0
    assert not doc.can_undo


def test_undo_and_redo_say_who_and_what() -> None:
    doc = document()
    heard: list[Change] = []
    doc.listen(heard.append)
    doc.write(ONE, filled(ONE, 1), hand())
    doc.undo("C.D.")
    doc.redo("E.F.")
    origins = [change.patch.origin for change in heard]
    assert [origin.source for origin in origins] == [PatchSource.HAND, PatchSource.UNDO, PatchSource.REDO]
    assert [origin.tool for origin in origins] == ["paint"] * 3
    assert [origin.person for origin in origins] == ["A.B.", "C.D.", "E.F."]
    assert all(origin.time.tzinfo is not None for origin in origins)


def test_a_listener_is_told_until_it_stops() -> None:
    doc = document()
    heard: list[Change] = []
    stop = doc.listen(heard.append)
    doc.write(ONE, filled(ONE, 1), hand())
    stop()
    stop()
    doc.write(ONE, filled(ONE, 2), hand())
    assert [change.revision for change in heard] == [1]


def test_a_failing_listener_stops_neither_the_others_nor_undo() -> None:
    doc = document()
    heard: list[Change] = []

    def fail(change: Change) -> None:
        raise OSError(f"disk full at {change.revision}")

    doc.listen(fail)
    doc.listen(heard.append)
    with pytest.raises(OSError, match="disk full at 1"):
        doc.write(ONE, filled(ONE, 1), hand())
    with pytest.raises(OSError, match="disk full at 2"):
        doc.undo()
    assert [change.revision for change in heard] == [1, 2]
    assert not doc.labels.any()
    assert doc.can_redo


def test_the_mask_has_one_owner() -> None:
    labels = np.zeros(SHAPE, np.uint8)
    doc = document(labels)
    labels[...] = 1
    assert not doc.labels.any()
    with pytest.raises(ValueError, match="read-only"):
        doc.labels[0, 0, 0] = 1


def test_a_snapshot_stays_as_it_was() -> None:
    doc = document(kind=MaskKind.AI, author="model")
    doc.review = Review.ACCEPTED
    before = doc.snapshot()
    doc.write(ONE, filled(ONE, 1), hand())
    assert not before.labels.any()
    assert (before.grid, before.schema, before.kind, before.author, before.review) == (GRID, SCHEMA, MaskKind.AI, "model", Review.ACCEPTED)
    assert before.version != doc.snapshot().version


@pytest.mark.parametrize(("kind", "review"), [(MaskKind.AI, Review.NOT_REVIEWED), (MaskKind.RATER, Review.IN_CORRECTION)])
def test_a_model_s_mask_is_not_reviewed_until_a_person_says_so(kind: MaskKind, review: Review) -> None:
    assert document(kind=kind).review is review
    assert document(kind=kind, review=Review.ACCEPTED).review is Review.ACCEPTED


def test_a_mask_must_fit_its_grid() -> None:
    with pytest.raises(InputError, match="does not fit a grid"):
        document(np.zeros((1, 2, 3), np.uint8))
    with pytest.raises(InputError, match="does not fit a grid"):
        document(np.zeros(SHAPE, np.int16))


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
@pytest.mark.parametrize("back", [False, True])
def test_an_undo_that_a_record_broke_off_is_finished(kept: int, back: bool) -> None:
    doc = document()
    patches: list[Patch] = []
    states = [doc.snapshot()]

    def hear(change: Change) -> None:
        patches.append(change.patch)

    doc.listen(hear)
    doc.write(ONE, filled(ONE, 2), hand("before"))
    for x in range(3):
        doc.write(Box((0, 0, x), (1, 1, x + 1)), filled(ONE, 1), hand("one stroke"))
    whole = doc.labels.copy()
    doc.undo("A.B.")
    if back:
        doc.redo("A.B.")
    del patches[len(patches) - 3 + kept :]
    replica = states[0].labels.copy()
    for patch in patches:
        replica[patch.box.slices] = patch.new
    left = MaskVersion(replica, GRID, SCHEMA, MaskKind.RATER)
    again = MaskDocument.resumed(left, patches, len(patches))
    heard: list[Change] = []
    again.listen(heard.append)
    assert again.finish_walk() == (kept in (1, 2))
    assert [c.patch.origin.source for c in heard] == [PatchSource.REDO if back else PatchSource.UNDO] * (3 - kept if kept in (1, 2) else 0)
    stands = back == bool(kept)
    assert again.labels.sum() == (3 if stands else 2)
    assert again.history.can_redo == (not stands)
    if again.redo():
        np.testing.assert_array_equal(again.labels, whole)
    again.undo()
    assert again.labels.sum() == 2
    again.undo()
    assert not again.labels.any()
    assert not again.can_undo


def test_a_record_that_undoes_too_much_is_refused() -> None:
    patch = Patch.between(ONE, filled(ONE, 1), filled(ONE, 0), Origin(PatchSource.UNDO, step="a"))
    version = document().snapshot()
    with pytest.raises(ConflictError, match="undo with nothing before it"):
        MaskDocument.resumed(version, [patch], 1)
    there = Patch.between(ONE, filled(ONE, 0), filled(ONE, 1), hand())
    with pytest.raises(ConflictError, match="longer than its step"):
        MaskDocument.resumed(version, [there, patch, patch], 3)


def test_undo_and_redo_know_the_act_behind_them() -> None:
    doc = document()
    acts: list[PatchSource] = []
    doc.listen(lambda change: acts.append(change.patch.origin.act))
    doc.write(ONE, filled(ONE, 1), Origin(PatchSource.MODEL, "net"))
    doc.undo()
    doc.redo()
    doc.undo()
    assert acts == [PatchSource.MODEL] * 4


def test_a_mask_held_still_is_changed_afterwards() -> None:
    doc = document()
    entered, painted = threading.Event(), threading.Event()

    def paint() -> None:
        entered.set()
        doc.write(ONE, filled(ONE, 1), hand())
        painted.set()

    thread = threading.Thread(target=paint)
    with doc.steady() as held:
        assert held
        thread.start()
        assert entered.wait(5)
        assert not painted.wait(0.05)
        assert not doc.labels.any()
    thread.join(5)
    assert doc.labels.sum() == 1


def test_who_waits_for_a_mask_under_change_is_told_when_it_takes_too_long() -> None:
    doc = document()
    seen: list[bool] = []

    def look(_change: Change) -> None:
        def wait() -> None:
            with doc.steady(0.01) as held:
                seen.append(held)

        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(5)

    stop = doc.listen(look)
    doc.write(ONE, filled(ONE, 1), hand())
    stop()
    with doc.steady(0.01) as held:
        seen.append(held)
    assert seen == [False, True]
