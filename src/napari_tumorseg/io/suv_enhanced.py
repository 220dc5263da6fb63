"""Enhanced (multi-frame) PET in the words of classic PET, so that one set of SUV rules serves both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_tumorseg.io.dicom_codes import code_of
from napari_tumorseg.io.dicom_frames import shared_group
from napari_tumorseg.io.dicom_modality import number

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["classic_view"]

#: UCUM codes of real-world values and the classic Units and SUVType.
_UNITS = {
    "bq/ml": ("BQML", ""),
    "{counts}": ("CNTS", ""),
    "g/ml{suvbw}": ("GML", "BW"),
    "g/ml{suvlbm}": ("GML", "LBM"),
    "g/ml": ("GML", ""),
}
_CORRECTIONS = {"AttenuationCorrected": "ATTN", "DecayCorrected": "DECY", "ScatterCorrected": "SCAT", "RandomsCorrected": "RAN"}


def classic_view(dataset: Dataset, index: int) -> Dataset:
    """Return the attributes of a frame of enhanced PET that `suv.suv_factors` needs, under their classic names.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Enhanced PET image.
    index : int
        Frame, from 0.

    Notes
    -----
    DICOM PS3.3 C.8.22: enhanced PET says whether it was decay-corrected (DecayCorrected) and to
    which moment (DecayCorrectionDateTime), and gives its unit with the real-world value mapping.
    """
    from pydicom import Dataset as Attributes

    view = Attributes()
    for keyword in ("PatientWeight", "RadiopharmaceuticalInformationSequence", "DecayCorrectionDateTime", "SeriesDate", "SeriesTime"):
        if keyword in dataset:
            setattr(view, keyword, dataset.get(keyword))
    mapping = shared_group(dataset, index, "RealWorldValueMappingSequence")
    code = None if mapping is None else code_of(mapping.get("MeasurementUnitsCodeSequence"))
    view.Units, kind = _UNITS.get("" if code is None else code.value.lower(), (str(dataset.get("Units", "") or ""), ""))
    if kind:
        view.SUVType = kind
    corrections = [short for keyword, short in _CORRECTIONS.items() if str(dataset.get(keyword, "")).upper() == "YES"]
    if corrections:
        view.CorrectedImage = corrections
    if "DecayCorrected" in dataset:
        view.DecayCorrection = "START" if "DECY" in corrections else "NONE"
    content = shared_group(dataset, index, "FrameContentSequence")
    if content is not None:
        if content.get("FrameAcquisitionDateTime"):
            view.AcquisitionDateTime = content.FrameAcquisitionDateTime
        duration = number(content.get("FrameAcquisitionDuration"))
        if duration is not None:
            view.ActualFrameDuration = int(duration)
    return view
