"""NIfTI-1 and NIfTI-2 files, plain or compressed."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Source, Volume
from napari_tumorseg.io import arrays, nifti_header
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.io.contents import COPY_AGAIN, unreadable
from napari_tumorseg.io.geometry import affine_xyz, fits, require_same_grid
from napari_tumorseg.io.names import stem_of
from napari_tumorseg.io.schemas import read_stamp, schema_for, stamp

__all__ = ["read", "read_mask", "read_split", "write_image", "write_mask"]

_LABEL_INTENT = 1002
# A mask of labels shrinks well and is small; images are large and shrink little.
_MASK_LEVEL, _IMAGE_LEVEL = 6, 3


@dataclass(frozen=True)
class _Stored:
    """What a file holds: raw values (…, z, y, x), header, position."""

    data: npt.NDArray[Any]
    header: Any
    grid: Grid
    position: str
    warnings: tuple[str, ...]


def read(path: Path) -> Volume:
    """Read a 3-D image.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2.

    Returns
    -------
    Volume
        Values scaled as the header says; NaN and infinite values are 0 and counted in
        `warnings`, as are two positions that disagree. RGB files get channels. Its source keeps
        the header, so that a mask written for it gets exactly its geometry.

    Raises
    ------
    InputError
        If the file is cut short, damaged, no NIfTI, or holds several volumes.
    """
    stored = _load(path)
    if stored.data.ndim > 3:
        shape = "x".join(str(n) for n in reversed(stored.data.shape))
        raise InputError(
            f"{path.name} holds {stored.data.shape[0]} volumes ({shape}).",
            "Split it into 3-D files, or open it with the option to split 4-D files.",
        )
    return _volume(path, stored, stored.data, stem_of(path))


def read_split(path: Path) -> tuple[Volume, ...]:
    """Read an image of three or more axes as 3-D volumes named NAME-01, NAME-02 …; see `read`."""
    stored = _load(path)
    if stored.data.ndim == 3:
        return (_volume(path, stored, stored.data, stem_of(path)),)
    width = max(2, len(str(len(stored.data))))
    return tuple(_volume(path, stored, part, f"{stem_of(path)}-{i:0{width}d}") for i, part in enumerate(stored.data, 1))


def read_mask(path: Path, schema: LabelSchema | None = None) -> MaskVersion:
    """Read a mask.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``.
    schema : LabelSchema, optional
        Meaning of the values; by default the one that fits.

    Returns
    -------
    MaskVersion
        uint8, or uint16 where a value is above 255. A reference, unless the file says who made it.

    Raises
    ------
    InputError
        If the file cannot be read, a value is negative or not a whole number, or the schema does not have it.
    """
    stored = _load(path)
    if stored.data.ndim > 3:
        raise InputError(f"{path.name} holds {stored.data.shape[0]} volumes; a mask is one.", "Choose a 3-D mask.")
    if stored.data.dtype.names:
        raise InputError(f"{path.name} is a colour image, not a mask.", "Choose a mask with whole numbers.")
    labels = arrays.to_labels(_scaled(stored.data, stored.header), path.name)
    chosen = schema_for(labels, schema, f"{path.parent.name}/{path.name}", nifti_header.text(stored.header, "intent_name"))
    kind, review = read_stamp(nifti_header.text(stored.header, "descrip"))
    kept = {"format": "nifti", "path": str(path), "warnings": stored.warnings}
    return MaskVersion(labels, stored.grid, chosen, kind, review=review, header=kept)


def write_image(path: Path, volume: Volume) -> None:
    """Write an image, with the geometry header of its own NIfTI source where it has one.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; replaced atomically.
    volume : Volume
        Three 8-bit channels R, G, B are written as colour, other channels along a fourth axis.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    data = volume.data
    if data.dtype == np.float16 or data.dtype == bool:
        data = data.astype(np.float32 if data.dtype == np.float16 else np.uint8)
    if volume.channels in (("R", "G", "B"), ("R", "G", "B", "A")) and data.dtype == np.uint8:
        colour = np.dtype([(name, np.uint8) for name in volume.channels])
        data = np.ascontiguousarray(np.moveaxis(data, 0, -1)).view(colour)[..., 0]
    header = _header_for(volume, volume.grid)
    _write(path, data, header, _IMAGE_LEVEL)


