from __future__ import annotations

import numpy as np
import pytest

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.io import arrays
from napari_tumorseg.io.schemas import choose_schema, read_stamp, schema_for, stamp


@pytest.mark.parametrize(
    ("present", "name", "declared", "expected"),
    [
        ((1, 2, 3), "", "", "brats-mets-2025"),
        ((1, 2, 3, 4), "", "", "brats-mets-2025"),
        ((1, 2, 4), "", "", "brats-2018"),
        ((4,), "", "", "brats-2018"),
        ((2,), "", "", "brats-mets-2025"),
        ((), "", "", "brats-mets-2025"),
        ((1,), "", "", "lesion"),
        ((1,), "BraTS-MET-00110-000/seg.nii.gz", "", "brats-mets-2025"),
        ((1, 2, 4), "BraTS-GLI-00005-100-seg.nii.gz", "", "brats-gli-2024"),
        ((1, 2), "Brats18_2013_11_1/seg.nii.gz", "", "brats-2018"),
        ((1, 2), "BraTS2021_00002_seg.nii.gz", "", "brats-2018"),
        ((3,), "BraTS2021_00002_seg.nii.gz", "", "brats-mets-2025"),
        ((1,), "", "brats-gli-2024", "brats-gli-2024"),
        ((1, 2), "", "lesion", "brats-mets-2025"),
        ((1, 2), "", "unheard-of", "brats-mets-2025"),
        ((1, 7), "", "", "labels"),
    ],
)
def test_the_schema_that_fits(present: tuple[int, ...], name: str, declared: str, expected: str) -> None:
    schema = choose_schema(present, name, declared)
    assert schema.name == expected
    assert set(present) <= set(schema.values)


def test_unknown_values_become_labels_of_their_own() -> None:
    schema = choose_schema((1, 7, 200))
    assert [(label.value, label.name) for label in schema.labels] == [(1, "Label 1"), (7, "Label 7"), (200, "Label 200")]
    assert schema.region("All").values == (1, 7, 200)
    assert len({label.colour for label in schema.labels}) == 3


def test_an_image_is_not_taken_for_a_mask() -> None:
    with pytest.raises(InputError, match=r"t1\.nrrd is not a mask: it holds 1,999 different values"):
        schema_for(np.arange(2000, dtype=np.uint16), None, "case/t1.nrrd")


@pytest.mark.parametrize("kind", list(MaskKind))
@pytest.mark.parametrize("review", list(Review))
def test_what_is_written_about_a_mask_is_read_again_and_fits_a_nifti_field(kind: MaskKind, review: Review) -> None:
    grid = Grid.from_spacing((1, 1, 1), (1, 1, 1))
    mask = MaskVersion(np.zeros((1, 1, 1), np.uint8), grid, preset("lesion"), kind, review=review)
    assert read_stamp(stamp(mask)) == (kind, review)
    assert len(stamp(mask)) < 80
    assert "research use only" in stamp(mask)


@pytest.mark.parametrize("text", ["", "FSL5.0", "tumorseg robot; AI, not reviewed; x", "tumorseg ai; maybe; x"])
def test_other_files_hold_references(text: str) -> None:
    assert read_stamp(text) == (MaskKind.REFERENCE, Review.ACCEPTED)


@pytest.mark.parametrize(
    ("have", "total", "words"),
    [
        (3.1e6, 8.9e6, "3.1 of 8.9 MB"),
        (8.89e6, 8.9e6, "8890.0 of 8900.0 kB"),
        (500, 2000, "0.5 of 2.0 kB"),
        (3, 10, "3 of 10 bytes"),
        (1999, 2000, "1999 of 2000 bytes"),
    ],
)
def test_sizes_are_told_in_a_unit_that_shows_the_difference(have: float, total: float, words: str) -> None:
    assert arrays.megabytes(have, total) == words


def test_present_values() -> None:
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        assert arrays.present_values(np.array([[0, 3], [200, 3]], dtype)) == (3, 200)
    assert arrays.present_values(np.zeros((0,), np.uint8)) == ()


def test_read_only_arrays_are_copied_before_they_are_repaired() -> None:
    data = np.array([1.0, np.nan, 3.0])
    data.flags.writeable = False
    fixed, warnings = arrays.finite(data, "a")
    assert fixed.tolist() == [1.0, 0.0, 3.0]
    assert np.isnan(data[1])
    assert len(warnings) == 1
