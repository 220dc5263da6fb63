"""Lesions of one region inside an island: numbering, merging, deleting, and which of them touch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.evaluation.segmentation.regions import Mask, dilated_18
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Parts", "find_parts", "merge_by", "touching", "without_small"]

Ids = npt.NDArray[np.unsignedinteger[Any]]
Pairs = npt.NDArray[np.int64]
# One of each two opposite offsets to the 18 neighbours, and none.
_HALF = tuple(o for o in itertools.product((-1, 0, 1), repeat=3) if sum(map(abs, o)) <= 2 and o >= (0, 0, 0))


@dataclass(frozen=True, eq=False)
class Parts:
    """The lesions of a mask.

    Attributes
    ----------
    ids : numpy.ndarray
        Unsigned integer (z, y, x): number of the lesion at each voxel of the mask, 0 outside.
    halo : numpy.ndarray
        The same for each voxel of the dilated lesions. Lesions do not touch, not even dilated.
    """

    ids: Ids
    halo: Ids

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """The numbers that occur, rising."""
        return np.flatnonzero(self.sizes)

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Voxels of each lesion, by number; 0 for the background."""
        return np.bincount(self.ids[self.ids > 0], minlength=1)


def find_parts(mask: Mask, dilations: int) -> Parts:
    """Return the 26-connected parts of a mask (z, y, x); parts that meet after `dilations` by the 18-neighbour element are one."""
    halo, _ = connected_parts(dilated_18(mask, dilations))
    return Parts(np.where(mask, halo, halo.dtype.type(0)), halo)


def without_small(parts: Parts, voxels: float) -> Parts:
    """Return the parts without those of no more than so many voxels."""
    small = (parts.sizes > 0) & (parts.sizes <= voxels)
    if not small.any():
        return parts
    keep = np.arange(int(parts.halo.max()) + 1, dtype=parts.ids.dtype)
    keep[: len(small)][small] = 0
    return Parts(keep[parts.ids], keep[parts.halo])


def touching(one: Ids, other: Ids) -> Pairs:
    """Return (n, 2) pairs of numbers of lesions that meet when either is dilated once by the 18-neighbour element."""
    if not one.any() or not other.any():
        return np.zeros((0, 2), np.int64)
    found = []
    for offset in _HALF:
        here = tuple(slice(max(0, o), min(n, n + o)) for o, n in zip(offset, one.shape, strict=True))
        there = tuple(slice(max(0, -o), min(n, n - o)) for o, n in zip(offset, one.shape, strict=True))
        for a, b in ((one[here], other[there]), (one[there], other[here])):
            both = (a > 0) & (b > 0)
            found.append(np.stack((a[both], b[both]), axis=1).astype(np.int64))
    return np.unique(np.concatenate(found), axis=0)


def merge_by(parts: Parts, pairs: Pairs, other: Parts) -> Parts:
    """Make one lesion of those that touch the same lesion of another region first.

    Parameters
    ----------
    parts : Parts
        Lesions to merge.
    pairs : numpy.ndarray
        What `touching` returned for them and `other`.
    other : Parts
        Lesions of the other region. Where a lesion touches several, the first one counts: the one whose dilated
        voxels come first with x rising slowest, then y, then z, as the challenge's scripts number them.
    """
    rank = _ranks(other)
    first: dict[int, int] = {}
    for mine, its in sorted(pairs.tolist(), key=lambda pair: rank[pair[1]]):
        first.setdefault(mine, its)
    leader: dict[int, int] = {}
    table = np.arange(int(parts.halo.max()) + 1, dtype=parts.ids.dtype)
    for mine in sorted(first):
        table[mine] = leader.setdefault(first[mine], mine)
    return Parts(table[parts.ids], table[parts.halo])


def _ranks(parts: Parts) -> dict[int, int]:
    numbers, first = np.unique(parts.halo.transpose(2, 1, 0).ravel(), return_index=True)
    return {int(n): rank for rank, n in enumerate(numbers[np.argsort(first)])}


def boxes(ids: Ids) -> Sequence[tuple[slice, slice, slice] | None]:
    """Return the bounding box of each number from 1, None where it does not occur."""
    from scipy.ndimage import find_objects

    return list(find_objects(ids.astype(np.int32, copy=False)))


def joint_box(found: Sequence[tuple[slice, slice, slice] | None]) -> tuple[slice, slice, slice]:
    """Return the box around several."""
    there = [box for box in found if box is not None]
    z, y, x = (slice(min(b[a].start for b in there), max(b[a].stop for b in there)) for a in range(3))
    return z, y, x
