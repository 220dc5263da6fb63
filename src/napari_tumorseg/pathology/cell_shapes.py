"""Size and shape of nuclei, from polygons or from an instance map.

Names and definitions follow QuPath (ObjectMeasurements.java; Bankhead 2017, doi:10.1038/s41598-017-17204-5):

- circularity is 4 pi area / perimeter^2, 1 for a circle;
- solidity is the area over that of the convex hull;
- the maximum diameter is that of the smallest enclosing circle;
- the minimum diameter is the least distance of two parallel lines that hold the outline between them.

A polygon is measured as it is. In an instance map the area is the number of pixels, and the perimeter is Crofton's with the four
directions of a square grid (Legland 2007, doi:10.5566/ias.v26.p83-92), which for discs from 3 pixels' radius on is within 3 %; the
length of the pixel edges would be a quarter too long. The hull of a map's nucleus is that of the points half a pixel above, below, left
and right of its pixels' centres. A circularity from a map may therefore exceed 1 by a little, and is not cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["InstanceGroups", "Shapes", "group_instances", "map_shapes", "minimum_widths", "polygon_shapes"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Hulls whose widths are taken at once: bounds the memory of the (hulls, corners, corners) array.
_HULLS_AT_ONCE = 2048


@dataclass(frozen=True, eq=False)
class InstanceGroups:
    """The pixels of an instance map, sorted by instance.

    Attributes
    ----------
    ids : numpy.ndarray
        (n,) the ids that occur, ascending, 0 left out.
    pixels : numpy.ndarray
        Flat indices of all labelled pixels, by instance, and within an instance row by row.
    starts : numpy.ndarray
        (n,) where each instance begins in `pixels`.
    counts : numpy.ndarray
        (n,) pixels per instance.
    """

    ids: Ints
    pixels: Ints
    starts: Ints
    counts: Ints


@dataclass(frozen=True, eq=False)
class Shapes:
    """Shape of n nuclei; all arrays are (n,) float64, but the centroids.

    Attributes
    ----------
    centroids_px : numpy.ndarray
        (n, 2) as (y, x), in pixels; (0, 0) is the centre of the first pixel.
    area_um2, perimeter_um, circularity, solidity, max_diameter_um, min_diameter_um : numpy.ndarray
        As in the module's text; NaN where an outline has no area.
    """

    centroids_px: Floats
    area_um2: Floats
    perimeter_um: Floats
    circularity: Floats
    solidity: Floats
    max_diameter_um: Floats
    min_diameter_um: Floats


def group_instances(instances: npt.NDArray[Any]) -> InstanceGroups:
    """Sort the pixels of an instance map by instance.

    Parameters
    ----------
    instances : numpy.ndarray
        Integer (y, x), 0 outside nuclei.

    Raises
    ------
    InputError
        If the map is not two-dimensional, not of integers, or holds negative ids.

    Examples
    --------
    >>> groups = group_instances(np.array([[0, 7, 7], [3, 0, 0]]))
    >>> groups.ids.tolist(), groups.counts.tolist()
    ([3, 7], [1, 2])
    """
    if instances.ndim != 2 or not np.issubdtype(instances.dtype, np.integer) or (instances.size and int(instances.min()) < 0):
        raise InputError("An instance map must be (y, x), of integers from 0 on.", "Give one number per nucleus and 0 elsewhere.")
    flat = instances.ravel()
    inside = np.flatnonzero(flat)
    pixels = inside[np.argsort(flat[inside], kind="stable")]
    labels = flat[pixels]
    starts = np.flatnonzero(np.diff(labels, prepend=0)) if labels.size else np.zeros(0, np.int64)
    counts = np.diff(starts, append=labels.size)
    return InstanceGroups(labels[starts].astype(np.int64), pixels, starts, counts)


def map_shapes(instances: npt.NDArray[Any], groups: InstanceGroups, spacing_um: float) -> Shapes:
    """Measure the nuclei of an instance map.

    Parameters
    ----------
    instances : numpy.ndarray
        Integer (y, x), 0 outside nuclei.
    groups : InstanceGroups
        `group_instances(instances)`.
    spacing_um : float
        Micrometres per pixel.

    Examples
    --------
    >>> y, x = np.mgrid[:61, :61]
    >>> disc = ((y - 30) ** 2 + (x - 30) ** 2 <= 20**2).astype(np.int32)
    >>> shape = map_shapes(disc, group_instances(disc), spacing_um=0.5)
    >>> round(float(shape.circularity[0]), 1), round(float(shape.max_diameter_um[0]), 1)
    (1.0, 20.5)
    """
    import shapely

    _check_spacing(spacing_um)
    width = instances.shape[1]
    y, x = np.divmod(groups.pixels, width)
    owner = np.repeat(np.arange(len(groups.ids)), groups.counts)
    centroids = np.stack([np.bincount(owner, v, len(groups.ids)) for v in (y, x)], axis=1) / np.maximum(groups.counts, 1)[:, None]
    first, last = _row_ends(owner, y)
    points, owners = _half_pixel_points(y[first], x[first], x[last], owner[first])
    hulls = shapely.convex_hull(shapely.linestrings(points, indices=owners)) if len(points) else np.zeros(0, object)
    return _shapes(centroids, groups.counts.astype(np.float64), _crofton(instances, groups), hulls, spacing_um)


def polygon_shapes(polygons: Sequence[npt.NDArray[Any]] | npt.NDArray[Any], spacing_um: float) -> Shapes:
    """Measure nuclei given as polygons.

    Parameters
    ----------
    polygons : sequence of numpy.ndarray
        Each (k, 2) as (y, x), in pixels, k at least 3, not closed; or one array (n, k, 2).
    spacing_um : float
        Micrometres per pixel.

    Raises
    ------
    InputError
        If a polygon has fewer than three corners, or the spacing is not a positive number.

    Examples
    --------
    >>> square = np.array([[[0, 0], [0, 2], [2, 2], [2, 0]]])
    >>> shape = polygon_shapes(square, spacing_um=1.0)
    >>> float(shape.area_um2[0]), float(shape.perimeter_um[0]), float(shape.min_diameter_um[0])
    (4.0, 8.0, 2.0)
    """
    import shapely

    _check_spacing(spacing_um)
    rings = _rings(polygons)
    whole = shapely.polygons(rings) if len(rings) else np.zeros(0, object)
    centroids = shapely.get_coordinates(shapely.centroid(whole)).reshape(-1, 2)
    return _shapes(centroids, shapely.area(whole), shapely.length(whole), shapely.convex_hull(whole), spacing_um)


def minimum_widths(hulls: npt.NDArray[np.object_]) -> Floats:
    """Return the least width of convex polygons (Houle and Toussaint 1988, doi:10.1109/34.6790).

    The least width is met with one line along an edge: for each edge the farthest corner is found, and the smallest of those counts.

    Parameters
    ----------
    hulls : numpy.ndarray
        (n,) shapely geometries, convex.

    Returns
    -------
    numpy.ndarray
        (n,) in the units of the corners; 0 for points and lines.
    """
    import shapely

    points, owners = shapely.get_coordinates(hulls, return_index=True)
    counts = np.bincount(owners, minlength=len(hulls))
    starts = np.cumsum(counts) - counts
    widths = np.zeros(len(hulls))
    for at in range(0, len(hulls), _HULLS_AT_ONCE):
        some = slice(at, at + _HULLS_AT_ONCE)
        steps = np.arange(counts[some].max())
        # Rows shorter than the longest repeat their last corner, which makes edges of no length.
        corners = points[np.minimum(starts[some, None] + steps, (starts + counts - 1)[some, None])]
        edges = np.diff(corners, axis=1)
        lengths = np.hypot(edges[..., 0], edges[..., 1])
        offsets = edges[:, :, None, 0] * (corners[:, None, :, 1] - corners[:, :-1, None, 1])
        offsets -= edges[:, :, None, 1] * (corners[:, None, :, 0] - corners[:, :-1, None, 0])
        farthest = np.abs(offsets).max(axis=2)
        widths[some] = np.where(lengths > 0, farthest / np.where(lengths > 0, lengths, 1), np.inf).min(axis=1, initial=np.inf)
    return np.where(np.isfinite(widths), widths, 0.0)


def _check_spacing(spacing_um: float) -> None:
    if not (np.isfinite(spacing_um) and spacing_um > 0):
        raise InputError(f"{spacing_um} micrometres per pixel is not a size.", "Give the size of a pixel, such as 0.25.")


def _shapes(centroids: Floats, area: Floats, perimeter: Floats, hulls: npt.NDArray[np.object_], spacing_um: float) -> Shapes:
    import shapely

    hull_area = shapely.area(hulls)
    with np.errstate(invalid="ignore", divide="ignore"):
        circularity = np.where(area > 0, 4 * np.pi * area / perimeter**2, np.nan)
        solidity = np.where(area > 0, area / hull_area, np.nan)
    return Shapes(
        centroids_px=centroids,
        area_um2=area * spacing_um**2,
        perimeter_um=perimeter * spacing_um,
        circularity=circularity,
        solidity=solidity,
        max_diameter_um=2 * shapely.minimum_bounding_radius(hulls) * spacing_um,
        min_diameter_um=minimum_widths(hulls) * spacing_um,
    )


def _rings(polygons: Sequence[npt.NDArray[Any]] | npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Turn polygons into shapely rings, all at once."""
    import shapely

    sizes = np.array([len(p) for p in polygons], dtype=np.int64)
    if not sizes.size:
        return np.zeros(0, object)
    if sizes.min() < 3:
        raise InputError(f"Polygon {int(sizes.argmin())} has {int(sizes.min())} corners.", "An outline needs three.")
    return np.asarray(
        shapely.linearrings(np.concatenate(list(polygons)).astype(np.float64), indices=np.repeat(np.arange(len(sizes)), sizes))
    )


