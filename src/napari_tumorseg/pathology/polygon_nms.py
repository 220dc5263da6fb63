"""Star-convex polygons, and which of many overlapping ones to keep.

The rule is StarDist's (Schmidt 2018, doi:10.1007/978-3-030-00934-2_30; nms.py and stardist2d.cpp of the package): the candidates are
taken in the order of falling probability, and one that has been kept suppresses every later one with which its intersection is more
than a share of the smaller of the two areas. StarDist cuts corners to whole pixels before it intersects; here they keep their values.

The area of an intersection is summed in closed form. A polygon is the signed sum of the strips below its edges, so the intersection of
two polygons is the signed sum, over all pairs of edges, of what lies below both; below two segments that is the integral of the lower
one over the columns they share. No case needs to be told apart, so that thousands of pairs are done at once in single precision, and
those too near the limit to be sure of again in GEOS.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["keep_polygons", "star_polygons"]

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

#: StarDist's share of the smaller area, of the published H&E model.
OVERLAP_LIMIT = 0.3
#: Candidates taken from the top at once; those kept of them then suppress all others in one go.
_BLOCK = 512
#: Pairs whose edge-by-edge arrays stay in the processor's cache.
_PAIRS_AT_ONCE = 512
#: Areas this near the limit, as a share of both outer radii together times the smaller, are decided in double precision.
_UNSURE = 2e-5


def star_polygons(centres: npt.NDArray[Any], distances: npt.NDArray[Any]) -> Floats:
    """Return the corners of star-convex polygons.

    Parameters
    ----------
    centres : numpy.ndarray
        (n, 2) as (y, x), in pixels.
    distances : numpy.ndarray
        (n, k) pixels from the centre along ray j, at the angle 2 pi j / k: y grows with its sine, x with its cosine.

    Returns
    -------
    numpy.ndarray
        (n, k, 2) float64 as (y, x).

    Examples
    --------
    >>> star_polygons(np.array([[5, 5]]), np.array([[1, 2, 3, 4]])).round(1).tolist()
    [[[5.0, 6.0], [7.0, 5.0], [5.0, 2.0], [1.0, 5.0]]]
    """
    angles = 2 * np.pi * np.arange(distances.shape[1]) / distances.shape[1]
    rays = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    corners: Floats = np.asarray(centres, np.float64)[:, None] + np.asarray(distances, np.float64)[..., None] * rays
    return corners


def keep_polygons(
    centres: npt.NDArray[Any], distances: npt.NDArray[Any], probabilities: npt.NDArray[Any], overlap_limit: float = OVERLAP_LIMIT
) -> Ints:
    """Choose the polygons that StarDist's non-maximum suppression keeps.

    Parameters
    ----------
    centres : numpy.ndarray
        (n, 2) as (y, x), in pixels.
    distances : numpy.ndarray
        (n, k) positive distances along the rays, in pixels, k at least 3.
    probabilities : numpy.ndarray
        (n,); of equal ones the earlier goes first.
    overlap_limit : float
        A polygon is suppressed when its intersection with a kept one is more than this share of the smaller area.

    Returns
    -------
    numpy.ndarray
        Indices of those kept, by falling probability.

    Raises
    ------
    InputError
        If the shapes do not fit, or a distance is not a positive number.

    Examples
    --------
    >>> centres, distances = np.array([[9, 9], [10, 9], [9, 30]]), np.full((3, 32), 5.0)
    >>> keep_polygons(centres, distances, np.array([0.7, 0.9, 0.8])).tolist()
    [1, 2]
    """
    _check(centres, distances, probabilities)
    order = np.argsort(-np.asarray(probabilities, np.float64), kind="stable")
    if not len(order):
        return order
    candidates = _Candidates(np.asarray(centres)[order], np.asarray(distances)[order], overlap_limit)
    undecided = np.ones(len(order), np.bool_)
    kept: list[Ints] = []
    at = 0
    while True:
        block = at + np.flatnonzero(undecided[at : at + 64 * _BLOCK])[:_BLOCK]
        if not len(block):
            at += 64 * _BLOCK
            if at >= len(order):
                return order[np.concatenate(kept)]
            continue
        winners = candidates.winners(block)
        kept.append(winners)
        undecided[block] = False
        at = int(block[-1]) + 1
        first, second = candidates.near(winners)
        open_ = undecided[second]
        first, second = first[open_], second[open_]
        undecided[candidates.suppressed(first, second)] = False


def _check(centres: npt.NDArray[Any], distances: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> None:
    n = len(probabilities)
    if centres.shape != (n, 2) or distances.ndim != 2 or len(distances) != n or distances.shape[1] < 3:
        raise InputError(
            f"{n} probabilities do not fit centres {centres.shape} and distances {distances.shape}.", "Give (n, 2) and (n, rays)."
        )
    if n and not (np.isfinite(distances).all() and distances.min() > 0 and np.isfinite(centres).all()):
        raise InputError("A distance along a ray is not a positive number.", "Raise distances to 0.001 first, as StarDist does.")


class _Candidates:
    """Candidates by falling probability, with what their comparison needs."""

    def __init__(self, centres: npt.NDArray[Any], distances: npt.NDArray[Any], limit: float) -> None:
        import shapely

        self.limit = limit
        self.polygons = star_polygons(centres, distances)
        self.centres = np.asarray(centres, np.float64)
        y, x = (np.ascontiguousarray(self.polygons[..., i]) for i in (0, 1))
        self.boxes = shapely.box(y.min(axis=1), x.min(axis=1), y.max(axis=1), x.max(axis=1))
        self.tree = shapely.STRtree(self.boxes)
        here = np.asarray(distances, np.float64)
        after = np.roll(here, -1, axis=1)
        angle = 2 * np.pi / here.shape[1]
        triangles = here * after * np.sin(angle)
        self.areas = triangles.sum(axis=1) / 2
        edges = np.sqrt((here - after) ** 2 + (2 - 2 * np.cos(angle)) * here * after)
        # The circle around the centre that touches the nearest edge lies inside, as all angles at the centre are below pi.
        self.inner = (triangles / edges).min(axis=1)
        self.outer = here.max(axis=1)

    def near(self, which: Ints) -> tuple[Ints, Ints]:
        """Return the pairs of one of `which` and a later candidate whose boxes touch."""
        first, second = self.tree.query(self.boxes[which])
        first = which[first]
        later = second > first
        return first[later], second[later]

    def winners(self, block: Ints) -> Ints:
        """Return those of a block, ascending, that no other of the block suppresses."""
        import shapely

        first, second = shapely.STRtree(self.boxes[block]).query(self.boxes[block])
        later = second > first
        first, second = first[later], second[later]
        overlap = self._overlap(block[first], block[second])
        first, second = first[overlap], second[overlap]
        alive = np.ones(len(block), np.bool_)
        for i in np.argsort(first, kind="stable"):
            # By now all that could suppress `first` have been heard.
            if alive[first[i]]:
                alive[second[i]] = False
        return block[alive]

    def suppressed(self, first: Ints, second: Ints) -> Ints:
        """Return the `second` of those pairs that overlap too much."""
        return second[self._overlap(first, second)]

    def _overlap(self, first: Ints, second: Ints) -> npt.NDArray[np.bool_]:
        """Tell for each pair whether the intersection is more than the limit's share of the smaller area."""
        limits = self.limit * np.minimum(self.areas[first], self.areas[second])
        apart = np.hypot(*(self.centres[first] - self.centres[second]).T)
        smaller = np.minimum(self.areas[first], self.areas[second])
        over: npt.NDArray[np.bool_] = _lens_area(self.inner[first], self.inner[second], apart) > limits + 1e-6 * smaller
        reach = self.outer[first] + self.outer[second]
        open_ = np.flatnonzero(~over & (apart < reach))
        a, b = first[open_], second[open_]
        found = self._intersections(a, b)
        over[open_] = found > limits[open_]
        doubt = _UNSURE * reach[open_] * np.minimum(self.outer[a], self.outer[b])
        unsure = open_[np.abs(found - limits[open_]) <= doubt]
        over[unsure] = self._exact(first[unsure], second[unsure]) > limits[unsure]
        return over

    def _intersections(self, first: Ints, second: Ints) -> Floats:
        areas = np.empty(len(first))
        for at in range(0, len(first), _PAIRS_AT_ONCE):
            a, b = first[at : at + _PAIRS_AT_ONCE], second[at : at + _PAIRS_AT_ONCE]
            # Small numbers, so that single precision holds: from the centre of the first polygon.
            origin = self.centres[a][:, None]
            one, two = (self.polygons[a] - origin).astype(np.float32), (self.polygons[b] - origin).astype(np.float32)
            areas[at : at + len(a)] = _shared_area(one, two)
        return areas

    def _exact(self, first: Ints, second: Ints) -> Floats:
        import shapely

        one, two = shapely.polygons(self.polygons[first]), shapely.polygons(self.polygons[second])
        return np.asarray(shapely.area(shapely.intersection(one, two)))


