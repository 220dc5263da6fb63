"""The one door to files: every image and mask is read and written through here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import itk_formats, nifti, tiff
from napari_tumorseg.io.formats import FORMATS, Format, dicom_kind, format_of, look_into
from napari_tumorseg.io.geometry import mask_on_grid, require_same_grid
from napari_tumorseg.io.names import suffix_of
from napari_tumorseg.io.overlap import Overlap

__all__ = [
    "FORMATS",
    "Format",
    "format_of",
    "read_file",
    "read_image",
    "read_images",
    "read_mask",
    "referenced_series",
    "write_image",
    "write_mask",
]

SegKind = Literal["binary", "labelmap", "fractional"]
SpacingMm = tuple[float, float, float]


def read_images(
    path: Path,
    *,
    progress: Progress | None = None,
    split_4d: bool = False,
    spacing_mm: SpacingMm | None = None,
    allow_gaps: bool = False,
) -> tuple[Volume, ...]:
    """Read every image of a file or folder.

    Parameters
    ----------
    path : Path
        A file gives one volume; a folder of DICOM files one per series, a folder of single TIFF
        slices one, any other folder one per file.
    progress : Progress, optional
        Told how far it is.
    split_4d : bool
        Whether a file of several volumes is read as such; it is refused otherwise.
    spacing_mm : tuple of float, optional
        (z, y, x), for files that state no voxel size.
    allow_gaps : bool
        Whether slices that a DICOM series lacks are filled from their neighbours.

    Raises
    ------
    InputError
        If a file cannot be read, or there is no image.
    """
    progress = progress or Progress()
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the path.")
    if not path.is_dir():
        form = format_of(path)
        if form in ("dicom-seg", "rtstruct"):
            raise InputError(f"{path.name} holds a mask, not an image.", "Open it as a mask, together with the images it was drawn on.")
        if form == "dicom":
            return _read_dicom([path], progress, allow_gaps)
        progress.update(0.0, f"Reading {path.name}")
        return read_file(path, split_4d=split_4d, spacing_mm=spacing_mm)
    contents = look_into(path)
    if not contents.files and not contents.dicom_images:
        raise InputError(f"{path.name} holds no image.", f"Choose a folder with {', '.join(f.title for f in FORMATS if f.reads_images)}.")
    volumes: list[Volume] = []
    slices = [p for p in contents.files if format_of(p) == "tiff"]
    stack = len(slices) > 1 and tiff.is_stack(path)
    files = [p for p in contents.files if not (stack and p in slices)]
    for number, file in enumerate(files):
        progress.update(0.5 * number / len(files), f"Reading {file.name}")
        volumes += read_file(file, split_4d=split_4d, spacing_mm=spacing_mm)
    if stack:
        volumes += tiff.read_folder(path, spacing_mm=spacing_mm)
    if contents.dicom_images:
        volumes += _read_dicom(contents.dicom_images, progress.part(0.5, 1.0), allow_gaps)
    return tuple(volumes)


def read_file(path: Path, *, split_4d: bool = False, spacing_mm: SpacingMm | None = None) -> tuple[Volume, ...]:
    """Read the images of one NIfTI, NRRD, MetaImage or TIFF file; see `read_images`."""
    form = format_of(path)
    if form == "nifti":
        return nifti.read_split(path) if split_4d else (nifti.read(path),)
    if form == "tiff":
        return tiff.read_split(path, spacing_mm=spacing_mm) if split_4d else (tiff.read(path, spacing_mm=spacing_mm),)
    return itk_formats.read_split(path) if split_4d else (itk_formats.read(path),)


def _read_dicom(files: Sequence[Path], progress: Progress, allow_gaps: bool) -> tuple[Volume, ...]:
    from napari_tumorseg.io.dicom import read_series

    return read_series(files, progress, allow_gaps=allow_gaps)


def read_image(path: Path, *, progress: Progress | None = None, spacing_mm: SpacingMm | None = None, allow_gaps: bool = False) -> Volume:
    """Read the only image of a file or folder; raise `InputError` naming what there is when it is not one."""
    volumes = read_images(path, progress=progress, spacing_mm=spacing_mm, allow_gaps=allow_gaps)
    if len(volumes) != 1:
        names = ", ".join(v.name for v in volumes[:8]) + (" …" if len(volumes) > 8 else "")
        raise InputError(f"{path.name} holds {len(volumes)} images: {names}.", "Choose one of them.")
    return volumes[0]


def read_mask(
    path: Path,
    *,
    schema: LabelSchema | None = None,
    reference: Volume | None = None,
    on_overlap: Overlap = "error",
    spacing_mm: SpacingMm | None = None,
) -> MaskVersion:
    """Read a mask.

    Parameters
    ----------
    path : Path
        A mask in any format that holds one.
    schema : LabelSchema, optional
        Meaning of the values; by default what the file says, or the schema that fits them.
    reference : Volume, optional
        The image that the mask belongs to. The result lies on exactly its grid; RTSTRUCT needs it.
    on_overlap : str
        Which segment wins where several overlap: "first", "last", or "error" to refuse.
    spacing_mm : tuple of float, optional
        (z, y, x), for files that state no voxel size.

    Returns
    -------
    MaskVersion
        Labels uint8, or uint16 where a value is above 255.

    Raises
    ------
    InputError
        If the file cannot be read as a mask.
    GeometryError
        If the mask and the reference do not describe the same voxels; nothing is interpolated.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the path.")
    form = format_of(path)
    if form == "rtstruct":
        from napari_tumorseg.io.rtstruct import read_rtstruct

        if reference is None:
            raise InputError(
                f"{path.name} holds contours, which need their images to become a mask.", "Name the DICOM folder as the reference."
            )
        return read_rtstruct(path, reference, on_overlap=on_overlap, schema=schema)
    if form == "dicom-seg":
        from napari_tumorseg.io.dicom_seg import read_seg

        return read_seg(path, reference, on_overlap=on_overlap, schema=schema)
    if form == "dicom":
        raise InputError(f"{path.name} is a DICOM image, not a segmentation.", "Choose a DICOM SEG or RTSTRUCT file, NIfTI, NRRD or TIFF.")
    if form == "tiff":
        return tiff.read_mask(path, schema, reference=reference, spacing_mm=spacing_mm)
    mask = nifti.read_mask(path, schema) if form == "nifti" else itk_formats.read_mask(path, schema, on_overlap=on_overlap)
    if reference is None:
        return mask
    # 3D Slicer cuts a segmentation to the part of the image that it covers.
    return mask_on_grid(mask, reference.grid, path.name, reference.name or "its image", allow_part=bool(mask.header.get("may_be_cut")))


