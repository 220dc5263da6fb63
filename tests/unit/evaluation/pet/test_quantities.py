from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.evaluation.pet.ibsi import ibsi_features
from napari_tumorseg.evaluation.pet.peak import PEAK_RADIUS_MM, sphere_means
from napari_tumorseg.evaluation.pet.quantities import PatientUptake, pet_quantities
from napari_tumorseg.evaluation.pet.spread import largest_distance_mm

SHAPE = (5, 6, 7)
MASKS = arrays(bool, SHAPE, elements=st.booleans())
SPARSE = arrays(bool, SHAPE, elements=st.sampled_from([False] * 9 + [True]))
OBLIQUE = np.array([[0.3, -4.1, 0.2, 7], [0.1, 0.4, 3.3, -2], [2.9, 0.5, -0.2, 11], [0, 0, 0, 1]])


def _grids() -> st.SearchStrategy[Grid]:
    spacing = st.tuples(*[st.floats(0.8, 7.0)] * 3)
    straight = st.builds(lambda s, o: Grid.from_spacing(SHAPE, s, o), spacing, st.sampled_from(["SAR", "SPL", "RSA"]))
    return st.one_of(straight, st.just(Grid(SHAPE, OBLIQUE)))


def _image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2.0, 2.0, SHAPE)


def _peak_by_hand(image: np.ndarray, grid: Grid, voxel: tuple[int, int, int]) -> float:
    """The definition, voxel by voxel: all of the image whose centre is within the radius of the centre of a 1 cm3 sphere."""
    radius = (1000 / (4 / 3 * np.pi)) ** (1 / 3)
    own = grid.to_mm(voxel)
    values = [image[i] for i in np.ndindex(image.shape) if np.linalg.norm(grid.to_mm(i) - own) <= radius * (1 + 1e-9)]
    return float(np.mean(values))


@given(MASKS, _grids(), st.integers(0, 9))
def test_quantities_equal_their_definitions(mask: np.ndarray, grid: Grid, seed: int) -> None:
    suv = _image(seed)
    found = pet_quantities(suv, mask, grid)
    if not mask.any():
        assert found.patient == PatientUptake(0, 0, 0, 0, 0, 0, 0)
        assert found.lesions == ()
        return
    parts, count = ndimage.label(mask, ndimage.generate_binary_structure(3, 2))
    ml = abs(np.linalg.det(grid.affine[:3, :3])) / 1000
    whole = found.patient
    assert whole.suv_max == suv[mask].max()
    assert whole.suv_mean == pytest.approx(suv[mask].mean())
    assert whole.tmtv_ml == pytest.approx(mask.sum() * ml)
    assert whole.lesion_count == len(found.lesions) == count
    # TLA is the sum over lesions of mean times volume, and so the sum of SUV times voxel volume.
    assert whole.tla == pytest.approx(sum(row.suv_mean * row.volume_ml for row in found.lesions))
    assert whole.tla == pytest.approx(suv[mask].sum() * ml)
    assert whole.suv_peak == max(row.suv_peak for row in found.lesions)
    assert [row.id for row in found.lesions] == list(range(1, count + 1))
    assert [row.voxels for row in found.lesions] == sorted((row.voxels for row in found.lesions), reverse=True)
    for row in found.lesions:
        z, y, x = np.rint(grid.to_index(row.suv_max_mm)).astype(int)
        own = parts == parts[z, y, x]
        assert suv[z, y, x] == row.suv_max == suv[own].max()
        assert row.voxels == own.sum()
        np.testing.assert_allclose(row.centroid_mm, grid.to_mm(np.argwhere(own)).mean(axis=0), atol=1e-9)
        assert row.tla == pytest.approx(suv[own].sum() * ml)


@given(SPARSE, _grids(), st.integers(0, 3))
def test_suv_peak_equals_the_sphere_voxel_by_voxel(mask: np.ndarray, grid: Grid, seed: int) -> None:
    suv = _image(seed)
    for row in pet_quantities(suv, mask, grid).lesions[:2]:
        z, y, x = (int(v) for v in np.rint(grid.to_index(row.suv_max_mm)))
        parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, 2))
        own = [tuple(v) for v in np.argwhere(parts == parts[z, y, x]).tolist()]
        assert row.suv_peak == pytest.approx(max(_peak_by_hand(suv, grid, v) for v in own))
        assert row.suv_peak_at_max == pytest.approx(_peak_by_hand(suv, grid, (z, y, x)))


