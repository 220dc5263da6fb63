from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from skimage.graph import MCP_Geometric
from skimage.measure import points_in_poly

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.editing.livewire import LiveWire, edge_cost
from napari_tumorseg.editing.outline import LassoParams, WireParams, fill_polygon, lasso, livewire
from napari_tumorseg.editing.scope import Target

CORNERS = st.lists(st.tuples(st.floats(-4, 16), st.floats(-4, 16)), min_size=3, max_size=8)


@given(CORNERS)
def test_a_polygon_holds_the_pixels_whose_centres_are_inside(corners) -> None:
    # Points on the border may go either way: keep corners off the grid.
    polygon = np.array(corners) + np.array([0.137, 0.219])
    shape = (12, 13)
    corner, mask = fill_polygon(polygon, shape)
    whole = np.zeros(shape, bool)
    whole[corner[0] : corner[0] + mask.shape[0], corner[1] : corner[1] + mask.shape[1]] = mask
    pixels = np.argwhere(np.ones(shape, bool))
    a, b = polygon, np.roll(polygon, -1, axis=0)
    along, off = b - a, pixels[:, None] - a
    share = np.clip((off * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-12), 0, 1)
    assume(np.linalg.norm(off - share[..., None] * along, axis=-1).min() > 1e-6)
    assert np.array_equal(whole, points_in_poly(pixels, polygon).reshape(shape))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_lasso_fills_its_slice_and_as_deep_as_told(make_scope, apply, axis: int) -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    scope = make_scope(labels, spacing=(2.0, 2.0, 2.0))
    square = np.array([[2.6, 2.6], [2.6, 7.4], [7.4, 7.4], [7.4, 2.6]])
    path = np.insert(square, axis, 5.0, axis=1)
    done = apply(scope, lasso(scope, Target(path=path, axis=axis), LassoParams()))
    expected = np.zeros(labels.shape, bool)
    where = [slice(3, 8)] * 3
    where[axis] = slice(5, 6)
    expected[tuple(where)] = True
    assert np.array_equal(done == 3, expected)
    deep = apply(scope, lasso(scope, Target(path=path, axis=axis), LassoParams(depth_mm=4.0)))
    where[axis] = slice(3, 8)
    expected[tuple(where)] = True
    assert np.array_equal(deep == 3, expected)


def test_a_lasso_erases_the_own_label_or_all_that_is_not_locked(make_scope, apply) -> None:
    labels = np.full((3, 9, 9), 3, np.uint8)
    labels[:, :, 4] = 2
    labels[:, :, 5] = 1
    scope = make_scope(labels, locked=frozenset({1}))
    path = np.array([[1, 0.5, 0.5], [1, 0.5, 7.5], [1, 7.5, 7.5], [1, 7.5, 0.5]])
    own = apply(scope, lasso(scope, Target(path=path), LassoParams("erase")))
    inside = np.zeros(labels.shape, bool)
    inside[1, 1:8, 1:8] = True
    assert np.array_equal(own, np.where(inside & (labels == 3), 0, labels))
    every = apply(scope, lasso(scope, Target(path=path), LassoParams("erase all labels")))
    assert np.array_equal(every, np.where(inside & (labels != 1), 0, labels))


def test_an_outline_needs_three_points_and_may_lie_outside(make_scope) -> None:
    scope = make_scope(np.zeros((3, 9, 9), np.uint8))
    with pytest.raises(InputError, match="too short"):
        lasso(scope, Target(path=np.zeros((2, 3))), LassoParams())
    far = np.array([[1.0, 50, 50], [1, 60, 50], [1, 60, 60]])
    assert lasso(scope, Target(path=far), LassoParams()) is None
    assert lasso(scope, Target(path=far - (20, 48, 48)), LassoParams()) is None


def _disc(shape=(120, 140), middle=(60, 70), radius=30.0, spacing=(0.8, 0.6), noise=3.0) -> np.ndarray:
    y, x = np.ogrid[0 : shape[0], 0 : shape[1]]
    inside = ((y - middle[0]) * spacing[0]) ** 2 + ((x - middle[1]) * spacing[1]) ** 2 <= radius**2
    return 100.0 * inside + np.random.default_rng(1).normal(0, noise, shape)


@given(st.tuples(st.integers(0, 59), st.integers(0, 69)), st.tuples(st.integers(0, 59), st.integers(0, 69)))
def test_near_paths_are_the_cheapest(start, end) -> None:
    image = np.random.default_rng(3).random((60, 70))
    wire = LiveWire(image, (0.8, 0.6))
    wire.anchor(start)
    path = wire.path_to(end)
    assert tuple(path[0]) == start
    assert tuple(path[-1]) == end
    steps = np.abs(np.diff(path, axis=0))
    assert (steps.max(axis=1, initial=1) == 1).all()
    search = MCP_Geometric(wire.cost, sampling=(0.8, 0.6))
    total, _ = search.find_costs([start], [end])
    assert _length(wire, path) == pytest.approx(total[end], rel=1e-9)


def _length(wire: LiveWire, path: np.ndarray) -> float:
    moves = np.linalg.norm(np.diff(path, axis=0) * wire.spacing_mm, axis=1)
    costs = wire.cost[tuple(path.T)]
    return float((moves * (costs[1:] + costs[:-1]) / 2).sum())


def test_a_far_path_is_nearly_the_cheapest() -> None:
    image = _disc((400, 420), (200, 210), 100.0)
    wire = LiveWire(image, (0.8, 0.6))
    wire.anchor((75, 210))
    path = wire.path_to((325, 210))
    assert tuple(path[0]) == (75, 210)
    assert tuple(path[-1]) == (325, 210)
    assert np.abs(np.diff(path, axis=0)).max() == 1
    search = MCP_Geometric(wire.cost, sampling=(0.8, 0.6))
    best, _ = search.find_costs([(75, 210)], [(325, 210)])
    assert _length(wire, path) <= 1.1 * best[325, 210]


def test_edges_are_cheap_whatever_the_unit() -> None:
    image = _disc(noise=1.0)
    cost = edge_cost(image, (0.8, 0.6))
    assert cost[60, 70] > 0.9
    assert cost[60, 70 + 50] < 0.3
    np.testing.assert_allclose(edge_cost(image * 1000 + 77, (0.8, 0.6)), cost, rtol=1e-2)
    assert (edge_cost(np.zeros((9, 9)), (1, 1)) == 1).all()


def test_a_path_needs_an_anchor() -> None:
    with pytest.raises(ValueError, match="anchor"):
        LiveWire(np.zeros((5, 5)), (1, 1)).path_to((1, 1))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_live_wire_follows_a_disc_that_was_clicked_four_times(make_scope, apply, axis: int) -> None:
    plane = _disc()
    image = np.moveaxis(np.stack([np.zeros_like(plane), plane, np.zeros_like(plane)]), 0, axis)
    spacing = [0.8, 0.6]
    spacing.insert(axis, 3.0)
    scope = make_scope(np.zeros(image.shape, np.uint8), spacing=tuple(spacing), image=image)
    # Clicks are a pixel or two off the border.
    anchors = np.array([[60 - 36.5, 71.0], [59, 70 + 51], [60 + 38, 69], [61, 70 - 49]])
    place = Target(path=np.insert(anchors, axis, 1.0, axis=1), axis=axis)
    done = np.moveaxis(apply(scope, livewire(scope, place, WireParams())), axis, 0)
    assert not done[[0, 2]].any()
    truth = plane > 50
    assert 2 * (truth & (done[1] == 3)).sum() / (truth.sum() + (done[1] == 3).sum()) > 0.97
