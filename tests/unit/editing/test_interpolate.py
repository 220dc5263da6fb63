from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.editing.interpolate import InterpolateParams, interpolate
from napari_tumorseg.editing.scope import Target

SPACING = (3.0, 0.8, 0.6)
SHAPE = (16, 60, 70)


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def _disc(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[0 : SHAPE[1], 0 : SHAPE[2]]
    return np.asarray(((rows - y) * SPACING[1]) ** 2 + ((columns - x) * SPACING[2]) ** 2 <= radius**2)


def _turned(array: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, 0, axis))


def _spacing(axis: int) -> tuple[float, float, float]:
    flat = list(SPACING[1:])
    flat.insert(axis, SPACING[0])
    return flat[0], flat[1], flat[2]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slanted_cone_comes_back_from_every_fifth_slice(make_scope, apply, axis: int) -> None:
    truth = np.stack([_disc(20 + z, 25 + 1.5 * z, 6 + 0.4 * z) for z in range(SHAPE[0])])
    labels = np.zeros(SHAPE, np.uint8)
    labels[::5] = truth[::5] * 3
    scope = make_scope(_turned(labels, axis), spacing=_spacing(axis))
    done = np.moveaxis(apply(scope, interpolate(scope, Target(axis=axis), InterpolateParams())), axis, 0)
    assert np.array_equal(done[::5], labels[::5])
    for z in range(SHAPE[0]):
        assert _dice(done[z] == 3, truth[z]) > 0.95


def _raya_udupa(first: np.ndarray, last: np.ndarray, t: float) -> np.ndarray:
    def signed(mask: np.ndarray) -> np.ndarray:
        # The border runs half a pixel from the centres on either side.
        far = ndimage.distance_transform_edt(mask, SPACING[1:]) - ndimage.distance_transform_edt(~mask, SPACING[1:])
        return far - np.sign(far) * 0.3

    return (1 - t) * signed(first) + t * signed(last)


@given(st.integers(12, 40), st.integers(15, 50), st.floats(1, 8), st.floats(1, 8), st.integers(2, 6))
def test_concentric_shapes_follow_the_published_formula(make_scope, apply, y: int, x: int, a: float, b: float, gap: int) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[3], labels[3 + gap] = _disc(y, x, a) * 3, _disc(y, x, b) * 3
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, interpolate(scope, Target(), InterpolateParams()))
    for step in range(1, gap):
        field = _raya_udupa(labels[3] > 0, labels[3 + gap] > 0, step / gap)
        sure = np.abs(field) > 1e-4
        assert np.array_equal((done[3 + step] == 3)[sure], (field > 0)[sure])
    untouched = [z for z in range(SHAPE[0]) if not 3 < z < 3 + gap]
    assert np.array_equal(done[untouched], labels[untouched])


@st.composite
def _scenes(draw) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    for z in draw(st.sets(st.integers(0, 15), min_size=1, max_size=5)):
        for _ in range(draw(st.integers(1, 3))):
            label = draw(st.sampled_from([1, 3]))
            labels[z][_disc(draw(st.integers(0, 59)), draw(st.integers(0, 69)), draw(st.floats(0.3, 9)))] = label
    return labels


@given(_scenes(), st.sampled_from(["the label drawn with", "every label"]))
def test_only_gaps_are_filled_and_drawn_slices_stay(make_scope, apply, labels: np.ndarray, which) -> None:
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, interpolate(scope, Target(), InterpolateParams(which)))
    drawn = labels == 3 if which == "the label drawn with" else labels != 0
    assert np.array_equal(done[labels != 0], labels[labels != 0])
    assert np.isin(done[(done != labels)], [3] if which == "the label drawn with" else [1, 3]).all()
    filled = np.flatnonzero(drawn.any(axis=(1, 2)))
    new = np.flatnonzero((done != labels).any(axis=(1, 2)))
    if len(filled):
        # Nothing beyond the first and the last slice drawn on, nor where no slice is missing.
        assert ((new > filled[0]) & (new < filled[-1])).all()


def test_a_branch_is_filled_on_both_arms(make_scope, apply) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2] = _disc(30, 35, 11) * 3
    labels[7] = (_disc(30, 24, 4) | _disc(30, 46, 4)) * 3
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, interpolate(scope, Target(), InterpolateParams()))
    assert ndimage.label(done == 3, np.ones((3, 3, 3)))[1] == 1
    both = labels[2] & labels[7]
    either = labels[2] | labels[7]
    for z in range(3, 7):
        assert (done[z][both == 3] == 3).all()
        assert not done[z][either == 0].any()
    assert (np.diff([(done[z] == 3).sum() for z in range(2, 8)]) <= 0).all()


def test_each_lesion_has_gaps_of_its_own(make_scope, apply) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    for z in (1, 5):
        labels[z] |= _disc(15, 15, 5).astype(np.uint8) * 3
    for z in (3, 8, 9):
        labels[z] |= _disc(45, 55, 5).astype(np.uint8) * 3
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, interpolate(scope, Target(), InterpolateParams()))
    first = [z for z in range(SHAPE[0]) if done[z, 15, 15]]
    second = [z for z in range(SHAPE[0]) if done[z, 45, 55]]
    assert first == [1, 2, 3, 4, 5]
    assert second == [3, 4, 5, 6, 7, 8, 9]


def test_lesions_far_apart_are_not_joined(make_scope, apply) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1] = labels[9] = _disc(30, 30, 5) * 3
    scope = make_scope(labels, spacing=SPACING)
    assert interpolate(scope, Target(), InterpolateParams(max_gap_mm=23.0)) is None
    assert interpolate(scope, Target(), InterpolateParams(max_gap_mm=24.0)) is not None


def test_all_labels_are_filled_without_gaps_between_them(make_scope, apply) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    for z, radius in ((2, 6.0), (8, 9.0)):
        labels[z][_disc(30, 30, radius)] = 3
        labels[z][_disc(30, 30, radius / 2)] = 1
    scope = make_scope(labels, spacing=SPACING)
    done = apply(scope, interpolate(scope, Target(), InterpolateParams("every label")))
    for z in range(3, 8):
        t = (z - 2) / 6
        assert _dice(done[z] != 0, _disc(30, 30, 6 + 3 * t)) > 0.95
        assert _dice(done[z] == 1, _disc(30, 30, 3 + 1.5 * t)) > 0.9


def test_what_is_there_is_written_over_only_where_allowed(make_scope, apply) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[2] = labels[6] = _disc(30, 30, 6) * 3
    labels[4, 30, :] = 2
    labels[5, :, 30] = 1
    scope = make_scope(labels, spacing=SPACING, locked=frozenset({1}))
    done = apply(scope, interpolate(scope, Target(), InterpolateParams()))
    assert np.array_equal(done[labels != 0], labels[labels != 0])
    done = apply(scope, interpolate(scope, Target(), InterpolateParams(over="all but locked")))
    assert done[4, 30, 30] == 3
    assert (done[labels == 1] == 1).all()
