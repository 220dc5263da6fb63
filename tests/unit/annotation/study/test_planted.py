"""Planted errors: what they change and what they leave, on made-up masks and on the sample case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.annotation.study.planted import plant
from napari_tumorseg.annotation.study.protocol import ERROR_KINDS
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset

SCHEMA = preset("brats-mets-2025")
GRID = Grid.from_spacing((12, 30, 30), (2.0, 1.0, 1.0))


def three_lesions() -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2:5, 3:6, 3:6] = 3
    labels[2:5, 15:19, 15:19] = 2
    labels[3, 16, 16] = 3
    labels[8:10, 24:28, 4:8] = 3
    return labels


def with_vessel(labels: np.ndarray) -> np.ndarray:
    """Return an image with a bright line and a bright ball away from the lesions."""
    image = np.full(labels.shape, 100.0)
    image[labels > 0] = 400.0
    image[8, 2, 8:28] = 500.0
    image[8, 3, 8:28] = 500.0
    image[4:8, 22:26, 22:26] = 500.0
    return image


@given(kind=st.sampled_from(ERROR_KINDS), seed=st.integers(0, 1000))
@settings(max_examples=30)
def test_the_record_says_what_changed(kind: str, seed: int) -> None:
    before = three_lesions()
    after, error = plant(before, GRID, SCHEMA, kind, seed, image=with_vessel(before), shift_mm=2.0)
    again, _ = plant(before, GRID, SCHEMA, kind, seed, image=with_vessel(before), shift_mm=2.0)
    np.testing.assert_array_equal(after, again)
    np.testing.assert_array_equal(before, three_lesions())
    different = np.argwhere(before != after)
    assert tuple(different.min(axis=0)) == error.box_start
    assert tuple(different.max(axis=0) + 1) == error.box_stop
    assert error.removed == int(((before > 0) & (after == 0)).sum())
    assert error.added == len(different) - error.removed
    assert after.dtype == before.dtype
    assert set(np.unique(after)) <= {0, 2, 3}


def test_a_missed_lesion_is_gone_whole_and_each_is_missed_for_some_seed() -> None:
    before = three_lesions()
    gone = set()
    for seed in range(30):
        after, error = plant(before, GRID, SCHEMA, "missed-lesion", seed)
        assert error.added == 0
        assert (after[after > 0] == before[after > 0]).all()
        gone.add(error.removed)
    assert gone == {27, 48, 32}


def test_a_shifted_lesion_keeps_its_form() -> None:
    before = three_lesions()
    for seed in range(20):
        after, error = plant(before, GRID, SCHEMA, "shifted-edge", seed, shift_mm=2.0)
        assert error.detail["shift_mm"] == 2.0
        assert np.bincount(after.ravel()).tolist() == np.bincount(before.ravel()).tolist()
        assert error.detail["direction"][0] == 0  # in the plane


def test_the_line_is_taken_for_a_vessel_and_the_ball_is_not() -> None:
    before = three_lesions()
    after, error = plant(before, GRID, SCHEMA, "vessel", 4, image=with_vessel(before))
    assert error.removed == 0
    # Near the lesion it would be a shifted edge, so that end is left out.
    assert (after[8, 2:4, 10:28] == 3).all()
    assert error.added == 36


@pytest.mark.parametrize(
    ("kind", "labels", "image", "word"),
    [
        ("missed-lesion", np.zeros(GRID.shape, np.uint8), None, "no lesion of 8 voxels"),
        ("shifted-edge", np.zeros(GRID.shape, np.uint8), None, "no lesion of 8 voxels"),
        ("vessel", three_lesions(), None, "only where there is an image"),
        ("vessel", three_lesions(), np.ones(GRID.shape), "shows no vessel"),
        ("vessel", three_lesions(), np.zeros(GRID.shape), "is empty"),
        ("typo", three_lesions(), None, "no error that can be planted"),
    ],
)
def test_where_nothing_can_be_planted_it_says_so(kind: str, labels: np.ndarray, image: np.ndarray | None, word: str) -> None:
    with pytest.raises(InputError, match=word):
        plant(labels, GRID, SCHEMA, kind, 1, image=image)


def test_a_vessel_of_the_sample_brain_is_marked() -> None:
    from napari_tumorseg.io.registry import read_image, read_mask

    folder = Path(__file__).parents[4] / "sample_data" / "brain_mets"
    image = read_image(folder / "t1c.nii.gz")
    mask = read_mask(folder / "seg.nii.gz", schema=SCHEMA)
    after, error = plant(mask.labels, mask.grid, SCHEMA, "vessel", 2, image=image.data)
    assert 20.0 <= error.detail["volume_mm3"] <= 600.0
    assert error.removed == 0
    marked = after != mask.labels
    assert image.data[marked].min() >= np.percentile(image.data[image.data > 0], 98.9)
