"""Carrying images and probabilities from one grid to another.

Grids may be oblique to each other and sheared. Interpolation is linear; where the target is
coarser than the source, the source is smoothed first, so that nothing between the target's
voxels is lost or aliased.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Grid

__all__ = ["resample", "working_grid"]

Floats = npt.NDArray[np.float32]
#: Voxels of the target that are computed at a time; bounds the memory of the coordinates to 24 MB.
SLAB_VOXELS = 2_000_000
#: Voxel sizes that differ by less than this share are taken as equal.
SAME_SPACING = 0.01
#: Cosine between two axes above which a grid counts as sheared (about 0.3 degrees).
SHEAR = 0.005


def resample(data: npt.NDArray[Any], source: Grid, target: Grid, *, fill: float = 0.0, antialias: bool = True) -> Floats:
    """Return the values of `data` at the voxel centres of another grid.

    Parameters
    ----------
    data : numpy.ndarray
        Shape (z, y, x) on `source`, any real dtype.
    source, target : Grid
        Where the values are, and where they are wanted.
    fill : float
        Value outside the field of view of `source`, which ends at the outer faces of its voxels.
    antialias : bool
        Whether to smooth along axes on which `target` is coarser.

    Returns
    -------
    numpy.ndarray
        float32 on `target`; the values themselves where the grids are the same.

    Examples
    --------
    >>> source = Grid.from_spacing((1, 1, 3), (1, 1, 2), "SAR")
    >>> target = Grid.from_spacing((1, 1, 5), (1, 1, 1), "SAR")
    >>> resample(np.array([[[0, 2, 4]]]), source, target).tolist()
    [[[0.0, 1.0, 2.0, 3.0, 4.0]]]
    """
    import torch
    from torch.nn import functional

    if source.matches(target):
        return np.array(data, np.float32, order="C")
    values = np.ascontiguousarray(data, np.float32)
    index = np.linalg.inv(source.affine) @ target.affine
    if antialias:
        values = _smoothed(values, index)
    size = torch.tensor(source.shape, dtype=torch.float64)
    matrix = torch.from_numpy(index)
    image = torch.from_numpy(values)[None, None]
    out = torch.empty(target.shape, dtype=torch.float32)
    z, y, x = target.shape
    rows, columns = torch.arange(y, dtype=torch.float64), torch.arange(x, dtype=torch.float64)
    step = max(1, SLAB_VOXELS // (y * x))
    with torch.inference_mode():
        for first in range(0, z, step):
            slices = torch.arange(first, min(first + step, z), dtype=torch.float64)
            points, inside = [], torch.ones((len(slices), y, x), dtype=torch.bool)
            for axis in range(3):
                m = matrix[axis]
                at = (m[0] * slices + m[3])[:, None, None] + (m[1] * rows)[None, :, None] + (m[2] * columns)[None, None, :]
                inside &= (at >= -0.5 - 1e-6) & (at <= float(size[axis]) - 0.5 + 1e-6)
                # grid_sample runs from -1 at the first voxel to 1 at the last; one voxel has no such scale.
                points.append((at * (2 / max(1.0, float(size[axis]) - 1)) - 1).float())
            where = torch.stack(points[::-1], -1)[None]
            slab = functional.grid_sample(image, where, mode="bilinear", padding_mode="border", align_corners=True)[0, 0]
            out[first : first + len(slices)] = torch.where(inside, slab, torch.tensor(fill))
    return out.numpy()


def working_grid(grid: Grid, spacing_mm: Sequence[float] | None) -> Grid:
    """Return the grid on which a network should see an image.

    Parameters
    ----------
    grid : Grid
        Of the image, turned to the network's orientation.
    spacing_mm : sequence of float, optional
        (z, y, x) that the network works at; None for the image's own.

    Returns
    -------
    Grid
        `grid` itself where spacing and angles are right; otherwise one with right angles over the
        same field of view, its axes as near to those of `grid` as right angles allow.
    """
    spacing = grid.spacing_mm if spacing_mm is None else tuple(float(s) for s in spacing_mm)
    directions = grid.directions
    if np.abs(directions.T @ directions - np.eye(3)).max() <= SHEAR:
        same = np.allclose(grid.spacing_mm, spacing, rtol=SAME_SPACING, atol=0)
        return grid if same else grid.resampled(spacing)
    # The rotation nearest to sheared axes is the orthogonal factor of their polar decomposition.
    left, _, right = np.linalg.svd(directions)
    axes = left @ right
    z, y, x = grid.shape
    faces = np.array([(k, j, i) for k in (-0.5, z - 0.5) for j in (-0.5, y - 0.5) for i in (-0.5, x - 0.5)])
    along = grid.to_mm(faces) @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    step = np.array(spacing)
    shape = np.maximum(1, np.ceil((high - low) / step - 1e-6)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * step
    affine[:3, 3] = axes @ (low + step / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _smoothed(values: Floats, index: npt.NDArray[np.float64]) -> Floats:
    """Low-pass `values` for sampling with the 4 x 4 matrix `index` from target to source indices.

    The Gaussian's standard deviation is half of what the step exceeds one voxel, the rule of
    scikit-image's `resize`.
    """
    from scipy.ndimage import gaussian_filter1d

    for axis, step in enumerate(np.linalg.norm(index[:3, :3], axis=1)):
        if step > 1 + SAME_SPACING and values.shape[axis] > 1:
            values = gaussian_filter1d(values, (step - 1) / 2, axis=axis, mode="nearest", truncate=3.0)
    return values
