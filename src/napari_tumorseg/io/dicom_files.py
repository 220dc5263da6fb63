"""Finding DICOM files, reading their headers, and telling what they are."""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["Found", "Header", "find_headers", "kind_of", "kind_of_file", "listening", "parsing", "read_dataset", "safe_text"]

_SEGMENTATION = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_DIRECTORY = "1.2.840.10008.1.3.10"

_PIXEL_DATA = 0x7FE00010
_BARE = (b"\x02\x00\x00\x00", b"\x08\x00\x00\x00", b"\x08\x00\x05\x00", b"\x08\x00\x08\x00", b"\x00\x08\x00\x05", b"\x00\x08\x00\x08")

# Breaches of the standard that change no voxel and that nobody at the screen can mend.
_HARMLESS = re.compile(
    r"value length|invalid value for VR|invalid value for elements? with VR|character set|pixel data (is )?more than expected"
    r"|excess padding|expected length|explicit VR|implicit VR|group length|bits stored|will be ignored|unable to decode"
    r"|photometric interpretation|colou?r space|pixel representation|component precision|padded|padding|UN VR"
    r"|empty basic offset|transfer syntax",
    re.IGNORECASE,
)


@dataclass(frozen=True, eq=False)
class Header:
    """A file and its attributes without the pixels."""

    path: Path
    dataset: Dataset


@dataclass(frozen=True, eq=False)
class Found:
    """What lies in a folder.

    Attributes
    ----------
    headers : tuple of Header
        The DICOM files.
    others : int
        Number of files that are not DICOM.
    damaged : tuple of str
        Names of DICOM files that are cut short inside their header.
    """

    headers: tuple[Header, ...]
    others: int = 0
    damaged: tuple[str, ...] = field(default=())


@contextmanager
def listening(notes: list[str] | None = None) -> Iterator[None]:
    """Keep pydicom's warnings off the screen; add one sentence to `notes` when one may matter.

    pydicom quotes attribute values, so its own words could show whose images these are and are
    never passed on.
    """
    heard: list[str] = []
    inside = True
    with warnings.catch_warnings():
        # Both libraries use this category alone; others keep their meaning.
        warnings.filterwarnings("always", category=UserWarning)
        show = warnings.showwarning

        def hear(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
            # Python keeps one such function for all threads: when two of them leave in another
            # order than they came, this one stays behind and must then be of no effect.
            if inside and issubclass(category, UserWarning):
                heard.append(str(message))
            else:
                show(message, category, *rest, **named)

        warnings.showwarning = hear
        try:
            yield
        finally:
            inside = False
    text = "Some attributes break the DICOM standard; the images were read all the same."
    if notes is not None and text not in notes and any(not _HARMLESS.search(message) for message in heard):
        notes.append(text)


@contextmanager
def parsing(name: str, notes: list[str] | None = None) -> Iterator[None]:
    """Turn what pydicom raises on a broken attribute into an `InputError` about the file `name`; listen to its warnings.

    pydicom decodes attributes when they are first used, so a broken one is found late. What any
    other code raises passes through.
    """
    try:
        with listening(notes):
            yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError, EOFError, struct.error) as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is None or "pydicom" not in Path(trace.tb_frame.f_code.co_filename).parts:
            raise
        raise InputError(f"{name} is damaged: one of its attributes cannot be read.", "Copy it again from its source.") from error


def _ends_inside(dataset: Dataset) -> bool:
    """Whether an attribute has fewer bytes than it says; pydicom leaves that to whoever uses it.

    Pixels are left to `dicom_pixels`, which knows how many there must be.
    """
    items = [dataset.get_item(tag) for tag in dataset.keys() if tag != _PIXEL_DATA]  # noqa: SIM118 (iteration would decode them)
    return any(item.is_raw and item.value is not None and len(item.value) < item.length < 0xFFFFFFFF for item in items)


def _looks_like_dicom(path: Path) -> tuple[bool, bool]:
    """Return whether a file may be DICOM, and whether it lacks the preamble."""
    with path.open("rb") as file:
        head = file.read(132)
    if head[128:132] == b"DICM":
        return True, False
    # Old archives hold bare datasets; these begin with group 0002 or 0008 in either byte order.
    return head[:4] in _BARE, True


