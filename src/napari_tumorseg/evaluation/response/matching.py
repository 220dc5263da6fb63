"""Which lesion of a scan is which of an earlier one, and how it changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_tumorseg.evaluation.response.shapes import Shape, gap_mm, shared_mm3

__all__ = ["Change", "MatchRules", "Status", "describe", "link"]

#: What became of a lesion. "returned": it was gone at the time point before; "regrouped": some merged and some split at once.
Status = Literal["new", "returned", "gone", "grown", "shrunk", "unchanged", "merged", "split", "regrouped"]
Pair = tuple[int, int]


@dataclass(frozen=True)
class MatchRules:
    """When two lesions are one, and when one has changed.

    Attributes
    ----------
    tolerance_mm : float
        Lesions that overlap with none are one where their nearest voxel centres are this near; for what registration leaves.
    smallest_share : float
        An overlap counts where it is this share of the smaller lesion, so that neighbours that graze each other after
        registration are not joined; and always between two lesions each of which is the other's largest overlap.
    change_share : float
        Change of volume, as a share of the earlier one, beyond which a lesion has grown or shrunk: 20 %, as in REiNS
        (Dombi et al., Neurology 81:S33, 2013).
    """

    tolerance_mm: float = 5.0
    smallest_share: float = 0.1
    change_share: float = 0.2


@dataclass(frozen=True)
class Change:
    """Lesions that belong together across two time points.

    Attributes
    ----------
    earlier, later : tuple of int
        Their places in the two lists; one of the two may be empty.
    status : str
        What happened.
    """

    earlier: tuple[int, ...]
    later: tuple[int, ...]
    status: Status


def link(earlier: Sequence[Shape], later: Sequence[Shape], rules: MatchRules | None = None) -> set[Pair]:
    """Return which lesions of two scans in one space belong together, as pairs of places in the two lists.

    Lesions that overlap are linked first, see `MatchRules`; one may be linked to several. Then the nearest pairs of lesions
    that overlap with none are linked, one to one, as far as the tolerance goes. The order of the lists does not matter.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Box, Grid
    >>> grid = Grid.from_spacing((1, 1, 9), (1, 1, 1))
    >>> a, b, c = (Shape(grid, Box((0, 0, i), (1, 1, i + n)), np.ones((1, 1, n), bool)) for i, n in ((0, 2), (3, 2), (0, 5)))
    >>> sorted(link([a, b], [c])), sorted(link([a], [b]))
    ([(0, 0), (1, 0)], [(0, 0)])
    """
    rules = rules or MatchRules()
    shared = np.array([[shared_mm3(a, b) for b in later] for a in earlier]).reshape(len(earlier), len(later))
    pairs = {
        (int(i), int(j))
        for i, j in np.argwhere(shared > 0)
        if shared[i, j] >= rules.smallest_share * min(earlier[i].volume_mm3, later[j].volume_mm3) * (1 - 1e-9)
        or (shared[i, j] == shared[i].max() and shared[i, j] == shared[:, j].max())
    }
    free_a = [i for i in range(len(earlier)) if not any(i == a for a, _ in pairs)]
    free_b = [j for j in range(len(later)) if not any(j == b for _, b in pairs)]
    near = []
    for i in free_a:
        for j in free_b:
            gap = gap_mm(earlier[i], later[j], rules.tolerance_mm)
            if np.isfinite(gap):
                near.append((round(gap, 6), earlier[i].key, later[j].key, i, j))
    for *_, i, j in sorted(near):
        if i in free_a and j in free_b:
            pairs.add((i, j))
            free_a.remove(i)
            free_b.remove(j)
    return pairs


def describe(pairs: set[Pair], earlier_mm3: Sequence[float], later_mm3: Sequence[float], rules: MatchRules | None = None) -> list[Change]:
    """Return what happened to each group of linked lesions; lesions without a link are new or gone.

    Parameters
    ----------
    pairs : set of tuple of int
        From `link`.
    earlier_mm3, later_mm3 : sequence of float
        Volumes.
    rules : MatchRules, optional
        How much is a change.

    Examples
    --------
    >>> [change.status for change in describe({(0, 0), (1, 0), (2, 1)}, [5.0, 5.0, 5.0], [10.0, 5.5, 1.0])]
    ['merged', 'unchanged', 'new']
    """
    rules = rules or MatchRules()
    found = []
    for a, b in _groups(pairs, len(earlier_mm3), len(later_mm3)):
        if not a or not b:
            status: Status = "gone" if a else "new"
        elif len(a) > 1 and len(b) > 1:
            status = "regrouped"
        elif len(a) > 1 or len(b) > 1:
            status = "merged" if len(a) > 1 else "split"
        else:
            status = grown_or_shrunk(earlier_mm3[a[0]], later_mm3[b[0]], rules)
        found.append(Change(a, b, status))
    return found


def grown_or_shrunk(before_mm3: float, after_mm3: float, rules: MatchRules) -> Status:
    """Return "grown", "shrunk" or "unchanged" for two volumes."""
    change = after_mm3 / before_mm3 - 1
    if abs(change) <= rules.change_share + 1e-9:
        return "unchanged"
    return "grown" if change > 0 else "shrunk"


def _groups(pairs: set[Pair], earlier: int, later: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the connected groups of a graph between two lists, each lesion in one group."""
    owner = list(range(earlier + later))

    def top(i: int) -> int:
        while owner[i] != i:
            i = owner[i]
        return i

    for a, b in pairs:
        owner[top(earlier + b)] = top(a)
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for i in range(earlier + later):
        sides = groups.setdefault(top(i), ([], []))
        sides[0 if i < earlier else 1].append(i if i < earlier else i - earlier)
    return [(tuple(a), tuple(b)) for a, b in groups.values()]
