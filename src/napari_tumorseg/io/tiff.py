"""TIFF stacks: files of many pages, and folders of single slices.

TIFF states no position in the patient, and plain TIFF no voxel size; both are said in the warnings
of a volume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Source, Volume
from napari_tumorseg.io import arrays, tiff_pages
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.io.contents import COPY_AGAIN
from napari_tumorseg.io.geometry import require_same_grid, size_text
from napari_tumorseg.io.names import natural_key, stem_of, suffix_of
from napari_tumorseg.io.schemas import read_stamp, schema_for, stamp

__all__ = ["is_stack", "read", "read_folder", "read_mask", "read_split", "write_image", "write_mask"]

SpacingMm = tuple[float, float, float]

_SUFFIXES = (".tif", ".tiff", ".ome.tif", ".ome.tiff")
# Rows run down and columns to the right of the picture, as ITK takes an image without orientation.
_ORIENTATION = "SPL"
_SCHEMA = "schema="


@dataclass(frozen=True)
class _Stored:
    """Values (n, c, z, y, x) of n volumes with c channels (1 for grey), stated spacing, description."""

    data: npt.NDArray[Any]
    spacing_mm: tuple[float | None, float | None, float | None]
    description: str
    warnings: tuple[str, ...] = ()


def read(path: Path, *, spacing_mm: SpacingMm | None = None) -> Volume:
    """Read a stack.

    Parameters
    ----------
    path : Path
        ``.tif`` or ``.tiff``, plain, ImageJ or OME.
    spacing_mm : tuple of float, optional
        (z, y, x); wins over what the file states. Where neither says it, 1 mm is taken and the
        volume warns.

    Returns
    -------
    Volume
        The first page is z = 0. Colour files get channels R, G, B.

    Raises
    ------
    InputError
        If the file is cut short, no TIFF, or holds several volumes.
    """
    stored = _load(path)
    if len(stored.data) > 1:
        n, _, z, y, x = stored.data.shape
        raise InputError(
            f"{path.name} holds {n} volumes ({x}x{y}x{z}x{n}).", "Split it into 3-D files, or open it with the option to split 4-D files."
        )
    return _volume((path,), stored, stored.data[0], stem_of(path), spacing_mm)


def read_split(path: Path, *, spacing_mm: SpacingMm | None = None) -> tuple[Volume, ...]:
    """Read a stack of several channels or times as volumes named NAME-01, NAME-02 …; see `read`."""
    stored = _load(path)
    if len(stored.data) == 1:
        return (_volume((path,), stored, stored.data[0], stem_of(path), spacing_mm),)
    width = max(2, len(str(len(stored.data))))
    return tuple(_volume((path,), stored, part, f"{stem_of(path)}-{i:0{width}d}", spacing_mm) for i, part in enumerate(stored.data, 1))


def read_folder(folder: Path, *, spacing_mm: SpacingMm | None = None) -> tuple[Volume, ...]:
    """Read a folder of TIFF files: single slices as one volume, in the order people count; stacks as one volume each.

    Raises
    ------
    InputError
        If a file cannot be read, or the slices differ in size or type.
    """
    files = _slices(folder)
    if not is_stack(folder):
        return tuple(read(path, spacing_mm=spacing_mm) for path in files)
    return (_volume(tuple(files), *_stacked(files), folder.name, spacing_mm),)


def is_stack(folder: Path) -> bool:
    """Whether the TIFF files of a folder are single slices, more than one."""
    files = _slices(folder)
    return len(files) > 1 and all(tiff_pages.count_pages(path) == 1 for path in files)


def read_mask(
    path: Path, schema: LabelSchema | None = None, *, reference: Volume | None = None, spacing_mm: SpacingMm | None = None
) -> MaskVersion:
    """Read a mask from a stack or a folder of slices.

    Parameters
    ----------
    path : Path
        File, or folder of slices.
    schema : LabelSchema, optional
        Meaning of the values; by default the one that fits. A mask of 0 and 255 is one of 0 and 1.
    reference : Volume, optional
        The image it was drawn on. As TIFF states no position, the mask is taken to lie on its grid.
    spacing_mm : tuple of float, optional
        (z, y, x), without a reference.

    Raises
    ------
    InputError
        If the file cannot be read as a mask.
    GeometryError
        If the mask has another size than the reference.
    """
    stored, values = _stacked(_slices(path)) if path.is_dir() else _only(path)
    if values.shape[0] > 1:
        raise InputError(f"{path.name} is a colour image, not a mask.", "Choose a mask with whole numbers.")
    labels = arrays.to_labels(values[0], path.name)
    if arrays.present_values(labels) == (255,) and (schema is None or 255 not in schema.values):
        # What ImageJ and others write for yes and no.
        labels = (labels == 255).astype(np.uint8)
    if reference is None:
        grid, warnings = _grid(labels.shape, stored, path.name, spacing_mm)
    elif labels.shape == reference.grid.shape:
        grid, warnings = reference.grid, ()
    else:
        own = Grid.from_spacing(labels.shape, (1.0, 1.0, 1.0), _ORIENTATION)
        raise GeometryError(
            f"{path.name} has {size_text(own)} voxels, but {reference.name or 'its image'} has {size_text(reference.grid)}.",
            "Choose the image that the mask was drawn on.",
        )
    declared = stored.description.split(_SCHEMA, 1)[1].split(";")[0].strip() if _SCHEMA in stored.description else ""
    kind, review = read_stamp(stored.description)
    chosen = schema_for(labels, schema, f"{path.parent.name}/{path.name}", declared)
    kept = {"format": "tiff", "path": str(path), "warnings": (*stored.warnings, *warnings)}
    return MaskVersion(labels, grid, chosen, kind, review=review, header=kept)


def write_image(path: Path, volume: Volume) -> None:
    """Write an image as one OME-TIFF with its voxel size in mm.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    data = volume.data
    if data.dtype == bool or data.dtype == np.float16:
        data = data.astype(np.uint8 if data.dtype == bool else np.float32)
    elif data.dtype in (np.int64, np.uint64):
        data = data.astype(np.float64)
    colour = volume.channels in (("R", "G", "B"), ("R", "G", "B", "A")) and data.dtype == np.uint8
    if colour:
        data = np.moveaxis(data, 0, -1)
    axes = "ZYXS" if colour else "CZYX" if volume.channels else "ZYX"
    _write(path, data, axes, volume.grid, volume.name)


