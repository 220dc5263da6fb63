"""A slide at the classifier's resolution, and work on it tile by tile."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.inference.memory import cores
from napari_tumorseg.pathology.pixel_features import FeatureSpec, pixel_features

if TYPE_CHECKING:
    import torch

__all__ = ["TILE_PX", "Pixels", "ScaledImage", "Tile", "image_features", "in_lanes", "plan_tiles", "tile_side"]

#: Side of a tile: with 120 features it takes 31 MB, and the halo adds little.
TILE_PX = 256
_MOST_UPSCALING = 1.5
_SAME = 1e-3

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pixels(Protocol):
    """Anything with a shape (y, x, 3) that gives an array for ``pixels[rows, columns]``: NumPy, Zarr, dask, a slide's level."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(y, x, 3)."""

    def __getitem__(self, index: Any) -> Any:
        """Return the pixels of two slices."""


@dataclass(frozen=True)
class ScaledImage:
    """RGB pixels at another resolution, read in parts: each pixel is the mean over the area it covers.

    Parts have the values of the whole, as the area of a pixel does not depend on what is read with it.

    Parameters
    ----------
    pixels : Pixels
        (y, x, 3) RGB, 0 to 255; for a slide the level just finer than `wanted_um`.
    spacing_um : tuple of float
        Micrometres per pixel (y, x) of `pixels`.
    wanted_um : float
        Micrometres per pixel of this image, in both directions.

    Raises
    ------
    InputError
        If the pixels are not RGB, a spacing is not positive, or they are more than 1.5 times coarser than wanted.

    Examples
    --------
    >>> whole = ScaledImage(np.arange(4 * 6 * 3).reshape(4, 6, 3), (0.5, 0.5), 1.0)
    >>> whole.shape, whole.read(slice(0, 1), slice(0, 2))[..., 0].tolist()
    ((2, 3), [[10.5, 16.5]])
    """

    pixels: Pixels
    spacing_um: tuple[float, float]
    wanted_um: float

    def __post_init__(self) -> None:
        """Check."""
        if len(self.pixels.shape) != 3 or self.pixels.shape[2] != 3 or 0 in self.pixels.shape:
            raise InputError(f"The image is not RGB: its shape is {tuple(self.pixels.shape)}.", "Choose a bright-field slide.")
        if not all(math.isfinite(v) and v > 0 for v in (*self.spacing_um, self.wanted_um)):
            raise InputError("The micrometres per pixel are not known.", "State them, e.g. 0.25 for a 40x scan.")
        if max(self.spacing_um) > _MOST_UPSCALING * self.wanted_um:
            raise InputError(
                f"The image has {max(self.spacing_um):g} um per pixel, the classifier works at {self.wanted_um:g}.",
                "Use a finer level of the slide, or a classifier for this resolution.",
            )

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels of the image that one pixel here covers, (y, x)."""
        y, x = (self.wanted_um / v for v in self.spacing_um)
        return (1.0 if abs(y - 1) < _SAME else y), (1.0 if abs(x - 1) < _SAME else x)

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x): whole pixels that the image covers, at least one."""
        y, x = (max(1, int(n / f + 1e-6)) for n, f in zip(self.pixels.shape, self.factors, strict=False))
        return y, x

    def read(self, rows: slice, columns: slice) -> npt.NDArray[Any]:
        """Return (y, x, 3): the image's own numbers at its own resolution, float32 means otherwise."""
        if self.factors == (1.0, 1.0):
            return np.asarray(self.pixels[rows, columns])
        (down, y), (across, x) = (
            _area_weights(part, factor, size) for part, factor, size in zip((rows, columns), self.factors, self.pixels.shape, strict=False)
        )
        part = np.asarray(self.pixels[y, x]).astype(np.float32)
        return np.ascontiguousarray(np.einsum("ij,jkc,lk->ilc", down, part, across, optimize=True), dtype=np.float32)


