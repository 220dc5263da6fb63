"""Checks on voxel values that every reader shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["finite", "megabytes", "native", "present_values", "smallest_unsigned", "to_labels"]

Labels = npt.NDArray[np.unsignedinteger[Any]]

# Copied in slabs, so that a check on a large float image needs little memory beside it.
_SLAB = 1 << 24


def native(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return `data` in the byte order of this machine, long doubles and double complex shortened."""
    dtype = data.dtype.newbyteorder("=")
    if dtype.kind == "f" and dtype.itemsize > 8:
        dtype = np.dtype(np.float64)
    if dtype.kind == "c" and dtype.itemsize > 8:
        dtype = np.dtype(np.complex64)
    return data.astype(dtype, copy=False)


def finite(data: npt.NDArray[Any], name: str) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """Return `data` with NaN and infinite values replaced by 0, and a warning that counts them.

    Parameters
    ----------
    data : numpy.ndarray
        Any shape and dtype; changed in place when it may be written to.
    name : str
        What the file is called in the warning.
    """
    if data.dtype.kind not in "fc":
        return data, ()
    flat = data.reshape(-1)
    bad = np.concatenate([np.flatnonzero(~np.isfinite(flat[i : i + _SLAB])) + i for i in range(0, max(1, flat.size), _SLAB)])
    if bad.size == 0:
        return data, ()
    if not (flat.flags.writeable and np.shares_memory(flat, data)):
        data = data.copy()
        flat = data.reshape(-1)
    flat[bad] = 0
    what = "1 voxel is" if bad.size == 1 else f"{bad.size:,} voxels are"
    return data, (f"{name}: {what} not a number or infinite, and read as 0.",)


def to_labels(data: npt.NDArray[Any], name: str) -> Labels:
    """Return mask values as uint8, or uint16 where a value is above 255.

    Raises
    ------
    InputError
        If a value is not a whole number from 0 to 65535; the message says what the file seems
        to be instead.
    """
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    if data.dtype.kind not in "iuf":
        raise InputError(f"{name} holds {data.dtype} values, which a mask cannot.", "Choose a mask with whole numbers.")
    if data.dtype.kind == "f":
        bad = int(data.size - np.count_nonzero(np.isfinite(data)))
        if bad:
            raise InputError(f"{name} is not a mask: {bad:,} of its values are not numbers or infinite.", "Export the mask again.")
        broken = data != np.rint(data)
        if broken.any():
            example = float(data[broken].flat[0])
            raise InputError(
                f"{name} is not a mask: {int(broken.sum()):,} of its values are not whole numbers, e.g. {example:.3g}.",
                "If it is a probability map, threshold it first; if it was resampled, resample it again with nearest neighbour.",
            )
    low, high = (data.min(), data.max()) if data.size else (0, 0)
    if low < 0:
        raise InputError(f"{name} is not a mask: its smallest value is {int(low)}.", "Masks hold whole numbers from 0; choose the mask.")
    if high > 65535:
        raise InputError(f"{name} is not a mask: its largest value is {int(high)}.", "Masks hold whole numbers up to 65535.")
    return data.astype(np.uint8 if high <= 255 else np.uint16, copy=False)


def smallest_unsigned(labels: Labels, name: str) -> Labels:
    """Return labels as uint8 where they fit, else as uint16; raise `InputError` above 65535."""
    high = int(labels.max(initial=0))
    if high > 65535:
        raise InputError(f"{name} cannot hold the label {high}.", "Masks hold whole numbers up to 65535.")
    return labels.astype(np.uint8 if high <= 255 else np.uint16, copy=False)


def present_values(labels: Labels) -> tuple[int, ...]:
    """Return the values above 0 that occur, in order."""
    if labels.dtype.itemsize > 2:
        return tuple(int(v) for v in np.unique(labels) if v)
    counts = np.zeros(1 << (8 * labels.dtype.itemsize), np.int64)
    flat = labels.reshape(-1)
    for i in range(0, flat.size, _SLAB):
        counts += np.bincount(flat[i : i + _SLAB], minlength=counts.size)
    return tuple(int(v) for v in np.flatnonzero(counts) if v)


def megabytes(have: float, total: float) -> str:
    """Return two sizes in bytes as "3.1 of 8.9 MB", in the largest unit that shows that they differ."""
    for factor, unit in ((1e6, "MB"), (1e3, "kB")):
        one, two = f"{have / factor:.1f}", f"{total / factor:.1f}"
        if total >= factor and one != two:
            return f"{one} of {two} {unit}"
    return f"{have:.0f} of {total:.0f} bytes"
