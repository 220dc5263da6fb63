"""The pages of a TIFF file, with a check that all of them are there, and the voxel size that it states."""

from __future__ import annotations

import logging
import re
import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io.arrays import megabytes
from napari_tumorseg.io.contents import COPY_AGAIN, describe, unreadable

__all__ = ["Pages", "count_pages", "listening", "ome_pixels", "plane_spacing_mm", "read_pages"]

_MM = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 1e-3, "nm": 1e-6, "inch": 25.4}
_SAME = {
    **{"meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm", "millimeters": "mm"},
    **{"micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um", "µm": "um", "μm": "um", "\\u00b5m": "um"},
    **{"nanometer": "nm", "nanometre": "nm", "in": "inch", "inches": "inch"},
}


@dataclass(frozen=True)
class Pages:
    """Values of a file, one axis letter each as tifffile names them, stated (z, y, x) spacing, description."""

    data: npt.NDArray[Any]
    axes: str
    spacing_mm: tuple[float | None, float | None, float | None]
    description: str
    warnings: tuple[str, ...]


class _Heard(logging.Handler):
    """Keeps what tifffile says about a file, which it otherwise prints."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


@contextmanager
def listening() -> Iterator[list[str]]:
    """Yield what tifffile says about a file, which it otherwise prints."""
    logger, heard = logging.getLogger("tifffile"), _Heard()
    before = logger.propagate
    logger.addHandler(heard)
    logger.propagate = False
    try:
        yield heard.words
    finally:
        logger.removeHandler(heard)
        logger.propagate = before


def count_pages(path: Path) -> int:
    """Return the number of pages of a file."""
    import tifffile

    try:
        with listening(), tifffile.TiffFile(path) as file:
            return len(file.pages)
    except (tifffile.TiffFileError, struct.error):
        raise _no_tiff(path) from None
    except OSError as error:
        raise unreadable(path, error) from error


def read_pages(path: Path) -> Pages:
    """Read the first image of a TIFF file.

    Raises
    ------
    InputError
        If the file is empty, no TIFF, cut short, damaged, or packed in a way that cannot be read here.
    """
    import tifffile

    try:
        size = path.stat().st_size
        if size == 0:
            raise InputError(f"{path.name} is empty (0 bytes).", COPY_AGAIN)
        with listening() as heard, tifffile.TiffFile(path) as file:
            if not len(file.pages) or not file.series:
                raise _no_tiff(path)
            series = file.series[0]
            _check_complete(path, series, size, heard)
            data = np.asarray(series.asarray())
            if any("corrupt" in words or "failed" in words for words in heard):
                raise InputError(f"{path.name} is damaged.", COPY_AGAIN)
            description = _description(file)
            warnings = (f"{path.name} holds {len(file.series)} images of different kinds; only the first is read.",) * (
                len(file.series) > 1
            )
            return Pages(data, series.axes, _spacing(file), description, warnings)
    except (tifffile.TiffFileError, struct.error):
        raise _no_tiff(path) from None
    except OSError as error:
        raise unreadable(path, error) from error
    except (KeyError, ValueError, RuntimeError, TypeError, IndexError) as error:
        # tifffile names a missing decoder, or the part that it could not make sense of.
        reason = " ".join(str(error).strip("'\"").split())[:120]
        raise InputError(f"{path.name} cannot be read: {reason}.", "Save it again as TIFF without compression.") from error


def _no_tiff(path: Path) -> InputError:
    with path.open("rb") as file:
        head = file.read(200)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return InputError(f"{path.name} is cut short inside its header.", COPY_AGAIN)
    return InputError(f"{path.name} is not a TIFF file: {describe(head)}.", "Choose another file, or get this one again from its source.")


def _check_complete(path: Path, series: Any, size: int, heard: list[str]) -> None:
    """Raise `InputError` when pages or parts of them lie beyond the end; tifffile would fill them with zeros."""
    needed = 0
    missing = any("corrupt" in words or re.search("invalid (page |value )?offset", words) for words in heard)
    for page in series.pages:
        if page is None:
            missing = True
            continue
        needed = max([needed, *(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False))])
    if series.dataoffset is not None:
        # Pages that follow each other are listed by the first alone.
        needed = max(needed, series.dataoffset + series.nbytes)
    if needed > size:
        raise InputError(f"{path.name} is cut short at {megabytes(size, needed)}.", COPY_AGAIN)
    if missing:
        raise InputError(f"{path.name} is cut short: its pages or their description are not whole.", COPY_AGAIN)


def _description(file: Any) -> str:
    if file.ome_metadata:
        found = re.search(r"<Description>(.*?)</Description>", file.ome_metadata, re.DOTALL)
        return found[1] if found else ""
    return ""


def _spacing(file: Any) -> tuple[float | None, float | None, float | None]:
    if file.ome_metadata:
        return _ome_spacing(file.ome_metadata)
    if file.imagej_metadata is not None:
        return _imagej_spacing(file)
    # The resolution of plain TIFF is that of a printed page.
    return None, None, None


def plane_spacing_mm(file: Any) -> tuple[float | None, float | None]:
    """Return the pixel size (y, x) in mm that an open OME-TIFF or ImageJ file states."""
    return _spacing(file)[1:]


def ome_pixels(text: str) -> ElementTree.Element | None:
    """Return the first Pixels element of an OME description."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return None
    return next((node for node in root.iter() if node.tag.rsplit("}", 1)[-1] == "Pixels"), None)


def _ome_spacing(text: str) -> tuple[float | None, float | None, float | None]:
    pixels = ome_pixels(text)
    if pixels is None:
        return None, None, None
    z, y, x = (_in_mm(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "um")) for axis in "ZYX")
    return z, y, x


def _imagej_spacing(file: Any) -> tuple[float | None, float | None, float | None]:
    metadata = file.imagej_metadata
    unit = str(metadata.get("unit", ""))
    z = _in_mm(metadata.get("spacing"), unit)
    plane: list[float | None] = []
    for name in ("YResolution", "XResolution"):
        tag = file.pages[0].tags.get(name)
        numerator, denominator = tag.value if tag is not None else (0, 1)
        plane.append(_in_mm(denominator / numerator, unit) if numerator else None)
    return z, plane[0], plane[1]


def _in_mm(value: Any, unit: str) -> float | None:
    """Return a length in mm, None where it or its unit is not stated."""
    key = unit.strip().lower()
    factor = _MM.get(_SAME.get(key, key))
    try:
        length = float(value) * factor if factor else 0.0
    except (TypeError, ValueError):
        return None
    return length if np.isfinite(length) and length > 0 else None
