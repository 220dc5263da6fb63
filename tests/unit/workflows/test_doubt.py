"""Doubtful places on made-up probabilities whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.special import expit

from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import Cancelled
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.jobs import CancelToken, Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.segmenter import Prediction
from napari_tumorseg.inference.uncertainty import UncertaintyMap, uncertainty_of
from napari_tumorseg.workflows.doubt import DoubtRequest, DoubtWalk, doubt_volume, excess_uncertainty, find_doubts

SHAPE = (40, 60, 60)
GRID = Grid(SHAPE, np.array([[0, 0, -1.0, 20], [0, -1.0, 0, 30], [2.0, 0, 0, -10], [0, 0, 0, 1]]))


def _ball(centre, radius_mm):
    z, y, x = np.indices(SHAPE)
    return radius_mm - np.sqrt(((z - centre[0]) * 2) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)


def _map(p):
    labels = (p > 0.5).astype(np.uint8)
    return uncertainty_of(Prediction(labels, {"Lesion": p.astype(np.float16), "Same": p.astype(np.float16)}), "independent"), labels


def test_a_sure_border_is_no_doubtful_place_but_a_missed_lesion_is():
    sure = expit(_ball((15, 30.5, 20.5), 12.3) / 0.4)
    missed = 0.42 * (_ball((30, 20, 48), 4) > 0)
    found, labels = _map(np.maximum(sure, missed))
    assert labels[30, 20, 48] == 0
    places = find_doubts(found, labels, GRID)
    assert len(places) == 1
    place = places[0]
    assert GRID.to_index(place.point_mm) == pytest.approx((30, 20, 48), abs=0.1)
    voxels = int((_ball((30, 20, 48), 4) > 0).sum())
    entropy = -(0.42 * np.log2(0.42) + 0.58 * np.log2(0.58))
    assert place.volume_ml == pytest.approx(voxels * 2 / 1000)
    assert place.mass_ml == pytest.approx(voxels * 2 / 1000 * entropy, rel=2e-3)
    assert place.peak_bits == pytest.approx(entropy, abs=2e-3)


def test_a_border_that_is_less_sure_than_the_others_is_found():
    sure = expit(_ball((15, 30.5, 18.5), 12.3) / 0.3)
    blurred = expit(_ball((28, 30, 46), 8) / 4)
    found, labels = _map(np.maximum(sure, blurred))
    places = find_doubts(found, labels, GRID)
    assert places
    for place in places:
        assert np.linalg.norm(np.array(place.point_mm) - GRID.to_mm((28, 30, 46))) < 20
    raw = [find_doubts(found, np.zeros_like(labels), GRID)]
    # Without the mask, the sure border would have been a place, too.
    assert any(np.linalg.norm(np.array(p.point_mm) - GRID.to_mm((15, 30, 18))) < 14 for p in raw[0])


def test_the_usual_at_a_border_is_taken_off_by_definition():
    rng = np.random.default_rng(1)
    labels = (_ball((20, 30, 30), 10) > 0).astype(np.uint8)
    values = rng.random((20, 40, 40)).astype(np.float16)
    box = Box((10, 10, 10), (30, 50, 50))
    excess = excess_uncertainty(UncertaintyMap(values, box, SHAPE), labels)
    # Chessboard distance to the nearest voxel of the other label; 1 is the first layer.
    away = np.where(
        labels > 0, ndimage.distance_transform_cdt(labels > 0, "chessboard"), ndimage.distance_transform_cdt(labels == 0, "chessboard")
    )[box.slices]
    assert np.array_equal(excess[away > 3], values[away > 3].astype(np.float32))
    own = labels[box.slices]
    for layer in (1, 2, 3):
        at = np.argwhere(away == layer)
        means = []
        for z, y, x in at:
            near = tuple(slice(max(0, v - 2), v + 3) for v in (z, y, x))
            same = (away[near] == layer) & (own[near] == own[z, y, x])
            means.append(values[near].astype(float)[same].mean())
        expected = np.maximum(np.array(means) - min(np.quantile(means, 0.75), 0.5 / np.log(2)), 0)
        assert excess[tuple(at.T)] == pytest.approx(expected, abs=1e-4)


def test_a_small_lesion_that_is_all_border_is_found():
    sure = expit(_ball((15, 30.5, 20.5), 12.3) / 0.4)
    small = np.zeros(SHAPE)
    small[30, 20:23, 48:51] = 0.55
    found, labels = _map(np.maximum(sure, small))
    assert labels[30, 21, 49] == 1
    places = find_doubts(found, labels, GRID)
    assert len(places) == 1
    assert GRID.to_index(places[0].point_mm) == pytest.approx((30, 21, 49), abs=0.1)
    alone, labels = _map(small)
    assert len(find_doubts(alone, labels, GRID, DoubtRequest(least_mass_ml=0.002))) == 1


def test_a_long_place_is_split_into_places_of_limited_extent():
    p = np.zeros(SHAPE)
    p[20, 5:55, 5:8] = 0.45
    p[18:22, 52:55, 5:55] = 0.45
    found, labels = _map(p)
    request = DoubtRequest(extent_mm=20)
    places = find_doubts(found, labels, GRID, request)
    assert len(places) >= 4
    covered = np.zeros(SHAPE, int)
    for place in places:
        covered[place.box.slices] += place.inside
        extent = np.array(place.box.shape) * GRID.spacing_mm
        assert extent.max() <= 20 + 2
    assert covered.max() == 1
    dropped = int((p > 0).sum()) - int(covered.sum())
    assert dropped * 0.002 * 1.0 < 0.005 * len(places)
    assert [place.mass_ml for place in places] == sorted((place.mass_ml for place in places), reverse=True)
    assert [place.rank for place in places] == list(range(1, len(places) + 1))
    middles = np.array([place.point_mm for place in places])
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1) + 1e9 * np.eye(len(places))
    assert apart.min() > 6


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.floats(4, 40))
def test_every_doubtful_voxel_is_in_one_place_or_in_one_too_light(seed, extent_mm):
    rng = np.random.default_rng(seed)
    shape = (8, 14, 15)
    values = np.where(rng.random(shape) < 0.15, rng.random(shape), 0).astype(np.float16)
    grid = Grid.from_spacing(shape, (3, 1, 1))
    labels = np.zeros(shape, np.uint8)
    request = DoubtRequest(least_mass_ml=0.0, extent_mm=extent_mm, least_volume_ml=0.0, share=1.0, most=10_000)
    covered = np.zeros(shape, int)
    total = 0.0
    for place in find_doubts(UncertaintyMap(values, Box.whole(shape), shape), labels, grid, request):
        covered[place.box.slices] += place.inside
        total += place.mass_ml
        corners = grid.to_mm(np.argwhere(place.inside))
        # A piece lies in a ball, or in one cell of the lattice.
        assert np.ptp(corners, axis=0).max() <= extent_mm + 1e-6
    assert np.array_equal(covered, (values.astype(np.float32) >= 0.25).astype(int))
    assert total == pytest.approx(float(values[covered > 0].astype(float).sum()) * 0.003, rel=1e-4)


def test_light_places_and_the_end_of_the_list_are_left_out():
    p = np.zeros(SHAPE)
    p[10, 10, 10:12] = 0.5
    p[20, 20:24, 20:24] = 0.5
    p[30, 40:50, 40:50] = 0.5
    found, labels = _map(p)
    assert len(find_doubts(found, labels, GRID)) == 2
    assert len(find_doubts(found, labels, GRID, DoubtRequest(least_mass_ml=0, least_volume_ml=0, share=1.0))) == 3
    assert len(find_doubts(found, labels, GRID, DoubtRequest(least_mass_ml=0, share=1.0))) == 2
    only = find_doubts(found, labels, GRID, DoubtRequest(most=1))
    assert [place.box.start[0] for place in only] == [30]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12, unique=True), st.floats(0.3, 1.0))
def test_the_list_ends_where_it_holds_the_share_of_all(lengths, share):
    values = np.zeros((2 * len(lengths), 1, 30), np.float16)
    for row, length in enumerate(lengths):
        values[2 * row, 0, :length] = 0.5
    grid = Grid.from_spacing(values.shape, (1, 1, 1))
    # All is mask, so that no place is apart from it.
    labels = np.ones(values.shape, np.uint8)
    request = DoubtRequest(least_mass_ml=0, least_volume_ml=0, extent_mm=100, share=share)
    places = find_doubts(UncertaintyMap(values, Box.whole(values.shape), values.shape), labels, grid, request)
    by_mass = sorted(lengths, reverse=True)
    fewest = next(n for n in range(1, len(lengths) + 1) if sum(by_mass[:n]) >= share * sum(lengths) * (1 - 1e-9))
    assert [round(place.mass_ml * 2000) for place in places] == by_mass[:fewest]


def test_a_small_place_apart_from_the_mask_is_listed_where_the_model_was_undecided():
    p = np.zeros(SHAPE)
    p[5:25, 10:40, 10:14] = 0.45
    p[28:33, 48:55, 48:55] = 0.5
    p[35, 10:14, 50:54] = 0.25
    found, labels = _map(p)
    request = DoubtRequest(extent_mm=1000)
    assert [place.box.start for place in find_doubts(found, labels, GRID, request)] == [(5, 10, 10), (28, 48, 48)]
    labels[30, 51, 51] = 1
    assert len(find_doubts(found, labels, GRID, DoubtRequest(extent_mm=1000, share=1.0))) == 3
    assert [place.box.start for place in find_doubts(found, labels, GRID, request)] == [(5, 10, 10)]


def test_nothing_doubtful_gives_no_place():
    found = UncertaintyMap(np.full((2, 2, 2), 0.1, np.float16), Box((1, 1, 1), (3, 3, 3)), SHAPE)
    assert find_doubts(found, np.zeros(SHAPE, np.uint8), GRID) == ()


def test_it_can_be_stopped():
    found, labels = _map(np.where(_ball((20, 30, 30), 8) > 0, 0.4, 0))
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        find_doubts(found, labels, GRID, progress=Progress(cancel=token))


def test_the_volume_of_the_box_lies_where_the_map_has_it():
    values = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    volume = doubt_volume(UncertaintyMap(values, Box((5, 6, 7), (7, 9, 11)), SHAPE), GRID)
    assert volume.grid.to_mm((1, 2, 3)) == pytest.approx(GRID.to_mm((6, 8, 10)))
    assert volume.data is values


def _walk():
    p = np.zeros(SHAPE)
    p[10, 10:20, 10:20] = 0.4
    p[20, 20:26, 20:26] = 0.4
    p[30, 40:44, 40:44] = 0.4
    found, labels = _map(p)
    return DoubtWalk(find_doubts(found, labels, GRID)), MaskDocument(labels, GRID, preset("lesion"))


def test_edited_places_are_skipped_and_models_do_not_count():
    walk, document = _walk()
    assert walk.text == "3 doubtful places"
    fresh = []
    document.listen(lambda change: fresh.append(walk.note_change(change)))
    second = Box((20, 20, 20), (21, 21, 21))
    one = np.ones((1, 1, 1), np.uint8)
    document.write(second, one, Origin(PatchSource.MODEL, "m"))
    assert len(walk.remaining) == 3
    document.write(second, 0 * one, Origin(PatchSource.HAND, "erase"))
    assert fresh == [False, True]
    assert walk.text == "2 of 3 doubtful places left"
    assert (walk.next().rank, walk.text) == (1, "1 of 3 doubtful places")
    assert (walk.next().rank, walk.text) == (3, "3 of 3 doubtful places")
    assert (walk.next(), walk.text) == (None, "All 3 doubtful places seen")
    assert walk.previous().rank == 1
    assert walk.previous() is None
    walk.begin_again()
    assert [walk.next().rank, walk.next().rank] == [1, 3]


def test_an_edit_beside_a_place_is_none_of_it():
    walk, document = _walk()
    fresh = []
    document.listen(lambda change: fresh.append(walk.note_change(change)))
    document.write(Box((10, 9, 9), (11, 10, 30)), np.ones((1, 1, 21), np.uint8), Origin(PatchSource.HAND, "paint"))
    # The box of the patch covers a place, but nothing changes there.
    wide = document.labels[10:11].copy()
    wide[0, 59, 59] = wide[0, 0, 0] = 1
    document.write(Box((10, 0, 0), (11, 60, 60)), wide, Origin(PatchSource.HAND, "paint"))
    assert fresh == [False, False]


def test_the_only_place():
    p = np.zeros(SHAPE)
    p[10, 10:20, 10:20] = 0.4
    found, labels = _map(p)
    walk = DoubtWalk(find_doubts(found, labels, GRID))
    assert walk.text == "1 doubtful place"
    walk.next()
    walk.next()
    assert walk.text == "The doubtful place was seen"
    assert DoubtWalk(()).text == "No doubtful places"
