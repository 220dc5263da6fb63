from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.voxels.ball import ball


@given(st.floats(0, 12), st.lists(st.floats(0.4, 6), min_size=2, max_size=3))
def test_a_ball_holds_the_voxels_within_its_radius(diameter_mm: float, spacing_mm: list[float]) -> None:
    found = ball(diameter_mm, spacing_mm)
    assert all(n % 2 == 1 for n in found.shape)
    middle = [n // 2 for n in found.shape]
    for index in itertools.product(*(range(n) for n in found.shape)):
        distance = np.linalg.norm([(i - m) * s for i, m, s in zip(index, middle, spacing_mm, strict=True)])
        if abs(distance - diameter_mm / 2) > 1e-6:
            assert found[index] == (distance <= diameter_mm / 2)
    # Nothing is cut off: one voxel further along an axis would lie outside.
    for n, s in zip(found.shape, spacing_mm, strict=True):
        assert (n // 2 + 1) * s > diameter_mm / 2 - 1e-6


def test_a_ball_is_never_empty() -> None:
    assert ball(0.0, (3.0, 1.0, 1.0)).tolist() == [[[True]]]


def test_a_sphere_on_thick_slices_is_flat_in_voxels() -> None:
    assert ball(10.0, (5.0, 1.0, 1.0)).shape == (3, 11, 11)
