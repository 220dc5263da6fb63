"""Two one-sided tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.equivalence import equivalence, two_one_sided


@given(st.integers(0, 10_000), st.floats(-1, 1), st.floats(0.1, 2))
def test_it_equals_statsmodels_and_the_interval_decides_alike(seed, low, width):
    d = np.random.default_rng(seed).normal(0.1, 1, 12)
    found = two_one_sided(d, low, low + width)
    p, lower, upper = DescrStatsW(d).ttost_mean(low, low + width)
    assert found["p"] == pytest.approx(p, abs=1e-12)
    assert (found["p_lower"], found["p_upper"]) == pytest.approx((lower[1], upper[1]), abs=1e-12)
    assert found["equivalent"] == (low < found["ci"][0] and found["ci"][1] < low + width)


def test_the_three_readings_are_what_their_names_say():
    rng = np.random.default_rng(7)
    x = rng.lognormal(2, 0.6, 30)
    y = x * rng.normal(1.03, 0.1, 30)
    readings = equivalence(x, y)["readings"]
    edge = 0.2 * x.mean()
    assert readings["mean"]["p"] == pytest.approx(ttost_paired(y, x, -edge, edge)[0])
    assert readings["percent"]["p"] == pytest.approx(DescrStatsW(100 * (y - x) / x).ttost_mean(-20, 20)[0])
    assert readings["log"]["p"] == pytest.approx(DescrStatsW(np.log(y / x)).ttost_mean(np.log(0.8), np.log(1.25))[0])
    assert readings["log"]["ratio"] == pytest.approx(np.exp(np.mean(np.log(y / x))))
    assert all(reading["dropped"] == 0 for reading in readings.values())


def test_the_log_reading_does_not_care_which_is_the_reference():
    x = np.array([3.0, 5, 8, 13, 21])
    y = x * np.array([1.1, 0.9, 1.2, 1.0, 0.95])
    one, other = (equivalence(*pair)["readings"]["log"] for pair in ((x, y), (y, x)))
    assert one["p"] == pytest.approx(other["p"])
    assert one["estimate"] == pytest.approx(-other["estimate"])


def test_zeros_are_counted_where_they_are_dropped():
    readings = equivalence([0, 10, 20, 30, 0, 40], [1, 10, 21, 0, 0, 41])["readings"]
    assert [readings[name]["dropped"] for name in ("mean", "percent", "log")] == [0, 2, 3]
    assert [readings[name]["n"] for name in ("mean", "percent", "log")] == [6, 4, 3]


def test_too_few_left_is_said_and_not_hidden():
    reading = equivalence([0, 0, 1, 2], [1, 0, 1, 2])["readings"]["percent"]
    assert reading["p"] is None
    assert "2 patients are left" in reading["why"]
    assert equivalence([-1, 0, 1], [1, 0, 1])["readings"]["mean"]["why"] == "the mean of the reference is 0"


def test_equal_columns_are_equivalent_and_equal_shifts_are_judged_by_the_margin():
    assert two_one_sided([0, 0, 0], -1, 1)["p"] == 0
    assert not two_one_sided([1, 1, 1], -1, 1)["equivalent"]


def test_the_level_of_the_test_is_kept_at_the_margin():
    rng = np.random.default_rng(9)
    runs = 2000
    passed = np.mean([two_one_sided(d, -1, 1)["equivalent"] for d in rng.normal(1, 0.8, (runs, 20))])
    assert passed == pytest.approx(0.05, abs=3.3 * np.sqrt(0.05 * 0.95 / runs))


def test_margins_that_are_none_are_refused():
    with pytest.raises(InputError, match="margin"):
        equivalence([1, 2, 3], [1, 2, 3], margin=1.5)
    with pytest.raises(InputError, match="margins"):
        two_one_sided([1, 2, 3], 1, -1)
