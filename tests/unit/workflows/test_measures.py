"""Every measure of the window: forms run to sections, and what is missing is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.measure_forms import (
    MaskFiles,
    MaskFolders,
    ModelFolders,
    OpenMasks,
    OpenPet,
    QuantityTable,
    RaterFolder,
    VisitFiles,
    with_choices,
)
from napari_tumorseg.workflows.measures import MEASURES, facts_of, map_matches, measure_open_masks, measure_open_pet
from napari_tumorseg.workflows.report.page import html_page

GRID = Grid.from_spacing((24, 24, 24), (2.0, 1.0, 1.0))


def ball(value: int, centre: tuple[int, int, int] = (12, 12, 12), radius: float = 5.0) -> np.ndarray:
    z, y, x = np.indices(GRID.shape)
    inside = ((z - centre[0]) * 2) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= radius**2
    return np.where(inside, value, 0).astype(np.uint8)


def version(labels: np.ndarray, schema: str) -> MaskVersion:
    return MaskVersion(labels, GRID, preset(schema), MaskKind.REFERENCE, "A.B.")


def save(path: Path, labels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(labels.T.astype(np.uint8), np.diag([1.0, 1.0, 2.0, 1.0])), path)
    return path


def run(form):
    measure = next(m for m in MEASURES if type(m.start) is type(form))
    assert measure.run is not None
    result = measure.run(form, Progress())
    assert result.section.heading in html_page("Report", [result.section], facts_of(result.document))
    return result


def test_open_masks_are_scored_by_the_names_of_their_labels():
    # 4 is enhancing tumour in 2018 and the resection cavity since 2023.
    old, new = version(ball(4), "brats-2018"), version(ball(3), "brats-mets-2025")
    result = measure_open_masks(OpenMasks("old", "new", "brats-mets-2024"), old, new)
    assert result.document["regions"]["ET"]["lesionwise_dice"] == 1.0
    assert result.document["regions"]["RC"]["volume_ref_ml"] == 0.0
    assert set(result.section.places_mm) == {"ET 1", "TC 1", "WT 1"}
    assert result.section.places_mm["ET 1"] == pytest.approx(GRID.to_mm((12, 12, 12)))


def test_a_label_that_the_profile_lacks_is_refused_by_name():
    with pytest.raises(InputError, match="has the label Lesion, which brats-mets-2024 does not know"):
        measure_open_masks(OpenMasks("a", "b"), version(ball(1), "lesion"), version(ball(1), "lesion"))
    plain = measure_open_masks(OpenMasks("a", "b", "plain"), version(ball(1), "lesion"), version(ball(1, radius=4), "lesion"))
    assert 0 < plain.document["regions"]["1"]["dice"] < 1


def test_a_mask_against_itself_is_refused():
    mask = version(ball(3), "brats-mets-2025")
    with pytest.raises(InputError, match="same mask"):
        measure_open_masks(OpenMasks("a", "a"), mask, mask)


def test_missed_and_false_lesions_are_hatched_and_found_ones_whole():
    reference = ball(3) + ball(3, (4, 4, 4), 3)
    prediction = ball(3) + ball(3, (20, 20, 20), 3)
    one, other = version(reference, "brats-mets-2025"), version(prediction, "brats-mets-2025")
    matches = map_matches(OpenMasks("a", "b"), one, other, "ET")
    assert np.array_equal(matches == 1, ball(1) == 1)
    for value, centre in ((2, (4, 4, 4)), (3, (20, 20, 20))):
        lesion = ball(1, centre, 3) == 1
        shown = (matches == value).sum() / lesion.sum()
        assert not (matches[~lesion] == value).any()
        assert 0.3 < shown < 0.7


def test_files_folders_models_and_raters(tmp_path):
    for case in ("BraTS-MET-00001-000", "BraTS-MET-00002-000", "BraTS-MET-00003-000"):
        save(tmp_path / "ref" / f"{case}-seg.nii.gz", ball(3))
        save(tmp_path / "a" / f"{case}.nii.gz", ball(3, radius=4.5))
        save(tmp_path / "b" / f"{case}.nii.gz", ball(3, radius=3))
        for rater, radius in (("r1", 5.0), ("r2", 4.0)):
            save(tmp_path / "raters" / f"{case}_{rater}.nii.gz", ball(1, radius=radius))
    one = run(MaskFiles(tmp_path / "ref" / "BraTS-MET-00001-000-seg.nii.gz", tmp_path / "a" / "BraTS-MET-00001-000.nii.gz"))
    several = run(MaskFolders(tmp_path / "ref", tmp_path / "a"))
    assert several.document["regions"]["ET"]["dice"] == pytest.approx(one.document["regions"]["ET"]["dice"])
    titles = [plot.title for plot in several.section.plots]
    assert titles == ["Dice against size", "Lesion-wise Dice by case", "Volumes", "Difference of volumes"]
    assert several.section.places_mm == {}
    models = run(ModelFolders(tmp_path / "ref", tmp_path / "a", tmp_path / "b"))
    assert models.section.tables[0].rows[0][0] == "a"
    raters = run(RaterFolder(tmp_path / "raters"))
    assert raters.section.tables[0].rows[0][1] == "dice"


def test_a_table_and_time_points(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 9, 12)
    rows = [f"{a},{a + e}" for a, e in zip(x, rng.normal(0, 0.3, 12), strict=True)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["manual,ai", *rows]))
    assert run(QuantityTable(table, "manual", "ai")).document["n"] == 12
    first, second = save(tmp_path / "t0.nii.gz", ball(3, radius=7)), save(tmp_path / "t1.nii.gz", ball(3, radius=5))
    found = run(VisitFiles(first, second))
    recist = found.document["criteria"]["recist-1.1"]["timepoints"]
    volumes = found.section.plots[0].series[0]
    assert len(recist) == 2
    assert volumes.y == tuple(point["total_volume_ml"] for point in found.document["timepoints"])


def test_an_open_pet_is_measured():
    pet = Volume(ball(1).astype(np.float32) * 5, GRID, modality="PET")
    result = measure_open_pet(pet, version(ball(1), "lesion"))
    assert result.document["patient"]["suv_max"] == 5
    assert result.section.places_mm["1"] == pytest.approx(GRID.to_mm((12, 12, 12)))


@pytest.mark.parametrize("measure", [m for m in MEASURES if m.run is not None], ids=lambda m: m.title)
def test_an_empty_form_says_what_to_choose(measure):
    with pytest.raises(InputError, match="is not chosen yet"):
        measure.run(measure.start, Progress())


def test_choices_keep_what_is_there():
    form, choices, missing = with_choices(OpenMasks("b", "a", "plain"), ("a", "b", "c"), ())
    assert (form.reference, form.prediction, form.profile, missing) == ("b", "a", "plain", "")
    assert choices["reference"]["choices"] == ("a", "b", "c")
    form, _, _ = with_choices(replace(form, reference="gone"), ("a", "b"), ())
    assert {form.reference, form.prediction} == {"a", "b"}
    assert "PET" in with_choices(OpenPet(), ("a",), ())[2]
    form, _, missing = with_choices(OpenPet(), ("a",), ("PET",))
    assert (form.pet, form.mask, missing) == ("PET", "a", "")
