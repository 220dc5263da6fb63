"""Windows along each axis, and the noise around the volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.inference.planes import PLANES, Plane, frame, plane_probability, starts


@given(st.integers(1, 300))
def test_windows_cover_every_slice_and_end_one_after_the_volume(depth: int) -> None:
    firsts = starts(depth)
    assert set(range(depth)) <= {first + i for first in firsts for i in range(11)}
    # The definition speaks of centres: 5, 16, 27, ..., the last one clipped to depth - 5.
    assert [first + 5 for first in firsts] == [min(centre, depth - 5) for centre in range(5, depth + 5, 11)]


@pytest.mark.parametrize(("size", "least", "expected"), [(1, 96, 96), (96, 96, 96), (97, 96, 100), (181, 180, 184), (180, 160, 180)])
def test_frames_are_multiples_of_four(size: int, least: int, expected: int) -> None:
    assert frame(size, least) == expected


def _run(image: np.ndarray, plane: Plane, least: tuple[int, int], score: object) -> np.ndarray:
    return plane_probability(score, image, plane, least, np.random.default_rng(3), lambda number, total: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("plane", PLANES, ids=lambda p: p.name)
@pytest.mark.parametrize("shape", [(5, 9, 7), (23, 30, 25), (40, 12, 19)])
def test_every_voxel_is_answered_from_its_own_place(plane: Plane, shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(1).standard_normal((4, *shape)).astype(np.float32)
    middle = _run(image, plane, (12, 16), lambda window: window[4:15, 2])
    np.testing.assert_array_equal(middle, image[2])
    assert middle.shape == shape


@pytest.mark.parametrize("plane", PLANES, ids=lambda p: p.name)
def test_windows_are_whole_and_framed_by_noise(plane: Plane) -> None:
    image = np.full((4, 14, 10, 9), 50.0, np.float32)
    seen: list[np.ndarray] = []

    def score(window: np.ndarray) -> np.ndarray:
        seen.append(window.copy())
        return window[4:15, 0]

    _run(image, plane, (20, 24), score)
    assert {window.shape for window in seen} == {(19, 4, 20, 24)}
    noise = np.concatenate([w[w != 50].ravel() for w in seen])
    assert abs(noise.mean()) < 0.05
    assert abs(noise.std() - 1) < 0.05
    rows = np.flatnonzero((seen[0][10, 0] == 50).any(axis=1))
    assert abs((rows[0]) - (19 - rows[-1])) <= 1


def test_a_tick_comes_before_each_window() -> None:
    ticks: list[tuple[int, int]] = []
    image = np.zeros((4, 30, 8, 8), np.float32)
    plane_probability(lambda w: w[4:15, 0], image, PLANES[0], (8, 8), np.random.default_rng(0), lambda n, of: ticks.append((n, of)))
    assert ticks == [(0, 3), (1, 3), (2, 3)]
