"""The live-wire as the mouse leads it: from the last anchor along edges to the cursor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Grid
from napari_tumorseg.editing.livewire import LiveWire

__all__ = ["Wire"]


class Wire:
    """Leads an outline in a slice of the image that is looked at.

    Parameters
    ----------
    grid : Grid
        Of the mask.
    image : callable
        Returns the image on that grid, None where there is none.
    smoothing_mm : callable
        Returns the smallest detail that counts as an edge.
    """

    def __init__(self, grid: Grid, image: Callable[[], npt.NDArray[Any] | None], smoothing_mm: Callable[[], float]) -> None:
        self._grid = grid
        self._image = image
        self._smoothing_mm = smoothing_mm
        self._axis, self._slice = 0, 0
        self._key: tuple[Any, ...] = ()
        self._wire: LiveWire | None = None

    def start(self, voxel: npt.NDArray[np.float64], axis: int) -> None:
        """Begin, or go on from, a place (z, y, x) of the mask in the slice across `axis`."""
        image = self._image()
        self._axis, self._slice = axis, int(np.clip(round(float(voxel[axis])), 0, self._grid.shape[axis] - 1))
        key = (id(image), axis, self._slice, self._smoothing_mm())
        if image is None:
            self._wire = None
        elif key != self._key or self._wire is None:
            plane = image.take(self._slice, axis)
            self._wire = LiveWire(plane, np.delete(self._grid.spacing_mm, axis), self._smoothing_mm())
        self._key = key
        if self._wire is not None:
            self._wire.anchor(np.delete(voxel, axis))

    def to(self, voxel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the way from the last start to a place, (n, 3) voxel indices; straight where there is no image."""
        if self._wire is None:
            return np.array([voxel], float)
        flat = self._wire.path_to(np.delete(voxel, self._axis))
        return np.insert(flat.astype(float), self._axis, float(self._slice), axis=1)
