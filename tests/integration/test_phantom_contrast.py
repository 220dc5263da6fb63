"""The sample case beside real scans: the contrast of its lesions is of the same order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.core.labels import preset
from napari_tumorseg.io.cases import read_case

SAMPLE = Path(__file__).parents[2] / "sample_data" / "brain_mets"
CASES = ("Brats18_CBICA_ABM_1", "Brats18_CBICA_AME_1", "Brats18_TCIA01_201_1", "Brats18_TCIA02_135_1")
Row = Mapping[tuple[str, str], float]


def contrasts(folder: Path) -> Row:
    """Return the median of each label in each sequence, in standard deviations from the mean of the brain."""
    visit = read_case(folder).latest
    mask = visit.masks["seg"][-1]
    out = {}
    for name, volume in visit.volumes.items():
        data = volume.data.astype(np.float64)
        brain = data != 0
        z = (data - data[brain].mean()) / data[brain].std()
        for label in ("NETC", "SNFH", "ET"):
            out[name, label] = float(np.median(z[mask.labels == mask.schema.label(label).value]))
        out[name, "1 %"], out[name, "99 %"] = (float(v) for v in np.percentile(z[brain], (1, 99)))
    return out


@pytest.fixture(scope="module")
def real(real_data: Callable[[str], Path]) -> list[Row]:
    folder = real_data("brain_mri/brats2018")
    return [contrasts(folder / name) for name in CASES]


@pytest.fixture(scope="module")
def made() -> Row:
    return contrasts(SAMPLE)


@pytest.mark.parametrize("modality", ["T1", "T1c", "T2", "FLAIR"])
@pytest.mark.parametrize("what", ["NETC", "SNFH", "ET", "1 %", "99 %"])
def test_contrast_is_of_the_order_of_real_cases(made: Row, real: list[Row], modality: str, what: str) -> None:
    values = [row[modality, what] for row in real]
    assert min(values) - 1.0 < made[modality, what] < max(values) + 1.0


def test_the_schema_is_that_of_metastases() -> None:
    assert read_case(SAMPLE).latest.masks["seg"][-1].schema == preset("brats-mets-2025")
