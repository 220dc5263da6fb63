"""Slides in DICOM, through wsidicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.contents import COPY_AGAIN
from napari_tumorseg.io.dicom_files import listening
from napari_tumorseg.io.slide_source import DamagedTileError, LevelLayout, SourceInfo, needs_extra

__all__ = ["DicomSource", "slide_files"]

#: wsidicom keeps tiles of its own; ours are kept in `io.slide_cache`.
_OWN_CACHE_BYTES = 1 << 20


def slide_files(path: Path) -> list[Path]:
    """Return the files of one slide: all of its series that lie in the same folder.

    Parameters
    ----------
    path : Path
        One of its files, or the folder; a folder must hold one slide only.

    Raises
    ------
    InputError
        If there is no slide, or several.
    """
    import pydicom

    series: dict[str, list[Path]] = {}
    wanted = ""
    tags = ["SOPClassUID", "SeriesInstanceUID"]
    for file in sorted(p for p in (path if path.is_dir() else path.parent).iterdir() if p.is_file() and not p.name.startswith(".")):
        try:
            with listening():
                dataset = pydicom.dcmread(file, specific_tags=tags, stop_before_pixels=True)
                kind, uid = str(dataset.get("SOPClassUID", "")), str(dataset.get("SeriesInstanceUID", ""))
        except Exception:  # no DICOM, or broken beyond telling what it is
            continue
        if kind != "1.2.840.10008.5.1.4.1.1.77.1.6":
            continue
        series.setdefault(uid, []).append(file)
        if path == file:
            wanted = uid
    if path.is_dir() and len(series) > 1:
        raise InputError(f"{path.name} holds {len(series)} slides.", "Choose one file of the slide that you want.")
    files = series.get(wanted, []) if not path.is_dir() else next(iter(series.values()), [])
    if not files:
        raise InputError(f"{path.name} holds no DICOM slide.", "Choose the folder with the slide's .dcm files.")
    return files


class DicomSource:
    """A DICOM slide; optical paths are its channels, and the focal plane is the default one."""

    def __init__(self, path: Path) -> None:
        try:
            from wsidicom import WsiDicom
        except ImportError as error:
            raise needs_extra("wsidicom") from error
        self._path = path
        files = slide_files(path)
        # pydicom's warnings quote values, which may be a patient's.
        with listening():
            self._open(WsiDicom, files)

    def _open(self, library: Any, files: list[Path]) -> None:
        try:
            self._slide = library.open(files)
        except Exception as error:  # wsidicom, pydicom and the decoders each have their own
            raise self._unreadable(error) from error
        try:
            self._slide.resize_cache(_OWN_CACHE_BYTES)
            self._levels = list(self._slide.pyramids[0])
            self._optical = _optical_paths(self._levels[0])
            self.info = self._describe()
        except Exception as error:  # as above
            self.close()
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> InputError:
        return InputError(f"{self._path.name} cannot be opened as a DICOM slide: {_short(error)}.", COPY_AGAIN)

    def _describe(self) -> SourceInfo:
        base = self._levels[0]
        data = base.default_instance.dataset
        spacing = base.pixel_spacing
        layouts = []
        for level in self._levels:
            shape = (int(level.size.height), int(level.size.width))
            tile = (int(level.tile_size.height), int(level.tile_size.width))
            layouts.append(LevelLayout(shape, tile, (base.size.height / shape[0], base.size.width / shape[1])))
        is_rgb = int(data.samples_per_pixel) == 3
        maker = _maker(self._slide)
        notes = [f"It holds {len(base.focal_planes)} focal planes; the default one is read."] * (len(base.focal_planes) > 1)
        return SourceInfo(
            format="dicom-wsi",
            levels=tuple(layouts),
            dtype="uint8" if int(data.bits) <= 8 else "uint16",
            channels=("R", "G", "B") if is_rgb else tuple(str(i + 1) for i in range(len(self._optical))),
            is_rgb=is_rgb,
            mpp_um=(spacing.height * 1000.0, spacing.width * 1000.0) if spacing is not None else (None, None),
            mpp_from="DICOM pixel spacing",
            vendor=maker,
            associated=tuple(name for name, group in (("label", self._slide.labels), ("macro", self._slide.overviews)) if group),
            notes=tuple(notes),
        )

    def read_tile(self, level: int, row: int, column: int) -> npt.NDArray[Any]:
        """Return a tile, shape (y, x, c)."""
        from wsidicom.geometry import Point

        try:
            parts = [np.asarray(self._levels[level].get_tile(Point(column, row), None, path)) for path in self._optical]
        except Exception as error:  # wsidicom, Pillow and the decoders each have their own
            raise DamagedTileError(self._path, level, row, column, _short(error)) from error
        parts = [part if part.ndim == 3 else part[..., None] for part in parts]
        whole = parts[0][..., :3] if len(parts) == 1 else np.concatenate([part[..., :1] for part in parts], axis=-1)
        layout = self.info.levels[level]
        height = min(layout.tile[0], layout.shape[0] - row * layout.tile[0])
        width = min(layout.tile[1], layout.shape[1] - column * layout.tile[1])
        if whole.shape[0] < height or whole.shape[1] < width:
            raise DamagedTileError(self._path, level, row, column, "it is too small")
        return np.ascontiguousarray(whole[:height, :width])

    def associated(self, name: str) -> npt.NDArray[Any]:
        """Return the label or macro image, shape (y, x, 3), uint8."""
        picture = self._slide.read_label() if name == "label" else self._slide.read_overview()
        return np.asarray(picture.convert("RGB"))

    def close(self) -> None:
        """Close the files."""
        self._slide.close()


def _maker(slide: Any) -> str:
    """Return the scanner's maker, "" where the file does not say; the other metadata may be incomplete, which spoils no pixel."""
    try:
        maker = str(slide.metadata.equipment.manufacturer or "")
    except Exception:  # whatever is missing
        return ""
    return "" if maker == "Unknown" else maker


def _optical_paths(level: Any) -> list[str]:
    paths = [str(path) for path in level.optical_paths]
    colours = int(level.default_instance.dataset.samples_per_pixel) == 3
    return paths[:1] if colours else sorted(paths)


def _short(error: Exception) -> str:
    # The texts of wsidicom may quote a whole dataset, with the patient's name in it.
    return type(error).__name__
