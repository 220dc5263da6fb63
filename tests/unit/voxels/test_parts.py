from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from napari_tumorseg.voxels.parts import connected_parts

ELEMENTS = {6: 1, 18: 2, 26: 3}


def assert_same_parts(mask: np.ndarray, connectivity: int) -> None:
    expected, count = ndimage.label(mask, ndimage.generate_binary_structure(3, ELEMENTS[connectivity]))
    parts, found = connected_parts(mask, connectivity)
    assert found == count
    assert set(np.unique(parts)) - {0} == set(range(1, count + 1))
    pairs = set(zip(parts.ravel().tolist(), expected.ravel().tolist(), strict=True)) - {(0, 0)}
    assert len(pairs) == count
    assert (parts > 0).tolist() == mask.tolist()


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=6)), st.sampled_from([6, 18, 26]))
def test_parts_equal_scipy(mask: np.ndarray, connectivity: int) -> None:
    assert_same_parts(mask, connectivity)


@pytest.mark.parametrize("shape", [s for s in itertools.product((1, 2, 3, 4), repeat=3) if 1 in s])
def test_parts_of_thin_masks_equal_scipy(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        assert_same_parts(rng.random(shape) < 0.5, 26)


def test_parts_of_a_view_equal_those_of_its_copy() -> None:
    mask = np.random.default_rng(1).random((6, 7, 8)) < 0.4
    assert_same_parts(mask[::2, ::-1].transpose(2, 0, 1), 26)


def test_an_empty_mask_has_no_parts() -> None:
    parts, count = connected_parts(np.zeros((2, 3, 4), bool))
    assert count == 0
    assert not parts.any()
