"""PET quantities on real scans and against published values."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_tumorseg.cli import main
from napari_tumorseg.io.registry import read_image, read_mask
from napari_tumorseg.workflows.quantify import QuantifyRequest, quantify

Find = Callable[[str], Path]


def test_the_digital_phantom_of_ibsi_is_reproduced(real_data: Find) -> None:
    from napari_tumorseg.evaluation.pet.ibsi import ibsi_features

    folder = real_data("ct/ibsi_lung_phantom")
    image = read_image(folder / "digital_phantom" / "image.nii.gz")
    mask = read_mask(folder / "digital_phantom" / "mask.nii.gz", reference=image)
    found = ibsi_features(image.data, mask.labels > 0, image.grid)
    with (folder / "reference_values" / "ibsi_1_dig_phantom.csv").open(newline="") as file:
        rows = {row["tag"]: row for row in csv.DictReader(file, delimiter=";")}
    # All intensity statistics and peaks of the table, and its volumes.
    assert {tag for tag in rows if tag.startswith(("stat_", "loc_peak", "morph_vol")) and "dens" not in tag} <= set(found)
    for tag, value in found.items():
        text, tolerance = rows[tag]["reference value"], float(rows[tag]["tolerance"])
        # Three digits are given, and most tolerances are 0: half a unit of the last digit is what the table can say.
        last = 10.0 ** -len(text.partition(".")[2]) if "." in text or float(text) < 1000 else 10.0
        assert value == pytest.approx(float(text), abs=max(tolerance, last / 2 + 1e-9)), tag


def test_all_sarcoma_cases_quantify_as_their_table_says(real_data: Find) -> None:
    folder = real_data("petct_sarcoma")
    with (folder / "cases.csv").open(newline="") as file:
        cases = list(csv.DictReader(file))
    assert len(cases) == 24
    for case in cases:
        where = folder / case["patient"]
        document = quantify(QuantifyRequest(where / "pet_suv.nii.gz", where / "mask.nii.gz"))
        whole = document["patient"]
        assert whole["suv_max"] == pytest.approx(float(case["tumour_suv_max"]), abs=0.0051), case["patient"]
        assert whole["suv_mean"] == pytest.approx(float(case["tumour_suv_mean"]), abs=0.0051), case["patient"]
        assert whole["tmtv_ml"] == pytest.approx(float(case["tumour_ml"]), abs=0.0051), case["patient"]
        assert whole["tla"] == pytest.approx(whole["suv_mean"] * whole["tmtv_ml"])
        assert whole["lesion_count"] == len(document["lesions"]) >= 1
        assert whole["suv_mean"] <= whole["suv_max"]
        assert 0 < whole["suv_peak"] <= float(case["suv_max"]) + 0.01
        assert whole["dmax_cm"] > 0


def test_a_dicom_pet_equals_its_nifti(real_data: Find, capsys: pytest.CaptureFixture[str]) -> None:
    dicom, nifti = real_data("dicom/sts_002"), real_data("petct_sarcoma/STS_002/full")
    documents = []
    for pair in ((dicom / "PET" / "image", dicom / "PET" / "mask" / "RS.dcm"), (nifti / "PET_image.nii.gz", nifti / "PET_mask.nii.gz")):
        assert main(["quantify", *map(str, pair), "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    first, second = documents
    assert first["patient"] == pytest.approx(second["patient"], rel=1e-5)
    assert len(first["lesions"]) == len(second["lesions"])
    for a, b in zip(first["lesions"], second["lesions"], strict=True):
        assert a["centroid_mm"] == pytest.approx(b["centroid_mm"], abs=0.01)
    # The whole study in one folder: its only PET is taken. A mask of the CT is refused, then resampled.
    assert main(["quantify", str(dicom), str(dicom / "PET" / "mask" / "RS.dcm"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["patient"] == first["patient"]
    pair = [str(nifti / "PET_image.nii.gz"), str(nifti / "CT_mask.nii.gz")]
    assert main(["quantify", *pair]) == 2
    assert "--resample" in capsys.readouterr().err
    assert main(["quantify", *pair, "--resample", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert any("another grid" in warning for warning in document["warnings"])
    # The same outline, drawn into the CT's finer voxels.
    assert document["patient"]["tmtv_ml"] == pytest.approx(second["patient"]["tmtv_ml"], rel=0.15)
