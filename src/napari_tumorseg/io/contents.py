"""What a file holds when it is not what its name says."""

from __future__ import annotations

from pathlib import Path

from napari_tumorseg.core.errors import InputError

__all__ = ["COPY_AGAIN", "describe", "unreadable"]

#: What to do about a file that arrived broken.
COPY_AGAIN = "Copy it again from its source."


def describe(head: bytes) -> str:
    """Return in words what a file is that begins with `head`, as the end of "t1.nii.gz is not a NIfTI file: …"."""
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer that stands for the image"
    if head.lstrip()[:1] == b"<":
        return "it holds a web page or other markup"
    for magic, words in (
        (b"PK\x03\x04", "a zip archive"),
        (b"\x1f\x8b", "gzip data"),
        (b"NRRD", "an NRRD file"),
        (b"\x89PNG", "a PNG picture"),
    ):
        if head.startswith(magic):
            return f"it is {words}"
    if head[128:132] == b"DICM":
        return "it is a DICOM file"
    start = head[:60]
    if start and all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"it holds text ({' '.join(start.decode('ascii').split())[:30]!r})"
    return "its beginning fits no image format"


def unreadable(path: Path, error: OSError) -> InputError:
    """Return the error for a file that the system does not let be read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} does not exist.", "Check the path.")
    if path.is_dir():
        return InputError(f"{path.name} is a folder, not a file.", "Choose a file.")
    return InputError(f"{path.name} cannot be read: {error.strerror or error}.", "Check the drive and your rights to the file.")
