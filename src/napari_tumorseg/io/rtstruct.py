"""DICOM RT structure sets: contours to voxels on the grid of the series they were drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.labels import Code, LabelSchema
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io.dicom_codes import Segment, code_of, hex_from_rgb, schema_and_values
from napari_tumorseg.io.dicom_files import kind_of, parsing, read_dataset
from napari_tumorseg.io.dicom_modality import number
from napari_tumorseg.io.dicom_planes import slice_positions_lps
from napari_tumorseg.io.overlap import Overlap, Painter

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["fill_contours", "read_rtstruct"]

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_SAME_PLANE_MM = 0.01
_TUMOUR = (Code("49755003", "SCT", "Morphologically Abnormal Structure"), Code("108369006", "SCT", "Neoplasm"))
_ORGAN = (Code("123037004", "SCT", "Anatomical Structure"), Code("123037004", "SCT", "Anatomical Structure"))


@dataclass(frozen=True, eq=False)
class _Plane:
    """Contours of one region in one plane: its height along the slice normal, and (n, 2) arrays of (y, x) indices."""

    height_mm: float
    polygons: list[npt.NDArray[np.float64]]


def fill_contours(polygons: Sequence[npt.NDArray[np.float64]], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return the pixels whose centre lies inside an odd number of closed polygons.

    Parameters
    ----------
    polygons : sequence of numpy.ndarray
        Each (n, 2), corners as (y, x) indices; pixel centres lie at whole numbers. The last
        corner is joined to the first.
    shape : tuple of int
        (y, x).

    Returns
    -------
    numpy.ndarray
        Boolean (y, x). A centre exactly on an edge belongs to the inside when the edge is a left
        or upper one, so that regions that share an edge never share a pixel. Inner contours cut
        holes, whether drawn apart or joined to the outer one by a channel without width.

    Notes
    -----
    Even-odd rule by a sweep along the rows: an edge changes the side of every centre to its
    right, on the rows from its upper end (included) to its lower end (excluded).

    Examples
    --------
    >>> square = np.array([[1.0, 1.0], [1.0, 3.0], [3.0, 3.0], [3.0, 1.0]])
    >>> fill_contours([square], (4, 4)).astype(int)
    array([[0, 0, 0, 0],
           [0, 1, 1, 0],
           [0, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    rows, columns = shape
    crossings = np.zeros((rows, columns + 1), np.int32)
    for polygon in polygons:
        for (y0, x0), (y1, x1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
            if y0 > y1:
                y0, x0, y1, x1 = y1, x1, y0, x0
            first, stop = max(0, int(np.ceil(y0))), min(rows, int(np.ceil(y1)))
            if first >= stop:
                continue
            y = np.arange(first, stop)
            x = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
            np.add.at(crossings, (y, np.clip(np.ceil(x), 0, columns).astype(np.int64)), 1)
    return np.asarray(np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1)


def read_rtstruct(
    path: Path,
    reference: Volume,
    *,
    on_overlap: Overlap = "error",
    schema: LabelSchema | None = None,
    regions: Sequence[str] | None = None,
) -> MaskVersion:
    """Turn the contours of an RT structure set into a mask on the grid of its series.

    Each plane of contours goes to the slice nearest to it; where several planes are nearest to
    the same slice the closest one counts. Nothing is filled in on slices between planes. Points
    and open contours are passed over.

    Parameters
    ----------
    path : Path
        The file.
    reference : Volume
        The series that the contours were drawn on.
    on_overlap : str
        Which region of interest wins where several overlap: the "first" or the "last" of the
        file; "error" refuses and names them.
    schema : LabelSchema, optional
        Labels that regions are matched to by name or coded type; by default one is made of them.
    regions : sequence of str, optional
        Names of the regions to read; by default all that have closed contours.

    Returns
    -------
    MaskVersion
        On the grid of `reference`. `header` holds "segments" (tuple of `dicom_codes.Segment`),
        "sop_instance_uid" and "notes" (what was passed over).

    Raises
    ------
    InputError
        If the file is no structure set, has no closed contours, or regions overlap.
    GeometryError
        If the contours do not lie on slices of `reference`.

    Examples
    --------
    >>> mask = read_rtstruct(Path("RS.dcm"), read_series(Path("ct"))[0])  # doctest: +SKIP
    """
    with parsing(path.name):
        dataset = read_dataset(path, pixels=True)
        if dataset is None or kind_of(dataset) != "rtstruct":
            raise InputError(f"{path.name} is not an RT structure set.", "Choose an RTSTRUCT file.")
        return _read(dataset, path.name, reference, on_overlap, schema, regions)


def _read(
    dataset: Dataset, name: str, reference: Volume, on_overlap: Overlap, schema: LabelSchema | None, wanted: Sequence[str] | None
) -> MaskVersion:
    if "StructureSetROISequence" not in dataset or "ROIContourSequence" not in dataset:
        raise InputError(
            f"{name} holds no regions; it may be cut short.", "Choose a structure set with outlined regions, or copy it again."
        )
    described = _regions(dataset)
    if wanted is not None:
        known = [s.name for s in described.values()]
        lacking = [region for region in wanted if region not in known]
        if lacking:
            raise InputError(f"{name} has no region {lacking[0]!r}.", f"It has {', '.join(known) or 'none'}.")
        described = {roi: s for roi, s in described.items() if s.name in wanted}
    _check_frame_of_reference(dataset, reference, name)
    slices = _Slices(reference)
    notes: list[str] = []
    planes: dict[int, list[_Plane]] = {}
    for item in dataset.get("ROIContourSequence") or ():
        segment = described.get(_roi(item, "ReferencedROINumber"))
        if segment is not None:
            planes.setdefault(segment.number, []).extend(_contours(item, segment.name, name, slices, notes))
    filled = [s for s in described.values() if planes.get(s.number)]
    empty = [s.name for s in described.values() if not planes.get(s.number)]
    if not filled:
        raise InputError(f"{name} has no closed contours.", "Choose a structure set with outlined regions.")
    if empty:
        notes.append(f"Without closed contours, left out: {', '.join(empty)}.")
    chosen, values = schema_and_values(filled, schema, name)
    painter = Painter(reference.shape, max(values.values()), {s.number: s.name for s in filled}, values)
    for segment in filled:
        for z, plane in _nearest(planes[segment.number], slices, segment.name, name, notes):
            painter.paint(z, fill_contours(plane.polygons, (reference.shape[1], reference.shape[2])), segment.number)
    labels = painter.finish(on_overlap, name)
    automatic = all(segment.algorithm == "AUTOMATIC" for segment in filled)
    header = {"segments": tuple(filled), "sop_instance_uid": str(dataset.get("SOPInstanceUID", "")), "notes": tuple(dict.fromkeys(notes))}
    return MaskVersion(
        labels,
        reference.grid,
        chosen,
        MaskKind.AI if automatic else MaskKind.REFERENCE,
        "",
        Review.NOT_REVIEWED if automatic else Review.ACCEPTED,
        header=header,
    )


class _Slices:
    """Heights of the slices of a volume along their normal, and the way from LPS points to pixel indices."""

    def __init__(self, reference: Volume) -> None:
        grid = reference.grid
        self._positions = slice_positions_lps(reference)
        rows = grid.affine[:3, 1] * (-1.0, -1.0, 1.0)
        columns = grid.affine[:3, 2] * (-1.0, -1.0, 1.0)
        across = np.cross(columns, rows)
        self.normal = across / np.linalg.norm(across)
        self.heights_mm = self._positions @ self.normal
        order = np.sort(self.heights_mm)
        thickness_mm = float(abs(grid.affine[:3, 0] * (-1.0, -1.0, 1.0) @ self.normal))
        self.spacing_mm = float(np.diff(order).max()) if len(order) > 1 else thickness_mm
        self._to_index = np.linalg.inv(np.column_stack([self.normal, rows, columns]))

    def nearest(self, height_mm: float) -> tuple[int, float]:
        """Return the slice nearest to a height and its distance in mm."""
        gaps = np.abs(self.heights_mm - height_mm)
        z = int(gaps.argmin())
        return z, float(gaps[z])

    def in_plane(self, points_lps: npt.NDArray[np.float64], z: int) -> npt.NDArray[np.float64]:
        """Return the (y, x) indices of LPS points on slice `z`, taken along the normal.

        Each slice has its own origin: those of a tilted gantry are shifted against each other.
        """
        return np.asarray((points_lps - self._positions[z]) @ self._to_index.T)[:, 1:]


def _roi(item: Dataset, keyword: str) -> int:
    return int(number(item.get(keyword)) or 0)


def _regions(dataset: Dataset) -> dict[int, Segment]:
    """Return the regions by ROI number, in that order."""
    observations = {_roi(item, "ReferencedROINumber"): item for item in dataset.get("RTROIObservationsSequence") or ()}
    contours = dataset.get("ROIContourSequence") or ()
    colours = {_roi(item, "ReferencedROINumber"): hex_from_rgb(item.get("ROIDisplayColor")) for item in contours}
    items = sorted(dataset.get("StructureSetROISequence") or (), key=lambda item: _roi(item, "ROINumber"))
    numbers = [_roi(item, "ROINumber") for item in items]
    if len(set(numbers)) < len(numbers):
        raise InputError("Two regions of the structure set have the same number.", "Export it again from its source.")
    # ROI numbers may be anything; label values run from 1 to 65535.
    usable = all(0 < roi < 65536 for roi in numbers)
    found = {}
    for index, (roi, item) in enumerate(zip(numbers, items, strict=True), 1):
        category, kind = _codes(observations.get(roi))
        found[roi] = Segment(
            roi if usable else index,
            str(item.get("ROIName", "") or "") or f"Region {index}",
            str(item.get("ROIDescription", "") or ""),
            colours.get(roi, ""),
            category,
            kind,
            str(item.get("ROIGenerationAlgorithm", "") or ""),
        )
    return found


def _codes(observation: Dataset | None) -> tuple[Code | None, Code | None]:
    if observation is None:
        return None, None
    coded = code_of(observation.get("RTROIIdentificationCodeSequence"))
    interpreted = str(observation.get("RTROIInterpretedType", "") or "").upper()
    by_type = {"GTV": _TUMOUR, "ORGAN": _ORGAN}.get(interpreted)
    if by_type is None:
        return None, coded
    return by_type[0], coded or by_type[1]


def _check_frame_of_reference(dataset: Dataset, reference: Volume, name: str) -> None:
    if reference.source is None or reference.source.format != "dicom":
        return
    theirs = str(reference.source.header.get("frame_of_reference_uid", "") or "")
    series = str(reference.source.header.get("series_uid", "") or "")
    own = {str(item.get("ReferencedFrameOfReferenceUID", "") or "") for item in dataset.get("StructureSetROISequence") or ()} - {""}
    named = set()
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        own |= {str(frame.get("FrameOfReferenceUID", "") or "")} - {""}
        for study in frame.get("RTReferencedStudySequence") or ():
            named |= {str(s.get("SeriesInstanceUID", "")) for s in study.get("RTReferencedSeriesSequence") or ()}
    if theirs and own and theirs not in own and series not in named:
        raise GeometryError(
            f"{name} was drawn in another frame of reference than {reference.name or 'the image'}.", "Choose the series it was drawn on."
        )


def _contours(item: Dataset, region: str, name: str, slices: _Slices, notes: list[str]) -> list[_Plane]:
    """Return the closed contours of a region, those of one plane together."""
    planes: list[_Plane] = []
    for contour in item.get("ContourSequence") or ():
        kind = str(contour.get("ContourGeometricType", "") or "").upper()
        if kind not in _CLOSED:
            notes.append(f"{region}: {'points' if kind == 'POINT' else 'open contours'} were passed over.")
            continue
        data: Any = contour.get("ContourData") or ()
        try:
            points = np.array([float(v) for v in data], dtype=np.float64).reshape(-1, 3)
        except (TypeError, ValueError):
            raise InputError(f"A contour of {region} in {name} is damaged.", "Export the structure set again.") from None
        if not np.isfinite(points).all():
            raise InputError(f"A contour of {region} in {name} is damaged.", "Export the structure set again.")
        if len(points) < 3:
            notes.append(f"{region}: contours of fewer than three points were passed over.")
            continue
        heights = points @ slices.normal
        height = float(heights.mean())
        z, gap = slices.nearest(height)
        if np.ptp(heights) > max(0.5 * slices.spacing_mm, 0.1):
            raise GeometryError(
                f"The contours of {region} in {name} cross the slices of the series instead of lying on them.",
                "Choose the series it was drawn on.",
            )
        if gap > 0.5 * slices.spacing_mm + _SAME_PLANE_MM:
            notes.append(f"{region}: contours outside the series were left out.")
            continue
        polygon = slices.in_plane(points, z)
        for plane in planes:
            if abs(plane.height_mm - height) <= _SAME_PLANE_MM:
                plane.polygons.append(polygon)
                break
        else:
            planes.append(_Plane(height, [polygon]))
    return planes


def _nearest(planes: Sequence[_Plane], slices: _Slices, region: str, name: str, notes: list[str]) -> list[tuple[int, _Plane]]:
    """Return the plane that counts for each slice it is nearest to."""
    best: dict[int, tuple[float, _Plane]] = {}
    for plane in sorted(planes, key=lambda p: p.height_mm):
        z, gap = slices.nearest(plane.height_mm)
        if z in best:
            notes.append(f"{region}: planes lie closer together than the slices; on each slice the nearest one was taken.")
        if z not in best or gap < best[z][0]:
            best[z] = (gap, plane)
    furthest = max((gap for gap, _ in best.values()), default=0.0)
    if furthest > max(0.05, 0.02 * slices.spacing_mm):
        notes.append(f"{region}: contours lie up to {furthest:.2f} mm beside the slices; the nearest slice was taken.")
    used = sorted(best)
    if used and used[-1] - used[0] + 1 > len(used):
        notes.append(f"{region}: {used[-1] - used[0] + 1 - len(used)} slices between its contours have none and stay empty in {name}.")
    return [(z, best[z][1]) for z in used]
