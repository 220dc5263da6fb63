"""Kappa and alpha."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.raters.categories import WEIGHTS, cohen_kappa, fleiss_kappa
from napari_tumorseg.evaluation.raters.krippendorff import SCALES, krippendorff_alpha

NAN = float("nan")
# K. Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011, section C: four observers, twelve units.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
    [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40), st.sampled_from(WEIGHTS))
def test_kappa_equals_scikit_learn(pairs, weights):
    a, b = zip(*pairs, strict=True)
    found = cohen_kappa(a, b, range(4), weights)
    if len(set(a) | set(b)) < 2:
        assert found["kappa"] is None
        return
    expected = cohen_kappa_score(a, b, labels=range(4), weights=None if weights == "plain" else weights)
    assert found["kappa"] == pytest.approx(expected, abs=1e-12)
    assert found["observed"] == np.mean(np.array(a) == np.array(b))


def test_the_interval_of_kappa_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(4)
    joint = np.array([[0.35, 0.08, 0.02], [0.05, 0.2, 0.05], [0.02, 0.05, 0.18]])
    chance = joint.sum(axis=1) @ joint.sum(axis=0)
    truth = (np.trace(joint) - chance) / (1 - chance)
    runs, held = 600, 0
    for _ in range(runs):
        a, b = np.divmod(rng.choice(9, 150, p=joint.ravel()), 3)
        low, high = cohen_kappa(a.tolist(), b.tolist(), range(3))["kappa_ci"]
        held += low <= truth <= high
    assert held / runs == pytest.approx(0.95, abs=3.3 * np.sqrt(0.95 * 0.05 / runs))


def slow_fleiss(table):
    n = sum(table[0])
    agreement = [sum(c * (c - 1) for c in row) / (n * (n - 1)) for row in table]
    shares = [sum(column) / (n * len(table)) for column in zip(*table, strict=True)]
    chance = sum(p**2 for p in shares)
    return (sum(agreement) / len(agreement) - chance) / (1 - chance)


def test_fleiss_equals_the_definition_and_the_published_example():
    # The worked example in Fleiss' article as the encyclopaedias give it: 14 raters, 10 subjects, 5 categories, kappa 0.210.
    table = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
             [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]  # fmt: skip
    found = fleiss_kappa(table)
    assert found["kappa"] == pytest.approx(slow_fleiss(table))
    assert found["kappa"] == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa([[3, 0], [3, 0]])["kappa"] is None


def test_the_published_alphas_are_reproduced():
    found = [krippendorff_alpha(OBSERVERS, scale) for scale in SCALES]
    assert [round(row["alpha"], 3) for row in found] == [0.743, 0.815, 0.849, 0.797]
    assert (found[0]["n"], found[0]["values"]) == (11, 40)
    for row in found:
        assert row["alpha_ci"][0] < row["alpha"] < row["alpha_ci"][1]


def slow_alpha(ratings, scale):
    """Alpha as one minus the mean disagreement within units over that of all pairs of pairable values."""
    units = [[v for v in unit if not np.isnan(v)] for unit in np.array(ratings, float).T]
    units = [unit for unit in units if len(unit) > 1]
    pool = [v for unit in units for v in unit]

    def apart(a, b):
        if scale == "nominal":
            return float(a != b)
        if scale == "interval":
            return (a - b) ** 2
        if scale == "ratio":
            return ((a - b) / (a + b)) ** 2 if a + b else 0.0
        low, high = min(a, b), max(a, b)
        between = sum(low <= v <= high for v in pool) - (pool.count(a) + pool.count(b)) / 2
        return between**2 if a != b else 0.0

    observed = sum(apart(a, b) / (len(unit) - 1) for unit in units for a, b in itertools.permutations(unit, 2)) / len(pool)
    expected = sum(apart(a, b) for a, b in itertools.permutations(pool, 2)) / (len(pool) * (len(pool) - 1))
    return 1 - observed / expected


@given(st.integers(0, 10_000), st.sampled_from(SCALES))
def test_alpha_equals_the_slow_definition(seed, scale):
    rng = np.random.default_rng(seed)
    ratings = rng.integers(0, 5, (4, 8)).astype(float)
    ratings[rng.random((4, 8)) < 0.25] = NAN
    pairable = ratings[:, (~np.isnan(ratings)).sum(axis=0) >= 2]
    if pairable.size == 0 or np.unique(pairable[~np.isnan(pairable)]).size < 2:
        return
    assert krippendorff_alpha(ratings, scale)["alpha"] == pytest.approx(slow_alpha(ratings, scale), abs=1e-12)


def test_alpha_of_two_raters_without_order_is_near_kappa_and_of_chance_near_nothing():
    rng = np.random.default_rng(2)
    a = rng.integers(0, 3, 4000)
    b = np.where(rng.random(4000) < 0.7, a, rng.integers(0, 3, 4000))
    alpha = krippendorff_alpha([a, b])["alpha"]
    assert alpha == pytest.approx(cohen_kappa(a.tolist(), b.tolist(), range(3))["kappa"], abs=1e-3)
    assert abs(krippendorff_alpha([a, rng.permutation(a)])["alpha"]) < 0.05


def test_one_value_only_has_no_alpha_and_many_values_have_no_interval():
    assert krippendorff_alpha([[1, 1], [1, 1]])["alpha"] is None
    many = np.random.default_rng(0).normal(0, 1, (2, 100)) + 3 * np.arange(100)
    assert krippendorff_alpha(many, "interval")["alpha_ci"] == [None, None]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: cohen_kappa([], [], "ab"), "no case in common"),
        (lambda: cohen_kappa("a", "ab", "ab"), "1 and 2 cases"),
        (lambda: cohen_kappa("ax", "ab", "ab"), "'x' is none"),
        (lambda: fleiss_kappa([[1, 1], [2, 1]]), "same number of raters"),
        (lambda: fleiss_kappa([[1, 0]]), "same number of raters"),
        (lambda: krippendorff_alpha([[1, 2]]), "judged by two"),
        (lambda: krippendorff_alpha([[1, -2], [1, 2]], "ratio"), "negative"),
        (lambda: krippendorff_alpha([[1, float("inf")], [1, 2]]), "infinite"),
    ],
)
def test_what_cannot_be_judged_is_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
