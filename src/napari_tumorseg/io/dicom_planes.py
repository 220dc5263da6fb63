"""Where the frames of a DICOM segmentation, or the planes of contours, lie on the slices of a series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import GeometryError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.volume import Volume

__all__ = ["Plane", "own_grid", "slice_positions_lps", "slices_of"]

Vector = npt.NDArray[np.float64]

_IN_PLANE = 0.02  # voxels by which rounding in a file may move a frame
_ACROSS = 0.05  # share of the slice distance


@dataclass(frozen=True, eq=False)
class Plane:
    """A frame in space: LPS position of its first pixel, six cosines, spacing between rows and columns, shape."""

    position_lps: Vector
    orientation: Vector
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]


def slice_positions_lps(volume: Volume) -> Vector:
    """Return the true centre (x, y, z) of the first pixel of each slice, LPS, shape (z, 3).

    A DICOM volume knows the position of every source slice, also where these are not quite even;
    any other volume has those of its grid.
    """
    if volume.source is not None and volume.source.format == "dicom":
        known = np.asarray(volume.source.header.get("positions_lps", ()), dtype=np.float64)
        if known.shape == (volume.shape[0], 3):
            return known
    index = np.zeros((volume.shape[0], 3))
    index[:, 0] = np.arange(volume.shape[0])
    return np.asarray(volume.grid.to_mm(index) * (-1.0, -1.0, 1.0))


def slices_of(planes: Sequence[Plane], volume: Volume) -> list[int] | None:
    """Return the slice of `volume` that each frame covers pixel for pixel, None when one covers none."""
    grid = volume.grid
    rows = grid.affine[:3, 1] * (-1.0, -1.0, 1.0)
    columns = grid.affine[:3, 2] * (-1.0, -1.0, 1.0)
    positions = slice_positions_lps(volume)
    across = np.cross(columns, rows)
    across /= np.linalg.norm(across)
    spacing_mm = float(abs(grid.affine[:3, 0] * (-1.0, -1.0, 1.0) @ across))
    heights = positions @ across
    found = []
    for plane in planes:
        if plane.shape != grid.shape[1:]:
            return None
        step_row, step_column = plane.orientation[3:] * plane.spacing_mm[0], plane.orientation[:3] * plane.spacing_mm[1]
        far = np.abs(step_row - rows).max() * plane.shape[0] + np.abs(step_column - columns).max() * plane.shape[1]
        if far > _IN_PLANE * min(plane.spacing_mm):
            return None
        z = int(np.abs(heights - plane.position_lps @ across).argmin())
        offset = plane.position_lps - positions[z]
        if abs(offset @ across) > max(0.01, _ACROSS * spacing_mm):
            return None
        if np.linalg.norm(offset - (offset @ across) * across) > max(0.01, _IN_PLANE * min(plane.spacing_mm)):
            return None
        found.append(z)
    return found


def own_grid(planes: Sequence[Plane], spacing_mm: float | None, name: str) -> tuple[Grid, list[int]]:
    """Return a grid through all frames, with room for those that were left out, and the slice of each frame.

    Parameters
    ----------
    planes : sequence of Plane
        At least one; several may lie at one place.
    spacing_mm : float, optional
        Slice distance that the file states.
    name : str
        File name for messages.

    Raises
    ------
    GeometryError
        If the frames do not lie on one even stack.
    """
    first = planes[0]
    hint = "Open it together with the images that it was made for."
    for plane in planes:
        if (
            plane.shape != first.shape
            or np.abs(plane.orientation - first.orientation).max() > 1e-3
            or not np.allclose(plane.spacing_mm, first.spacing_mm, rtol=1e-3)
        ):
            raise GeometryError(f"The frames of {name} do not form one stack.", hint)
    normal = np.cross(first.orientation[:3], first.orientation[3:])
    normal /= np.linalg.norm(normal)
    positions = np.array([plane.position_lps for plane in planes])
    heights = positions @ normal
    low, high = int(heights.argmin()), int(heights.argmax())
    unique = np.unique(np.round(heights - heights[low], 3))
    steps = np.diff(unique)
    steps = steps[steps > 0.01]
    count = 1
    step = normal * (spacing_mm or 1.0)
    if len(steps):
        base = (
            spacing_mm if spacing_mm and np.abs(steps / spacing_mm - np.round(steps / spacing_mm)).max() < _ACROSS else float(steps.min())
        )
        extent = float(heights[high] - heights[low])
        count = round(extent / base) + 1
        step = (positions[high] - positions[low]) / (count - 1)
    index = np.round((heights - heights[low]) / max(float(step @ normal), 1e-9)).astype(int)
    off = np.linalg.norm(positions - positions[low] - np.outer(index, step), axis=1).max()
    if off > max(0.1, _ACROSS * float(np.linalg.norm(step))):
        raise GeometryError(f"The frames of {name} are unevenly spaced or shifted by {off:.2g} mm.", hint)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.orientation[3:] * first.spacing_mm[0]
    affine[:3, 2] = first.orientation[:3] * first.spacing_mm[1]
    affine[:3, 3] = positions[low]
    affine[:2] *= -1
    return Grid((count, *first.shape), affine), index.tolist()
