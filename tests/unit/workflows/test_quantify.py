from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_tumorseg.cli import main
from napari_tumorseg.core.case import MaskKind, MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.workflows.quantify import QuantifyRequest, quantify_volume

PATIENT = {"suv_max", "suv_mean", "suv_peak", "tmtv_ml", "tla", "lesion_count", "dmax_cm"}
SHAPE = (6, 8, 10)


def _open(labels: np.ndarray, **more: object) -> tuple[Volume, MaskVersion]:
    grid = Grid.from_spacing(SHAPE, (3.0, 4.0, 4.0))
    suv = np.random.default_rng(1).gamma(2, 2, SHAPE).astype(np.float32)
    pet = Volume(suv, grid, **{"modality": "PET", "unit": "SUV", "name": "pet", **more})  # type: ignore[arg-type]
    return pet, MaskVersion(labels, grid, preset("lesion"), MaskKind.RATER)


def _labels() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 2:5, 2:5] = 1
    labels[4, 6, 7:9] = 1
    return labels


def test_the_document_has_the_published_keys_and_is_json() -> None:
    pet, mask = _open(_labels())
    document = quantify_volume(pet, mask)
    assert set(document["patient"]) == PATIENT
    assert document["patient"]["lesion_count"] == len(document["lesions"]) == 2
    assert {"id", "centroid_mm", "volume_ml", "suv_max", "suv_mean", "suv_peak", "tla"} <= set(document["lesions"][0])
    assert document["warnings"] == []
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_an_empty_mask_is_zeros() -> None:
    pet, mask = _open(np.zeros(SHAPE, np.uint8))
    document = quantify_volume(pet, mask)
    assert document["patient"] == dict.fromkeys(PATIENT, 0)
    assert document["lesions"] == []
    assert any("no lesion" in warning for warning in document["warnings"])


def test_what_is_no_pet_in_suv_is_refused_or_said() -> None:
    labels = _labels()
    with pytest.raises(InputError, match="Bq/mL"):
        quantify_volume(*_open(labels, unit="Bq/mL"))
    with pytest.raises(InputError, match="is CT"):
        quantify_volume(*_open(labels, modality="CT", unit=""))
    with pytest.raises(InputError, match="is CT"):
        quantify_volume(*_open(labels, modality="", unit="", name="ct_on_pet"))
    assert any("taken as SUV" in w for w in quantify_volume(*_open(labels, unit=""))["warnings"])
    pet, mask = _open(labels, unit="")
    loud = Volume(pet.data * 5000, pet.grid, "PET", "", name="pet")
    assert any("Bq/mL" in w for w in quantify_volume(loud, mask)["warnings"])


def test_a_mask_on_another_grid_is_refused_or_resampled_when_asked() -> None:
    pet, _ = _open(_labels())
    fine = Grid.from_spacing((12, 16, 20), (1.5, 2.0, 2.0))
    affine = fine.affine.copy()
    affine[:3, 3] = pet.grid.to_mm((-0.25, -0.25, -0.25))
    fine = Grid(fine.shape, affine)
    labels = np.repeat(np.repeat(np.repeat(_labels(), 2, 0), 2, 1), 2, 2)
    mask = MaskVersion(labels, fine, preset("lesion"), MaskKind.RATER)
    with pytest.raises(GeometryError, match="grid"):
        quantify_volume(pet, mask)
    asked = QuantifyRequest(Path(), Path(), resample=True)
    assert quantify_volume(pet, mask, asked)["patient"] == quantify_volume(*_open(_labels()))["patient"]
    away = MaskVersion(labels, Grid(fine.shape, _shifted(fine.affine)), mask.schema, mask.kind)
    with pytest.raises(GeometryError, match="do not meet"):
        quantify_volume(pet, away, asked)


def _shifted(affine: np.ndarray) -> np.ndarray:
    moved = affine.copy()
    moved[2, 3] += 900
    return moved


def test_labels_can_be_chosen_and_ibsi_features_asked_for() -> None:
    labels = _labels()
    labels[4, 6, 7:9] = 2
    pet, mask = _open(labels)
    document = quantify_volume(pet, mask, QuantifyRequest(Path(), Path(), values=(2,), ibsi=True))
    (row,) = document["lesions"]
    assert row["voxels"] == 2
    assert row["ibsi"]["stat_max"] == row["suv_max"]
    assert row["ibsi"]["loc_peak_glob"] == row["suv_peak"]
    assert row["ibsi"]["morph_vol_approx"] == pytest.approx(1000 * row["volume_ml"])


def test_the_command_prints_json_and_one_line_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    affine = np.diag([4.0, 4.0, 3.0, 1.0])
    suv = np.random.default_rng(1).gamma(2, 2, SHAPE[::-1]).astype(np.float32)
    nib.Nifti1Image(suv, affine).to_filename(tmp_path / "pet.nii.gz")
    nib.Nifti1Image(_labels().T, affine).to_filename(tmp_path / "mask.nii.gz")
    nib.Nifti1Image(_labels()[1:].T, affine).to_filename(tmp_path / "other.nii.gz")
    assert main(["quantify", str(tmp_path / "pet.nii.gz"), str(tmp_path / "mask.nii.gz"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document["patient"]) == PATIENT
    assert document["patient"]["suv_max"] == pytest.approx(float(suv[_labels().T > 0].max()))
    assert main(["quantify", str(tmp_path / "pet.nii.gz"), str(tmp_path / "mask.nii.gz")]) == 0
    assert "2 lesions, TMTV" in capsys.readouterr().out
    for bad in (["other.nii.gz"], ["none.nii.gz"]):
        assert main(["quantify", str(tmp_path / "pet.nii.gz"), str(tmp_path / bad[0])]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "Traceback" not in said
