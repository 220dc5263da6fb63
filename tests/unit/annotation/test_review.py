from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.annotation.entries import EntryKind
from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.lesion_index import LesionIndex
from napari_tumorseg.workflows.lesion_ledger import LesionLedger

TODO, ACCEPTED, EDITED = LesionStatus.TODO, LesionStatus.ACCEPTED, LesionStatus.EDITED
REJECTED, ADDED, UNCERTAIN = LesionStatus.REJECTED, LesionStatus.ADDED, LesionStatus.UNCERTAIN
SHAPE = (3, 8, 12)


class Bench:
    """A mask of a model with lesions 1 (12 voxels) and 2 (6 voxels), its index and its sheet."""

    def __init__(self) -> None:
        labels = np.zeros(SHAPE, np.uint8)
        labels[1, 1:4, 0:4] = 3
        labels[1, 1:3, 8:11] = 1
        self.document = MaskDocument(labels, Grid.from_spacing(SHAPE, (1, 1, 1)), preset("brats-mets-2025"), MaskKind.AI, "net")
        self.ledger = LesionLedger.of(self.document)
        self.sheet = self.ledger.sheet
        self.sheet.by_model = lambda _row: False
        self.facts = []
        self.ledger.record_to(lambda kind, person, facts: self.facts.append((person, facts)) if kind is EntryKind.REVIEW else None)
        self.document.listen(lambda change: self.ledger.follow([self.ledger.pair(change)]))

    def paint(self, y: slice, x: slice, value: int, source: PatchSource = PatchSource.HAND) -> None:
        box = Box((1, y.start, x.start), (2, y.stop, x.stop))
        self.document.write(box, np.full(box.shape, value, np.uint8), Origin(source, "paint", "A.B."))

    @property
    def index(self) -> LesionIndex:
        return self.ledger.index

    def say(self, number: int, status: LesionStatus) -> None:
        self.ledger.set_status(self.index.row(number), status, "A.B.")

    def reject(self, number: int) -> None:
        self.ledger.reject(self.index.row(number), "A.B.")

    @property
    def statuses(self) -> dict[int, LesionStatus]:
        listed = {number: self.sheet.status(number) for number in self.index.numbers}
        return listed | {kept.lesion.id: REJECTED for kept in self.sheet.rejected}


def test_every_status_has_its_own_sign() -> None:
    assert len({status.sign for status in LesionStatus}) == len(LesionStatus) == 6
    assert all(status.text == f"{status.sign} {status.value}" for status in LesionStatus)


def test_an_edit_by_hand_changes_the_status_and_undo_gives_it_back() -> None:
    bench = Bench()
    assert bench.statuses == {1: TODO, 2: TODO}
    bench.say(2, ACCEPTED)
    bench.paint(slice(1, 2), slice(4, 5), 3)
    bench.paint(slice(1, 2), slice(8, 9), 3)
    assert bench.statuses == {1: EDITED, 2: EDITED}
    bench.document.undo()
    assert bench.statuses == {1: EDITED, 2: ACCEPTED}
    bench.document.undo()
    assert bench.statuses == {1: TODO, 2: ACCEPTED}
    bench.document.redo()
    assert bench.statuses == {1: EDITED, 2: ACCEPTED}


def test_what_a_person_draws_is_added_and_stays_so() -> None:
    bench = Bench()
    bench.paint(slice(6, 7), slice(5, 6), 3)
    bench.paint(slice(6, 7), slice(6, 7), 3)
    assert bench.statuses == {1: TODO, 2: TODO, 3: ADDED}
    bench.document.undo()
    bench.document.undo()
    assert bench.statuses == {1: TODO, 2: TODO}
    bench.document.redo()
    assert bench.statuses == {1: TODO, 2: TODO, 3: ADDED}


def test_what_a_model_draws_is_to_do() -> None:
    bench = Bench()
    bench.paint(slice(6, 7), slice(5, 6), 3, PatchSource.MODEL)
    assert bench.statuses == {1: TODO, 2: TODO, 3: TODO}


def test_uncertain_stays_through_edits_until_the_saying_of_it_is_undone() -> None:
    bench = Bench()
    bench.paint(slice(1, 2), slice(4, 5), 3)
    bench.say(1, UNCERTAIN)
    bench.paint(slice(2, 3), slice(4, 5), 3)
    assert bench.statuses[1] is UNCERTAIN
    bench.document.undo()
    assert bench.statuses[1] is UNCERTAIN
    bench.document.undo()
    assert bench.statuses[1] is EDITED
    bench.document.redo()
    assert bench.statuses[1] is UNCERTAIN
    bench.say(1, TODO)
    assert bench.statuses[1] is TODO


