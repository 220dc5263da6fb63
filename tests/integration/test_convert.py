"""`tumorseg convert` between every format that is read or written, through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_tumorseg.cli import main
from napari_tumorseg.io.registry import read_mask

IMAGES = (".nii", ".nii.gz", ".nrrd", ".mha", ".tif")
MASKS = (".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".tif")


def convert(source: Path, target: Path, *options: str) -> int:
    return main(["convert", str(source), str(target), *options])


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """An anisotropic mask with labels 1, 2 and 3 whose axes run to L, P and S."""
    labels = np.zeros((12, 14, 9), np.uint8)
    labels[2:9, 3:11, 2:7] = 2
    labels[4:7, 5:9, 3:6] = 3
    labels[5, 6:8, 4] = 1
    affine = np.diag((-0.8, -0.8, 3.0, 1.0))
    affine[:3, 3] = (40, 55, -20)
    path = tmp_path / "source.nii.gz"
    nib.Nifti1Image(labels, affine).to_filename(path)
    return path


@pytest.mark.parametrize("middle", IMAGES)
@pytest.mark.parametrize("end", IMAGES)
def test_images_keep_values_and_place(mask: Path, tmp_path: Path, middle: str, end: str) -> None:
    spacing = ("--spacing", "3,0.8,0.8") if ".tif" in (middle, end) else ()
    assert convert(mask, tmp_path / f"a{middle}", *spacing) == 0
    assert convert(tmp_path / f"a{middle}", tmp_path / f"b{end}", *spacing) == 0
    assert convert(tmp_path / f"b{end}", tmp_path / "c.nii.gz", *spacing) == 0
    first, last = nib.load(mask), nib.load(tmp_path / "c.nii.gz")
    values = np.asanyarray(last.dataobj)
    if ".tif" in (middle, end):
        # TIFF knows the voxel size alone; position and direction are lost, the order of voxels is not.
        assert np.array_equal(np.sort(values.ravel()), np.sort(np.asanyarray(first.dataobj).ravel()))
        assert np.allclose(sorted(last.header.get_zooms()), sorted(first.header.get_zooms()), atol=1e-4)
    else:
        assert np.array_equal(values, np.asanyarray(first.dataobj))
        assert np.allclose(last.affine, first.affine, atol=1e-5)


@pytest.mark.parametrize("middle", MASKS)
@pytest.mark.parametrize("end", MASKS)
def test_masks_come_back_to_their_image(mask: Path, tmp_path: Path, middle: str, end: str) -> None:
    reference = ("--reference", str(mask), "--schema", "brats-mets-2025")
    assert convert(mask, tmp_path / f"a{middle}", *reference) == 0
    assert convert(tmp_path / f"a{middle}", tmp_path / f"b{end}", *reference) == 0
    assert convert(tmp_path / f"b{end}", tmp_path / "c.nii.gz", *reference) == 0
    first, last = nib.load(mask), nib.load(tmp_path / "c.nii.gz")
    assert np.array_equal(np.asanyarray(last.dataobj), np.asanyarray(first.dataobj))
    assert np.array_equal(last.affine, first.affine)


def test_itk_sees_the_same_voxels_at_the_same_place(mask: Path, tmp_path: Path) -> None:
    assert convert(mask, tmp_path / "a.nrrd") == 0
    one, other = sitk.ReadImage(str(mask)), sitk.ReadImage(str(tmp_path / "a.nrrd"))
    assert np.array_equal(sitk.GetArrayFromImage(one), sitk.GetArrayFromImage(other))
    assert np.allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-5)
    assert np.allclose(one.GetDirection(), other.GetDirection(), atol=1e-6)


def test_an_existing_target_is_kept_unless_replaced(mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "a.nrrd"
    target.write_bytes(b"mine")
    assert convert(mask, target) == 2
    assert "exists" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert convert(mask, target, "--replace") == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--schema", "nonsense"), "no label schema 'nonsense'"),
        (("--schema", "lesion"), "which lesion does not have"),
        (("--spacing", "1,2"), "is not three numbers"),
        (("--reference", "nowhere"), "nowhere does not exist"),
    ],
)
def test_a_wrong_choice_is_one_line(
    mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert convert(mask, tmp_path / "a.nii.gz", *options) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "a.nii.gz").exists()


def test_real_dicom_contours_become_a_dicom_seg_and_come_back(
    real_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = real_data("dicom/sts_002")
    contours = study / "CT" / "mask" / "RS.dcm"
    assert convert(contours, tmp_path / "direct.nii.gz", "--reference", str(study / "CT" / "image")) == 0
    # The whole study as reference: the series is found by what the contours name.
    assert convert(contours, tmp_path / "seg.dcm", "--reference", str(study)) == 0
    assert convert(tmp_path / "seg.dcm", tmp_path / "back.nii.gz", "--reference", str(study)) == 0
    direct, back = (nib.load(tmp_path / f"{name}.nii.gz") for name in ("direct", "back"))
    assert np.array_equal(np.asanyarray(direct.dataobj), np.asanyarray(back.dataobj))
    assert np.allclose(direct.affine, back.affine)
    truth = nib.load(real_data("petct_sarcoma/STS_002/full/CT_mask.nii.gz"))
    assert int(np.asanyarray(direct.dataobj).astype(bool).sum()) == int(np.asanyarray(truth.dataobj).astype(bool).sum())
    capsys.readouterr()


def test_overlapping_segments_are_asked_about(real_data: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = real_data("dicom/seg_dcmqi") / "partial_overlaps.dcm"
    assert convert(source, tmp_path / "a.nii.gz") == 2
    assert "overlap" in capsys.readouterr().err
    for winner in ("first", "last"):
        assert convert(source, tmp_path / f"{winner}.nii.gz", "--on-overlap", winner) == 0
    first, last = (read_mask(tmp_path / f"{name}.nii.gz").labels for name in ("first", "last"))
    assert (first != last).any()
    assert ((first > 0) == (last > 0)).all()


def test_the_result_is_described_as_json(mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(mask, tmp_path / "a.seg.nrrd", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kind"], document["format"]) == ("mask", "nrrd")
    assert document["shape"] == [9, 14, 12]
    assert document["spacing_mm"] == [3.0, 0.8, 0.8]
