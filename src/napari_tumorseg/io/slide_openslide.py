"""Slides of the scanners' own formats, through OpenSlide."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.contents import COPY_AGAIN, unreadable
from napari_tumorseg.io.slide_source import DamagedTileError, LevelLayout, SourceInfo, needs_extra, number
from napari_tumorseg.io.slide_tiff import TiffSource

__all__ = ["OpenSlideSource", "scanner_of"]

_TILE = 512  # where the file has none of its own that is worth using
_USEFUL = (64, 1024)


def _openslide() -> Any:
    try:
        import openslide
    except ImportError as error:
        raise needs_extra("openslide-python (with openslide-bin)") from error
    return openslide


def scanner_of(path: Path) -> str:
    """Return OpenSlide's name of the format, e.g. "aperio", "generic-tiff", "dicom"; "" for none."""
    try:
        return _openslide().OpenSlide.detect_format(str(path)) or ""
    except OSError:
        return ""


class OpenSlideSource:
    """A slide that OpenSlide reads.

    OpenSlide counts positions in whole pixels of level 0 and interpolates where such a position falls between two pixels of a
    lower level, as it does when a level's factor is no whole number. Tiles of Aperio slides are then decoded
    as they are stored, by tifffile; in other formats such a tile is shifted by at most half a pixel of level 0.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._library = _openslide()
        self._lock = threading.Lock()
        self._old: list[Any] = []
        self._slide = self._open()
        self._stored: TiffSource | None = None
        try:
            self.info = _facts(self._slide)
            self._stored = self._stored_tiles()
        except BaseException:
            self.close()
            raise

    def _open(self) -> Any:
        try:
            return self._library.OpenSlide(str(self._path))
        except self._library.OpenSlideError as error:
            reason = " ".join(str(error).split())[:120]
            raise InputError(f"{self._path.name} cannot be opened as a slide: {reason}.", COPY_AGAIN) from error
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _stored_tiles(self) -> TiffSource | None:
        whole = all(float(factor).is_integer() for level in self.info.levels for factor in level.downsample)
        if whole or self.info.vendor != "aperio":
            return None
        with suppress(InputError):
            stored = TiffSource(self._path)
            if [(level.shape, level.tile) for level in stored.info.levels] == [(level.shape, level.tile) for level in self.info.levels]:
                return stored
            stored.close()
        return None

    def read_tile(self, level: int, row: int, column: int) -> npt.NDArray[Any]:
        """Return a tile, shape (y, x, 3), uint8; what was not scanned is of the slide's background."""
        layout = self.info.levels[level]
        if self._stored is not None and level and self._stored.has_tile(level, row, column):
            return self._stored.read_tile(level, row, column)
        y, x = row * layout.tile[0], column * layout.tile[1]
        height, width = min(layout.tile[0], layout.shape[0] - y), min(layout.tile[1], layout.shape[1] - x)
        slide = self._slide
        factor = slide.level_downsamples[level]
        try:
            picture = slide.read_region((round(x * factor), round(y * factor)), level, (width, height))
        except self._library.OpenSlideError as error:
            self._renew(slide)
            raise DamagedTileError(self._path, level, row, column, error) from error
        return _on_background(np.asarray(picture), slide.properties.get("openslide.background-color"))

    def _renew(self, broken: Any) -> None:
        # After one error a handle of OpenSlide refuses everything; other threads may still be inside it.
        with self._lock:
            if self._slide is broken:
                self._old.append(broken)
                self._slide = self._open()

    def associated(self, name: str) -> npt.NDArray[Any]:
        """Return a label, macro or thumbnail image, shape (y, x, 3), uint8."""
        slide = self._slide
        try:
            return _on_background(np.asarray(slide.associated_images[name]), None)
        except self._library.OpenSlideError as error:
            self._renew(slide)
            raise InputError(f"{self._path.name}: the image {name!r} is damaged.", COPY_AGAIN) from error

    def close(self) -> None:
        """Close the handles."""
        with self._lock:
            for slide in (*self._old, self._slide):
                slide.close()
            self._old.clear()
        if self._stored is not None:
            self._stored.close()


def _facts(slide: Any) -> SourceInfo:
    properties = slide.properties
    width, height = slide.dimensions
    levels = []
    for index, (w, h) in enumerate(slide.level_dimensions):
        tile = [number(properties.get(f"openslide.level[{index}].tile-{side}")) or 0 for side in ("height", "width")]
        useful = all(_USEFUL[0] <= edge <= _USEFUL[1] for edge in tile)
        levels.append(LevelLayout((h, w), (int(tile[0]), int(tile[1])) if useful else (_TILE, _TILE), (height / h, width / w)))
    mpp = number(properties.get("openslide.mpp-y")), number(properties.get("openslide.mpp-x"))
    vendor = properties.get("openslide.vendor", "")
    return SourceInfo(
        format="openslide",
        levels=tuple(levels),
        mpp_um=mpp,
        mpp_from=f"{vendor} header",
        vendor=vendor,
        objective=number(properties.get("openslide.objective-power")),
        associated=tuple(sorted(slide.associated_images)),
    )


def _on_background(rgba: npt.NDArray[np.uint8], colour: str | None) -> npt.NDArray[np.uint8]:
    """Return RGB; transparent pixels, which the scanner did not scan, take the background's colour (white by default)."""
    if rgba.ndim == 2 or rgba.shape[2] < 4:
        return np.ascontiguousarray(np.broadcast_to(rgba[..., None], (*rgba.shape, 3)) if rgba.ndim == 2 else rgba)
    alpha = rgba[..., 3]
    rgb = np.ascontiguousarray(rgba[..., :3])
    if alpha.min(initial=255) == 255:
        return rgb
    try:
        back = np.frombuffer(bytes.fromhex((colour or "ffffff").lstrip("#")), np.uint8).astype(np.uint16)
    except ValueError:
        back = np.full(3, 255, np.uint16)
    share = alpha[..., None].astype(np.uint16)
    mixed: npt.NDArray[np.uint8] = ((rgb * share + back[:3] * (255 - share) + 127) // 255).astype(np.uint8)
    return mixed
