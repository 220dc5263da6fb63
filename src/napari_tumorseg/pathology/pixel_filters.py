"""Gaussian-derivative filters along one axis, as products with banded matrices.

A row of the image times a banded matrix is a correlation. Matrix products use the processor (or GPU) far better than a
correlation of one channel does, so they win although they multiply by some zeros. The replicated border is folded into the
matrices at the edges: what a kernel would read outside counts for the edge pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

#: Least number of positions in a block: smaller products leave the processor idle.
_LEAST = 32

__all__ = ["Scale", "kernels", "radius_px"]


def radius_px(sigma: float) -> int:
    """Return how far a kernel reaches: four standard deviations, rounded down."""
    return math.floor(4 * sigma)


def kernels(sigma: float) -> npt.NDArray[np.float64]:
    """Return G0, G1 and G2 of QuPath as (3, 2 radius + 1), to be correlated with the image.

    Not renormalised. G1 is the derivative, so its sign here is that of a correlation.

    Examples
    --------
    >>> kernels(0.25).round(4).tolist()
    [[0.0005, 1.5958, 0.0005], [-0.0086, 0.0, 0.0086], [0.1285, -25.5323, 0.1285]]
    """
    x = np.arange(-radius_px(sigma), radius_px(sigma) + 1, dtype=np.float64)
    g0 = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    return np.stack((g0, x * g0 / sigma**2, (x**2 - sigma**2) * g0 / sigma**4))


@dataclass(frozen=True, eq=False)
class _Band:
    """A block of wanted positions, the first pixel that they read, and a matrix (position, pixel) for each order."""

    part: slice
    first: int
    matrices: torch.Tensor


class Scale:
    """A scale, and the rows and columns of an image that are wanted at it.

    Parameters
    ----------
    sigma : float
        Pixels.
    rows, columns : range
        Positions in the image; a step above 1 leaves some out and saves their work.
    """

    def __init__(self, sigma: float, rows: range, columns: range) -> None:
        self.sigma = sigma
        self.rows = rows
        self.columns = columns
        self._bands: dict[tuple[range, int, torch.dtype], list[_Band]] = {}

    def down(self, planes: torch.Tensor, orders: Sequence[int]) -> torch.Tensor:
        """Correlate (y, k, x) along y with the kernels of `orders`: (order, wanted y, k, x)."""
        import torch

        flat = planes.reshape(len(planes), -1)
        out = flat.new_empty((len(orders), len(self.rows), flat.shape[1]))
        for band in self._blocks(self.rows, len(flat), flat):
            window = flat[band.first : band.first + band.matrices.shape[2]]
            for order, target in zip(orders, out, strict=True):
                torch.mm(band.matrices[order], window, out=target[band.part])
        return out.reshape(len(orders), len(self.rows), *planes.shape[1:])

    def across(self, planes: torch.Tensor, orders: Sequence[int]) -> torch.Tensor:
        """Correlate (y, k, x) along x with the kernels of `orders`: (order, y, k, wanted x)."""
        import torch

        flat = planes.reshape(-1, planes.shape[-1])
        out = flat.new_empty((len(orders), len(flat), len(self.columns)))
        for band in self._blocks(self.columns, flat.shape[1], flat):
            window = flat[:, band.first : band.first + band.matrices.shape[2]]
            for order, target in zip(orders, out, strict=True):
                torch.mm(window, band.matrices[order].T, out=target[:, band.part])
        return out.reshape(len(orders), *planes.shape[:-1], len(self.columns))

    def _blocks(self, wanted: range, size: int, like: torch.Tensor) -> list[_Band]:
        key = (wanted, size, like.dtype)
        if key not in self._bands:
            self._bands[key] = list(_bands(self.sigma, wanted, size, like))
        return self._bands[key]


def _bands(sigma: float, wanted: range, size: int, like: torch.Tensor) -> Iterator[_Band]:
    """Yield the blocks for an axis of `size` pixels; those away from the border share their matrices."""
    import torch

    weights, reach = kernels(sigma), radius_px(sigma)
    count = max(_LEAST, min(128, 2 * reach // wanted.step // 16 * 16))
    offsets = np.arange(-reach, reach + 1)
    shared: dict[int, torch.Tensor] = {}
    for start in range(0, len(wanted), count):
        at = np.asarray(wanted[start : start + count])
        low, high = int(at[0]) - reach, int(at[-1]) + reach + 1
        first, last = max(low, 0), min(high, size)
        inside = low >= 0 and high <= size
        made = shared.get(len(at)) if inside else None
        if made is None:
            matrices = np.zeros((len(weights), len(at), last - first))
            rows = np.broadcast_to(np.arange(len(at))[:, None], (len(at), len(offsets)))
            pixels = np.clip(at[:, None] + offsets, 0, size - 1) - first
            for matrix, kernel in zip(matrices, weights, strict=True):
                np.add.at(matrix, (rows, pixels), np.broadcast_to(kernel, rows.shape))
            made = torch.from_numpy(matrices).to(device=like.device, dtype=like.dtype)
        if inside:
            shared[len(at)] = made
        yield _Band(slice(start, start + len(at)), first, made)
