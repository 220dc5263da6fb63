"""DICOM segmentation objects in; `dicom_seg_write` writes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.dicom_codes import Segment, code_of, hex_from_lab, schema_and_values
from napari_tumorseg.io.dicom_files import kind_of, parsing, read_dataset
from napari_tumorseg.io.dicom_frames import shared_group
from napari_tumorseg.io.dicom_modality import number
from napari_tumorseg.io.dicom_pixels import stored_frames
from napari_tumorseg.io.dicom_planes import Plane, own_grid, slices_of
from napari_tumorseg.io.dicom_seg_write import write_seg
from napari_tumorseg.io.geometry import mask_on_grid
from napari_tumorseg.io.overlap import Overlap, Painter
from napari_tumorseg.io.schemas import read_stamp

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["read_seg", "write_seg"]

_BACKGROUND = "125040"  # DCM "Background"


def read_seg(
    path: Path,
    reference: Volume | None = None,
    *,
    on_overlap: Overlap = "error",
    schema: LabelSchema | None = None,
    threshold: float = 0.5,
) -> MaskVersion:
    """Read a DICOM SEG of any kind: binary, fractional or label map.

    Parameters
    ----------
    path : Path
        The file.
    reference : Volume, optional
        The series it was made for; the mask lies on exactly its grid. Without it the mask lies
        on the stack of its own frames, with room for empty frames that were left out.
    on_overlap : str
        Which segment wins where several overlap: the "first" or the "last" of the file; "error"
        refuses and names them.
    schema : LabelSchema, optional
        Labels that the segments are matched to by name or coded type; by default the schema the
        file was written with, or one made of its segments.
    threshold : float
        Share of the maximum from which a voxel of a fractional segment counts, above 0 to 1.

    Returns
    -------
    MaskVersion
        Labels uint8, or uint16 where a value is above 255. `header` holds "segments" (tuple of
        `dicom_codes.Segment`), "sop_instance_uid", "series_uid" and "referenced_series_uid".

    Raises
    ------
    InputError
        If the file is no segmentation, is damaged, has overlapping segments or segments without
        a label.
    GeometryError
        If it was made for other images than `reference`.

    Examples
    --------
    >>> mask = read_seg(Path("seg.dcm"), reference)  # doctest: +SKIP
    >>> mask.grid == reference.grid  # doctest: +SKIP
    True
    """
    if not 0.0 < threshold <= 1.0:
        raise InputError(f"{threshold:g} is not a usable threshold.", "Give a number above 0 and up to 1.")
    with parsing(path.name):
        dataset = read_dataset(path, pixels=True)
        if dataset is None or kind_of(dataset) != "dicom-seg":
            raise InputError(f"{path.name} is not a DICOM segmentation.", "Choose a DICOM SEG file.")
        return _read(dataset, path.name, reference, on_overlap, schema, threshold)


def _read(
    dataset: Dataset, name: str, reference: Volume | None, on_overlap: Overlap, schema: LabelSchema | None, threshold: float
) -> MaskVersion:
    kind = str(dataset.get("SegmentationType", "") or "").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        if not kind:
            raise InputError(f"{name} is damaged or cut short: it does not say its SegmentationType.", "Copy it again from its source.")
        raise InputError(f"{name} is a segmentation of type {kind}.", "Export it as binary, fractional or label map.")
    segments = _segments(dataset)
    if not segments:
        raise InputError(f"{name} describes no segment.", "Export it again from its source.")
    chosen, values = schema_and_values(segments, schema, name)
    planes = _planes(dataset, name)
    if reference is not None:
        _check_frame_of_reference(dataset, reference, name)
    places = slices_of(planes, reference) if reference is not None else None
    if places is not None and reference is not None:
        grid = reference.grid
    else:
        grid, places = own_grid(planes, _spacing(dataset), name)
    painter = Painter(grid.shape, max(values.values()), {s.number: s.name for s in segments}, values)
    if kind == "LABELMAP":
        _paint_labelmap(dataset, name, places, painter)
    else:
        _paint_segments(dataset, name, kind, places, painter, threshold)
    labels = painter.finish(on_overlap, name)
    mask = _version(dataset, labels, grid, chosen, segments)
    # Frames that are no slices of the reference may still be a turned or cropped copy of its grid.
    return mask if reference is None else mask_on_grid(mask, reference.grid, name, reference.name or "its image", allow_part=True)


def _segments(dataset: Dataset) -> list[Segment]:
    found = []
    for item in dataset.get("SegmentSequence") or ():
        kind = code_of(item.get("SegmentedPropertyTypeCodeSequence"))
        segment_number = int(number(item.get("SegmentNumber")) or 0)
        if segment_number == 0 or (kind is not None and kind.value == _BACKGROUND and kind.scheme == "DCM"):
            continue
        found.append(
            Segment(
                segment_number,
                str(item.get("SegmentLabel", "") or ""),
                str(item.get("SegmentDescription", "") or ""),
                hex_from_lab(item.get("RecommendedDisplayCIELabValue")),
                code_of(item.get("SegmentedPropertyCategoryCodeSequence")),
                kind,
                str(item.get("SegmentAlgorithmType", "") or ""),
                _algorithm(item),
            )
        )
    return sorted(found, key=lambda segment: segment.number)


def _algorithm(item: Dataset) -> str:
    """Return name and version of the algorithm that made a segment, "" when none is stated."""
    name = str(item.get("SegmentAlgorithmName", "") or "")
    known = item.get("SegmentationAlgorithmIdentificationSequence")
    version = str(known[0].get("AlgorithmVersion", "") or "") if known else ""
    return f"{name} {version}" if name and version and version != "unknown" else name


def _planes(dataset: Dataset, name: str) -> list[Plane]:
    count = int(number(dataset.get("NumberOfFrames")) or 1)
    if "TotalPixelMatrixColumns" in dataset or shared_group(dataset, 0, "PlanePositionSlideSequence") is not None:
        raise InputError(f"{name} is a segmentation of a microscopy slide.", "Open it with the slide, not with a scan.")
    shape = int(dataset.Rows), int(dataset.Columns)
    planes = []
    for index in range(count):
        position = shared_group(dataset, index, "PlanePositionSequence")
        orientation = shared_group(dataset, index, "PlaneOrientationSequence")
        measures = shared_group(dataset, index, "PixelMeasuresSequence")
        if position is None or orientation is None or measures is None:
            raise InputError(f"Frame {index + 1} of {name} has no position in space.", "Choose a segmentation of a CT, MR or PET series.")
        try:
            place = np.array([float(v) for v in position.ImagePositionPatient])
            cosines = np.array([float(v) for v in orientation.ImageOrientationPatient])
            down, along = (float(v) for v in measures.PixelSpacing)
        except (AttributeError, TypeError, ValueError):
            raise InputError(f"Frame {index + 1} of {name} has no usable position in space.", "Export it again from its source.") from None
        if place.shape != (3,) or cosines.shape != (6,) or not np.isfinite(np.concatenate([place, cosines])).all() or min(down, along) <= 0:
            raise InputError(f"Frame {index + 1} of {name} has no usable position in space.", "Export it again from its source.")
        planes.append(Plane(place, cosines, (down, along), shape))
    return planes


def _spacing(dataset: Dataset) -> float | None:
    measures = shared_group(dataset, 0, "PixelMeasuresSequence")
    if measures is None:
        return None
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = number(measures.get(keyword))
        if value and value > 0:
            return value
    return None


def _references(dataset: Dataset) -> tuple[str, set[str]]:
    """Return the UIDs of the series and of the images that the segmentation was made for."""
    series = dataset.get("ReferencedSeriesSequence") or []
    images = {str(item.get("ReferencedSOPInstanceUID", "")) for one in series for item in one.get("ReferencedInstanceSequence") or ()}
    return (str(series[0].get("SeriesInstanceUID", "")) if series else ""), images


def _check_frame_of_reference(dataset: Dataset, reference: Volume, name: str) -> None:
    header: Mapping[str, Any] = reference.source.header if reference.source is not None and reference.source.format == "dicom" else {}
    theirs = str(header.get("frame_of_reference_uid", "") or "")
    own = str(dataset.get("FrameOfReferenceUID", "") or "")
    if theirs and own and theirs != own and not _references(dataset)[1] & set(header.get("sop_instance_uids", ())):
        raise GeometryError(
            f"{name} was made in another frame of reference than {reference.name or 'the image'}.", "Choose the series it was made for."
        )


def _paint_labelmap(dataset: Dataset, name: str, places: Sequence[int], painter: Painter) -> None:
    padding = number(dataset.get("PixelPaddingValue"))
    for z, frame in zip(places, stored_frames(dataset, name, range(len(places))), strict=True):
        for value in np.unique(frame).tolist():
            if value in painter.values:
                painter.paint(z, frame == value, value)
            elif value not in (0, padding):
                raise InputError(f"{name} holds the value {value}, which it does not describe.", "Export it again from its source.")


def _paint_segments(dataset: Dataset, name: str, kind: str, places: Sequence[int], painter: Painter, threshold: float) -> None:
    numbers = []
    for index in range(len(places)):
        item = shared_group(dataset, index, "SegmentIdentificationSequence")
        segment = None if item is None else number(item.get("ReferencedSegmentNumber"))
        if segment is None or int(segment) not in painter.values:
            raise InputError(f"Frame {index + 1} of {name} belongs to no segment that it describes.", "Export it again from its source.")
        numbers.append(int(segment))
    least = 1.0
    if kind == "FRACTIONAL":
        top = number(dataset.get("MaximumFractionalValue"))
        if not top or top <= 0:
            raise InputError(f"{name} is fractional and lacks MaximumFractionalValue (0062,000E).", "Export it again from its source.")
        least = threshold * top
    order = sorted(range(len(places)), key=lambda index: (numbers[index], index))
    for index, frame in zip(order, stored_frames(dataset, name, order), strict=True):
        painter.paint(places[index], frame >= least, numbers[index])


def _version(
    dataset: Dataset, labels: npt.NDArray[np.unsignedinteger[Any]], grid: Grid, schema: LabelSchema, segments: Sequence[Segment]
) -> MaskVersion:
    kind, review = read_stamp(str(dataset.get("ContentDescription", "") or ""))
    ours = str(dataset.get("ContentDescription", "") or "").startswith("tumorseg ")
    if not ours and all(segment.algorithm == "AUTOMATIC" for segment in segments):
        kind, review = MaskKind.AI, Review.NOT_REVIEWED
    author = next((segment.author for segment in segments if segment.author), "") or str(dataset.get("ContentCreatorName", "") or "")
    header = {
        "segments": tuple(segments),
        "sop_instance_uid": str(dataset.get("SOPInstanceUID", "")),
        "series_uid": str(dataset.get("SeriesInstanceUID", "")),
        "referenced_series_uid": _references(dataset)[0],
    }
    return MaskVersion(labels, grid, schema, kind, author, review, _created(dataset), header=header)


def _created(dataset: Dataset) -> dt.datetime:
    clock, _, fraction = str(dataset.get("ContentTime", "") or "000000").partition(".")
    text = f"{dataset.get('ContentDate', '') or ''}{clock}.{fraction or '0'}"
    try:
        return dt.datetime.strptime(text, "%Y%m%d%H%M%S.%f").astimezone()  # local time, as DICOM has it
    except ValueError:
        return dt.datetime.now(dt.UTC)
