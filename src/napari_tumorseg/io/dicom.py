"""DICOM image series: a messy folder in, volumes in the scanner's own grid and units out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Source, Volume
from napari_tumorseg.io.dicom_files import Found, Header, find_headers, kind_of, listening, parsing, safe_text
from napari_tumorseg.io.dicom_frames import Frame, frames_of, is_localizer, shared_group
from napari_tumorseg.io.dicom_layout import Layout, layout_of
from napari_tumorseg.io.dicom_modality import modality_of, number
from napari_tumorseg.io.dicom_pixels import PixelReader, is_colour
from napari_tumorseg.io.dicom_sorting import Stack, stacks_of
from napari_tumorseg.io.suv import pet_unit, suv_factors
from napari_tumorseg.io.suv_enhanced import classic_view

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["modality_of", "read_series"]

_AGAIN = "Copy it again from its source."
_KINDS = {
    "dicom-seg": "segmentations",
    "rtstruct": "structure sets",
    "slide": "microscopy slides",
    "directory": "directories",
    "other": "documents",
}


def read_series(source: Path | Sequence[Path], progress: Progress | None = None, *, allow_gaps: bool = False) -> tuple[Volume, ...]:
    """Read every image series below a folder.

    Files may lie unsorted, without extensions, among others, several series and patients
    together. Slices are sorted by their position along the slice normal. A series that holds
    several stacks (echoes, time points, acquisitions) gives one volume each.

    Parameters
    ----------
    source : Path or sequence of Path
        A folder, a DICOMDIR, or files.
    progress : Progress, optional
        Told how far it is; asked whether to stop.
    allow_gaps : bool
        Interpolate missing or unevenly spaced slices from their neighbours instead of refusing
        the series.

    Returns
    -------
    tuple of Volume
        By study date and series number. Data (z, y, x), or (3, z, y, x) for colour; integers
        where the rescaled values are, else float32. CT in HU, PET in SUV by body weight where
        its attributes allow it. `Source.header` holds, per slice, "files", "frame_numbers"
        (from 1; None for single-frame files), "sop_instance_uids" and "positions_lps" (None or
        interpolated for slices that were filled), and "series_uid", "study_uid", "study_date",
        "frame_of_reference_uid", "series_number", "dicom_modality", "orientation_lps".

    Raises
    ------
    InputError
        If nothing can be read. When some series can be read and others cannot, those that can
        are returned and the first of them carries the reasons of the others as warnings.

    Examples
    --------
    >>> volumes = read_series(Path("study"))  # doctest: +SKIP
    >>> [(v.modality, v.unit, v.shape) for v in volumes]  # doctest: +SKIP
    [('CT', 'HU', (48, 143, 161))]
    """
    steps = progress or Progress()
    notes: list[str] = []
    found = find_headers(source, steps.part(0.0, 0.3), notes)
    series = _series(found)
    if not series:
        raise _nothing(source, found)
    volumes: list[tuple[tuple[Any, ...], Volume]] = []
    refused: list[InputError] = []
    for index, headers in enumerate(series):
        part = steps.part(0.3 + 0.7 * index / len(series), 0.3 + 0.7 * (index + 1) / len(series))
        try:
            with parsing(f"A file of the series of {headers[0].path.name}", notes):
                volumes += _volumes(headers, part, allow_gaps)
        except InputError as error:
            refused.append(error)
    if found.damaged:
        names = ", ".join(found.damaged[:3]) + (f" and {len(found.damaged) - 3} more" if len(found.damaged) > 3 else "")
        notes.append(f"{names}: damaged or cut short, left out.")
    if not volumes:
        if len(refused) == 1:
            raise InputError(" ".join([refused[0].message, *notes[-1:]]) if found.damaged else refused[0].message, refused[0].hint)
        raise InputError(f"None of {len(refused)} series can be read: {' '.join(error.message for error in refused[:3])}", refused[0].hint)
    with listening(notes):
        people = {str(h.dataset.get("PatientID", "")) for headers in series for h in headers}
    if len(people) > 1:
        notes.append(f"The folder holds series of {len(people)} patients.")
    notes += [f"Left out: {error.message}" for error in refused]
    ordered = [volume for _, volume in sorted(volumes, key=lambda item: item[0])]
    ordered[0] = replace(ordered[0], warnings=(*ordered[0].warnings, *notes))
    steps.update(1.0, "Done")
    return tuple(ordered)


def _series(found: Found) -> list[list[Header]]:
    """Group images by series, localizers left out."""
    groups: dict[str, list[Header]] = {}
    for header in found.headers:
        with parsing(header.path.name):
            if kind_of(header.dataset) == "image" and not is_localizer(header.dataset):
                groups.setdefault(str(header.dataset.get("SeriesInstanceUID", "") or ""), []).append(header)
    return list(groups.values())


def _nothing(source: Path | Sequence[Path], found: Found) -> InputError:
    name = source.name if isinstance(source, Path) else f"The choice of {len(source)} files"
    if found.damaged:
        return InputError(f"{name} holds no readable DICOM image: {', '.join(found.damaged[:3])} damaged or cut short.", _AGAIN)
    if not found.headers:
        return InputError(f"{name} holds no DICOM file.", "Choose a folder of DICOM images.")
    kinds = {kind_of(header.dataset) for header in found.headers}
    if "image" in kinds:
        return InputError(f"{name} holds only localizer images.", "Choose a series that is a stack of slices.")
    only = " and ".join(_KINDS[kind] for kind in sorted(kinds))
    return InputError(f"{name} holds no image series, only {only}.", "Choose the folder of the image series.")


def _title(dataset: Dataset, label: str) -> str:
    text = safe_text(str(dataset.get("SeriesDescription", "") or ""), dataset)
    if not text:
        series_number = number(dataset.get("SeriesNumber"))
        text = f"{dataset.get('Modality', 'Image')} series".replace("PT ", "PET ") + (
            f" {series_number:.0f}" if series_number is not None else ""
        )
    return f"{text}, {label}" if label else text


def _volumes(headers: Sequence[Header], progress: Progress, allow_gaps: bool) -> list[tuple[tuple[Any, ...], Volume]]:
    first = headers[0].dataset
    what = _title(first, "")
    pixels = PixelReader()
    frames: list[Frame] = []
    for header in headers:
        with parsing(header.path.name):
            frames += frames_of(header)
    stacks = stacks_of(frames, pixels.same, what)
    results = []
    problems: list[InputError] = []
    order = (str(first.get("StudyDate", "") or ""), number(first.get("SeriesNumber")) or 0.0, str(first.get("SeriesInstanceUID", "")))
    for index, stack in enumerate(stacks):
        part = progress.part(index / len(stacks), (index + 1) / len(stacks))
        title = _title(first, stack.label)
        try:
            layout = layout_of(stack, title, allow_gaps)
            results.append(((*order, index), _volume(stack, layout, title, pixels, part)))
        except InputError as error:
            problems.append(error)
    if not results:
        raise problems[0]
    if problems:
        key, volume = results[0]
        results[0] = (key, replace(volume, warnings=(*volume.warnings, *(f"Left out: {error.message}" for error in problems))))
    return results


def _volume(stack: Stack, layout: Layout, title: str, pixels: PixelReader, progress: Progress) -> Volume:
    first = stack.frames[0].dataset
    modality = modality_of(first)
    warnings = [*stack.warnings, *layout.warnings]
    factors, unit = _units(stack.frames, modality, warnings)
    colour = is_colour(first)
    if colour:
        data = _colour_data(stack, layout, pixels, progress, title)
    else:
        data = _grey_data(stack, layout, factors, pixels, progress, title, warnings)
    sources = [stack.frames[low] if low == high else None for low, high in zip(layout.below, layout.above, strict=True)]
    paths = tuple(dict.fromkeys(frame.path for frame in sources if frame is not None))
    source = Source("dicom", paths, _header(first, stack, layout, sources))
    channels = ("R", "G", "B") if colour else ()
    said = tuple(dict.fromkeys([*warnings, *pixels.notes]))
    return Volume(data, layout.grid, modality, "" if colour else unit, channels, title, source, said)


def _header(first: Dataset, stack: Stack, layout: Layout, sources: Sequence[Frame | None]) -> Mapping[str, Any]:
    return {
        "files": tuple(None if frame is None else frame.path for frame in sources),
        "frame_numbers": tuple(None if frame is None or frame.index is None else frame.index + 1 for frame in sources),
        "sop_instance_uids": tuple(None if frame is None else frame.sop_uid for frame in sources),
        "positions_lps": layout.positions_lps,
        "orientation_lps": tuple(float(v) for v in stack.frames[0].orientation),
        "series_uid": str(first.get("SeriesInstanceUID", "")),
        "study_uid": str(first.get("StudyInstanceUID", "")),
        "study_date": str(first.get("StudyDate", "") or ""),
        "frame_of_reference_uid": str(first.get("FrameOfReferenceUID", "") or ""),
        "series_number": number(first.get("SeriesNumber")),
        "dicom_modality": str(first.get("Modality", "") or ""),
    }


def _units(frames: Sequence[Frame], modality: str, warnings: list[str]) -> tuple[list[float], str]:
    """Return a factor for each plane and the unit of the product."""
    plain = [1.0] * len(frames)
    if modality == "CT":
        kind = str(_rescale_type(frames[0]) or "HU").upper()
        if kind != "HU":
            warnings.append(f"The CT values are of type {kind}, not HU.")
        return plain, "HU" if kind == "HU" else ""
    if modality != "PET":
        return plain, ""
    described = [frame.dataset if frame.index is None else classic_view(frame.dataset, frame.index) for frame in frames]
    try:
        scale = suv_factors(described)
    except InputError as error:
        warnings.append(str(error))
        return plain, pet_unit(described[0])
    warnings += scale.notes
    return list(scale.factors), "SUV"


def _rescale_type(frame: Frame) -> Any:
    if frame.index is None:
        return frame.dataset.get("RescaleType")
    item = shared_group(frame.dataset, frame.index, "PixelValueTransformationSequence")
    return None if item is None else item.get("RescaleType")


def _grey_data(
    stack: Stack, layout: Layout, factors: Sequence[float], pixels: PixelReader, progress: Progress, title: str, warnings: list[str]
) -> npt.NDArray[Any]:
    frames = stack.frames
    inverted = str(frames[0].dataset.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1"
    keep = str(frames[0].dataset.get("Modality", "")) in ("CT", "PT")
    if inverted and keep:
        inverted = False  # HU and SUV mean what they mean, however the scanner wants them shown
    if inverted:
        warnings.append("Stored with white as the lowest value (MONOCHROME1): values were turned round so that bright is high.")
    whole = all(f.slope == int(f.slope) and f.intercept == int(f.intercept) and k == 1.0 for f, k in zip(frames, factors, strict=True))
    whole = whole and layout.below == layout.above
    data: npt.NDArray[Any] | None = None
    luts = "ModalityLUTSequence" in frames[0].dataset
    for z, (low, high, share) in enumerate(zip(layout.below, layout.above, layout.weight_above, strict=True)):
        progress.update(z / len(layout.below), f"Reading {title}, slice {z + 1} of {len(layout.below)}")
        plane = _rescaled(frames[low], factors[low], pixels, inverted, luts)
        if high != low:
            plane = (1 - share) * plane + share * _rescaled(frames[high], factors[high], pixels, inverted, luts)
        if data is None:
            integers = whole and not luts and pixels.plane(frames[low]).dtype.kind in "iu"
            data = np.empty(layout.grid.shape, np.int32 if integers else np.float32)
        data[z] = plane
    assert data is not None
    if data.dtype == np.int32:
        smallest, largest = int(data.min()), int(data.max())
        for dtype in (np.uint8, np.int16, np.uint16):
            if np.iinfo(dtype).min <= smallest and largest <= np.iinfo(dtype).max:
                return data.astype(dtype)
    return data


def _rescaled(frame: Frame, factor: float, pixels: PixelReader, inverted: bool, luts: bool) -> npt.NDArray[np.float64]:
    stored = pixels.plane(frame)
    if luts:
        from pydicom.pixels.processing import apply_modality_lut

        return np.asarray(apply_modality_lut(stored, frame.dataset), dtype=np.float64) * factor
    values = stored.astype(np.float64)
    if inverted:
        bits = int(frame.dataset.get("BitsStored", 16))
        values = (2.0**bits - 1.0 if not frame.dataset.get("PixelRepresentation") else -1.0) - values
    return np.asarray((values * frame.slope + frame.intercept) * factor)


def _colour_data(stack: Stack, layout: Layout, pixels: PixelReader, progress: Progress, title: str) -> npt.NDArray[Any]:
    planes = []
    for z, (low, high, share) in enumerate(zip(layout.below, layout.above, layout.weight_above, strict=True)):
        progress.update(z / len(layout.below), f"Reading {title}, slice {z + 1} of {len(layout.below)}")
        plane = pixels.plane(stack.frames[low])
        if high != low:
            plane = ((1 - share) * plane + share * pixels.plane(stack.frames[high])).round().astype(plane.dtype)
        planes.append(plane)
    return np.ascontiguousarray(np.stack(planes).transpose(3, 0, 1, 2))
