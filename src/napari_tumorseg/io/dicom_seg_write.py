"""DICOM segmentation objects out, through highdicom."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.labels import Code, Label
from napari_tumorseg.core.settings import RESEARCH_USE_ONLY
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.io.dicom_codes import describe, lab_from_hex
from napari_tumorseg.io.dicom_files import kind_of, listening, parsing, read_dataset, safe_text
from napari_tumorseg.io.dicom_frames import shared_group
from napari_tumorseg.io.dicom_planes import slice_positions_lps
from napari_tumorseg.io.geometry import require_same_grid
from napari_tumorseg.io.schemas import stamp

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["write_seg"]

SegKind = Literal["binary", "labelmap", "fractional"]

_SOFTWARE = "napari-tumorseg"
_COPIED = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime")


def write_seg(
    path: Path,
    mask: MaskVersion,
    reference: Volume,
    *,
    kind: SegKind = "binary",
    probabilities: Mapping[str, npt.NDArray[np.floating[Any]]] | None = None,
) -> Path:
    """Write a mask as DICOM SEG for the series it was made on.

    Each label of the schema becomes a segment with its coded category and type, colour, and the
    algorithm or person that made it. Frames without a voxel are left out; a mask without any
    voxel is written with two empty frames per segment, at the ends of the stack, since a SEG must
    hold one and "nothing found" is a result. The same mask version gives the same bytes and UIDs.

    Parameters
    ----------
    path : Path
        Target, written atomically.
    mask : MaskVersion
        On the grid of `reference`.
    reference : Volume
        Read from DICOM; its files are read again for what a SEG copies from them.
    kind : str
        "binary", "labelmap" (2024, unknown to many readers) or "fractional".
    probabilities : mapping of str to numpy.ndarray, optional
        For "fractional": by label name, (z, y, x), 0 to 1. Without it the mask itself is stored,
        as occupancy of 0 or 1.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    InputError
        If the reference did not come from DICOM or its files have gone, or the probabilities do
        not fit.
    GeometryError
        If the mask does not lie on the grid of the reference.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> write_seg(Path("seg.dcm"), mask, read_series(Path("ct"))[0])  # doctest: +SKIP
    """
    if kind not in ("binary", "labelmap", "fractional"):
        raise InputError(f"{kind!r} is no kind of DICOM SEG.", "Choose binary, labelmap or fractional.")
    if reference.source is None or reference.source.format != "dicom":
        raise InputError(
            f"{path.name} needs the DICOM series that the mask was made on.", "Open the DICOM folder, or save as NIfTI or NRRD."
        )
    require_same_grid(mask.grid, "The mask", reference.grid, reference.name or "its image")
    mask.schema.check(mask.labels)
    sources = _sources(reference)
    labels = sorted(mask.schema.labels, key=lambda label: label.value)
    pixels = _pixels(mask, labels, kind, probabilities)
    keep = np.arange(mask.grid.shape[0])
    if not pixels.any():
        keep = np.unique(keep[[0, -1]])
    try:
        with listening():
            dataset = _segmentation(mask, reference, sources, labels, kind, pixels[keep], keep, probabilities is not None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        why = safe_text(str(error).split("\n")[0], sources[0])
        raise InputError(
            f"A DICOM SEG cannot be made for {reference.name}: {why or 'an attribute of the series is not valid'}.",
            "Save as NIfTI or NRRD.",
        ) from error
    with atomic_write(path) as part, listening():
        dataset.save_as(part, enforce_file_format=True)
    return path


def _sources(reference: Volume) -> list[Dataset]:
    """Return the headers of the source files, in slice order, with what highdicom asks for."""
    assert reference.source is not None
    datasets = []
    for path in reference.source.paths:
        with parsing(path.name):
            dataset = read_dataset(path)
            if dataset is None or kind_of(dataset) != "image":
                raise InputError(f"{path.name} is no DICOM image any more.", "Open the series again.")
        datasets.append(dataset)
    if not datasets:
        raise InputError(f"{reference.name} does not know its DICOM files.", "Open the series again.")
    first = datasets[0]
    for keyword, tag in (("StudyInstanceUID", "(0020,000D)"), ("SeriesInstanceUID", "(0020,000E)"), ("FrameOfReferenceUID", "(0020,0052)")):
        if not first.get(keyword):
            raise InputError(f"{reference.name} lacks {keyword} {tag}, which a DICOM SEG must repeat.", "Save as NIfTI or NRRD.")
    _share_groups(first, reference)
    for dataset in datasets:
        for keyword in _COPIED:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        if str(dataset.PatientSex or "") not in ("", "M", "F", "O"):
            dataset.PatientSex = ""
        if "PixelSpacing" in dataset and not dataset.get("SliceThickness"):
            dataset.SliceThickness = float(f"{_distance_mm(reference):.10g}")
        if "ImageOrientationPatient" in first:
            # Slices of one stack may differ in the last digits, which highdicom does not allow.
            dataset.ImageOrientationPatient = first.ImageOrientationPatient
    return datasets


def _share_groups(first: Dataset, reference: Volume) -> None:
    """Put orientation and pixel size where highdicom looks for them in a multi-frame source: shared by all frames.

    Files may repeat them for each frame; those of one stack are equal.
    """
    assert reference.source is not None
    frames = [n for n in reference.source.header.get("frame_numbers", ()) if n is not None]
    if not frames or not first.get("SharedFunctionalGroupsSequence"):
        return
    for name in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        own = shared_group(first, frames[0] - 1, name)
        if own is not None:
            setattr(first.SharedFunctionalGroupsSequence[0], name, [own])
    measures = first.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if not measures.get("SliceThickness"):
        measures.SliceThickness = float(f"{_distance_mm(reference):.10g}")


def _only_frames(dataset: Dataset, frames: set[int]) -> None:
    """Take out references to frames of other stacks (echoes, time points) that lie at the same places."""
    for item in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in item.get("DerivationImageSequence") or ():
            kept = [source for source in derivation.SourceImageSequence if int(source.ReferencedFrameNumber) in frames]
            derivation.SourceImageSequence = kept or list(derivation.SourceImageSequence)


def _pixels(
    mask: MaskVersion, labels: Sequence[Label], kind: SegKind, probabilities: Mapping[str, npt.NDArray[np.floating[Any]]] | None
) -> npt.NDArray[Any]:
    if probabilities is not None and kind != "fractional":
        raise InputError("Probabilities go into a fractional DICOM SEG only.", "Choose the kind 'fractional'.")
    if kind == "labelmap":
        return mask.labels
    if kind == "fractional" and probabilities is not None:
        unknown = sorted(set(probabilities) - {label.name for label in labels})
        if unknown or not probabilities:
            raise InputError(f"{', '.join(unknown) or 'Nothing'} is no label of {mask.schema.name}.", "Give probabilities by label name.")
        stack = np.zeros((*mask.grid.shape, len(labels)), np.float32)
        for index, label in enumerate(labels):
            if label.name in probabilities:
                values = np.asarray(probabilities[label.name], np.float32)
                if values.shape != mask.grid.shape or not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
                    raise InputError(
                        f"The probabilities of {label.name} are not 0 to 1 on the grid of the mask.", "Give one number per voxel."
                    )
                stack[..., index] = values
        return stack
    # Segment numbers of binary and fractional objects must run from 1 without a gap.
    table = np.zeros(int(max(label.value for label in labels)) + 1, np.uint8 if len(labels) < 256 else np.uint16)
    table[[label.value for label in labels]] = np.arange(1, len(labels) + 1)
    return np.asarray(table[mask.labels])


def _segmentation(
    mask: MaskVersion,
    reference: Volume,
    sources: Sequence[Dataset],
    labels: Sequence[Label],
    kind: SegKind,
    pixels: npt.NDArray[Any],
    slices: npt.NDArray[np.int64],
    probable: bool,
) -> Dataset:
    import highdicom

    from napari_tumorseg import __version__

    uid = _uids(mask, sources[0], kind, pixels)
    moment = mask.created.astimezone()
    positions = slice_positions_lps(reference)[slices]
    creator = "" if mask.kind is MaskKind.AI else _person(mask.author)
    dataset = highdicom.seg.Segmentation(
        source_images=list(sources),
        pixel_array=pixels,
        segmentation_type=kind.upper(),
        segment_descriptions=_descriptions(mask, labels, kind),
        series_instance_uid=uid("series"),
        series_number=_series_number(sources[0]),
        sop_instance_uid=uid("instance"),
        instance_number=1,
        manufacturer=_SOFTWARE,
        manufacturer_model_name=_SOFTWARE,
        software_versions=__version__,
        device_serial_number=__version__,
        fractional_type="PROBABILITY" if probable else "OCCUPANCY",
        content_label="SEGMENTATION",
        content_description=stamp(mask)[:64],
        content_creator_name=creator or None,
        plane_positions=[highdicom.PlanePositionSequence("PATIENT", [float(v) for v in position]) for position in positions],
        omit_empty_frames=bool(pixels.any()),
        series_description=_series_description(mask),
        specific_character_set="ISO_IR 192",
        content_date=moment.date(),
        content_time=moment.time(),
        series_date=moment.date(),
        series_time=moment.time(),
    )
    # highdicom derives it from the frames it is given, which leave out empty slices.
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices = float(f"{_distance_mm(reference):.10g}")
    assert reference.source is not None
    frames = {n for n in reference.source.header.get("frame_numbers", ()) if n is not None}
    if frames:
        _only_frames(dataset, frames)
    dataset.ImageComments = f"{RESEARCH_USE_ONLY} Review state: {mask.review.value}."
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = dataset.ContentDate, dataset.ContentTime
    # highdicom takes the clock for the first of these and draws the others at random.
    dataset.ContributingEquipmentSequence[-1].ContributionDateTime = moment.strftime("%Y%m%d%H%M%S.%f")
    dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid("dimensions")
    for item in dataset.get("DimensionIndexSequence") or ():
        item.DimensionOrganizationUID = uid("dimensions")
    return dataset


def _descriptions(mask: MaskVersion, labels: Sequence[Label], kind: SegKind) -> list[Any]:
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = None
    how = "MANUAL"
    if mask.kind is MaskKind.AI:
        # Once a person has worked on a model's mask, the result is no longer the model's alone.
        how = "AUTOMATIC" if mask.review is Review.NOT_REVIEWED else "SEMIAUTOMATIC"
        name, version = _model(mask)
        algorithm = highdicom.AlgorithmIdentificationSequence(name=name, family=codes.DCM.ArtificialIntelligence, version=version)
    found = []
    for number, label in enumerate(labels, 1):
        item = highdicom.seg.SegmentDescription(
            segment_number=label.value if kind == "labelmap" else number,
            segment_label=label.name[:64],
            segmented_property_category=_coded(label.category),
            segmented_property_type=_coded(label.kind),
            algorithm_type=how,
            algorithm_identification=algorithm,
            display_color=lab_from_hex(label.colour),
        )
        item.SegmentDescription = describe(label, mask.schema, mask.review.value)[:1024]
        found.append(item)
    return found


def _coded(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning[:64])


def _model(mask: MaskVersion) -> tuple[str, str]:
    """Return name and version of the model from an author such as "brain-tumour-small 1"."""
    name, _, version = mask.author.rpartition(" ")
    if name and re.match(r"v?\d", version):
        return name[:64], version[:64]
    return (mask.author or "unknown")[:64], "unknown"


def _distance_mm(reference: Volume) -> float:
    """Return the distance of the slices along their normal."""
    across = np.cross(reference.grid.affine[:3, 1], reference.grid.affine[:3, 2])
    return float(abs(reference.grid.affine[:3, 0] @ across) / np.linalg.norm(across))


def _series_number(first: Dataset) -> int:
    try:
        return max(1, int(first.get("SeriesNumber") or 0)) % 1_000_000 + 9000
    except (TypeError, ValueError):
        return 9000


def _series_description(mask: MaskVersion) -> str:
    state = {Review.NOT_REVIEWED: "AI, not reviewed", Review.IN_CORRECTION: "in correction", Review.ACCEPTED: "accepted"}[mask.review]
    return f"{_SOFTWARE}: {mask.schema.name[:24]}, {state}"[:64]


def _person(text: str) -> str:
    """Return a name without the signs that DICOM reads as structure."""
    return text.replace("\\", " ").replace("^", " ").replace("=", " ").strip()[:64]


def _uids(mask: MaskVersion, first: Dataset, kind: SegKind, pixels: npt.NDArray[Any]) -> Any:
    """Return a function that gives a UID for a purpose: the same for the same mask, another for any other."""
    digest = hashlib.sha256()
    for part in (first.SeriesInstanceUID, mask.version, mask.review.value, mask.schema.name, kind):
        digest.update(str(part).encode() + b"\0")
    digest.update(np.ascontiguousarray(pixels).tobytes())
    root = digest.hexdigest()

    def uid(purpose: str) -> str:
        # DICOM PS3.5 B.2: a UUID as a decimal number under 2.25.
        return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{root} {purpose}').int}"

    return uid
