from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.learning import learning
from napari_tumorseg.evaluation.study.quality import holm, non_inferiority
from napari_tumorseg.evaluation.study.randomisation import RandomisationTest
from napari_tumorseg.evaluation.study.readings import Readings, summary
from napari_tumorseg.evaluation.study.simulate import Truth, balanced_redraw, crossed_design, draw_times
from napari_tumorseg.evaluation.study.time_model import analyse_time, fit_time, saved_percent, signed_rank_on_cases


def study(raters: int, cases: int, truth: Truth, seed: int = 1) -> Readings:
    rng = np.random.default_rng(seed)
    design = crossed_design(raters, cases, rng)
    return replace(design, seconds=np.exp(draw_times(design, truth, rng)[0]))


def test_the_design_is_balanced_within_rater_and_within_case() -> None:
    design = crossed_design(8, 12, np.random.default_rng(0))
    first = design.period == 1
    for codes in (design.rater, design.case):
        assert {float(design.arm[first & (codes == k)].sum()) for k in set(codes.tolist())} == {0.0}
    for rater, case in itertools.product(range(8), range(12)):
        assert sorted(design.arm[(design.rater == rater) & (design.case == case)].tolist()) == [-0.5, 0.5]


def test_the_planted_saving_and_variances_are_recovered() -> None:
    truth = Truth(saving=0.3, rater_sd=0.3, rater_arm_sd=0.2, case_arm_sd=0.1)
    readings = study(40, 30, truth)
    told = analyse_time(readings, balanced_redraw(readings, 5), draws=99)
    json.dumps(told, allow_nan=False)
    primary = told["primary"]
    assert primary["low_percent"] < 30 < primary["high_percent"]
    assert primary["saved_percent"] == pytest.approx(30, abs=5)
    assert told["mixed"]["saved_percent"] == pytest.approx(primary["saved_percent"], abs=1)
    # Standard errors of a standard deviation from 40 raters are about a ninth of it.
    assert told["mixed"]["effect_sd"]["rater"] == pytest.approx(0.2, abs=0.07)
    assert told["mixed"]["effect_sd"]["case"] == pytest.approx(0.1, abs=0.06)
    assert np.sqrt(told["mixed"]["variances"]["residual"]) == pytest.approx(0.25, abs=0.02)
    # The intercepts of the model are those of the first and second arm, half the difference of which is taken from the rater's own.
    assert told["mixed"]["variances"]["rater"] == pytest.approx(0.3**2 - 0.2**2 / 4, rel=0.5)
    assert told["mixed"]["fixed"]["order"]["estimate_log"] == pytest.approx(-0.15, abs=0.1)
    assert told["mixed"]["fixed"]["log_lesions"]["estimate_log"] == pytest.approx(0.5, abs=0.3)


def test_the_claim_depends_on_the_number_of_raters() -> None:
    few, enough = study(5, 10, Truth(saving=0.3)), study(6, 10, Truth(saving=0.3))
    told = analyse_time(few, balanced_redraw(few), draws=99)
    assert "these 5 raters only" in told["claim"]
    assert "raters are fixed" in told["model"]
    assert set(told["mixed"]["variances"]) == {"case", "case:arm", "residual"}
    assert not told["primary"]["raters_random"]
    assert "raters and cases like these" in analyse_time(enough, balanced_redraw(enough), draws=99)["claim"]


