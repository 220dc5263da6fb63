from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from napari_tumorseg.io.modality import guess_modality, is_mask_name, mask_name
from napari_tumorseg.io.names import natural_key, stem_of, suffix_of


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        # BraTS, new and old
        ("BraTS-MET-00110-000-t1n.nii.gz", "T1"),
        ("BraTS-MET-00110-000-t1c.nii.gz", "T1c"),
        ("BraTS-MET-00110-000-t2w.nii.gz", "T2"),
        ("BraTS-MET-00110-000-t2f.nii.gz", "FLAIR"),
        ("Brats18_2013_11_1_t1.nii.gz", "T1"),
        ("Brats18_2013_11_1_t1ce.nii.gz", "T1c"),
        ("Brats18_2013_11_1_t2.nii.gz", "T2"),
        ("Brats18_2013_11_1_flair.nii.gz", "FLAIR"),
        ("t1c.nii.gz", "T1c"),
        ("T1CE.NII.GZ", "T1c"),
        ("t1.nrrd", "T1"),
        # BIDS and others
        ("sub-01_ses-20240131_ce-gadolinium_T1w.nii.gz", "T1c"),
        ("sub-01_T1w.nii.gz", "T1"),
        ("sub-01_FLAIR.nii.gz", "FLAIR"),
        ("UPENN-GBM-00001_11_T1GD.nii.gz", "T1c"),
        ("UCSF-PDGM-0004_T1c_bias.nii.gz", "T1c"),
        ("AX T1 +C.mha", "T1c"),
        ("AX T1 FLAIR.mha", "T1"),
        ("AX T2 FLAIR.mha", "FLAIR"),
        ("mprage_post_gd.nii", "T1c"),
        ("mprage_pre_contrast.nii", "T1"),
        ("T1_without_contrast.nii", "T1"),
        ("T2_TSE_tra.nii", "T2"),
        ("t2_to_t1.nii.gz", "T2"),
        ("flair_reg_t1ce.nii.gz", "FLAIR"),
        ("ct_on_pet.nii.gz", "CT"),
        ("pet_suv.nii.gz", "PET"),
        ("FDG_PET.nrrd", "PET"),
        ("TCGA-CT-0001_t1.nii.gz", "T1"),
        ("b1000.nii.gz", "DWI"),
        ("ADC.nii.gz", "ADC"),
        # not said, or said twice
        ("scan7.nii.gz", ""),
        ("petct.nii.gz", ""),
        ("pet_ct.nii.gz", ""),
        ("t1_t2.nii.gz", ""),
        ("image.nii.gz", ""),
        ("contrast.nii.gz", ""),
    ],
)
def test_modalities_are_told_from_names(name: str, modality: str) -> None:
    assert guess_modality(name) == modality


def test_dicom_attributes_decide_alone() -> None:
    dataset = Dataset()
    dataset.Modality, dataset.SeriesDescription = "MR", "AX T1 SE +C"
    assert guess_modality("flair", dataset) == "T1c"
    dataset.Modality = "PT"
    assert guess_modality("flair", dataset) == "PET"


@pytest.mark.parametrize(
    ("name", "mask"),
    [
        ("seg.nii.gz", True),
        ("BraTS-MET-00110-000-seg.nii.gz", True),
        ("t1_seg.nrrd", True),
        ("Segmentation.seg.nrrd", True),
        ("anything.seg.nrrd", True),
        ("tumor_mask.nii", True),
        ("brain1_label.nrrd", True),
        ("MR_T1_mask.nii.gz", True),
        ("t1c.nii.gz", False),
        ("segway.nii.gz", False),
        ("unmasked_t1.nii.gz", False),
    ],
)
def test_masks_are_told_from_names(name: str, mask: bool) -> None:
    assert is_mask_name(Path(name)) is mask


@pytest.mark.parametrize(
    ("name", "stems", "expected"),
    [
        ("seg.nii.gz", (), "seg"),
        ("A-1-seg.nii.gz", ("A-1-t1c", "A-1-t2w"), "seg"),
        ("A_seg.nii.gz", ("A_t1c",), "seg"),
        ("heart_seg.nrrd", ("ct",), "heart_seg"),
        ("mask.nii.gz", ("ct",), "mask"),
        ("Segmentation.seg.nrrd", ("ct",), "Segmentation"),
    ],
)
def test_names_of_masks(name: str, stems: tuple[str, ...], expected: str) -> None:
    assert mask_name(Path(name), stems) == expected


def test_names_of_files() -> None:
    assert [suffix_of(Path(n)) for n in ("a.NII.gz", "a.b.nii", "a.seg.nrrd", "a.ome.tif", "IMG0001")] == [
        ".nii.gz",
        ".nii",
        ".seg.nrrd",
        ".ome.tif",
        "",
    ]
    assert [stem_of(Path(n)) for n in ("a.NII.gz", "a.b.nii", "a.seg.nrrd", "1.2.840.dcm", "IMG")] == ["a", "a.b", "a", "1.2.840", "IMG"]
    names = [Path(n) for n in ("s10.tif", "s2.tif", "S1.tif", "10.tif", "2.tif")]
    assert [p.name for p in sorted(names, key=natural_key)] == ["2.tif", "10.tif", "S1.tif", "s2.tif", "s10.tif"]
