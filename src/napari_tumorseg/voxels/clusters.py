"""Groups of voxels that are far from each other, so that each can be worked on by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["clusters"]

_EDGE = 8


def clusters(
    labels: npt.NDArray[np.unsignedinteger[Any]], values: Sequence[int] | None = None, gap: Sequence[int] = (1, 1, 1)
) -> list[tuple[Box, npt.NDArray[np.bool_]]]:
    """Part the voxels with one of `values` into groups that have more than `gap` voxels between them.

    The volume is read once, slab by slab, into blocks of 8 voxels; all the rest is done with the
    blocks that hold something, so that time and memory follow the size of the lesions.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer.
    values : sequence of int, optional
        Every value but 0 by default.
    gap : sequence of int
        Along (z, y, x), in index steps: two voxels this near, or nearer, along all axes are in one
        group; so are voxels that touch.

    Returns
    -------
    list of tuple
        Smallest box and boolean mask of each group. Connected voxels are always in one group.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 90), np.uint8)
    >>> labels[1, 1, [3, 4, 80]] = 1
    >>> [(box.start, int(mask.sum())) for box, mask in clusters(labels, (1,))]
    [((1, 1, 3), 2), ((1, 1, 80), 1)]
    """
    from scipy.ndimage import find_objects, maximum_filter

    full = _blocks(labels, values)
    if not full.any():
        return []
    # Blocks i and j may hold voxels (|i - j| - 1) * edge + 1 apart; widening by k joins blocks up to 2 k + 1 apart.
    need = [(max(g, 1) + _EDGE - 2) // _EDGE + 1 for g in gap]
    wide = maximum_filter(full, [2 * (n // 2) + 1 for n in need])
    groups, _ = connected_parts(wide, 26)
    groups = np.where(full, groups, 0).astype(np.int32)
    found = []
    for number, where in enumerate(find_objects(groups), start=1):
        start = [part.start * _EDGE for part in where]
        stop = [min(part.stop * _EDGE, n) for part, n in zip(where, labels.shape, strict=True)]
        block = labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        mine = groups[where] == number
        mask = _among(block, values)
        if not mine.all():
            for axis in range(3):
                mine = np.repeat(mine, _EDGE, axis)
            mask &= mine[tuple(slice(0, n) for n in mask.shape)]
        inner = bounding_box(mask)
        assert inner is not None
        low = [a + b for a, b in zip(start, inner.start, strict=True)]
        high = [a + b for a, b in zip(start, inner.stop, strict=True)]
        found.append((Box((low[0], low[1], low[2]), (high[0], high[1], high[2])), np.ascontiguousarray(mask[inner.slices])))
    return found


def _among(labels: npt.NDArray[Any], values: Sequence[int] | None) -> npt.NDArray[np.bool_]:
    if values is None:
        return np.asarray(labels != 0)
    if len(values) == 1:
        return np.asarray(labels == values[0])
    return np.isin(labels, list(values))


def _blocks(labels: npt.NDArray[Any], values: Sequence[int] | None) -> npt.NDArray[np.bool_]:
    """Return which blocks hold one of the values."""
    shape = [-(-n // _EDGE) for n in labels.shape]
    full = np.zeros(shape, bool)
    rows, columns = np.arange(0, labels.shape[1], _EDGE), np.arange(0, labels.shape[2], _EDGE)
    for index in range(shape[0]):
        slab = _among(labels[index * _EDGE : (index + 1) * _EDGE], values)
        # Maxima of bytes are many times faster than any() of booleans along the first axis.
        flat = np.maximum.reduce(slab.view(np.uint8), axis=0)
        if flat.any():
            full[index] = np.maximum.reduceat(np.maximum.reduceat(flat, rows, axis=0), columns, axis=1) > 0
    return full
