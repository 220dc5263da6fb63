"""Paired differences, rankings and strata."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.comparison.paired import holm, paired_difference, signed_rank_p
from napari_tumorseg.evaluation.comparison.ranking import case_ranks, kendall_tau, rank_models
from napari_tumorseg.evaluation.comparison.strata import Observation, size_names, stratify


def slow_signed_rank_p(d):
    """Count all assignments of signs to the ranks."""
    ranks = stats.rankdata(np.abs(d))
    seen = ranks[d > 0].sum()
    sums = [sum(r for r, bit in zip(ranks, range(len(ranks)), strict=True) if signs >> bit & 1) for signs in range(2 ** len(ranks))]
    below, above = np.mean([s <= seen for s in sums]), np.mean([s >= seen for s in sums])
    return min(1.0, 2 * min(below, above))


@given(st.integers(0, 10_000), st.integers(1, 9), st.booleans())
def test_the_signed_rank_test_counts_all_signs(seed, n, coarse):
    d = np.random.default_rng(seed).normal(0.3, 1, n).round(0 if coarse else 6)
    d = d[d != 0]
    if d.size:
        assert signed_rank_p(d) == pytest.approx(slow_signed_rank_p(d))
        assert signed_rank_p([*d, 0.0, 0.0]) == pytest.approx(signed_rank_p(d))


def test_the_signed_rank_test_equals_scipy_on_both_sides_of_the_limit():
    rng = np.random.default_rng(1)
    d = rng.normal(0.2, 1, 50)
    assert signed_rank_p(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)
    more = rng.normal(0.2, 1, 51)
    assert signed_rank_p(more) == pytest.approx(stats.wilcoxon(more).pvalue)
    assert signed_rank_p([0.5] * 60) < 1e-6
    # Equal but for rounding: of three ties, one sign of eight on either side.
    assert signed_rank_p([0.3, 0.1 + 0.2, 0.9 - 0.6]) == 0.25


@settings(max_examples=25)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12))
def test_holm_steps_down(values):
    adjusted = holm(values)
    known = sorted(p for p in values if p is not None)
    for p, found in zip(values, adjusted, strict=True):
        if p is None:
            assert found is None
            continue
        # The largest of what the smaller ones, and it, become.
        expected = max(min(1.0, (len(known) - known.index(q)) * q) for q in known if q <= p)
        assert found == pytest.approx(expected)


def test_a_difference_is_of_the_cases_that_both_have():
    nan = float("nan")
    found = paired_difference([0.9, nan, 0.5, 0.7], [0.8, 0.9, nan, 0.7])
    assert (found["n"], found["dropped"], found["larger_a"], found["equal"], found["larger_b"]) == (2, 2, 1, 1, 0)
    assert found["difference"] == pytest.approx(0.05)
    assert found["mean_a"] - found["mean_b"] == pytest.approx(found["difference"])
    nothing = paired_difference([nan], [1.0])
    assert nothing["p"] is None
    assert nothing["difference_ci"] == [None, None]


def test_lesions_of_a_patient_are_drawn_together_and_have_no_signed_rank_test():
    a = np.r_[np.full(50, 1.0), np.full(50, 0.0)]
    found = paired_difference(a, np.zeros(100), ["p1"] * 50 + ["p2"] * 50)
    assert found["p"] is None
    assert found["difference_ci"] == pytest.approx([0, 1])


def test_the_interval_of_a_difference_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(3)
    runs = 200
    held = 0
    for _ in range(runs):
        shared = rng.normal(0, 1, 60)
        low, high = paired_difference(shared + rng.normal(0.2, 0.5, 60), shared + rng.normal(0, 0.5, 60))["difference_ci"]
        held += low <= 0.2 <= high
    assert 0.89 < held / runs < 0.95 + 3.3 * np.sqrt(0.95 * 0.05 / runs)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_kendalls_tau_equals_scipy(seed, n):
    a, b = np.random.default_rng(seed).integers(0, 4, (2, n)).astype(float)
    expected = stats.kendalltau(a, b).statistic
    assert kendall_tau(a, b) == pytest.approx(0.0 if np.isnan(expected) else expected)


def test_ranks_of_a_case_put_the_better_first_and_no_score_last():
    scores = [[[0.9, 0.8, np.nan], [3.0, 1.0, np.nan]]]
    assert case_ranks(scores, [True, False]).tolist() == [[[1, 2, 3], [2, 1, 3]]]


def test_a_clear_ranking_is_stable_and_a_drawn_one_is_not():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.9, (40, 1, 1))
    clear = rank_models(base + np.array([0.05, 0.0, -0.05]), [True])
    assert clear["rank"] == [1, 2, 3]
    assert clear["first_share"] == [1, 0, 0]
    assert clear["kendall_tau"] == {"mean": 1, "low": 1, "high": 1}
    drawn = rank_models(base + rng.normal(0, 0.05, (40, 1, 3)), [True])
    assert drawn["kendall_tau"]["mean"] < 0.95
    assert sum(drawn["first_share"]) == pytest.approx(1)
    shares = np.array(drawn["rank_shares"])
    assert shares.sum(axis=0) == pytest.approx(1)
    assert shares.sum(axis=1) == pytest.approx(1)


def test_equal_models_share_every_rank():
    found = rank_models(np.ones((5, 2, 3)), [True, False])
    assert found["rank"] == [2, 2, 2]
    assert found["first_share"] == pytest.approx([1 / 3] * 3)
    assert found["kendall_tau"]["mean"] == 0


def test_lesions_fall_into_the_stratum_below_their_edge():
    assert size_names([0.5]) == ["up to 0.5 mL", "above 0.5 mL"]
    lesions = [
        Observation("p1", "ET", 0.1, (0.0, 0.6), (False, True)),
        Observation("p1", "ET", 0.05, (0.5, 0.5), (True, True)),
        Observation("p2", "ET", 0.2, (0.8, None), (True, True)),
    ]
    small, middle, large = stratify(lesions, ["a", "b"], [0.1, 1.0])
    assert (small["n"], small["cases"], middle["n"], large["n"]) == (2, 1, 1, 0)
    assert [m["sensitivity"] for m in small["models"]] == [0.5, 1]
    assert small["models"][0]["dice"] == pytest.approx(0.25)
    assert small["differences"][0]["difference"] == pytest.approx(-0.3)
    assert middle["differences"][0]["dropped"] == 1
    assert large["models"][0]["dice"] is None
    assert large["models"][0]["sensitivity"] is None


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: paired_difference([1, 2], [1]), "shapes"),
        (lambda: rank_models(np.ones((1, 1, 2)), [True]), "1 cases and 2 models"),
        (lambda: case_ranks(np.ones((2, 2)), [True]), "shape"),
        (lambda: size_names([1, 1]), "edges"),
        (lambda: size_names([]), "edges"),
        (lambda: size_names([0.0]), "edges"),
    ],
)
def test_what_cannot_be_compared_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
