from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.editing.pet_edge import EdgeParams, gradient_edge
from napari_tumorseg.editing.pet_threshold import (
    FixedSuvParams,
    PercentParams,
    PercistParams,
    liver_threshold,
    percent_of_max,
    percist,
    suv_at_least,
)
from napari_tumorseg.editing.scope import Target

SHAPE = (21, 30, 34)
SPACING = (4.0, 3.0, 3.0)
MIDDLE = (10, 15, 12)
EDGES = ndimage.generate_binary_structure(3, 2)


def _away(voxel: tuple[int, int, int] = MIDDLE) -> np.ndarray:
    z, y, x = ((line - m) * s for line, m, s in zip(np.ogrid[tuple(slice(0, n) for n in SHAPE)], voxel, SPACING, strict=True))
    return np.asarray(np.sqrt(z**2 + y**2 + x**2))


def _phantom(noise: float = 0.05) -> np.ndarray:
    """A lesion of SUV 10 and radius 15 mm at the scanner's blur, a hotter one 50 mm away, a background of SUV 1."""
    sharp = np.where(_away() <= 15, 10.0, 1.0)
    sharp[_away((10, 15, 29)) <= 10] = 30.0
    blurred = ndimage.gaussian_filter(sharp, [2.5 / s for s in SPACING])
    return blurred + np.random.default_rng(0).normal(0, noise, SHAPE)


def _empty() -> np.ndarray:
    return np.zeros(SHAPE, np.uint8)


def _part_at(hot: np.ndarray, voxel: tuple[int, int, int]) -> np.ndarray:
    parts, _ = ndimage.label(hot, EDGES)
    return np.asarray(hot & (parts == parts[voxel]))


@given(st.floats(0.5, 3.9), st.floats(8.0, 90.0), st.tuples(st.integers(8, 12), st.integers(12, 18), st.integers(9, 15)))
def test_a_fixed_threshold_is_the_connected_part_in_the_ball(make_scope, apply, suv: float, radius: float, voxel) -> None:
    pet = _phantom()
    scope = make_scope(_empty(), spacing=SPACING, image=pet)
    done = apply(scope, suv_at_least(scope, Target(voxel=voxel), FixedSuvParams("other", suv, radius_mm=radius)))
    hot = (pet >= suv) & (_away(voxel) <= radius * (1 + 1e-9))
    assert np.array_equal(done == 3, _part_at(hot, voxel))


@pytest.mark.parametrize(("threshold", "suv"), [("SUV 2.5", 2.5), ("SUV 4.0", 4.0)])
def test_the_thresholds_in_common_use(make_scope, apply, threshold, suv: float) -> None:
    pet = _phantom()
    scope = make_scope(_empty(), spacing=SPACING, image=pet)
    done = apply(scope, suv_at_least(scope, Target(voxel=MIDDLE), FixedSuvParams(threshold, radius_mm=32.0)))
    assert np.array_equal(done == 3, _part_at((pet >= suv) & (_away() <= 32), MIDDLE))
    with pytest.raises(InputError, match="less than"):
        suv_at_least(scope, Target(voxel=(1, 1, 1)), FixedSuvParams(threshold))


@given(st.floats(15, 80), st.tuples(st.integers(9, 11), st.integers(14, 16), st.integers(9, 14)))
def test_a_share_of_the_maximum_is_of_the_lesions_own_maximum(make_scope, apply, percent: float, voxel) -> None:
    pet = _phantom()
    scope = make_scope(_empty(), spacing=SPACING, image=pet)
    done = apply(scope, percent_of_max(scope, Target(voxel=voxel), PercentParams(percent, radius_mm=36.0))) == 3
    near = _away() <= 25
    top = float(pet[near].max())
    hot = (pet >= percent / 100 * top) & near
    hottest = np.unravel_index(int(np.where(near, pet, 0).argmax()), SHAPE)
    assert np.array_equal(done, _part_at(hot, tuple(int(i) for i in hottest)))
    assert not done[_away((10, 15, 29)) <= 10].any()


