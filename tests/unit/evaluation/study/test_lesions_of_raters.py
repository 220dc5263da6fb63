from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.study.bias import Planted, Reading, automation_bias, leave_one_out, planted_errors
from napari_tumorseg.evaluation.study.detection import bootstrap_cases, pair_counts, specific_agreement
from napari_tumorseg.evaluation.study.lesion_clusters import Merge, cluster_lesions

masks = st.lists(hnp.arrays(np.uint8, (1, 3, 5), elements=st.integers(0, 3)), min_size=1, max_size=4)


@given(masks)
def test_every_lesion_is_in_one_cluster_and_no_cluster_has_two_of_a_mask(found: list[np.ndarray]) -> None:
    parts = dict(zip("ABCD", found, strict=False))
    clusters, merges = cluster_lesions(parts)
    members = [member for cluster in clusters for member in cluster.members.items()]
    assert sorted(members) == sorted((name, int(n)) for name, p in parts.items() for n in np.unique(p) if n)
    # The order in which the masks are given does not matter.
    assert cluster_lesions(dict(reversed(parts.items()))) == (clusters, merges)
    expected = set()
    for one, other in itertools.permutations(parts, 2):
        for lesion in np.unique(parts[one]):
            inside = tuple(int(n) for n in np.unique(parts[other][parts[one] == lesion]) if n)
            if lesion and len(inside) > 1:
                expected.add((one, int(lesion), other, inside))
    assert {(m.mask, m.lesion, m.other, m.lesions) for m in merges} == expected


@given(masks)
def test_clusters_follow_the_rule_step_by_step(found: list[np.ndarray]) -> None:
    parts = dict(zip("ABCD", found, strict=False))
    pairs = []
    for a, b in itertools.combinations(sorted(parts), 2):
        for x, y in itertools.product(range(1, 4), range(1, 4)):
            one, other = parts[a] == x, parts[b] == y
            if (one & other).any():
                both = int((one & other).sum())
                pairs.append((-both / int((one | other).sum()), -both, (a, x), (b, y)))
    clusters = [{(name, int(n))} for name, p in parts.items() for n in np.unique(p) if n]
    for _, _, one, other in sorted(pairs):
        first = next(c for c in clusters if one in c)
        second = next(c for c in clusters if other in c)
        if first is not second and not {m for m, _ in first} & {m for m, _ in second}:
            clusters.remove(second)
            first |= second
    assert sorted(sorted(c.members.items()) for c in cluster_lesions(parts)[0]) == sorted(sorted(c) for c in clusters)


def test_a_lesion_over_two_is_a_merge_and_goes_to_the_one_it_covers_better() -> None:
    one = np.zeros((1, 1, 10), int)
    one[..., :8] = 1
    two = np.zeros((1, 1, 10), int)
    two[..., :5], two[..., 6:8] = 1, 2
    clusters, merges = cluster_lesions({"A": one, "B": two})
    assert [dict(c.members) for c in clusters] == [{"A": 1, "B": 1}, {"B": 2}]
    assert merges == (Merge("A", 1, "B", (1, 2)),)
    with pytest.raises(InputError, match="different shapes"):
        cluster_lesions({"A": one, "B": two[..., :5]})


@given(hnp.arrays(bool, st.tuples(st.integers(0, 5), st.integers(2, 5))))
def test_pairs_are_counted_as_defined(found: np.ndarray) -> None:
    both = alone = 0
    for a, b in itertools.combinations(range(found.shape[1]), 2):
        both += int((found[:, a] & found[:, b]).sum())
        alone += int((found[:, a] ^ found[:, b]).sum())
    assert pair_counts(found) == (both, alone)


def test_the_index_is_dice_of_two_raters_and_its_interval_is_over_cases() -> None:
    rng = np.random.default_rng(0)
    truth = [rng.random((int(n), 1)) < 0.9 for n in rng.integers(1, 6, 60)]
    cases = [(rng.random((len(t), 2)) < 0.8) & t for t in truth]
    told = specific_agreement(cases)
    marks = np.concatenate(cases)
    a, b, c = (marks[:, 0] & marks[:, 1]).sum(), (marks[:, 0] & ~marks[:, 1]).sum(), (~marks[:, 0] & marks[:, 1]).sum()
    assert told["index"] == pytest.approx(2 * a / (2 * a + b + c))
    assert told["low"] < told["index"] < told["high"]
    assert 0.04 < told["high"] - told["low"] < 0.3
    empty = specific_agreement([np.zeros((0, 2), bool)] * 3)
    assert (empty["index"], empty["low"], empty["empty"]) == (None, None, 3)
    with pytest.raises(InputError, match="fewer than two raters"):
        specific_agreement([[[True]]])


