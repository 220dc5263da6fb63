"""One image plane each: where it lies, how its values are scaled, what sets it apart from its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.dicom_files import Header
from napari_tumorseg.io.dicom_modality import number

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["SPLIT_KEYS", "Frame", "frames_of", "is_localizer", "shared_group"]

#: What tells the stacks of one series apart, in the order in which it is tried, and its word for the user.
SPLIT_KEYS: Mapping[str, str] = {
    "stack": "stack",
    "time": "time point",
    "acquisition": "acquisition",
    "echo": "echo",
    "b_value": "b-value",
    "kind": "image type",
    "phase": "phase at",
    "reference_time": "frame at",
    "duration": "frame of",
    "acquired": "acquired at",
}


@dataclass(frozen=True, eq=False)
class Frame:
    """A plane of a single-frame file or of a multi-frame one.

    Attributes
    ----------
    path : Path
        The file.
    dataset : pydicom.Dataset
        Its attributes.
    index : int or None
        Frame in the file, from 0; None for a single-frame file.
    position_lps : numpy.ndarray
        (x, y, z) of the centre of the first pixel, LPS millimetres.
    orientation : numpy.ndarray
        Six cosines: direction along a row, direction down a column.
    spacing_mm : tuple of float
        Between rows and between columns.
    slope, intercept : float
        From stored values to rescaled ones.
    keys : mapping
        Values of `SPLIT_KEYS`; None where the file does not say.
    """

    path: Path
    dataset: Dataset
    index: int | None
    position_lps: npt.NDArray[np.float64]
    orientation: npt.NDArray[np.float64]
    spacing_mm: tuple[float, float]
    slope: float
    intercept: float
    keys: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.dataset.Rows), int(self.dataset.Columns)

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector across the plane, LPS."""
        across = np.cross(self.orientation[:3], self.orientation[3:])
        return np.asarray(across / np.linalg.norm(across))

    @property
    def sop_uid(self) -> str:
        """SOP instance UID of the file."""
        return str(self.dataset.get("SOPInstanceUID", ""))


def is_localizer(dataset: Dataset) -> bool:
    """Whether the image only serves to plan others."""
    return "LOCALIZER" in [str(v).upper() for v in dataset.get("ImageType") or ()]


def shared_group(dataset: Dataset, index: int, name: str) -> Dataset | None:
    """Return the functional group `name` of a frame: its own, else the one shared by all frames, else None."""
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for source in (*frames[index : index + 1], *shared):
        if source.get(name):
            return source.get(name)[0]
    return None


def _numbers(value: Any, count: int) -> npt.NDArray[np.float64] | None:
    if value is None or isinstance(value, str) or not isinstance(value, Iterable):
        return None
    found = [number(v) for v in value]
    if len(found) != count or any(v is None for v in found):
        return None
    return np.array(found, dtype=np.float64)


def frames_of(header: Header) -> list[Frame]:
    """Return the planes of a file.

    Raises
    ------
    InputError
        If the position, orientation, pixel spacing or rescaling of a plane is missing or not usable.
    """
    dataset = header.dataset
    count = int(number(dataset.get("NumberOfFrames")) or 1)
    if dataset.get("PerFrameFunctionalGroupsSequence") or dataset.get("SharedFunctionalGroupsSequence"):
        return [_enhanced(header, index) for index in range(count)]
    if count > 1:
        raise InputError(
            f"{header.path.name} holds {count} frames without a position for each, so they cannot be put into space.",
            "Export it as an enhanced multi-frame image or as single slices.",
        )
    keys = {
        "stack": None,
        "time": _plain(dataset.get("TemporalPositionIdentifier")),
        "acquisition": _plain(dataset.get("AcquisitionNumber")),
        "echo": _plain(dataset.get("EchoNumbers")) if dataset.get("EchoNumbers") else _plain(dataset.get("EchoTime")),
        "b_value": _plain(dataset.get("DiffusionBValue")),
        "kind": _plain(dataset.get("ImageType")),
        "phase": _plain(dataset.get("TriggerTime")),
        "reference_time": _plain(dataset.get("FrameReferenceTime")),
        "duration": _plain(dataset.get("ActualFrameDuration")),
        "acquired": _plain(dataset.get("AcquisitionTime")),
    }
    return [
        _frame(
            header,
            None,
            dataset.get("ImagePositionPatient"),
            dataset.get("ImageOrientationPatient"),
            dataset.get("PixelSpacing"),
            dataset.get("RescaleSlope", 1),
            dataset.get("RescaleIntercept", 0),
            keys,
        )
    ]


