"""Tools on the whole of a mask whose lesions lie far apart give what scipy gives on the whole volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_tumorseg.editing.fill_holes import FillHolesParams, fill_holes
from napari_tumorseg.editing.islands import DropSmallParams, IslandParams, KeepLargestParams, drop_small, keep_island, keep_largest
from napari_tumorseg.editing.margin import MarginParams, margin
from napari_tumorseg.editing.region import chosen_groups
from napari_tumorseg.editing.scope import Target
from napari_tumorseg.editing.smooth import SmoothParams, smooth
from napari_tumorseg.editing.smooth_jointly import JointParams, smooth_jointly
from napari_tumorseg.voxels.ball import ball

SPACING = (2.0, 0.9, 0.7)
SHAPE = (24, 70, 90)
ALL_ROUND = np.ones((3, 3, 3), bool)


@pytest.fixture(scope="module")
def lesions() -> np.ndarray:
    """Return ragged lesions of three labels, some near each other, some far apart and some at the border."""
    rng = np.random.default_rng(8)
    noise = ndimage.gaussian_filter(rng.standard_normal(SHAPE), (0.6, 1.0, 1.3))
    noise /= noise.std()
    labels = np.zeros(SHAPE, np.uint8)
    for middle, radius, label in (
        ((3, 10, 10), 6, 3),
        ((5, 14, 20), 5, 1),
        ((12, 40, 70), 8, 3),
        ((23, 69, 50), 7, 3),
        ((16, 60, 5), 6, 2),
    ):
        axes = [(axis - m) * s for axis, m, s in zip(np.ogrid[tuple(slice(0, n) for n in SHAPE)], middle, SPACING, strict=True)]
        labels[np.sqrt(sum(axis**2 for axis in axes)) + noise < radius] = label
    labels[12, 40, 69:72] = 0
    labels[20, 10:12, 80] = 3
    return labels


def test_there_are_several_groups(make_scope, lesions) -> None:
    assert len(chosen_groups(make_scope(lesions, spacing=SPACING), Target(), "whole mask")) >= 3


@pytest.mark.parametrize("radius", [1.0, 2.0, 4.5])
def test_local_tools(make_scope, apply, lesions, radius: float) -> None:
    scope = make_scope(lesions, spacing=SPACING)
    mask, free = lesions == 3, lesions == 0
    structure = ball(2 * radius, SPACING)

    def over(after: np.ndarray) -> np.ndarray:
        return np.where(mask, after, after & free)

    def run(tool, params) -> np.ndarray:
        return apply(scope, tool(scope, Target(), params)) == 3

    assert np.array_equal(run(margin, MarginParams(radius)), over(ndimage.binary_dilation(mask, structure)))
    assert np.array_equal(run(margin, MarginParams(-radius)), ndimage.binary_erosion(mask, structure, border_value=1))
    median = ndimage.median_filter(mask.astype(np.uint8), footprint=structure, mode="nearest") > 0
    assert np.array_equal(run(smooth, SmoothParams("median", radius)), over(median))
    soft = ndimage.gaussian_filter(mask.astype(np.float32), [radius / 2 / s for s in SPACING], mode="nearest") > 0.5
    assert np.array_equal(run(smooth, SmoothParams("gaussian", radius)), over(soft))
    closed = ndimage.binary_closing(np.pad(mask, 20), structure)[20:-20, 20:-20, 20:-20]
    assert np.array_equal(run(smooth, SmoothParams("closing", radius)), over(closed))
    assert np.array_equal(run(fill_holes, FillHolesParams()), over(ndimage.binary_fill_holes(mask)))
    done = apply(scope, smooth_jointly(scope, Target(), JointParams(radius)))
    weights = np.stack(
        [ndimage.gaussian_filter((lesions == v).astype(float), [radius / 2 / s for s in SPACING], mode="nearest") for v in range(4)]
    )
    assert (np.take_along_axis(weights, done[None].astype(int), 0)[0] >= weights.max(axis=0) - 1e-5).all()


@given(st.floats(0, 400))
def test_small_islands(make_scope, apply, lesions, least_mm3: float) -> None:
    scope = make_scope(lesions, spacing=SPACING)
    parts, _ = ndimage.label(lesions == 3, ALL_ROUND)
    keep = np.bincount(parts.ravel()) * np.prod(SPACING) >= least_mm3
    done = apply(scope, drop_small(scope, Target(), DropSmallParams(least_mm3)))
    assert np.array_equal(done == 3, (parts > 0) & keep[parts])
    assert np.array_equal(done[lesions != 3], lesions[lesions != 3])


def test_one_island_stays(make_scope, apply, lesions) -> None:
    scope = make_scope(lesions, spacing=SPACING)
    parts, _ = ndimage.label(lesions == 3, ALL_ROUND)
    sizes = np.bincount(parts.ravel())
    done = apply(scope, keep_largest(scope, Target(), KeepLargestParams()))
    assert np.array_equal(done == 3, parts == 1 + sizes[1:].argmax())
    clicked = apply(scope, keep_island(scope, Target(voxel=(20, 10, 80)), IslandParams()))
    assert np.array_equal(clicked == 3, parts == parts[20, 10, 80])
    assert np.array_equal(clicked[lesions != 3], lesions[lesions != 3])
