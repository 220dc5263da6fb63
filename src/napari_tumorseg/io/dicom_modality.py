"""Which modality an image shows, from its DICOM attributes."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["modality_of", "number"]

_PLAIN = {"CT": "CT", "PT": "PET"}
# Series that are made from, or prepare, an anatomical one: their names often carry "t1" or "t2" too.
_NOT_ANATOMY = re.compile(
    r"dwi|dti|diff|adc|trace|\bep2d|swi|swan|\bt2 ?\*|t2 ?star|\bt2s\b|hemo|perf|dsc|dce|\basl\b|bold|fmri|tof|angio|\bmra\b|\bpc\b"
    r"|localiz|scout|survey|subtract|\bsub\b|\bmap|mapping|relax|spectro|csi|\bpd\b|proton|stir|field ?map|moco|mip\b|rcbv|rcbf|mtt|ktrans",
)
_FLAIR = re.compile(r"flair|dark ?fluid|tirm")
_T1 = re.compile(r"(?<![a-z0-9])t1(?![0-9])|mp ?rage|bravo|(?<![a-z])t1w|spgr|tfl(?![a-z])")
_T2 = re.compile(r"(?<![a-z0-9])t2(?![0-9])")
_AFTER = re.compile(
    r"\+ ?c\b|\bgd\b|\bgad|\bpost\b|post ?gd|post ?con|contrast|\bce\b|t1ce|t1c\b|\bkm\b|\+ ?gd|enhanced|\bc\+"
    r"|magnevist|dotarem|gadovist"
)
_BEFORE = re.compile(r"\bpre\b|without|non ?contrast|no contrast|nativ|w/o|unenhanced|pre ?contrast")
_NO_AGENT = {"", "no", "none", "n", "n/a", "without", "no contrast"}


def number(value: Any) -> float | None:
    """Return a DICOM number as float, None where it is absent, empty or not finite."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def _timing(dataset: Dataset, keyword: str) -> float | None:
    value = number(dataset.get(keyword))
    if value is not None:
        return value
    names = {
        "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
        "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
        "InversionTime": ("MRModifierSequence", "InversionTimes"),
    }
    group, inner = names[keyword]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [None]
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or [None]
    for source in (frames[0], shared[0]):
        if source is not None and source.get(group):
            return number(source.get(group)[0].get(inner))
    return None


def modality_of(dataset: Dataset) -> str:
    """Return what an image shows: "CT", "PET", "T1", "T1c", "T2", "FLAIR", another DICOM code, or "".

    Parameters
    ----------
    dataset : pydicom.Dataset
        Attributes of any image of the series.

    Returns
    -------
    str
        "" for an MR image whose weighting is not certain: neither its description names one
        weighting, nor do TR, TE and TI fall into the textbook range of one, or the two disagree.

    Examples
    --------
    >>> from pydicom import Dataset
    >>> image = Dataset()
    >>> image.Modality, image.SeriesDescription = "MR", "AX T1 SE +C"
    >>> modality_of(image)
    'T1c'

    Notes
    -----
    TR, TE and TI limits are those of common teaching (spin-echo T1: TR up to 1000 ms and TE up to
    30 ms; T2: TR above 2000 ms and TE above 70 ms; FLAIR: TI above 1500 ms), with room for
    inversion-prepared gradient echo (TI of 400 to 1300 ms and TE under 10 ms is T1).
    """
    code = str(dataset.get("Modality", "") or "").upper()
    if code != "MR":
        return _PLAIN.get(code, code)
    words = " ".join(str(dataset.get(keyword, "") or "") for keyword in ("SeriesDescription", "ProtocolName"))
    text = words.lower().replace("_", " ").replace("-", " ")
    image_type = [str(v).upper() for v in dataset.get("ImageType") or ()]
    if _NOT_ANATOMY.search(text) or {"ADC", "TRACEW", "FA", "DIFFUSION", "MIP", "SUBTRACT", "SUBTRACTION", "PERFUSION"} & set(image_type):
        return ""
    named = _named_weighting(text)
    measured = _measured_weighting(dataset)
    if named == "?" or (named and measured and named != measured):
        return ""
    weighting = named or measured
    return _with_contrast(dataset, text) if weighting == "T1" else weighting


def _named_weighting(text: str) -> str:
    if _FLAIR.search(text):
        return "T1" if _T1.search(text) and "t2" not in text else "FLAIR"  # "T1 FLAIR" is a T1-weighted inversion recovery
    t1, t2 = bool(_T1.search(text) or re.search(r"t1ce|t1c\b|t1gd", text)), bool(_T2.search(text))
    if t1 and t2:
        return "?"
    return "T1" if t1 else "T2" if t2 else ""


def _measured_weighting(dataset: Dataset) -> str:
    tr, te, ti = (_timing(dataset, name) for name in ("RepetitionTime", "EchoTime", "InversionTime"))
    if te is None or tr is None:
        return ""
    if ti is not None and ti > 1500 and te > 50:
        return "FLAIR"
    if ti is not None and 400 <= ti <= 1300:
        return "T1" if te < 30 else ""
    if not ti:
        if te >= 70 and tr >= 2000:
            return "T2"
        if te <= 30 and tr <= 1000 and (number(dataset.get("FlipAngle")) or 90.0) >= 8:
            return "T1"
    return ""


def _with_contrast(dataset: Dataset, text: str) -> str:
    agent = str(dataset.get("ContrastBolusAgent", "") or "").strip().lower()
    given = agent not in _NO_AGENT or bool(dataset.get("ContrastBolusAgentSequence"))
    if _BEFORE.search(text):
        return "T1"  # the agent's attribute is often copied to every series of the visit
    return "T1c" if given or _AFTER.search(text) else "T1"
