"""The one door to whole slides: a lazy pyramid, whatever the kind of file."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.volume import Slide, SlideLevel
from napari_tumorseg.io.slide_cache import TileCache
from napari_tumorseg.io.slide_kinds import open_source
from napari_tumorseg.io.slide_level import SlideLevelArray
from napari_tumorseg.io.slide_made import averaged, made_levels, marked_blank
from napari_tumorseg.io.slide_source import DamagedTileError, LevelLayout, SourceInfo, TileSource, check_levels, checked_mpp, stated_mpp

__all__ = ["SlideReader", "open_slide"]

Pixels = npt.NDArray[Any]
Region = tuple[int, int, int, int]

CACHE_BYTES = 256 << 20
_NOTED = 20


def open_slide(path: Path, *, mpp_um: tuple[float, float] | None = None, cache_bytes: int = CACHE_BYTES) -> SlideReader:
    """Open a slide of any kind; no pixels are read.

    Parameters
    ----------
    path : Path
        A file of a scanner, a TIFF file, one file or the folder of a DICOM slide, or an OME-Zarr folder.
    mpp_um : tuple of float, optional
        Micrometres per pixel (y, x) that the user states; goes before what the file says.
    cache_bytes : int
        Decoded tiles that are kept, at most.

    Raises
    ------
    InputError
        If the file is no slide, is damaged, or its library is not installed, or the stated resolution is impossible.
    """
    stated = stated_mpp(mpp_um) if mpp_um is not None else None
    source = open_source(Path(path))
    try:
        check_levels(Path(path), source.info.levels)
        return SlideReader(Path(path), source, stated, cache_bytes)
    except BaseException:
        source.close()
        raise


class SlideReader:
    """An open slide. Every method may be called from any thread.

    Use it in a ``with`` statement, or call `close`; when it is garbage, its files are closed too.

    Attributes
    ----------
    slide : Slide
        Levels, resolution and facts. Levels that the file lacks are there and averaged when read, halving down to 1024 pixels.
    cache : TileCache
        Decoded tiles.
    """

    def __init__(self, path: Path, source: TileSource, mpp_um: tuple[float, float] | None, cache_bytes: int) -> None:
        self.cache = TileCache(cache_bytes)
        self._source = source
        self._levels = (*source.info.levels, *made_levels(source.info.levels))
        self.slide = _described(path, source.info, self._levels, mpp_um)
        self._damaged: list[tuple[int, int, int]] = []
        self._lock = threading.Lock()
        self._closer = weakref.finalize(self, source.close)

    def __enter__(self) -> SlideReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and drop the tiles; may be called twice."""
        self._closer()
        self.cache.clear()

    @property
    def closed(self) -> bool:
        """Whether the files are closed."""
        return not self._closer.alive

    @property
    def layouts(self) -> tuple[LevelLayout, ...]:
        """Size, tile size and factor of every level."""
        return self._levels

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed on opening, and each damaged tile that was shown blank since."""
        with self._lock:
            damaged = list(self._damaged)
        tiles = [
            f"Tile (row {row}, column {column}) of level {level} is damaged and shown blank." for level, row, column in damaged[:_NOTED]
        ]
        more = [f"{len(damaged) - _NOTED} more tiles are damaged."] if len(damaged) > _NOTED else []
        return (*self.slide.notes, *tiles, *more)

    def read(self, level: int, box: Region, *, mark_damage: bool = False) -> Pixels:
        """Return the pixels of a region.

        Parameters
        ----------
        level : int
            0 is full resolution.
        box : tuple of int
            (y0, x0, y1, x1) in pixels of that level, half open, inside the level.
        mark_damage : bool
            For display: a tile that cannot be decoded is a crossed blank, noted in `notes`, and no error.

        Returns
        -------
        numpy.ndarray
            Shape (y1 - y0, x1 - x0, c), dtype of the slide.

        Raises
        ------
        DamagedTileError
            If a tile cannot be decoded; the message names it.
        InputError
            If the region is not inside the level, or the slide is closed.
        """
        if self.closed:
            raise InputError(f"{self.slide.path.name} is closed.", "Open it again.")
        if not 0 <= level < len(self._levels):
            raise InputError(f"{self.slide.path.name} has the levels 0 to {len(self._levels) - 1}, not {level}.", "Choose one of them.")
        layout = self._levels[level]
        y0, x0, y1, x1 = (int(edge) for edge in box)
        if not (0 <= y0 <= y1 <= layout.shape[0] and 0 <= x0 <= x1 <= layout.shape[1]):
            raise InputError(
                f"The region {(y0, x0, y1, x1)} is not inside level {level} of {layout.shape[0]} x {layout.shape[1]} pixels.",
                "Choose y0 <= y1 and x0 <= x1 inside it.",
            )
        try:
            out = np.empty((y1 - y0, x1 - x0, len(self.slide.channels)), self.slide.dtype)
        except MemoryError as error:
            raise InputError(f"The region {(y0, x0, y1, x1)} of level {level} does not fit in memory.", "Read it in parts.") from error
        if out.size == 0:
            return out
        height, width = layout.tile
        for row in range(y0 // height, -(-y1 // height)):
            for column in range(x0 // width, -(-x1 // width)):
                tile = self._tile(level, row, column, mark_damage)
                top, left = row * height, column * width
                a, b = max(y0, top), min(y1, top + tile.shape[0])
                c, d = max(x0, left), min(x1, left + tile.shape[1])
                out[a - y0 : b - y0, c - x0 : d - x0] = tile[a - top : b - top, c - left : d - left]
        return out

    def _tile(self, level: int, row: int, column: int, mark_damage: bool) -> Pixels:
        key = (level, row, column)
        tile = self.cache.get(("blank", *key)) if mark_damage else None
        if tile is None:
            tile = self.cache.get(key)
        if tile is not None:
            return tile
        try:
            tile = self._fresh(level, row, column, mark_damage=False)
        except DamagedTileError:
            if not mark_damage:
                raise
            tile = self._fresh(level, row, column, mark_damage=True)
            self.cache.put(("blank", *key), tile)
            return tile
        self.cache.put(key, tile)
        return tile

    def _fresh(self, level: int, row: int, column: int, mark_damage: bool) -> Pixels:
        layout = self._levels[level]
        if level < len(self._source.info.levels):
            if not mark_damage:
                return self._source.read_tile(level, row, column)
            with self._lock:
                if (level, row, column) not in self._damaged:
                    self._damaged.append((level, row, column))
            y, x = row * layout.tile[0], column * layout.tile[1]
            shape = (min(layout.tile[0], layout.shape[0] - y), min(layout.tile[1], layout.shape[1] - x), len(self.slide.channels))
            return marked_blank(shape, np.dtype(self.slide.dtype))
        above = self._levels[level - 1].shape
        y, x = 2 * row * layout.tile[0], 2 * column * layout.tile[1]
        box = (y, x, min(y + 2 * layout.tile[0], above[0]), min(x + 2 * layout.tile[1], above[1]))
        return averaged(self.read(level - 1, box, mark_damage=mark_damage))

    def level_array(self, level: int, *, mark_damage: bool = False, channel: int | None = None) -> SlideLevelArray:
        """Return a level, or one channel of it, as an array that reads what is indexed; it keeps the slide open."""
        return SlideLevelArray(self, level, mark_damage, channel)

    def dask_pyramid(self, *, mark_damage: bool = False) -> list[Any]:
        """Return every level as a dask array of shape (y, x, c), with chunks of about 1024 whole tiles' edges."""
        import dask.array

        arrays = (self.level_array(level, mark_damage=mark_damage) for level in range(len(self._levels)))
        return [dask.array.from_array(array, chunks=array.large_chunks, asarray=False, fancy=False, name=False) for array in arrays]

    def thumbnail(self, limit: int = 1024) -> tuple[Pixels, int]:
        """Return the largest level whose sides are within `limit` pixels (else the smallest level), damage marked, and its number."""
        fitting = [i for i, layout in enumerate(self._levels) if max(layout.shape) <= limit]
        level = fitting[0] if fitting else len(self._levels) - 1
        return self.read(level, (0, 0, *self._levels[level].shape), mark_damage=True), level

    def associated_image(self, name: str) -> Pixels:
        """Return an image of `slide.associated`, shape (y, x, 3), uint8.

        Label and macro images often show the patient's name or number: ask for them only where a person wants to see them,
        and keep them nowhere.
        """
        if name not in self.slide.associated:
            has = ", ".join(self.slide.associated) or "none"
            raise InputError(f"{self.slide.path.name} has no image {name!r} beside the slide (has: {has}).", "Choose another.")
        return self._source.associated(name)


