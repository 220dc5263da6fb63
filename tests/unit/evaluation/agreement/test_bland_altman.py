"""Bias, limits of agreement, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_tumorseg.evaluation.agreement.bland_altman import bland_altman

# Peak flow by two meters, litres per minute: Bland and Altman, Lancet 1986, table 1, first readings.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def test_the_published_example_is_reproduced():
    found = bland_altman(MINI, WRIGHT)
    assert found["bias"] == pytest.approx(-2.1, abs=0.05)
    assert found["sd"] == pytest.approx(38.8, abs=0.05)
    assert found["bias_ci"] == pytest.approx([-22.0, 17.8], abs=0.1)


def test_the_exact_limits_are_the_quantiles_of_the_tolerance_factor():
    d = np.random.default_rng(2).normal(1, 3, 25)
    found = bland_altman(np.zeros(25), d)
    low, high = found["upper_limit_ci"]
    # Were the true limit at either end, the sample limit would be seen this seldom.
    z = 1.959963984540054 * np.sqrt(25)
    for limit, tail in ((low, 0.025), (high, 0.975)):
        t = (limit - d.mean()) / d.std(ddof=1) * np.sqrt(25)
        assert stats.nct.cdf(t, 24, z) == pytest.approx(tail, abs=1e-6)
    assert found["limits"][1] - found["bias"] == pytest.approx(found["bias"] - found["limits"][0])
    assert found["bias"] - found["lower_limit_ci"][0] == pytest.approx(high - found["bias"])


def test_the_two_intervals_meet_where_one_takes_over():
    d = np.random.default_rng(3).normal(0, 1, 1001)
    exact, approximate = bland_altman(np.zeros(1000), d[:1000]), bland_altman(np.zeros(1001), d)
    assert (exact["limits_interval"], approximate["limits_interval"]) == ("exact", "approximate")
    width = [found["upper_limit_ci"][1] - found["upper_limit_ci"][0] for found in (exact, approximate)]
    assert width[0] == pytest.approx(width[1], rel=0.02)


def test_the_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    runs, n, bias, sd = 1200, 20, 1.0, 2.0
    truths = {"bias_ci": bias, "lower_limit_ci": bias - 1.959964 * sd, "upper_limit_ci": bias + 1.959964 * sd}
    held = dict.fromkeys(truths, 0)
    for d in rng.normal(bias, sd, (runs, n)):
        found = bland_altman(np.zeros(n), d)
        for key, truth in truths.items():
            held[key] += found[key][0] <= truth <= found[key][1]
    for count in held.values():
        assert count / runs == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / runs))


def test_a_difference_that_grows_with_the_size_is_told():
    x = np.linspace(1, 20, 30)
    noise = np.random.default_rng(1).normal(0, 0.1, 30)
    assert bland_altman(x, 1.2 * x + noise)["slope_p"] < 1e-6
    assert bland_altman(x, x + noise)["slope_p"] > 0.01


def test_equal_columns_leave_nothing_undefined():
    found = bland_altman([1, 2, 3], [1, 2, 3])
    assert found["bias"] == 0
    assert found["upper_limit_ci"] == [0, 0]
    assert found["normality_p"] is None
