"""Intensity and volume features as the Image Biomarker Standardisation Initiative defines them.

Names are the tags of IBSI's tables of reference values; formulas are those of its reference manual (arXiv:1612.07003, chapter 3;
Zwanenburg 2020, doi:10.1148/radiol.2020191145).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid, bounding_box
from napari_tumorseg.evaluation.pet.peak import suv_peak

__all__ = ["ibsi_features"]

Values = npt.NDArray[np.float64]


def ibsi_features(image: npt.NDArray[Any], mask: npt.NDArray[np.bool_], grid: Grid) -> dict[str, float | None]:
    """Return the intensity statistics, intensity peaks and volumes of a region.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (z, y, x), any real dtype, finite in the mask.
    mask : numpy.ndarray
        Boolean, same shape.
    grid : Grid
        Position of the voxels.

    Returns
    -------
    dict of str to float
        By IBSI's tags: "stat_*" and "loc_peak_*" in the unit of the image (or its powers), "morph_vol*" in mm3, "morph_area_mesh"
        in mm2, "morph_diam" and "morph_com" in mm, "morph_integ_int" in the unit times mm3. None where a feature would be
        a division by zero; skewness and kurtosis of a constant are 0.

    Raises
    ------
    InputError
        If the mask is empty or the image is no number in it.

    Examples
    --------
    >>> cube = np.full((3, 3, 3), 2.0)
    >>> found = ibsi_features(cube, cube > 0, Grid.from_spacing(cube.shape, (1, 1, 1)))
    >>> found["morph_vol_approx"], found["stat_mean"], found["stat_skew"]
    (27.0, 2.0, 0.0)
    """
    box = bounding_box(mask)
    if box is None:
        raise InputError("The mask is empty.", "Draw a lesion first.")
    inside = mask[box.slices]
    values = np.asarray(image[box.slices][inside], np.float64)
    if not np.isfinite(values).all():
        raise InputError("The image is no number somewhere in the mask.", "Mend the mask.")
    found: dict[str, float | None] = {**_shape(inside, values, grid), **_statistics(values)}
    peak, at_max = suv_peak(image, np.argwhere(inside) + box.start, grid)
    return {**found, "loc_peak_loc": at_max, "loc_peak_glob": peak}


def _shape(inside: npt.NDArray[np.bool_], values: Values, grid: Grid) -> dict[str, float]:
    """Volume and area of the mesh at half height, voxels counted, largest diameter, shift of the centre of mass."""
    from scipy.spatial.distance import pdist
    from skimage.measure import marching_cubes

    corners, faces, _, _ = marching_cubes(np.pad(inside, 1).astype(np.float32), 0.5)
    corners = np.asarray(corners, np.float64) @ grid.affine[:3, :3].T
    a, b, c = (corners[faces[:, i]] for i in range(3))
    volume = abs(float(np.einsum("ij,ij->", a, np.cross(b, c)))) / 6
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    places = np.argwhere(inside) @ grid.affine[:3, :3].T
    total = values.sum()
    shift = float(np.linalg.norm(places.mean(axis=0) - values @ places / total)) if total else 0.0
    return {
        "morph_volume": volume,
        "morph_vol_approx": values.size * grid.voxel_volume_mm3,
        "morph_area_mesh": area,
        "morph_com": shift,
        "morph_diam": float(pdist(_hull(corners)).max()),
        "morph_integ_int": volume * float(values.mean()),
    }


def _hull(points: Values) -> Values:
    from scipy.spatial import ConvexHull

    return np.asarray(points[ConvexHull(points).vertices])


def _statistics(values: Values) -> dict[str, float | None]:
    mean, median = float(values.mean()), float(np.median(values))
    rest = values - mean
    variance = float((rest**2).mean())
    p10, q1, q3, p90 = (float(v) for v in np.percentile(values, (10, 25, 75, 90)))
    middle = values[(values >= p10) & (values <= p90)]
    return {
        "stat_mean": mean,
        "stat_var": variance,
        "stat_skew": float((rest**3).mean()) / variance**1.5 if variance else 0.0,
        "stat_kurt": float((rest**4).mean()) / variance**2 - 3 if variance else 0.0,
        "stat_median": median,
        "stat_min": float(values.min()),
        "stat_p10": p10,
        "stat_p90": p90,
        "stat_max": float(values.max()),
        "stat_iqr": q3 - q1,
        "stat_range": float(np.ptp(values)),
        "stat_mad": float(np.abs(rest).mean()),
        "stat_rmad": float(np.abs(middle - middle.mean()).mean()) if middle.size else None,
        "stat_medad": float(np.abs(values - median).mean()),
        "stat_cov": variance**0.5 / mean if mean else None,
        "stat_qcod": (q3 - q1) / (q3 + q1) if q3 + q1 else None,
        "stat_energy": float((values**2).sum()),
        "stat_rms": float((values**2).mean()) ** 0.5,
    }
