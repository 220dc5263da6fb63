from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.annotation import replay as replay_module
from napari_tumorseg.annotation.checkpoints import Capture
from napari_tumorseg.annotation.reader import Steps
from napari_tumorseg.annotation.replay import Replay
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.errors import InputError

from .conftest import SHAPE, acts, new_document, paint, perform


def checkpoint(document: MaskDocument) -> Any:
    capture = Capture(document)
    for _ in capture.blocks():
        pass
    return capture.entry(0, 0)


@settings(max_examples=40)
@given(
    labels=hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 4)),
    done=st.lists(acts, max_size=20),
    seeks=st.lists(st.floats(0, 1), max_size=8),
    far=st.sampled_from([0, 3, 1000]),
)
def test_it_goes_to_any_act_in_any_order(labels: np.ndarray, done: list[Any], seeks: list[float], far: int) -> None:
    document = new_document(labels)
    changes: list[Change] = []
    document.listen(changes.append)
    checkpoints = [checkpoint(document)]
    states: list[np.ndarray] = [labels.copy()]
    ids: list[tuple[str, str]] = []
    for i, act in enumerate(done):
        before = len(changes)
        perform(document, act)
        if len(changes) > before:
            origin = changes[-1].patch.origin
            if ids and ids[-1] == (origin.step, origin.source):
                states[-1] = document.labels.copy()
            else:
                states.append(document.labels.copy())
                ids.append((origin.step, origin.source))
        if i % 7 == 6:
            checkpoints.append(checkpoint(document))
    steps = Steps(Task.of(document, "case", "mask"), checkpoints, [(c.revision, c.patch) for c in changes])
    replay = Replay(steps)
    assert len(replay) == len(states) - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_module, "_LEAP", 1 + far)
        for share in [*seeks, 1.0, 0.0]:
            index = round(share * len(replay))
            before_labels = replay.labels.copy()
            box = replay.seek(index)
            np.testing.assert_array_equal(replay.labels, states[index])
            moved = before_labels != replay.labels
            if box is None:
                assert not moved.any()
            else:
                moved[box.slices] = False
                assert not moved.any()
    for (step, played), expected in zip(replay.play(), states[1:], strict=True):
        np.testing.assert_array_equal(played, expected)
        assert step.index == replay.index
    assert replay.steps == () or replay.steps[-1].revision == document.revision
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        expected_counts = np.zeros(SHAPE[axis], int)
        now = labels.copy()
        for change in changes:
            after = now.copy()
            after[change.patch.box.slices] = change.patch.new
            expected_counts += (after != now).sum(axis=others)
            now = after
        np.testing.assert_array_equal(replay.changed_per_slice(axis), expected_counts)


def test_an_act_that_is_not_there_is_refused() -> None:
    document = new_document()
    replay = Replay(Steps(Task.of(document, "case", "mask"), [checkpoint(document)], []))
    for index in (-1, 1):
        with pytest.raises(InputError, match="0 steps"):
            replay.seek(index)
    assert replay.seek(0) is None


def test_the_mask_of_a_replay_cannot_be_written() -> None:
    document = new_document()
    changes: list[Change] = []
    document.listen(changes.append)
    first = checkpoint(document)
    paint(document, 1)
    replay = Replay(Steps(Task.of(document, "case", "mask"), [first], [(c.revision, c.patch) for c in changes]))
    with pytest.raises(ValueError, match="read-only"):
        replay.labels[0, 0, 0] = 1
    assert (replay.steps[0].tool, replay.steps[0].person, replay.steps[0].source) == ("paint", "A.B.", "hand")
