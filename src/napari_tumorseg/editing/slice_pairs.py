"""Which parts of which slices belong together across a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from napari_tumorseg.editing.region import Mask
from napari_tumorseg.voxels.distance import depth_mm
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["Pair", "pairs_across_gaps"]

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two slices and the parts in them that a gap parts.

    Attributes
    ----------
    low, high : int
        Indices of the slices.
    first, last : numpy.ndarray
        Boolean, 2-D: what corresponds in the one and in the other.
    single : bool
        Whether one part meets one part; otherwise the lesion branches.
    """

    low: int
    high: int
    first: Mask
    last: Mask
    single: bool


@dataclass(frozen=True, eq=False)
class _Part:
    slice_index: int
    corner: tuple[int, int]
    mask: Mask

    def on(self, plane: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
        (row, column), (height, width) = self.corner, self.mask.shape
        return plane[row : row + height, column : column + width]


def pairs_across_gaps(drawn: Mask, step_mm: float, spacing_mm: Sequence[float], max_gap_mm: float) -> list[Pair]:
    """Find the gaps in a mask along its first axis, and what corresponds across each.

    A part of a slice ends where the next slice has no voxel above it, and another starts where the
    slice before has none below it. An end belongs to the nearest start that it overlaps when both
    are laid on top of each other; one that overlaps none belongs to the nearest that is no further
    to the side than the gap is high.

    Parameters
    ----------
    drawn : numpy.ndarray
        Boolean (slice, row, column).
    step_mm : float
        Distance between slices.
    spacing_mm : sequence of float
        Pixel size along rows and columns.
    max_gap_mm : float
        Longest distance between two slices of a pair.

    Returns
    -------
    list of Pair
        By the lower slice.

    Examples
    --------
    >>> drawn = np.zeros((5, 4, 4), bool)
    >>> drawn[[0, 3], 1:3, 1:3] = True
    >>> [(pair.low, pair.high, pair.single) for pair in pairs_across_gaps(drawn, 1.0, (1.0, 1.0), 10.0)]
    [(0, 3, True)]
    """
    ends, starts = _loose_parts(drawn)
    reach = int(max_gap_mm / step_mm + 1e-9)
    links: set[tuple[int, int]] = set()
    near_end: dict[int, list[int]] = {}
    near_start: dict[int, list[int]] = {}
    for e, end in enumerate(ends):
        for s, start in enumerate(starts):
            if 1 < start.slice_index - end.slice_index <= reach and _overlap(end, start):
                near_end.setdefault(e, []).append(s)
                near_start.setdefault(s, []).append(e)
    for e, found in near_end.items():
        nearest = min(starts[s].slice_index for s in found)
        links |= {(e, s) for s in found if starts[s].slice_index == nearest}
    for s, found in near_start.items():
        nearest = max(ends[e].slice_index for e in found)
        links |= {(e, s) for e in found if ends[e].slice_index == nearest}
    links |= _sideways(ends, starts, links, drawn.shape[1:], step_mm, spacing_mm, reach)
    return _grouped(ends, starts, links, drawn.shape[1:])


def _loose_parts(drawn: Mask) -> tuple[list[_Part], list[_Part]]:
    from scipy.ndimage import find_objects

    ends: list[_Part] = []
    starts: list[_Part] = []
    count = len(drawn)
    filled = [z for z in range(count) if drawn[z].any()]
    for z in filled:
        parts, _ = connected_parts(np.ascontiguousarray(drawn[z])[None], 26)
        for number, where in enumerate(find_objects(parts[0].astype(np.int32)), start=1):
            part = _Part(z, (where[0].start, where[1].start), np.asarray(parts[0][where] == number))
            # The mask is cut to its voxels: beyond its first and last slice there is nothing to join.
            if z + 1 < count and not (part.mask & part.on(drawn[z + 1])).any():
                ends.append(part)
            if z > 0 and not (part.mask & part.on(drawn[z - 1])).any():
                starts.append(part)
    return ends, starts


def _overlap(a: _Part, b: _Part) -> bool:
    low = [max(i, j) for i, j in zip(a.corner, b.corner, strict=True)]
    high = [min(i + n, j + m) for i, n, j, m in zip(a.corner, a.mask.shape, b.corner, b.mask.shape, strict=True)]
    if low[0] >= high[0] or low[1] >= high[1]:
        return False
    return bool((_cut(a, low, high) & _cut(b, low, high)).any())


def _cut(part: _Part, low: list[int], high: list[int]) -> Mask:
    (row, column), mask = part.corner, part.mask
    return mask[low[0] - row : high[0] - row, low[1] - column : high[1] - column]


def _sideways(
    ends: list[_Part],
    starts: list[_Part],
    links: set[tuple[int, int]],
    shape: tuple[int, ...],
    step_mm: float,
    spacing_mm: Sequence[float],
    reach: int,
) -> set[tuple[int, int]]:
    """Return links between ends and starts that overlap nothing, each to the nearest of the other kind."""
    lone_ends = set(range(len(ends))) - {e for e, _ in links}
    lone_starts = set(range(len(starts))) - {s for _, s in links}
    candidates: list[tuple[int, float, int, int]] = []
    for e in lone_ends:
        plane = np.zeros(shape, bool)
        ends[e].on(plane)[...] |= ends[e].mask
        away = depth_mm(~plane, spacing_mm)
        for s in lone_starts:
            gap = starts[s].slice_index - ends[e].slice_index
            if 1 < gap <= reach:
                distance = float(starts[s].on(away)[starts[s].mask].min())
                if distance <= gap * step_mm:
                    candidates.append((gap, distance, e, s))
    found: set[tuple[int, int]] = set()
    for _, _, e, s in sorted(candidates):
        if e in lone_ends and s in lone_starts:
            found.add((e, s))
            lone_ends.discard(e)
            lone_starts.discard(s)
    return found


def _grouped(ends: list[_Part], starts: list[_Part], links: set[tuple[int, int]], shape: tuple[int, ...]) -> list[Pair]:
    pairs = []
    slices = sorted({(ends[e].slice_index, starts[s].slice_index) for e, s in links})
    for low, high in slices:
        todo = {(e, s) for e, s in links if (ends[e].slice_index, starts[s].slice_index) == (low, high)}
        while todo:
            group_e, group_s = set(), set()
            fresh = {min(todo)}
            while fresh:
                todo -= fresh
                group_e |= {e for e, _ in fresh}
                group_s |= {s for _, s in fresh}
                fresh = {(e, s) for e, s in todo if e in group_e or s in group_s}
            first, last = np.zeros(shape, bool), np.zeros(shape, bool)
            for e in group_e:
                ends[e].on(first)[...] |= ends[e].mask
            for s in group_s:
                starts[s].on(last)[...] |= starts[s].mask
            pairs.append(Pair(low, high, first, last, len(group_e) == len(group_s) == 1))
    return pairs
