"""The surface of each label of a mask, made in small pieces so that a brush never waits for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.core.jobs import Progress

__all__ = ["LabelSurface", "label_surfaces"]

# Marching cubes holds Python's lock, so one piece must be short: about 10 ms.
_BLOCK = 48
_MOST_VOXELS = 6_000_000
# Below one half, so that a lesion of a single voxel is not smoothed away.
_LEVEL = 0.35
_SIGMA = 0.5


@dataclass(frozen=True, eq=False)
class LabelSurface:
    """Triangles around one label.

    Attributes
    ----------
    value : int
        The label.
    vertices : numpy.ndarray
        Shape (n, 3), float32, in voxels (z, y, x).
    faces : numpy.ndarray
        Shape (m, 3), int32, numbers of vertices.
    voxels : int
        Volume of the label.
    """

    value: int
    vertices: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    voxels: int


def label_surfaces(labels: npt.NDArray[Any], values: Sequence[int], progress: Progress | None = None) -> tuple[LabelSurface, ...]:
    """Return the surfaces of the labels that are present, for looking at: slightly smoothed, coarser for large masks.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), integer.
    values : sequence of int
        Labels to surround.
    progress : Progress, optional
        Told between pieces; raises `Cancelled`.

    Returns
    -------
    tuple of LabelSurface
        In the order of `values`.

    Examples
    --------
    >>> ball = np.linalg.norm(np.indices((12, 12, 12)) - 5.5, axis=0) < 4
    >>> surface, = label_surfaces(ball.astype(np.uint8), (1, 2))
    >>> surface.value, bool(np.allclose(surface.vertices.mean(axis=0), 5.5, atol=0.05))
    (1, True)
    """
    progress = progress or Progress()
    whole = bounding_box(labels != 0)
    if whole is None:
        return ()
    inside = labels[whole.slices]
    made = []
    for number, value in enumerate(values):
        progress.update(number / len(values), "Drawing the surface")
        mask = inside == value
        box = bounding_box(mask)
        if box is None:
            continue
        mask = mask[box.slices]
        start = np.array(whole.start) + np.array(box.start)
        count = int(np.count_nonzero(mask))
        mask, step = _coarser(mask)
        vertices, faces = _march(mask, progress)
        # A coarse voxel's centre lies between the fine ones that it stands for.
        placed = (vertices * step + (step - 1) / 2 + start).astype(np.float32)
        if len(faces):
            made.append(LabelSurface(int(value), placed, faces, count))
    return tuple(made)


def _coarser(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], int]:
    """Return the mask in blocks of `step` voxels, set where any voxel is, so that nothing small is lost."""
    step = 1
    while mask.size / step**3 > _MOST_VOXELS:
        step += 1
    if step == 1:
        return mask, 1
    padded = np.pad(mask, [(0, -n % step) for n in mask.shape])
    z, y, x = (n // step for n in padded.shape)
    return padded.reshape(z, step, y, step, x, step).any(axis=(1, 3, 5)), step


def _march(mask: npt.NDArray[np.bool_], progress: Progress) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes

    pad = 3
    padded = np.pad(mask, pad)
    vertices: list[npt.NDArray[np.float32]] = []
    faces: list[npt.NDArray[np.int64]] = []
    count = 0
    for corner in itertools.product(*(range(0, n, _BLOCK) for n in padded.shape)):
        progress.update(0.0, "Drawing the surface")
        # One voxel of overlap closes the seams; the filter needs more around it to be the same on both sides.
        outer = tuple(slice(max(0, c - pad), min(n, c + _BLOCK + 1 + pad)) for c, n in zip(corner, padded.shape, strict=True))
        block = padded[outer]
        if not block.any() or block.all():
            continue
        smooth = gaussian_filter(block.astype(np.float32), _SIGMA, truncate=pad / _SIGMA)
        inner = tuple(slice(c - o.start, c - o.start + _BLOCK + 1) for c, o in zip(corner, outer, strict=True))
        smooth = smooth[inner]
        if min(smooth.shape) < 2 or not smooth.min() < _LEVEL < smooth.max():
            continue
        points, triangles, _, _ = marching_cubes(smooth, _LEVEL)
        vertices.append((points + np.array(corner) - pad).astype(np.float32))
        faces.append(triangles + count)
        count += len(points)
    if not vertices:
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    return _welded(np.concatenate(vertices), np.concatenate(faces))


def _welded(vertices: npt.NDArray[np.float32], faces: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Join the vertices that two blocks have in common, so that light runs smoothly over the seam."""
    grid = np.rint((vertices - vertices.min(axis=0)) * 256).astype(np.int64)
    extent = grid.max(axis=0) + 1
    keys = (grid[:, 0] * extent[1] + grid[:, 1]) * extent[2] + grid[:, 2]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    joined = inverse[faces]
    real = (joined[:, 0] != joined[:, 1]) & (joined[:, 1] != joined[:, 2]) & (joined[:, 0] != joined[:, 2])
    return vertices[first], joined[real].astype(np.int32)
