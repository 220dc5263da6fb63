from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.editing.fill_holes import FillHolesParams, fill_holes
from napari_tumorseg.editing.margin import HollowParams, MarginParams, hollow, margin
from napari_tumorseg.editing.scope import Target

LABELS = arrays(np.uint8, (4, 7, 8), elements=st.sampled_from([0, 0, 0, 0, 1, 2, 3]))
SPACING = (3.0, 0.8, 0.6)
RADII = st.sampled_from([0.6, 0.8, 1.0, 1.9, 3.0, 4.7])


def _distances(mask: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return by brute force how far each voxel is from the mask, and from what is outside it, in mm; with `axis`, in its slice."""
    voxels = np.argwhere(np.ones(mask.shape, bool)) * SPACING
    gaps = np.linalg.norm(voxels[:, None] - voxels[None], axis=2)
    if axis is not None:
        gaps[np.abs(voxels[:, None, axis] - voxels[None, :, axis]) > 1e-9] = np.inf
    flat = mask.ravel()
    to_mask = np.where(flat[None], gaps, np.inf).min(axis=1)
    to_rest = np.where(~flat[None], gaps, np.inf).min(axis=1)
    return to_mask.reshape(mask.shape), to_rest.reshape(mask.shape)


@given(LABELS, RADII, st.sampled_from(["3-D", "every slice"]), st.integers(0, 2))
def test_margin_grows_by_the_distance_in_mm(make_scope, apply, labels: np.ndarray, radius: float, extent, axis: int) -> None:
    scope = make_scope(labels, spacing=SPACING)
    to_mask, to_rest = _distances(labels == 3, axis if extent == "every slice" else None)
    place = Target(axis=axis)
    grown = apply(scope, margin(scope, place, MarginParams(radius, extent)))
    assert np.array_equal(grown == 3, (labels == 3) | ((labels == 0) & (to_mask <= radius + 1e-6)))
    assert np.array_equal(grown[(labels != 0)], labels[labels != 0])
    anything = apply(scope, margin(scope, place, MarginParams(radius, extent, over="all but locked")))
    assert np.array_equal(anything == 3, to_mask <= radius + 1e-6)
    only_two = apply(scope, margin(scope, place, MarginParams(radius, extent, over="one label", over_label=2)))
    assert np.array_equal(only_two == 3, (labels == 3) | ((labels == 2) & (to_mask <= radius + 1e-6)))
    shrunk = apply(scope, margin(scope, place, MarginParams(-radius, extent)))
    assert np.array_equal(shrunk == 3, (labels == 3) & (to_rest > radius + 1e-6))
    assert (shrunk[(labels == 3) & (shrunk != 3)] == 0).all()


@given(LABELS, RADII, st.sampled_from(["inside", "outside", "both"]))
def test_hollow_is_a_shell_of_the_thickness(make_scope, apply, labels: np.ndarray, thickness: float, side) -> None:
    scope = make_scope(labels, spacing=SPACING)
    to_mask, to_rest = _distances(labels == 3, None)
    inner, outer = {"inside": (1, 0), "outside": (0, 1), "both": (0.5, 0.5)}[side]
    mine = labels == 3
    shell = (mine & (to_rest <= inner * thickness + 1e-6)) | ((labels == 0) & (to_mask <= outer * thickness + 1e-6))
    done = apply(scope, hollow(scope, Target(), HollowParams(thickness, side, core_label=1)))
    assert np.array_equal(done == 3, shell)
    assert (done[mine & ~shell] == 1).all()
    assert np.array_equal(done[labels == 2], labels[labels == 2])


def test_margins_are_not_eaten_by_the_border_of_the_volume(make_scope, apply) -> None:
    labels = np.zeros((5, 12, 12), np.uint8)
    labels[:, :6, :] = 3
    done = apply(make_scope(labels), margin(make_scope(labels), Target(), MarginParams(-1.0)))
    assert (done[:, :5] == 3).all()
    assert not done[:, 5:].any()


def test_locked_labels_hold(make_scope, apply) -> None:
    labels = np.zeros((5, 12, 12), np.uint8)
    labels[2, 5:7, 5:7] = 3
    labels[2, 4, 5:7] = 2
    scope = make_scope(labels, locked=frozenset({2}))
    done = apply(scope, margin(scope, Target(), MarginParams(2.0, over="all but locked")))
    assert np.array_equal(done == 2, labels == 2)
    assert done[2, 7, 5] == 3


@given(
    arrays(np.uint8, (5, 6, 7), elements=st.sampled_from([0, 3, 3, 3, 3, 1])), st.sampled_from(["3-D", "every slice"]), st.integers(0, 2)
)
def test_filled_holes_equal_scipy(make_scope, apply, labels: np.ndarray, extent, axis: int) -> None:
    from scipy import ndimage

    mask = labels == 3
    scope = make_scope(labels)
    if extent == "3-D":
        full = ndimage.binary_fill_holes(mask)
    else:
        planes = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(mask, axis, 0)]
        full = np.moveaxis(np.stack(planes), 0, axis)
    done = apply(scope, fill_holes(scope, Target(axis=axis), FillHolesParams(extent)))
    assert np.array_equal(done == 3, mask | (full & (labels == 0)))
    assert np.array_equal(done[labels == 1], labels[labels == 1])
    everything = apply(scope, fill_holes(scope, Target(axis=axis), FillHolesParams(extent, over="all but locked")))
    assert np.array_equal(everything == 3, full)
    again = make_scope(done)
    assert fill_holes(again, Target(axis=axis), FillHolesParams(extent)) is None


@pytest.mark.parametrize(("limit", "filled"), [(0.0, {1, 2}), (1.5, {1}), (0.5, set())])
def test_large_holes_can_stay(make_scope, apply, limit: float, filled: set[int]) -> None:
    labels = np.full((5, 9, 14), 3, np.uint8)
    holes = np.zeros(labels.shape, np.uint8)
    holes[2, 4, 3] = 1
    holes[2, 3:5, 8:10] = 2
    labels[holes > 0] = 0
    scope = make_scope(labels, spacing=(1.0, 1.0, 1.0))
    done = apply(scope, fill_holes(scope, Target(), FillHolesParams(largest_mm3=limit)))
    assert set(np.unique(holes[(holes > 0) & (done == 3)])) == filled
