"""Which format a path is: by suffix, and by content where the suffix does not decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.names import natural_key, suffix_of

__all__ = ["FORMATS", "Contents", "Format", "dicom_kind", "format_of", "look_into"]


@dataclass(frozen=True)
class Format:
    """What can be done with a kind of file.

    Attributes
    ----------
    name : str
        Name in `core.volume.Source` and in `format_of`.
    title : str
        Name for people.
    suffixes : tuple of str
        In lower case; the first is the usual one.
    by_suffix : bool
        Whether the suffix decides; DICOM files are told by their content.
    reads_images, writes_images, reads_masks, writes_masks : bool
        What is possible.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    by_suffix: bool = True
    reads_images: bool = True
    writes_images: bool = True
    reads_masks: bool = True
    writes_masks: bool = True


#: Every format, in the order in which they are offered.
FORMATS: tuple[Format, ...] = (
    Format("nifti", "NIfTI", (".nii.gz", ".nii")),
    Format("nrrd", "NRRD, also 3D Slicer's segmentations", (".seg.nrrd", ".nrrd", ".seg.nhdr", ".nhdr")),
    Format("mha", "MetaImage", (".mha", ".mhd")),
    Format("tiff", "TIFF stack", (".tif", ".tiff", ".ome.tif", ".ome.tiff")),
    Format(
        "dicom", "DICOM series", (".dcm", ".ima", ".dicom"), by_suffix=False, writes_images=False, reads_masks=False, writes_masks=False
    ),
    Format("dicom-seg", "DICOM segmentation", (".dcm",), by_suffix=False, reads_images=False, writes_images=False),
    Format("rtstruct", "DICOM RT structure set", (".dcm",), by_suffix=False, reads_images=False, writes_images=False, writes_masks=False),
)


_IMAGE_CLASSES = tuple(
    f"{kind} Image Storage" for kind in ("CT", "MR", "Positron Emission Tomography", "Enhanced CT", "Enhanced MR", "Enhanced PET")
)
# Opening every table and text of a large archive to look for DICOM would take long.
_NEVER_DICOM = (
    ".csv",
    ".json",
    ".txt",
    ".tsv",
    ".xml",
    ".pdf",
    ".png",
    ".jpg",
    ".md",
    ".html",
    ".py",
    ".npz",
    ".npy",
    ".zip",
    ".gz",
    ".bval",
    ".bvec",
)


def format_of(path: Path) -> str:
    """Return the name of the format of a file or folder, by content where the suffix does not decide.

    Parameters
    ----------
    path : Path
        A file, a folder, or a file that is still to be written.

    Returns
    -------
    str
        A name of `FORMATS`. A folder has the format of its
        images. A ``.dcm`` file that does not exist
        yet is "dicom-seg", the only DICOM object that is written.

    Raises
    ------
    InputError
        If no format fits.

    Examples
    --------
    >>> format_of(Path("CASE-seg.nii.gz"))
    'nifti'
    """
    if path.is_dir():
        return _format_of_folder(path)
    form = _by_suffix(path)
    if form:
        return form
    found = dicom_kind(path) if path.exists() else ""
    if found in ("dicom-seg", "rtstruct"):
        return found
    if found == "image":
        return "dicom"
    if not path.exists() and suffix_of(path) == ".dcm":
        return "dicom-seg"
    what = f"a DICOM {found}, which holds no image volume" if found else "no image format that is read here"
    raise InputError(f"{path.name} is {what}.", f"Choose one of {', '.join(f.title for f in FORMATS)}.")


def _by_suffix(path: Path) -> str:
    suffix = suffix_of(path)
    return next((form.name for form in FORMATS if form.by_suffix and suffix in form.suffixes), "")


def dicom_kind(path: Path) -> str:
    """Return "image", "dicom-seg", "rtstruct", "slide", "directory" or "other" for a DICOM file, "" for any other file.

    Raises
    ------
    InputError
        If the file is DICOM but cut short, or cannot be read.
    """
    from napari_tumorseg.io.dicom_files import kind_of_file

    return _kind_by_class(path) or kind_of_file(path)


def _kind_by_class(path: Path) -> str:
    """Return the kind of a common DICOM file from its first bytes alone, "" where these do not decide.

    A study has thousands of files, and reading all their headers only to tell them apart doubles
    the time to open it.
    """
    from pydicom.filereader import read_file_meta_info
    from pydicom.uid import UID, RTStructureSetStorage, SegmentationStorage

    from napari_tumorseg.io.dicom_files import listening

    try:
        with listening():
            found = UID(str(read_file_meta_info(path).get("MediaStorageSOPClassUID", "")))
    except Exception:  # not DICOM, or broken: the whole reader says which
        return ""
    if found in (SegmentationStorage, RTStructureSetStorage):
        return "dicom-seg" if found == SegmentationStorage else "rtstruct"
    return "image" if found.name in _IMAGE_CLASSES else ""


@dataclass(frozen=True)
class Contents:
    """What lies in a folder that can be opened.

    Attributes
    ----------
    files : tuple of Path
        Files directly in the folder with the suffix of an image format other than DICOM, in the
        order people count.
    dicom_images, dicom_masks : tuple of Path
        DICOM files in the folder and below it.
    """

    files: tuple[Path, ...] = ()
    dicom_images: tuple[Path, ...] = ()
    dicom_masks: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.files or self.dicom_images or self.dicom_masks)


def look_into(folder: Path) -> Contents:
    """Return what a folder holds; hidden files and folders are left out.

    Files whose suffix says that they are no images are not opened.
    """
    files = [p for p in _visible(folder) if p.is_file() and _by_suffix(p)]
    images, masks = [], []
    for path in _below(folder):
        if not _by_suffix(path) and suffix_of(path) not in _NEVER_DICOM:
            try:
                kind = dicom_kind(path)
            except InputError:
                kind = "image"  # it is DICOM, but broken; its reader says so
            if kind == "image":
                images.append(path)
            elif kind in ("dicom-seg", "rtstruct"):
                masks.append(path)
    return Contents(tuple(sorted(files, key=natural_key)), tuple(images), tuple(masks))


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise InputError(f"The folder {folder.name} cannot be read: {error.strerror or error}.", "Check your rights to it.") from error


def _below(folder: Path) -> Iterator[Path]:
    for path in _visible(folder):
        if path.is_dir():
            yield from _below(path)
        elif path.is_file():
            yield path


def _format_of_folder(folder: Path) -> str:
    contents = look_into(folder)
    found = {_by_suffix(path) for path in contents.files} | ({"dicom"} if contents.dicom_images else set())
    if len(found) == 1:
        return found.pop()
    if not found and contents.dicom_masks:
        return dicom_kind(contents.dicom_masks[0])
    if found:
        raise InputError(f"{folder.name} holds images of several formats: {', '.join(sorted(found))}.", "Choose one of its files.")
    raise InputError(f"{folder.name} holds no image.", f"Choose a folder with {', '.join(f.title for f in FORMATS if f.reads_images)}.")