@dataclass(frozen=True)
class Tile:
    """A part of an image: rows and columns, start and stop given."""

    rows: slice
    columns: slice

    def with_halo(self, halo: int, shape: tuple[int, int]) -> tuple[Tile, Tile]:
        """Return the tile grown by `halo` inside `shape`, and where this tile lies in that."""
        grown, inner = zip(*(_grown(part, halo, size) for part, size in zip((self.rows, self.columns), shape, strict=True)), strict=True)
        return Tile(*grown), Tile(*inner)


def plan_tiles(shape: tuple[int, int], side: int = TILE_PX, core: tuple[slice, slice] | None = None) -> list[Tile]:
    """Return tiles that cover `core`, or all of an image (y, x), row by row.

    Examples
    --------
    >>> [(t.rows.stop, t.columns.start) for t in plan_tiles((3, 5), 4)]
    [(3, 0), (3, 4)]
    """
    rows, columns = core or (slice(0, shape[0]), slice(0, shape[1]))
    if not (0 <= rows.start < rows.stop <= shape[0] and 0 <= columns.start < columns.stop <= shape[1]):
        raise InputError(f"The region does not lie in the image of {shape[0]} x {shape[1]} pixels.", "Choose a region inside the image.")
    return [
        Tile(slice(y, min(y + side, rows.stop)), slice(x, min(x + side, columns.stop)))
        for y in range(rows.start, rows.stop, side)
        for x in range(columns.start, columns.stop, side)
    ]


def tile_side(step: int) -> int:
    """Return the side of tiles of which each `step`-th pixel is computed: a multiple of it, so that tiles have the pixels of the whole."""
    return step * (TILE_PX // min(step, 2))


def in_lanes(job: Callable[[Item], Result], items: Iterable[Item], device: str = "cpu") -> Iterator[Result]:
    """Yield ``job(item)`` in the order of `items`, on as many threads as there are cores, none far ahead of what is taken.

    Tiles side by side use the cores better than threads inside an operator, which wait for each other after every one.
    On a GPU one lane computes.
    """
    import torch

    lanes = cores() if device == "cpu" else 1
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(lanes, "tile", initializer=torch.set_num_threads, initargs=(1,))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(job, item))
            if len(waiting) > lanes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def image_features(image: npt.NDArray[Any], spec: FeatureSpec, step: int = 1, device: str = "cpu") -> torch.Tensor:
    """Return `pixel_features` of a whole image (y, x, 3), computed tile by tile side by side: float32 (feature, y, x)."""
    import torch

    shape = (image.shape[0], image.shape[1])
    out = torch.empty((len(spec.names), *(-(-n // step) for n in shape)), dtype=torch.float32, device=device)
    tiles = plan_tiles(shape, tile_side(step))

    def one(tile: Tile) -> None:
        grown, inner = tile.with_halo(spec.halo_px, shape)
        rows, columns = (slice(part.start // step, -(-part.stop // step)) for part in (tile.rows, tile.columns))
        pixel_features(image[grown.rows, grown.columns], spec, (inner.rows, inner.columns), step, device, out[:, rows, columns])

    for _ in in_lanes(one, tiles, device):
        pass
    return out


def _grown(part: slice, halo: int, size: int) -> tuple[slice, slice]:
    first, last = max(part.start - halo, 0), min(part.stop + halo, size)
    return slice(first, last), slice(part.start - first, part.stop - first)


def _area_weights(part: slice, factor: float, size: int) -> tuple[npt.NDArray[np.float32], slice]:
    """Return the shares (wanted pixel, image pixel) of the areas, and which image pixels."""
    edges = np.minimum(np.arange(part.start, part.stop + 1) * factor, size)
    first, last = int(edges[0]), min(math.ceil(edges[-1]), size)
    pixels = np.arange(first, last)
    cover = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    cover = np.maximum(cover, 0)
    return (cover / cover.sum(axis=1, keepdims=True)).astype(np.float32), slice(first, last)
