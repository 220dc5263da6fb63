"""Distances in millimetres and what is made of them: dilation, erosion, opening, closing by a ball."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["closed", "depth_mm", "dilated", "eroded", "opened", "signed_distance_mm"]

Mask = npt.NDArray[np.bool_]
# Distances are single precision: a voxel that lies on the surface of the ball is in, whatever the rounding.
_EDGE = 1 + 1e-6


def depth_mm(mask: Mask, spacing_mm: Sequence[float], axis: int | None = None) -> npt.NDArray[np.float32]:
    """Return for each voxel of a mask how far the nearest voxel outside it is.

    Parameters
    ----------
    mask : numpy.ndarray
        Boolean, 2-D or 3-D.
    spacing_mm : sequence of float
        Voxel size along each axis.
    axis : int, optional
        Look for the nearest voxel within the slice across this axis only.

    Returns
    -------
    numpy.ndarray
        float32, millimetres between voxel centres; 0 outside the mask, infinite where nothing is
        outside. What lies beyond the array is neither in nor out.

    Examples
    --------
    >>> depth_mm(np.array([[[False, True, True, True]]]), (1.0, 1.0, 2.0)).ravel().tolist()
    [0.0, 2.0, 4.0, 6.0]
    """
    import edt

    out = np.empty(mask.shape, np.float32)
    if axis is not None:
        flat = [size for i, size in enumerate(spacing_mm) if i != axis]
        for index in range(mask.shape[axis]):
            at: tuple[Any, ...] = (*(slice(None),) * axis, index)
            out[at] = depth_mm(mask[at], flat)
        return out
    if mask.all():
        out.fill(np.inf)
        return out
    out[...] = edt.edt(np.ascontiguousarray(mask).view(np.uint8), anisotropy=tuple(float(s) for s in spacing_mm), parallel=1)
    return out


def signed_distance_mm(mask: Mask, spacing_mm: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the distance to the other side of the border: positive inside the mask, negative outside."""
    return np.asarray(depth_mm(mask, spacing_mm) - depth_mm(~mask, spacing_mm))


def dilated(mask: Mask, radius_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> Mask:
    """Return the voxels whose centres are within `radius_mm` of a voxel of the mask; with `axis`, within its slice.

    Examples
    --------
    >>> dilated(np.array([[[True, False, False, False]]]), 2.0, (5.0, 1.0, 1.0)).ravel().tolist()
    [True, True, True, False]
    """
    return np.asarray(depth_mm(~mask, spacing_mm, axis) <= radius_mm * _EDGE)


def eroded(mask: Mask, radius_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> Mask:
    """Return the voxels of the mask with no voxel outside it within `radius_mm`; the border of the array takes nothing away."""
    return np.asarray(mask & (depth_mm(mask, spacing_mm, axis) > radius_mm * _EDGE))


def opened(mask: Mask, radius_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> Mask:
    """Return the mask without what a ball of `radius_mm` does not fit into.

    Balls may stick out of the array, so that nothing is lost where a mask is cut off by its border.
    """
    return dilated(eroded(mask, radius_mm, spacing_mm, axis), radius_mm, spacing_mm, axis)


def closed(mask: Mask, radius_mm: float, spacing_mm: Sequence[float], axis: int | None = None) -> Mask:
    """Return the mask with the clefts filled that a ball of `radius_mm` does not fit into.

    Balls may lie outside the array, where nothing is: a strip along the border is no cleft.
    """
    margins = [0 if i == axis else int(np.ceil(radius_mm / size)) + 1 for i, size in enumerate(spacing_mm)]
    wide = np.pad(mask, [(m, m) for m in margins])
    both = eroded(dilated(wide, radius_mm, spacing_mm, axis), radius_mm, spacing_mm, axis)
    return np.ascontiguousarray(both[tuple(slice(m, n + m) for m, n in zip(margins, mask.shape, strict=True))])