def test_the_bootstrap_covers_a_share_as_often_as_it_says() -> None:
    """Of 200 intervals of 95 %, 180 to 198 hold the truth but in fewer than 1 of 100 runs."""
    from scipy.stats import binom

    rng = np.random.default_rng(4)
    held = 0
    for seed in range(200):
        sizes = rng.integers(1, 8, 60)
        counts = np.stack([rng.binomial(sizes, 0.3), sizes], axis=1).astype(float)
        low, high = bootstrap_cases(counts, lambda s: s[:, 0] / s[:, 1], draws=400, seed=seed)
        held += low is not None and high is not None and low <= 0.3 <= high
    # The percentile bootstrap of 60 cases covers about 94 %.
    assert binom.cdf(179, 200, 0.94) + binom.sf(198, 200, 0.94) < 0.01
    assert 180 <= held <= 198


def marks(*values: int) -> np.ndarray:
    return np.array(values, bool)


def test_a_reading_is_judged_by_the_others_from_scratch() -> None:
    scratch = {"A": marks(1, 1, 0), "B": marks(1, 0, 0), "C": marks(1, 0, 1)}
    assert leave_one_out(scratch, "A").tolist() == [True, False, True]
    assert leave_one_out({"A": marks(1)}, "A") is None


def test_omission_and_commission_are_counted_by_arm() -> None:
    ai = marks(1, 0, 1, 0)
    there = marks(1, 1, 0, 0)
    readings = [
        Reading("1", "A", "scratch", marks(1, 1, 0, 1), there, ai),
        Reading("1", "B", "ai", marks(1, 0, 1, 0), there, ai),
        Reading("2", "A", "ai", marks(1, 1, 0, 0), there, ai),
        Reading("2", "B", "scratch", marks(1, 1, 0, 0), there, ai),
        Reading("2", "B", "sham", marks(0, 0, 0, 0), there, ai),
    ]
    told = automation_bias(readings, ("scratch", "ai"), draws=200)
    json.dumps(told, allow_nan=False)
    scratch, helped = told["arms"]["scratch"], told["arms"]["ai"]
    assert (scratch["omission"], helped["omission"]) == (0, 0.25)
    assert (scratch["commission"], helped["commission"]) == (0.2, 0.25)
    assert (scratch["ai_missed_omission"], helped["ai_missed_omission"]) == (0, 0.5)
    assert (scratch["ai_false_commission"], helped["ai_false_commission"]) == (0, 0.5)
    assert told["difference"]["ai_false_commission"]["value"] == 0.5
    assert automation_bias([], ("scratch", "ai"))["difference"]["omission"]["value"] is None


def test_a_bias_that_was_planted_is_found_and_none_is_not() -> None:
    rng = np.random.default_rng(1)
    readings = []
    for case in range(40):
        there = rng.random(5) < 0.8
        ai = there & (rng.random(5) < 0.7)
        for rater in "ABC":
            seen = there & (rng.random(5) < 0.9)
            readings.append(Reading(str(case), rater, "scratch", seen, there, ai))
            # With the AI half of what it missed is missed with it.
            biased = (there & (rng.random(5) < 0.9)) & (ai | (rng.random(5) < 0.5))
            readings.append(Reading(str(case), rater, "ai", biased, there, ai))
    told = automation_bias(readings, ("scratch", "ai"))["difference"]
    assert told["ai_missed_omission"]["low"] > 0.3
    assert told["ai_missed_omission"]["value"] == pytest.approx(0.45, abs=0.1)
    assert told["commission"]["value"] == 0


def test_planted_errors_that_got_through_are_counted_by_kind() -> None:
    from statsmodels.stats.proportion import proportion_confint

    rows = [Planted("1", "A", "vessel", True), Planted("1", "B", "vessel", False), Planted("2", "A", "missed lesion", False)]
    told = planted_errors(rows)
    assert told["vessel"] | {"low": 0, "high": 0} == {"errors": 1, "readings": 2, "through": 1, "share": 0.5, "low": 0, "high": 0}
    assert (told["all"]["low"], told["all"]["high"]) == pytest.approx(proportion_confint(2, 3, method="wilson"))
    assert planted_errors([])["all"]["share"] is None
