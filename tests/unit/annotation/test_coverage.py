from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_tumorseg.annotation.coverage import Coverage, SceneFrame, View, coverage_of, displayed
from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.annotation.timeline import Moment, Opening, Timeline
from napari_tumorseg.annotation.timing import SUBMIT

FRAME = SceneFrame((6, 20, 30), (5.0, 1.0, 2.0), (-10.0, 100.0, 0.0))


def views(*moments: tuple[float, str, dict[str, Any]]) -> list[View]:
    told = tuple(Moment(at, kind, data) for at, kind, data in moments)
    return list(displayed(Timeline((Opening(1, told, told[-1].at_s),)), FRAME))


def at_slice(index: int, order: tuple[int, ...] = (0, 1, 2), shown: int = 2, view: str = "main") -> dict[str, Any]:
    at = [first + n * step for first, n, step in zip(FRAME.first_mm, (index,) * 3, FRAME.spacing_mm, strict=True)]
    return {"view": view, "step": [0, 0, 0], "at": at, "order": list(order), "shown": shown}


def camera(zoom: float, centre: tuple[float, float], size: tuple[int, int], view: str = "main") -> dict[str, Any]:
    return {"view": view, "zoom": zoom, "centre": [0.0, *centre], "size": list(size)}


# Voxel centres at 100 to 119 mm (rows) and 0 to 58 mm (columns).
WHOLE = camera(2.0, (109.5, 29.0), (200, 100))


def test_what_a_view_shows_follows_from_slice_zoom_and_size() -> None:
    found = views(
        (0, EventKind.SLICE, at_slice(2)),
        (0, EventKind.ZOOM, WHOLE),
        (4, EventKind.SHOWN, {}),
        (6, EventKind.ZOOM, camera(10.0, (105.0, 10.0), (80, 40))),
        (9, EventKind.SLICE, at_slice(4)),
        (10, EventKind.SAVED, {"name": SUBMIT}),
        (20, EventKind.SLICE, at_slice(5)),
        (30, EventKind.KEY, {}),
    )
    assert [(v.index, v.low, v.high, v.at_s, v.length_s) for v in found] == [
        (2, (0, 0), (20, 30), 4, 2),
        # 8 x 4 mm around (105, 10): rows 103 to 107, columns 6 to 14.
        (2, (3, 3), (8, 8), 6, 3),
        (4, (3, 3), (8, 8), 9, 1),
    ]


def test_a_coronal_view_counts_across_the_second_axis() -> None:
    found = views(
        (0, EventKind.SHOWN, {}),
        (0, EventKind.SLICE, at_slice(3, (1, 0, 2))),
        # Rows run along z (-10 to 15 mm), columns along x.
        (0, EventKind.ZOOM, camera(4.0, (0.0, 29.0), (400, 40))),
        (5, EventKind.KEY, {}),
    )
    assert [(v.axis, v.index, v.low, v.high) for v in found] == [(1, 3, (1, 0), (4, 30))]


def test_nothing_is_displayed_in_a_pause_in_the_background_in_3d_or_in_a_hidden_view() -> None:
    found = views(
        (0, EventKind.SHOWN, {}),
        (0, EventKind.SLICE, at_slice(1)),
        (0, EventKind.ZOOM, WHOLE),
        (1, EventKind.PAUSE, {"on": True}),
        (2, EventKind.PAUSE, {"on": False}),
        (3, EventKind.FOCUS, {"on": False}),
        (5, EventKind.FOCUS, {"on": True}),
        (6, EventKind.SLICE, at_slice(1, shown=3)),
        (8, EventKind.SLICE, at_slice(1)),
        (9, EventKind.VIEW, {"view": "main", "on": False}),
        (10, EventKind.SLICE, at_slice(1)),
        (10, EventKind.ZOOM, WHOLE),
        (12, EventKind.VIEW, {"view": "main", "on": True}),
        (13, EventKind.SLICE, at_slice(99)),
        (15, EventKind.KEY, {}),
    )
    assert [(v.at_s, v.length_s) for v in found] == [(0, 1), (2, 1), (5, 1), (8, 1), (12, 1)]


