"""Lin's concordance correlation coefficient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.concordance import concordance

numbers = st.floats(-1e3, 1e3).map(lambda v: round(v, 3))


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=30))
def test_it_equals_the_definition_and_is_1_exactly_where_y_is_x(pairs):
    x, y = np.array(pairs).T
    if np.ptp(x) < 1e-2 or np.ptp(y) < 1e-2:
        return
    found = concordance(x, y)
    below = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    assert found["ccc"] == pytest.approx(2 * np.mean((x - x.mean()) * (y - y.mean())) / below, abs=1e-9)
    assert found["ccc"] == pytest.approx(found["pearson_r"] * found["bias_correction"], abs=1e-9)
    assert (found["ccc"] == 1.0) == np.array_equal(x, y)
    assert concordance(x, x)["ccc"] == 1.0
    low, high = found["ccc_ci"]
    assert -1 <= low <= found["ccc"] + 1e-9
    assert found["ccc"] - 1e-9 <= high <= 1


def test_a_shift_lowers_it_as_the_formula_says():
    x = np.arange(10.0)
    found = concordance(x, x + 3)
    assert found["pearson_r"] == pytest.approx(1)
    assert found["ccc"] == pytest.approx(2 * x.var() / (2 * x.var() + 9))
    assert found["location_shift"] == pytest.approx(3 / x.std())


def test_the_interval_is_that_of_the_delta_method_in_lins_own_notation():
    rng = np.random.default_rng(4)
    x = rng.normal(10, 2, 40)
    y = 0.9 * x + rng.normal(1.5, 1, 40)
    found = concordance(x, y)
    r, p, n = found["pearson_r"], found["ccc"], 40
    u = (y.mean() - x.mean()) / np.sqrt(x.std() * y.std())
    variance = ((1 - r**2) * p**2 / ((1 - p**2) * r**2) + 2 * p**3 * (1 - p) * u**2 / (r * (1 - p**2) ** 2)
                - p**4 * u**4 / (2 * r**2 * (1 - p**2) ** 2)) / (n - 2)  # fmt: skip
    half = 1.959963984540054 * np.sqrt(variance)
    assert found["ccc_ci"] == pytest.approx(list(np.tanh(np.arctanh(p) + np.array([-half, half]))), abs=1e-12)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(11)
    runs, n, between, error, shift = 1500, 60, 2.0, 0.7, 0.5
    truth = 2 * between**2 / (2 * (between**2 + error**2) + shift**2)
    true = rng.normal(0, between, (runs, n))
    x, y = (true + rng.normal(0, error, (runs, n)) + by for by in (0, shift))
    held = np.mean([low <= truth <= high for low, high in (concordance(a, b)["ccc_ci"] for a, b in zip(x, y, strict=True))])
    assert held == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / runs))


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        ([1, 2], [1, 2], "2 pairs"),
        ([1, 2, np.nan], [1, 2, 3], "not finite"),
        ([1, 1, 1], [1, 2, 3], "reference is 1"),
        ([1, 2, 3], [4, 4, 4], "test is 4"),
        ([1, 2, 3], [1, 2], "shapes"),
    ],
)
def test_what_is_no_pair_is_refused(x, y, says):
    with pytest.raises(InputError, match=says):
        concordance(x, y)
