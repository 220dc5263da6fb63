"""The repeatability coefficient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.agreement.repeatability import repeatability


def test_the_within_patient_variance_is_that_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    groups = [rng.normal(5 * i, 1, size) for i, size in enumerate((2, 3, 1, 4, 2), start=1)]
    long = pd.DataFrame({"y": np.concatenate(groups), "who": np.repeat(np.arange(5), [g.size for g in groups])})
    residual = anova_lm(ols("y ~ C(who)", long).fit())["mean_sq"]["Residual"]
    found = repeatability(groups)
    assert found["within_sd"] == pytest.approx(np.sqrt(residual))
    assert found["coefficient"] == pytest.approx(2.7718 * np.sqrt(residual), rel=1e-4)
    assert (found["n"], found["df"]) == (4, 7)


def test_two_repeats_follow_from_their_differences():
    x, y = np.random.default_rng(2).normal(50, 4, (2, 12))
    found = repeatability(np.stack([x, y], axis=1))
    assert found["within_sd"] == pytest.approx(np.sqrt(np.mean((x - y) ** 2) / 2))
    edge = 1.959964 * np.sqrt(np.mean(np.log(x / y) ** 2))
    assert found["percent_limits"] == pytest.approx([100 * np.expm1(-edge), 100 * np.expm1(edge)], rel=1e-6)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(6)
    runs, truth = 1500, 1.959964 * np.sqrt(2)
    held = np.mean([low <= truth <= high for low, high in (repeatability(t)["coefficient_ci"] for t in rng.normal(0, 1, (runs, 15, 2)))])
    assert held == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / runs))


def test_values_that_are_not_positive_have_no_limits_in_percent():
    assert repeatability([[0, 1], [2, 3]])["percent_limits"] is None


@pytest.mark.parametrize(("groups", "says"), [([[1], [2]], "twice"), ([[1, np.nan]], "not finite")])
def test_repeats_that_are_none_are_refused(groups, says):
    with pytest.raises(InputError, match=says):
        repeatability(groups)
