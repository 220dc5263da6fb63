"""Turn one image or mask format into another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.volume import Volume

__all__ = ["ConvertRequest", "convert"]

_KINDS = ("auto", "image", "mask")
_OVERLAP = ("error", "first", "last")
_SEG_TYPES = ("binary", "labelmap", "fractional")
_MASK_ONLY = ("dicom-seg", "rtstruct")


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert.

    Attributes
    ----------
    source : Path
        File or DICOM folder.
    target : Path
        File; its ending names the format.
    reference : Path, optional
        Image or DICOM folder whose grid and header a mask gets; needed for RTSTRUCT in and for
        DICOM SEG out.
    schema : str
        Label schema of a mask; guessed from the values by default.
    kind : str
        "image", "mask" or "auto": a mask where source or target can hold nothing else, or where
        a reference or schema is given; else an image, whose values are kept.
    on_overlap : str
        "error", "first" or "last": which segment wins where several overlap.
    seg_type : str
        "binary", "labelmap" or "fractional" DICOM SEG.
    spacing_mm : str
        "z,y,x" for formats that state no voxel size.
    replace : bool
        Whether an existing target is replaced.
    allow_gaps : bool
        Whether slices that a DICOM series lacks are filled from their neighbours.
    """

    source: Path
    target: Path
    reference: Path | None = None
    schema: str = ""
    kind: str = "auto"
    on_overlap: str = "error"
    seg_type: str = "binary"
    spacing_mm: str = ""
    replace: bool = False
    allow_gaps: bool = False


def convert(request: ConvertRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Convert and return {"source", "target", "kind", "format", "shape", "spacing_mm", "warnings"}.

    Raises
    ------
    InputError
        If the source cannot be read, or a choice is missing that only the user can make.
    OutputError
        If the target cannot be written.
    """
    from napari_tumorseg.io import registry

    progress = progress or Progress()
    for value, allowed, option in (
        (request.kind, _KINDS, "--as"),
        (request.on_overlap, _OVERLAP, "--on-overlap"),
        (request.seg_type, _SEG_TYPES, "--seg-type"),
    ):
        if value not in allowed:
            raise InputError(f"{option} {value} is not known.", f"Choose one of {', '.join(allowed)}.")
    if not request.source.exists():
        raise InputError(f"{request.source} does not exist.", "Check the path.")
    if request.target.exists() and not request.replace:
        raise InputError(f"{request.target} exists.", "Choose another name, or add --replace.")
    spacing = _spacing(request.spacing_mm)
    found, wanted = registry.format_of(request.source), registry.format_of(request.target)
    slicer = request.target.name.endswith((".seg.nrrd", ".seg.nhdr"))
    is_mask = request.kind == "mask" or (
        request.kind == "auto"
        and (found in _MASK_ONLY or wanted in (*_MASK_ONLY, "dicom") or slicer or bool(request.schema) or request.reference is not None)
    )
    if not is_mask and found in _MASK_ONLY:
        raise InputError(f"{request.source.name} holds a mask, not an image.", "Leave out --as image.")
    progress.update(0.0, f"Reading {request.source.name}")
    if not is_mask:
        volume = registry.read_image(request.source, spacing_mm=spacing, progress=progress.part(0.0, 0.6), allow_gaps=request.allow_gaps)
        progress.update(0.6, f"Writing {request.target.name}")
        registry.write_image(request.target, volume)
        return _document(request, "image", wanted, volume.grid, volume.warnings)
    reference = None if request.reference is None else _reference(request, found, progress)
    mask = _mask(request, reference)
    progress.update(0.6, f"Writing {request.target.name}")
    registry.write_mask(request.target, mask, reference=reference, kind=cast(Literal["binary", "labelmap", "fractional"], request.seg_type))
    notes = tuple(str(note) for note in mask.header.get("notes", ()))
    return _document(request, "mask", wanted, mask.grid, (*(reference.warnings if reference else ()), *notes))


def _spacing(text: str) -> tuple[float, float, float] | None:
    if not text:
        return None
    try:
        z, y, x = (float(v) for v in text.split(","))
    except ValueError:
        raise InputError(f"--spacing {text} is not three numbers.", "Write e.g. --spacing 3,1,1 (z,y,x in mm).") from None
    return z, y, x


def _reference(request: ConvertRequest, found: str, progress: Progress) -> Volume:
    """Return the reference image; of several series the one on whose grid the mask lies."""
    from napari_tumorseg.io import registry

    assert request.reference is not None
    volumes = registry.read_images(request.reference, progress=progress.part(0.1, 0.4), allow_gaps=request.allow_gaps)
    if len(volumes) == 1:
        return volumes[0]
    if found in _MASK_ONLY:
        # Both name the series that they were drawn on.
        wanted = registry.referenced_series(request.source)
        matching = [v for v in volumes if v.source is not None and v.source.header.get("series_uid") in wanted]
    else:
        grid = _mask(request, None).grid
        matching = [v for v in volumes if v.grid.matches(grid, tolerance_mm=0.01)]
    if len(matching) != 1:
        names = ", ".join(v.name for v in volumes)
        raise InputError(f"{request.reference} holds {len(volumes)} images ({names}).", "Give the one that the mask was drawn on.")
    return matching[0]


def _mask(request: ConvertRequest, reference: Volume | None) -> MaskVersion:
    from napari_tumorseg.io import registry

    return registry.read_mask(
        request.source,
        schema=preset(request.schema) if request.schema else None,
        reference=reference,
        on_overlap=cast(Literal["error", "first", "last"], request.on_overlap),
        spacing_mm=_spacing(request.spacing_mm),
    )


def _document(request: ConvertRequest, kind: str, form: str, grid: Grid, warnings: tuple[str, ...]) -> dict[str, Any]:
    return {
        "source": str(request.source),
        "target": str(request.target),
        "kind": kind,
        "format": form,
        "shape": list(grid.shape),
        "spacing_mm": [round(v, 6) for v in grid.spacing_mm],
        "warnings": list(warnings),
    }
