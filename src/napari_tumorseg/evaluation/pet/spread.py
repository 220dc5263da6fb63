"""The largest distance between two voxels of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Grid

__all__ = ["largest_distance_mm"]

Points = npt.NDArray[Any]
#: Corners that are compared with all others at a time; bounds the memory.
_AT_A_TIME = 1024


def largest_distance_mm(inside: npt.NDArray[np.bool_], grid: Grid) -> float:
    """Return the largest Euclidean distance between the centres of two voxels of a mask.

    This is Dmax, the spread of disease (Cottereau et al., J. Nucl. Med. 61:40, 2020), between voxels in place of lesions'
    centres. The two voxels are corners of the convex hull, which is taken over index triples, so that it is exact; an affine
    map does not change which points are corners.

    Parameters
    ----------
    inside : numpy.ndarray
        Boolean (z, y, x).
    grid : Grid
        Position of the voxels; may be oblique or sheared. Its shape is not looked at.

    Returns
    -------
    float
        Millimetres; 0 for a mask of one voxel or none.

    Examples
    --------
    >>> mask = np.zeros((4, 4, 4), bool)
    >>> mask[0, 0, 0] = mask[3, 0, 2] = True
    >>> largest_distance_mm(mask, Grid.from_spacing(mask.shape, (1, 1, 2)))
    5.0
    """
    from scipy.spatial.distance import cdist

    corners = _corners(_row_ends(inside)) @ grid.affine[:3, :3].T
    if len(corners) < 2:
        return 0.0
    return max(float(cdist(corners[at : at + _AT_A_TIME], corners).max()) for at in range(0, len(corners), _AT_A_TIME))


def _row_ends(inside: npt.NDArray[np.bool_]) -> Points:
    """Return the first and last voxel of each row, (n, 3) indices: no other can be a corner."""
    z, y = np.nonzero(inside.any(axis=2))
    rows = inside[z, y]
    first, last = rows.argmax(axis=1), rows.shape[1] - 1 - rows[:, ::-1].argmax(axis=1)
    ends = np.stack([np.tile(z, 2), np.tile(y, 2), np.concatenate([first, last])], axis=1)
    return np.unique(ends, axis=0)


def _corners(points: Points) -> Points:
    """Return the points that can be corners of the convex hull, whatever number of dimensions they span."""
    from scipy.spatial import ConvexHull

    if len(points) < 3:
        return points
    offsets = points - points[0]
    rank = int(np.linalg.matrix_rank(offsets))
    # Points of a plane or a line keep their order on some of the axes alone.
    axes = next(c for c in ((0, 1, 2), (0, 1), (0, 2), (1, 2), (0,), (1,), (2,)) if len(c) == rank == np.linalg.matrix_rank(offsets[:, c]))
    if rank == 1:
        along = points[:, axes[0]]
        return points[[int(along.argmin()), int(along.argmax())]]
    return np.asarray(points[ConvexHull(points[:, axes]).vertices])