def test_a_piece_that_is_cut_off_is_edited_as_the_rest_is() -> None:
    bench = Bench()
    bench.paint(slice(1, 4), slice(1, 2), 0)
    assert bench.statuses == {1: EDITED, 2: TODO, 3: EDITED}
    bench.document.undo()
    assert bench.statuses == {1: TODO, 2: TODO}


def test_rejecting_is_one_step_keeps_the_row_and_can_be_undone_and_brought_back() -> None:
    bench = Bench()
    before = bench.document.labels.copy()
    row = bench.index.row(2)
    bench.say(2, ACCEPTED)
    bench.reject(2)
    assert bench.statuses == {1: TODO, 2: REJECTED}
    assert bench.sheet.rejected[0].lesion == row
    assert len(bench.document.history.undo) == 2, "accepted, then rejected"
    assert not bench.document.labels[1, :, 8:].any()
    bench.document.undo()
    assert bench.statuses == {1: TODO, 2: ACCEPTED}
    bench.document.redo()
    assert bench.statuses == {1: TODO, 2: REJECTED}
    bench.paint(slice(1, 2), slice(4, 5), 3)  # something else in between
    bench.ledger.bring_back(2, "A.B.")
    assert bench.statuses == {1: EDITED, 2: ACCEPTED}
    assert bench.index.row(2) == row
    bench.document.undo()
    assert bench.statuses == {1: EDITED, 2: REJECTED}
    bench.document.undo()
    bench.document.undo()
    assert bench.statuses == {1: TODO, 2: ACCEPTED}
    assert np.array_equal(bench.document.labels, before)


def test_what_is_brought_back_does_not_overwrite() -> None:
    bench = Bench()
    bench.reject(2)
    bench.paint(slice(1, 3), slice(8, 9), 2)
    bench.ledger.bring_back(2)
    assert (bench.document.labels[1, 1:3, 8] == 2).all()
    assert (bench.document.labels[1, 1:3, 9:11] == 1).all()
    assert not bench.sheet.rejected
    bench.reject(1)
    bench.paint(slice(1, 4), slice(0, 4), 2)
    with pytest.raises(InputError, match="place of lesion 1 is taken"):
        bench.ledger.bring_back(1)
    with pytest.raises(InputError, match="was not rejected"):
        bench.ledger.bring_back(9)


def test_a_locked_label_is_not_rejected() -> None:
    bench = Bench()
    bench.document.locked = frozenset({3})
    with pytest.raises(InputError, match="holds ET, which is locked"):
        bench.reject(1)
    assert bench.statuses == {1: TODO, 2: TODO}
    bench.reject(2)
    with pytest.raises(InputError, match="was rejected"):
        bench.ledger.set_status(bench.sheet.rejected[0].lesion, ACCEPTED)


def test_events_say_what_was_decided_and_are_json() -> None:
    bench = Bench()
    bench.say(1, ACCEPTED)
    bench.say(1, ACCEPTED)  # nothing new
    bench.paint(slice(1, 2), slice(4, 5), 3)
    bench.reject(2)
    told = [(f["what"], f["lesion"], f["before"], f["after"], f["automatic"], person) for person, f in bench.facts]
    assert told == [
        ("status", 1, TODO, ACCEPTED, False, "A.B."),
        ("status", 1, ACCEPTED, EDITED, True, "A.B."),
        ("reject", 2, TODO, REJECTED, False, "A.B."),
    ]
    facts = json.loads(json.dumps(bench.facts[2][1]))
    step = bench.document.history.undo[-1][-1].origin.step
    assert facts == {
        "what": "reject",
        "lesion": 2,
        "anchor": [1, 1, 8],
        "step": step,
        "automatic": False,
        "before": "to do",
        "after": "rejected",
        "volume_mm3": 6.0,
    }


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 10), st.integers(1, 3), st.sampled_from([0, 1, 3])), min_size=1, max_size=8))
def test_undoing_everything_gives_back_every_status(acts) -> None:
    bench = Bench()
    bench.say(2, ACCEPTED)
    first = bench.document.revision
    states = [bench.statuses]
    for y, x, size, value in acts:
        steps = len(bench.document.history.undo)
        if value == 1 and 1 in bench.index.numbers and size == 1:
            bench.reject(1)
        else:
            bench.paint(slice(y, min(8, y + size)), slice(x, min(12, x + size)), value)
        if len(bench.document.history.undo) > steps:
            states.append(bench.statuses)
    assert bench.document.revision == first + len(states) - 1
    for state in reversed(states[:-1]):
        assert set(bench.index.numbers) <= set(bench.statuses)
        bench.document.undo()
        assert bench.statuses == state
    for state in states[1:]:
        bench.document.redo()
        assert bench.statuses == state
