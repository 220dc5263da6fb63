"""Slides in OME-Zarr (versions 0.4 and 0.5), through zarr."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.contents import COPY_AGAIN
from napari_tumorseg.io.slide_source import DamagedTileError, LevelLayout, SourceInfo, needs_extra, number

__all__ = ["ZarrSource", "is_ome_zarr"]

_UM = {"micrometer": 1.0, "micrometre": 1.0, "um": 1.0, "µm": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "centimeter": 1e4, "meter": 1e6}
_COLOUR_NAMES = (("r", "g", "b"), ("red", "green", "blue"))


def is_ome_zarr(path: Path) -> bool:
    """Whether a folder is an OME-Zarr image."""
    return path.is_dir() and bool(_image_attributes(path).get("multiscales"))


def _image_attributes(path: Path) -> Mapping[str, Any]:
    """Return the attributes that describe the image, of version 0.5 or 0.4, {} where there are none."""
    for name in ("zarr.json", ".zattrs"):
        try:
            document = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict):
            attributes = document.get("attributes", {}).get("ome", {}) if name == "zarr.json" else document
            return attributes if isinstance(attributes, dict) else {}
    return {}


class ZarrSource:
    """An OME-Zarr image; factors and resolution are those of its coordinate transformations."""

    def __init__(self, path: Path) -> None:
        try:
            import zarr
        except ImportError as error:
            raise needs_extra("zarr") from error
        self._path = path
        attributes = _image_attributes(path)
        try:
            image = attributes["multiscales"][0]
            self._axes = [str(axis["name"] if isinstance(axis, dict) else axis).lower() for axis in image.get("axes", "tczyx")]
            group = zarr.open_group(path, mode="r")
            self._arrays = [group[one["path"]] for one in image["datasets"]]
            self.info = self._describe(attributes, image)
        except InputError:
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{path.name} cannot be opened as OME-Zarr: {reason}.", COPY_AGAIN) from error

    def _describe(self, attributes: Mapping[str, Any], image: Mapping[str, Any]) -> SourceInfo:
        if {"y", "x"} - set(self._axes) or any(array.ndim != len(self._axes) for array in self._arrays):
            raise InputError(f"{self._path.name} has no axes y and x.", "Write it again as an OME-Zarr image.")
        at = (self._axes.index("y"), self._axes.index("x"))
        scales = [_scale(one, image, len(self._axes)) for one in image["datasets"]]
        layouts = []
        for array, scale in zip(self._arrays, scales, strict=True):
            shape = (int(array.shape[at[0]]), int(array.shape[at[1]]))
            tile = (min(int(array.chunks[at[0]]), shape[0]), min(int(array.chunks[at[1]]), shape[1]))
            layouts.append(LevelLayout(shape, tile, (scale[at[0]] / scales[0][at[0]], scale[at[1]] / scales[0][at[1]])))
        base = self._arrays[0]
        count = int(base.shape[self._axes.index("c")]) if "c" in self._axes else 1
        names = _channel_names(attributes, count)
        is_rgb = count == 3 and base.dtype == np.uint8 and (names is None or tuple(n.lower() for n in names) in _COLOUR_NAMES)
        planes = [f"{base.shape[i]} along {axis.upper()}" for i, axis in enumerate(self._axes) if axis not in "cyx" and base.shape[i] > 1]
        return SourceInfo(
            format="ome-zarr",
            levels=tuple(layouts),
            dtype=base.dtype.newbyteorder("=").name,
            channels=("R", "G", "B") if is_rgb else names or tuple(str(i + 1) for i in range(count)),
            is_rgb=is_rgb,
            mpp_um=(_micrometres(image, at[0], scales[0]), _micrometres(image, at[1], scales[0])),
            mpp_from="OME-Zarr scale",
            notes=(f"It holds several planes ({', '.join(planes)}); the first is read.",) if planes else (),
        )

    def read_tile(self, level: int, row: int, column: int) -> npt.NDArray[Any]:
        """Return a tile, shape (y, x, c)."""
        layout = self.info.levels[level]
        y, x = row * layout.tile[0], column * layout.tile[1]
        where = {"y": slice(y, y + layout.tile[0]), "x": slice(x, x + layout.tile[1]), "c": slice(None)}
        index = tuple(where.get(axis, 0) for axis in self._axes)
        try:
            tile = np.asarray(self._arrays[level][index])
        except Exception as error:  # each codec has errors of its own
            raise DamagedTileError(self._path, level, row, column, error) from error
        left = [axis for axis in self._axes if axis in "cyx"]
        if "c" not in left:
            tile, left = tile[..., None], [*left, "c"]
        return np.ascontiguousarray(tile.transpose([left.index(axis) for axis in "yxc"]), dtype=self.info.dtype)

    def associated(self, name: str) -> npt.NDArray[Any]:
        """OME-Zarr has no such images."""
        raise KeyError(name)

    def close(self) -> None:
        """Nothing stays open between reads."""


def _scale(dataset: Mapping[str, Any], image: Mapping[str, Any], axes: int) -> list[float]:
    """Return the size of a pixel of a level along each axis, in the image's units."""
    scale = np.ones(axes)
    for step in (*dataset.get("coordinateTransformations", ()), *image.get("coordinateTransformations", ())):
        if step.get("type") == "scale":
            scale = scale * np.asarray(step["scale"], float)
    return [float(value) for value in scale]


def _micrometres(image: Mapping[str, Any], axis: int, scale: Sequence[float]) -> float | None:
    described = image.get("axes", ())[axis] if image.get("axes") else None
    factor = _UM.get(str(described.get("unit", "")).lower()) if isinstance(described, dict) else None
    value = number(scale[axis])
    return value * factor if value is not None and factor else None


def _channel_names(attributes: Mapping[str, Any], count: int) -> tuple[str, ...] | None:
    channels = (attributes.get("omero") or {}).get("channels") or ()
    names = tuple(str(one.get("label", "")) for one in channels)
    return names if len(names) == count and all(names) else None
