from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.lesion import Diameters
from napari_tumorseg.evaluation.diameters import Outline, SlicePlane, lesion_diameters, measure

ORIENTATIONS = ("SAR", "IPL", "RSA", "ARS", "LIP", "PSL")
MASKS = arrays(np.bool_, (4, 5, 6), elements=st.sampled_from([False, False, False, True]))
SPACINGS = st.tuples(*[st.sampled_from([0.5, 0.94, 1.0, 2.5, 5.0])] * 3)


def edge_points_mm(mask: np.ndarray, grid: Grid) -> dict[int, np.ndarray]:
    """All points half a voxel around the voxel centres, in RAS mm, by axial slice."""
    axial = next(i for i, code in enumerate(grid.orientation) if code in "SI")
    others = [i for i in range(3) if i != axial]
    found: dict[int, list[np.ndarray]] = {}
    for voxel in np.argwhere(mask):
        for axis in others:
            for side in (-0.5, 0.5):
                point = voxel.astype(float)
                point[axis] += side
                found.setdefault(int(voxel[axial]), []).append(grid.to_mm(point))
    return {at: np.array(points) for at, points in found.items()}


def longest_by_pairs(points: dict[int, np.ndarray]) -> float:
    return max(float(np.sqrt(((p[:, None] - p[None]) ** 2).sum(-1)).max()) for p in points.values())


@given(MASKS, SPACINGS, st.sampled_from(ORIENTATIONS))
def test_the_longest_is_the_largest_distance_of_any_two_points_of_a_slice(mask, spacing_mm, orientation) -> None:
    grid = Grid.from_spacing(mask.shape, spacing_mm, orientation)
    found = lesion_diameters(mask, grid)
    if not mask.any():
        assert found == Diameters()
        return
    points = edge_points_mm(mask, grid)
    assert found.longest_mm == pytest.approx(longest_by_pairs(points), abs=1e-9)
    a, b = (np.array(end) for end in found.longest_ends_mm)
    assert np.linalg.norm(a - b) == pytest.approx(found.longest_mm, abs=1e-9)
    slices = [p for p in points.values() if all(np.abs(p - end).sum(1).min() < 1e-9 for end in (a, b))]
    assert slices, "the ends are points of one slice"


@settings(max_examples=20)
@given(MASKS, SPACINGS, st.sampled_from(ORIENTATIONS))
def test_the_perpendicular_is_the_longest_chord_found_by_trying(mask, spacing_mm, orientation) -> None:
    if not mask.any():
        return
    grid = Grid.from_spacing(mask.shape, spacing_mm, orientation)
    found = lesion_diameters(mask, grid)
    a, b = (np.array(end) for end in found.longest_ends_mm)
    c, d = (np.array(end) for end in found.perpendicular_ends_mm)
    assert np.linalg.norm(c - d) == pytest.approx(found.perpendicular_mm, abs=1e-9)
    assert (b - a) @ (d - c) == pytest.approx(0, abs=1e-7)
    points = next(p for p in edge_points_mm(mask, grid).values() if all(np.abs(p - end).sum(1).min() < 1e-9 for end in (a, b)))
    along = (b - a) / np.linalg.norm(b - a)
    normal = grid.directions[:, SlicePlane.of(grid).axis]
    across = np.cross(normal, along)
    flat = np.stack([(points - a) @ along, (points - a) @ across], axis=1)
    # Oracle without a hull: at every height the chord runs between the extremes of all segments of two points.
    best = 0.0
    for height in np.unique(flat[:, 0].round(12)):
        low, high = np.inf, -np.inf
        for p in flat:
            for q in flat:
                if min(p[0], q[0]) - 1e-9 <= height <= max(p[0], q[0]) + 1e-9:
                    share = 0.0 if abs(q[0] - p[0]) < 1e-9 else min(max((height - p[0]) / (q[0] - p[0]), 0), 1)
                    side = p[1] + share * (q[1] - p[1])
                    low, high = min(low, side), max(high, side)
        best = max(best, high - low)
    assert found.perpendicular_mm == pytest.approx(best, abs=1e-6)
    assert found.perpendicular_mm <= found.longest_mm + 1e-9


def test_hand_counted_cases() -> None:
    grid = Grid.from_spacing((3, 10, 10), (5.0, 1.0, 2.0))
    mask = np.zeros(grid.shape, bool)
    mask[1, 4, 4] = True
    one = lesion_diameters(mask, grid)
    assert (one.longest_mm, one.perpendicular_mm, one.product_mm2) == (2.0, 1.0, 2.0)
    # A column along z is never measured across slices.
    mask[:, 4, 4] = True
    assert lesion_diameters(mask, grid).longest_mm == 2.0
    assert lesion_diameters(mask, grid).longest_ends_mm[0][2] == 0.0, "of equal slices the first"


def test_a_sagittal_acquisition_is_measured_in_its_axial_planes() -> None:
    # Slices 6 mm apart run from right to left, rows from anterior to posterior, columns from inferior to superior.
    grid = Grid.from_spacing((5, 20, 20), (6.0, 1.0, 1.0), "LPS")
    mask = np.zeros(grid.shape, bool)
    mask[1:4, 5, 2:18] = True
    found = lesion_diameters(mask, grid)
    # 16 mm of height do not count; three slices side by side are 18 mm.
    assert (found.longest_mm, found.perpendicular_mm) == (pytest.approx(18.0), pytest.approx(1.0))
    (x0, y0, z0), (x1, y1, z1) = found.longest_ends_mm
    assert (abs(x1 - x0), y1 - y0, z1 - z0) == (pytest.approx(18.0), pytest.approx(0), pytest.approx(0))


def test_an_oblique_sheared_grid_keeps_lengths() -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0.1, 0.2, 1.0], [0.05, 1.1, 0.3], [2.0, 0.1, 0.05]])
    grid = Grid((3, 7, 8), affine)
    mask = np.random.default_rng(5).random(grid.shape) < 0.2
    assert lesion_diameters(mask, grid).longest_mm == pytest.approx(longest_by_pairs(edge_points_mm(mask, grid)), abs=1e-9)


@given(MASKS, MASKS, st.sampled_from(ORIENTATIONS))
def test_two_parts_are_measured_as_one(first, second, orientation) -> None:
    grid = Grid.from_spacing(first.shape, (3.0, 1.0, 0.5), orientation)
    plane, whole = SlicePlane.of(grid), Box.whole(first.shape)
    if not first.any() or not second.any():
        return
    joined = measure([Outline.of(first, whole, plane), Outline.of(second, whole, plane)], plane)
    assert joined.longest_mm == pytest.approx(lesion_diameters(first | second, grid).longest_mm, abs=1e-9)


@given(MASKS, MASKS, st.sampled_from(ORIENTATIONS), st.data())
def test_an_updated_outline_is_that_of_the_new_mask(old, new, orientation, data) -> None:
    grid = Grid.from_spacing(old.shape, (3.0, 1.0, 0.5), orientation)
    plane, whole = SlicePlane.of(grid), Box.whole(old.shape)
    start = [data.draw(st.integers(0, n - 1)) for n in old.shape]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, old.shape, strict=True)]
    changed = Box(tuple(start), tuple(stop))
    mask = old.copy()
    mask[changed.slices] = new[changed.slices]
    if not mask.any() or not old.any():
        return
    before = Outline.of(old, whole, plane)
    measure([before], plane)  # so that hulls are kept
    assert measure([before.updated(mask, whole, changed, plane)], plane) == lesion_diameters(mask, grid)
