"""A level of a slide that looks like an array and reads only what is indexed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_tumorseg.io.slides import SlideReader

__all__ = ["SlideLevelArray"]

_LARGE = 1024


class SlideLevelArray:
    """Shape (y, x, c) of one level, or (y, x) of one channel of it; what dask and napari need of an array, and no more.

    Indexing takes whole numbers, slices of any step and an ellipsis.
    """

    def __init__(self, reader: SlideReader, level: int, mark_damage: bool, channel: int | None = None) -> None:
        layout = reader.layouts[level]
        self._reader, self._level, self._mark_damage, self._channel = reader, level, mark_damage, channel
        last = (len(reader.slide.channels),) if channel is None else ()
        self.shape: tuple[int, ...] = (*layout.shape, *last)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(reader.slide.dtype)
        self.chunks: tuple[int, ...] = (*(min(tile, side) for tile, side in zip(layout.tile, layout.shape, strict=True)), *last)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the level would take in memory."""
        return self.size * self.dtype.itemsize

    @property
    def large_chunks(self) -> tuple[int, ...]:
        """Chunks of whole tiles with edges of about 1024 pixels, for computations over the level."""
        y, x = (min(max(1, round(_LARGE / tile)) * tile, side) for tile, side in zip(self.chunks[:2], self.shape[:2], strict=True))
        return y, x, *self.shape[2:]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        parts = list(index) if isinstance(index, tuple) else [index]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        parts += [slice(None)] * (self.ndim - len(parts))
        bounds, after = [], []
        for part, side in zip(parts[:2], self.shape[:2], strict=True):
            low, high, rest = _span(part, side)
            bounds.append((low, high))
            after.append(rest)
        pixels = self._reader.read(self._level, (bounds[0][0], bounds[1][0], bounds[0][1], bounds[1][1]), mark_damage=self._mark_damage)
        last = parts[2] if self._channel is None else self._channel
        found: npt.NDArray[Any] = pixels[(*after, last)]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        del copy  # every read is a new array
        whole = self[:]
        return whole if dtype is None else whole.astype(dtype, copy=False)


def _span(part: Any, side: int) -> tuple[int, int, Any]:
    """Return the pixels to read along an axis, and the index into them."""
    if isinstance(part, slice):
        chosen = range(side)[part]
        if not chosen:
            return 0, 0, slice(0, 0)
        low, high = min(chosen[0], chosen[-1]), max(chosen[0], chosen[-1]) + 1
        return low, high, slice(None, None, chosen.step)
    at = range(side)[int(part)]
    return at, at + 1, 0
