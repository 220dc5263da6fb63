"""Real DICOM against the same data in other formats."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.dicom import read_series
from napari_tumorseg.io.dicom_seg import read_seg, write_seg
from napari_tumorseg.io.rtstruct import read_rtstruct

Find = Callable[[str], Path]


def one(path: Path) -> Volume:
    (volume,) = read_series(path)
    return volume


def nifti_on(path: Path, grid: Grid) -> tuple[np.ndarray, Grid]:
    """Return the voxels of a NIfTI file, turned to the axes of `grid`, and their own grid."""
    image = nib.load(path)  # type: ignore[attr-defined]
    data = np.asarray(image.dataobj).transpose(2, 1, 0)  # type: ignore[attr-defined]
    own = Grid(data.shape, image.affine[:, [2, 1, 0, 3]])  # type: ignore[attr-defined]
    turned, move = own.reorient(grid.orientation)
    return move.apply(data), turned


@pytest.mark.parametrize(("folder", "modality", "unit"), [("CT", "CT", "HU"), ("PET", "PET", "SUV"), ("MR_T1", "T1", "")])
def test_sarcoma_series_and_contours_equal_the_nifti_release(real_data: Find, folder: str, modality: str, unit: str) -> None:
    volume = one(real_data(f"dicom/sts_002/{folder}/image"))
    assert (volume.modality, volume.unit, volume.warnings) == (modality, unit, ())
    released, grid = nifti_on(real_data(f"petct_sarcoma/STS_002/full/{folder}_image.nii.gz"), volume.grid)
    assert volume.grid.matches(grid, tolerance_mm=1e-3)
    np.testing.assert_allclose(volume.data, released, atol=1e-5)
    mask = read_rtstruct(real_data(f"dicom/sts_002/{folder}/mask/RS.dcm"), volume)
    outlined, _ = nifti_on(real_data(f"petct_sarcoma/STS_002/full/{folder}_mask.nii.gz"), volume.grid)
    np.testing.assert_array_equal(mask.labels > 0, outlined > 0)  # Dice 1: both fill at voxel centres


def test_whole_study_in_one_folder(real_data: Find) -> None:
    volumes = read_series(real_data("dicom/sts_002"))
    assert [v.modality for v in volumes] == ["CT", "PET", "T1"]
    assert not any("STS_002" in v.name for v in volumes)  # the patient's id, which its description holds


@pytest.mark.parametrize("folder", ["CT", "PET", "MR_T1"])
@pytest.mark.parametrize("kind", ["binary", "labelmap", "fractional"])
def test_segmentation_of_a_real_series(real_data: Find, tmp_path: Path, folder: str, kind: str) -> None:
    volume = one(real_data(f"dicom/sts_002/{folder}/image"))
    outline = read_rtstruct(real_data(f"dicom/sts_002/{folder}/mask/RS.dcm"), volume, schema=preset("lesion"))
    mask = MaskVersion(outline.labels, volume.grid, preset("lesion"), MaskKind.AI, "model 1")
    path = write_seg(tmp_path / "seg.dcm", mask, volume, kind=kind)  # type: ignore[arg-type]
    np.testing.assert_array_equal(read_seg(path, volume).labels, mask.labels)
    if kind == "labelmap":
        return  # the validator of 2022 does not know the object of 2024
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    assert volume.source is not None
    assert errors(path) - errors(volume.source.paths[0]) == set()


def errors(path: Path) -> set[str]:
    result = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False, timeout=60)
    return {line.strip() for line in (result.stdout + result.stderr).splitlines() if line.startswith("Error")}


def nrrd(path: Path) -> np.ndarray:
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


def test_dcmqi_liver_equals_its_nrrd(real_data: Find) -> None:
    folder = real_data("dicom/seg_dcmqi")
    expected = nrrd(folder / "liver_seg.nrrd")
    reference = one(folder / "ct-3slice")
    for mask in (read_seg(folder / "liver.dcm", reference), read_seg(folder / "liver.dcm")):
        np.testing.assert_array_equal(mask.labels, expected)
        assert [label.name for label in mask.schema.labels] == ["Liver"]
        assert mask.schema.labels[0].colour == "#DD8265"


def test_dcmqi_overlaps_equal_their_nrrds(real_data: Find) -> None:
    folder = real_data("dicom/seg_dcmqi")
    path, reference = folder / "partial_overlaps.dcm", one(folder / "ct-3slice")
    maps = [nrrd(folder / f"partial_overlaps-{index}.nrrd") for index in (1, 2, 3)]
    with pytest.raises(InputError, match="GREEN and ORANGE"):
        read_seg(path, reference)
    segments = {value: np.any([part == value for part in maps], axis=0) for value in range(1, 6)}
    for rule, order in (("first", range(5, 0, -1)), ("last", range(1, 6))):
        expected = np.zeros(maps[0].shape, np.uint8)
        for value in order:
            expected[segments[value]] = value
        np.testing.assert_array_equal(read_seg(path, reference, on_overlap=rule).labels, expected)  # type: ignore[arg-type]
    described = {
        s["labelID"]: s["SegmentLabel"] if "SegmentLabel" in s else s["SegmentDescription"]
        for group in json.loads((folder / "json_examples" / "seg-example_partial_overlaps.json").read_text())["segmentAttributes"]
        for s in group
    }
    assert len(described) == 5


@pytest.mark.parametrize("name", ["noppv", "ppv5"])
def test_dcmqi_sparse_labelmap_equals_its_nrrd(real_data: Find, name: str) -> None:
    folder = real_data("dicom/seg_dcmqi")
    stored = nrrd(folder / f"sparse_labelmap_{name}_seg.nrrd")
    expected = np.where(stored == 5, 0, stored)  # dcmqi fills slices without a frame with the padding value
    for reference in (one(folder / "24x38x3" / "image"), one(folder / "24x38x3" / "multiframe"), None):
        np.testing.assert_array_equal(read_seg(folder / f"sparse-labelmap-{name}.dcm", reference).labels, expected)


@pytest.mark.parametrize("size", ["23x38x3", "24x38x3"])
def test_multiframe_equals_its_single_slices(real_data: Find, size: str) -> None:
    folder = real_data("dicom/seg_dcmqi")
    single, multi = one(folder / size / "image"), one(folder / size / "multiframe")
    np.testing.assert_array_equal(single.data, multi.data)
    assert single.grid.matches(multi.grid)


@pytest.mark.parametrize("name", ["ct_binary", "ct_binary_fractional", "ct_true_fractional", "ct_binary_overlap", "ct_binary_single_frame"])
def test_highdicom_samples_read_as_highdicom_reads_them(real_data: Find, name: str) -> None:
    import highdicom

    path = real_data(f"dicom/seg_highdicom/seg_image_{name}.dcm")
    seg = highdicom.seg.segread(path)
    fractional = seg.segmentation_type.value == "FRACTIONAL"
    volume = seg.get_volume(rescale_fractional=True) if fractional else seg.get_volume()
    inside = np.asarray(volume.array) >= 0.5
    mask = read_seg(path, on_overlap="first")
    # highdicom's planes may run the other way; positions decide.
    first = np.asarray(volume.affine)[:3, 3] * (-1, -1, 1)
    low = np.round(mask.grid.to_index(first)).astype(int)
    order = inside if low[0] == 0 else inside[::-1]
    expected = np.zeros(mask.labels.shape, np.uint8)
    for segment in range(order.shape[-1], 0, -1):
        expected[order[..., segment - 1]] = segment
    np.testing.assert_array_equal(mask.labels, expected)


def test_highdicom_single_frame_on_its_image(real_data: Find) -> None:
    folder = real_data("dicom/seg_highdicom")
    volume = one(folder / "ct_image.dcm")
    assert read_seg(folder / "seg_image_ct_binary_single_frame.dcm", volume).labels.any()
    with pytest.raises(GeometryError):
        read_seg(folder / "seg_image_ct_binary.dcm", volume)


@pytest.mark.parametrize("name", ["sm_control", "sm_control_labelmap", "sm_dots", "sm_dots_tiled_full", "sm_numbers"])
def test_slide_segmentations_are_refused_with_a_word(real_data: Find, name: str) -> None:
    with pytest.raises(InputError, match="microscopy slide"):
        read_seg(real_data(f"dicom/seg_highdicom/seg_image_{name}.dcm"))


def test_segmentation_of_a_radiograph_is_refused_with_a_word(real_data: Find) -> None:
    with pytest.raises(InputError, match="no position"):
        read_seg(real_data("dicom/seg_highdicom/seg_image_cr_binary.dcm"))


def test_folder_of_many_kinds(real_data: Find) -> None:
    volumes = read_series(real_data("dicom/seg_highdicom"))
    assert [v.shape for v in volumes] == [(1, 128, 128)]
    assert any("dx_image.dcm lacks ImagePositionPatient" in text for text in volumes[0].warnings)