def _row_ends(owner: Ints, y: Ints) -> tuple[Ints, Ints]:
    """Return the positions of the first and last pixel of each row of each instance."""
    if not owner.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    new = np.flatnonzero((np.diff(owner) != 0) | (np.diff(y) != 0)) + 1
    return np.concatenate([[0], new]), np.concatenate([new - 1, [len(owner) - 1]])


def _half_pixel_points(y: Ints, left: Ints, right: Ints, owner: Ints) -> tuple[Floats, Ints]:
    """Return the points half a pixel around the row ends, as (y, x), grouped by owner."""
    rows = np.stack([y, y, y - 0.5, y - 0.5, y + 0.5, y + 0.5], axis=1)
    columns = np.stack([left - 0.5, right + 0.5, left, right, left, right], axis=1)
    return np.stack([rows.ravel(), columns.ravel()], axis=1), np.repeat(owner, 6)


def _crofton(instances: npt.NDArray[Any], groups: InstanceGroups) -> Floats:
    """Return the perimeters in pixels: pi/8 times the crossings of lines in four directions, each times the distance of its lines."""
    padded = np.pad(instances, 1)
    straight = _crossings(padded[:, :-1], padded[:, 1:], groups) + _crossings(padded[:-1], padded[1:], groups)
    slanted = _crossings(padded[:-1, :-1], padded[1:, 1:], groups) + _crossings(padded[:-1, 1:], padded[1:, :-1], groups)
    perimeters: Floats = np.pi / 8 * (straight + slanted / np.sqrt(2))
    return perimeters


def _crossings(a: npt.NDArray[Any], b: npt.NDArray[Any], groups: InstanceGroups) -> Floats:
    differ = a != b
    both = np.concatenate([a[differ], b[differ]])
    rows = np.searchsorted(groups.ids, both[both > 0])
    return np.bincount(rows, minlength=len(groups.ids)).astype(np.float64)
