"""Write a mask where it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.volume import Volume

__all__ = ["FORMATS", "save_mask", "suggested_name"]

#: Formats a mask can be saved in: name for people and file ending.
FORMATS: Mapping[str, str] = MappingProxyType({"NIfTI": ".nii.gz", "NRRD (Slicer)": ".seg.nrrd", "DICOM SEG": ".dcm"})


def suggested_name(case_name: str, reference: Volume, review: str) -> str:
    """Return a file name for a mask: NIfTI, or DICOM SEG when the image came from DICOM."""
    from_dicom = reference.source is not None and reference.source.format == "dicom"
    state = "ai" if review.startswith("AI") else "corrected"
    return f"{case_name}-seg-{state}{'.dcm' if from_dicom else '.nii.gz'}"


def save_mask(mask: MaskVersion, reference: Volume | None, path: Path, *, replace: bool = True) -> Path:
    """Write a mask in the format of the file's ending, with the geometry of its image.

    Parameters
    ----------
    mask : MaskVersion
        On the grid of `reference`.
    reference : Volume, optional
        The image that the mask was made for; its header geometry is taken over exactly. Needed
        for DICOM SEG.
    path : Path
        Target; written atomically.
    replace : bool
        Whether an existing file may be replaced.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    GeometryError
        If the mask is not on the grid of the reference.
    OutputError
        If it cannot be written.
    """
    from napari_tumorseg.io import registry

    if reference is not None and not mask.grid.matches(reference.grid):
        raise GeometryError(
            f"The mask ({mask.grid.shape}) is not on the grid of {reference.name or 'its image'} ({reference.grid.shape}).",
            "Save it with the image it was drawn on.",
        )
    if path.exists() and not replace:
        raise InputError(f"{path} exists.", "Choose another name, or say that it may be replaced.")
    return registry.write_mask(path, mask, reference=reference)
