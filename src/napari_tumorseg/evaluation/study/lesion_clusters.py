"""Which lesions of several masks of one case are the same: one clustering, one-to-one, with merges and splits listed.

Rule (version 1). Where lesions of two masks share a voxel they are linked; the weight is the intersection over union (IoU) of their voxels.
Pairs are taken by falling IoU, then by falling shared volume, then by name of mask and lesion; two clusters become one where no mask would
have two lesions in it. So each cluster holds at most one lesion of each mask, and the order of the masks does not matter. Lesions that lie
near each other without a common voxel are not linked. A lesion that shares a voxel with two or more lesions of another mask is listed: as
a *merge* of those (the other mask has them apart), which is the same fact as their being a *split* of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError

__all__ = ["CLUSTER_RULE", "LesionCluster", "Merge", "cluster_lesions"]

#: Version of the rule above; printed with every result.
CLUSTER_RULE = "greedy IoU, one lesion of each mask, version 1"

Parts = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class LesionCluster:
    """One lesion, as several masks have it.

    Attributes
    ----------
    members : mapping of str to int
        By name of the mask, the number of its lesion; masks without one are not in it.
    """

    members: Mapping[str, int]


@dataclass(frozen=True)
class Merge:
    """One lesion of a mask where another mask has several.

    Attributes
    ----------
    mask, lesion : str, int
        Which has them as one.
    other : str
        The mask that has them apart.
    lesions : tuple of int
        Their numbers there.
    """

    mask: str
    lesion: int
    other: str
    lesions: tuple[int, ...]


def cluster_lesions(parts: Mapping[str, Parts]) -> tuple[tuple[LesionCluster, ...], tuple[Merge, ...]]:
    """Find out which lesions are the same.

    Parameters
    ----------
    parts : mapping of str to numpy.ndarray
        By name of the mask, its lesions (z, y, x), 0 outside and 1 to n inside; all of one shape.

    Returns
    -------
    clusters : tuple of LesionCluster
        Every lesion is in exactly one; most members first, then by name and number.
    merges : tuple of Merge
        By names and numbers.

    Raises
    ------
    InputError
        If the shapes differ.

    Examples
    --------
    >>> a = np.array([[[1, 1, 1, 1, 0, 2]]])
    >>> b = np.array([[[1, 0, 2, 2, 0, 0]]])
    >>> clusters, merges = cluster_lesions({"A": a, "B": b})
    >>> [dict(c.members) for c in clusters]
    [{'A': 1, 'B': 2}, {'A': 2}, {'B': 1}]
    >>> merges
    (Merge(mask='A', lesion=1, other='B', lesions=(1, 2)),)
    """
    if len({p.shape for p in parts.values()}) > 1:
        raise InputError("The masks of one case have different shapes.", "Give masks on one grid.")
    names = sorted(parts)
    sizes = {name: np.bincount(parts[name].ravel()) for name in names}
    lesions = [(name, int(n)) for name in names for n in np.flatnonzero(sizes[name]) if n]
    links: list[tuple[float, int, tuple[str, int], tuple[str, int]]] = []
    merges: list[Merge] = []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            shared = _shared(parts[a], parts[b])
            for (x, y), count in shared.items():
                links.append((count / (int(sizes[a][x]) + int(sizes[b][y]) - count), count, (a, x), (b, y)))
            merges += _merges(a, b, [(x, y) for x, y in shared]) + _merges(b, a, [(y, x) for x, y in shared])
    group = {lesion: {lesion[0]: lesion[1]} for lesion in lesions}
    for _, _, one, other in sorted(links, key=lambda k: (-k[0], -k[1], k[2], k[3])):
        first, second = group[one], group[other]
        if first is not second and not first.keys() & second.keys():
            first.update(second)
            for member in second.items():
                group[member] = first
    unique = {id(g): g for g in group.values()}
    found = [LesionCluster(dict(sorted(g.items()))) for g in unique.values()]
    found.sort(key=lambda c: (-len(c.members), *c.members.items()))
    return tuple(found), tuple(sorted(merges, key=lambda m: (m.mask, m.lesion, m.other)))


def _shared(a: Parts, b: Parts) -> dict[tuple[int, int], int]:
    """Return the voxels in common of each pair of lesions that have some."""
    both = (a > 0) & (b > 0)
    pairs, counts = np.unique(np.stack([a[both].astype(np.int64), b[both].astype(np.int64)]), axis=1, return_counts=True)
    return {(int(x), int(y)): int(n) for x, y, n in zip(*pairs, counts, strict=True)}


def _merges(mask: str, other: str, pairs: list[tuple[int, int]]) -> list[Merge]:
    by_lesion: dict[int, list[int]] = {}
    for own, foreign in pairs:
        by_lesion.setdefault(own, []).append(foreign)
    return [Merge(mask, own, other, tuple(sorted(foreign))) for own, foreign in by_lesion.items() if len(foreign) > 1]
