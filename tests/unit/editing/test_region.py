from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.editing.region import box_of_values, chosen, enlarged, island_at, within
from napari_tumorseg.editing.scope import Target

LABELS = arrays(np.uint8, (5, 6, 7), elements=st.sampled_from([0, 0, 0, 0, 0, 1, 3]))


@given(LABELS, st.sampled_from([None, (1,), (3,), (1, 3), (9,)]))
def test_box_of_values_is_the_bounding_box(labels: np.ndarray, values: tuple[int, ...] | None) -> None:
    wanted = labels != 0 if values is None else np.isin(labels, values)
    assert box_of_values(labels, values) == bounding_box(wanted)


@given(LABELS, st.integers(0, 2), st.integers(0, 4))
def test_the_chosen_voxels_are_those_of_the_label(make_scope, labels: np.ndarray, axis: int, index: int) -> None:
    scope = make_scope(labels)
    place = Target(voxel=(index, index, index), axis=axis)
    for extent in ("3-D", "every slice", "this slice"):
        expected = labels == 3
        if extent == "this slice":
            only = np.zeros_like(expected)
            only[(slice(None),) * axis + (index,)] = True
            expected = expected & only
        region = chosen(scope, place, "whole mask", extent)
        whole = np.zeros(labels.shape, bool)
        if region is not None:
            assert region.axis == (None if extent == "3-D" else axis)
            whole[region.box.slices] = region.mask
            wide = enlarged(scope, region, 2.0)
            again = np.zeros(labels.shape, bool)
            again[wide.box.slices] = wide.mask
            assert np.array_equal(again, whole)
        assert np.array_equal(whole, expected)


def test_the_lesion_in_focus_limits_the_choice(make_scope) -> None:
    labels = np.zeros((4, 6, 6), np.uint8)
    labels[1, 1:3, 1:3] = 3
    labels[2, 4, 4] = 3
    part = (Box((1, 1, 1), (2, 3, 3)), np.ones((1, 2, 2), bool))
    scope = make_scope(labels)
    found = chosen(scope, Target(part=part), "lesion in focus")
    assert found is not None
    assert found.box == part[0]
    assert chosen(scope, Target(voxel=(2, 0, 0), part=part), "lesion in focus", "this slice") is None
    everything = chosen(scope, Target(part=part), "whole mask")
    assert everything is not None
    assert everything.mask.sum() == 5


@given(LABELS, st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 6)), st.sampled_from([6, 18, 26]))
def test_an_island_is_the_component_of_scipy(labels: np.ndarray, voxel: tuple[int, int, int], connectivity) -> None:
    mask = labels != 0
    structure = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[connectivity])
    parts, _ = ndimage.label(mask, structure)
    found = island_at(mask.shape, voxel, lambda box: mask[box.slices], connectivity=connectivity)
    if not mask[voxel]:
        assert found is None
    else:
        assert found is not None
        whole = np.zeros(mask.shape, bool)
        whole[found.box.slices] = found.mask
        assert np.array_equal(whole, parts == parts[voxel])


def test_a_long_island_is_followed_to_its_end() -> None:
    mask = np.zeros((3, 5, 300), bool)
    mask[1, 2, 3:290] = True
    asked: list[int] = []

    def look(box: Box) -> np.ndarray:
        asked.append(box.size)
        return mask[box.slices]

    found = island_at(mask.shape, (1, 2, 3), look)
    assert found is not None
    assert found.box == Box((1, 2, 3), (2, 3, 290))
    assert len(asked) > 1


def test_within_moves_a_mask_to_another_box() -> None:
    mask = np.random.default_rng(0).random((4, 5, 6)) > 0.5
    whole = np.zeros((12, 12, 12), bool)
    box = Box((3, 4, 5), (7, 9, 11))
    whole[box.slices] = mask
    for other in (Box((0, 0, 0), (12, 12, 12)), Box((5, 5, 5), (6, 12, 8)), Box((0, 0, 0), (2, 2, 2))):
        assert np.array_equal(within(mask, box, other), whole[other.slices])


def test_a_slice_without_a_cursor_is_refused(make_scope) -> None:
    with pytest.raises(InputError, match="pointed at"):
        chosen(make_scope(np.ones((3, 3, 3), np.uint8)), Target(), "whole mask", "this slice")
