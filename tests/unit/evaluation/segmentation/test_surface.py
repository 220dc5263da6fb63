from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.segmentation.surface import SurfaceDistances, dice, hd95, nsd, surface_distances
from napari_tumorseg.evaluation.segmentation.surfels import area_table, cell_codes

SPACINGS = st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.9375, 0.9375), (0.5, 0.7, 1.3), (5.0, 0.4, 0.9)])
MASKS = arrays(bool, (5, 6, 7), elements=st.sampled_from([False, False, True]))


def same_as_theirs(a: np.ndarray, b: np.ndarray, spacing_mm: tuple[float, ...]) -> None:
    # The package of google-deepmind uses names that numpy and scipy have since dropped or will drop.
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import surface_distance.metrics as metrics

        patch.setattr(np, "Inf", np.inf, raising=False)
        patch.setattr(np, "NaN", np.nan, raising=False)
        known = metrics.compute_surface_distances(a, b, spacing_mm)
        ours = surface_distances(a, b, spacing_mm)
        np.testing.assert_allclose(ours.a_to_b_mm, known["distances_gt_to_pred"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours.b_to_a_mm, known["distances_pred_to_gt"], rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours.areas_a_mm2.sum(), known["surfel_areas_gt"].sum(), atol=1e-9)
        np.testing.assert_allclose(ours.averages_mm(), metrics.compute_average_surface_distance(known), atol=1e-9, equal_nan=True)
        for percent in (50.0, 95.0, 100.0):
            assert ours.hausdorff_mm(percent) == pytest.approx(metrics.compute_robust_hausdorff(known, percent), abs=1e-9)
        assert hd95(a, b, spacing_mm) == pytest.approx(metrics.compute_robust_hausdorff(known, 95), abs=1e-9)
        for tolerance in (0.0, 0.5, 0.9375, 1.0, 2.0):
            expected = metrics.compute_surface_dice_at_tolerance(known, tolerance)
            assert nsd(a, b, spacing_mm, tolerance) == pytest.approx(expected, abs=1e-9, nan_ok=True)
        assert dice(a, b) == pytest.approx(metrics.compute_dice_coefficient(a, b), abs=1e-12, nan_ok=True)


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    return sum((np.indices(shape)[i] - centre[i]) ** 2 for i in range(3)) <= radius**2


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (1.0, 2.0, 3.0), (0.7, 3.3, 0.9), (5.0, 0.1, 1.0)])
def test_areas_of_all_256_cells_equal_surface_distance(spacing_mm: tuple[float, ...]) -> None:
    from surface_distance import lookup_tables

    known = lookup_tables.create_table_neighbour_code_to_surface_area(spacing_mm)
    weights = np.asarray(lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL).ravel()
    order = [int(sum(weights[bit] for bit in range(8) if code >> bit & 1)) for code in range(256)]
    np.testing.assert_allclose(area_table(spacing_mm), known[order], rtol=1e-14)


@given(MASKS)
def test_cell_codes_name_the_eight_voxels(mask: np.ndarray) -> None:
    codes = cell_codes(mask)
    padded = np.pad(mask, 1)
    for cell in np.ndindex(codes.shape):
        corners = padded[tuple(slice(i, i + 2) for i in cell)].ravel()
        assert codes[cell] == sum(1 << bit for bit in range(8) if corners[bit])


@settings(max_examples=60)
@given(MASKS, MASKS, SPACINGS)
@example(np.zeros((3, 3, 3), bool), np.zeros((3, 3, 3), bool), (1.0, 1.0, 1.0))
@example(np.ones((3, 4, 5), bool), np.zeros((3, 4, 5), bool), (1.0, 1.0, 2.0))
@example(np.ones((3, 4, 5), bool), np.ones((3, 4, 5), bool), (1.0, 1.0, 2.0))
def test_distances_equal_surface_distance(a: np.ndarray, b: np.ndarray, spacing_mm: tuple[float, ...]) -> None:
    same_as_theirs(a, b, spacing_mm)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (3.0, 0.9375, 0.9375)])
@pytest.mark.parametrize("shift", [0, 1, 2, 7, 14])
def test_large_masks_equal_surface_distance(spacing_mm: tuple[float, ...], shift: int) -> None:
    shape = (30, 40, 60)
    rough = ndimage.gaussian_filter(np.random.default_rng(shift).normal(size=shape), 2) * 3
    a = ball(shape, (15, 20, 22), 11) | (ball(shape, (8, 30, 50), 5) & (rough > -0.1))
    b = ball(shape, (15, 20, 22 + shift), 11 - shift / 3) & (rough < 0.3)
    same_as_theirs(a, b, spacing_mm)
    same_as_theirs(a, np.roll(b, 12, axis=1), spacing_mm)  # to and over the border


@settings(max_examples=40)
@given(MASKS, MASKS, SPACINGS)
def test_voxel_surfaces_equal_their_definition(a: np.ndarray, b: np.ndarray, spacing_mm: tuple[float, ...]) -> None:
    ours = surface_distances(a, b, spacing_mm, "voxels")
    surfaces = [mask & ~ndimage.binary_erosion(mask) for mask in (a, b)]
    if a.any() and b.any():
        there, back = (
            np.sort(ndimage.distance_transform_edt(~other, sampling=spacing_mm)[one]) for one, other in (surfaces, reversed(surfaces))
        )
        np.testing.assert_allclose(ours.a_to_b_mm, there, atol=1e-9)
        np.testing.assert_allclose(ours.b_to_a_mm, back, atol=1e-9)
        assert ours.pooled_percentile_mm() == pytest.approx(np.percentile(np.hstack((there, back)), 95), abs=1e-9)
        assert ours.mean_overlap(1.0) == pytest.approx(((there <= 1).mean() + (back <= 1).mean()) / 2, abs=1e-12)
    else:
        assert np.isinf(ours.pooled_percentile_mm())
        assert ours.mean_overlap(1.0) == 0.0 or not (a.any() or b.any())


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="shapes"):
        hd95(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool), (1, 1, 1))
    with pytest.raises(InputError, match="shapes"):
        dice(np.zeros((2, 2, 2), bool), np.zeros((2, 2, 3), bool))


def test_one_voxel_has_the_surface_of_an_octahedron() -> None:
    one = np.ones((1, 1, 1), bool)
    found = surface_distances(one, one, (1.0, 1.0, 1.0))
    assert isinstance(found, SurfaceDistances)
    # Eight triangles with sides of sqrt(1/2).
    assert found.areas_a_mm2.sum() == pytest.approx(8 * np.sqrt(3) / 4 / 2, abs=1e-12)
