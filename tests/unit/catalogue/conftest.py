"""A writer of TensorFlow checkpoints, made from the description of the format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

MAGIC = 0xDB4775248B80FB57
TYPES = {"float32": 1, "float64": 2, "int32": 3}


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def message(field: int, body: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(body)) + body


def entry(array: np.ndarray, offset: int, shard: int) -> bytes:
    dims = b"".join(message(2, number(1, n)) for n in array.shape)
    place = number(3, shard) + number(4, offset) + number(5, array.nbytes)
    return number(1, TYPES[array.dtype.name]) + message(2, dims) + place + varint(6 << 3 | 5) + b"\0" * 4


def block(pairs: list[tuple[bytes, bytes]], interval: int = 16) -> bytes:
    body, restarts, last = b"", [], b""
    for i, (key, value) in enumerate(pairs):
        shared = 0
        if i % interval == 0:
            restarts.append(len(body))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return body + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


@pytest.fixture
def write_bundle() -> Callable[..., None]:
    """Return a function that writes tensors as a checkpoint, 40 to a block of the index."""

    def write(prefix: Path, tensors: Mapping[str, np.ndarray], shard: int = 0, compressed: int = 0) -> None:
        data = b""
        pairs = [(b"", number(1, 1) + message(3, number(1, 1)))]
        for name in sorted(tensors):
            array = np.ascontiguousarray(tensors[name]) if tensors[name].ndim else tensors[name]
            pairs.append((name.encode(), entry(array, len(data), shard)))
            data += array.tobytes()
        table, handles = b"", []
        for first in range(0, len(pairs), 40):
            part = pairs[first : first + 40]
            body = block(part)
            handles.append((part[-1][0], varint(len(table)) + varint(len(body))))
            table += body + bytes([compressed]) + b"\0" * 4
        places = []
        for body in (block([]), block(handles, interval=1)):
            places.append(varint(len(table)) + varint(len(body)))
            table += body + b"\0" * 5
        table += b"".join(places).ljust(40, b"\0") + struct.pack("<Q", MAGIC)
        prefix.with_name(prefix.name + ".index").write_bytes(table)
        prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)

    return write
