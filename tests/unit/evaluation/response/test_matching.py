from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.evaluation.response.matching import MatchRules, describe, link
from napari_tumorseg.evaluation.response.shapes import Shape, gap_mm, share_outside, shared_mm3
from napari_tumorseg.evaluation.response.tracks import Scan, follow

SHAPE = (4, 10, 11)
GRID = Grid.from_spacing(SHAPE, (3.0, 1.5, 1.5))
MASKS = arrays(bool, SHAPE, elements=st.sampled_from([False, False, False, True]))
CUBE = ndimage.generate_binary_structure(3, 3)


def shapes_of(mask: np.ndarray, grid: Grid = GRID) -> list[Shape]:
    parts, count = ndimage.label(mask, CUBE)
    found = []
    for number in range(1, count + 1):
        own = parts == number
        box = bounding_box(own)
        assert box is not None
        found.append(Shape(grid, box, own[box.slices]))
    return found


def ball(centre: tuple[float, float, float], radius: float, grid: Grid) -> np.ndarray:
    places = grid.to_mm(np.indices(grid.shape).reshape(3, -1).T)
    return np.asarray((np.linalg.norm(places - np.array(centre), axis=1) <= radius).reshape(grid.shape))


def whole(shape: Shape) -> np.ndarray:
    out = np.zeros(SHAPE, bool)
    out[shape.box.slices] = shape.inside
    return out


def statuses(earlier: list[Shape], later: list[Shape], rules: MatchRules | None = None) -> list[tuple[list[int], list[int], str]]:
    found = describe(link(earlier, later, rules), [s.volume_mm3 for s in earlier], [s.volume_mm3 for s in later], rules)
    return sorted((list(c.earlier), list(c.later), c.status) for c in found)


@given(MASKS, MASKS)
def test_common_volume_and_gap_equal_their_definitions(first: np.ndarray, second: np.ndarray) -> None:
    for a, b in itertools.islice(itertools.product(shapes_of(first), shapes_of(second)), 6):
        both = whole(a) & whole(b)
        assert shared_mm3(a, b) == pytest.approx(both.sum() * GRID.voxel_volume_mm3)
        away = np.linalg.norm(a.points_mm[:, None] - b.points_mm[None], axis=-1).min()
        assert gap_mm(a, b) == pytest.approx(away, abs=1e-9)
        assert gap_mm(a, b, 2.0) == (pytest.approx(away, abs=1e-9) if away <= 2.0 else np.inf)


@given(MASKS)
def test_the_same_scan_twice_is_unchanged(mask: np.ndarray) -> None:
    shapes = shapes_of(mask)
    assert link(shapes, shapes) == {(i, i) for i in range(len(shapes))}
    assert all(status == "unchanged" for *_, status in statuses(shapes, shapes))
    line = follow([Scan(GRID, tuple(shapes))] * 3)
    assert [one.status for step in line.found for one in step] == ["unchanged"] * (3 * len(shapes))
    assert line.found[0] == [type(one)(one.tracks, one.status) for one in line.found[2]]
    assert not any(line.gone)
    assert not any(line.outside)


@given(MASKS, MASKS, st.randoms(use_true_random=False))
def test_the_order_of_the_lesions_does_not_matter(first: np.ndarray, second: np.ndarray, random) -> None:
    a, b = shapes_of(first), shapes_of(second)
    at, bt = list(range(len(a))), list(range(len(b)))
    random.shuffle(at)
    random.shuffle(bt)
    turned = link([a[i] for i in at], [b[j] for j in bt])
    assert {(at[i], bt[j]) for i, j in turned} == link(a, b)
    line = follow([Scan(GRID, tuple(a)), Scan(GRID, tuple(b))])
    other = follow([Scan(GRID, tuple(a[i] for i in at)), Scan(GRID, tuple(b[j] for j in bt))])
    # Lesions of the baseline are numbered as they are listed; what comes later does not depend on the list.
    named = {number: at[number - 1] + 1 if number <= len(a) else number for number in other.first}
    assert [line.found[1][j].tracks for j in bt] == [frozenset(named[t] for t in one.tracks) for one in other.found[1]]
    assert [line.found[1][j].status for j in bt] == [one.status for one in other.found[1]]
    assert line.gone[1] == frozenset(named[t] for t in other.gone[1])


@given(MASKS, MASKS)
def test_every_lesion_is_in_one_change_and_time_can_run_backwards(first: np.ndarray, second: np.ndarray) -> None:
    a, b = shapes_of(first), shapes_of(second)
    there, back = statuses(a, b), statuses(b, a)
    assert sorted(i for one, _, _ in there for i in one) == list(range(len(a)))
    assert sorted(j for _, one, _ in there for j in one) == list(range(len(b)))
    mirror = {"new": "gone", "gone": "new", "merged": "split", "split": "merged", "regrouped": "regrouped"}
    assert sorted((x, y) for x, y, _ in there) == sorted((y, x) for x, y, _ in back)
    for x, y, status in there:
        other = next(s for u, v, s in back if (u, v) == (y, x))
        assert mirror.get(status, other) == other


