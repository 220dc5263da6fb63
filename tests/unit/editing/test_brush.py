from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.editing.brush import BrushParams, brush, brush_mask, stroke
from napari_tumorseg.editing.scope import Target

SHAPE = (7, 16, 18)
POINTS = st.lists(st.tuples(st.floats(-3, 9), st.floats(-3, 18), st.floats(-3, 20)), min_size=1, max_size=4)


def _distance_to_segments(points: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Return for each voxel of SHAPE the distance to the path, sampled densely; an oracle that knows no formula."""
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1).reshape(-1, 3) * spacing
    dense = [points[0]]
    for a, b in itertools.pairwise(points):
        dense.extend(np.linspace(a, b, 200))
    path = np.array(dense) * spacing
    best = np.full(len(voxels), np.inf)
    for point in path:
        best = np.minimum(best, np.linalg.norm(voxels - point, axis=1))
    return best.reshape(SHAPE)


@given(POINTS, st.floats(2, 12), st.sampled_from([None, 0, 1, 2]), st.sampled_from([(3.0, 0.8, 0.6), (1.0, 1.0, 1.0)]))
def test_a_stroke_holds_what_lies_within_half_the_diameter(points, diameter, axis, spacing) -> None:
    path = np.array(points)
    if axis is not None:
        path[:, axis] = np.round(path[0, axis])
    found = stroke(path, diameter, spacing, SHAPE, axis)
    whole = np.zeros(SHAPE, bool)
    if found is not None:
        whole[found.box.slices] = found.mask
    distance = _distance_to_segments(path, spacing)
    if axis is not None:
        other = np.ones(SHAPE, bool)
        index = int(path[0, axis])
        if 0 <= index < SHAPE[axis]:
            other[(slice(None),) * axis + (index,)] = False
        assert not whole[other].any()
        distance[other] = np.inf
    # The sampled path is up to a tenth of a millimetre away from the true one; voxels on the path itself are in anyway.
    assert whole[distance < diameter / 2 - 0.1].all()
    reach = max(diameter / 2 + 0.02, np.linalg.norm(spacing) / 2 + 0.1)
    assert not whole[distance > reach].any()


@given(st.floats(0.5, 15), st.sampled_from([None, 0, 1, 2]))
def test_a_dab_on_a_voxel_is_the_brush(diameter: float, axis: int | None) -> None:
    spacing, shape, middle = (2.0, 0.9, 0.7), (31, 51, 61), (15, 25, 30)
    mask, offset = brush_mask(diameter, spacing, axis)
    found = stroke(np.array([middle], float), diameter, spacing, shape, axis)
    assert found is not None
    whole, expected = np.zeros(shape, bool), np.zeros(shape, bool)
    whole[found.box.slices] = found.mask
    expected[tuple(slice(m + o, m + o + n) for m, o, n in zip(middle, offset, mask.shape, strict=True))] = mask
    assert np.array_equal(whole, expected)


def test_painting_respects_locks_and_what_may_be_painted_over(make_scope, apply) -> None:
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[1, :, 5] = 1
    labels[1, :, 9] = 2
    scope = make_scope(labels, locked=frozenset({1}))
    place = Target(path=np.array([[1.0, 10, 2], [1, 10, 15]]))
    done = apply(scope, brush(scope, place, BrushParams(diameter_mm=3)))
    assert (done[labels == 1] == 1).all()
    assert done[1, 10, 9] == 3
    assert (done[[0, 2]] == 0).all()
    done = apply(scope, brush(scope, place, BrushParams(diameter_mm=3, over="background")))
    assert np.array_equal(done[labels > 0], labels[labels > 0])
    done = apply(scope, brush(scope, place, BrushParams(diameter_mm=3, over="one label", over_label=2)))
    assert ((done == 3) <= (labels == 2)).all()
    assert (done == 3).any()


def test_erasing_takes_the_own_label_only(make_scope, apply) -> None:
    labels = np.full((3, 20, 20), 3, np.uint8)
    labels[:, :, 10:] = 2
    scope = make_scope(labels)
    done = apply(scope, brush(scope, Target(voxel=(1, 10, 9)), BrushParams(diameter_mm=6, in_3d=True, action="erase")))
    assert (done[labels == 2] == 2).all()
    assert done[1, 10, 9] == 0


def test_a_brush_outside_the_image_paints_nothing_and_none_is_refused(make_scope) -> None:
    scope = make_scope(np.zeros((3, 9, 9), np.uint8))
    assert brush(scope, Target(path=np.array([[1.0, 50, 50]])), BrushParams()) is None
    with pytest.raises(InputError):
        brush(scope, Target(), BrushParams())
