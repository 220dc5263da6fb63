"""Rules over connected parts, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.inference.postprocess import close, drop_outside, fuse_nested, keep_larger_than, keep_largest_two

EIGHTEEN = ndimage.generate_binary_structure(3, 2)
MASKS = arrays(bool, st.tuples(*[st.integers(1, 7)] * 3))


def _blocks(*edges: int) -> np.ndarray:
    """Cubes of the given edges, two voxels apart along x."""
    mask = np.zeros((max(edges), max(edges), sum(edges) + 2 * len(edges)), bool)
    x = 0
    for edge in edges:
        mask[:edge, :edge, x : x + edge] = True
        x += edge + 2
    return mask


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_closing_is_dilation_then_erosion_in_endless_background(mask: np.ndarray) -> None:
    wide = np.pad(mask, 4)
    expected = ndimage.binary_erosion(ndimage.binary_dilation(wide, EIGHTEEN), EIGHTEEN)[4:-4, 4:-4, 4:-4]
    closed = close(mask)
    np.testing.assert_array_equal(closed, expected)
    assert (closed | mask == closed).all()
    np.testing.assert_array_equal(close(closed), closed)


def test_closing_fills_a_hole_and_leaves_its_input_alone() -> None:
    mask = np.ones((3, 3, 3), bool)
    mask[1, 1, 1] = False
    before = mask.copy()
    assert close(mask).all()
    np.testing.assert_array_equal(mask, before)


def test_parts_touch_by_an_edge_but_not_by_a_corner() -> None:
    edge = np.zeros((2, 2, 2), bool)
    edge[0, 0, 0] = edge[0, 1, 1] = True
    assert keep_larger_than(edge, 1).sum() == 2
    corner = np.zeros((2, 2, 2), bool)
    corner[0, 0, 0] = corner[1, 1, 1] = True
    assert keep_larger_than(corner, 1).sum() == 0


@pytest.mark.parametrize(
    ("edges", "limit", "kept"),
    [((3, 2), 26, 27), ((3, 2), 27, 0), ((3, 2), 7, 35), ((2,), 1000, 8), ((), 5, 0)],
)
def test_parts_larger_than_a_limit_stay_and_a_single_one_always(edges: tuple[int, ...], limit: int, kept: int) -> None:
    mask = _blocks(*edges) if edges else np.zeros((3, 3, 3), bool)
    assert keep_larger_than(mask, limit).sum() == kept


@pytest.mark.parametrize(
    ("edges", "kept"),
    [((5, 3, 2), 125 + 27), ((5, 2), 125), ((3, 3, 3), 54), ((2,), 8), ((), 0)],
)
def test_the_second_largest_part_stays_above_a_tenth_of_the_largest(edges: tuple[int, ...], kept: int) -> None:
    mask = _blocks(*edges) if edges else np.zeros((3, 3, 3), bool)
    assert keep_largest_two(mask).sum() == kept


@settings(max_examples=60, deadline=None)
@given(MASKS, st.integers(0, 20))
def test_parts_agree_with_scipy(mask: np.ndarray, limit: int) -> None:
    labels, count = ndimage.label(mask, EIGHTEEN)
    sizes = ndimage.sum_labels(mask, labels, range(1, count + 1)) if count else []
    expected = mask if count == 1 else np.isin(labels, [i + 1 for i, size in enumerate(sizes) if size > limit])
    np.testing.assert_array_equal(keep_larger_than(mask, limit), expected)


def test_parts_mostly_outside_are_dropped_and_half_is_enough() -> None:
    mask = _blocks(2, 2, 2)
    whole = np.zeros_like(mask)
    whole[:, :, :2] = True
    whole[:, :, 4:5] = True
    assert drop_outside(mask, whole).sum() == 16
    assert drop_outside(mask, np.zeros_like(mask)).sum() == 0


def test_fusion_nests_fills_and_takes_the_core_into_the_whole() -> None:
    whole = np.zeros((20, 20, 20), bool)
    whole[2:16, 2:16, 2:16] = True
    core = np.zeros_like(whole)
    core[5:12, 5:12, 5:12] = True
    core[14:18, 14:18, 14:18] = True
    enhancing = np.zeros_like(whole)
    enhancing[6:10, 6:10, 6:10] = True
    enhancing[0, 0, 0] = True
    w, c, e = fuse_nested(whole, core, enhancing, min_whole=100)
    assert (w & whole == whole).all()
    assert not w[0, 0, 0]
    assert (c <= w).all()
    assert (e <= c).all()
    assert e.sum() == 64


def test_a_handful_of_enhancing_voxels_is_none() -> None:
    whole = np.zeros((12, 12, 12), bool)
    whole[1:11, 1:11, 1:11] = True
    enhancing = np.zeros_like(whole)
    enhancing[4:7, 4:7, 4:7] = True
    assert fuse_nested(whole, whole, enhancing)[2].sum() == 0
    assert fuse_nested(whole, whole, enhancing, min_enhancing=27)[2].sum() == 27


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_fused_masks_are_always_nested(seed: int) -> None:
    rng = np.random.default_rng(seed)
    w, c, e = fuse_nested(*(rng.random((3, 6, 7, 8)) > 0.6), min_whole=5, min_enhancing=2)
    assert (e <= c).all()
    assert (c <= w).all()