def plain(readings: Readings, arm: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Estimate and t of the balanced two-arm study from means, by Hillis's definition, raters and cases random."""
    raters, cases = len(readings.raters), len(readings.cases)
    d = np.zeros((raters, cases))
    for k in range(len(y)):
        d[readings.rater[k], readings.case[k]] += 2 * arm[k] * y[k]
    rows, columns = d.mean(1), d.mean(0)
    ms_r, ms_c = cases * rows.var(ddof=1), raters * columns.var(ddof=1)
    ms_e = ((d - rows[:, None] - columns + d.mean()) ** 2).sum() / ((raters - 1) * (cases - 1))
    return float(d.mean()), float(d.mean() / np.sqrt((ms_r + max(ms_c - ms_e, 0.0)) / (raters * cases)))


def test_the_statistic_is_that_of_mean_squares_in_a_balanced_study() -> None:
    readings = study(6, 8, Truth(saving=0.2, case_arm_sd=0.4))
    # Without periods and orders the projections are means.
    flat = replace(readings, period=np.ones(len(readings)), order=np.ones(len(readings)))
    found = RandomisationTest(flat, balanced_redraw(flat), 19).test(flat.log_s)
    estimate, t = plain(flat, flat.arm, flat.log_s)
    assert found.estimate == pytest.approx(estimate)
    # Sums over pairs of rater and case are divided by their number here, by one less for raters and cases in the definition.
    assert found.estimate / found.se == pytest.approx(t, rel=0.02)


def test_the_share_of_allocations_is_counted_as_it_is_defined() -> None:
    readings = study(6, 6, Truth(saving=0.1))
    redraw = balanced_redraw(readings, 3)
    test = RandomisationTest(readings, redraw, 60)
    found = test.test(readings.log_s, interval=False)
    one_by_one = [RandomisationTest(readings, redraw, 1).test(readings.log_s, arm=redraw(n), interval=False).p_t for n in range(60)]
    assert found.p_redraw == pytest.approx((1 + sum(p <= found.p_t * (1 + 1e-9) for p in one_by_one)) / 61)
    assert found.p == max(found.p_redraw, found.p_t)


def test_the_interval_holds_the_effects_that_are_not_rejected() -> None:
    readings = study(6, 8, Truth(saving=0.3))
    test = RandomisationTest(readings, balanced_redraw(readings, 3), 199)
    found = test.test(readings.log_s)
    width = found.high - found.low
    for null, inside in ((found.low - 0.02 * width, False), (found.low + 0.02 * width, True), (found.high + 0.02 * width, False)):
        assert (test.test(readings.log_s - null * readings.arm, interval=False).p > 0.05) is inside


def test_an_effect_that_is_added_moves_estimate_and_interval_by_as_much() -> None:
    readings = study(6, 8, Truth())
    test = RandomisationTest(readings, balanced_redraw(readings, 3), 99)
    before, after = test.test(readings.log_s), test.test(readings.log_s + 0.4 * readings.arm)
    assert after.estimate - before.estimate == pytest.approx(0.4)
    assert (after.low - before.low, after.high - before.high) == pytest.approx((0.4, 0.4), abs=1e-6)


def binomial_upper(n: int, p: float, tail: float) -> int:
    from scipy.stats import binom

    return int(binom.isf(tail, n, p))


@pytest.mark.parametrize("raters", [4, 6])
def test_fifty_null_studies_are_seldom_rejected_and_intervals_hold_what_was_planted(raters: int) -> None:
    """At a level of 5 %, 50 studies reject 10 or more in fewer than 5 of 10,000 runs; 1,000 are in docs/results/null_studies.md."""
    truth = Truth(saving=0.3)
    rng = np.random.default_rng(7)
    design = crossed_design(raters, 10, rng)
    test = RandomisationTest(design, balanced_redraw(design, 1), 99)
    fresh = balanced_redraw(design, 2)
    rejected = missed = 0
    for number in range(50):
        arm = fresh(number)
        log_s, own = draw_times(design, truth, rng, arm)
        planted = own if raters < 6 else truth.effect
        rejected += test.test(log_s - planted * arm, arm=arm, interval=False).p <= 0.05
        found = test.test(log_s, arm=arm)
        missed += not found.low <= planted <= found.high
    assert max(rejected, missed) <= binomial_upper(50, 0.05, 5e-4) == 9


def test_only_means_of_cases_go_into_the_signed_rank_test() -> None:
    from scipy.stats import wilcoxon

    readings = study(6, 9, Truth(saving=0.3))
    told = signed_rank_on_cases(readings)
    assert told is not None
    d = [
        readings.log_s[(readings.case == k) & (readings.arm > 0)].mean() - readings.log_s[(readings.case == k) & (readings.arm < 0)].mean()
        for k in range(9)
    ]
    assert told["p"] == pytest.approx(wilcoxon(d).pvalue)
    assert told["cases"] == 9
    assert signed_rank_on_cases(study(6, 5, Truth())) is None


def rows(**changes: Any) -> list[dict[str, Any]]:
    base = {"rater": "A", "case": "1", "period": 1, "order": 1, "lesions": 2, "seconds": 60.0}
    return [{**base, "arm": "scratch"}, {**base, "arm": "ai", **changes}, {**base, "arm": "sham"}]


def test_tables_are_made_of_rows_and_bad_ones_refused() -> None:
    table = Readings.of(rows(seconds=30.0), ("scratch", "ai"))
    assert len(table) == 2
    assert summary(table)["saved_by_medians_percent"] == 50
    with pytest.raises(InputError, match="time of 0"):
        Readings.of(rows(seconds=0), ("scratch", "ai"))
    with pytest.raises(InputError, match="no finished reading in the arm other"):
        Readings.of(rows(), ("scratch", "other"))


def test_arms_that_cannot_be_told_from_raters_are_refused() -> None:
    readings = study(6, 8, Truth())
    by_rater = replace(readings, arm=np.where(readings.rater < 3, 0.5, -0.5))
    with pytest.raises(InputError, match="cannot be told from"):
        RandomisationTest(by_rater, balanced_redraw(by_rater), 9).test(by_rater.log_s)
    one = Readings.of(rows(), ("scratch", "ai"))
    with pytest.raises(InputError, match="too few"):
        RandomisationTest(one, lambda _: one.arm, 9).test(one.log_s)


def test_quality_is_non_inferior_where_the_interval_lies_above_the_margin() -> None:
    readings = study(6, 10, Truth())
    rng = np.random.default_rng(3)
    dice = 0.85 - 0.01 * (readings.arm > 0) + rng.normal(0, 0.02, len(readings))
    redraw = balanced_redraw(readings, 2)
    told = non_inferiority(readings, dice, redraw, margin=0.05, draws=199)
    assert told["non_inferior"]
    assert told["low"] < -0.01 < told["high"]
    assert not non_inferiority(readings, dice - 0.05 * (readings.arm > 0), redraw, margin=0.05, draws=199)["non_inferior"]
    with pytest.raises(InputError, match="margin"):
        non_inferiority(readings, dice, redraw, margin=0.0)
    with pytest.raises(InputError, match="no quality"):
        non_inferiority(readings, np.full(len(readings), np.nan), redraw, margin=0.1)


def test_holm_counts_what_could_not_be_tested() -> None:
    told = holm({"a": 0.02, "b": None})
    assert told["a"] == {"p": 0.02, "adjusted": 0.04, "rejected": True}
    assert told["b"]["rejected"] is False
    assert holm({}) == {}


def test_learning_is_found_in_each_arm() -> None:
    design = crossed_design(8, 16, np.random.default_rng(1))
    rng = np.random.default_rng(2)
    slope = np.where(design.arm > 0, np.log(0.95), np.log(0.85))
    y = 6 + slope * np.log2(design.order) + rng.normal(0, 0.2, 8)[design.rater] + rng.normal(0, 0.1, len(design))
    told = learning(replace(design, seconds=np.exp(y)))
    json.dumps(told, allow_nan=False)
    faster = told["faster_percent_per_doubling"]
    assert faster["scratch"]["value"] == pytest.approx(15, abs=2)
    assert faster["ai"]["value"] == pytest.approx(5, abs=2)
    assert told["difference"]["low"] < np.log(0.95 / 0.85) < told["difference"]["high"]
    assert [row["readings"] for row in told["curve"]["ai"]]
    with pytest.raises(InputError, match="more than two"):
        learning(replace(design, order=np.ones(len(design))))


def test_fixed_raters_give_the_mean_over_these_raters() -> None:
    readings = study(3, 12, Truth(saving=0.3, rater_arm_sd=0.5))
    arm = fit_time(readings).effect({"arm": 1.0}).estimate
    found = RandomisationTest(readings, balanced_redraw(readings), 19).test(readings.log_s, interval=False)
    assert saved_percent(arm) == pytest.approx(saved_percent(found.estimate), abs=1.5)
