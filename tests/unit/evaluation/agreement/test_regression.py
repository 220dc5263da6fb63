"""Passing-Bablok and Deming regression."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.regression import deming, passing_bablok


def slow_passing_bablok(x, y):
    slopes = []
    for i, j in itertools.combinations(range(len(x)), 2):
        if x[i] == x[j] and y[i] == y[j]:
            continue
        slope = np.copysign(np.inf, y[j] - y[i]) if x[i] == x[j] else (y[j] - y[i]) / (x[j] - x[i])
        if slope != -1:
            slopes.append(slope)
    slopes.sort()
    shift = sum(slope < -1 for slope in slopes)
    n, count = len(x), len(slopes)
    places = [(count + 1) // 2 + shift] if count % 2 else [count // 2 + shift, count // 2 + 1 + shift]
    if places[-1] > count:
        return None
    slope = np.mean([slopes[place - 1] for place in places])
    reach = stats.norm.ppf(0.975) * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    first = round((count - reach) / 2)
    last = count - first + 1
    limits = [slopes[place + shift - 1] if first >= 1 and place + shift <= count else None for place in (first, last)]
    return slope, limits


@given(st.integers(0, 10_000), st.integers(3, 25), st.booleans())
def test_passing_bablok_equals_the_slow_definition(seed, n, coarse):
    rng = np.random.default_rng(seed)
    x = rng.normal(10, 3, n)
    y = 1.1 * x + rng.normal(0, 1, n)
    if coarse:
        x, y = x.round(), y.round()
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return
    expected = slow_passing_bablok(x, y)
    if expected is None:
        return
    found = passing_bablok(x, y)
    finite = [None if v is None or not np.isfinite(v) else v for v in (expected[0], *expected[1])]
    assert [found["slope"], *found["slope_ci"]] == [v if v is None else pytest.approx(v) for v in finite]


def test_passing_bablok_does_not_follow_an_outlier():
    x = np.arange(1.0, 31)
    y = x + np.random.default_rng(0).normal(0, 0.3, 30)
    y[-1] = 200
    assert passing_bablok(x, y)["slope"] == pytest.approx(1, abs=0.05)
    assert deming(x, y)["slope"] > 1.3


@given(st.integers(0, 10_000), st.floats(0.2, 5))
def test_deming_is_the_least_sum_of_squares_of_both_errors(seed, ratio):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, 15)
    y = 1.4 * x + 2 + rng.normal(0, 1, 15)
    found = deming(x, y, ratio)

    def cost(line):
        slope, intercept = line
        return np.sum((y - intercept - slope * x) ** 2) / (ratio + slope**2)

    best = optimize.minimize(cost, (1.4, 2.0), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})
    assert [found["slope"], found["intercept"]] == pytest.approx(best.x, abs=1e-5)


def test_deming_jackknife_equals_leaving_each_patient_out():
    rng = np.random.default_rng(12)
    x = rng.normal(5, 2, 20)
    y = 0.9 * x + rng.normal(0, 0.5, 20)
    found = deming(x, y, 1.5)
    left = [deming(np.delete(x, i), np.delete(y, i), 1.5) for i in range(20)]
    for key in ("slope", "intercept"):
        pseudo = 20 * found[key] - 19 * np.array([row[key] for row in left])
        half = stats.t.ppf(0.975, 18) * pseudo.std(ddof=1) / np.sqrt(20)
        assert found[f"{key}_ci"] == pytest.approx([found[key] - half, found[key] + half])


@pytest.mark.parametrize("method", [passing_bablok, deming])
def test_the_intervals_hold_the_truth_as_often_as_they_say(method):
    rng = np.random.default_rng(21)
    runs, n = 500, 40
    held = 0
    for _ in range(runs):
        true = rng.normal(10, 3, n)
        low, high = method(true + rng.normal(0, 0.5, n), true + rng.normal(0, 0.5, n))["slope_ci"]
        held += low <= 1 <= high
    assert held / runs == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / runs))


def test_columns_that_do_not_belong_together_are_refused():
    with pytest.raises(InputError, match="vary together"):
        deming([1, 2, 3, 2], [2, 1, 2, 3])
    with pytest.raises(InputError, match="reference is 2"):
        passing_bablok([2, 2, 2], [1, 2, 3])
    with pytest.raises(InputError, match="ratio"):
        deming([1, 2, 3], [1, 2, 4], error_ratio=0)


def test_a_falling_line_gives_no_limits_outside_the_slopes():
    found = passing_bablok(np.arange(8.0), -3 * np.arange(8.0))
    assert found["slope"] is None
    assert found["slope_ci"] == [None, None]
