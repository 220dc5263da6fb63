"""Redrawing a border."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.editing.reshape import ReshapeParams, reshape
from napari_tumorseg.editing.scope import Target

SPACING = (3.0, 0.8, 0.6)
SHAPE = (5, 50, 60)


def ring(radius: float, start: float = 0.0, stop: float = 2 * np.pi, middle: tuple[float, float] = (25.1, 30.2)) -> np.ndarray:
    """Return points on a circle of a radius in pixels, in slice 2."""
    angle = np.linspace(start, stop, 90)
    return np.stack([np.full(90, 2.0), middle[0] + radius * np.sin(angle), middle[1] + radius * np.cos(angle)], axis=1)


def round_mask(radius: float, middle: tuple[float, float] = (25.1, 30.2)) -> np.ndarray:
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    return np.asarray((y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2)


def body(radius: float, label: int = 3) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, round_mask(radius)] = label
    return labels


@given(st.floats(3, 20), st.floats(3, 20))
def test_a_closed_line_is_the_new_border(make_scope, apply, radius: float, to: float) -> None:
    labels, line = body(radius), ring(to)
    scope = make_scope(labels)
    done = apply(scope, reshape(scope, Target(path=line), ReshapeParams()))
    assert np.array_equal(done[2] == 3, polygon2mask(SHAPE[1:], line[:, 1:]))
    for z in (0, 1, 3, 4):
        assert np.array_equal(done[z], labels[z])


@pytest.mark.parametrize("to", [8.0, 16.0])
def test_an_open_line_moves_a_stretch_and_leaves_the_rest(make_scope, apply, to: float) -> None:
    labels = body(12)
    scope = make_scope(labels)
    done = apply(scope, reshape(scope, Target(path=ring(to, 0.5, 2.0)), ReshapeParams()))
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    angle = np.broadcast_to(np.arctan2(y - 25.1, x - 30.2), SHAPE[1:])
    stretch, rest = (angle > 0.6) & (angle < 1.9), (angle < 0.3) | (angle > 2.2)
    assert np.array_equal(done[2][stretch] > 0, round_mask(to)[stretch])
    assert np.array_equal(done[2][rest], labels[2][rest])


@given(st.integers(2, 14), st.integers(0, 2**16))
def test_a_line_along_the_border_changes_nothing(make_scope, radius: int, seed: int) -> None:
    from skimage.measure import find_contours

    labels = body(radius + 0.5)
    line = find_contours(np.pad(labels[2], 1), 1.5)[0][:-1] - 1
    start = np.random.default_rng(seed).integers(len(line))
    path = np.roll(line, -start, axis=0)[: max(3, len(line) // 2)]
    path = np.column_stack([np.full(len(path), 2.0), path])
    assert reshape(make_scope(labels), Target(path=path), ReshapeParams()) is None


def test_what_a_class_loses_goes_to_its_neighbour(make_scope, apply) -> None:
    labels = body(18, 2)
    labels[1:4, round_mask(9)] = 1
    scope = make_scope(labels, label=1)
    smaller = apply(scope, reshape(scope, Target(path=ring(6)), ReshapeParams()))
    assert np.array_equal(smaller[2] > 0, labels[2] > 0)
    assert np.array_equal(smaller[2] == 1, polygon2mask(SHAPE[1:], ring(6)[:, 1:]))
    larger = apply(scope, reshape(scope, Target(path=ring(12)), ReshapeParams()))
    assert np.array_equal(larger[2] == 1, polygon2mask(SHAPE[1:], ring(12)[:, 1:]))
    assert np.array_equal(larger[2] > 0, labels[2] > 0)


def test_the_border_of_the_tumour_leaves_the_classes_inside(make_scope, apply) -> None:
    labels = body(14, 2)
    labels[1:4, round_mask(8)] = 1
    scope = make_scope(labels, label=3)
    done = apply(scope, reshape(scope, Target(path=ring(16)), ReshapeParams("all labels together")))
    assert np.array_equal(done[2][labels[2] > 0], labels[2][labels[2] > 0])
    assert np.array_equal(done[2] > 0, polygon2mask(SHAPE[1:], ring(16)[:, 1:]))
    done = apply(scope, reshape(scope, Target(path=ring(6)), ReshapeParams("all labels together")))
    assert np.array_equal(done[2] > 0, polygon2mask(SHAPE[1:], ring(6)[:, 1:]))
    assert set(np.unique(done[2])) == {0, 1}


def test_a_hole_stays_and_its_border_can_be_moved(make_scope, apply) -> None:
    labels = body(18)
    labels[1:4, round_mask(6)] = 0
    scope = make_scope(labels)
    grown = apply(scope, reshape(scope, Target(path=ring(20, 0.2, 2.0)), ReshapeParams()))
    assert not grown[2][round_mask(6)].any()
    assert np.count_nonzero(grown[2]) > np.count_nonzero(labels[2])
    smaller_hole = apply(scope, reshape(scope, Target(path=ring(4, 0.2, 2.6)), ReshapeParams()))
    assert np.count_nonzero(smaller_hole[2]) > np.count_nonzero(labels[2])
    assert np.array_equal(smaller_hole[2][~round_mask(7)], labels[2][~round_mask(7)])


@given(st.sampled_from([1, 2, 3]), st.floats(3, 20), st.floats(0.3, 6.28), st.booleans())
def test_a_locked_label_is_never_changed(make_scope, apply, lock: int, to: float, stop: float, together: bool) -> None:
    labels = body(16, 2)
    labels[1:4, round_mask(10)] = 1
    labels[1:4, round_mask(4)] = 3
    scope = make_scope(labels, label=1 if lock != 1 else 2, locked=frozenset({lock}))
    params = ReshapeParams("all labels together" if together else "the label drawn with")
    done = apply(scope, reshape(scope, Target(path=ring(to, 0.0, stop)), params))
    assert np.array_equal(done == lock, labels == lock)


def test_an_open_line_far_from_any_mask_does_nothing(make_scope) -> None:
    assert reshape(make_scope(np.zeros(SHAPE, np.uint8)), Target(path=ring(9, 0, 2)), ReshapeParams()) is None


def test_a_line_too_short_is_refused(make_scope) -> None:
    with pytest.raises(InputError, match="too short"):
        reshape(make_scope(body(9)), Target(path=ring(9)[:2]), ReshapeParams())
