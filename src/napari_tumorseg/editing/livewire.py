"""Live-wire: an outline that snaps to edges between the points that the user sets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LiveWire", "edge_cost"]

Points = npt.NDArray[np.intp]
# An edge costs this little per mm, flat ground 1: a way along an edge may be twelve times as long.
_EDGE_COST = 0.08


def edge_cost(image: npt.NDArray[Any], spacing_mm: Sequence[float], smoothing_mm: float = 0.7) -> npt.NDArray[np.float64]:
    """Return what a millimetre of outline costs: little on edges, 1 on flat ground.

    Parameters
    ----------
    image : numpy.ndarray
        2-D, real.
    spacing_mm : sequence of float
        Pixel size along both axes.
    smoothing_mm : float
        Standard deviation of the Gaussian whose gradient is taken.

    Returns
    -------
    numpy.ndarray
        float64, shape of the image, above 0 to 1.

    Notes
    -----
    ``1 / (1 + (g / s)**2)`` of the gradient g per mm, s being its 90th percentile, so that the
    result does not depend on the unit of the image; after Mortensen and Barrett, Graph Models
    Image Process 60:349 (1998).

    Examples
    --------
    >>> step = np.repeat([[0.0, 0, 0, 0, 9, 9, 9, 9]], 8, axis=0)
    >>> int(edge_cost(step, (1, 1))[4].argmin()) in (3, 4)
    True
    """
    from scipy.ndimage import gaussian_filter1d

    plain = np.nan_to_num(np.asarray(image, np.float32))
    slope = np.zeros(plain.shape, np.float32)
    for axis, size in enumerate(spacing_mm):
        along = plain
        for other, width in enumerate(spacing_mm):
            along = gaussian_filter1d(
                along, max(smoothing_mm / width, 0.5), axis=other, order=int(other == axis), mode="nearest", truncate=3
            )
        slope += (along / size) ** 2
    scale = float(np.percentile(slope[slope > 0], 90)) if (slope > 0).any() else 1.0
    return np.asarray(_EDGE_COST + (1 - _EDGE_COST) / (1 + slope / scale), np.float64)


class LiveWire:
    """Finds the cheapest way from an anchor to the cursor, fast enough to follow it.

    Costs are spread from the anchor once over a window round it, which grows when the cursor leaves
    it. To a cursor that is far away the way is found on a coarse picture first, and then exactly
    in a corridor round it.

    Parameters
    ----------
    image : numpy.ndarray
        2-D, real: the slice.
    spacing_mm : sequence of float
        Pixel size along both axes.
    smoothing_mm : float
        Standard deviation of the Gaussian whose gradient is taken.

    Examples
    --------
    >>> square = np.zeros((40, 40))
    >>> square[10:30, 10:30] = 100.0
    >>> wire = LiveWire(square, (1.0, 1.0))
    >>> wire.anchor((10, 10))
    >>> [tuple(int(i) for i in point) for point in wire.path_to((10, 29))[[0, -1]]]
    [(10, 10), (10, 29)]
    """

    #: Half the side of the first window, and the largest that is searched exactly, in pixels.
    near, far = 48, 96
    #: Pixels to a coarse one, and half the width of the corridor in pixels.
    coarse, corridor = 4, 10

    def __init__(self, image: npt.NDArray[Any], spacing_mm: Sequence[float], smoothing_mm: float = 0.7) -> None:
        self.cost = edge_cost(image, spacing_mm, smoothing_mm)
        self.spacing_mm = (float(spacing_mm[0]), float(spacing_mm[1]))
        self._start: tuple[int, int] | None = None
        self._half = 0
        self._corner = (0, 0)
        self._search: Any = None
        self._small: npt.NDArray[np.float64] | None = None

    def anchor(self, point: Sequence[float]) -> None:
        """Start from the pixel nearest to a point (row, column); outside the image, from its border."""
        self._start = self._pixel(point)
        self._search = None

    def path_to(self, point: Sequence[float]) -> Points:
        """Return the cheapest way from the anchor to the pixel nearest to a point.

        Parameters
        ----------
        point : sequence of float
            (row, column).

        Returns
        -------
        numpy.ndarray
            Integer (n, 2), (row, column) of neighbouring pixels from the anchor to the point.

        Raises
        ------
        ValueError
            If no anchor is set.
        """
        if self._start is None:
            raise ValueError("set an anchor first")
        end = self._pixel(point)
        away = max(abs(end[0] - self._start[0]), abs(end[1] - self._start[1]))
        if away + self.corridor > self.far:
            return self._far_path(self._start, end)
        if self._search is None or away + self.corridor > self._half:
            self._spread(self.near if away + self.corridor <= self.near else self.far)
        inside = (end[0] - self._corner[0], end[1] - self._corner[1])
        return np.asarray(self._search.traceback(inside), np.intp) + self._corner

    def _pixel(self, point: Sequence[float]) -> tuple[int, int]:
        row, column = (min(max(int(np.floor(p + 0.5)), 0), n - 1) for p, n in zip(point, self.cost.shape, strict=True))
        return row, column

    def _spread(self, half: int) -> None:
        from skimage.graph import MCP_Geometric

        assert self._start is not None
        low = [max(i - half, 0) for i in self._start]
        window = self.cost[low[0] : self._start[0] + half + 1, low[1] : self._start[1] + half + 1]
        self._corner, self._half = (low[0], low[1]), half
        self._search = MCP_Geometric(window, sampling=self.spacing_mm)
        self._search.find_costs([(self._start[0] - low[0], self._start[1] - low[1])])

    def _far_path(self, start: tuple[int, int], end: tuple[int, int]) -> Points:
        from scipy.ndimage import uniform_filter
        from skimage.graph import MCP_Geometric

        n = self.coarse
        if self._small is None:
            self._small = np.ascontiguousarray(uniform_filter(self.cost, n, mode="nearest")[n // 2 :: n, n // 2 :: n])
        shape = self._small.shape
        ends = [(min(p[0] // n, shape[0] - 1), min(p[1] // n, shape[1] - 1)) for p in (start, end)]
        search = MCP_Geometric(self._small, sampling=[s * n for s in self.spacing_mm])
        search.find_costs([ends[0]], [ends[1]])
        rough = np.array([start, *(tuple(n * i + n // 2 for i in p) for p in search.traceback(ends[1])), end], float)
        walls = np.full(self.cost.shape, -1.0)
        for a, b in itertools.pairwise(rough):
            low = np.maximum(np.minimum(a, b) - self.corridor, 0).astype(int)
            high = (np.maximum(a, b) + self.corridor + 1).astype(int)
            part = (slice(low[0], high[0]), slice(low[1], high[1]))
            walls[part] = self.cost[part]
        exact = MCP_Geometric(walls, sampling=self.spacing_mm)
        exact.find_costs([start], [end])
        return np.asarray(exact.traceback(end), np.intp)
