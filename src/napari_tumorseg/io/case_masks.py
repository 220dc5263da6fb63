"""Masks of a case: which visit and which image each belongs to, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_tumorseg.core.case import MaskVersion, TimePoint
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import registry
from napari_tumorseg.io.formats import dicom_kind, format_of
from napari_tumorseg.io.geometry import fits, mask_on_grid, size_text
from napari_tumorseg.io.modality import mask_name
from napari_tumorseg.io.overlap import Overlap

__all__ = ["with_mask"]

SpacingMm = tuple[float, float, float]
_Candidate = tuple[int, str, Volume]  # index of the time point, key of the volume, volume


def with_mask(
    points: Sequence[TimePoint], path: Path, stems: Sequence[str], on_overlap: Overlap, spacing_mm: SpacingMm | None
) -> list[TimePoint]:
    """Return the time points with a mask put where it belongs.

    A mask that cannot be read or placed must not keep the images from being opened, so it is left
    out, and the first volume's warnings say why.

    Parameters
    ----------
    points : sequence of TimePoint
        At least one, with volumes.
    path : Path
        The mask.
    stems : sequence of str
        Names of the image files beside it, without suffix.
    on_overlap : str
        Which segment wins where several overlap.
    spacing_mm : tuple of float, optional
        (z, y, x), for files that state no voxel size.
    """
    try:
        dicom = bool(dicom_kind(path))
        index, key, mask = _placed(points, path, dicom, on_overlap, spacing_mm)
    except InputError as error:
        return [_warned(points[0], f"Left out: {error}"), *points[1:]]
    point = points[index]
    name = (_dicom_name(path) if dicom else "") or mask_name(path, stems)
    if name in point.masks:
        # A second mask is no newer version of the first.
        name = f"{name} ({key})" if dicom else path.name
    number, free = 2, name
    while free in point.masks:
        number, free = number + 1, f"{name} {number}"
    return [*points[:index], point.with_mask(free, mask), *points[index + 1 :]]


def _placed(
    points: Sequence[TimePoint], path: Path, dicom: bool, on_overlap: Overlap, spacing_mm: SpacingMm | None
) -> tuple[int, str, MaskVersion]:
    everything = [(index, key, volume) for index, point in enumerate(points) for key, volume in point.volumes.items()]
    if dicom:
        wanted = registry.referenced_series(path)
        series = [c for c in everything if c[2].source is not None and c[2].source.format == "dicom"]
        named = [c for c in series if c[2].source is not None and c[2].source.header.get("series_uid") in wanted]
        if not series:
            raise InputError(f"{path.name} was drawn on a DICOM series that is not here.", "Open it together with its series.")
        return _first_that_fits(named or series, path, on_overlap)
    if format_of(path) == "tiff":
        return _first_that_fits(everything, path, on_overlap)
    mask = registry.read_mask(path, on_overlap=on_overlap, spacing_mm=spacing_mm)
    same = [c for c in everything if fits(mask.grid, c[2].grid)]
    for index, key, volume in [*same, *everything]:
        try:
            return index, key, mask_on_grid(mask, volume.grid, path.name, volume.name, allow_part=bool(mask.header.get("may_be_cut")))
        except GeometryError:
            continue
    sizes = ", ".join(dict.fromkeys(f"{volume.name} ({size_text(volume.grid)})" for _, _, volume in everything))
    raise GeometryError(
        f"{path.name} ({size_text(mask.grid)}) lies on the grid of no image here: {sizes}.", "Open the image it was drawn on."
    )


def _first_that_fits(candidates: Sequence[_Candidate], path: Path, on_overlap: Overlap) -> tuple[int, str, MaskVersion]:
    reasons: list[GeometryError] = []
    for index, key, volume in candidates:
        try:
            return index, key, registry.read_mask(path, reference=volume, on_overlap=on_overlap)
        except GeometryError as error:
            reasons.append(error)
    raise reasons[0]


def _dicom_name(path: Path) -> str:
    """Return what a DICOM mask calls itself, "" when that could name the patient."""
    from napari_tumorseg.io.dicom_files import read_dataset, safe_text

    dataset = read_dataset(path)
    if dataset is None:
        return ""
    text = str(dataset.get("StructureSetLabel", "") or "") or str(dataset.get("SeriesDescription", "") or "")
    return safe_text(text, dataset)


def _warned(point: TimePoint, note: str) -> TimePoint:
    key, first = next(iter(point.volumes.items()))
    return replace(point, volumes={**point.volumes, key: replace(first, warnings=(*first.warnings, note))})
