from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.editing.islands import (
    AddIslandParams,
    DropSmallParams,
    IslandParams,
    KeepLargestParams,
    RelabelIslandParams,
    add_island,
    delete_island,
    drop_small,
    keep_island,
    keep_largest,
    relabel_island,
)
from napari_tumorseg.editing.scope import Target
from napari_tumorseg.editing.split import SplitParams, blobs, split

LABELS = arrays(np.uint8, (4, 7, 8), elements=st.sampled_from([0, 0, 0, 0, 0, 1, 3]))
ALL_ROUND = np.ones((3, 3, 3), bool)
VOLUME = 3.0 * 0.8 * 0.6
VOXELS = st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 7))


@given(LABELS, st.sampled_from([0.0, VOLUME, 1.5, 2 * VOLUME, 5.0]), st.sampled_from(["the same label", "any label"]))
def test_drop_small_equals_scipy(make_scope, apply, labels: np.ndarray, least_mm3: float, kin) -> None:
    mask = labels == 3 if kin == "the same label" else labels != 0
    parts, count = ndimage.label(mask, ALL_ROUND)
    expected = labels.copy()
    for number in range(1, count + 1):
        if (parts == number).sum() * VOLUME < least_mm3 - 1e-9:
            expected[parts == number] = 0
    scope = make_scope(labels)
    done = apply(scope, drop_small(scope, Target(), DropSmallParams(least_mm3, kin)))
    assert np.array_equal(done, expected)
    again = make_scope(done)
    assert drop_small(again, Target(), DropSmallParams(least_mm3, kin)) is None


@given(LABELS, st.integers(0, 2))
def test_drop_small_slice_by_slice(make_scope, apply, labels: np.ndarray, axis: int) -> None:
    expected = labels.copy()
    view = np.moveaxis(expected, axis, 0)
    for plane in view:
        parts, count = ndimage.label(plane == 3, np.ones((3, 3)))
        for number in range(1, count + 1):
            if (parts == number).sum() < 2:
                plane[parts == number] = 0
    scope = make_scope(labels)
    done = apply(scope, drop_small(scope, Target(axis=axis), DropSmallParams(2 * VOLUME, extent="every slice")))
    assert np.array_equal(done, expected)


@given(LABELS)
def test_keep_largest_equals_scipy(make_scope, apply, labels: np.ndarray) -> None:
    parts, count = ndimage.label(labels == 3, ALL_ROUND)
    scope = make_scope(labels)
    done = apply(scope, keep_largest(scope, Target(), KeepLargestParams()))
    assert np.array_equal(done[labels != 3], labels[labels != 3])
    if count:
        sizes = np.bincount(parts.ravel())[1:]
        left = np.unique(parts[done == 3])
        assert len(left) == 1
        assert sizes[left[0] - 1] == sizes.max()
        assert (done == 3).sum() == sizes.max()


@given(LABELS, VOXELS, st.booleans(), st.sampled_from(["the same label", "any label"]))
def test_the_island_under_the_cursor(make_scope, apply, labels: np.ndarray, voxel, in_3d: bool, kin) -> None:
    scope = make_scope(labels, label=2)
    place = Target(voxel=voxel, axis=1)
    mask = labels == labels[voxel] if kin == "the same label" else labels != 0
    if not in_3d:
        other = np.ones(mask.shape, bool)
        other[:, voxel[1]] = False
        mask = mask & ~other
    parts, _ = ndimage.label(mask, ALL_ROUND)
    island = (parts == parts[voxel]) & (labels[voxel] != 0) & mask
    deleted = apply(scope, delete_island(scope, place, IslandParams(kin, in_3d)))
    assert np.array_equal(deleted, np.where(island, 0, labels))
    changed = apply(scope, relabel_island(scope, place, RelabelIslandParams(kin, in_3d)))
    assert np.array_equal(changed, np.where(island, 2, labels))
    kept = apply(scope, keep_island(scope, place, IslandParams(kin, in_3d)))
    expected = np.where(mask & ~island, 0, labels) if labels[voxel] else labels
    assert np.array_equal(kept, expected)


@given(LABELS, LABELS, VOXELS, st.booleans())
def test_an_island_is_added_from_the_ais_mask(make_scope, apply, labels: np.ndarray, first: np.ndarray, voxel, classes: bool) -> None:
    scope = make_scope(labels, label=2, ai=first)
    parts, _ = ndimage.label(first != 0, ALL_ROUND)
    island = (parts == parts[voxel]) & (first[voxel] != 0)
    done = apply(scope, add_island(scope, Target(voxel=voxel), AddIslandParams(keep_classes=classes)))
    assert np.array_equal(done, np.where(island & (labels == 0), first if classes else 2, labels))


