"""Logic between masks, restoring the AI's version, copying a slice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.editing.copy_slice import CopySliceParams, copy_slice
from napari_tumorseg.editing.logic import LogicParams, combine
from napari_tumorseg.editing.restore import (
    RestoreLassoParams,
    RestorePartParams,
    RestoreSphereParams,
    restore_lasso,
    restore_part,
    restore_sphere,
)
from napari_tumorseg.editing.scope import Target

SHAPE = (4, 7, 8)
SPACING = (3.0, 0.8, 0.6)
LABELS = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 0, 1, 2, 3]))
OPERATIONS = {
    "union": np.logical_or,
    "intersection": np.logical_and,
    "difference": lambda a, b: a & ~b,
    "copy": lambda a, b: b,
}


@given(LABELS, LABELS, st.sampled_from(sorted(OPERATIONS)), st.sampled_from([0, 1, 3]), st.sampled_from(["another mask", "AI's mask"]))
def test_logic_between_masks(make_scope, apply, labels: np.ndarray, other: np.ndarray, operation, value: int, source) -> None:
    scope = make_scope(labels, **{"other" if source == "another mask" else "ai": other})
    theirs = other == value if value else other != 0
    wanted = OPERATIONS[operation](labels == 3, theirs)
    done = apply(scope, combine(scope, Target(), LogicParams(operation, source, value)))
    assert np.array_equal(done == 3, wanted)
    assert np.array_equal(done[~wanted & (labels != 3)], labels[~wanted & (labels != 3)])
    careful = apply(scope, combine(scope, Target(), LogicParams(operation, source, value, over="background")))
    assert np.array_equal(careful == 3, np.where((labels == 3) | (labels == 0), wanted, False))


@given(LABELS)
def test_logic_between_labels_of_one_mask(make_scope, apply, labels: np.ndarray) -> None:
    scope = make_scope(labels)
    done = apply(scope, combine(scope, Target(), LogicParams("union", "this mask", 1)))
    assert np.array_equal(done, np.where(labels == 1, 3, labels))
    done = apply(scope, combine(scope, Target(), LogicParams("union", "this mask", 0)))
    assert np.array_equal(done, np.where(labels != 0, 3, 0))
    done = apply(scope, combine(scope, Target(), LogicParams("copy", "this mask", 2)))
    assert np.array_equal(done, np.where(labels == 2, 3, np.where(labels == 3, 0, labels)))


@given(LABELS, LABELS)
def test_logic_within_the_lesion_in_focus_and_locks(make_scope, apply, labels: np.ndarray, other: np.ndarray) -> None:
    part = (Box((1, 2, 2), (3, 6, 7)), np.ones((2, 4, 5), bool))
    inside = np.zeros(SHAPE, bool)
    inside[part[0].slices] = True
    scope = make_scope(labels, other=other, locked=frozenset({1}))
    done = apply(scope, combine(scope, Target(part=part), LogicParams("copy", reach="lesion in focus")))
    assert np.array_equal(done[~inside], labels[~inside])
    assert np.array_equal(done == 1, labels == 1)
    assert np.array_equal((done == 3)[inside & (labels != 1)], (other != 0)[inside & (labels != 1)])


def test_what_is_missing_is_said(make_scope) -> None:
    scope = make_scope(np.ones(SHAPE, np.uint8))
    with pytest.raises(InputError, match="other mask"):
        combine(scope, Target(), LogicParams())
    for run, params in (
        (restore_part, RestorePartParams()),
        (restore_sphere, RestoreSphereParams()),
        (restore_lasso, RestoreLassoParams()),
    ):
        with pytest.raises(InputError, match="AI version"):
            run(scope, Target(voxel=(0, 0, 0)), params)


@given(LABELS, LABELS, st.floats(0, 5))
def test_a_lesion_is_restored_with_a_margin(make_scope, apply, labels: np.ndarray, first: np.ndarray, margin_mm: float) -> None:
    mask = np.random.default_rng(0).random((1, 3, 2)) > 0.3
    part = (Box((1, 2, 3), (2, 5, 5)), mask)
    scope = make_scope(labels, ai=first, locked=frozenset({2}))
    done = apply(scope, restore_part(scope, Target(part=part), RestorePartParams(margin_mm)))
    places = (np.argwhere(mask) + part[0].start) * SPACING
    voxels = np.argwhere(np.ones(SHAPE, bool)) * SPACING
    away = np.linalg.norm(voxels[:, None] - places[None], axis=2).min(axis=1).reshape(SHAPE)
    sure = np.abs(away - margin_mm) > 1e-5
    expected = np.where((away <= margin_mm) & (labels != 2), first, labels)
    assert np.array_equal(done[sure], expected[sure])


@given(LABELS, LABELS)
def test_without_a_lesion_in_focus_all_is_restored(make_scope, apply, labels: np.ndarray, first: np.ndarray) -> None:
    scope = make_scope(labels, ai=first)
    assert np.array_equal(apply(scope, restore_part(scope, Target(), RestorePartParams())), first)


@given(LABELS, LABELS, st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 7)), st.floats(0.6, 5), st.booleans())
def test_a_sphere_is_restored(make_scope, apply, labels, first, voxel, radius_mm: float, in_3d: bool) -> None:
    scope = make_scope(labels, ai=first)
    done = apply(scope, restore_sphere(scope, Target(voxel=voxel, axis=1), RestoreSphereParams(radius_mm, in_3d)))
    away = np.linalg.norm((np.argwhere(np.ones(SHAPE, bool)) - voxel) * SPACING, axis=1).reshape(SHAPE)
    if not in_3d:
        away[:, [i for i in range(SHAPE[1]) if i != voxel[1]]] = np.inf
    sure = np.abs(away - radius_mm) > 1e-6
    assert np.array_equal(done[sure], np.where(away <= radius_mm, first, labels)[sure])


def test_a_lasso_is_restored(make_scope, apply) -> None:
    labels, first = np.full(SHAPE, 1, np.uint8), np.full(SHAPE, 3, np.uint8)
    path = np.array([[1, 0.5, 0.5], [1, 0.5, 4.5], [1, 3.5, 4.5], [1, 3.5, 0.5]])
    scope = make_scope(labels, ai=first)
    done = apply(scope, restore_lasso(scope, Target(path=path), RestoreLassoParams()))
    expected = labels.copy()
    expected[1, 1:4, 1:5] = 3
    assert np.array_equal(done, expected)


@given(LABELS, st.integers(0, 2), st.sampled_from(["next", "previous"]), st.booleans(), st.integers(0, 7))
def test_a_slice_is_copied(make_scope, apply, labels: np.ndarray, axis: int, to, replace: bool, index: int) -> None:
    index %= SHAPE[axis]
    voxel = [0, 0, 0]
    voxel[axis] = index
    other = index + (1 if to == "next" else -1)
    scope = make_scope(labels)
    place = Target(voxel=(voxel[0], voxel[1], voxel[2]), axis=axis)
    if not 0 <= other < SHAPE[axis]:
        with pytest.raises(InputError, match="slice"):
            copy_slice(scope, place, CopySliceParams(to, replace=replace))
        return
    done = np.moveaxis(apply(scope, copy_slice(scope, place, CopySliceParams(to, replace=replace))), axis, 0)
    before = np.moveaxis(labels, axis, 0)
    rest = [i for i in range(SHAPE[axis]) if i != other]
    assert np.array_equal(done[rest], before[rest])
    here, there = before[index] == 3, before[other]
    assert (done[other][here & (there == 0)] == 3).all()
    assert np.array_equal(done[other][(there != 0) & (there != 3)], there[(there != 0) & (there != 3)])
    if not replace:
        assert np.array_equal(done[other] == 3, (there == 3) | (here & (there == 0)))


def test_a_copy_follows_the_image(make_scope, apply) -> None:
    rows, columns = np.ogrid[0:60, 0:60]
    discs = [((rows - 30) * 0.8) ** 2 + ((columns - 30 - shift) * 0.8) ** 2 <= radius**2 for shift, radius in ((0, 12), (2, 10))]
    image = np.random.default_rng(0).normal(100, 8, (2, 60, 60)) + 80 * np.array(discs)
    labels = np.zeros((2, 60, 60), np.uint8)
    labels[0][discs[0]] = 3
    scope = make_scope(labels, spacing=(3.0, 0.8, 0.8), image=image)
    place = Target(voxel=(0, 30, 30))
    plain = apply(scope, copy_slice(scope, place, CopySliceParams()))
    assert np.array_equal(plain[1] == 3, discs[0])
    fitted = apply(scope, copy_slice(scope, place, CopySliceParams(adapt_mm=5.0)))
    assert 2 * (discs[1] & (fitted[1] == 3)).sum() / (discs[1].sum() + (fitted[1] == 3).sum()) > 0.96
    with pytest.raises(InputError, match="image"):
        copy_slice(make_scope(labels), place, CopySliceParams(adapt_mm=5.0))