FINE = Grid.from_spacing((12, 40, 40), (3.0, 1.0, 1.0))


def lesions(*balls: tuple[tuple[float, float, float], float]) -> list[Shape]:
    """Balls (x, y, z) mm and radius, each its own lesion, in the order given."""
    found = []
    for centre, radius in balls:
        mask = ball(centre, radius, FINE)
        box = bounding_box(mask)
        assert box is not None
        found.append(Shape(FINE, box, mask[box.slices]))
    return found


A, B = ((10.0, 10.0, 15.0), 4.0), ((26.0, 10.0, 15.0), 4.0)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ([A], [], [([0], [], "gone")]),
        ([], [A], [([], [0], "new")]),
        ([A], [((10, 10, 15), 6.0)], [([0], [0], "grown")]),
        ([A], [((10, 10, 15), 2.5)], [([0], [0], "shrunk")]),
        ([A], [((11, 10, 15), 4.0)], [([0], [0], "unchanged")]),
        ([A, B], [((18, 10, 15), 14.0)], [([0, 1], [0], "merged")]),
        ([((18, 10, 15), 14.0)], [A, B], [([0], [0, 1], "split")]),
        ([A, B], [B, A], [([0], [1], "unchanged"), ([1], [0], "unchanged")]),
        # Beside its place by less than the tolerance, without overlap: still the same lesion; further off: another one.
        ([((10, 10, 15), 1.5)], [((15, 10, 15), 1.5)], [([0], [0], "unchanged")]),
        ([((10, 10, 15), 1.5)], [((22, 10, 15), 1.5)], [([], [0], "new"), ([0], [], "gone")]),
        # The nearer of two is taken.
        ([((10, 10, 15), 1.5)], [((16, 10, 15), 1.5), ((10, 15, 15), 1.5)], [([], [0], "new"), ([0], [1], "unchanged")]),
    ],
)
def test_what_happened_to_balls(earlier, later, expected) -> None:
    assert statuses(lesions(*earlier), lesions(*later)) == expected


def test_neighbours_that_graze_each_other_are_not_joined() -> None:
    near = [((10.0, 10.0, 15.0), 4.0), ((19.0, 10.0, 15.0), 4.0)]
    moved = [((11.8, 10.0, 15.0), 4.0), ((20.8, 10.0, 15.0), 4.0)]
    a, b = lesions(*near), lesions(*moved)
    assert shared_mm3(a[1], b[0]) > 0
    assert statuses(a, b) == [([0], [0], "unchanged"), ([1], [1], "unchanged")]
    assert statuses(a, b, MatchRules(smallest_share=0.0)) == [([0, 1], [0, 1], "regrouped")]


def test_grids_may_differ_and_a_lesion_smaller_than_a_voxel_is_not_lost() -> None:
    coarse = Grid.from_spacing((12, 8, 8), (3.0, 5.0, 5.0))
    big = Shape(coarse, Box((4, 1, 1), (5, 3, 3)), np.ones((1, 2, 2), bool))
    (small,) = lesions(((6.9, 6.9, 12.0), 0.9))
    assert small.volume_mm3 < coarse.voxel_volume_mm3
    assert shared_mm3(big, small) == shared_mm3(small, big) == pytest.approx(small.volume_mm3)


def test_tracks_through_merging_splitting_going_and_coming_back() -> None:
    c = ((10.0, 30.0, 15.0), 3.0)
    scans = [
        [A, B, c],
        [((18, 10, 15), 14.0), c],  # A and B merge
        [((9, 10, 15), 5.0), ((27, 10, 15), 4.0)],  # ... and part again; C is gone
        [((9, 10, 15), 5.0), c, ((32, 32, 15), 2.0)],  # B is gone; C comes back; one is new
    ]
    line = follow([Scan(FINE, tuple(lesions(*scan))) for scan in scans])
    tracks = [[sorted(one.tracks) for one in step] for step in line.found]
    status = [[one.status for one in step] for step in line.found]
    assert tracks == [[[1], [2], [3]], [[1, 2], [3]], [[1, 2], [1, 2]], [[1, 2], [3], [4]]]
    assert status[1:] == [["merged", "unchanged"], ["split", "split"], ["unchanged", "returned", "new"]]
    assert line.gone == [frozenset(), frozenset(), frozenset({3}), frozenset()]
    assert line.first == {1: 0, 2: 0, 3: 0, 4: 3}


def test_a_lesion_out_of_view_or_not_looked_at_is_not_gone() -> None:
    (a, b) = lesions(A, B)
    half = FINE.crop(Box((0, 0, 0), (12, 40, 20)))
    assert share_outside(b, half) == 1.0
    line = follow([Scan(FINE, (a, b)), Scan(half, (a,)), None, Scan(FINE, (a, b)), Scan(FINE, (a,))])
    assert line.outside == [frozenset(), frozenset({2}), frozenset({1, 2}), frozenset(), frozenset()]
    assert line.gone == [frozenset(), frozenset(), frozenset(), frozenset(), frozenset({2})]
    assert [one.status for one in line.found[3]] == ["unchanged", "unchanged"]