def test_an_island_is_added_from_the_image(make_scope, apply) -> None:
    image = np.zeros((4, 9, 9), np.int16)
    image[1:3, 2:4, 2:4] = 200
    image[1:3, 6:8, 6:8] = 210
    scope = make_scope(np.zeros(image.shape, np.uint8), image=image)
    done = apply(scope, add_island(scope, Target(voxel=(1, 2, 2)), AddIslandParams("image window", 150, 300)))
    assert np.array_equal(done == 3, (image == 200))
    with pytest.raises(InputError):
        add_island(scope, Target(voxel=(1, 2, 2)), AddIslandParams("another mask"))


def _two_balls(distance: float, spacing: tuple[float, float, float]) -> np.ndarray:
    z, y, x = (axis * size for axis, size in zip(np.ogrid[0:15, 0:30, 0:70], spacing, strict=True))
    middle = (7 * spacing[0], 15 * spacing[1])
    base = (z - middle[0]) ** 2 + (y - middle[1]) ** 2
    return np.asarray((base + (x - 14) ** 2 <= 100) | (base + (x - 14 - distance) ** 2 <= 64))


@pytest.mark.parametrize("distance", [13.0, 15.0, 17.0])
def test_balls_that_touch_are_parted(make_scope, apply, distance: float) -> None:
    spacing = (1.5, 0.8, 0.8)
    mask = _two_balls(distance, spacing)
    assert ndimage.label(mask, ALL_ROUND)[1] == 1
    found = blobs(mask, 1.0, spacing)
    assert set(np.unique(found)) == {0, 1, 2}
    assert np.array_equal(found > 0, mask)
    scope = make_scope(mask * 3, spacing=spacing)
    done = apply(scope, split(scope, Target(), SplitParams()))
    assert ndimage.label(done == 3, ALL_ROUND)[1] == 2
    # The cut lies where the balls meet: at the same power from both centres.
    cut = np.argwhere(mask & (done == 0))[:, 2] * spacing[2]
    meeting = 14 + (distance**2 + 100 - 64) / (2 * distance)
    assert np.abs(cut - meeting).max() <= 2.4
    other = apply(scope, split(scope, Target(), SplitParams(result="new label", new_label=1)))
    assert np.array_equal(other != 0, mask)
    assert (other == 3).sum() > (other == 1).sum() > 0


def test_one_ball_is_not_cut(make_scope) -> None:
    spacing = (1.5, 0.8, 0.8)
    z, y, x = (axis * size for axis, size in zip(np.ogrid[0:15, 0:30, 0:40], spacing, strict=True))
    ball = (z - 10) ** 2 + (y - 12) ** 2 + (x - 15) ** 2 <= 64
    scope = make_scope(ball * 3, spacing=spacing)
    assert split(scope, Target(), SplitParams()) is None
    assert split(scope, Target(axis=0), SplitParams(extent="every slice")) is None


@given(arrays(np.bool_, (3, 8, 9)))
def test_every_voxel_belongs_to_a_blob_and_gaps_part_them(make_scope, apply, mask: np.ndarray) -> None:
    found = blobs(mask, 0.4, (3.0, 0.8, 0.6))
    assert np.array_equal(found > 0, mask)
    parts, _ = ndimage.label(mask, ALL_ROUND)
    for number in np.unique(found[found > 0]):
        assert len(np.unique(parts[found == number])) == 1
    scope = make_scope(mask * 3)
    done = apply(scope, split(scope, Target(), SplitParams(0.4)))
    apart, _ = ndimage.label(done == 3, ALL_ROUND)
    for number in range(1, int(apart.max()) + 1):
        assert len(np.unique(found[apart == number])) == 1


def test_a_neck_in_a_slice_is_cut_in_that_slice_only(make_scope, apply) -> None:
    mask = _two_balls(15.0, (1.5, 0.8, 0.8))
    scope = make_scope(mask * 3, spacing=(1.5, 0.8, 0.8))
    done = apply(scope, split(scope, Target(voxel=(7, 0, 0), axis=0), SplitParams(extent="this slice")))
    assert ndimage.label(done[7] == 3, np.ones((3, 3)))[1] == 2
    others = [z for z in range(15) if z != 7]
    assert np.array_equal(done[others], (mask * 3)[others])