def write_mask(path: Path, mask: MaskVersion, reference: Volume | None = None) -> None:
    """Write a mask as one OME-TIFF with its voxel size in mm; its position is lost, as TIFF has none.

    Raises
    ------
    GeometryError
        If the mask does not lie on the grid of the reference.
    OutputError
        If the file cannot be written.
    """
    if reference is not None:
        require_same_grid(mask.grid, path.name, reference.grid, reference.name or "its image")
    labels = arrays.smallest_unsigned(mask.labels, path.name)
    _write(path, labels, "ZYX", mask.grid, f"{stamp(mask)}; {_SCHEMA}{mask.schema.name}")


def _write(path: Path, data: npt.NDArray[Any], axes: str, grid: Grid, description: str) -> None:
    import tifffile

    metadata: dict[str, Any] = {"axes": axes, "Description": description}
    for axis, size in zip("ZYX", grid.spacing_mm, strict=True):
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "mm"}
    with atomic_write(path) as part:
        tifffile.imwrite(
            part,
            np.ascontiguousarray(data),
            ome=True,
            bigtiff=data.nbytes > 3.9e9,
            photometric="rgb" if axes.endswith("S") else "minisblack",
            compression="zlib",
            metadata=metadata,
        )


def _slices(folder: Path) -> list[Path]:
    files = (p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".") and suffix_of(p) in _SUFFIXES)
    return sorted(files, key=natural_key)


def _only(path: Path) -> tuple[_Stored, npt.NDArray[Any]]:
    stored = _load(path)
    if len(stored.data) > 1:
        raise InputError(f"{path.name} holds {len(stored.data)} volumes; a mask is one.", "Choose a 3-D mask.")
    return stored, stored.data[0]


