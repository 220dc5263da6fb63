from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.cell_shapes import group_instances, map_shapes, polygon_shapes
from napari_tumorseg.pathology.cell_stains import compartment_maps, expand_nuclei, region_statistics
from napari_tumorseg.pathology.cells import (
    _pixels_inside,
    measure_map,
    measure_polygons,
    neighbour_counts,
    smooth_columns,
    with_surroundings,
)

MAPS = arrays(np.int32, (7, 9), elements=st.sampled_from([0, 0, 1, 2, 5]))


def circle(radius: float, corners: int = 720) -> np.ndarray:
    angles = 2 * np.pi * np.arange(corners) / corners
    return radius * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def test_a_circle_has_circularity_and_solidity_one_and_its_own_diameter() -> None:
    shape = polygon_shapes([circle(8.0)], spacing_um=0.5)
    assert shape.circularity[0] == pytest.approx(1, abs=1e-4)
    assert shape.solidity[0] == pytest.approx(1)
    assert shape.area_um2[0] == pytest.approx(np.pi * 16, rel=1e-4)
    assert shape.max_diameter_um[0] == pytest.approx(8, rel=1e-4)
    assert shape.min_diameter_um[0] == pytest.approx(8, rel=1e-4)


@given(st.floats(1, 20), st.floats(1, 20), st.floats(0, np.pi))
@settings(max_examples=50, deadline=None)
def test_a_turned_rectangle_keeps_its_measures(height: float, width: float, turn: float) -> None:
    corners = np.array([[0, 0], [0, width], [height, width], [height, 0]])
    turned = corners @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + 3
    shape = polygon_shapes([turned], spacing_um=2.0)
    assert shape.area_um2[0] == pytest.approx(4 * height * width)
    assert shape.perimeter_um[0] == pytest.approx(4 * (height + width))
    assert shape.min_diameter_um[0] == pytest.approx(2 * min(height, width))
    assert shape.max_diameter_um[0] == pytest.approx(2 * np.hypot(height, width))


def test_the_least_width_is_the_smallest_extent_over_all_directions() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        corners = circle(1.0, 12) * rng.uniform(2, 9, (12, 1))
        ways = np.linspace(0, np.pi, 20000)
        along = corners @ np.stack([np.sin(ways), np.cos(ways)])
        assert polygon_shapes([corners], 1.0).min_diameter_um[0] == pytest.approx(np.ptp(along, axis=0).min(), rel=1e-4)


def test_an_l_shape_is_not_solid() -> None:
    corner = np.array([[0, 0], [0, 2], [1, 2], [1, 1], [2, 1], [2, 0]])
    assert polygon_shapes([corner], 1.0).solidity[0] == pytest.approx(3 / 3.5)


@pytest.mark.parametrize("radius", [3.2, 6.7, 12.3, 25.1])
def test_a_disc_in_a_map_measures_like_the_circle(radius: float) -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    found = []
    for _ in range(30):
        at = 32 + rng.uniform(-0.5, 0.5, 2)
        disc = ((y - at[0]) ** 2 + (x - at[1]) ** 2 <= radius**2).astype(np.int32)
        shape = map_shapes(disc, group_instances(disc), spacing_um=0.5)
        assert np.abs(shape.centroids_px[0] - at).max() < 0.3
        found.append((shape.perimeter_um[0], shape.circularity[0], shape.solidity[0], shape.max_diameter_um[0], shape.min_diameter_um[0]))
    perimeter, circularity, solidity, longest, least = np.mean(found, axis=0)
    assert perimeter == pytest.approx(np.pi * radius, rel=0.03)
    assert circularity == pytest.approx(1, abs=0.05)
    assert solidity > 0.9
    assert longest == pytest.approx(radius, abs=0.6)
    assert least == pytest.approx(radius, abs=0.6)


@given(MAPS)
@settings(max_examples=60, deadline=None)
def test_a_map_is_measured_as_pixel_by_pixel(instances: np.ndarray) -> None:
    stain = np.random.default_rng(0).normal(size=instances.shape).astype(np.float32)
    table = measure_map(instances, 0.5, {"h": stain})
    assert table.ids.tolist() == sorted(set(instances.ravel().tolist()) - {0})
    for i, number in enumerate(table.ids):
        inside = instances == number
        assert table.columns["nucleus_area_um2"][i] == inside.sum() * 0.25
        np.testing.assert_allclose(table.centroids_px[i], np.argwhere(inside).mean(axis=0))
        values = stain[inside].astype(np.float64)
        plain = {"mean": values.mean(), "median": np.median(values), "min": values.min(), "max": values.max()}
        plain["std"] = values.std(ddof=1) if len(values) > 1 else 0.0
        for name, value in plain.items():
            assert table.columns[f"nucleus_h_{name}"][i] == pytest.approx(value, rel=1e-6, abs=1e-9)


@given(MAPS)
@settings(max_examples=60, deadline=None)
def test_the_perimeter_is_the_count_of_crossings_in_four_directions(instances: np.ndarray) -> None:
    groups = group_instances(instances)
    shape = map_shapes(instances, groups, 1.0)
    padded = np.pad(instances, 1)
    for i, number in enumerate(groups.ids):
        total = 0.0
        for (dy, dx), apart in zip([(0, 1), (1, 0), (1, 1), (1, -1)], [1, 1, 0.5**0.5, 0.5**0.5], strict=True):
            for y, x in np.argwhere(padded == number):
                total += apart * sum(int(padded[y + s * dy, x + s * dx] != number) for s in (-1, 1))
        assert shape.perimeter_um[i] == pytest.approx(np.pi / 8 * total)


