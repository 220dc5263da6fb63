"""SUVpeak: the mean in a sphere of 1 mL.

The definition is that of the Image Biomarker Standardisation Initiative (Zwanenburg 2020, doi:10.1148/radiol.2020191145; reference
manual arXiv:1612.07003, section 3.2). Its *global intensity peak* (0F91) is the largest, over all voxels of the lesion, of the mean in
a sphere of 1 cm3 centred on the voxel; its *local intensity peak* (F0VA) takes the sphere on the lesion's hottest voxel alone, and the
higher mean where several voxels are equally hot. A voxel of the image counts where its centre lies in the sphere, inside the lesion
or not, with weight one. PERCIST (Wahl 2009, doi:10.2967/jnumed.108.057307), QIBA's FDG-PET profile and EANM (Boellaard 2015,
doi:10.1007/s00259-014-2961-x) want the same 1 cm3 sphere where the mean is highest but leave open how voxels on its border count;
IBSI is the one that says it, and publishes values to be met.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Grid

__all__ = ["PEAK_RADIUS_MM", "Peak", "sphere_means", "sphere_offsets", "suv_peak"]

#: Radius of a sphere of 1 cm3.
PEAK_RADIUS_MM = 10.0 * (3.0 / (4.0 * np.pi)) ** (1.0 / 3.0)
_ON_THE_EDGE = 1e-9

Peak = tuple[float, float]


def sphere_offsets(grid: Grid, radius_mm: float = PEAK_RADIUS_MM) -> npt.NDArray[np.intp]:
    """Return the index steps (n, 3) from a voxel to those whose centres lie within a radius, itself included.

    Examples
    --------
    >>> len(sphere_offsets(Grid.from_spacing((9, 9, 9), (5.0, 5.0, 5.0))))
    7
    """
    # The index along an axis is a linear function of the place, whose slope is a row of the inverse.
    reach = np.floor(radius_mm * np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1) + _ON_THE_EDGE).astype(int)
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    near = np.linalg.norm(steps @ grid.affine[:3, :3].T, axis=1) <= radius_mm * (1 + _ON_THE_EDGE)
    return np.asarray(steps[near], np.intp)


def sphere_means(
    image: npt.NDArray[Any], voxels: npt.NDArray[np.integer[Any]], grid: Grid, radius_mm: float = PEAK_RADIUS_MM
) -> npt.NDArray[np.float64]:
    """Return the mean of an image in a sphere round each of some voxels.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (z, y, x), any real dtype.
    voxels : numpy.ndarray
        Shape (n, 3): (z, y, x) of the centres.
    grid : Grid
        Position of the image's voxels.
    radius_mm : float
        Of the sphere.

    Returns
    -------
    numpy.ndarray
        float64, shape (n,). What lies beyond the image, or is no number, does not count.
    """
    offsets = sphere_offsets(grid, radius_mm)
    low, high = offsets.min(axis=0), offsets.max(axis=0)
    if not len(voxels):
        return np.zeros(0)
    start = np.maximum(voxels.min(axis=0) + low, 0)
    stop = np.minimum(voxels.max(axis=0) + high + 1, image.shape)
    block = np.asarray(image[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))], np.float64)
    pads = [(-int(a), int(b)) for a, b in zip(low, high, strict=True)]
    there = np.isfinite(block)
    values = np.pad(np.where(there, block, 0.0), pads)
    counted = np.pad(there, pads)
    where = voxels - start - low
    flat = np.ravel_multi_index(tuple(where.T), values.shape)
    steps = offsets @ np.array([values.shape[1] * values.shape[2], values.shape[2], 1])
    total, count = np.zeros(len(voxels)), np.zeros(len(voxels), np.int64)
    for step in steps.tolist():
        total += values.ravel()[flat + step]
        count += counted.ravel()[flat + step]
    return np.asarray(total / np.maximum(count, 1))


def suv_peak(image: npt.NDArray[Any], voxels: npt.NDArray[np.integer[Any]], grid: Grid) -> Peak:
    """Return the global (0F91) and the local (F0VA) intensity peak of a lesion.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (z, y, x), any real dtype.
    voxels : numpy.ndarray
        Shape (n, 3): (z, y, x) of the lesion's voxels, at least one, with finite values.
    grid : Grid
        Position of the voxels.

    Returns
    -------
    tuple of float
        Largest mean over all its voxels, and largest over its hottest ones; in the unit of the image.

    Examples
    --------
    >>> image = np.zeros((3, 3, 3))
    >>> image[1, 1, 1] = 7.0
    >>> suv_peak(image, np.array([[1, 1, 1]]), Grid.from_spacing(image.shape, (5.0, 5.0, 5.0)))
    (1.0, 1.0)
    """
    means = sphere_means(image, voxels, grid)
    values = image[tuple(voxels.T)]
    return float(means.max()), float(means[values == values.max()].max())
