from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.voxels.ball import ball
from napari_tumorseg.voxels.distance import closed, depth_mm, dilated, eroded, opened, signed_distance_mm

MASKS = arrays(np.bool_, (4, 6, 7))
SPACINGS = st.tuples(st.sampled_from([1.0, 2.5, 4.0]), st.sampled_from([0.7, 1.0]), st.sampled_from([0.7, 1.3]))
RADII = st.sampled_from([0.0, 0.7, 1.0, 1.4, 2.1, 3.0, 5.2])


@given(MASKS, SPACINGS)
def test_depth_is_the_distance_to_the_nearest_voxel_outside(mask: np.ndarray, spacing: tuple[float, float, float]) -> None:
    found = depth_mm(mask, spacing)
    outside = np.argwhere(~mask) * spacing
    for voxel in itertools.product(*(range(n) for n in mask.shape)):
        if not mask[voxel]:
            assert found[voxel] == 0
        elif len(outside):
            assert found[voxel] == pytest.approx(np.linalg.norm(outside - np.multiply(voxel, spacing), axis=1).min(), rel=1e-5)
        else:
            assert np.isinf(found[voxel])


@given(MASKS, SPACINGS, st.integers(0, 2))
def test_depth_within_slices(mask: np.ndarray, spacing: tuple[float, float, float], axis: int) -> None:
    found = np.moveaxis(depth_mm(mask, spacing, axis), axis, 0)
    flat = [s for i, s in enumerate(spacing) if i != axis]
    for plane, depth in zip(np.moveaxis(mask, axis, 0), found, strict=True):
        expected = np.full(plane.shape, np.inf) if plane.all() else ndimage.distance_transform_edt(plane, flat)
        np.testing.assert_allclose(depth, expected, rtol=1e-5)


@given(MASKS, SPACINGS, RADII, st.sampled_from([None, 0, 1, 2]))
def test_morphology_equals_scipy_with_a_ball(
    mask: np.ndarray, spacing: tuple[float, float, float], radius: float, axis: int | None
) -> None:
    sizes = [s if i != axis else 1e9 for i, s in enumerate(spacing)]
    structure = ball(2 * radius, sizes)
    assert np.array_equal(dilated(mask, radius, spacing, axis), ndimage.binary_dilation(mask, structure))
    small = ndimage.binary_erosion(mask, structure, border_value=1)
    assert np.array_equal(eroded(mask, radius, spacing, axis), small)
    assert np.array_equal(opened(mask, radius, spacing, axis), ndimage.binary_dilation(small, structure))
    reach = [n // 2 for n in structure.shape]
    wide = ndimage.binary_closing(np.pad(mask, [(2 * n + 1, 2 * n + 1) for n in reach]), structure)
    inner = tuple(slice(2 * n + 1, 2 * n + 1 + m) for n, m in zip(reach, mask.shape, strict=True))
    assert np.array_equal(closed(mask, radius, spacing, axis), wide[inner])


@given(MASKS, SPACINGS, RADII)
def test_opening_shrinks_closing_grows_and_both_settle(mask: np.ndarray, spacing: tuple[float, float, float], radius: float) -> None:
    small, large = opened(mask, radius, spacing), closed(mask, radius, spacing)
    assert not (small & ~mask).any()
    assert not (mask & ~large).any()
    assert np.array_equal(opened(small, radius, spacing), small)
    assert np.array_equal(closed(large, radius, spacing), large)


def test_a_mask_that_the_border_cuts_off_is_not_eaten_there() -> None:
    mask = np.zeros((8, 20, 20), bool)
    mask[:, :9, 5:15] = True
    assert np.array_equal(opened(mask, 2.0, (1, 1, 1), axis=0)[:, 0], mask[:, 0])


def test_signed_distances_change_sign_at_the_border() -> None:
    mask = np.zeros((5, 8), bool)
    mask[1:4, 2:6] = True
    found = signed_distance_mm(mask, (2.0, 1.0))
    assert ((found > 0) == mask).all()
    assert found[2, 1] == -1.0
    assert found[2, 2] == 1.0
