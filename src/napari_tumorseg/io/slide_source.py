"""What every kind of slide file gives: tiles of a pyramid, and facts that name nobody."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = [
    "DamagedTileError",
    "LevelLayout",
    "SourceInfo",
    "TileSource",
    "check_levels",
    "checked_mpp",
    "needs_extra",
    "number",
    "stated_mpp",
]

#: Coarser pixels than this (micrometres) are the size of a printed page, not of a slide.
MAX_MPP_UM = 20.0
# The largest slides have about 500,000 pixels along a side; more than this comes from a damaged header.
_MAX_SIDE = 8_000_000


@dataclass(frozen=True)
class LevelLayout:
    """One level: size in pixels, tile size, exact factor to level 0; each (y, x)."""

    shape: tuple[int, int]
    tile: tuple[int, int]
    downsample: tuple[float, float]

    @property
    def grid(self) -> tuple[int, int]:
        """Number of tiles (rows, columns)."""
        return -(-self.shape[0] // self.tile[0]), -(-self.shape[1] // self.tile[1])


@dataclass(frozen=True)
class SourceInfo:
    """What a file says of itself; `mpp_um` is unchecked. See `core.volume.Slide` for the words."""

    format: str
    levels: tuple[LevelLayout, ...]
    dtype: str = "uint8"
    channels: tuple[str, ...] = ("R", "G", "B")
    is_rgb: bool = True
    mpp_um: tuple[float | None, float | None] = (None, None)
    mpp_from: str = ""
    vendor: str = ""
    objective: float | None = None
    associated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class TileSource(Protocol):
    """An open slide file. All methods may be called from any thread."""

    @property
    def info(self) -> SourceInfo:
        """Facts."""

    def read_tile(self, level: int, row: int, column: int) -> npt.NDArray[Any]:
        """Return a tile, shape (y, x, c), cut at the level's edges; raise `DamagedTileError`."""

    def associated(self, name: str) -> npt.NDArray[Any]:
        """Return an image of `SourceInfo.associated`, shape (y, x, 3), uint8."""

    def close(self) -> None:
        """Close every file handle; may be called twice."""


class DamagedTileError(InputError):
    """A tile of a slide cannot be decoded."""

    def __init__(self, path: Path, level: int, row: int, column: int, reason: object) -> None:
        words = " ".join(str(reason).split())[:120].rstrip(".")
        super().__init__(
            f"{path.name}: tile (row {row}, column {column}) of level {level} is damaged ({words}).",
            "Copy the slide again from its source, or leave this region out.",
        )


def check_levels(path: Path, levels: tuple[LevelLayout, ...]) -> None:
    """Raise `InputError` where sizes are those of a damaged header: nothing, beyond every slide, or larger than the level above."""
    above = (_MAX_SIDE, _MAX_SIDE)
    for index, level in enumerate(levels):
        sound = all(1 <= side <= limit and edge >= 1 for side, edge, limit in zip(level.shape, level.tile, above, strict=True))
        if not sound or not all(math.isfinite(factor) and factor > 0 for factor in level.downsample):
            size = f"{level.shape[1]} x {level.shape[0]} pixels in tiles of {level.tile[1]} x {level.tile[0]}"
            raise InputError(f"{path.name} is damaged: level {index} would have {size}.", "Copy it again from its source.")
        above = level.shape


def needs_extra(package: str) -> InputError:
    """Return the error for a missing library of the extra `slides`."""
    return InputError(f"Slides need the package {package}, which is not installed.", 'Run: pip install "napari-tumorseg[slides]"')


def number(text: object) -> float | None:
    """Return a finite number, None for anything else.

    Examples
    --------
    >>> number("0.25"), number("n/a"), number("inf")
    (0.25, None, None)
    """
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def checked_mpp(raw: tuple[float | None, float | None]) -> tuple[tuple[float, float] | None, str]:
    """Return micrometres per pixel (y, x), or None and why what the file says is not used.

    Examples
    --------
    >>> checked_mpp((0.25, 0.25))
    ((0.25, 0.25), '')
    >>> checked_mpp((352.8, 352.8))[0] is None
    True
    """
    y, x = raw
    if y is None and x is None:
        return None, "The file does not say how many micrometres a pixel has."
    if y is None or x is None:
        return None, "The file says micrometres per pixel for one axis only, which is not used."
    if not (0 < y <= MAX_MPP_UM and 0 < x <= MAX_MPP_UM):
        return None, f"The file says {y:g} x {x:g} micrometres per pixel, which no slide has; it is not used."
    return (y, x), ""


def stated_mpp(mpp_um: tuple[float, float]) -> tuple[float, float]:
    """Return what the user states, or raise `InputError` when no slide has it."""
    y, x = (float(value) for value in mpp_um)
    if not (0 < y <= MAX_MPP_UM and 0 < x <= MAX_MPP_UM):
        raise InputError(
            f"{y:g} x {x:g} micrometres per pixel is outside 0 to {MAX_MPP_UM:g}.", "State the scanner's value, e.g. 0.25 for a 40x scan."
        )
    return y, x
