from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.annotation.provenance import OriginClass, Provenance
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import Change, PatchSource
from napari_tumorseg.core.grid import Box

from .conftest import SCHEMA, SHAPE, acts, boxes, new_document, origin, perform


class Slow:
    """What the AI had, kept as whole arrays: one for each patch that stands."""

    def __init__(self, labels: np.ndarray, kind: MaskKind) -> None:
        self.now = labels.copy()
        self.ai = labels.copy() if kind is MaskKind.AI else np.zeros_like(labels)
        self.before: list[np.ndarray] = []

    def hear(self, change: Change) -> None:
        patch = change.patch
        if patch.origin.source is PatchSource.UNDO:
            self.ai = self.before.pop()
        else:
            self.before.append(self.ai.copy())
            if patch.origin.act is PatchSource.MODEL:
                changed = np.zeros(SHAPE, bool)
                changed[patch.box.slices] = patch.old != patch.new
                full = self.now.copy()
                full[patch.box.slices] = patch.new
                self.ai = np.where(changed, full, self.ai)
        self.now[patch.box.slices] = patch.new

    @property
    def classes(self) -> np.ndarray:
        found = np.empty(SHAPE, np.uint8)
        for index in np.ndindex(SHAPE):
            ai, now = self.ai[index], self.now[index]
            if ai == 0:
                found[index] = OriginClass.ADDED if now else OriginClass.NOTHING
            elif now == 0:
                found[index] = OriginClass.REMOVED
            else:
                found[index] = OriginClass.AI if ai == now else OriginClass.CHANGED
        return found


def check(provenance: Provenance, slow: Slow, box: Box) -> None:
    np.testing.assert_array_equal(provenance.classes, slow.classes)
    np.testing.assert_array_equal(provenance.ai, slow.ai)
    label = np.where(slow.now > 0, slow.now, slow.ai)
    for value, counts in provenance.by_label().items():
        expected = np.bincount(slow.classes[label == value], minlength=5)
        assert (counts.ai, counts.changed, counts.added, counts.removed) == tuple(expected[1:])
    inside = slow.now[box.slices] == 1
    part = provenance.counts(box, inside)
    expected = np.bincount(slow.classes[box.slices][inside], minlength=5)
    assert (part.ai, part.changed, part.added, part.removed) == tuple(expected[1:])
    whole = provenance.counts(box)
    expected = np.bincount(slow.classes[box.slices].ravel(), minlength=5)
    assert (whole.ai, whole.changed, whole.added, whole.removed) == tuple(expected[1:])
    total = provenance.counts()
    assert total.ai + total.changed + total.added + total.removed == np.count_nonzero(slow.classes)


@settings(max_examples=60)
@given(
    labels=hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 4)),
    done=st.lists(acts, max_size=20),
    later=st.lists(acts, max_size=10),
    kind=st.sampled_from([MaskKind.AI, MaskKind.RATER, MaskKind.REFERENCE]),
    box=boxes(),
)
def test_it_equals_a_slow_replay_after_any_edits_and_undos(
    labels: np.ndarray, done: list[Any], later: list[Any], kind: MaskKind, box: Box
) -> None:
    document = new_document(labels, kind=kind)
    slow = Slow(labels, kind)
    document.listen(slow.hear)
    provenance = Provenance(document)
    for act in done:
        perform(document, act)
    check(provenance, slow, box)
    # Begun late, or on a restored document, it reads what happened before from the history.
    again = Provenance(document)
    for act in later:
        perform(document, act)
    check(provenance, slow, box)
    check(again, slow, box)


def test_the_four_kinds_and_their_volumes() -> None:
    ai = np.zeros(SHAPE, np.uint8)
    ai[0, 0, :4] = [1, 1, 1, 3]
    document = new_document(ai, kind=MaskKind.AI, author="net")
    provenance = Provenance(document)
    heard: list[Box] = []
    stop = provenance.listen(heard.append)
    document.write(Box((0, 0, 0), (1, 1, 5)), np.array([[[1, 2, 0, 3, 3]]], np.uint8), origin())
    assert provenance.classes[0, 0].tolist() == [
        OriginClass.AI,
        OriginClass.CHANGED,
        OriginClass.REMOVED,
        OriginClass.AI,
        OriginClass.ADDED,
    ]
    assert heard == [Box((0, 0, 1), (1, 1, 5))]
    voxel_ml = 3.0 * 1.0 * 0.5 / 1000
    assert provenance.counts().ml == pytest.approx({"ai": 2 * voxel_ml, "changed": voxel_ml, "added": voxel_ml, "removed": voxel_ml})
    assert provenance.counts().by_hand_share == pytest.approx(0.5)
    by_label = provenance.by_label()
    assert (by_label[1].removed, by_label[2].changed, by_label[3].added, by_label[3].ai) == (1, 1, 1, 1)
    stop()
    provenance.close()
    document.undo()
    assert heard == [Box((0, 0, 1), (1, 1, 5))]
    assert provenance.classes[0, 0, 4] == OriginClass.ADDED


def test_a_model_run_in_between_is_the_ai_s_and_undo_takes_that_back() -> None:
    document = new_document()
    provenance = Provenance(document)
    row = Box((0, 0, 0), (1, 1, 3))
    document.write(row, np.array([[[3, 0, 0]]], np.uint8), origin())
    document.write(row, np.array([[[3, 3, 3]]], np.uint8), origin(PatchSource.MODEL))
    # What the hand had painted before is the hand's, though the model agrees.
    assert provenance.classes[0, 0, :3].tolist() == [OriginClass.ADDED, OriginClass.AI, OriginClass.AI]
    document.undo()
    assert provenance.classes[0, 0, :3].tolist() == [OriginClass.ADDED, 0, 0]
    document.redo()
    assert provenance.classes[0, 0, :3].tolist() == [OriginClass.ADDED, OriginClass.AI, OriginClass.AI]
    document.write(row, np.array([[[0, 0, 3]]], np.uint8), origin(PatchSource.EXTERNAL))
    assert provenance.classes[0, 0, :3].tolist() == [0, OriginClass.REMOVED, OriginClass.AI]


def test_an_empty_mask_has_no_share_by_hand() -> None:
    assert Provenance(new_document()).counts().by_hand_share == 0.0
    assert set(Provenance(new_document()).by_label()) == set(SCHEMA.values)


def test_its_arrays_cannot_be_written() -> None:
    provenance = Provenance(new_document())
    for array in (provenance.classes, provenance.ai):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1