def _shared_area(one: Singles, two: Singles) -> Floats:
    """Return the areas that pairs of polygons, (n, k, 2) each, share."""
    n, k = one.shape[:2]
    ax0, ax1, *a_rest = _edges(one)
    bx0, bx1, *b_rest = _edges(two)
    starts = np.maximum(ax0[:, :, None], bx0[:, None, :])
    widths = np.minimum(ax1[:, :, None], bx1[:, None, :])
    widths -= starts
    # Of the k x k pairs of edges about an eighth share columns.
    shared = np.flatnonzero(widths.ravel() > 0)
    pair = shared // (k * k)
    i, j = shared // k, pair * k + shared % k
    start, width = starts.ravel()[shared], widths.ravel()[shared]
    a_slope, a_level, a_sign = (v.ravel()[i] for v in a_rest)
    b_slope, b_level, b_sign = (v.ravel()[j] for v in b_rest)
    # Height of the first segment, and by how much the second is lower at both ends of the shared columns. What is counted below
    # height 0 cancels, as each polygon has as many edges one way as the other in every column.
    height = a_slope * (start + width / 2) + a_level
    lower_start = (a_slope - b_slope) * start + (a_level - b_level)
    lower_end = lower_start + (a_slope - b_slope) * width
    lower = np.maximum(lower_start, 0) + np.maximum(lower_end, 0)
    lower *= lower / (np.abs(lower_start) + np.abs(lower_end) + np.float32(1e-20))
    strips = (height - lower / 2) * width * a_sign * b_sign
    return np.bincount(pair, strips, n).astype(np.float64)


