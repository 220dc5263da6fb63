"""Which files are slides, and which library reads each kind."""

from __future__ import annotations

from pathlib import Path

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.contents import COPY_AGAIN, describe, unreadable
from napari_tumorseg.io.names import suffix_of
from napari_tumorseg.io.slide_source import TileSource
from napari_tumorseg.io.slide_zarr import ZarrSource, is_ome_zarr

__all__ = ["SLIDE_SUFFIXES", "is_slide", "open_source"]

#: Endings that only slides have; TIFF, DICOM and OME-Zarr are told by what they hold.
SLIDE_SUFFIXES = (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")

_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LARGE = 2048


def open_source(path: Path) -> TileSource:
    """Open a slide with the library for its kind; see `io.slides.open_slide`."""
    if path.is_dir():
        return _open_folder(path)
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError as error:
        raise unreadable(path, error) from error
    if not head:
        raise InputError(f"{path.name} is empty (0 bytes).", COPY_AGAIN)
    if head[128:132] == b"DICM":
        from napari_tumorseg.io.slide_dicom import DicomSource

        return DicomSource(path)
    is_tiff = head[:4] in _TIFF_HEADS
    if not is_tiff or suffix_of(path) not in (".ome.tif", ".ome.tiff"):
        source = _by_openslide(path, is_tiff)
        if source is not None:
            return source
    if is_tiff:
        from napari_tumorseg.io.slide_tiff import TiffSource

        return TiffSource(path)
    raise InputError(
        f"{path.name} is not a slide that is read here: {describe(head)}.", "Choose a slide of a scanner, a TIFF, DICOM or OME-Zarr slide."
    )


def _by_openslide(path: Path, is_tiff: bool) -> TileSource | None:
    try:
        from napari_tumorseg.io.slide_openslide import OpenSlideSource, scanner_of

        vendor = scanner_of(path)
        if vendor in ("", "generic-tiff", "dicom"):
            return None
        return OpenSlideSource(path)
    except InputError:
        # A TIFF slide of a kind that OpenSlide refuses, e.g. with 16 bits, or a machine without OpenSlide.
        if is_tiff:
            return None
        raise


def _open_folder(path: Path) -> TileSource:
    if is_ome_zarr(path):
        return ZarrSource(path)
    from napari_tumorseg.io.slide_dicom import DicomSource, slide_files

    try:
        slide_files(path)
    except InputError as error:
        if error.message.endswith("holds no DICOM slide."):
            hint = "Choose an OME-Zarr folder, a folder of a DICOM slide, or for MIRAX the .mrxs file beside the folder."
            raise InputError(f"{path.name} is a folder without a slide.", hint) from None
        raise
    return DicomSource(path)


def is_slide(path: Path) -> bool:
    """Whether a path is to be opened as a slide rather than as a scan; quick, and never an error.

    A TIFF file is a slide when it has levels, comes from a scanner, or is a large image in tiles; a stack of planes is none.
    """
    try:
        if path.is_dir():
            return is_ome_zarr(path) or _is_dicom_slide(_first_dicom(path))
        if suffix_of(path) in SLIDE_SUFFIXES or path.suffix.lower() in SLIDE_SUFFIXES:
            return True
        with path.open("rb") as file:
            head = file.read(132)
        if head[:4] in _TIFF_HEADS:
            return _is_tiff_slide(path)
        return head[128:132] == b"DICM" and _is_dicom_slide(path)
    except (OSError, InputError):
        return False


def _first_dicom(folder: Path) -> Path | None:
    return next((p for p in sorted(folder.iterdir()) if p.suffix.lower() == ".dcm" and p.is_file()), None)


def _is_dicom_slide(path: Path | None) -> bool:
    from napari_tumorseg.io.formats import dicom_kind

    return path is not None and dicom_kind(path) == "slide"


def _is_tiff_slide(path: Path) -> bool:
    import tifffile

    from napari_tumorseg.io.slide_tiff_facts import level_series
    from napari_tumorseg.io.tiff_pages import listening

    try:
        with listening(), tifffile.TiffFile(path) as file:
            if file.is_svs or file.is_ndpi or file.is_scn or file.is_bif or file.is_philips:
                return True
            series = file.series[0]
            planes = [size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXSC" and size > 1]
            page = series.keyframe
            if planes:
                return False
            return len(level_series(file)) > 1 or (page.is_tiled and max(page.imagelength, page.imagewidth) >= _LARGE)
    except Exception:  # on a damaged header tifffile stumbles in many ways
        return False
