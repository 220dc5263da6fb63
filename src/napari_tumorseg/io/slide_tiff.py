"""Slides in TIFF, through tifffile: OME-TIFF, pyramids of tiles, and plain images; tiles are decoded as they are stored."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.contents import COPY_AGAIN, unreadable
from napari_tumorseg.io.slide_source import DamagedTileError, LevelLayout, SourceInfo
from napari_tumorseg.io.slide_tiff_facts import associated_series, channel_names, level_series, objective_of, stated_resolution
from napari_tumorseg.io.tiff_pages import listening

__all__ = ["TiffSource"]


class TiffSource:
    """A TIFF file as a pyramid.

    Channels lie in samples of a pixel or in pages of their own; of a stack or a time series the first plane is read, with a note.

    Raises
    ------
    InputError
        If the file is no TIFF, or its pixels are of a kind that is not read.
    """

    def __init__(self, path: Path) -> None:
        import tifffile

        self._path = path
        self._lock = threading.Lock()
        try:
            with listening():
                self._file = tifffile.TiffFile(path)
        except OSError as error:
            raise unreadable(path, error) from error
        except Exception as error:  # on a damaged header tifffile stumbles in many ways
            raise InputError(f"{path.name} is not a TIFF file, is cut short, or is damaged.", COPY_AGAIN) from error
        try:
            with listening():
                self._levels, self.info = _describe(path, self._file)
        except InputError:
            self.close()
            raise
        except Exception as error:  # on a damaged header tifffile stumbles in many ways
            self.close()
            raise InputError(f"{path.name} cannot be read as a slide: {' '.join(str(error).split())[:120]}.", COPY_AGAIN) from error
        self._samples = _samples(self._levels[0][0])

    def has_tile(self, level: int, row: int, column: int) -> bool:
        """Whether the file holds this tile; some writers leave out what is blank or can be averaged."""
        page = self._levels[level][0]
        return bool(page.databytecounts[row * self.info.levels[level].grid[1] + column])

    def read_tile(self, level: int, row: int, column: int) -> npt.NDArray[Any]:
        """Return a tile, shape (y, x, c); one that the file leaves out has the fill value 0."""
        layout = self.info.levels[level]
        y, x = row * layout.tile[0], column * layout.tile[1]
        height, width = min(layout.tile[0], layout.shape[0] - y), min(layout.tile[1], layout.shape[1] - x)
        rows, columns = layout.grid
        parts = []
        for page in self._levels[level]:
            separate = page.planarconfig == 2 and page.samplesperpixel > 1
            for sample in range(page.samplesperpixel if separate else 1):
                index = sample * rows * columns + row * columns + column
                try:
                    tile = self._decode(page, index)
                except Exception as error:  # each decoder has errors of its own
                    raise DamagedTileError(self._path, level, row, column, error) from error
                if tile is None:
                    tile = np.zeros((height, width, 1 if separate else page.samplesperpixel), self.info.dtype)
                elif tile.shape[0] < height or tile.shape[1] < width:
                    raise DamagedTileError(self._path, level, row, column, "it is too small")
                parts.append(tile[:height, :width])
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return np.ascontiguousarray(whole[..., : len(self.info.channels)], dtype=self.info.dtype)

    def _decode(self, page: Any, index: int) -> npt.NDArray[Any] | None:
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        if size == 0:
            return None
        with self._lock:
            handle = self._file.filehandle
            handle.seek(offset)
            data = handle.read(size)
        if len(data) < size:
            raise ValueError("the file ends inside it")
        tile = page.decode(data, index, jpegtables=page.jpegtables)[0]
        return None if tile is None else np.asarray(tile[0])

    def associated(self, name: str) -> npt.NDArray[Any]:
        """Return a label, macro or thumbnail image, shape (y, x, 3), uint8."""
        series = associated_series(self._file)[name]
        with self._lock, listening():
            picture = np.asarray(series.asarray())
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=-1)
        return np.ascontiguousarray(picture[..., :3])

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _samples(page: Any) -> int:
    return int(page.samplesperpixel)


def _describe(path: Path, file: Any) -> tuple[list[list[Any]], SourceInfo]:
    if not len(file.pages) or not file.series:
        raise InputError(f"{path.name} holds no image.", COPY_AGAIN)
    series = level_series(file)
    levels = [_channel_pages(one) for one in series]
    first = levels[0][0]
    notes = _notes(series[0])
    if first.photometric == 3:
        raise InputError(f"{path.name} has a colour palette, which is not read.", "Save it again with RGB colours.")
    dtype = first.dtype
    if dtype is None or dtype.kind not in "uif":
        raise InputError(f"{path.name} has pixels of the kind {dtype}, which is not read.", "Save it again with 8 or 16 bits.")
    count = len(levels[0]) * _samples(first)
    is_rgb = len(levels[0]) == 1 and first.photometric in (2, 6) and _samples(first) >= 3
    if is_rgb:
        count = 3  # a fourth sample is transparency
    height, width = first.imagelength, first.imagewidth
    layouts = []
    for pages in levels:
        page = pages[0]
        shape = (int(page.imagelength), int(page.imagewidth))
        tile = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip or shape[0], shape[0]), shape[1])
        layouts.append(LevelLayout(shape, (int(tile[0]), int(tile[1])), (height / shape[0], width / shape[1])))
    if not first.is_tiled and height * width > 1 << 26:
        notes.append("It is not stored in tiles, so that reading a region is slow.")
    mpp, mpp_from = stated_resolution(file, series[0])
    return levels, SourceInfo(
        format="ome-tiff" if file.is_ome else "tiff",
        levels=tuple(layouts),
        dtype=dtype.newbyteorder("=").name,
        channels=("R", "G", "B") if is_rgb else channel_names(file, count),
        is_rgb=is_rgb,
        mpp_um=mpp,
        mpp_from=mpp_from,
        vendor="aperio" if file.is_svs else "",
        objective=objective_of(file),
        associated=tuple(sorted(associated_series(file))),
        notes=tuple(notes),
    )


def _other_axes(series: Any) -> list[tuple[str, int]]:
    return [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXS"]


def _channel_pages(series: Any) -> list[Any]:
    """Return a page for each channel of the first plane."""
    axes = _other_axes(series)
    sizes = [size for _, size in axes]
    chosen = [next((i for i, (name, _) in enumerate(axes) if name == "C"), -1)]
    count = sizes[chosen[0]] if chosen[0] >= 0 else 1
    pages = []
    for channel in range(count):
        at = [channel if i == chosen[0] else 0 for i in range(len(sizes))]
        index = int(np.ravel_multi_index(at, sizes)) if sizes else 0
        if index >= len(series.pages):
            break  # planar samples of one page are counted as an axis
        page = series.pages[index]
        if page is None:
            raise InputError(f"A page of {series.name or 'the series'} is missing.", COPY_AGAIN)
        pages.append(page.aspage() if hasattr(page, "aspage") else page)
    return pages


def _notes(series: Any) -> list[str]:
    several = [f"{size} along {axis}" for axis, size in _other_axes(series) if axis != "C" and size > 1]
    return [f"It holds several planes ({', '.join(several)}); the first is read."] if several else []