def write_mask(path: Path, mask: MaskVersion, reference: Volume | None = None) -> None:
    """Write a mask.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``; replaced atomically.
    mask : MaskVersion
        Written as uint8, or uint16 where a label is above 255.
    reference : Volume, optional
        The image that the mask was made for. If it came from NIfTI, its shape, affine, sform and
        qform with their codes, and units are taken over to the last bit.

    Raises
    ------
    GeometryError
        If the mask does not lie on the grid of the reference.
    OutputError
        If the file cannot be written.
    """
    if reference is not None:
        require_same_grid(mask.grid, path.name, reference.grid, reference.name or "its image")
    header = _header_for(reference, mask.grid)
    header["descrip"] = stamp(mask).encode("ascii", "replace")[:79]
    header["intent_code"] = _LABEL_INTENT
    if len(mask.schema.name) < 16:
        header["intent_name"] = mask.schema.name.encode("ascii", "replace")
    _write(path, arrays.smallest_unsigned(mask.labels, path.name), header, _MASK_LEVEL)


def _header_for(reference: Volume | None, grid: Grid) -> Any:
    """Return a header with the position of `grid`: that of the reference's own file where it still holds."""
    source = None if reference is None else reference.source
    if source is not None and source.format == "nifti" and "header" in source.header:
        own = nifti_header.parse(source.header["header"], source.paths[0].name)
        try:
            affine, _, _ = nifti_header.position(own, grid.shape, source.paths[0].name)
            holds = fits(Grid(grid.shape, affine), grid)
        except GeometryError:
            holds = False
        # A volume that was turned or resampled keeps its source, but no longer lies where the file says.
        if holds:
            return nifti_header.geometry_only(own)
    return nifti_header.from_affine(affine_xyz(grid), max(grid.shape))


