"""Coverage probability and total deviation index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.coverage import (
    coverage,
    coverage_probability,
    total_deviation_index,
    total_deviation_index_approximate,
)


@given(st.floats(-50, 50), st.floats(0.01, 20), st.floats(0.05, 0.99))
def test_the_index_is_the_inverse_of_the_probability(mean, sd, share):
    bound = total_deviation_index(mean, sd, share)
    assert coverage_probability(mean, sd, bound) == pytest.approx(share, abs=1e-9)


@given(st.floats(-5, 5), st.floats(0.1, 5), st.floats(0.01, 20))
def test_the_probability_is_the_non_central_chi_squared_one(mean, sd, bound):
    expected = stats.ncx2.cdf((bound / sd) ** 2, 1, (mean / sd) ** 2)
    assert coverage_probability(mean, sd, bound) == pytest.approx(expected, abs=1e-7)


@given(st.floats(-3, 3), st.floats(0.5, 3), st.floats(0.05, 5))
def test_the_index_of_the_probability_of_a_bound_is_the_bound(mean, sd, bound):
    share = float(coverage_probability(mean, sd, bound))
    if 0.01 < share < 0.999:
        assert total_deviation_index(mean, sd, share) == pytest.approx(bound, rel=1e-6)


def test_the_approximation_is_exact_without_bias_and_near_with_a_small_one():
    assert total_deviation_index_approximate(0, 2, 0.9) == pytest.approx(float(total_deviation_index(0, 2, 0.9)))
    assert total_deviation_index_approximate(0.5, 1, 0.9) == pytest.approx(float(total_deviation_index(0.5, 1, 0.9)), rel=0.01)


def test_without_spread_the_bias_is_the_index():
    assert total_deviation_index(-2, 0, 0.9) == pytest.approx(2)
    assert coverage_probability(-2, 0, [1.9, 2.0]).tolist() == [0, 1]


def test_the_intervals_are_drawn_again_with_the_seed_and_hold_the_truth():
    rng = np.random.default_rng(8)
    d = rng.normal(0.5, 1, (120, 80))
    truth = float(total_deviation_index(0.5, 1.0, 0.9))
    found = [coverage(np.zeros(80), row, 1.0) for row in d[:60]]
    assert coverage(np.zeros(80), d[0], 1.0) == found[0]
    held = np.mean([low <= truth <= high for low, high in (row["tdi_ci"] for row in found)])
    assert held >= 0.95 - 3.3 * np.sqrt(0.95 * 0.05 / 60)


def test_shares_and_bounds_that_are_none_are_refused():
    with pytest.raises(InputError, match="share"):
        total_deviation_index(0, 1, 1.0)
    with pytest.raises(InputError, match="bound"):
        coverage([1, 2, 3], [1, 2, 3], -1)
