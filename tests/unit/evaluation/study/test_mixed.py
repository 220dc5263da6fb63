from __future__ import annotations

import warnings

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.mixed import fit_mixed

RATERS, CASES = 7, 10
r, c, a = (v.ravel() for v in np.meshgrid(range(RATERS), range(CASES), range(2), indexing="ij"))


def times(seed: int, sds: tuple[float, ...] = (0.3, 0.5, 0.2, 0.2, 0.25)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    codes = (r, c, 2 * r + a, 2 * c + a)
    y = 5 - 0.3 * a + sum(rng.normal(0, sd, code.max() + 1)[code] for sd, code in zip(sds, codes, strict=False))
    return y + rng.normal(0, sds[-1], len(r))


RANDOM = {"rater": r, "case": c, "rater:arm": 2 * r + a, "case:arm": 2 * c + a}


@pytest.mark.parametrize("seed", [3, 4])
def test_variances_and_likelihood_are_those_of_statsmodels(seed: int) -> None:
    import pandas as pd
    import statsmodels.api as sm

    y = times(seed)
    ours = fit_mixed(y, {"one": np.ones(len(y)), "arm": a.astype(float)}, RANDOM)
    frame = pd.DataFrame({"y": y, "a": a, **{name.replace(":", ""): code for name, code in RANDOM.items()}, "g": 1})
    formulas = {name: f"0+C({name.replace(':', '')})" for name in RANDOM}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = sm.MixedLM.from_formula("y~a", groups="g", re_formula="0", vc_formula=formulas, data=frame)
        theirs = model.fit(reml=True)
    found = dict(zip(model.exog_vc.names, theirs.vcomp, strict=True)) | {"residual": theirs.scale}
    assert ours.variances == pytest.approx(found, rel=0.02, abs=2e-4)
    assert ours.effect({"arm": 1.0}).estimate == pytest.approx(theirs.params["a"], abs=1e-6)


def test_with_two_of_each_rater_the_test_is_the_paired_t_test() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    first = rng.normal(3, 1, 9)
    second = first + rng.normal(0.4, 0.5, 9)
    y = np.concatenate([first, second])
    arm, who = np.repeat([0.0, 1.0], 9), np.tile(np.arange(9), 2)
    found = fit_mixed(y, {"one": np.ones(18), "arm": arm}, {"rater": who}).effect({"arm": 1.0})
    theirs = ttest_rel(second, first)
    assert found.t == pytest.approx(theirs.statistic, rel=1e-4)
    assert found.df == pytest.approx(8, rel=1e-4)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-3)
    assert found.interval() == pytest.approx(tuple(theirs.confidence_interval(0.95)), abs=1e-4)


def test_in_a_balanced_study_the_arm_is_tested_against_raters() -> None:
    """With rater x arm alone, balanced theory says: the t test of the raters' mean differences, raters - 1 degrees of freedom."""
    y = times(9, (0.3, 0.5, 0.3, 0.0, 0.2))
    random = {"rater": r, "case": c, "rater:arm": 2 * r + a}
    found = fit_mixed(y, {"one": np.ones(len(y)), "arm": a.astype(float)}, random).effect({"arm": 1.0})
    means = (y[a == 1] - y[a == 0]).reshape(RATERS, CASES).mean(1)
    assert found.se == pytest.approx(means.std(ddof=1) / np.sqrt(RATERS), rel=1e-3)
    assert found.df == pytest.approx(RATERS - 1, rel=1e-3)


def test_raters_and_cases_together_follow_satterthwaite_s_rule_on_mean_squares() -> None:
    y = times(3)
    found = fit_mixed(y, {"one": np.ones(len(y)), "arm": a.astype(float)}, RANDOM).effect({"arm": 1.0})
    d = (y[a == 1] - y[a == 0]).reshape(RATERS, CASES)
    rows, columns = d.mean(1), d.mean(0)
    ms_r = CASES * rows.var(ddof=1)
    ms_c = RATERS * columns.var(ddof=1)
    free = (RATERS - 1) * (CASES - 1)
    ms_e = ((d - rows[:, None] - columns + d.mean()) ** 2).sum() / free
    combined = ms_r + ms_c - ms_e
    df = combined**2 / (ms_r**2 / (RATERS - 1) + ms_c**2 / (CASES - 1) + ms_e**2 / free)
    # The interaction and residual variances are inside their bounds here, so REML equals the mean squares.
    fit = fit_mixed(y, {"one": np.ones(len(y)), "arm": a.astype(float)}, RANDOM)
    assert min(fit.variances.values()) > 0
    assert found.se == pytest.approx(np.sqrt(combined / (RATERS * CASES)), rel=0.01)
    assert found.df == pytest.approx(df, rel=0.05)


def test_columns_that_follow_from_others_are_left_out() -> None:
    y = times(1)
    fit = fit_mixed(y, {"one": np.ones(len(y)), "arm": a.astype(float), "again": 2.0 * a - 1}, RANDOM)
    assert fit.names == ("one", "arm")


def test_too_few_readings_and_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="1 readings for 1 fixed"):
        fit_mixed([1.0], {"one": [1.0]}, {"rater": [0]})
    with pytest.raises(InputError, match="not a number"):
        fit_mixed([1.0, np.nan, 2.0], {"one": np.ones(3)}, {"rater": [0, 1, 2]})
