"""Open a patient's images, and masks that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from napari_tumorseg.core.case import Case, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume

__all__ = ["OpenRequest", "open_case", "open_mask"]


@dataclass(frozen=True)
class OpenRequest:
    """How files are read where they leave something open.

    Attributes
    ----------
    paths : tuple of Path
        A case folder, or image files, or DICOM folders.
    modalities : mapping of str to Path
        Which file is which, where the user has said so.
    split_4d : bool
        Read a file of several volumes as such; it is refused otherwise.
    on_overlap : str
        Which segment of a mask wins where several overlap; "error" leaves the mask out.
    slice_mm : float
        Distance between slices in mm for files that state none (TIFF); 0 where the file says it.
    pixel_mm : float
        Size of a pixel in mm for files that state none (TIFF); 0 where the file says it.
    """

    paths: tuple[Path, ...] = ()
    modalities: Mapping[str, Path] = field(default_factory=dict)
    split_4d: bool = field(default=False, metadata={"label": "Split 4-D files"})
    on_overlap: Literal["error", "first", "last"] = field(default="error", metadata={"label": "Overlapping segments"})
    slice_mm: float = field(default=0.0, metadata={"label": "Slice distance (mm)", "min": 0.0, "max": 100.0, "step": 0.1})
    pixel_mm: float = field(default=0.0, metadata={"label": "Pixel size (mm)", "min": 0.0, "max": 100.0, "step": 0.1})

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Voxel size (z, y, x), None unless both sizes are given."""
        return (self.slice_mm, self.pixel_mm, self.pixel_mm) if self.slice_mm > 0 and self.pixel_mm > 0 else None


def open_case(request: OpenRequest, progress: Progress | None = None) -> Case:
    """Read a case; raise `InputError` where it cannot be read (see `io.cases.read_case`)."""
    from napari_tumorseg.io.cases import read_case

    if not request.paths:
        raise InputError("No file or folder was given.", "Choose a case folder or its images.")
    return read_case(
        request.paths[0] if len(request.paths) == 1 else list(request.paths),
        modalities=request.modalities or None,
        split_4d=request.split_4d,
        spacing_mm=request.spacing_mm,
        on_overlap=request.on_overlap,
        progress=progress,
    )


def open_mask(path: Path, reference: Volume, request: OpenRequest | None = None, progress: Progress | None = None) -> MaskVersion:
    """Read a mask onto the grid of its image; raise `OverlapError` where segments overlap and nobody has said which wins."""
    from napari_tumorseg.io.registry import read_mask

    request = request or OpenRequest()
    if progress is not None:
        progress.update(0.0, f"Reading {path.name}")
    return read_mask(path, reference=reference, on_overlap=request.on_overlap, spacing_mm=request.spacing_mm)