def _edges(polygons: Singles) -> tuple[Singles, ...]:
    """Return first and last column, slope, height at column 0 and sign of the edges, (n, k) each; upright ones span no column."""
    y, x = polygons[..., 0], polygons[..., 1]
    after = np.concatenate([polygons[:, 1:], polygons[:, :1]], axis=1)
    rise, run = after[..., 0] - y, after[..., 1] - x
    # An edge within this of upright bounds an area too small to matter, and its slope would be too steep for single precision.
    upright = np.abs(run) < 1e-5
    slope = np.where(upright, 0, rise / np.where(upright, 1, run)).astype(np.float32)
    first, last = np.minimum(x, after[..., 1]), np.maximum(x, after[..., 1])
    return first, last, slope, y - slope * x, -np.sign(run)


def _lens_area(r: Floats, s: Floats, apart: Floats) -> Floats:
    """Return the area that two circles share."""
    small, large = np.minimum(r, s), np.maximum(r, s)
    inside = apart <= large - small
    d = np.where(inside, large, np.minimum(apart, r + s))
    d = np.maximum(d, 1e-12)
    cos_r, cos_s = (d**2 + r**2 - s**2) / (2 * d * r), (d**2 + s**2 - r**2) / (2 * d * s)
    kite = (-d + r + s) * (d + r - s) * (d - r + s) * (d + r + s)
    lens = r**2 * np.arccos(np.clip(cos_r, -1, 1)) + s**2 * np.arccos(np.clip(cos_s, -1, 1)) - np.sqrt(np.maximum(kite, 0)) / 2
    return np.where(inside, np.pi * small**2, lens)
