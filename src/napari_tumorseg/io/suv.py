"""PET pixel values to standardised uptake values by body weight (SUVbw, g/mL).

The rules follow the vendor-neutral description of the QIBA FDG-PET/CT committee (RSNA Quantitative
Imaging Biomarkers Alliance, "Standardized Uptake Value", robust version), and DICOM PS3.3 C.8.9 for
the attributes. SUVbw = activity concentration [Bq/mL] * body weight [g] / injected activity [Bq],
with both activities referred to the same moment.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.dicom_modality import number

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["SuvScale", "pet_unit", "suv_factor", "suv_factors"]

_HINT = "The image stays in its own unit; export it again with these attributes kept to get SUV."
_UNITS = {"BQML": "Bq/mL", "CNTS": "counts", "PROPCNTS": "proportional counts", "GML": "g/mL", "CM2ML": "cm2/mL", "PCNT": "%"}
_PHILIPS = "Philips PET Private Group"
_GE = "GEMS_PETD_01"
_MAX_HALF_LIVES = 10.0


@dataclass(frozen=True)
class SuvScale:
    """How to turn a PET series into SUVbw.

    Attributes
    ----------
    factors : tuple of float
        One per image: SUVbw = factor * (RescaleSlope * stored value + RescaleIntercept).
    notes : tuple of str
        What was assumed, in the user's words.
    """

    factors: tuple[float, ...]
    notes: tuple[str, ...] = ()


def pet_unit(dataset: Dataset) -> str:
    """Return the unit of the rescaled values of a PET image as the user reads it, e.g. "Bq/mL"."""
    code = _units(dataset)
    kind = str(dataset.get("SUVType", "") or "")
    if code in ("GML", "CM2ML") and kind not in ("", "BW"):
        return f"SUV ({kind})"
    return _UNITS.get(code, code)


def suv_factor(dataset: Dataset) -> float:
    """Return the factor from rescaled values to SUVbw for one PET image; see `suv_factors`."""
    return suv_factors([dataset]).factors[0]


def suv_factors(datasets: Sequence[Dataset]) -> SuvScale:
    """Return the factors from rescaled values (slope and intercept applied) to SUVbw.

    Parameters
    ----------
    datasets : sequence of pydicom.Dataset
        All images of one PET series: the earliest acquisition among them may be the moment to
        which the series is decay-corrected.

    Returns
    -------
    SuvScale
        One factor per image, and what was assumed.

    Raises
    ------
    InputError
        If SUV cannot be computed; the message names every attribute that lacks.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> image = Dataset()
    >>> image.Units, image.SUVType = "GML", "BW"
    >>> suv_factor(image)
    1.0
    """
    first = datasets[0]
    units = _units(first)
    if len({_units(d) for d in datasets}) > 1:
        raise InputError("The PET series mixes units.", "Choose the images of one reconstruction.")
    if not units:
        raise InputError("The PET series does not say its Units (0054,1001), so SUV cannot be computed.", _HINT)
    if units == "GML":
        kind = str(first.get("SUVType", "") or "")
        if kind not in ("", "BW"):
            raise InputError(f"The PET series holds SUV of type {kind}, not by body weight (SUVbw).", "The image stays as it is.")
        return SuvScale((1.0,) * len(datasets), () if kind else ("PET in g/mL without SUVType (0054,1006): taken as SUV by body weight.",))
    notes: list[str] = []
    _check_attenuation(first, notes)
    if units == "CNTS":
        direct = [_private(d, 0x7053, _PHILIPS, 0x00) for d in datasets]
        if all(direct):
            return SuvScale(tuple(float(v or 0.0) for v in direct), tuple(notes))
        activity = [_private(d, 0x7053, _PHILIPS, 0x09) for d in datasets]
        if not all(activity):
            raise InputError(
                "The PET series is in counts (CNTS) and lacks the Philips attributes SUV scale factor (7053,1000)"
                " and activity concentration scale factor (7053,1009), so SUV cannot be computed.",
                _HINT,
            )
        scale = _from_activity(datasets, notes)
        return SuvScale(tuple(f * float(a or 0.0) for f, a in zip(scale, activity, strict=True)), tuple(notes))
    if units == "BQML":
        return SuvScale(_from_activity(datasets, notes), tuple(notes))
    raise InputError(f"The PET series is in {units}, from which SUV cannot be computed; it needs BQML, GML or Philips CNTS.", _HINT)


def _units(dataset: Dataset) -> str:
    return str(dataset.get("Units", "") or "").strip().upper()


def _corrections(dataset: Dataset) -> set[str]:
    value = dataset.get("CorrectedImage")
    items = [value] if isinstance(value, str) else list(value or ())
    return {str(item).strip().upper() for item in items}


def _check_attenuation(dataset: Dataset, notes: list[str]) -> None:
    corrections = _corrections(dataset)
    if not corrections:
        notes.append("The PET series does not say what it was corrected for (CorrectedImage (0028,0051)).")
    elif "ATTN" not in corrections:
        raise InputError(
            "The PET series is not corrected for attenuation (no ATTN in CorrectedImage), so it has no SUV.", "Choose the corrected series."
        )


def _private(dataset: Dataset, group: int, creator: str, element: int) -> float | None:
    """Return a positive private number; the creator may have been lost to de-identification."""
    try:
        value: Any = dataset.private_block(group, creator)[element].value
    except KeyError:
        value = dataset[group, 0x1000 + element].value if (group, 0x1000 + element) in dataset else None
    if isinstance(value, bytes):  # unknown private elements of implicit files arrive as bytes
        value = value.decode("ascii", "ignore").strip(" \0")
    result = number(value)
    return result if result and result > 0 else None


def _from_activity(datasets: Sequence[Dataset], notes: list[str]) -> tuple[float, ...]:
    """Return weight [g] over the injected activity [Bq] at the moment each image is corrected to."""
    first = datasets[0]
    missing: list[str] = []
    weight = number(first.get("PatientWeight"))
    if not weight or weight <= 0:
        missing.append("PatientWeight (0010,1030)")
    injections = first.get("RadiopharmaceuticalInformationSequence") or []
    if not injections:
        missing.append("RadiopharmaceuticalInformationSequence (0054,0016)")
    if len(injections) > 1:
        raise InputError("The PET series names more than one injection, so SUV cannot be computed.", "The image stays in its own unit.")
    given = injections[0] if injections else None
    dose = number(given.get("RadionuclideTotalDose")) if given is not None else None
    if not dose or dose <= 0:
        missing.append("RadionuclideTotalDose (0018,1074)")
    correction = str(first.get("DecayCorrection", "") or "").strip().upper()
    if correction not in ("START", "ADMIN", "NONE"):
        missing.append("DecayCorrection (0054,1102)")
    half_life = injected = None
    if correction in ("START", "NONE") or not correction:
        half_life = number(given.get("RadionuclideHalfLife")) if given is not None else None
        if not half_life or half_life <= 0:
            missing.append("RadionuclideHalfLife (0018,1075)")
        injected = _injection(given) if given is not None else (None, None)
        if injected == (None, None):
            missing.append("RadiopharmaceuticalStartDateTime (0018,1078) or RadiopharmaceuticalStartTime (0018,1072)")
        missing += _missing_times(datasets, correction)
    if missing:
        raise InputError(f"SUV cannot be computed; the PET series lacks {', '.join(missing)}.", _HINT)
    weight, dose = float(weight or 0.0), float(dose or 0.0)
    if dose < 1e4:
        raise InputError(
            f"RadionuclideTotalDose (0018,1074) is {dose:g} Bq, which is too little; it may have been written in MBq.",
            "The image stays in Bq/mL; correct the attribute to get SUV.",
        )
    if weight > 600:
        raise InputError(f"PatientWeight (0010,1030) is {weight:g} kg; it may have been written in grams.", "The image stays in Bq/mL.")
    corrections = _corrections(first)
    if corrections and ("DECY" in corrections) != (correction != "NONE"):
        raise InputError(
            f"DecayCorrection is {correction} but CorrectedImage says {'' if 'DECY' in corrections else 'not '}DECY,"
            " so SUV cannot be computed.",
            _HINT,
        )
    if correction == "ADMIN":
        return (weight * 1000.0 / dose,) * len(datasets)
    assert half_life is not None
    assert injected is not None
    if correction == "START":
        moments = [_scan_start(datasets, half_life, notes)] * len(datasets)
    else:
        moments = [_acquired(d) + dt.timedelta(seconds=_mean_count_time(d, half_life)) for d in datasets]
    seconds = _elapsed(moments, injected, half_life, notes)
    return tuple(weight * 1000.0 / (dose * 2.0 ** (-s / half_life)) for s in seconds)


def _missing_times(datasets: Sequence[Dataset], correction: str) -> list[str]:
    missing = []
    if correction == "NONE":
        if any(_moment(d, "Acquisition") is None for d in datasets):
            missing.append("AcquisitionDate (0008,0022) and AcquisitionTime (0008,0032)")
        if any(number(d.get("ActualFrameDuration")) is None for d in datasets):
            missing.append("ActualFrameDuration (0018,1242)")
    elif correction == "START":
        known = _datetime(datasets[0].get("DecayCorrectionDateTime")) or _moment(datasets[0], "Series")
        if known is None and all(_moment(d, "Acquisition") is None for d in datasets):
            missing.append(
                "SeriesDate (0008,0021) and SeriesTime (0008,0031), or AcquisitionDate (0008,0022) and AcquisitionTime (0008,0032)"
            )
    return missing


def _time(value: Any) -> dt.time | None:
    text = str(value or "").strip().replace(":", "")
    whole, _, fraction = text.partition(".")
    if len(whole) not in (2, 4, 6) or not whole.isdigit() or (fraction and not fraction.isdigit()):
        return None
    parts = [int(whole[i : i + 2]) for i in range(0, len(whole), 2)] + [0, 0]
    try:
        return dt.time(parts[0], parts[1], min(parts[2], 59), int((fraction + "000000")[:6]))
    except ValueError:
        return None


def _date(value: Any) -> dt.date | None:
    text = str(value or "").strip().replace(".", "").replace("-", "")
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:8])) if len(text) >= 8 else None
    except ValueError:
        return None


def _datetime(value: Any) -> dt.datetime | None:
    """Parse a DICOM DT. The zone is dropped: the dates and times it is compared with are local."""
    text = str(value or "").strip()
    digits = text.split("+")[0].split("-")[0]
    date, time = _date(digits[:8]), _time(digits[8:])
    return dt.datetime.combine(date, time) if date and time else None


def _moment(dataset: Dataset, which: str) -> dt.datetime | None:
    both = _datetime(dataset.get(f"{which}DateTime"))
    if both is not None:
        return both
    date, time = _date(dataset.get(f"{which}Date")), _time(dataset.get(f"{which}Time"))
    return dt.datetime.combine(date, time) if date and time else None


def _acquired(dataset: Dataset) -> dt.datetime:
    moment = _moment(dataset, "Acquisition")
    assert moment is not None
    return moment


def _injection(given: Dataset) -> tuple[dt.datetime | None, dt.time | None]:
    return _datetime(given.get("RadiopharmaceuticalStartDateTime")), _time(given.get("RadiopharmaceuticalStartTime"))


def _mean_count_time(dataset: Dataset, half_life_s: float) -> float:
    """Return when, in seconds after the start of a frame, the count rate equals its mean over the frame.

    With decay constant k and duration T: (1 / k) * ln(kT / (1 - exp(-kT))).
    """
    duration = (number(dataset.get("ActualFrameDuration")) or 0.0) / 1000.0
    decay = math.log(2.0) / half_life_s * duration
    return 0.0 if decay <= 0 else math.log(decay / -math.expm1(-decay)) / (math.log(2.0) / half_life_s)


def _scan_start(datasets: Sequence[Dataset], half_life_s: float, notes: list[str]) -> dt.datetime:
    """Return the moment to which a series with DecayCorrection START is corrected."""
    first = datasets[0]
    stated = _datetime(first.get("DecayCorrectionDateTime"))
    if stated is not None:
        return stated
    series = _moment(first, "Series")
    acquired = [moment for d in datasets if (moment := _moment(d, "Acquisition")) is not None]
    if series is not None and (not acquired or series <= min(acquired)):
        return series
    # The series was made after the scan (post-processed or renamed), so its time says nothing.
    ge = _ge_scan_start(first)
    if ge is not None:
        return ge
    # Siemens and others: the frame reference time counts from the wanted moment to the mean count
    # rate of the frame, and the acquisition time is the start of the frame.
    for d in datasets:
        reference, moment = number(d.get("FrameReferenceTime")), _moment(d, "Acquisition")
        if reference and reference > 0 and moment and number(d.get("ActualFrameDuration")):
            return moment - dt.timedelta(milliseconds=reference) + dt.timedelta(seconds=_mean_count_time(d, half_life_s))
    notes.append("The PET series was made after its scan; its earliest acquisition time was taken as the moment of decay correction.")
    return min(acquired)


def _ge_scan_start(dataset: Dataset) -> dt.datetime | None:
    try:
        value: Any = dataset.private_block(0x0009, _GE)[0x0D].value
    except KeyError:
        return None
    return _datetime(value.decode("ascii", "ignore").strip(" \0") if isinstance(value, bytes) else value)


def _elapsed(
    moments: Sequence[dt.datetime], injected: tuple[dt.datetime | None, dt.time | None], half_life_s: float, notes: list[str]
) -> list[float]:
    """Return the seconds from injection to each moment."""
    dated, clock = injected
    longest = _MAX_HALF_LIVES * half_life_s
    if dated is not None:
        seconds = [(m - dated).total_seconds() for m in moments]
        if min(seconds) >= 0 and max(seconds) <= longest:
            return seconds
        if clock is None:
            raise InputError(
                f"The PET scan lies {min(seconds) / 60:.0f} minutes after the injection by its dates, which cannot be right.", _HINT
            )
        notes.append("The injection's date (0018,1078) does not fit the scan; its time of day (0018,1072) was used.")
    assert clock is not None
    first = min(moments)
    start = dt.datetime.combine(first.date(), clock)
    if start > first:
        start -= dt.timedelta(days=1)
        notes.append("The injection's time of day is later than the scan's: it was taken to be on the day before.")
    seconds = [(m - start).total_seconds() for m in moments]
    if max(seconds) > longest:
        raise InputError(f"The PET scan lies {max(seconds) / 60:.0f} minutes after the injection, which cannot be right.", _HINT)
    return seconds