def _write(path: Path, data: npt.NDArray[Any], header: Any, level: int) -> None:
    import nibabel

    if data.dtype in (np.int64, np.uint64) and data.size:
        # Few programs read 64-bit integers from NIfTI.
        fits_int = data.min() >= np.iinfo(np.int32).min and data.max() <= np.iinfo(np.int32).max
        data = data.astype(np.int32 if fits_int else np.float64)
    header.set_data_dtype(data.dtype)
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    image = kind(data.T, None, header)  # (c, z, y, x) becomes (x, y, z, c)
    with atomic_write(path) as part, part.open("wb") as raw:
        if path.name.lower().endswith(".gz"):
            # No name and no time inside, so that the same mask gives the same bytes.
            with gzip.GzipFile("", "wb", level, raw, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(raw)


def _volume(path: Path, stored: _Stored, raw: npt.NDArray[Any], name: str) -> Volume:
    channels: tuple[str, ...] = ()
    if raw.dtype.names:
        channels = tuple(raw.dtype.names)
        data = np.stack([raw[channel] for channel in channels])
    else:
        data = _scaled(raw, stored.header)
    data, found = arrays.finite(arrays.native(data), path.name)
    source = Source("nifti", (path,), {"header": stored.header.binaryblock, "position": stored.position})
    return Volume(data, stored.grid, channels=channels, name=name, source=source, warnings=(*stored.warnings, *found))


def _scaled(data: npt.NDArray[Any], header: Any) -> npt.NDArray[Any]:
    """Return data * slope + intercept, in the smallest type that holds it well."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    # The standard: a slope of 0 means that the values are as stored.
    if not np.isfinite(slope) or slope == 0 or data.dtype.kind == "c":
        return arrays.native(data)
    intercept = intercept if np.isfinite(intercept) else 0.0
    if (slope, intercept) == (1.0, 0.0):
        return arrays.native(data)
    if data.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer() and data.size:
        ends = [float(v) * slope + intercept for v in (data.min(), data.max())]
        for whole in (np.int16, np.int32):
            if min(ends) >= np.iinfo(whole).min and max(ends) <= np.iinfo(whole).max:
                return np.asarray((data.astype(np.int64) * int(slope) + int(intercept)).astype(whole))
    wide = data.dtype.itemsize > 2 if data.dtype.kind in "iu" else data.dtype.itemsize > 4
    out = np.empty(data.shape, np.float64 if wide else np.float32)
    for part, target in zip(data.reshape(-1, *data.shape[-2:]), out.reshape(-1, *data.shape[-2:]), strict=True):
        target[...] = part.astype(np.float64) * slope + intercept
    return out


@contextmanager
def _opened(path: Path) -> Iterator[gzip.GzipFile | io.BufferedReader]:
    """Open a file; the content, not the name, says whether it is compressed."""
    with path.open("rb") as raw:
        start = raw.read(2)
        raw.seek(0)
        if start == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=raw) as packed:
                yield packed
        else:
            yield raw


def _load(path: Path) -> _Stored:
    from nibabel.arrayproxy import ArrayProxy

    try:
        size = path.stat().st_size
        if size == 0:
            raise InputError(f"{path.name} is empty (0 bytes).", COPY_AGAIN)
        with _opened(path) as stream:
            header = nifti_header.parse(stream.read(nifti_header.LONGEST), path.name)
            layout = nifti_header.layout(header, path.name)
            # gzip shrinks no better than about 1 to 1032, so a small file cannot hold a large image.
            if layout.file_bytes > (size * 1040 if isinstance(stream, gzip.GzipFile) else size):
                raise _cut_short(path, layout.file_bytes)
            proxy = ArrayProxy(stream, (layout.shape, layout.dtype, layout.offset, 1.0, 0.0), mmap=False)
            data = np.asarray(proxy.get_unscaled()).T
            # The checksum stands at the end of the file, beyond the last voxel.
            while stream.read(1 << 20):
                pass
    except (FileNotFoundError, IsADirectoryError) as error:
        raise unreadable(path, error) from error
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise _broken(path, error) from error
    shape = layout.spatial
    affine, used, warnings = nifti_header.position(header, shape, path.name)
    data = data.reshape(-1, *shape)
    return _Stored(data[0] if len(data) == 1 else data, header, Grid(shape, affine), used, warnings)


def _broken(path: Path, error: EOFError | zlib.error | OSError) -> InputError:
    if isinstance(error, (zlib.error, gzip.BadGzipFile)):
        return InputError(f"{path.name} is damaged: its compressed data do not match their checksum.", COPY_AGAIN)
    if isinstance(error, OSError) and error.errno is not None:
        return unreadable(path, error)
    try:
        with _opened(path) as stream:
            header = nifti_header.parse(stream.read(nifti_header.LONGEST), path.name)
        return _cut_short(path, nifti_header.layout(header, path.name).file_bytes)
    except EOFError:
        return _cut_short(path, 0)
    except InputError as known:
        return known


def _cut_short(path: Path, needed: int) -> InputError:
    have = _unpacked_bytes(path)
    if not needed:
        return InputError(f"{path.name} is cut short inside its header.", COPY_AGAIN)
    if have >= needed:
        return InputError(f"{path.name} is cut short just before its end.", COPY_AGAIN)
    return InputError(f"{path.name} is cut short at {arrays.megabytes(have, needed)}.", COPY_AGAIN)


def _unpacked_bytes(path: Path) -> int:
    """Return how many bytes can be had from a file, whole or not."""
    total = 0
    with path.open("rb") as raw:
        start = raw.read(2)
        raw.seek(0)
        if start != b"\x1f\x8b":
            return path.stat().st_size
        unpacker = zlib.decompressobj(wbits=31)
        while block := raw.read(1 << 20):
            try:
                total += len(unpacker.decompress(block))
                while unpacker.eof and unpacker.unused_data:  # some programs write many members one after the other
                    rest, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
                    total += len(unpacker.decompress(rest))
            except zlib.error:
                break
    return total
