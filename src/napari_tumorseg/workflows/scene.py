"""The scene a viewer shows: the reference image's own axes in radiological convention.

The scene runs to inferior, posterior and the patient's left along its (z, y, x) axes, so that on
a screen whose rows run down and columns run right, superior and anterior are up and the patient's
left is on the right. Axes are only flipped and permuted; what lies oblique to the reference is
resampled onto it for display.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import AxisTransform, Box, Grid
from napari_tumorseg.core.volume import Volume

__all__ = ["ORIENTATION", "PLANES", "EdgeLetters", "Scene"]

#: Where the scene's (z, y, x) axes run to.
ORIENTATION = "IPL"

#: Order of the scene's axes that shows each plane; the last two are rows and columns.
PLANES = {"axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1)}

_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "I": "S", "S": "I"}


@dataclass(frozen=True)
class EdgeLetters:
    """Patient directions at the four edges of a 2-D view."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, eq=False)
class Scene:
    """How the grid of a reference image is shown.

    World coordinates are millimetres along the scene's axes. For an image that is not oblique
    they are the patient's coordinates, counted to inferior, posterior and left.

    Attributes
    ----------
    reference : Grid
        Grid of the reference image, of any orientation; masks are edited on it.

    Examples
    --------
    >>> scene = Scene(Grid.from_spacing((2, 3, 4), (5.0, 1.0, 1.0), "SAR"))
    >>> scene.grid.orientation, scene.grid.shape, scene.scale_mm
    ('IPL', (2, 3, 4), (5.0, 1.0, 1.0))
    >>> scene.letters("axial")
    EdgeLetters(left='R', right='L', top='A', bottom='P')
    """

    reference: Grid

    @cached_property
    def _oriented(self) -> tuple[Grid, AxisTransform]:
        return self.reference.reorient(ORIENTATION)

    @property
    def grid(self) -> Grid:
        """The reference grid in the scene's axes."""
        return self._oriented[0]

    @property
    def move(self) -> AxisTransform:
        """Turns an array on the reference grid into one in scene axes."""
        return self._oriented[1]

    @property
    def scale_mm(self) -> tuple[float, float, float]:
        """Voxel size along the scene's (z, y, x) axes."""
        return self.grid.spacing_mm

    @cached_property
    def translate_mm(self) -> tuple[float, float, float]:
        """World coordinates of the first voxel."""
        z, y, x = (float(v) for v in self.grid.directions.T @ self.grid.affine[:3, 3])
        return z, y, x

    def to_scene(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view of an array (..., z, y, x) on the reference grid in scene axes."""
        return self.move.apply(array)

    def from_scene(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a view of an array (..., z, y, x) in scene axes on the reference grid."""
        return self.move.inverse.apply(array)

    def box_to_scene(self, box: Box) -> Box:
        """Return where a box of the reference grid lies in the scene."""
        return self.move.box(box, self.reference.shape)

    def box_from_scene(self, box: Box) -> Box:
        """Return where a box of the scene lies in the reference grid."""
        return self.move.inverse.box(box, self.grid.shape)

    def to_world(self, point_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map RAS millimetres (..., 3) to world coordinates (..., 3) in (z, y, x) order."""
        return np.asarray(self.grid.to_index(point_mm) * np.array(self.scale_mm) + np.array(self.translate_mm))

    def to_patient(self, world: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Map world coordinates (..., 3) in (z, y, x) order to RAS millimetres (..., 3)."""
        index = (np.asarray(world, np.float64) - np.array(self.translate_mm)) / np.array(self.scale_mm)
        return self.grid.to_mm(index)

    def letters(self, plane: str | Sequence[int]) -> EdgeLetters:
        """Return the patient directions at the edges of a plane of `PLANES`, or of an axis order."""
        order = PLANES[plane] if isinstance(plane, str) else plane
        down, right = (self.grid.orientation[axis] for axis in tuple(order)[-2:])
        return EdgeLetters(_OPPOSITE[right], right, _OPPOSITE[down], down)

    def pictures(self, volume: Volume) -> tuple[tuple[str, npt.NDArray[Any], bool], ...]:
        """Return what is shown of a volume, in scene axes.

        Parameters
        ----------
        volume : Volume
            On any grid; one that is not the reference is interpolated linearly, 0 outside.

        Returns
        -------
        tuple of (str, numpy.ndarray, bool)
            Name of the channel ("" for a plain volume), array (z, y, x) or (z, y, x, 3 or 4),
            whether it is a colour image. Complex values are shown by their magnitude.
        """
        if volume.channels[:3] == ("R", "G", "B"):
            planes = [self._picture(channel, volume.grid) for channel in volume.data]
            return (("", np.stack(planes, axis=-1).astype(volume.data.dtype, copy=False), True),)
        if volume.channels:
            return tuple((name, self._picture(c, volume.grid), False) for name, c in zip(volume.channels, volume.data, strict=True))
        return (("", self._picture(volume.data, volume.grid), False),)

    def _picture(self, data: npt.NDArray[Any], grid: Grid) -> npt.NDArray[Any]:
        plain = np.abs(data) if np.iscomplexobj(data) else data
        if not grid.matches(self.reference):
            from napari_tumorseg.inference.resample import resample

            plain = resample(np.asarray(plain, np.float32), grid, self.reference)
        return self.to_scene(plain)
