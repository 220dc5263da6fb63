"""Which modality an image shows."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom import Dataset

from napari_tumorseg.io.dicom import modality_of


def image(modality: str = "MR", **attributes: Any) -> Dataset:
    ds = Dataset()
    ds.Modality = modality
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.parametrize(("code", "expected"), [("CT", "CT"), ("PT", "PET"), ("US", "US"), ("", "")])
def test_other_modalities(code: str, expected: str) -> None:
    assert modality_of(image(code)) == expected


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("AX T1 SE", "T1"),
        ("t1_mprage_sag", "T1"),
        ("T1 post GD", "T1c"),
        ("AX T1 +C", "T1c"),
        ("t1_mpr_KM", "T1c"),
        ("sag T1 pre contrast", "T1"),
        ("t1ce", "T1c"),
        ("AX T2 FSE", "T2"),
        ("t2_tse_tra", "T2"),
        ("AX T2 FLAIR", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", "FLAIR"),
        ("T1 FLAIR sag", "T1"),
        ("ep2d_diff_3scan_trace_ADC", ""),
        ("T2* GRE", ""),
        ("SWI mIP", ""),
        ("T1 map", ""),
        ("DSC perfusion", ""),
        ("localizer", ""),
        ("T1 T2 dual", ""),
        ("routine", ""),
    ],
)
def test_by_description(description: str, expected: str) -> None:
    assert modality_of(image(SeriesDescription=description)) == expected


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        ({"RepetitionTime": 500, "EchoTime": 12}, "T1"),
        ({"RepetitionTime": 2000, "EchoTime": 3, "InversionTime": 900, "FlipAngle": 9}, "T1"),
        ({"RepetitionTime": 4000, "EchoTime": 100}, "T2"),
        ({"RepetitionTime": 9000, "EchoTime": 120, "InversionTime": 2500}, "FLAIR"),
        ({"RepetitionTime": 3000, "EchoTime": 20}, ""),
        ({"EchoTime": 20}, ""),
    ],
)
def test_by_timing(timing: dict[str, float], expected: str) -> None:
    assert modality_of(image(**timing)) == expected


def test_name_and_timing_that_disagree_are_not_certain() -> None:
    assert modality_of(image(SeriesDescription="T1", RepetitionTime=5000, EchoTime=100)) == ""


def test_contrast_agent_makes_t1c_of_t1_only() -> None:
    assert modality_of(image(SeriesDescription="T1 SE", ContrastBolusAgent="Gadovist")) == "T1c"
    assert modality_of(image(SeriesDescription="T1 SE", ContrastBolusAgent="NONE")) == "T1"
    assert modality_of(image(SeriesDescription="T2 TSE", ContrastBolusAgent="Gadovist")) == "T2"
    assert modality_of(image(SeriesDescription="T1 native", ContrastBolusAgent="Gadovist")) == "T1"


def test_enhanced_multiframe_timing() -> None:
    ds, shared, timing, echo = image(), Dataset(), Dataset(), Dataset()
    timing.RepetitionTime, echo.EffectiveEchoTime = 450.0, 10.0
    shared.MRTimingAndRelatedParametersSequence, shared.MREchoSequence = [timing], [echo]
    ds.SharedFunctionalGroupsSequence = [shared]
    assert modality_of(ds) == "T1"
