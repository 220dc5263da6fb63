from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from napari_tumorseg.core.errors import GeometryError
from napari_tumorseg.core.grid import AxisTransform, Box, Grid, bounding_box

ORIENTATIONS = ["".join(letters) for axes in itertools.permutations(("LR", "PA", "IS")) for letters in itertools.product(*axes)]


def orientations() -> st.SearchStrategy[str]:
    return st.sampled_from(ORIENTATIONS)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False).map(lambda value: round(value, 4))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Small grids of any orientation, spacing and origin, turned by up to 34 degrees."""
    shape = draw(st.tuples(*(st.integers(1, 4),) * 3))
    straight = Grid.from_spacing(shape, draw(st.tuples(*(numbers(0.2, 6.0),) * 3)), draw(orientations()))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(draw(st.tuples(*(numbers(-0.34, 0.34),) * 3))).as_matrix() @ straight.affine[:3, :3]
    affine[:3, 3] = draw(st.tuples(*(numbers(-300.0, 300.0),) * 3))
    return Grid(shape, affine)


@st.composite
def boxes(draw: st.DrawFn, shape: tuple[int, int, int]) -> Box:
    """Boxes with at least one voxel inside `shape`."""
    pairs = [sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1)))) for n in shape]
    z, y, x = ((a, b + 1) for a, b in pairs)
    return Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))


def indices(shape: tuple[int, int, int]) -> np.ndarray:
    """All (z, y, x) indices of an array, in C order."""
    return np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=-1)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("source", ORIENTATIONS)
def test_reorienting_keeps_every_voxel_in_its_place(source: str) -> None:
    shape = (2, 3, 4)
    affine = np.array(Grid.from_spacing(shape, (5.0, 0.9, 1.1), source).affine)
    affine[:3, 3] = (-90.0, 126.0, -72.0)
    grid = Grid(shape, affine)
    numbered = np.arange(24).reshape(shape)
    for target in ORIENTATIONS:
        moved_grid, move = grid.reorient(target)
        moved = move.apply(numbered)
        assert moved_grid.shape == moved.shape
        assert moved_grid.orientation == target
        came_from = np.stack(np.unravel_index(moved.ravel(), shape), axis=-1)
        np.testing.assert_allclose(moved_grid.to_mm(indices(moved.shape)), grid.to_mm(came_from), atol=1e-9)


@given(grids(), orientations())
def test_reorienting_an_oblique_grid_keeps_every_voxel_in_its_place(grid: Grid, target: str) -> None:
    moved_grid, move = grid.reorient(target)
    moved = move.apply(np.arange(np.prod(grid.shape)).reshape(grid.shape))
    came_from = np.stack(np.unravel_index(moved.ravel(), grid.shape), axis=-1)
    np.testing.assert_allclose(moved_grid.to_mm(indices(moved.shape)), grid.to_mm(came_from), atol=1e-9)
    assert moved_grid.orientation == target
    assert moved_grid.voxel_volume_mm3 == pytest.approx(grid.voxel_volume_mm3)
    assert moved_grid.obliquity_deg == pytest.approx(grid.obliquity_deg, abs=1e-5)


@given(grids())
def test_orientation_agrees_with_nibabel(grid: Grid) -> None:
    xyz_affine = grid.affine[:, [2, 1, 0, 3]]
    assert "".join(nib.aff2axcodes(xyz_affine))[::-1] == grid.orientation


@given(grids(), orientations(), st.data())
def test_an_axis_transform_is_undone_by_its_inverse(grid: Grid, target: str, data: st.DataObject) -> None:
    moved_grid, move = grid.reorient(target)
    array = np.arange(2 * np.prod(grid.shape)).reshape(2, *grid.shape)
    np.testing.assert_array_equal(move.inverse.apply(move.apply(array)), array)
    assert move.inverse.inverse == move
    assert moved_grid.transformed(move.inverse).matches(grid, 1e-6)
    np.testing.assert_array_equal(move.matrix(grid.shape) @ move.inverse.matrix(moved_grid.shape), np.eye(4))
    box = data.draw(boxes(grid.shape))
    np.testing.assert_array_equal(move.apply(array[0])[move.box(box, grid.shape).slices], move.apply(array[0][box.slices]))


def test_an_axis_transform_copies_nothing() -> None:
    array = np.zeros((2, 3, 4))
    assert np.shares_memory(array, AxisTransform((2, 0, 1), (True, False, True)).apply(array))


@given(grids(), hnp.arrays(np.float64, (5, 3), elements=numbers(-50, 50)))
def test_index_and_mm_are_inverse(grid: Grid, index: np.ndarray) -> None:
    np.testing.assert_allclose(grid.to_index(grid.to_mm(index)), index, atol=1e-7)


@given(grids(), st.data())
def test_a_crop_stays_in_its_place(grid: Grid, data: st.DataObject) -> None:
    box = data.draw(boxes(grid.shape))
    crop = grid.crop(box)
    assert crop.shape == box.shape
    np.testing.assert_allclose(crop.to_mm(indices(crop.shape)), grid.to_mm(indices(crop.shape) + np.array(box.start)), atol=1e-9)


@given(grids(), st.tuples(*(numbers(0.2, 8.0),) * 3))
def test_resampling_keeps_the_field_of_view(grid: Grid, spacing_mm: tuple[float, float, float]) -> None:
    new = grid.resampled(spacing_mm)
    np.testing.assert_allclose(new.spacing_mm, spacing_mm, rtol=1e-9)
    np.testing.assert_allclose(new.directions, grid.directions, atol=1e-9)
    half = np.full(3, 0.5)
    np.testing.assert_allclose(new.to_mm(-half), grid.to_mm(-half), atol=1e-8)
    excess_mm = np.array(new.shape) * new.spacing_mm - np.array(grid.shape) * grid.spacing_mm
    assert (excess_mm > -1e-5).all()
    assert (excess_mm < np.array(spacing_mm)).all()


@given(grids())
def test_resampling_to_the_same_spacing_changes_nothing(grid: Grid) -> None:
    assert grid.resampled(grid.spacing_mm).matches(grid, 1e-8)


@given(orientations(), st.tuples(*(numbers(0.2, 6.0),) * 3))
def test_a_straight_grid_is_what_was_asked_for(orientation: str, spacing_mm: tuple[float, float, float]) -> None:
    grid = Grid.from_spacing((2, 3, 4), spacing_mm, orientation)
    assert grid.orientation == orientation
    assert grid.spacing_mm == pytest.approx(spacing_mm)
    assert grid.voxel_volume_mm3 == pytest.approx(np.prod(spacing_mm))
    assert grid.obliquity_deg == pytest.approx(0.0)


@pytest.mark.parametrize("angle_deg", [0.5, 10.0, 40.0])
def test_obliquity_is_the_angle_of_the_turn(angle_deg: float) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("z", angle_deg, degrees=True).as_matrix() @ Grid.from_spacing((1, 1, 1), (3, 1, 2)).affine[:3, :3]
    assert Grid((4, 4, 4), affine).obliquity_deg == pytest.approx(angle_deg)


def test_a_sheared_grid_has_the_volume_of_its_parallelepiped() -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.5
    assert Grid((2, 2, 2), affine).voxel_volume_mm3 == pytest.approx(1.0)


def test_equal_grids_have_equal_hashes_even_with_negative_zeros() -> None:
    affine = Grid.from_spacing((2, 2, 2), (1, 1, 1)).affine
    one, other = Grid((2, 2, 2), affine), Grid((2, 2, 2), np.where(affine == 0, -0.0, affine))
    assert one == other
    assert hash(one) == hash(other)
    assert one != Grid((2, 2, 3), affine)
    assert one != "grid"


def test_a_grid_cannot_be_changed() -> None:
    affine = np.eye(4)
    grid = Grid((2, 2, 2), affine)
    affine[0, 3] = 9.0
    assert grid.affine[0, 3] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 1.0


def test_matching_is_by_distance_at_the_far_corner() -> None:
    shape = (11, 11, 11)
    grid = Grid(shape, np.eye(4))
    stretched = Grid(shape, np.diag([1.0001, 1, 1, 1]))
    assert grid.matches(stretched, 1.01e-3)
    assert not grid.matches(stretched, 0.99e-3)
    shifted = np.eye(4)
    shifted[:3, 3] = 0.9e-3  # 1.56e-3 mm away, though less along each axis
    assert not grid.matches(Grid(shape, shifted), 1e-3)
    assert not grid.matches(Grid((11, 11, 10), np.eye(4)))


@pytest.mark.parametrize("shape", [(2, 2), (2, 2, 0), (2, 2, 2, 2), (-1, 2, 2)])
def test_a_volume_needs_three_axes_with_voxels(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match="three axes of at least one voxel"):
        Grid(shape, np.eye(4))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "affine",
    [np.eye(3), np.full((4, 4), np.nan), np.diag([1, 1, np.inf, 1]), np.diag([1, 1, 1, 2]), np.diag([1, 0, 1, 1]), np.ones((4, 4))],
)
def test_an_affine_must_be_usable(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError, match="affine"):
        Grid((2, 2, 2), affine)


@pytest.mark.parametrize("orientation", ["SAS", "SA", "SARL", "XYZ", "", "sar"])
def test_an_orientation_names_three_directions(orientation: str) -> None:
    grid = Grid((2, 2, 2), np.eye(4))
    with pytest.raises(GeometryError, match="three different directions"):
        grid.reorient(orientation)
    with pytest.raises(GeometryError, match="three different directions"):
        Grid.from_spacing((2, 2, 2), (1, 1, 1), orientation)


@pytest.mark.parametrize("spacing_mm", [(1, 1), (1, 1, 0), (1, -1, 1), (1, 1, np.nan)])
def test_a_voxel_size_is_three_positive_numbers(spacing_mm: tuple[float, ...]) -> None:
    with pytest.raises(GeometryError, match="not a voxel size"):
        Grid((2, 2, 2), np.eye(4)).resampled(spacing_mm)


@given(hnp.arrays(bool, st.tuples(*(st.integers(1, 5),) * 3)))
def test_the_bounding_box_holds_all_voxels_and_no_more(mask: np.ndarray) -> None:
    box = bounding_box(mask)
    found = np.argwhere(mask)
    if found.size == 0:
        assert box is None
    else:
        assert box == Box(tuple(found.min(axis=0)), tuple(found.max(axis=0) + 1))
        assert box.shape == mask[box.slices].shape
        assert box.size == mask[box.slices].size


@given(st.data())
def test_grown_and_joined_boxes(data: st.DataObject) -> None:
    shape = (5, 6, 7)
    one, other = data.draw(boxes(shape)), data.draw(boxes(shape))
    margin = data.draw(st.one_of(st.integers(0, 3), st.tuples(*(st.integers(0, 3),) * 3)))
    paper = np.zeros(shape, bool)
    paper[one.slices] = True
    paper[other.slices] = True
    assert one.union(other) == bounding_box(paper)
    grown = one.grown(margin, shape)
    margins = np.broadcast_to(margin, 3)
    assert grown.start == tuple(np.maximum(0, np.array(one.start) - margins))
    assert grown.stop == tuple(np.minimum(shape, np.array(one.stop) + margins))


def test_the_whole_box_and_an_empty_one() -> None:
    assert Box.whole((2, 3, 4)) == Box((0, 0, 0), (2, 3, 4))
    empty = Box((2, 0, 0), (1, 3, 4))
    assert (empty.shape, empty.size) == ((0, 3, 4), 0)
    assert np.zeros((5, 5, 5))[empty.slices].shape == (0, 3, 4)