def write_image(path: Path, volume: Volume) -> Path:
    """Write an image in the format of the file's ending, atomically; return `path`.

    Raises
    ------
    InputError
        If images are not written in that format.
    OutputError
        If the file cannot be written.
    """
    form = _form_to_write(path, "Images", [f for f in FORMATS if f.writes_images])
    if form == "nifti":
        nifti.write_image(path, volume)
    elif form in ("nrrd", "mha"):
        itk_formats.write_image(path, volume)
    else:
        tiff.write_image(path, volume)
    return path


def write_mask(path: Path, mask: MaskVersion, *, reference: Volume | None = None, kind: SegKind = "binary") -> Path:
    """Write a mask in the format of the file's ending, atomically; return `path`.

    Parameters
    ----------
    path : Path
        Target.
    mask : MaskVersion
        What to write.
    reference : Volume, optional
        The image it was made for; its geometry is taken over exactly. DICOM SEG needs it.
    kind : str
        Kind of DICOM SEG.

    Raises
    ------
    InputError
        If masks are not written in that format, or the reference is missing.
    GeometryError
        If the mask does not lie on the grid of the reference.
    OutputError
        If the file cannot be written.
    """
    form = _form_to_write(path, "Masks", [f for f in FORMATS if f.writes_masks])
    if form == "dicom-seg":
        from napari_tumorseg.io.dicom_seg import write_seg

        if reference is None:
            raise InputError(f"{path.name} needs the DICOM images that the mask was drawn on.", "Name their folder as the reference.")
        require_same_grid(mask.grid, path.name, reference.grid, reference.name or "its image")
        write_seg(path, mask, reference, kind=kind)
        return path
    if form == "nifti":
        nifti.write_mask(path, mask, reference)
    elif form in ("nrrd", "mha"):
        itk_formats.write_mask(path, mask, reference)
    else:
        tiff.write_mask(path, mask, reference)
    return path


def referenced_series(path: Path) -> tuple[str, ...]:
    """Return the series instance UIDs that a DICOM SEG or RTSTRUCT was drawn on, () for any other file."""
    from napari_tumorseg.io.dicom_files import read_dataset

    if path.is_dir() or dicom_kind(path) not in ("dicom-seg", "rtstruct"):
        return ()
    dataset = read_dataset(path)
    if dataset is None:
        return ()
    series = list(dataset.get("ReferencedSeriesSequence") or ())
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            series += study.get("RTReferencedSeriesSequence") or ()
    found = (str(item.get("SeriesInstanceUID", "") or "") for item in series)
    return tuple(dict.fromkeys(uid for uid in found if uid))


def _form_to_write(path: Path, what: str, formats: Sequence[Format]) -> str:
    """Return the format that a target's suffix names, whatever lies there now."""
    suffix = suffix_of(path)
    for form in formats:
        if suffix in form.suffixes:
            return form.name
    suffixes = ", ".join(form.suffixes[0] for form in formats)
    raise InputError(f"{what} are not written as {path.name}.", f"Choose a name that ends with one of {suffixes}.")
