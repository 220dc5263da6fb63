"""SUV by body weight, by its definition, for the ways in which each vendor writes PET."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.dicom import read_series
from napari_tumorseg.io.suv import pet_unit, suv_factor, suv_factors

DOSE, WEIGHT, HALF_LIFE = 350e6, 70.0, 6586.2


def pet(**changes: Any) -> Dataset:
    """Return a Siemens-like image: 60 minutes from injection to the scan, corrected to its start."""
    ds, given = Dataset(), Dataset()
    given.RadionuclideTotalDose, given.RadionuclideHalfLife = DOSE, HALF_LIFE
    given.RadiopharmaceuticalStartTime = "090000.00"
    ds.RadiopharmaceuticalInformationSequence = [given]
    ds.Units, ds.DecayCorrection, ds.CorrectedImage = "BQML", "START", ["NORM", "ATTN", "DECY"]
    ds.PatientWeight = WEIGHT
    ds.SeriesDate, ds.SeriesTime = "20260102", "100000"
    ds.AcquisitionDate, ds.AcquisitionTime = "20260102", "100000"
    for keyword, value in changes.items():
        target = given if keyword.startswith("Radio") else ds
        if value is None:
            delattr(target, keyword)
        else:
            setattr(target, keyword, value)
    return ds


def expected(minutes: float) -> float:
    """SUV factor by definition: weight in g over the activity left after `minutes`."""
    return WEIGHT * 1000 / (DOSE * math.exp(-math.log(2) * minutes * 60 / HALF_LIFE))


def test_decay_to_the_start_of_the_series() -> None:
    assert suv_factor(pet()) == pytest.approx(expected(60), rel=1e-9)


def test_every_bed_position_has_the_factor_of_the_series_start() -> None:
    beds = [pet(AcquisitionTime=f"10{minute:02d}00") for minute in (0, 3, 6)]
    np.testing.assert_allclose(suv_factors(beds).factors, expected(60))


def test_corrected_to_administration_needs_no_times() -> None:
    ds = pet(DecayCorrection="ADMIN", SeriesTime=None, AcquisitionTime=None, RadiopharmaceuticalStartTime=None, RadionuclideHalfLife=None)
    assert suv_factor(ds) == pytest.approx(WEIGHT * 1000 / DOSE)


def test_uncorrected_images_are_corrected_each_by_itself() -> None:
    images = [
        pet(DecayCorrection="NONE", CorrectedImage=["ATTN"], AcquisitionTime=f"10{minute:02d}00", ActualFrameDuration=180000)
        for minute in (0, 30)
    ]
    factors = suv_factors(images).factors
    for factor, minute in zip(factors, (0, 30), strict=True):
        # A source of 1 Bq/mL at injection: its mean over the frame, decayed, must come back as weight over dose.
        k = math.log(2) / HALF_LIFE
        start = (60 + minute) * 60
        mean = (math.exp(-k * start) - math.exp(-k * (start + 180))) / (k * 180)
        assert factor * mean == pytest.approx(WEIGHT * 1000 / DOSE, rel=1e-9)


def test_midnight_between_injection_and_scan() -> None:
    ds = pet(
        SeriesDate="20260103",
        SeriesTime="003000",
        AcquisitionDate="20260103",
        AcquisitionTime="003000",
        RadiopharmaceuticalStartTime="233000",
    )
    scale = suv_factors([ds])
    assert scale.factors[0] == pytest.approx(expected(60))
    assert any("day before" in note for note in scale.notes)


def test_start_date_time_wins_over_the_time_of_day() -> None:
    ds = pet(RadiopharmaceuticalStartDateTime="20260102083000.000000+0100", RadiopharmaceuticalStartTime="090000")
    assert suv_factor(ds) == pytest.approx(expected(90))


def test_a_date_shifted_by_deidentification_gives_way_to_the_time_of_day() -> None:
    scale = suv_factors([pet(RadiopharmaceuticalStartDateTime="20251201090000")])
    assert scale.factors[0] == pytest.approx(expected(60))
    assert any("0018,1078" in note for note in scale.notes)


def test_a_wrong_date_alone_is_refused() -> None:
    with pytest.raises(InputError, match="cannot be right"):
        suv_factor(pet(RadiopharmaceuticalStartDateTime="20251201090000", RadiopharmaceuticalStartTime=None))


def test_ge_processed_series_uses_its_private_scan_time() -> None:
    ds = pet(SeriesTime="140000")
    block = ds.private_block(0x0009, "GEMS_PETD_01", create=True)
    block.add_new(0x0D, "DT", "20260102100500.00")
    assert suv_factor(ds) == pytest.approx(expected(65))


def test_siemens_processed_series_goes_back_from_the_frame() -> None:
    k = math.log(2) / HALF_LIFE
    duration = 120.0
    mean = math.log(k * duration / (1 - math.exp(-k * duration))) / k
    # The bed started 10 minutes after the scan: its mean count rate lies at 600 s + mean.
    ds = pet(
        SeriesTime="140000", AcquisitionTime="101000", ActualFrameDuration=int(duration * 1000), FrameReferenceTime=(600 + mean) * 1000
    )
    assert suv_factor(ds) == pytest.approx(expected(60), rel=1e-6)


def test_processed_series_without_any_of_these_takes_the_earliest_acquisition() -> None:
    scale = suv_factors([pet(SeriesTime="140000", AcquisitionTime=t) for t in ("100600", "100000")])
    np.testing.assert_allclose(scale.factors, expected(60))
    assert any("earliest acquisition" in note for note in scale.notes)


def test_stated_moment_of_decay_correction_wins() -> None:
    assert suv_factor(pet(DecayCorrectionDateTime="20260102103000")) == pytest.approx(expected(90))


@pytest.mark.parametrize("creator", [True, False])
def test_philips_counts_with_its_suv_factor(creator: bool) -> None:
    ds = pet(Units="CNTS", PatientWeight=None)
    if creator:
        ds.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x00, "DS", "0.000551")
    else:  # the creator is often lost to de-identification, and the value arrives as bytes
        ds.add_new(0x70531000, "UN", b"0.000551 ")
    assert suv_factor(ds) == pytest.approx(0.000551)


def test_philips_counts_with_its_activity_factor() -> None:
    ds = pet(Units="CNTS")
    block = ds.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(0x00, "DS", "0")
    block.add_new(0x09, "DS", "2.5")
    assert suv_factor(ds) == pytest.approx(2.5 * expected(60))


def test_philips_counts_without_either() -> None:
    with pytest.raises(InputError, match=r"\(7053,1000\).*\(7053,1009\)"):
        suv_factor(pet(Units="CNTS"))


def test_grams_per_millilitre_is_suv_already() -> None:
    scale = suv_factors([pet(Units="GML", SUVType="BW", PatientWeight=None)])
    assert scale.factors == (1.0,)
    assert scale.notes == ()
    assert suv_factors([pet(Units="GML")]).notes


def test_other_kinds_of_suv_are_not_passed_off_as_bw() -> None:
    ds = pet(Units="GML", SUVType="LBM")
    with pytest.raises(InputError, match="LBM"):
        suv_factor(ds)
    assert pet_unit(ds) == "SUV (LBM)"


@pytest.mark.parametrize("units", ["PROPCNTS", "PCNT", "UMOLML"])
def test_units_without_a_way_to_suv(units: str) -> None:
    with pytest.raises(InputError, match=units):
        suv_factor(pet(Units=units))


def test_every_missing_attribute_is_named_at_once() -> None:
    ds = pet(
        PatientWeight=None,
        DecayCorrection=None,
        RadionuclideTotalDose=None,
        RadionuclideHalfLife=None,
        RadiopharmaceuticalStartTime=None,
    )
    with pytest.raises(InputError) as caught:
        suv_factor(ds)
    for tag in ("(0010,1030)", "(0054,1102)", "(0018,1074)", "(0018,1075)", "(0018,1078)", "(0018,1072)"):
        assert tag in caught.value.message


@pytest.mark.parametrize(
    ("changes", "tags"),
    [
        ({"SeriesTime": None, "AcquisitionTime": None}, ["(0008,0031)", "(0008,0032)"]),
        ({"DecayCorrection": "NONE", "AcquisitionTime": None, "CorrectedImage": ["ATTN"]}, ["(0008,0032)", "(0018,1242)"]),
        ({"RadiopharmaceuticalInformationSequence": None}, ["(0054,0016)", "(0018,1074)"]),
        ({"PatientWeight": 0}, ["(0010,1030)"]),
        ({"Units": None}, ["(0054,1001)"]),
    ],
)
def test_what_lacks_is_named(changes: dict[str, Any], tags: list[str]) -> None:
    ds = pet()
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    with pytest.raises(InputError) as caught:
        suv_factor(ds)
    for tag in tags:
        assert tag in caught.value.message


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"RadionuclideTotalDose": 350}, "MBq"),
        ({"PatientWeight": 70000}, "grams"),
        ({"CorrectedImage": ["DECY"]}, "ATTN"),
        ({"CorrectedImage": ["ATTN"]}, "DECY"),
        ({"RadiopharmaceuticalStartTime": "100500"}, "cannot be right"),
    ],
)
def test_implausible_values_are_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        suv_factor(pet(**changes))


def test_two_injections_are_refused() -> None:
    ds = pet()
    ds.RadiopharmaceuticalInformationSequence = list(ds.RadiopharmaceuticalInformationSequence) * 2
    with pytest.raises(InputError, match="more than one injection"):
        suv_factor(ds)


def test_series_is_read_in_suv(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        for element in pet():
            ds.add(element)
        ds.RescaleSlope = 1.0 + z

    dicom.series(modality="PT", edit=edit)
    (volume,) = read_series(dicom.root)
    assert (volume.modality, volume.unit) == ("PET", "SUV")
    z = np.arange(5)[:, None, None]
    stored = np.stack([dicom.values(i, (6, 7)) for i in range(5)])
    np.testing.assert_allclose(volume.data, stored * (1.0 + z) * expected(60), rtol=1e-6)


def test_series_without_weight_is_read_in_its_own_unit_and_says_why(dicom: Any) -> None:
    def edit(ds: Any, z: int) -> None:
        for element in pet(PatientWeight=None):
            ds.add(element)

    dicom.series(modality="PT", edit=edit)
    (volume,) = read_series(dicom.root)
    assert volume.unit == "Bq/mL"
    assert any("PatientWeight (0010,1030)" in text for text in volume.warnings)


def test_enhanced_multiframe_pet_is_read_in_suv(dicom: Any) -> None:
    path = dicom.enhanced()

    def edit(ds: Dataset) -> None:
        ds.Modality = "PT"
        for element in pet(RadiopharmaceuticalStartDateTime="20260102090000", Units=None, DecayCorrection=None, CorrectedImage=None):
            ds.add(element)
        ds.DecayCorrected, ds.AttenuationCorrected, ds.DecayCorrectionDateTime = "YES", "YES", "20260102103000"
        mapping, unit = Dataset(), Dataset()
        unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "Bq/ml", "UCUM", "Becquerels/milliliter"
        mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept, mapping.MeasurementUnitsCodeSequence = 3.0, 0.0, [unit]
        for item in ds.PerFrameFunctionalGroupsSequence:
            item.RealWorldValueMappingSequence = [mapping]

    dicom.change(path, edit)
    (volume,) = read_series(path)
    assert volume.unit == "SUV"
    stored = np.stack([dicom.values(z, (4, 5)) for z in range(3)])
    np.testing.assert_allclose(volume.data, stored * 3.0 * expected(90), rtol=1e-6)
