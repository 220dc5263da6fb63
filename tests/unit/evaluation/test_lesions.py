from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.evaluation.lesions import find_lesions, region_volumes_ml

METS = preset("brats-mets-2025")


@given(arrays(np.uint8, (5, 6, 7), elements=st.sampled_from([0, 0, 0, 0, 1, 2, 3])), st.sampled_from(["WT", "TC", "ET"]))
def test_lesions_equal_scipy_components(labels: np.ndarray, region: str) -> None:
    grid = Grid.from_spacing(labels.shape, (3.0, 0.5, 0.7), "IPL")
    inside = np.isin(labels, METS.region(region).values)
    parts, count = ndimage.label(inside, np.ones((3, 3, 3)))
    found = find_lesions(labels, grid, METS, region)
    assert len(found) == count
    assert [lesion.id for lesion in found] == list(range(1, count + 1))
    sizes = sorted(np.bincount(parts.ravel())[1:].tolist(), reverse=True)
    assert [lesion.voxels for lesion in found] == sizes
    for lesion in found:
        box = tuple(slice(a, b) for a, b in zip(lesion.box_start, lesion.box_stop, strict=True))
        values, own = np.unique(parts[box][inside[box]], return_counts=True)
        part = next(v for v, n in zip(values, own, strict=True) if n == lesion.voxels and _box_of(parts == v) == box)
        where = parts == part
        centre = grid.to_mm(np.array(ndimage.center_of_mass(where)))[[0, 1, 2]]
        candidates = [grid.to_mm(np.array(ndimage.center_of_mass(parts == v))) for v in values if _box_of(parts == v) == box]
        assert min(np.abs(np.array(lesion.centroid_mm) - c).max() for c in [centre, *candidates]) < 1e-9
        assert lesion.volume_mm3 == pytest.approx(lesion.voxels * 3.0 * 0.5 * 0.7)
        assert sum(lesion.labels_mm3.values()) == pytest.approx(lesion.volume_mm3)


def _box_of(where: np.ndarray) -> tuple[slice, ...]:
    return ndimage.find_objects(where.astype(np.uint8))[0]


def test_label_make_up_counts_own_voxels_only() -> None:
    labels = np.zeros((4, 8, 8), np.uint8)
    labels[1, 1:3, 1:3] = 3
    labels[1, 1, 1] = 1
    labels[2, 6, 6] = 2  # another lesion
    first, second = find_lesions(labels, Grid.from_spacing(labels.shape, (1, 1, 1)), METS)
    assert first.labels_mm3 == {"NETC": 1.0, "ET": 3.0}
    assert second.labels_mm3 == {"SNFH": 1.0}
    assert (second.box_start, second.box_stop) == ((2, 6, 6), (3, 7, 7))


def test_an_empty_mask_has_no_lesions() -> None:
    labels = np.zeros((3, 3, 3), np.uint8)
    assert find_lesions(labels, Grid.from_spacing(labels.shape, (1, 1, 1)), METS) == ()


def test_an_unknown_region_is_named() -> None:
    labels = np.ones((3, 3, 3), np.uint8)
    with pytest.raises(InputError, match=r"no region 'XX'. It has WT, TC, ET, RC"):
        find_lesions(labels, Grid.from_spacing(labels.shape, (1, 1, 1)), METS, "XX")


@given(arrays(np.uint8, (4, 4, 4), elements=st.integers(0, 4)))
def test_region_volumes_are_voxel_counts_times_volume(labels: np.ndarray) -> None:
    volumes = region_volumes_ml(labels, Grid.from_spacing(labels.shape, (2.0, 1.5, 1.0)), METS)
    for region in METS.regions:
        assert volumes[region.name] == pytest.approx(np.isin(labels, region.values).sum() * 3.0 / 1000)
