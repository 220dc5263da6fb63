"""Reading TensorFlow checkpoints without TensorFlow.

A checkpoint ("tensor bundle", version 2) is a pair of files: ``NAME.index``, a sorted table of
names with the type, shape and place of each tensor, and ``NAME.data-00000-of-00001``, their
bytes. The table has LevelDB's format; its values are protocol buffers. Nothing in either is
executed, and only plain float32 tensors are read.

References
----------
LevelDB, doc/table_format.md; TensorFlow, core/protobuf/tensor_bundle.proto and
core/framework/tensor_shape.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["read_bundle"]

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_FLOAT32 = 1
_HINT = "Download the checkpoint again."


@dataclass(frozen=True)
class _Entry:
    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_bundle(prefix: Path, wanted: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Read tensors of a checkpoint.

    Parameters
    ----------
    prefix : Path
        The checkpoint's name, without ".index".
    wanted : collection of str
        Names to read; others are passed over, and those that are not there are left out.

    Returns
    -------
    dict of str to numpy.ndarray
        float32, in the checkpoint's shapes.

    Raises
    ------
    InputError
        If a file is missing, cut short or not a checkpoint, or a wanted tensor is not float32.
    """
    index, data = (prefix.with_name(prefix.name + end) for end in (".index", ".data-00000-of-00001"))
    for path in (index, data):
        if not path.is_file():
            raise InputError(f"{path.name} is not in {path.parent}.", "A checkpoint has an index and a data file.")
    table, values = index.read_bytes(), data.read_bytes()
    try:
        entries = {key.decode(): _entry(value) for key, value in _table(table) if key}
    except (IndexError, struct.error, ValueError) as error:
        raise InputError(f"{index.name} is not the index of a TensorFlow checkpoint.", _HINT) from error
    found = {}
    for name in wanted:
        entry = entries.get(name)
        if entry is None:
            continue
        if entry.kind != _FLOAT32 or entry.shard != 0:
            raise InputError(f"{prefix.name}: {name} is not a float32 tensor in a single file.", _HINT)
        if entry.size != 4 * math.prod(entry.shape) or entry.offset + entry.size > len(values):
            raise InputError(f"{data.name} does not fit its index at {name}.", _HINT)
        found[name] = np.frombuffer(values, "<f4", entry.size // 4, entry.offset).reshape(entry.shape).astype(np.float32)
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number at `at` and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def _block(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give keys and values of the block that `handle` (offset, size) points at."""
    offset, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    block = table[offset : offset + size]
    # One byte after the block says whether it is compressed; checkpoints are not.
    if len(block) != size or table[offset + size] != 0:
        raise ValueError("a block is cut short or compressed")
    (restarts,) = struct.unpack_from("<I", block, size - 4)
    end = size - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block has no entries")
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give all keys and values of a table file."""
    footer = table[-_FOOTER:]
    (magic,) = struct.unpack_from("<Q", footer, _FOOTER - 8)
    if magic != _MAGIC:
        raise ValueError("not a table")
    _, at = _varint(footer, 0)
    _, at = _varint(footer, at)
    for _, handle in _block(table, footer[at:]):
        yield from _block(table, handle)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Give number and value of each field of a protocol buffer: an int, or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield number, value
        elif wire == 2:
            length, at = _varint(message, at)
            if at + length > len(message):
                raise ValueError("a field is cut short")
            yield number, message[at : at + length]
            at += length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("an unknown kind of field")


def _entry(message: bytes) -> _Entry:
    """Read a BundleEntryProto: 1 type, 2 shape, 3 shard, 4 offset, 5 size; what is 0 is left out of it."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0}
    shape: list[int] = []
    for number, value in _fields(message):
        if number == 2 and isinstance(value, bytes):
            dims = [inner for field, inner in _fields(value) if field == 2 and isinstance(inner, bytes)]
            shape = [next((v for field, v in _fields(dim) if field == 1 and isinstance(v, int)), 0) for dim in dims]
        elif number in numbers and isinstance(value, int):
            numbers[number] = value
    return _Entry(numbers[1], tuple(shape), numbers[3], numbers[4], numbers[5])