def test_within_a_lesion_in_focus_what_is_too_cold_leaves_it(make_scope, apply) -> None:
    pet = _phantom()
    labels = _empty()
    box = Box((4, 6, 4), (17, 25, 21))
    labels[box.slices] = 3
    labels[5, 7, 5] = 1  # another label in the box stays
    part = (box, np.asarray(labels[box.slices] == 3))
    scope = make_scope(labels, spacing=SPACING, image=pet)
    target = Target(voxel=MIDDLE, part=part)
    inside = labels == 3
    for tool, params, level in (
        (suv_at_least, FixedSuvParams("SUV 4.0", where="lesion in focus"), 4.0),
        (percent_of_max, PercentParams(41.0, where="lesion in focus"), 0.41 * float(pet[inside].max())),
    ):
        done = apply(scope, tool(scope, target, params))
        assert np.array_equal(done == 3, inside & (pet >= level))
        assert done[5, 7, 5] == 1
    done = apply(scope, gradient_edge(scope, target, EdgeParams(where="lesion in focus"))) == 3
    assert _dice(done, _away() <= 15) > 0.9
    with pytest.raises(InputError, match="in focus"):
        suv_at_least(scope, Target(voxel=MIDDLE), FixedSuvParams(where="lesion in focus"))


def test_percist_is_one_and_a_half_means_and_two_deviations_of_the_liver(make_scope, apply) -> None:
    pet = _phantom(noise=0.3)
    liver = np.zeros(SHAPE, np.uint8)
    liver[2:6, 2:8, 2:8] = 1
    values = pet[liver > 0]
    level = 1.5 * values.sum() / values.size + 2 * np.sqrt(((values - values.mean()) ** 2).sum() / values.size)
    assert liver_threshold(pet, liver > 0) == pytest.approx(level)
    scope = make_scope(_empty(), spacing=SPACING, image=pet, other=liver)
    found = apply(scope, percist(scope, Target(voxel=MIDDLE), PercistParams(radius_mm=30.0))) == 3
    assert np.array_equal(found, _part_at((pet >= level) & (_away() <= 30), MIDDLE))
    # The liver as a label of the mask itself gives the same.
    own = make_scope(liver * 2, spacing=SPACING, image=pet)
    again = apply(own, percist(own, Target(voxel=MIDDLE), PercistParams("label of this mask", 2, radius_mm=30.0)))
    assert np.array_equal(again == 3, found)
    assert np.array_equal(again == 2, liver > 0)
    with pytest.raises(InputError, match="liver"):
        percist(make_scope(_empty(), spacing=SPACING, image=pet), Target(voxel=MIDDLE), PercistParams())
    empty = make_scope(_empty(), spacing=SPACING, image=pet, other=_empty())
    with pytest.raises(InputError, match="no liver region"):
        percist(empty, Target(voxel=MIDDLE), PercistParams())


def _dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.parametrize("gain", [1.0, 0.4])
@pytest.mark.parametrize("voxel", [MIDDLE, (9, 13, 10), (10, 15, 15)])
def test_the_gradient_edge_is_the_lesions_own_whatever_its_uptake(make_scope, apply, gain: float, voxel) -> None:
    pet = 1 + gain * (_phantom() - 1)
    scope = make_scope(_empty(), spacing=SPACING, image=pet)
    done = apply(scope, gradient_edge(scope, Target(voxel=voxel), EdgeParams(radius_mm=40.0))) == 3
    assert _dice(done, _away() <= 15) > 0.9
    assert done[MIDDLE]


def test_the_pet_is_taken_and_no_other_image_is_taken_for_one(make_scope, apply) -> None:
    pet, ct = _phantom(), np.full(SHAPE, 60.0)
    target = Target(voxel=MIDDLE)
    wanted = apply(
        make_scope(_empty(), spacing=SPACING, image=pet),
        suv_at_least(make_scope(_empty(), spacing=SPACING, image=pet), target, FixedSuvParams()),
    )
    scope = make_scope(_empty(), spacing=SPACING, image=ct, images={"CT": ct, "PET": pet})
    assert np.array_equal(apply(scope, suv_at_least(scope, target, FixedSuvParams())), wanted)
    scope = make_scope(_empty(), spacing=SPACING, image=ct, images={"CT": ct})
    with pytest.raises(InputError, match="CT is shown"):
        suv_at_least(scope, target, FixedSuvParams())


def test_voxels_that_are_no_numbers_are_cold(make_scope, apply) -> None:
    pet = _phantom()
    pet[10, 15, 14] = np.nan
    scope = make_scope(_empty(), spacing=SPACING, image=pet)
    for tool, params in ((suv_at_least, FixedSuvParams()), (percent_of_max, PercentParams()), (gradient_edge, EdgeParams())):
        done = apply(scope, tool(scope, Target(voxel=MIDDLE), params)) == 3
        assert done[MIDDLE]
        assert np.isfinite(pet[done]).all() or tool is gradient_edge
