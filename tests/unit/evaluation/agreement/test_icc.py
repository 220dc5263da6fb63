"""Intraclass correlation coefficients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.icc import intraclass, mean_squares

# Shrout and Fleiss, Psychological Bulletin 1979, tables 2 and 4.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
PUBLISHED = {"ICC(1,1)": 0.17, "ICC(2,1)": 0.29, "ICC(3,1)": 0.71, "ICC(1,k)": 0.44, "ICC(2,k)": 0.62, "ICC(3,k)": 0.91}
# What the function ICC of the R package psych documents for the same table.
LIMITS = {
    "ICC(1,1)": (-0.133, 0.72), "ICC(2,1)": (0.019, 0.76), "ICC(3,1)": (0.342, 0.95),
    "ICC(1,k)": (-0.884, 0.91), "ICC(2,k)": (0.071, 0.93), "ICC(3,k)": (0.676, 0.99),
}  # fmt: skip


def by_name(ratings):
    return {row["name"]: row for row in intraclass(ratings)}


def test_the_published_table_is_reproduced():
    found = by_name(SHROUT_FLEISS)
    assert {name: round(row["icc"], 2) for name, row in found.items()} == PUBLISHED
    for name, (low, high) in LIMITS.items():
        assert found[name]["icc_ci"][0] == pytest.approx(low, abs=6e-4)
        assert found[name]["icc_ci"][1] == pytest.approx(high, abs=6e-3)
    assert found["ICC(1,1)"]["f"] == pytest.approx(1.79, abs=0.01)
    assert found["ICC(3,1)"]["f"] == pytest.approx(11.03, abs=0.01)
    assert found["ICC(1,1)"]["p"] == pytest.approx(0.16477, abs=1e-5)


@given(st.integers(2, 9), st.integers(2, 5), st.integers(0, 10_000))
def test_the_mean_squares_equal_those_of_statsmodels(n, k, seed):
    table = np.random.default_rng(seed).normal(0, 1, (n, k)) + np.arange(n)[:, None]
    long = pd.DataFrame({"y": table.ravel(), "target": np.repeat(np.arange(n), k), "rater": np.tile(np.arange(k), n)})
    two = anova_lm(ols("y ~ C(target) + C(rater)", long).fit())
    one = anova_lm(ols("y ~ C(target)", long).fit())
    found = mean_squares(table)
    assert [found.rows, found.columns, found.error] == pytest.approx(two["mean_sq"].tolist(), rel=1e-8)
    assert found.within == pytest.approx(one["mean_sq"]["Residual"], rel=1e-8)


@given(st.integers(3, 9), st.integers(2, 5), st.integers(0, 10_000))
def test_the_limits_of_absolute_agreement_are_those_of_mcgraw_and_wong(n, k, seed):
    from scipy.stats import f

    table = np.random.default_rng(seed).normal(0, 1, (n, k)) + 2 * np.arange(n)[:, None]
    m, row = mean_squares(table), by_name(table)["ICC(2,1)"]
    r = row["icc"]
    a, b = k * r / (n * (1 - r)), 1 + k * r * (n - 1) / (n * (1 - r))
    v = (a * m.columns + b * m.error) ** 2 / ((a * m.columns) ** 2 / (k - 1) + (b * m.error) ** 2 / ((n - 1) * (k - 1)))
    low, high = f.ppf(0.975, n - 1, v), f.ppf(0.975, v, n - 1)
    spread = k * m.columns + (k * n - k - n) * m.error
    expected = [n * (m.rows - low * m.error) / (low * spread + n * m.rows), n * (high * m.rows - m.error) / (spread + n * high * m.rows)]
    assert row["icc_ci"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("name", "rater"), [("ICC(1,1)", 0.0), ("ICC(3,1)", 1.5), ("ICC(2,1)", 0.5)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(name, rater):
    rng = np.random.default_rng(3)
    runs, n, k, between, error = 600, 25, 6, 2.0, 1.0
    truth = between**2 / (between**2 + error**2 + (rater**2 if name == "ICC(2,1)" else 0))
    held = 0
    for _ in range(runs):
        table = rng.normal(0, between, (n, 1)) + rng.normal(0, rater, (1, k)) + rng.normal(0, error, (n, k))
        low, high = by_name(table)[name]["icc_ci"]
        held += low <= truth <= high
    assert held / runs == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / runs))


def test_absolute_agreement_counts_a_bias_and_consistency_does_not():
    x = np.arange(10.0)
    found = by_name(np.stack([x, x + 5], axis=1))
    assert found["ICC(3,1)"]["icc"] == pytest.approx(1)
    assert found["ICC(2,1)"]["icc"] < 0.5
    assert [row["icc"] for row in intraclass(np.stack([x, x], axis=1))] == [1] * 6


@pytest.mark.parametrize(
    ("table", "says"),
    [([[1], [2]], "two targets"), ([[1, 2]], "two targets"), ([[1, np.nan], [2, 3]], "missing"), ([[2, 2], [2, 2]], "All ratings are 2")],
)
def test_tables_that_cannot_tell_are_refused(table, says):
    with pytest.raises(InputError, match=says):
        intraclass(table)
