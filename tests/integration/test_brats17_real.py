"""The cascade with its published weights on real cases.

The cases were in the training list of the networks: agreement with what an earlier port of the
same weights reached shows that this one is right, and nothing about quality on new patients.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from napari_tumorseg.catalogue.backends.brats17_weights import MODEL
from napari_tumorseg.catalogue.registry import Catalogue
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.segmenter import Input, Segmenter
from napari_tumorseg.core.settings import Settings

RealData = Callable[[str], Path]
BRATS_2018 = {"FLAIR": "flair", "T1": "t1", "T1c": "t1ce", "T2": "t2"}
BRATS_METS = {"FLAIR": "t2f", "T1": "t1n", "T1c": "t1c", "T2": "t2w"}
VALUES = {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}


@pytest.fixture(scope="module")
def model(real_data: RealData, tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    published = real_data("weights/brats17_wang_cascade")
    folder = tmp_path_factory.mktemp("models")
    catalogue = Catalogue(Settings(model_dirs=(folder,), cache_dir=folder, log_dir=folder, state_dir=folder))
    assert not catalogue.state(MODEL).ready
    assert catalogue.add(published) == MODEL
    assert catalogue.state(MODEL).ready
    assert catalogue.check(MODEL) == []
    return catalogue.load(MODEL)


def _given(folder: Path, names: dict[str, str]) -> Input:
    files = {modality: nib.load(folder / f"{name}.nii.gz") for modality, name in names.items()}
    first = next(iter(files.values()))
    images = {modality: np.asarray(file.dataobj, np.float32).transpose(2, 1, 0) for modality, file in files.items()}
    return Input(images, Grid(first.shape[::-1], first.affine[:, [2, 1, 0, 3]]))


def _dice(model: Segmenter, folder: Path) -> dict[str, float]:
    found = model.predict(_given(folder, BRATS_2018), device="cpu")
    reference = np.asarray(nib.load(folder / "seg.nii.gz").dataobj).transpose(2, 1, 0)
    model.spec.schema.check(found.labels)
    dices = {}
    for name, values in VALUES.items():
        mask, truth = model.spec.schema.region_mask(found.labels, name), np.isin(reference, values)
        dices[name] = 2 * (mask & truth).sum() / (mask.sum() + truth.sum())
    return dices


def test_one_case_reaches_what_the_weights_reached_before(model: Segmenter, real_data: RealData) -> None:
    dices = _dice(model, real_data("brain_mri/brats2018/Brats18_2013_20_1"))
    assert dices["WT"] == pytest.approx(0.930, abs=0.015)
    assert dices["TC"] == pytest.approx(0.922, abs=0.03)
    assert dices["ET"] == pytest.approx(0.900, abs=0.03)


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_all_labelled_cases(model: Segmenter, real_data: RealData) -> None:
    folders = sorted(path.parent for path in real_data("brain_mri/brats2018").glob("*/seg.nii.gz"))
    dices = {folder.name: _dice(model, folder) for folder in folders}
    assert dices["Brats18_2013_11_1"]["WT"] == pytest.approx(0.844, abs=0.015)
    assert dices["Brats18_2013_20_1"]["WT"] == pytest.approx(0.930, abs=0.015)
    assert np.mean([d["WT"] for d in dices.values()]) >= 0.85


@pytest.mark.slow
def test_a_metastasis_case_segments(model: Segmenter, real_data: RealData) -> None:
    given = _given(real_data("brain_mri/brats_met_00110"), BRATS_METS)
    found = model.predict(given, device="cpu")
    assert found.labels.shape == given.grid.shape
    assert model.spec.schema.region_mask(found.labels, "WT").any()
    assert np.count_nonzero(found.labels[given.images["FLAIR"] == 0]) < 0.01 * np.count_nonzero(found.labels)