def test_compartments_part_the_cell() -> None:
    nuclei = np.zeros((20, 20), np.int32)
    nuclei[8:12, 8:12] = 4
    nuclei[8:12, 14:17] = 2
    cells = expand_nuclei(nuclei, distance_um=2.0, spacing_um=0.5)
    maps = compartment_maps(nuclei, cells)
    assert np.array_equal(maps["nucleus"] + maps["cytoplasm"], cells)
    edge = np.argwhere(maps["membrane"] == 4)
    padded = np.pad(cells, 1)
    whole = {tuple(p) for p in np.argwhere(cells == 4)}
    around = ((0, 1), (2, 1), (1, 0), (1, 2))
    assert {tuple(p) for p in edge} == {(y, x) for y, x in whole if any(padded[y + dy, x + dx] != 4 for dy, dx in around)}
    table = measure_map(nuclei, 0.5, {"h": np.ones(nuclei.shape)}, expansion_um=2.0)
    np.testing.assert_allclose(table.columns["nucleus_cell_area_ratio"], [(nuclei == i).sum() / (cells == i).sum() for i in (2, 4)])
    with pytest.raises(InputError, match="same id"):
        compartment_maps(nuclei, np.where(cells == 4, 2, cells))


def test_polygons_take_the_pixels_whose_centres_they_hold_even_where_they_overlap() -> None:
    square = np.array([[0.5, 0.5], [0.5, 4.5], [4.5, 4.5], [4.5, 0.5]])
    stain = np.arange(64, dtype=np.float64).reshape(8, 8)
    table = measure_polygons([square, square + 1, square + 100], 1.0, {"h": stain})
    assert table.columns["nucleus_h_mean"][:2].tolist() == [stain[1:5, 1:5].mean(), stain[2:6, 2:6].mean()]
    assert np.isnan(table.columns["nucleus_h_mean"][2])
    np.testing.assert_allclose(table.centroids_px[0], [2.5, 2.5])


@given(st.integers(0, 25), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_smoothing_and_counts_are_those_of_the_plain_sum(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    at, values = rng.uniform(0, 90, (n, 2)), rng.normal(size=(n, 2))
    values[rng.random((n, 2)) < 0.2] = np.nan
    found, counts = smooth_columns(at, values, 25.0), neighbour_counts(at, 25.0)
    sigma = 25 / np.sqrt(8 * np.log(2))
    for i in range(n):
        apart = np.hypot(*(at - at[i]).T)
        assert counts[i] == (apart <= 25).sum() - 1
        for j in range(2):
            use = (apart <= 3 * sigma) & np.isfinite(values[:, j])
            weights = np.exp(-(apart[use] ** 2) / (2 * sigma**2))
            if use.any():
                assert found[i, j] == pytest.approx((weights * values[use, j]).sum() / weights.sum())
            else:
                assert np.isnan(found[i, j])


def test_no_nuclei_give_an_empty_table_with_the_same_columns() -> None:
    stain = {"h": np.ones((4, 4))}
    empty, one = (with_surroundings(measure_map(np.full((4, 4), v), 0.5, stain, expansion_um=1.0)) for v in (0, 1))
    assert len(empty) == 0
    assert list(empty.columns) == list(one.columns)
    assert empty.matrix(list(empty.columns)).shape == (0, len(one.columns))
    assert len(measure_polygons([], 0.5, stain)) == 0


def test_bad_input_is_named() -> None:
    with pytest.raises(InputError, match="integers"):
        measure_map(np.ones((3, 3)), 0.5)
    with pytest.raises(InputError, match="micrometres per pixel"):
        measure_map(np.ones((3, 3), int), 0.0)
    with pytest.raises(InputError, match="has 2 corners"):
        measure_polygons([np.zeros((2, 2))], 0.5)
    with pytest.raises(InputError, match="not been measured"):
        measure_map(np.ones((3, 3), int), 0.5).matrix(["smoothed"])
    with pytest.raises(InputError, match="not a number"):
        region_statistics(np.ones((1, 1), int), np.array([1]), {"h": np.array([[np.nan]])})


@given(st.integers(0, 10**6), st.sampled_from([3, 8, 32]))
@settings(max_examples=60, deadline=None)
def test_the_pixels_of_a_polygon_are_those_whose_centres_it_holds(seed: int, corners: int) -> None:
    rng = np.random.default_rng(seed)
    polygons = [circle(1.0, corners) * rng.uniform(0.3, 9, (corners, 1)) + rng.uniform(-4, 24, 2) for _ in range(4)]
    pixels, owner = _pixels_inside(polygons, (17, 21))
    y, x = np.mgrid[:17, :21]
    for i, polygon in enumerate(polygons):
        inside = shapely.contains_xy(shapely.Polygon(polygon), y.ravel(), x.ravel())
        assert pixels[owner == i].tolist() == np.flatnonzero(inside).tolist()
