from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.grid import Box
from napari_tumorseg.editing.scope import Target
from napari_tumorseg.editing.smooth import SmoothParams, median_filtered, smooth
from napari_tumorseg.editing.smooth_jointly import JointParams, smooth_jointly
from napari_tumorseg.voxels.ball import ball

LABELS = arrays(np.uint8, (5, 9, 10), elements=st.sampled_from([0, 0, 0, 1, 2, 3]))
SPACING = (3.0, 0.8, 0.6)


def _footprint(radius_mm: float, axis: int | None) -> np.ndarray:
    return ball(2 * radius_mm, [s if i != axis else 1e9 for i, s in enumerate(SPACING)])


@given(arrays(np.bool_, (4, 9, 10)), st.sampled_from([0.5, 0.8, 1.3, 3.1]), st.sampled_from([None, 0, 1]))
def test_median_equals_scipy(mask: np.ndarray, radius: float, axis: int | None) -> None:
    expected = ndimage.median_filter(mask.astype(np.uint8), footprint=_footprint(radius, axis), mode="nearest") > 0
    assert np.array_equal(median_filtered(mask, radius, SPACING, axis), expected)


@pytest.mark.parametrize("extent", ["3-D", "every slice", "this slice"])
@pytest.mark.parametrize("method", ["median", "opening", "closing", "gaussian"])
@pytest.mark.parametrize("axis", [0, 2])
def test_smoothing_equals_scipy_on_the_whole_volume(make_scope, apply, blob, method, extent, axis) -> None:
    scope = make_scope(blob * 3, spacing=SPACING)
    radius = 2.3
    flat, index = None if extent == "3-D" else axis, 0
    footprint = _footprint(radius, flat)
    if method == "median":
        expected = ndimage.median_filter(blob.astype(np.uint8), footprint=footprint, mode="nearest") > 0
    elif method == "gaussian":
        sigma = [0 if i == flat else radius / 2 / s for i, s in enumerate(SPACING)]
        expected = ndimage.gaussian_filter(blob.astype(np.float32), sigma, mode="nearest") > 0.5
    elif method == "opening":
        expected = ndimage.binary_dilation(ndimage.binary_erosion(blob, footprint, border_value=1), footprint)
    else:
        wide = ndimage.binary_closing(np.pad(blob, 12), footprint)
        expected = wide[12:-12, 12:-12, 12:-12]
    if extent == "this slice":
        # The slice in which most happens.
        index = int((expected != blob).sum(axis=tuple(i for i in range(3) if i != axis)).argmax())
        only = (slice(None),) * axis + (index,)
        expected, plane = blob.copy(), expected[only]
        expected[only] = plane
    voxel = [5, 12, 20]
    voxel[axis] = index
    place = Target(voxel=(voxel[0], voxel[1], voxel[2]), axis=axis)
    done = apply(scope, smooth(scope, place, SmoothParams(method, radius, extent)))
    assert (expected != blob).any()
    assert np.array_equal(done == 3, expected)


@given(LABELS, st.sampled_from(["median", "opening", "closing", "gaussian"]))
def test_other_labels_stay(make_scope, labels: np.ndarray, method) -> None:
    scope = make_scope(labels)
    found = smooth(scope, Target(), SmoothParams(method, 1.3))
    if found is not None:
        old = labels[found.box.slices]
        assert (found.labels[(old != 3) & (old != 0)] == old[(old != 3) & (old != 0)]).all()
        assert np.isin(found.labels[old == 3], [0, 3]).all()


def test_only_the_lesion_in_focus_is_smoothed(make_scope, apply) -> None:
    labels = np.zeros((5, 30, 30), np.uint8)
    labels[2, 4:12, 4:12] = 3
    labels[2, 4, 12] = 3  # a spur
    labels[2, 20:22, 20:22] = 3  # another lesion, which a median would take away
    part = (Box((2, 4, 4), (3, 12, 13)), labels[2:3, 4:12, 4:13] > 0)
    scope = make_scope(labels)
    done = apply(scope, smooth(scope, Target(part=part), SmoothParams("median", 2.0)))
    assert done[2, 4, 12] == 0
    assert (done[2, 20:22, 20:22] == 3).all()


def _joint_oracle(labels: np.ndarray, radius: float, among: list[int]) -> np.ndarray:
    sigma = [radius / 2 / s for s in SPACING]
    return np.stack([ndimage.gaussian_filter((labels == v).astype(np.float64), sigma, mode="nearest") for v in among])


@given(LABELS, st.sampled_from([0.8, 1.5, 4.0]))
def test_joint_smoothing_gives_each_voxel_the_heaviest_label(make_scope, apply, labels: np.ndarray, radius: float) -> None:
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, smooth_jointly(scope, Target(), JointParams(radius)))
    weights = _joint_oracle(labels, radius, [0, 1, 2, 3])
    got = np.take_along_axis(weights, done[None].astype(int), 0)[0]
    if (labels != 0).any():
        assert (got >= weights.max(axis=0) - 1e-5).all()


@given(LABELS, st.sampled_from([0.8, 1.5, 4.0]))
def test_joint_smoothing_can_keep_the_union(make_scope, apply, labels: np.ndarray, radius: float) -> None:
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, smooth_jointly(scope, Target(), JointParams(radius, keep_outline=True)))
    assert np.array_equal(done != 0, labels != 0)
    weights = _joint_oracle(labels, radius, [1, 2, 3])
    inside = labels != 0
    got = np.take_along_axis(weights, np.maximum(done, 1)[None].astype(int) - 1, 0)[0]
    assert (got >= weights.max(axis=0) - 1e-5)[inside].all()


@given(LABELS)
def test_joint_smoothing_leaves_locked_labels_alone(make_scope, apply, labels: np.ndarray) -> None:
    scope = make_scope(labels, locked=frozenset({2}))
    done = apply(scope, smooth_jointly(scope, Target(), JointParams(3.0)))
    assert np.array_equal(done == 2, labels == 2)


def test_joint_smoothing_leaves_no_gap_between_neighbours(make_scope, apply) -> None:
    labels = np.zeros((7, 40, 40), np.uint8)
    labels[1:6, 8:32, 8:20] = 1
    labels[1:6, 8:32, 20:32] = 3
    labels[1:6, 10::4, 20] = 1  # a ragged border between the two
    scope = make_scope(labels)
    done = apply(scope, smooth_jointly(scope, Target(), JointParams(3.0)))
    assert (done[2:5, 12:28, 12:28] != 0).all()
    assert len(np.unique((done[3, 12:28] == 1).sum(axis=1))) == 1


def test_joint_smoothing_of_one_lesion_leaves_the_next_alone(make_scope, apply) -> None:
    labels = np.zeros((5, 30, 40), np.uint8)
    labels[1:4, 5:20, 5:18] = 3
    labels[2, 12, 21:24] = 2
    part = (Box((1, 5, 5), (4, 20, 18)), np.ones((3, 15, 13), bool))
    scope = make_scope(labels)
    done = apply(scope, smooth_jointly(scope, Target(part=part), JointParams(6.0)))
    assert np.array_equal(done == 2, labels == 2)
    assert not np.array_equal(done, labels)
