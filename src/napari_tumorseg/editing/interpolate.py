"""Fill between slices: draw every fifth slice, get those between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Over, chosen, draft, step, writable
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.slice_pairs import pairs_across_gaps
from napari_tumorseg.voxels.distance import signed_distance_mm

__all__ = ["InterpolateParams", "between", "interpolate"]


@dataclass(frozen=True)
class InterpolateParams:
    """Settings of fill between slices.

    Attributes
    ----------
    labels : str
        The label drawn with, or all labels together, so that no gaps appear between them.
    max_gap_mm : float
        Parts further apart than this are different lesions and are not joined.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    labels: Literal["the label drawn with", "every label"] = field(default="the label drawn with", metadata=about("Of"))
    max_gap_mm: float = field(default=30.0, metadata=about("Largest gap (mm)", 1.0, 500.0, 1.0))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def interpolate(scope: Scope, target: Target, params: InterpolateParams, progress: Progress | None = None) -> Draft | None:
    """Fill the gaps between the slices across ``target.axis`` that are drawn on.

    A gap lies between a part of a slice that the next slice does not continue, and the first slice
    further on that has a part at the same place. Parts that correspond are interpolated by their
    distance maps, moved so that their centres lie on a line; where one part meets several (a
    branch) they are not moved. Slices drawn on stay as they are.

    Notes
    -----
    Shape-based interpolation (Raya and Udupa, IEEE Trans Med Imaging 9:32, 1990), with parts
    aligned as in Zukić et al., Insight Journal 2016.
    """
    step(progress, 0.0, "Looking for gaps")
    each = params.labels == "every label"
    region = chosen(scope, target, "whole mask", "3-D", () if each else None)
    if region is None:
        return None
    axis = target.axis
    size = scope.grid.spacing_mm[axis]
    flat = [s for i, s in enumerate(scope.grid.spacing_mm) if i != axis]
    box = region.box
    old = scope.labels[box.slices]
    new = old.copy()
    planes, into = np.moveaxis(old, axis, 0), np.moveaxis(new, axis, 0)
    drawn = np.moveaxis(region.mask, axis, 0)
    free = np.moveaxis(writable(scope, old, params.over, params.over_label), axis, 0) & ~drawn
    pairs = pairs_across_gaps(drawn, size, flat, params.max_gap_mm)
    for count, pair in enumerate(pairs):
        step(progress, 0.3 + 0.6 * count / len(pairs), "Filling between slices")
        first = np.where(pair.first, planes[pair.low], 0)
        last = np.where(pair.last, planes[pair.high], 0)
        for corner, index, labels in between(first, last, pair.low, pair.high, flat, aligned=pair.single):
            part = (index, slice(corner[0], corner[0] + labels.shape[0]), slice(corner[1], corner[1] + labels.shape[1]))
            into[part] = np.where((labels > 0) & free[part], labels, into[part])
    return draft(box, old, new)


def between(
    first: npt.NDArray[Any], last: npt.NDArray[Any], low: int, high: int, spacing_mm: Sequence[float], aligned: bool = True
) -> list[tuple[tuple[int, int], int, npt.NDArray[Any]]]:
    """Interpolate the labels of the slices between two.

    Parameters
    ----------
    first, last : numpy.ndarray
        2-D labels of one lesion in the slices `low` and `high`, same shape; 0 elsewhere.
    low, high : int
        Slice indices.
    spacing_mm : sequence of float
        Pixel size along both axes of the slice.
    aligned : bool
        Move the two towards each other so that their centres lie on a line.

    Returns
    -------
    list of tuple
        For each slice between: row and column of the block, slice index, labels of the block.

    Examples
    --------
    >>> square = np.zeros((8, 8), np.uint8)
    >>> square[1:3, 1:3] = 2
    >>> [(corner, z, block)] = between(square, np.roll(square, 4, axis=1), 4, 6, (1.0, 1.0))
    >>> corner, z, np.argwhere(block == 2).min(axis=0).tolist(), int((block == 2).sum())
    ((1, 1), 5, [0, 2], 4)
    """
    from scipy.ndimage import shift

    rows, columns = np.nonzero((first > 0) | (last > 0))
    corner = (int(rows.min()), int(columns.min()))
    part = (slice(corner[0], int(rows.max()) + 1), slice(corner[1], int(columns.max()) + 1))
    # A rim of one pixel, so that there is an outside to measure to even at the border of the image.
    a, b = np.pad(first[part], 1), np.pad(last[part], 1)
    way = np.argwhere(b > 0).mean(axis=0) - np.argwhere(a > 0).mean(axis=0) if aligned else np.zeros(2)
    if not way.any():
        room = 0
    else:
        # Room for shapes that are moved, so that distances beyond the block are true distances, too.
        room = int(np.ceil(np.abs(way).max()))
        a, b = np.pad(a, room), np.pad(b, room)
    values = [int(v) for v in np.union1d(np.unique(a), np.unique(b)) if v]
    # The outline is that of all labels together; inside it each pixel goes to the nearest.
    maps = [(_distance(a > 0, b > 0, spacing_mm), _distance(b > 0, a > 0, spacing_mm))]
    if len(values) > 1:
        maps += [(_distance(a == v, b == v, spacing_mm), _distance(b == v, a == v, spacing_mm)) for v in values]
    inner = tuple(slice(room + 1, n - room - 1) for n in a.shape)
    found = []
    for index in range(low + 1, high):
        t = (index - low) / (high - low)
        fields = []
        for here, there in maps:
            if way.any():
                here = shift(here, t * way, order=1, mode="nearest")
                there = shift(there, (t - 1) * way, order=1, mode="nearest")
            fields.append(((1 - t) * here + t * there)[inner])
        # A shift by a fraction leaves rounding errors where the distances cancel.
        inside = fields[0] > 1e-5
        winner = np.argmax(fields[1:], axis=0) if len(values) > 1 else np.zeros(inside.shape, np.intp)
        found.append((corner, index, np.where(inside, np.array(values, first.dtype)[winner], 0).astype(first.dtype)))
    return found


def _distance(mask: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_], spacing_mm: Sequence[float]) -> npt.NDArray[np.float32]:
    """Return the distance to the border, which runs half a pixel from the centres on either side."""
    half = np.float32(min(spacing_mm) / 2)
    if mask.any():
        far = signed_distance_mm(mask, spacing_mm)
        return far - np.copysign(half, far)
    # A label that one slice lacks tapers off on the way there.
    thickest = float(signed_distance_mm(other, spacing_mm).max())
    return np.full(mask.shape, -thickest, np.float32)
