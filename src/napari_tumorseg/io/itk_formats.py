"""NRRD and MetaImage files through SimpleITK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError, OutputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.volume import Source, Volume
from napari_tumorseg.io import arrays, itk_checks, slicer
from napari_tumorseg.io.atomic import atomic_write
from napari_tumorseg.io.geometry import fits, grid_from_lps, grid_to_lps, require_same_grid
from napari_tumorseg.io.names import stem_of, suffix_of
from napari_tumorseg.io.overlap import Overlap
from napari_tumorseg.io.schemas import read_stamp, schema_for, stamp

__all__ = ["read", "read_mask", "read_split", "write_image", "write_mask"]

_STAMP_KEY, _SCHEMA_KEY = "tumorseg", "tumorseg_schema"
_PATIENT_SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "LPS", "RAS", "LAS")


@dataclass(frozen=True)
class _Stored:
    """What a file holds: values (n, z, y, x) with n volumes or components, what n is, position, key/value pairs."""

    data: npt.NDArray[Any]
    components: bool
    grid: Grid
    metadata: Mapping[str, str]
    geometry: Mapping[str, tuple[float, ...]]
    warnings: tuple[str, ...]


def read(path: Path) -> Volume:
    """Read a 3-D image.

    Parameters
    ----------
    path : Path
        ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.

    Returns
    -------
    Volume
        NaN and infinite values are 0 and counted in `warnings`. 8-bit images of three or four
        components get channels.

    Raises
    ------
    InputError
        If the file is cut short, damaged, of another format, or holds several volumes.
    """
    stored = _load(path)
    if len(stored.data) > 1 and not _colour(stored):
        n, z, y, x = stored.data.shape
        raise InputError(
            f"{path.name} holds {n} volumes ({x}x{y}x{z}x{n}).", "Split it into 3-D files, or open it with the option to split 4-D files."
        )
    return _volume(path, stored, stored.data if len(stored.data) > 1 else stored.data[0], stem_of(path))


def read_split(path: Path) -> tuple[Volume, ...]:
    """Read an image of several volumes or components as 3-D volumes named NAME-01, NAME-02 …; see `read`."""
    stored = _load(path)
    if len(stored.data) == 1 or _colour(stored):
        return (_volume(path, stored, stored.data if len(stored.data) > 1 else stored.data[0], stem_of(path)),)
    width = max(2, len(str(len(stored.data))))
    return tuple(_volume(path, stored, part, f"{stem_of(path)}-{i:0{width}d}") for i, part in enumerate(stored.data, 1))


def read_mask(path: Path, schema: LabelSchema | None = None, *, on_overlap: Overlap = "error") -> MaskVersion:
    """Read a mask, with the names and colours of a 3D Slicer segmentation where it is one.

    Parameters
    ----------
    path : Path
        ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.
    schema : LabelSchema, optional
        Meaning of the values; by default that of the segments, or the one that fits the values.
    on_overlap : str
        Which segment wins where several overlap: "first", "last", or "error" to refuse.

    Returns
    -------
    MaskVersion
        uint8, or uint16 where a value is above 255. `header["segments"]` holds the segments of a
        Slicer file, `header["may_be_cut"]` whether Slicer wrote it.

    Raises
    ------
    InputError
        If the file cannot be read as a mask.
    """
    stored = _load(path)
    segments = slicer.segments_of(stored.metadata)
    declared = stored.metadata.get(_SCHEMA_KEY, "")
    header: dict[str, Any] = {"format": _format(path), "path": str(path), "warnings": stored.warnings}
    if segments or "Segmentation_ReferenceImageExtentOffset" in stored.metadata:
        layers = [arrays.to_labels(layer, path.name) for layer in stored.data]
        labels, chosen = slicer.labels_of_segments(layers, segments, path.name, schema, on_overlap, declared)
        header["segments"] = segments
        # Slicer cuts a segmentation to what it covers; we write whole ones.
        header["may_be_cut"] = _STAMP_KEY not in stored.metadata
    elif len(stored.data) > 1:
        raise InputError(f"{path.name} holds {len(stored.data)} volumes or components; a mask is one.", "Choose a 3-D mask.")
    else:
        labels = arrays.to_labels(stored.data[0], path.name)
        chosen = schema_for(labels, schema, f"{path.parent.name}/{path.name}", declared)
    kind, review = read_stamp(stored.metadata.get(_STAMP_KEY, ""))
    return MaskVersion(labels, stored.grid, chosen, kind, review=review, header=header)


def write_image(path: Path, volume: Volume) -> None:
    """Write an image as one file; ``.nhdr`` and ``.mhd`` get the voxels inside as well.

    Raises
    ------
    InputError
        If the format cannot hold the values.
    OutputError
        If the file cannot be written.
    """
    data = volume.data
    if data.dtype == np.float16 or data.dtype == bool:
        data = data.astype(np.float32 if data.dtype == np.float16 else np.uint8)
    if data.dtype.kind == "c" and _format(path) == "mha":
        raise InputError(f"{path.name} cannot hold complex values.", "Save the image as .nrrd or .nii.gz.")
    if volume.channels:
        data = np.moveaxis(data, 0, -1)
    _write(path, data, volume.grid, volume, {})


def write_mask(path: Path, mask: MaskVersion, reference: Volume | None = None) -> None:
    """Write a mask; NRRD files get 3D Slicer's names, colours and terms of the segments.

    Parameters
    ----------
    path : Path
        ``.seg.nrrd``, ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``; replaced atomically, as one file.
    mask : MaskVersion
        Written as uint8, or uint16 where a label is above 255.
    reference : Volume, optional
        The image that the mask was made for.

    Raises
    ------
    GeometryError
        If the mask does not lie on the grid of the reference.
    OutputError
        If the file cannot be written.
    """
    if reference is not None:
        require_same_grid(mask.grid, path.name, reference.grid, reference.name or "its image")
    metadata = {_STAMP_KEY: stamp(mask), _SCHEMA_KEY: mask.schema.name}
    if _format(path) == "nrrd":
        metadata |= slicer.segment_metadata(mask)
    # MetaImage breaks on text beyond ASCII in its header.
    metadata = {key: value for key, value in metadata.items() if _format(path) == "nrrd" or value.isascii()}
    _write(path, arrays.smallest_unsigned(mask.labels, path.name), mask.grid, reference, metadata)


def _format(path: Path) -> str:
    return "mha" if suffix_of(path) in (".mha", ".mhd") else "nrrd"


def _colour(stored: _Stored) -> bool:
    return stored.components and len(stored.data) in (3, 4) and stored.data.dtype == np.uint8


def _volume(path: Path, stored: _Stored, raw: npt.NDArray[Any], name: str) -> Volume:
    channels = ("R", "G", "B", "A")[: len(raw)] if raw.ndim == 4 else ()
    data, found = arrays.finite(raw, path.name)
    source = Source(_format(path), (path,), {"geometry": stored.geometry})
    return Volume(data, stored.grid, channels=channels, name=name, source=source, warnings=(*stored.warnings, *found))


def _load(path: Path) -> _Stored:
    import SimpleITK

    itk_checks.check_file(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if _format(path) == "mha" else "NrrdImageIO")
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise itk_checks.read_error(path, str(error)) from error
    dimensions = image.GetDimension()
    if dimensions > 4:
        raise InputError(f"{path.name} has {dimensions} axes.", "Choose a 3-D image.")
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    components = image.GetNumberOfComponentsPerPixel()
    data = np.asarray(SimpleITK.GetArrayFromImage(image))
    data = np.moveaxis(data, -1, 0) if components > 1 else data[np.newaxis]
    if dimensions == 4:
        data = data.reshape(-1, *data.shape[2:])
    elif dimensions == 2:
        data = data[:, np.newaxis]
    geometry, warnings = _geometry(image, path, metadata)
    _, z, y, x = data.shape
    try:
        grid = grid_from_lps((z, y, x), geometry["origin"], geometry["directions"], geometry["spacing"])
    except GeometryError as error:
        raise GeometryError(f"{path.name}: {error.message}", error.hint) from None
    return _Stored(np.ascontiguousarray(data), components > 1 and dimensions < 4, grid, metadata, geometry, warnings)


def _geometry(image: Any, path: Path, metadata: Mapping[str, str]) -> tuple[dict[str, tuple[float, ...]], tuple[str, ...]]:
    """Return origin, directions and spacing of the first three axes, as ITK counts them (LPS), and warnings."""
    n = image.GetDimension()
    origin, spacing, directions = [0.0] * 3, [1.0] * 3, np.eye(3)
    axes = min(n, 3)
    origin[:axes] = image.GetOrigin()[:axes]
    spacing[:axes] = image.GetSpacing()[:axes]
    directions[:axes, :axes] = np.array(image.GetDirection()).reshape(n, n)[:axes, :axes]
    warnings: list[str] = []
    if _format(path) == "nrrd" and metadata.get("NRRD_space") not in _PATIENT_SPACES:
        warnings.append(f"{path.name} states no patient orientation; its axes are taken to run to the left, the back and the top.")
    if n == 2:
        warnings.append(f"{path.name} is a single slice without thickness; 1 mm is taken.")
    return {"origin": tuple(origin), "spacing": tuple(spacing), "directions": tuple(directions.ravel().tolist())}, tuple(warnings)


def _write(path: Path, data: npt.NDArray[Any], grid: Grid, reference: Volume | None, metadata: Mapping[str, str]) -> None:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(data), isVector=data.ndim == 4)
    origin, directions, spacing = _own_geometry(reference, grid) or grid_to_lps(grid)
    image.SetOrigin([float(v) for v in origin])
    image.SetSpacing([float(v) for v in spacing])
    image.SetDirection([float(v) for v in np.ravel(directions)])
    for key, value in metadata.items():
        image.SetMetaData(key, value)
    # The header formats keep their voxels in a second file; with both in one, a save is still one rename.
    inner = ".mha" if _format(path) == "mha" else ".nrrd"
    with atomic_write(path) as part:
        target = part.with_name(part.name + inner)
        writer = SimpleITK.ImageFileWriter()
        writer.SetImageIO("MetaImageIO" if _format(path) == "mha" else "NrrdImageIO")
        writer.SetFileName(str(target))
        writer.UseCompressionOn()
        try:
            writer.Execute(image)
            target.replace(part)
        except RuntimeError as error:
            # ITK does not say why; writing as much by hand does.
            target.write_bytes(bytes(data.nbytes))
            reason = itk_checks.last_line(str(error))
            raise OutputError(f"{path.name} was not saved: {reason}.", "Save it in another format or place.") from error
        finally:
            target.unlink(missing_ok=True)


def _own_geometry(reference: Volume | None, grid: Grid) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]] | None:
    """Return origin, directions and spacing as the reference's own file has them, None where they no longer hold."""
    source = None if reference is None else reference.source
    if source is None or "geometry" not in source.header:
        return None
    own = source.header["geometry"]
    if not fits(grid_from_lps(grid.shape, own["origin"], own["directions"], own["spacing"]), grid):
        return None
    return own["origin"], own["directions"], own["spacing"]
