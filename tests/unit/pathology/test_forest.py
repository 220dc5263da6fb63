"""Random trees as arrays against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.pathology.forest import Forest, ForestSettings


def grown(seed: int, classes: int, features: int, trees: int, rounded: bool) -> tuple[RandomForestClassifier, np.ndarray]:
    """Return a forest of scikit-learn and values to ask it, many of them just at a threshold."""
    rng = np.random.default_rng(seed)
    y = np.arange(60 * classes) % classes
    x = (rng.normal(size=(len(y), features)) + 0.5 * y[:, None]).astype(np.float32)
    x = np.round(x, 1) if rounded else x
    forest = RandomForestClassifier(trees, max_depth=8, min_samples_split=5, class_weight="balanced", random_state=seed).fit(x, y)
    ask = rng.normal(size=(700, features)).astype(np.float32) + np.float32(0.5)
    thresholds = np.concatenate([t.tree_.threshold[t.tree_.feature >= 0] for t in forest.estimators_]).astype(np.float32)
    spots = rng.random(ask.shape) < 0.5
    at = rng.choice(thresholds, spots.sum())
    ask[spots] = np.where(rng.random(len(at)) < 0.5, at, np.nextafter(at, np.float32(np.inf)))
    return forest, ask


def sklearn_votes(forest: RandomForestClassifier, ask: np.ndarray) -> np.ndarray:
    each = np.stack([tree.predict(ask) for tree in forest.estimators_])
    return np.stack([(each == k).sum(axis=0) for k in range(len(forest.classes_))])


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 5), features=st.integers(1, 9), trees=st.integers(1, 12), rounded=st.booleans())
def test_votes_are_those_of_scikit_learn(seed: int, classes: int, features: int, trees: int, rounded: bool) -> None:
    reference, ask = grown(seed, classes, features, trees, rounded)
    forest = Forest.from_sklearn(reference)
    columns = np.ascontiguousarray(ask.T)
    wanted = sklearn_votes(reference, ask)
    np.testing.assert_array_equal(forest.votes(columns), wanted)
    np.testing.assert_array_equal(forest.votes_on(torch.from_numpy(columns)).numpy(), wanted)
    np.testing.assert_array_equal(forest.winners(columns), wanted.argmax(axis=0))


def test_a_fit_is_that_of_scikit_learn_with_the_published_settings() -> None:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 3, 300)
    x = (rng.normal(size=(300, 20)) + y[:, None]).astype(np.float32)
    reference = RandomForestClassifier(100, max_depth=30, min_samples_split=5, max_features=10, class_weight="balanced", random_state=7)
    forest = Forest.fit(x, y, ForestSettings(), seed=7)
    np.testing.assert_array_equal(forest.votes(np.ascontiguousarray(x.T)), sklearn_votes(reference.fit(x, y), x))


def test_the_first_trees_do_not_depend_on_how_many_follow() -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 200)
    x = (rng.normal(size=(200, 6)) + y[:, None]).astype(np.float32)
    few, many = (Forest.fit(x, y, ForestSettings(trees=n), seed=1) for n in (5, 20))
    size = len(few.feature)
    for name, values in few.arrays().items():
        np.testing.assert_array_equal(values, many.arrays()[name][: 5 if name == "roots" else size])


def test_branches_that_vote_alike_are_cut() -> None:
    reference, _ = grown(5, 3, 4, 6, False)
    forest = Forest.from_sklearn(reference)
    assert len(forest.feature) < sum(tree.tree_.node_count for tree in reference.estimators_)
    inner = forest.feature >= 0
    ends = ~inner
    both = inner & ends[forest.left] & ends[forest.right]
    assert (forest.winner[forest.left[both]] != forest.winner[forest.right[both]]).all()


@pytest.mark.parametrize(
    ("name", "index", "value"),
    [("left", 0, 0), ("right", 0, 10**6), ("winner", 1, 200), ("feature", 0, 99), ("threshold", 0, np.nan), ("roots", 0, -1)],
)
def test_damaged_trees_are_refused(name: str, index: int, value: float) -> None:
    arrays = {n: a.copy() for n, a in Forest.from_sklearn(grown(6, 2, 3, 2, False)[0]).arrays().items()}
    arrays[name][index] = value
    with pytest.raises(ModelError, match="damaged"):
        Forest.from_arrays(arrays, 3, 2)
    with pytest.raises(ModelError, match="incomplete"):
        Forest.from_arrays({n: a for n, a in arrays.items() if n != name}, 3, 2)


def test_the_wrong_number_of_features_and_trees_is_refused() -> None:
    forest = Forest.from_sklearn(grown(6, 2, 3, 2, False)[0])
    with pytest.raises(InputError, match="3 features"):
        forest.votes(np.zeros((4, 10), np.float32))
    with pytest.raises(InputError, match="255 trees"):
        ForestSettings(trees=256)