def test_the_peak_is_taken_where_it_is_highest_and_of_equal_maxima_the_higher() -> None:
    grid = Grid.from_spacing((3, 3, 20), (5.0, 5.0, 5.0))
    suv = np.zeros(grid.shape)
    suv[1, 1, 2] = suv[1, 1, 12] = 9.0  # two hottest voxels, the second with a warm neighbour
    suv[1, 1, 13] = 5.0
    suv[1, 1, 15:18] = 8.0  # a broad, less hot place
    mask = np.zeros(grid.shape, bool)
    mask[1, 1, 2:18] = True
    (row,) = pet_quantities(suv, mask, grid).lesions
    assert row.suv_max == 9.0
    assert row.suv_peak == pytest.approx(24 / 7)
    assert row.suv_peak_at_max == pytest.approx(14 / 7)


def test_the_sphere_holds_a_millilitre_and_stops_at_the_image() -> None:
    assert 4 / 3 * np.pi * PEAK_RADIUS_MM**3 == pytest.approx(1000)
    grid = Grid.from_spacing((9, 9, 9), (5.0, 5.0, 5.0))
    image = np.ones(grid.shape)
    image[0, 0, 0] = 5.0
    # At the corner four of the seven voxels of the sphere exist.
    assert sphere_means(image, np.array([[0, 0, 0], [4, 4, 4]]), grid).tolist() == [2.0, 1.0]
    image[0, 0, 1] = np.nan
    assert sphere_means(image, np.array([[0, 0, 0]]), grid)[0] == pytest.approx(7 / 3)


@given(st.one_of(MASKS, SPARSE), _grids(), st.sampled_from([None, 0, 1, 2]), st.sampled_from([None, 0, 1, 2]))
def test_dmax_equals_brute_force(mask: np.ndarray, grid: Grid, flat: int | None, thin: int | None) -> None:
    mask = mask.copy()
    for axis in (flat, thin):  # one plane or one line of it alone, where the hull has no volume
        if axis is not None:
            index: list[slice | int] = [slice(None)] * 3
            index[axis] = slice(1, None)
            mask[tuple(index)] = False
    places = grid.to_mm(np.argwhere(mask))
    expected = max((float(np.linalg.norm(a - b)) for a, b in itertools.combinations(places, 2)), default=0.0)
    assert largest_distance_mm(mask, grid) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("steps", [(1, 1, 0), (1, 1, 1), (0, 1, 2)])
def test_dmax_of_an_oblique_plane_and_line(steps: tuple[int, int, int]) -> None:
    grid = Grid.from_spacing((8, 8, 16), (2.0, 1.5, 1.0))
    mask = np.zeros(grid.shape, bool)
    for i in range(7):
        mask[tuple(i * s for s in steps)] = True
    expected = 6 * float(np.linalg.norm(np.array(steps) * grid.spacing_mm))
    assert largest_distance_mm(mask, grid) == pytest.approx(expected)
    mask |= np.roll(mask, 3, axis=2) if steps[2] != 2 else np.roll(mask, 1, axis=0)
    places = grid.to_mm(np.argwhere(mask))
    expected = max(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(places, 2))
    assert largest_distance_mm(mask, grid) == pytest.approx(expected)


def test_what_cannot_be_measured_is_said() -> None:
    grid = Grid.from_spacing(SHAPE, (1, 1, 1))
    suv = _image(0)
    mask = np.ones(SHAPE, bool)
    with pytest.raises(InputError, match="shape"):
        pet_quantities(suv, mask[1:], grid)
    suv[2, 2, 2] = np.nan
    with pytest.raises(InputError, match="no number in 1 of the 210 voxels"):
        pet_quantities(suv, mask, grid)
    mask[2, 2, 2] = False
    assert np.isfinite(pet_quantities(suv, mask, grid).patient.suv_peak)
    with pytest.raises(InputError, match="empty"):
        ibsi_features(suv, np.zeros(SHAPE, bool), grid)
