"""Discs and spheres of a size in millimetres on grids of any spacing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["ball"]


def ball(diameter_mm: float, spacing_mm: Sequence[float]) -> npt.NDArray[np.bool_]:
    """Return the voxels whose centres lie within a ball round the middle voxel.

    Parameters
    ----------
    diameter_mm : float
        Diameter; a ball smaller than a voxel is that voxel.
    spacing_mm : sequence of float
        Voxel size along each axis, two for a disc, three for a sphere.

    Returns
    -------
    numpy.ndarray
        Boolean, an odd number of voxels along each axis.

    Examples
    --------
    >>> ball(4.0, (5.0, 1.0, 1.0)).sum(axis=(1, 2))
    array([13])
    """
    radius_mm = max(diameter_mm, 0.0) / 2
    # A voxel that lies on the surface is in, whatever the rounding.
    limit = radius_mm**2 * (1 + 1e-9)
    reach = [int(np.floor(radius_mm / step + 1e-9)) for step in spacing_mm]
    axes = np.ogrid[tuple(slice(-n, n + 1) for n in reach)]
    square = sum((axis * step) ** 2 for axis, step in zip(axes, spacing_mm, strict=True))
    return np.asarray(square <= limit)