def _enhanced(header: Header, index: int) -> Frame:
    dataset = header.dataset

    def find(group: str, keyword: str) -> Any:
        item = shared_group(dataset, index, group)
        return None if item is None else item.get(keyword)

    content = shared_group(dataset, index, "FrameContentSequence")
    modality_type = {"MR": "MRImageFrameTypeSequence", "CT": "CTImageFrameTypeSequence", "PT": "PETFrameTypeSequence"}
    keys = {
        "stack": None if content is None else _plain(content.get("StackID")),
        "time": None if content is None else _plain(content.get("TemporalPositionIndex")),
        "acquisition": None if content is None else _plain(content.get("FrameAcquisitionNumber")),
        "echo": _plain(find("MREchoSequence", "EffectiveEchoTime")),
        "b_value": _plain(find("MRDiffusionSequence", "DiffusionBValue")),
        "kind": _plain(find(modality_type.get(str(dataset.get("Modality", "")), "FrameTypeSequence"), "FrameType")),
        "phase": _plain(find("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime")),
        "reference_time": None if content is None else _plain(content.get("FrameReferenceDateTime")),
        "duration": None if content is None else _plain(content.get("FrameAcquisitionDuration")),
        "acquired": None if content is None else _plain(content.get("FrameAcquisitionDateTime")),
    }
    slope = find("PixelValueTransformationSequence", "RescaleSlope")
    intercept = find("PixelValueTransformationSequence", "RescaleIntercept")
    if str(dataset.get("Modality", "")) == "PT" and find("RealWorldValueMappingSequence", "RealWorldValueSlope") is not None:
        # In enhanced PET this mapping, not the pixel value transformation, leads to Bq/mL.
        slope = find("RealWorldValueMappingSequence", "RealWorldValueSlope")
        intercept = find("RealWorldValueMappingSequence", "RealWorldValueIntercept")
    return _frame(
        header,
        index,
        find("PlanePositionSequence", "ImagePositionPatient"),
        find("PlaneOrientationSequence", "ImageOrientationPatient"),
        find("PixelMeasuresSequence", "PixelSpacing"),
        dataset.get("RescaleSlope", 1) if slope is None else slope,
        dataset.get("RescaleIntercept", 0) if intercept is None else intercept,
        keys,
    )


def _plain(value: Any) -> Any:
    """Return a value that can be compared and hashed."""
    if value is None or value == "":
        return None
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        return tuple(str(v) for v in value) or None
    as_number = number(value)
    return str(value) if as_number is None else as_number


def _frame(
    header: Header, index: int | None, position: Any, orientation: Any, spacing: Any, slope: Any, intercept: Any, keys: Mapping[str, Any]
) -> Frame:
    where = header.path.name if index is None else f"Frame {index + 1} of {header.path.name}"
    place = _numbers(position, 3)
    cosines = _numbers(orientation, 6)
    pixel = _numbers(spacing, 2)
    lacking = [
        name
        for name, value in (
            ("ImagePositionPatient (0020,0032)", place),
            ("ImageOrientationPatient (0020,0037)", cosines),
            ("PixelSpacing (0028,0030)", pixel),
        )
        if value is None
    ]
    if lacking or place is None or cosines is None or pixel is None:
        raise InputError(
            f"{where} lacks {', '.join(lacking)}, so it cannot be put into space.", "Export the series again with its geometry."
        )
    lengths = np.linalg.norm(cosines.reshape(2, 3), axis=1)
    if np.abs(lengths - 1).max() > 0.01 or abs(float(cosines[:3] @ cosines[3:])) > 0.01:
        raise InputError(f"The row and column directions of {where} are not at right angles.", "Export the series again with its geometry.")
    if pixel.min() <= 0:
        raise InputError(f"{where} has a pixel spacing of {pixel[0]:g} x {pixel[1]:g} mm.", "Export the series again with its geometry.")
    a, b = number(1 if slope in (None, "") else slope), number(0 if intercept in (None, "") else intercept)
    if a is None or b is None or a == 0:
        raise InputError(f"RescaleSlope or RescaleIntercept of {where} is not a usable number.", "Export the series again.")
    unit = (cosines.reshape(2, 3) / lengths[:, None]).ravel()
    return Frame(header.path, header.dataset, index, place, unit, (float(pixel[0]), float(pixel[1])), a, b, dict(keys))
