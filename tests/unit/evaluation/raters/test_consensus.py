"""Fusing the masks of several raters."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.raters.consensus import agreement_map, majority, simple, staple

few_labels = arrays(np.uint8, (5, 2, 3, 4), elements=st.integers(0, 2))


def rated(rng, truth, confusion):
    """Return what a rater says who confuses the labels as told: rows the truth, columns what is said."""
    said = np.zeros_like(truth)
    for label, row in enumerate(confusion):
        inside = truth == label
        said[inside] = rng.choice(len(row), inside.sum(), p=row)
    return said


@given(few_labels, st.integers(2, 5))
def test_majority_equals_counting_in_every_voxel(stack, raters):
    masks = list(stack[:raters])
    found = majority(masks)
    ties = 0
    for index in np.ndindex(masks[0].shape):
        votes = np.bincount([mask[index] for mask in masks], minlength=3)
        winners = np.flatnonzero(votes == votes.max())
        ties += len(winners) > 1
        assert found.labels[index] == (winners[0] if len(winners) == 1 else 0)
    # Outside the box around all masks nothing can tie.
    assert found.tied_voxels == ties


@given(few_labels)
def test_the_agreement_map_is_the_share_of_raters(stack):
    assert agreement_map(list(stack)) == pytest.approx((stack > 0).mean(axis=0))


def test_staple_equals_simpleitk_with_one_label_and_with_several():
    rng = np.random.default_rng(0)
    truth = np.zeros((12, 14, 16), np.uint8)
    truth[3:9, 3:9, 3:9] = 1
    binary = [rated(rng, truth, [[0.97, 0.03], [0.1, 0.9]]) for _ in range(3)]
    probability = sitk.GetArrayFromImage(sitk.STAPLE([sitk.GetImageFromArray(mask) for mask in binary], 1.0))
    # The label's own value does not matter, and comes back.
    assert np.array_equal(staple([mask * 4 for mask in binary]).labels, np.where(probability >= 0.5, 4, 0))
    truth[5:7, 5:7, 5:7] = 2
    several = [rated(rng, truth, [[0.97, 0.02, 0.01], [0.1, 0.85, 0.05], [0.1, 0.1, 0.8]]) for _ in range(4)]
    expected = sitk.GetArrayFromImage(sitk.MultiLabelSTAPLE([sitk.GetImageFromArray(mask) for mask in several], 0))
    assert np.array_equal(staple(several).labels, expected)


def test_staple_recovers_the_raters_that_were_simulated():
    rng = np.random.default_rng(1)
    truth = (rng.random((40, 40, 40)) < 0.25).astype(np.uint8)
    skill = [(0.95, 0.98), (0.8, 0.9), (0.7, 0.99), (0.9, 0.85)]
    found = staple([rated(rng, truth, [[q, 1 - q], [1 - p, p]]) for p, q in skill])
    for (p, q), sensitivity, specificity in zip(skill, found.sensitivity, found.specificity, strict=True):
        assert sensitivity[1] == pytest.approx(p, abs=0.02)
        assert specificity[1] == pytest.approx(q, abs=0.02)


def test_staple_of_several_labels_recovers_them_too():
    rng = np.random.default_rng(2)
    truth = rng.choice([0, 1, 2], (40, 40, 40), p=[0.6, 0.25, 0.15]).astype(np.uint8)
    confusion = [[0.94, 0.04, 0.02], [0.08, 0.85, 0.07], [0.05, 0.15, 0.8]]
    found = staple([np.array([0, 3, 7], np.uint8)[rated(rng, truth, confusion)] for _ in range(5)])
    share = np.bincount(truth.ravel()) / truth.size
    for sensitivity, specificity in zip(found.sensitivity, found.specificity, strict=True):
        assert sensitivity == pytest.approx({3: 0.85, 7: 0.8}, abs=0.02)
        false_3 = (share[0] * 0.04 + share[2] * 0.15) / (share[0] + share[2])
        false_7 = (share[0] * 0.02 + share[1] * 0.07) / (share[0] + share[1])
        assert specificity == pytest.approx({3: 1 - false_3, 7: 1 - false_7}, abs=0.02)


def test_simple_leaves_out_the_rater_who_drew_something_else():
    rng = np.random.default_rng(3)
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[5:15, 5:15, 5:15] = 1
    good = [rated(rng, truth, [[0.99, 0.01], [0.05, 0.95]]) for _ in range(4)]
    bad = np.roll(truth, 8, axis=0)
    found = simple([*good, bad])
    assert found.weights[-1] == 0
    assert all(weight > 0.9 for weight in found.weights[:3] if weight)
    overlap = 2 * (found.labels & truth).sum() / (found.labels.sum() + truth.sum())
    assert overlap > 0.98


def test_simple_of_equal_raters_is_what_they_drew_and_three_always_stay():
    cube = np.zeros((4, 4, 4), np.uint8)
    cube[1:3, 1:3, 1:3] = 2
    assert np.array_equal(simple([cube] * 6).labels, cube)
    assert simple([cube] * 6).weights == (1.0,) * 6
    other = np.zeros_like(cube)
    other[0, 0, 0] = 2
    assert all(weight > 0 or i == 2 for i, weight in enumerate(simple([cube, cube, other]).weights))
    assert np.array_equal(simple([cube, cube, other]).labels, cube)


@pytest.mark.parametrize("fuse", [majority, staple, simple])
def test_nobody_drew_anything_is_an_empty_consensus(fuse):
    assert not fuse([np.zeros((3, 3, 3), np.uint8)] * 3).labels.any()


@pytest.mark.parametrize("fuse", [majority, staple, simple])
def test_one_mask_and_masks_of_different_shapes_are_refused(fuse):
    with pytest.raises(InputError, match="There is 1 mask"):
        fuse([np.zeros((3, 3, 3), np.uint8)])
    with pytest.raises(InputError, match="shapes"):
        fuse([np.zeros((3, 3, 3), np.uint8), np.zeros((3, 3, 4), np.uint8)])


def test_labels_above_a_byte_survive():
    wide, narrow = np.zeros((2, 2, 2), np.uint16), np.zeros((2, 2, 2), np.uint8)
    wide[0] = 400
    narrow[0] = 1
    assert majority([wide, wide, narrow]).labels.max() == 400
    assert simple([narrow, wide, wide]).labels.max() == 400
    assert staple([narrow, wide, wide]).labels.max() == 400