def test_two_views_at_a_time_are_both_displayed() -> None:
    found = views(
        (0, EventKind.SHOWN, {}),
        (0, EventKind.SLICE, at_slice(1)),
        (0, EventKind.ZOOM, WHOLE),
        (0, EventKind.SLICE, at_slice(7, (2, 0, 1), view="beside")),
        (0, EventKind.ZOOM, camera(2.0, (2.5, 109.5), (400, 400), view="beside")),
        (3, EventKind.KEY, {}),
    )
    assert sorted((v.name, v.axis, v.index, v.length_s) for v in found) == [("beside", 2, 7, 3), ("main", 0, 1, 3)]


def test_a_record_without_places_in_mm_falls_back_on_indices() -> None:
    data = {"view": "main", "step": [3, 0, 0], "order": [0, 1, 2]}
    found = views((0, EventKind.SHOWN, {}), (0, EventKind.SLICE, data), (0, EventKind.ZOOM, WHOLE), (2, EventKind.KEY, {}))
    assert [v.index for v in found] == [3]


@st.composite
def some_views(draw: st.DrawFn) -> View:
    axis = draw(st.integers(0, 2))
    plane = [n for a, n in enumerate(FRAME.shape) if a != axis]
    ends = [sorted(draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))) for n in plane]
    index = draw(st.integers(0, FRAME.shape[axis] - 1))
    low, high = (tuple(e[k] for e in ends) for k in (0, 1))
    return View("main", axis, index, low, high, draw(st.sampled_from([1.0, 5.0])), 0.0, draw(st.sampled_from([0.1, 0.15, 1.0])))


def plainly(found: list[View], least_s: float, least_zoom: float) -> np.ndarray:
    """The definition, voxel by voxel."""
    seen = np.zeros(FRAME.shape, bool)
    for axis in range(3):
        seconds = np.zeros(FRAME.shape)
        for view in found:
            if view.axis == axis and view.zoom >= least_zoom:
                part = [slice(a, b) for a, b in zip(view.low, view.high, strict=True)]
                part.insert(axis, slice(view.index, view.index + 1))
                seconds[tuple(part)] += view.length_s
        seen |= seconds > least_s - 1e-4
    return seen


@given(st.lists(some_views(), max_size=12), st.sampled_from([0.2, 1.0]), st.sampled_from([0.0, 3.0]))
def test_seen_is_what_the_definition_says(found: list[View], least_s: float, least_zoom: float) -> None:
    coverage = coverage_of(found, FRAME, least_s=least_s, least_zoom=least_zoom)
    seen = plainly(found, least_s, least_zoom)
    np.testing.assert_array_equal(coverage.unseen(), ~seen)
    assert coverage.unseen_share() == pytest.approx(1 - seen.mean())
    for axis in range(3):
        assert coverage.seconds[axis].sum() == pytest.approx(sum(v.length_s for v in found if v.axis == axis))


def test_the_unseen_part_can_be_asked_for_a_region_and_told_as_json() -> None:
    coverage = coverage_of([View("main", 0, i, (0, 0), (20, 30), 2.0, 0.0, 1.0) for i in (0, 1, 4)], FRAME)
    assert coverage.unseen_slices() == [(2, 3), (5, 5)]
    inside = np.zeros(FRAME.shape, bool)
    inside[3:5] = True
    assert coverage.unseen_share(inside) == 0.5
    assert coverage.unseen_share(np.zeros(FRAME.shape, bool)) == 0
    told = coverage.to_json()
    assert told["unseen_axial_slices"] == [[2, 3], [5, 5]]
    assert told["seen_share_by_plane"] == {"axial": 0.5, "coronal": 0.0, "sagittal": 0.0}


def test_blocks_of_very_large_images_come_back_in_full_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_tumorseg.annotation.coverage._MOST_CELLS", 600)
    coverage: Coverage = coverage_of([View("main", 0, 5, (0, 0), (20, 30), 2.0, 0.0, 1.0)], FRAME)
    assert coverage.block == 2
    unseen = coverage.unseen()
    assert unseen.shape == FRAME.shape
    assert not unseen[5].any()
    assert unseen[:4].all()
