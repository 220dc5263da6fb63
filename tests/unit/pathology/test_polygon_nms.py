from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.polygon_nms import _UNSURE, _Candidates, keep_polygons, star_polygons


def plain_suppression(centres, distances, probabilities, limit: float) -> list[int]:
    """StarDist's rule as it is written: one candidate after the other against all that were kept."""
    polygons = [shapely.Polygon(p) for p in star_polygons(centres, distances)]
    kept: list[int] = []
    for i in sorted(range(len(polygons)), key=lambda i: (-probabilities[i], i)):
        if all(
            polygons[i].intersection(polygons[j]).area <= limit * min(polygons[i].area, polygons[j].area)
            for j in kept
            if polygons[i].intersects(polygons[j])
        ):
            kept.append(i)
    return kept


@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([4, 8, 32]), st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9]))
@settings(max_examples=60, deadline=None)
def test_the_kept_are_those_of_the_plain_rule(seed: int, n: int, rays: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 40, (n, 2)) * 2
    distances = rng.uniform(0.5, 3, (n, rays)) * rng.uniform(0.5, 6, (n, 1))
    probabilities = rng.integers(0, 20, n) / 20
    assert keep_polygons(centres, distances, probabilities, limit).tolist() == plain_suppression(centres, distances, probabilities, limit)


def test_several_blocks_give_the_same_as_the_plain_rule() -> None:
    rng = np.random.default_rng(0)
    nuclei = rng.uniform(0, 500, (400, 2))
    centres = np.repeat(nuclei, 4, axis=0) + rng.normal(0, 2, (1600, 2))
    distances = rng.uniform(8, 14, (1600, 1)) * rng.uniform(0.9, 1.1, (1600, 32))
    probabilities = rng.random(1600)
    assert keep_polygons(centres, distances, probabilities).tolist() == plain_suppression(centres, distances, probabilities, 0.3)


def test_far_more_candidates_than_a_block_in_one_place_leave_one() -> None:
    n = 40_000
    probabilities = np.linspace(0.1, 0.9, n)
    assert keep_polygons(np.full((n, 2), 50), np.full((n, 32), 6.0), probabilities).tolist() == [n - 1]


@given(st.integers(0, 10**6), st.sampled_from([4, 7, 32]), st.sampled_from([0.01, 1.0, 40.0]))
@settings(max_examples=60, deadline=None)
def test_the_shared_area_is_that_of_geos(seed: int, rays: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    # Whole and equal distances make corners and edges that coincide.
    distances = size * np.where(rng.random((12, 1)) < 0.5, rng.integers(1, 4, (12, rays)), rng.uniform(0.2, 3, (12, rays)))
    pairs = _Candidates(size * rng.integers(0, 4, (12, 2)), distances, 0.3)
    first, second = np.triu_indices(12, 1)
    scale = (pairs.outer[first] + pairs.outer[second]) * np.minimum(pairs.outer[first], pairs.outer[second])
    wrong = np.abs(pairs._intersections(first, second) - pairs._exact(first, second)) / scale
    assert wrong.max() < _UNSURE / 2


def test_just_at_the_limit_both_are_kept_and_just_above_one() -> None:
    # Diamonds of half diagonal 1, moved along a side by t of it: they share 1 - t of the area.
    distances, probabilities = np.ones((2, 4)), np.array([0.9, 0.8])
    for shift, kept in ((0.7 + 1e-6, 2), (0.7 - 1e-6, 1)):
        centres = np.array([[0.0, 0.0], [shift, shift]])
        assert len(keep_polygons(centres, distances, probabilities)) == kept


def test_a_small_one_inside_a_large_one_goes() -> None:
    kept = keep_polygons(np.array([[20, 20], [26, 20]]), np.stack([np.full(32, 15.0), np.full(32, 2.0)]), np.array([0.7, 0.6]))
    assert kept.tolist() == [0]


def test_nothing_gives_nothing_and_bad_input_is_named() -> None:
    assert len(keep_polygons(np.zeros((0, 2)), np.zeros((0, 32)), np.zeros(0))) == 0
    with pytest.raises(InputError, match="positive number"):
        keep_polygons(np.zeros((1, 2)), np.zeros((1, 32)), np.ones(1))
    with pytest.raises(InputError, match="do not fit"):
        keep_polygons(np.zeros((2, 2)), np.ones((1, 32)), np.ones(2))