def _described(path: Path, info: SourceInfo, levels: tuple[LevelLayout, ...], stated: tuple[float, float] | None) -> Slide:
    mpp, doubt = checked_mpp(info.mpp_um)
    notes = list(info.notes)
    if stated is not None:
        if mpp is not None and not np.allclose(mpp, stated, rtol=0.02):
            notes.append(f"The file says {mpp[0]:g} x {mpp[1]:g} micrometres per pixel; {stated[0]:g} x {stated[1]:g} is stated and used.")
    elif doubt:
        notes.append(f"{doubt} Lengths and areas need it: state the scanner's value.")
    made = len(levels) - len(info.levels)
    if made:
        notes.append(f"The file lacks {made} of the smaller levels; they are averaged when they are looked at.")
    if not info.is_rgb:
        notes.append(f"Not a brightfield image: {len(info.channels)} channels without colour ({info.dtype}).")
    elif info.dtype != "uint8":
        notes.append(f"Its colours have the type {info.dtype}, not 8 bits.")
    return Slide(
        path=path,
        levels=tuple(SlideLevel(level.shape, level.downsample) for level in levels),
        mpp_um=stated or mpp,
        associated=info.associated,
        channels=info.channels,
        dtype=info.dtype,
        is_rgb=info.is_rgb,
        format=info.format,
        vendor=info.vendor,
        objective=info.objective,
        mpp_from="stated" if stated else info.mpp_from if mpp else "",
        made_levels=made,
        notes=tuple(notes),
    )
