from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.inference.resample import SLAB_VOXELS, resample, working_grid


def _rotated(grid: Grid, degrees: float) -> Grid:
    a = np.radians(degrees)
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = turn @ np.array([[np.cos(a / 2), -np.sin(a / 2), 0], [np.sin(a / 2), np.cos(a / 2), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ grid.affine[:3, :3]
    affine[:3, 3] = (3.0, -7.0, 11.0)
    return Grid(grid.shape, affine)


def _sheared(grid: Grid, shear: float) -> Grid:
    affine = np.array(grid.affine)
    affine[1, 0] += shear
    return Grid(grid.shape, affine)


def _plane(grid: Grid) -> np.ndarray:
    """A function that is linear in millimetres, which linear interpolation must keep."""
    points = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    return (points @ np.array([0.3, -0.2, 0.5]) + 4).astype(np.float32)


def test_the_same_grid_gives_the_same_values() -> None:
    grid = Grid.from_spacing((3, 4, 5), (2, 1, 1))
    data = np.random.default_rng(0).random((3, 4, 5), dtype=np.float32)
    out = resample(data, grid, grid)
    np.testing.assert_array_equal(out, data)
    assert not np.shares_memory(out, data)


@settings(max_examples=30, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.5, 3.0)] * 3),
    degrees=st.floats(-40, 40),
    shear=st.floats(-0.5, 0.5),
)
def test_a_linear_function_survives_any_pair_of_grids(spacing: tuple[float, float, float], degrees: float, shear: float) -> None:
    source = _sheared(_rotated(Grid.from_spacing((20, 22, 24), (1.5, 1.2, 1.0), "SPL"), degrees), shear)
    middle = source.to_mm(np.array(source.shape) / 2)
    target = Grid.from_spacing((5, 6, 7), spacing, "SAR")
    shift = np.array(target.affine)
    shift[:3, 3] += middle - target.to_mm(np.array(target.shape) / 2)
    target = Grid(target.shape, shift)
    at = source.to_index(target.to_mm(np.moveaxis(np.indices(target.shape), 0, -1)))
    inner = ((at >= 0) & (at <= np.array(source.shape) - 1)).all(-1)
    found = resample(_plane(source), source, target, antialias=False)
    np.testing.assert_allclose(found[inner], _plane(target)[inner], atol=2e-3)


def test_it_agrees_with_simpleitk_on_an_oblique_grid() -> None:
    sitk = pytest.importorskip("SimpleITK")
    rng = np.random.default_rng(2)
    source = Grid.from_spacing((9, 10, 11), (2.0, 1.0, 1.5), "SAR")
    target = _rotated(Grid.from_spacing((8, 9, 10), (1.5, 1.0, 1.0), "SAR"), 12)
    data = rng.random(source.shape, dtype=np.float32)

    def image(values: np.ndarray, grid: Grid) -> object:
        made = sitk.GetImageFromArray(values)
        # Any right-handed world does for the comparison, so RAS is passed where ITK would say LPS.
        made.SetSpacing(grid.spacing_mm[::-1])
        made.SetOrigin(grid.affine[:3, 3].tolist())
        made.SetDirection(grid.directions[:, ::-1].ravel().tolist())
        return made

    expected = sitk.Resample(
        image(data, source), image(np.zeros(target.shape, np.float32), target), sitk.Transform(), sitk.sitkLinear, -1.0
    )
    np.testing.assert_allclose(resample(data, source, target, fill=-1.0, antialias=False), sitk.GetArrayFromImage(expected), atol=1e-4)


def test_the_field_of_view_ends_at_the_outer_faces() -> None:
    source = Grid.from_spacing((1, 1, 4), (1, 1, 1))
    target = Grid.from_spacing((1, 1, 12), (1, 1, 0.5))
    affine = np.array(target.affine)
    affine[0, 3] = -0.75
    row = resample(np.full((1, 1, 4), 3.0), source, Grid(target.shape, affine), fill=-1)[0, 0]
    # Centres at -0.75, -0.25, ... 4.75; the image reaches from -0.5 to 3.5.
    np.testing.assert_allclose(row, [-1] + [3] * 8 + [-1] * 3, atol=1e-6)


def test_a_coarser_grid_averages_instead_of_picking() -> None:
    source = Grid.from_spacing((1, 1, 64), (1, 1, 1))
    target = source.resampled((1, 1, 4))
    stripes = np.tile([0.0, 1.0], 32)[None, None]
    smooth = resample(stripes, source, target)[0, 0, 2:-2]
    np.testing.assert_allclose(smooth, 0.5, atol=0.05)


def test_slabs_do_not_show() -> None:
    source = Grid.from_spacing((5, 40, 40), (2, 1, 1), "SPL")
    target = source.resampled((0.004, 1, 1))
    assert np.prod(target.shape) > SLAB_VOXELS
    ramp = np.broadcast_to(np.arange(5, dtype=np.float32)[:, None, None], source.shape)
    column = resample(ramp, source, target)[:, 20, 20]
    inner = source.to_index(target.to_mm([(k, 20, 20) for k in range(len(column))]))[:, 0]
    np.testing.assert_allclose(column, np.clip(inner, 0, 4), atol=1e-4)


class TestWorkingGrid:
    def test_nothing_changes_where_nothing_must(self) -> None:
        grid = _rotated(Grid.from_spacing((4, 5, 6), (1.0, 1.0, 1.0)), 10)
        assert working_grid(grid, (1, 1, 1)) is grid
        assert working_grid(grid, (1.004, 1, 1)) is grid
        assert working_grid(grid, None) is grid

    def test_other_spacing_keeps_the_axes(self) -> None:
        grid = _rotated(Grid.from_spacing((4, 50, 60), (5.5, 0.9, 0.9)), 10)
        work = working_grid(grid, (1, 1, 1))
        assert work.shape == (22, 45, 54)
        np.testing.assert_allclose(work.spacing_mm, 1, atol=1e-9)
        np.testing.assert_allclose(work.directions, grid.directions, atol=1e-9)

    @pytest.mark.parametrize("orientation", ["SPL", "IAR", "LSA"])
    def test_a_sheared_grid_gets_right_angles_over_all_of_it(self, orientation: str) -> None:
        grid = _sheared(_rotated(Grid.from_spacing((12, 20, 24), (3, 1, 1), orientation), 7), 0.6)
        work = working_grid(grid, (1, 1, 1))
        np.testing.assert_allclose(work.directions.T @ work.directions, np.eye(3), atol=1e-9)
        assert work.orientation == grid.orientation
        faces = np.array([(z, y, x) for z in (-0.5, 11.5) for y in (-0.5, 19.5) for x in (-0.5, 23.5)])
        inside = work.to_index(grid.to_mm(faces))
        assert (inside >= -0.5 - 1e-6).all()
        assert (inside <= np.array(work.shape) - 0.5 + 1e-6).all()
