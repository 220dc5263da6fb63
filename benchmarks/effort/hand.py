"""The hand: outlines and strokes do not land quite where they were meant to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Hand"]

Bools = npt.NDArray[np.bool_]


class Hand:
    """Moves what is drawn by a smooth random field, and clicks by a random step.

    Parameters
    ----------
    seed : int
        Same seed, same hand.
    line_mm : float
        Standard deviation of a drawn line's place.
    click_mm : float
        Standard deviation of a click's place, along each axis of the slice.
    reach_mm : float
        Over which length the error of a line changes.
    """

    def __init__(self, seed: int, line_mm: float = 0.5, click_mm: float = 0.5, reach_mm: float = 6.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._line_mm = line_mm
        self._click_mm = click_mm
        self._reach_mm = reach_mm

    @property
    def strays_mm(self) -> float:
        """How far a drawn line is off on average: the mean of a half-normal distribution."""
        return self._line_mm * float(np.sqrt(2 / np.pi))

    def drawn(self, plane: Bools, spacing_mm: tuple[float, float]) -> Bools:
        """Return what a mask of a slice (y, x) becomes when it is drawn by hand."""
        from scipy import ndimage

        where = np.argwhere(plane)
        if len(where) == 0 or self._line_mm == 0:
            return plane
        low, high = np.maximum(where.min(0) - 4, 0), np.minimum(where.max(0) + 5, plane.shape)
        cut = plane[low[0] : high[0], low[1] : high[1]]
        sigma = [self._reach_mm / s for s in spacing_mm]
        fields = []
        for step in spacing_mm:
            coarse = self._rng.standard_normal([int(np.ceil(n / s)) + 3 for n, s in zip(cut.shape, sigma, strict=True)])
            rows, columns = (np.arange(n) / s + 1 for n, s in zip(cut.shape, sigma, strict=True))
            smooth = ndimage.map_coordinates(coarse, np.meshgrid(rows, columns, indexing="ij"), order=1)
            # Interpolation between the nodes takes away about a third of the spread.
            fields.append(smooth * 1.5 * self._line_mm / step)
        places = np.stack(np.meshgrid(*(np.arange(n) for n in cut.shape), indexing="ij")) + np.stack(fields)
        out = np.zeros_like(plane)
        out[low[0] : high[0], low[1] : high[1]] = ndimage.map_coordinates(cut.astype(np.float32), places, order=1, mode="nearest") > 0.5
        return out

    def traced(self, path: npt.NDArray[np.float64], spacing_mm: tuple[float, float]) -> npt.NDArray[np.float64]:
        """Return where a line meant to follow `path`, (n, 2) in pixels (y, x), is drawn."""
        along = np.concatenate([[0.0], np.cumsum(np.hypot(*(np.diff(path, axis=0) * spacing_mm).T))])
        nodes = np.arange(int(along[-1] / self._reach_mm) + 2) * self._reach_mm
        steps = self._rng.standard_normal((2, len(nodes)))
        # Linear interpolation between the nodes leaves two thirds of the variance.
        moved = [np.interp(along, nodes, step) * np.sqrt(1.5) * self._line_mm / s for step, s in zip(steps, spacing_mm, strict=True)]
        return np.asarray(path + np.stack(moved, axis=1))

    def clicked(
        self, voxel: tuple[int, int, int], shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
    ) -> tuple[int, int, int]:
        """Return where a click meant for `voxel` lands; the slice is the one that is shown."""
        step = self._rng.standard_normal(2) * self._click_mm
        y = int(np.clip(round(voxel[1] + step[0] / spacing_mm[1]), 0, shape[1] - 1))
        x = int(np.clip(round(voxel[2] + step[1] / spacing_mm[2]), 0, shape[2] - 1))
        return voxel[0], y, x
