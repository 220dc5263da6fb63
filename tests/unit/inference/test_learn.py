from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.core.errors import Cancelled, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import CancelToken, Progress, ProgressState
from napari_tumorseg.inference.prompted.learn import LearnOptions, Learnt, learn

FAST = LearnOptions(steps=200, width=32)


def scene(seed: int = 0) -> tuple[Grid, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return a core (1) in a shell (2) on thick slices, its image, and a mask that has the border between them wrong."""
    grid = Grid.from_spacing((24, 40, 44), (2.0, 1.0, 1.0))
    z, y, x = np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij")
    away = np.sqrt(((z - 12) * 2.0) ** 2 + (y - 20) ** 2 + (x - 22) ** 2)
    truth = np.select([away <= 8, away <= 14], [1, 2], 0).astype(np.uint8)
    image = np.array([10.0, 60.0, 30.0])[truth] + np.random.default_rng(seed).normal(0, 3, grid.shape)
    model = np.select([away <= 5, away <= 16], [1, 2], 0).astype(np.uint8)
    return grid, {"T1c": image.astype(np.float32)}, truth, model


def checked(truth: np.ndarray, model: np.ndarray, slices: list[int]) -> tuple[np.ndarray, np.ndarray]:
    known = np.zeros(truth.shape, bool)
    known[slices] = True
    return np.where(known, truth, model), known


def whole(found: Learnt, labels: np.ndarray) -> np.ndarray:
    out = labels.copy()
    out[found.box.slices] = found.labels
    return out


def test_what_was_corrected_in_some_slices_is_corrected_in_the_others() -> None:
    grid, images, truth, model = scene()
    labels, known = checked(truth, model, [8, 12, 16])
    found = whole(learn(images, grid, labels, known, model, FAST), labels)
    wrong = ~known & (model != truth)
    assert np.count_nonzero(found[wrong] == truth[wrong]) > 0.9 * np.count_nonzero(wrong)
    assert np.count_nonzero(found != truth) < 0.1 * np.count_nonzero(model != truth)


def test_it_fills_between_slices_that_were_painted_from_nothing() -> None:
    grid, images, truth, _ = scene()
    labels, known = checked(truth, np.zeros_like(truth), [6, 10, 14, 18])
    found = whole(learn(images, grid, labels, known, None, FAST), labels)
    inside = truth[6:19] > 0
    assert np.count_nonzero((found[6:19] > 0) & inside) > 0.95 * np.count_nonzero(inside)


@settings(max_examples=6)
@given(st.lists(st.integers(6, 18), min_size=2, max_size=4, unique=True), st.integers(0, 3))
def test_checked_voxels_stay_and_nothing_changes_out_of_reach(slices: list[int], seed: int) -> None:
    grid, images, truth, model = scene(seed)
    labels, known = checked(truth, model, slices)
    found = whole(learn(images, grid, labels, known, model, LearnOptions(steps=20, width=8, reach_mm=4)), labels)
    assert np.array_equal(found[known], labels[known])
    away = ndimage.distance_transform_edt((labels == 0) & (model == 0), sampling=grid.spacing_mm)
    assert np.array_equal(found[away > 4.001], labels[away > 4.001])
    assert set(np.unique(found)) <= {0, 1, 2}


def test_probabilities_belong_to_the_labels() -> None:
    grid, images, truth, model = scene()
    labels, known = checked(truth, model, [8, 12, 16])
    found = learn(images, grid, labels, known, model, FAST)
    assert set(found.probabilities) == {0, 1, 2}
    shares = np.stack([found.probabilities[v].astype(np.float32) for v in range(3)])
    assert shares.shape[1:] == found.box.shape
    assert shares.min() >= 0
    changed = found.labels != labels[found.box.slices]
    assert np.array_equal(shares.argmax(0)[changed], found.labels[changed])


def test_the_same_twice_and_torch_is_left_as_it_was() -> None:
    import torch

    grid, images, truth, model = scene()
    labels, known = checked(truth, model, [9, 15])
    before = torch.random.get_rng_state()
    first, second = (learn(images, grid, labels, known, model, LearnOptions(steps=30, width=16)).labels for _ in range(2))
    assert np.array_equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_it_stops_in_the_middle_when_asked_to() -> None:
    grid, images, truth, model = scene()
    labels, known = checked(truth, model, [9, 15])
    token = CancelToken()
    seen: list[str] = []

    def report(state: ProgressState) -> None:
        seen.append(state.message)
        if state.message == "Learning":
            token.cancel()

    with pytest.raises(Cancelled):
        learn(images, grid, labels, known, model, FAST, Progress(report, token))
    assert seen[-1] == "Learning"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("none known", "No slice has been checked"),
        ("one class", "fewer than two classes"),
        ("empty", "The mask is empty"),
        ("shape", "has the shape"),
        ("no image", "no image to learn from"),
    ],
)
def test_what_cannot_be_learnt_from_is_said_in_one_line(what: str, message: str) -> None:
    grid, images, truth, model = scene()
    labels, known = checked(truth, model, [12])
    first: np.ndarray | None = model
    if what == "none known":
        known[:] = False
    elif what == "one class":
        known[:] = False
        known[12, 20, 22] = True
    elif what == "empty":
        labels, first = np.zeros_like(labels), None
    elif what == "shape":
        known = known[1:]
    else:
        images = {}
    with pytest.raises(InputError, match=message) as caught:
        learn(images, grid, labels, known, first, FAST)
    assert "\n" not in str(caught.value)
