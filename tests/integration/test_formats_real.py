"""Real scans and masks through every format, checked against nibabel and SimpleITK."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import registry
from napari_tumorseg.io.cases import read_case

Data = Callable[[str], Path]

BRATS = "brain_mri/brats2018/Brats18_2013_11_1"
GEOMETRY = (
    *("sform_code", "srow_x", "srow_y", "srow_z", "xyzt_units"),
    *("qform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
)


def same_header(one: Path, other: Path) -> None:
    first, second = nibabel.load(one), nibabel.load(other)
    for field in GEOMETRY:
        assert first.header[field].tobytes() == second.header[field].tobytes(), field
    assert first.header["pixdim"][:4].tobytes() == second.header["pixdim"][:4].tobytes()
    assert first.shape == second.shape


@pytest.mark.parametrize("case", [BRATS, "brain_mri/brats2018/Brats18_TCIA02_135_1"])
def test_a_brats_case_of_2018(real_data: Data, case: str) -> None:
    folder = real_data(case)
    opened = read_case(folder)
    assert opened.name == folder.name
    assert sorted(opened.latest.volumes) == ["FLAIR", "T1", "T1c", "T2"]
    for modality, name in (("FLAIR", "flair"), ("T1", "t1"), ("T1c", "t1ce"), ("T2", "t2")):
        volume, oracle = opened.latest.volumes[modality], nibabel.load(folder / f"{name}.nii.gz")
        assert np.array_equal(volume.data, np.asarray(oracle.dataobj).T)
        assert np.allclose(volume.grid.affine[:, [2, 1, 0, 3]], oracle.affine)
        assert volume.warnings == ()
    (seg,) = opened.latest.masks["seg"]
    assert seg.schema.name == "brats-2018"
    assert seg.kind is MaskKind.REFERENCE
    assert np.array_equal(seg.labels, np.asarray(nibabel.load(folder / "seg.nii.gz").dataobj).T)
    assert set(np.unique(seg.labels)) <= {0, 1, 2, 4}


def test_the_metastasis_case_has_the_names_of_2023(real_data: Data) -> None:
    opened = read_case(real_data("brain_mri/brats_met_00110"))
    assert sorted(opened.latest.volumes) == ["FLAIR", "T1", "T1c", "T2"]
    assert not opened.latest.masks


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".seg.nrrd", ".nhdr", ".mha", ".tif"])
def test_a_real_mask_survives_every_format(real_data: Data, tmp_path: Path, suffix: str) -> None:
    folder = real_data(BRATS)
    image = registry.read_image(folder / "t1ce.nii.gz")
    mask = registry.read_mask(folder / "seg.nii.gz", reference=image)
    path = registry.write_mask(tmp_path / f"seg{suffix}", mask, reference=image)
    back = registry.read_mask(path, reference=image)
    assert np.array_equal(back.labels, mask.labels)
    assert back.grid == image.grid
    assert back.schema == mask.schema
    if ".nii" in suffix:
        same_header(folder / "t1ce.nii.gz", path)
    elif suffix != ".tif":
        oracle = SimpleITK.ReadImage(str(folder / "t1ce.nii.gz"))
        wrote = SimpleITK.ReadImage(str(path))
        index = (17, 120, 33)
        assert np.allclose(oracle.TransformIndexToPhysicalPoint(index), wrote.TransformIndexToPhysicalPoint(index), atol=1e-3)
        assert np.array_equal(SimpleITK.GetArrayFromImage(wrote), mask.labels)


@pytest.mark.parametrize("name", ["t1", "t1ce", "t2", "flair"])
def test_native_oblique_scans_lend_their_position_to_masks(real_data: Data, tmp_path: Path, name: str) -> None:
    path = real_data(f"brain_mri/tcga_fg_6692_native/{name}.nii.gz")
    volume = registry.read_image(path)
    oracle = nibabel.load(path)
    assert np.array_equal(volume.data, np.asarray(oracle.dataobj).T)
    assert volume.grid.spacing_mm == pytest.approx(oracle.header.get_zooms()[::-1], rel=1e-5)
    values = np.asarray(volume.data > np.percentile(volume.data, 90)).astype(np.uint8)
    mask = MaskVersion(values, volume.grid, preset("lesion"), MaskKind.RATER)
    out = registry.write_mask(tmp_path / "seg.nii.gz", mask, reference=volume)
    same_header(path, out)
    assert np.array_equal(np.asarray(nibabel.load(out).dataobj).T, values)
    nrrd = registry.write_mask(tmp_path / "seg.seg.nrrd", mask, reference=volume)
    itk, seen = SimpleITK.ReadImage(str(nrrd)), volume.grid.to_mm((3, 100, 50))
    assert np.allclose(itk.TransformIndexToPhysicalPoint((50, 100, 3)), seen * (-1, -1, 1), atol=1e-6)


def test_published_segmentations_in_another_space_are_no_masks_of_the_scan(real_data: Data) -> None:
    scan = registry.read_image(real_data("brain_mri/tcga_fg_6692_native/t1.nii.gz"))
    path = real_data("brain_mri/tcga_fg_6692_native/seg_brats_space/fusion_mav.nii.gz")
    with pytest.raises(InputError) as caught:
        registry.read_mask(path, reference=scan)
    assert "fusion_mav.nii.gz has 240x240x155 voxels, but t1 has 256x224x26." in str(caught.value)


def test_the_nrrd_masks_of_dcmqi(real_data: Data, tmp_path: Path) -> None:
    folder = real_data("dicom/seg_dcmqi")
    files = [*sorted(folder.glob("*.nrrd")), *sorted(folder.glob("*/nrrd/*.nrrd"))]
    assert len(files) >= 12
    for path in files:
        mask = registry.read_mask(path)
        oracle = SimpleITK.ReadImage(str(path))
        assert np.array_equal(mask.labels, SimpleITK.GetArrayFromImage(oracle))
        corner = tuple(n - 1 for n in oracle.GetSize())
        assert np.allclose(mask.grid.to_mm(corner[::-1]), np.array(oracle.TransformIndexToPhysicalPoint(corner)) * (-1, -1, 1))
        for suffix in (".seg.nrrd", ".nii.gz", ".mha"):
            back = registry.read_mask(registry.write_mask(tmp_path / f"m{suffix}", mask))
            assert np.array_equal(back.labels, mask.labels)
            assert back.grid.matches(mask.grid)


def test_images_and_labels_of_pyradiomics(real_data: Data) -> None:
    folder = real_data("radiomics/pyradiomics")
    for name in ("brain1", "brain2", "breast1"):
        image = registry.read_image(folder / f"{name}_image.nrrd")
        oracle = SimpleITK.ReadImage(str(folder / f"{name}_image.nrrd"))
        assert np.array_equal(image.data, SimpleITK.GetArrayFromImage(oracle))
        label = registry.read_mask(folder / f"{name}_label.nrrd", reference=image)
        assert label.grid == image.grid
        assert label.schema.name == "lesion"
        with pytest.raises(InputError):
            registry.read_mask(folder / f"{name}_image.nrrd", reference=image, schema=label.schema)


def test_masks_find_the_image_on_whose_grid_they_lie(real_data: Data) -> None:
    case = read_case(real_data("petct_sarcoma/STS_002/full"))
    assert {"CT", "PET", "T1"} == set(case.latest.volumes)
    assert len(case.latest.masks) == 3
    for name, versions in case.latest.masks.items():
        modality = name.split("_")[0].replace("MR", "T1")
        assert versions[0].grid == case.latest.volumes[modality].grid


def test_a_dicom_study_with_its_structure_sets(real_data: Data) -> None:
    case = read_case(real_data("dicom/sts_002"))
    (visit,) = case.timepoints
    assert isinstance(visit.date, dt.date)
    assert set(visit.volumes) == {"CT", "PET", "T1"}
    assert len(visit.masks) == 3
    for versions in visit.masks.values():
        assert versions[0].labels.any()


def test_a_series_is_chosen_by_hand_by_its_folder_or_name(real_data: Data) -> None:
    folder = real_data("dicom/sts_002")
    name = next(v.name for v in registry.read_images(folder / "MR_T1"))
    by_name = read_case(folder, modalities={"T1c": name})
    assert set(by_name.latest.volumes) == {"CT", "PET", "T1c"}
    case = read_case(folder, modalities={"T1c": "MR_T1"})
    assert set(case.latest.volumes) == {"CT", "PET", "T1c"}


def test_a_dicom_segmentation_goes_to_nifti_and_back_to_dicom(real_data: Data, tmp_path: Path) -> None:
    folder = real_data("dicom/seg_dcmqi")
    series = registry.read_image(folder / "ct-3slice")
    mask = registry.read_mask(folder / "liver.dcm", reference=series)
    assert mask.grid == series.grid
    assert np.array_equal(mask.labels > 0, SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "liver_seg.nrrd"))) > 0)
    nifti = registry.read_mask(registry.write_mask(tmp_path / "liver.nii.gz", mask, reference=series), reference=series)
    assert np.array_equal(nifti.labels, mask.labels)
    back = registry.read_mask(registry.write_mask(tmp_path / "liver.dcm", nifti, reference=series), reference=series)
    assert np.array_equal(back.labels > 0, mask.labels > 0)
    assert registry.referenced_series(tmp_path / "liver.dcm") == (series.source.header["series_uid"],)  # type: ignore[union-attr]


def test_a_folder_of_cases_is_not_a_case(real_data: Data) -> None:
    with pytest.raises(InputError, match=r"brats2018 holds no image itself, but \d+ folders that do: Brats18_2013_11_1"):
        read_case(real_data("brain_mri/brats2018"))


def test_complex_images_are_kept(real_data: Data, tmp_path: Path) -> None:
    path = real_data("kspace/sigpy/niivue_complex.nii.gz")
    volume = registry.read_image(path)
    assert volume.data.dtype == np.complex64
    assert np.array_equal(volume.data, np.asarray(nibabel.load(path).dataobj).T)
    for suffix in (".nii.gz", ".nrrd", ".tif"):
        back = registry.read_image(registry.write_image(tmp_path / f"k{suffix}", volume))
        assert np.array_equal(back.data, volume.data)


def test_every_nifti_file_reads_as_nibabel_reads_it(real_data: Data) -> None:
    files = [p for folder in ("petct_sarcoma", "raters/kits23", "metrics", "ct") for p in sorted(real_data(folder).rglob("*.nii.gz"))]
    assert len(files) > 50
    for path in files:
        volume, oracle = registry.read_image(path), nibabel.load(path)
        values = np.asanyarray(oracle.dataobj)
        assert np.array_equal(volume.data, values.reshape(values.shape[:3]).T), path
        assert np.allclose(volume.grid.affine[:, [2, 1, 0, 3]], oracle.affine), path


def test_a_real_file_cut_short_says_so(real_data: Data, tmp_path: Path) -> None:
    whole = (real_data(BRATS) / "t1ce.nii.gz").read_bytes()
    (tmp_path / "t1ce.nii.gz").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(InputError, match=r"^t1ce\.nii\.gz is cut short at \d+\.\d of 17\.9 MB\. Copy it again from its source\.$"):
        read_case(tmp_path)


def test_images_are_converted_between_formats_in_place(real_data: Data, tmp_path: Path) -> None:
    image = registry.read_image(real_data("ct/ibsi_lung_phantom/chest_ct/image.nii.gz"))
    path = tmp_path / "image.nii.gz"
    registry.write_image(path, image)
    chain: Volume = registry.read_image(path)
    for suffix in (".nrrd", ".mha", ".nii.gz"):
        chain = registry.read_image(registry.write_image(tmp_path / f"next{suffix}", chain))
    assert np.array_equal(chain.data, image.data)
    assert chain.grid.matches(image.grid)
