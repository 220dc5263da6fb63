"""Redraw a stretch of a border: the border goes where the line goes, whether the mask grows or shrinks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.outline import fill_polygon
from napari_tumorseg.editing.region import Mask, draft, needed_path, slice_box, step
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["ReshapeParams", "reshape"]

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.unsignedinteger[Any]]
#: A line is closed when its ends are nearer to each other than this share of its length.
_CLOSED = 0.15


@dataclass(frozen=True)
class ReshapeParams:
    """Settings of redrawing a border.

    Attributes
    ----------
    border : str
        The border of the label drawn with, or of the tumour as a whole.
    """

    border: Literal["the label drawn with", "all labels together"] = field(default="the label drawn with", metadata=about("Border of"))


def reshape(scope: Scope, target: Target, params: ReshapeParams, progress: Progress | None = None) -> Draft | None:
    """Move the border of the label in a slice onto the line ``target.path``.

    An open line replaces the stretch of the nearest border between the places that are nearest to its
    ends; of the two ways round, the one stays that changes fewer pixels. A line whose ends meet replaces
    the whole border of what it overlaps. Holes stay; a line along the border of a hole moves that.

    What the label gains it takes from anything that is not locked. What it loses goes to the nearest other
    label that is not locked, or to background, so that no gaps open between classes. With "all labels
    together", gains are taken from background and losses become background.

    Parameters
    ----------
    scope, target : Scope, Target
        The mask, and the line as fractional (z, y, x) voxel indices in a slice across ``target.axis``.
    params : ReshapeParams
        Which border.
    progress : Progress, optional
        Where it is cancelled.

    Returns
    -------
    Draft, optional
        None when nothing changes, or an open line was drawn where there is no border.

    Raises
    ------
    InputError
        If the line has fewer than three points.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> labels = np.zeros((1, 12, 12), np.uint8)
    >>> labels[0, 4:8, 3:9] = 1
    >>> scope = Scope(labels, Grid.from_spacing(labels.shape, (1, 1, 1)), preset("lesion"), 1)
    >>> line = np.array([[0, 3.5, 2.6], [0, 2.4, 2.6], [0, 2.4, 8.4], [0, 3.5, 8.4]])
    >>> found = reshape(scope, Target(path=line), ReshapeParams())
    >>> found.box, int(found.labels.sum())
    (Box(start=(0, 3, 3), stop=(1, 4, 9)), 6)
    """
    step(progress, 0.0, "Moving the border")
    path, axis = needed_path(target, 3), target.axis
    index = int(np.floor(path[0, axis] + 0.5))
    where = slice_box(Box.whole(scope.labels.shape), axis, index)
    if where is None:
        return None
    others = [i for i in range(3) if i != axis]
    spacing = [scope.grid.spacing_mm[i] for i in others]
    plane: Labels = np.asarray(scope.labels[where.slices].squeeze(axis))
    together = params.border == "all labels together"
    region: Mask = np.asarray(plane > 0 if together else plane == scope.label)
    gain, loss = _moved(region, path[:, others], spacing)
    new = plane.copy()
    loss &= ~np.isin(plane, list(scope.locked))
    new[loss] = 0 if together else _neighbours(plane, region, loss, scope.locked, spacing)
    free = (plane == 0) if together else np.ones(plane.shape, bool)
    new[gain & free & ~np.isin(plane, list(scope.locked))] = scope.label
    return draft(where, scope.labels[where.slices], np.expand_dims(new, axis))


def _moved(region: Mask, line: Floats, spacing_mm: Sequence[float]) -> tuple[Mask, Mask]:
    """Return which pixels the region gains and which it loses."""
    gap, length = _length_mm(line[[0, -1]], spacing_mm), _length_mm(line, spacing_mm)
    if gap <= _CLOSED * length:
        inside = _filled(line, region.shape)
        old = np.zeros_like(region)
        for contour in _contours(region):
            each = _filled(contour, region.shape)
            if _is_outer(contour) and (each & inside).any():
                old |= each
        return inside & ~old, old & ~inside & region
    contours = _contours(region)
    if not contours:
        return np.zeros_like(region), np.zeros_like(region)
    ends = [[_nearest(contour, line[k], spacing_mm) for k in (0, -1)] for contour in contours]
    chosen = int(np.argmin([sum(distance for _, distance in pair) for pair in ends]))
    contour, (a, b) = contours[chosen], (place for place, _ in ends[chosen])
    old = _filled(contour, region.shape)
    rolled = np.roll(contour, -a, axis=0)
    stop = (b - a) % len(contour)
    ways = (rolled[stop:], rolled[: stop + 1][::-1])
    made = [_filled(np.concatenate([line, way]), region.shape) for way in ways]
    best = min(made, key=lambda mask: int(np.count_nonzero(mask ^ old)))
    outside, lost = best & ~old, old & ~best
    return (outside & ~region, lost & region) if _is_outer(contour) else (lost & ~region, outside & region)


def _contours(region: Mask) -> list[Floats]:
    """Return the borders of a region, outer ones and those of holes, each once round; they run between the pixels' centres."""
    from skimage.measure import find_contours

    rows, columns = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
    if len(rows) == 0:
        return []
    corner = np.array([rows[0], columns[0]])
    cut = np.pad(region[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1).astype(np.float32)
    return [found[:-1] + corner - 1 for found in find_contours(cut, 0.5)]


def _is_outer(contour: Floats) -> bool:
    """Whether a contour of `find_contours`, which keeps what is lower to its right, goes round the region and not round a hole."""
    y, x = contour.T
    return bool((y * np.roll(x, -1) - x * np.roll(y, -1)).sum() < 0)


def _filled(points: Floats, shape: tuple[int, ...]) -> Mask:
    out = np.zeros(shape, bool)
    (row, column), mask = fill_polygon(points, shape)
    out[row : row + mask.shape[0], column : column + mask.shape[1]] = mask
    return out


def _nearest(contour: Floats, point: Floats, spacing_mm: Sequence[float]) -> tuple[int, float]:
    distance = np.hypot(*((contour - point) * spacing_mm).T)
    return int(distance.argmin()), float(distance.min())


def _length_mm(line: Floats, spacing_mm: Sequence[float]) -> float:
    return float(np.hypot(*(np.diff(line, axis=0) * spacing_mm).T).sum())


def _neighbours(plane: Labels, region: Mask, lost: Mask, locked: frozenset[int], spacing_mm: Sequence[float]) -> Labels:
    """Return for each lost pixel the label of the nearest pixel outside the region that is not locked."""
    from scipy.ndimage import distance_transform_edt

    giver = ~region & ~np.isin(plane, list(locked))
    if not lost.any() or not giver.any():
        return np.zeros(int(np.count_nonzero(lost)), plane.dtype)
    places = distance_transform_edt(~giver, sampling=spacing_mm, return_distances=False, return_indices=True)
    return np.asarray(plane[tuple(places[:, lost])])