def _stacked(files: Sequence[Path]) -> tuple[_Stored, npt.NDArray[Any]]:
    """Return what the first slice says and the values (c, z, y, x) of all."""
    if not files:
        raise InputError("The folder holds no TIFF file.", "Choose a folder of slices.")
    first = _load(files[0])
    parts = [first.data]
    for path in files[1:]:
        part = _load(path).data
        if part.shape != first.data.shape or part.dtype != first.data.dtype:
            one, two = ("x".join(str(n) for n in reversed(d.shape[-2:])) + f" {d.dtype}" for d in (part, first.data))
            raise InputError(f"{path.name} is {one}, but {files[0].name} is {two}.", "Keep only the slices of one image in the folder.")
        parts.append(part)
    stacked = np.concatenate(parts, axis=2)
    return replace(first, data=stacked, spacing_mm=(None, *first.spacing_mm[1:])), stacked[0]


def _volume(paths: tuple[Path, ...], stored: _Stored, raw: npt.NDArray[Any], name: str, spacing_mm: SpacingMm | None) -> Volume:
    label = paths[0].name if len(paths) == 1 else paths[0].parent.name
    data, found = arrays.finite(arrays.native(raw), label)
    grid, warnings = _grid(data.shape[1:], stored, label, spacing_mm)
    channels = ("R", "G", "B", "A")[: len(data)] if len(data) > 1 else ()
    source = Source("tiff", paths, {"spacing_stated": None not in stored.spacing_mm or spacing_mm is not None})
    everything = (*stored.warnings, *warnings, *found)
    return Volume(data if channels else data[0], grid, channels=channels, name=name, source=source, warnings=everything)


def _grid(shape: Sequence[int], stored: _Stored, name: str, spacing_mm: SpacingMm | None) -> tuple[Grid, tuple[str, ...]]:
    warnings = [f"{name} is TIFF, which states no position: left and right, and which end is the top, cannot be told from it."]
    stated = spacing_mm or stored.spacing_mm
    missing = [axis for axis, size in zip("zyx", stated, strict=True) if size is None]
    if missing:
        where = "" if len(missing) == 3 else f" along {' and '.join(missing)}"
        warnings.insert(0, f"{name} states no voxel size{where}; 1 mm is taken. Set it, or volumes and distances are wrong.")
    sizes = tuple(1.0 if size is None else float(size) for size in stated)
    if not all(np.isfinite(sizes)) or min(sizes) <= 0:
        raise InputError(f"{sizes} is not a voxel size in mm.", "Give three positive numbers (z, y, x).")
    return Grid.from_spacing(shape, sizes, _ORIENTATION), tuple(warnings)


def _load(path: Path) -> _Stored:
    pages = tiff_pages.read_pages(path)
    data, axes = pages.data, pages.axes
    if data.size == 0:
        raise InputError(f"{path.name} holds no voxels.", COPY_AGAIN)
    warnings = list(pages.warnings)
    # Pages without a name are slices; so are times, when there is nothing else to be slices.
    for letter in "IQT":
        if "Z" not in axes and letter in axes:
            axes = axes.replace(letter, "Z", 1)
            if letter == "T":
                warnings.append(f"{path.name} calls its pages times; they are read as slices.")
    data, axes = _with_axes(data, axes, "SZYX")
    if data.shape[axes.index("S")] > 4 or data.dtype != np.uint8:
        axes = axes.replace("S", "C") if "C" not in axes else axes.replace("S", "V")
        data, axes = _with_axes(data, axes, "SZYX")
    others = [i for i, letter in enumerate(axes) if letter not in "SZYX"]
    data = data.transpose(*others, *(axes.index(letter) for letter in "SZYX"))
    data = data.reshape(-1, *data.shape[len(others) :])
    if data.shape[1] == 2:  # grey with transparency
        data = data[:, :1]
    return _Stored(np.ascontiguousarray(data), pages.spacing_mm, pages.description, tuple(warnings))


def _with_axes(data: npt.NDArray[Any], axes: str, wanted: str) -> tuple[npt.NDArray[Any], str]:
    missing = "".join(letter for letter in wanted if letter not in axes)
    return data.reshape(*(1 for _ in missing), *data.shape), missing + axes