def read_dataset(path: Path, *, pixels: bool = False, notes: list[str] | None = None) -> Dataset | None:
    """Read a DICOM file.

    Parameters
    ----------
    path : Path
        The file.
    pixels : bool
        Whether pixel data are read too.
    notes : list of str, optional
        Gets a sentence when the file breaks the standard in a way worth telling.

    Returns
    -------
    pydicom.Dataset or None
        None when the file is not DICOM.

    Raises
    ------
    InputError
        If it is DICOM but cut short or unreadable.
    """
    import pydicom
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        dicom, bare = _looks_like_dicom(path)
        if not dicom:
            return None
        with listening(notes):
            dataset = pydicom.dcmread(path, stop_before_pixels=not pixels, force=bare)
            known = "SOPClassUID" in dataset or "MediaStorageSOPClassUID" in dataset.file_meta
            # pydicom takes the end of the file for the end of the attributes.
            ends_inside = _ends_inside(dataset)
            image = not ends_inside and "Image Storage" in UID(str(dataset.get("SOPClassUID", ""))).name
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{path.name} is not there.", "Check the path.") from error
        if error.errno is None:  # pydicom's own, at the end of the file inside a sequence
            raise InputError(f"{path.name} is damaged or cut short.", "Copy it again from its source.") from error
        raise InputError(
            f"{path.name} cannot be read: {error.strerror or error}.", "Check the drive and your rights to the file."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises many kinds on a broken stream
        raise InputError(f"{path.name} is damaged or cut short.", "Copy it again from its source.") from error
    if not known:
        if bare:
            return None
        raise InputError(f"{path.name} is damaged or cut short: it does not say what it holds.", "Copy it again from its source.")
    if ends_inside:
        raise InputError(f"{path.name} is cut short: it ends inside its attributes.", "Copy it again from its source.")
    if image and "Rows" not in dataset:
        raise InputError(f"{path.name} is damaged or cut short: it ends before its pixels.", "Copy it again from its source.")
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        )
    return dataset


def kind_of(dataset: Dataset) -> str:
    """Return "image", "dicom-seg", "rtstruct", "slide", "directory" or "other"."""
    sop_class = str(dataset.get("SOPClassUID", "") or dataset.file_meta.get("MediaStorageSOPClassUID", ""))
    if sop_class in _SEGMENTATION:
        return "dicom-seg"
    if sop_class == _RTSTRUCT:
        return "rtstruct"
    if sop_class == _SLIDE:
        return "slide"
    if sop_class == _DIRECTORY:
        return "directory"
    return "image" if "Rows" in dataset and "Columns" in dataset else "other"


def kind_of_file(path: Path) -> str:
    """Return `kind_of` the file's content, "" when it is not DICOM."""
    with parsing(path.name):
        dataset = read_dataset(path)
        return "" if dataset is None else kind_of(dataset)


def safe_text(text: str, dataset: Dataset) -> str:
    """Return `text` unless it holds something that names the patient, else ""."""
    secrets = [str(dataset.get("PatientID", "") or ""), str(dataset.get("AccessionNumber", "") or "")]
    for name in (dataset.get("PatientName"), dataset.get("ReferringPhysicianName")):
        secrets += re.split(r"[\^=,\s]+", str(name or ""))
    secrets.append(str(dataset.get("PatientBirthDate", "") or ""))
    folded = text.casefold()
    if any(len(secret) >= 3 and secret.casefold() in folded for secret in secrets):
        return ""
    return " ".join(text.split())


def _files(source: Path | Sequence[Path]) -> list[Path]:
    paths = [source] if isinstance(source, Path) else list(source)
    if not paths:
        raise InputError("No file or folder was given.", "Choose a folder of DICOM files.")
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = (p for p in sorted(path.rglob("*")) if p.is_file())
            shown = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts)]
            found.update(dict.fromkeys(p for p in shown if p.name.upper() != "DICOMDIR"))
        elif not path.exists():
            raise InputError(f"{path.name} is not there.", "Check the path.")
        elif path.name.upper() == "DICOMDIR":
            found.update(dict.fromkeys(_listed(path)))
        else:
            found[path] = None
    return list(found)


def _listed(directory: Path) -> list[Path]:
    """Return the files that a DICOMDIR names; all files beside it where it names none that is there."""
    files: list[Path] = []
    with parsing(directory.name):
        dataset = read_dataset(directory, pixels=True)
        for record in () if dataset is None else dataset.get("DirectoryRecordSequence") or ():
            parts: Any = record.get("ReferencedFileID")
            if parts:
                parts = [parts] if isinstance(parts, str) else list(parts)
                path = directory.parent.joinpath(*parts)
                if path.is_file():
                    files.append(path)
    return files or _files(directory.parent)


def find_headers(source: Path | Sequence[Path], progress: Progress | None = None, notes: list[str] | None = None) -> Found:
    """Read the headers of all DICOM files below folders, or of the files given.

    Parameters
    ----------
    source : Path or sequence of Path
        Folders (searched to the bottom; hidden files are passed over), files, or a DICOMDIR.
    progress : Progress, optional
        Told how far it is.
    notes : list of str, optional
        Gets what the user should know.

    Raises
    ------
    InputError
        If a path is missing.
    """
    files = _files(source)
    headers: list[Header] = []
    damaged: list[str] = []
    others = 0
    for number, path in enumerate(files):
        if progress is not None:
            progress.update(number / len(files), f"Reading headers, {number + 1} of {len(files)}")
        try:
            dataset = read_dataset(path, notes=notes)
        except InputError as error:
            if len(files) == 1:
                raise
            if "cut short" not in error.message:
                raise
            damaged.append(path.name)
            continue
        if dataset is None:
            others += 1
        else:
            headers.append(Header(path, dataset))
    return Found(tuple(headers), others, tuple(damaged))
