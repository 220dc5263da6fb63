"""What ITK does not check, or says in words that are not for users: size, integrity, contents of NRRD and MetaImage files."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.arrays import megabytes
from napari_tumorseg.io.contents import COPY_AGAIN, describe, unreadable
from napari_tumorseg.io.names import suffix_of

__all__ = ["check_file", "last_line", "read_error"]

_HEADER_BYTES = 1 << 20
_META_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4}
_META_BYTES |= {"LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}


def check_file(path: Path) -> None:
    """Raise `InputError` when a file is missing, empty, of another format, cut short, or its data damaged.

    ITK returns wrong voxels without an error when the compressed data of a MetaImage file are
    damaged, so these are checked here.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error
    if size == 0:
        raise InputError(f"{path.name} is empty (0 bytes).", COPY_AGAIN)
    if suffix_of(path) in (".mha", ".mhd"):
        _check_meta(path, head, size)
    elif not re.match(rb"NRRD000\d", head):
        raise InputError(
            f"{path.name} is not an NRRD file: {describe(head)}.", "Choose another file, or get this one again from its source."
        )
    else:
        _check_nrrd(path, head)


def _check_nrrd(path: Path, head: bytes) -> None:
    end = re.search(rb"\r?\n\r?\n", head)
    text = head[: end.start() if end else None].decode("utf-8", "replace")
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    sizes = fields.get("sizes", "1")
    if "0" in sizes.split():
        raise InputError(f"{path.name} holds no voxels: its size is {sizes.replace(' ', 'x')}.", COPY_AGAIN)
    named = fields.get("data file") or fields.get("datafile") or ""
    if named and (named.upper().startswith("LIST") or "%" in named):
        return
    if named and not (path.parent / named).is_file():
        raise InputError(f"{path.name} needs the file {named}, which is not beside it.", "Copy both files into one folder.")
    skipped = any(fields.get(key, "0") not in ("0", "-1") for key in ("line skip", "lineskip", "byte skip", "byteskip"))
    if fields.get("encoding", "").lower() in ("gzip", "gz") and not skipped and (named or end):
        # ITK stops after the last voxel and never meets the checksum.
        data_file = path.parent / named if named else path
        start = 0 if named or end is None else end.end()
        _check_packed(data_file, start, data_file.stat().st_size - start)


def _check_meta(path: Path, head: bytes, size: int) -> None:
    found = re.search(rb"ElementDataFile\s*=\s*([^\r\n]+)\r?\n?", head)
    if not re.search(rb"(?m)^\s*(ObjectType|NDims|DimSize)\s*=", head[:4096]):
        raise InputError(
            f"{path.name} is not a MetaImage file: {describe(head)}.", "Choose another file, or get this one again from its source."
        )
    if found is None:
        raise InputError(f"{path.name} is cut short inside its header.", COPY_AGAIN)
    text = head[: found.end()].decode("utf-8", "replace")
    fields = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
    try:
        voxels = 1
        for n in fields["DimSize"].split():
            voxels *= int(n)
        voxels *= (
            int(fields.get("ElementNumberOfChannels", "1")) * _META_BYTES[fields["ElementType"].removeprefix("MET_").removesuffix("_ARRAY")]
        )
        packed = int(fields.get("CompressedDataSize", "0"))
    except (KeyError, ValueError):
        raise InputError(f"{path.name} has a damaged header.", COPY_AGAIN) from None
    if voxels == 0:
        raise InputError(f"{path.name} holds no voxels: its size is {fields['DimSize'].replace(' ', 'x')}.", COPY_AGAIN)
    data_file, start = path, found.end()
    named = fields["ElementDataFile"]
    if named.upper() not in ("LOCAL", "LIST") and "%" not in named:
        data_file, start = path.parent / named, 0
        if not data_file.is_file():
            raise InputError(f"{path.name} needs the file {named}, which is not beside it.", "Copy both files into one folder.")
        size = data_file.stat().st_size
    elif named.upper() != "LOCAL":
        return
    compressed = fields.get("CompressedData", "False").lower() in ("true", "1")
    needed = start + (packed if compressed else voxels)
    if size < needed:
        raise InputError(f"{data_file.name} is cut short at {megabytes(size, needed)}.", COPY_AGAIN)
    if compressed:
        _check_packed(data_file, start, packed or size - start, voxels)


def _check_packed(path: Path, start: int, packed: int, voxels: int = 0) -> None:
    unpacker = zlib.decompressobj(wbits=47)  # zlib or gzip
    total = 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            while packed > 0 and (block := file.read(min(packed, 1 << 20))):
                packed -= len(block)
                total += len(unpacker.decompress(block))
    except zlib.error:
        raise InputError(f"{path.name} is damaged: its compressed data do not match their checksum.", COPY_AGAIN) from None
    if voxels and (total < voxels or not unpacker.eof):
        raise InputError(f"{path.name} is cut short at {megabytes(total, voxels)}.", COPY_AGAIN)


def read_error(path: Path, words: str) -> InputError:
    """Return the error for a user of an exception of ITK's readers."""
    for pattern, unit in (
        (r"expected (?P<all>\d+) bytes but received (?P<got>\d+)", 1),
        (r"got only (?P<got>\d+) (?P<unit>\d+)-sized things, not (?P<all>\d+)", 0),
    ):
        found = re.search(pattern, words)
        if found:
            factor = unit or int(found["unit"])
            return InputError(
                f"{path.name} is cut short at {megabytes(int(found['got']) * factor, int(found['all']) * factor)}.", COPY_AGAIN
            )
    if "data read error" in words or "gzRead" in words or "GzRead" in words:
        return InputError(f"{path.name} is damaged: its compressed data do not match their checksum.", COPY_AGAIN)
    return InputError(f"{path.name} cannot be read: {last_line(words)}.", COPY_AGAIN)


def last_line(words: str) -> str:
    """Return the part of an ITK message that names the cause."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return re.sub(r"^\[?\w*\]?\s*\w*:\s*", "", lines[-1]).rstrip(".") if lines else "unknown reason"
