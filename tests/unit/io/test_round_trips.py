"""A mask that is written and read again is the same mask in the same place, for every way a grid can lie."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Source, Volume
from napari_tumorseg.io import itk_formats, nifti, registry

ORIENTATIONS = [
    "".join(pair[sign] for pair, sign in zip(order, signs, strict=True))
    for order in itertools.permutations(("LR", "PA", "IS"))
    for signs in itertools.product((0, 1), repeat=3)
]
LPS = np.array([-1.0, -1.0, 1.0])
# Every example writes the same file names, so one folder serves them all.
QUICK = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


def rotation(angles_deg: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    total = np.eye(4)
    for axis, angle in enumerate(np.radians(angles_deg)):
        i, j = [a for a in range(3) if a != axis]
        turn = np.eye(4)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        total = total @ turn
    return total


def make_grid(
    orientation: str, shape: tuple[int, int, int], spacing: tuple[float, ...], angles: tuple[float, float, float], origin: tuple[float, ...]
) -> Grid:
    affine = rotation(angles) @ Grid.from_spacing(shape, spacing, orientation).affine
    affine[:3, 3] = origin
    return Grid(shape, affine)


sizes = st.tuples(*[st.integers(1, 6)] * 3)
spacings = st.tuples(*[st.sampled_from([0.3, 0.9375, 1.0, 2.5, 5.5])] * 3)
angles = st.tuples(*[st.floats(-25, 25)] * 3)
origins = st.tuples(*[st.floats(-200, 200)] * 3)


def mask_on(grid: Grid, seed: int, highest: int = 4) -> MaskVersion:
    labels = np.random.default_rng(seed).integers(0, highest + 1, grid.shape).astype(np.uint8)
    return MaskVersion(labels, grid, preset("brats-mets-2025"), MaskKind.RATER)


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@settings(max_examples=4, **QUICK)
@given(shape=sizes, spacing=spacings, angles=angles, origin=origins, seed=st.integers(0, 99))
def test_masks_come_back_and_lie_where_other_libraries_see_them(
    orientation: str,
    tmp_path: Path,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float],
    origin: tuple[float, float, float],
    seed: int,
) -> None:
    grid = make_grid(orientation, shape, spacing, angles, origin)
    mask = mask_on(grid, seed)
    corner = np.array(shape) - 1

    nifti.write_mask(tmp_path / "m.nii.gz", mask)
    back = nifti.read_mask(tmp_path / "m.nii.gz")
    image = nibabel.load(tmp_path / "m.nii.gz")
    assert np.array_equal(back.labels, mask.labels)
    assert back.grid.matches(grid)
    assert back.grid.orientation == grid.orientation
    assert np.array_equal(np.asarray(image.dataobj), mask.labels.T)
    assert image.get_data_dtype() == np.uint8
    assert np.allclose(image.affine @ [*corner[::-1], 1], [*grid.to_mm(corner), 1], atol=1e-3)
    assert np.allclose(image.get_qform(), image.get_sform(), atol=1e-3)

    for name in ("m.seg.nrrd", "m.mha"):
        itk_formats.write_mask(tmp_path / name, mask)
        again = itk_formats.read_mask(tmp_path / name)
        picture = SimpleITK.ReadImage(str(tmp_path / name))
        assert np.array_equal(again.labels, mask.labels)
        assert again.grid.matches(grid, tolerance_mm=1e-9 if name == "m.seg.nrrd" else 1e-6)
        assert np.array_equal(SimpleITK.GetArrayFromImage(picture), mask.labels)
        seen = np.array(picture.TransformContinuousIndexToPhysicalPoint([float(v) for v in corner[::-1]]))
        assert np.allclose(seen * LPS, grid.to_mm(corner), atol=1e-6)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@settings(max_examples=3, **QUICK)
@given(
    shape=sizes,
    spacing=spacings,
    angles=angles,
    origin=origins,
    codes=st.sampled_from([(1, 1), (2, 1), (4, 0), (0, 1), (0, 0), (1, 2)]),
    moved=st.booleans(),
    unit=st.sampled_from(["mm", "unknown", "micron", "meter"]),
    second=st.booleans(),
)
def test_a_mask_for_a_nifti_image_states_its_position_in_the_same_bytes(
    orientation: str,
    tmp_path: Path,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float],
    origin: tuple[float, float, float],
    codes: tuple[int, int],
    moved: bool,
    unit: str,
    second: bool,
) -> None:
    affine = make_grid(orientation, shape, spacing, angles, origin).affine[:, [2, 1, 0, 3]]
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    image = kind(np.zeros(shape[::-1], np.int16), affine)
    image.set_sform(affine, codes[0])
    other = affine.copy()
    other[0, 3] += 30 if moved else 0
    image.set_qform(other, codes[1])
    image.header.set_xyzt_units(unit, "sec")
    nibabel.save(image, tmp_path / "image.nii.gz")

    volume = nifti.read(tmp_path / "image.nii.gz")
    mask = mask_on(volume.grid, 1)
    nifti.write_mask(tmp_path / "mask.nii.gz", mask, volume)

    first, wrote = nibabel.load(tmp_path / "image.nii.gz"), nibabel.load(tmp_path / "mask.nii.gz")
    assert type(first) is type(wrote)
    for field in (
        *("sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units"),
        *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    ):
        assert first.header[field].tobytes() == wrote.header[field].tobytes(), field
    assert first.header["pixdim"][:4].tobytes() == wrote.header["pixdim"][:4].tobytes()
    assert first.shape == wrote.shape
    assert np.array_equal(first.affine, wrote.affine)
    assert nifti.read_mask(tmp_path / "mask.nii.gz").grid == volume.grid


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd"])
@settings(max_examples=10, **QUICK)
@given(orientation=st.sampled_from(ORIENTATIONS), shape=sizes, spacing=spacings, angles=angles, origin=origins)
def test_a_mask_for_an_image_of_another_format_lies_on_its_grid(
    suffix: str,
    tmp_path: Path,
    orientation: str,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float],
    origin: tuple[float, float, float],
) -> None:
    grid = make_grid(orientation, shape, spacing, angles, origin)
    volume = Volume(np.zeros(shape, np.int16), grid, name="CT", source=Source("dicom", (Path("1.dcm"),), {"series_uid": "1.2"}))
    mask = mask_on(grid, 3)
    path = registry.write_mask(tmp_path / f"mask{suffix}", mask, reference=volume)
    back = registry.read_mask(path, reference=volume)
    assert np.array_equal(back.labels, mask.labels)
    assert back.grid == grid
    assert registry.read_mask(path).grid.matches(grid)


@settings(max_examples=25, **QUICK)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    shape=sizes,
    spacing=spacings,
    angles=angles,
    origin=origins,
    dtype=st.sampled_from([np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64]),
)
def test_images_come_back(
    tmp_path: Path,
    orientation: str,
    shape: tuple[int, int, int],
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float],
    origin: tuple[float, float, float],
    dtype: type[np.generic],
) -> None:
    data = (np.random.default_rng(0).random(shape) * 100).astype(dtype)
    volume = Volume(data, make_grid(orientation, shape, spacing, angles, origin))
    for suffix in (".nii.gz", ".nrrd", ".mha", ".tif"):
        back = registry.read_image(registry.write_image(tmp_path / f"image{suffix}", volume))
        assert np.array_equal(back.data, data)
        assert back.data.dtype == dtype
        if suffix == ".tif":
            assert back.grid.spacing_mm == pytest.approx(volume.grid.spacing_mm)
        else:
            assert back.grid.matches(volume.grid)


def test_a_sheared_grid_keeps_its_sform_and_states_no_quaternion(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 2] = 0.3
    mask = mask_on(Grid((3, 4, 5), affine), 0)
    nifti.write_mask(tmp_path / "m.nii.gz", mask)
    header = nibabel.load(tmp_path / "m.nii.gz").header
    assert int(header["qform_code"]) == 0
    assert nifti.read_mask(tmp_path / "m.nii.gz").grid.matches(mask.grid)
    itk_formats.write_mask(tmp_path / "m.nrrd", mask)
    assert itk_formats.read_mask(tmp_path / "m.nrrd").grid.matches(mask.grid)
