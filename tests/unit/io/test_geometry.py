from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import GeometryError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.io import geometry

SHAPE = (4, 5, 6)


def a_mask(grid: Grid) -> MaskVersion:
    labels = np.random.default_rng(0).integers(0, 4, grid.shape).astype(np.uint8)
    return MaskVersion(labels, grid, preset("brats-gli-2024"), MaskKind.RATER)


def shifted(grid: Grid, mm: float) -> Grid:
    affine = grid.affine.copy()
    affine[0, 3] += mm
    return Grid(grid.shape, affine)


def test_affines_for_x_first_and_z_first_describe_the_same_voxel() -> None:
    affine = np.array([[0, 0, 3.0, 1], [0, 2.0, 0, 2], [1.0, 0, 0, 3], [0, 0, 0, 1]])
    z_first = geometry.affine_zyx(affine)
    assert np.allclose(affine @ (7, 8, 9, 1), z_first @ (9, 8, 7, 1))
    assert np.array_equal(geometry.affine_zyx(z_first), affine)


def test_an_itk_image_at_the_origin_runs_to_the_left_the_back_and_the_top() -> None:
    # Definition: ITK's x, y, z are patient left, posterior, superior.
    grid = geometry.grid_from_lps(SHAPE, (10, 20, 30), np.eye(3), (1, 2, 3))
    assert grid.orientation == "SPL"
    assert grid.to_mm((0, 0, 0)).tolist() == [-10, -20, 30]
    origin, directions, spacing = geometry.grid_to_lps(grid)
    assert (origin.tolist(), spacing.tolist()) == ([10, 20, 30], [1, 2, 3])
    assert np.array_equal(directions, np.eye(3))


def test_rounding_fits_and_a_shift_does_not() -> None:
    grid = Grid.from_spacing(SHAPE, (3, 1, 1))
    assert geometry.fits(shifted(grid, 0.015), grid)
    assert not geometry.fits(shifted(grid, 0.1), grid)
    assert geometry.displacement_mm(shifted(grid, 0.1), grid) == pytest.approx(0.1)


def test_a_mask_that_fits_gets_the_very_grid_of_its_image() -> None:
    grid = Grid.from_spacing(SHAPE, (3, 1, 1))
    mask = a_mask(shifted(grid, 0.01))
    placed = geometry.mask_on_grid(mask, grid, "seg", "t1")
    assert placed.grid == grid
    assert np.array_equal(placed.labels, mask.labels)


@pytest.mark.parametrize("orientation", ["SAR", "IPL", "RAS", "PLI"])
def test_a_mask_with_its_axes_in_another_order_is_turned(orientation: str) -> None:
    grid = Grid.from_spacing(SHAPE, (3, 1, 1.5))
    mask = a_mask(grid)
    turned_grid, move = grid.reorient(orientation)
    turned = MaskVersion(np.ascontiguousarray(move.apply(mask.labels)), turned_grid, mask.schema, mask.kind)
    placed = geometry.mask_on_grid(turned, grid, "seg", "t1")
    assert placed.grid == grid
    assert np.array_equal(placed.labels, mask.labels)


def test_the_error_names_both_and_says_how_they_differ() -> None:
    grid = Grid.from_spacing(SHAPE, (3, 1, 1))
    with pytest.raises(GeometryError, match="seg has 6x5x4 voxels, but t1 has 6x5x5"):
        geometry.mask_on_grid(a_mask(grid), Grid.from_spacing((5, 5, 6), (3, 1, 1)), "seg", "t1")
    with pytest.raises(GeometryError, match="seg and t1 both have 6x5x4 voxels, but lie up to 5 mm apart"):
        geometry.mask_on_grid(a_mask(grid), shifted(grid, 5), "seg", "t1")
    with pytest.raises(GeometryError, match="seg and t1 both have 6x5x4 voxels"):
        geometry.mask_on_grid(a_mask(grid), Grid.from_spacing(SHAPE, (3, 1, 1.2)), "seg", "t1")


def test_a_part_is_placed_only_where_that_is_allowed() -> None:
    grid = Grid.from_spacing((9, 9, 9), (3, 1, 1))
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_mm((2, 3, 1))
    mask = a_mask(Grid(SHAPE, affine))
    with pytest.raises(GeometryError):
        geometry.mask_on_grid(mask, grid, "seg", "t1")
    placed = geometry.mask_on_grid(mask, grid, "seg", "t1", allow_part=True)
    assert np.array_equal(placed.labels[2:6, 3:8, 1:7], mask.labels)
    assert np.count_nonzero(placed.labels) == np.count_nonzero(mask.labels)
