"""How well found nuclei agree with drawn ones: F1 at an overlap, and the aggregated Jaccard index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.pathology.cell_shapes import group_instances

__all__ = ["Detection", "aggregated_jaccard", "detection_scores"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Detection:
    """Counts of matched nuclei, and what follows from them.

    Attributes
    ----------
    true_positives, false_positives, false_negatives : int
        Pairs matched, found nuclei without a match, and drawn ones without.
    """

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def f1(self) -> float | None:
        """Return 2 TP / (2 TP + FP + FN); None when nothing was drawn and nothing found."""
        whole = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / whole if whole else None

    def __add__(self, other: Detection) -> Detection:
        """Pool the counts of two images."""
        return Detection(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )


def detection_scores(drawn: npt.NDArray[Any], found: npt.NDArray[Any], iou: float = 0.5) -> Detection:
    """Match found with drawn nuclei, one to one, where their intersection over union reaches a limit.

    The matching is the one with the most pairs, as in the StarDist package (matching.py).

    Parameters
    ----------
    drawn, found : numpy.ndarray
        Integer (y, x) instance maps of one shape, 0 outside.
    iou : float
        Limit, above 0 and at most 1; a pair at the limit counts.

    Examples
    --------
    >>> detection_scores(np.array([[1, 1, 0, 2]]), np.array([[7, 7, 7, 0]]))
    Detection(true_positives=1, false_positives=0, false_negatives=1)
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if not 0 < iou <= 1:
        raise InputError(f"An overlap of {iou} cannot be asked for.", "Give a number above 0 and at most 1, such as 0.5.")
    table = _Overlaps.of(drawn, found)
    enough = table.shared >= iou * table.unions * (1 - 1e-12)
    n_drawn, n_found = len(table.drawn_areas), len(table.found_areas)
    matched = 0
    if enough.any():
        links = coo_array((np.ones(enough.sum(), np.int8), (table.rows[enough], table.columns[enough])), shape=(n_drawn, n_found))
        matched = int((maximum_bipartite_matching(links.tocsr()) >= 0).sum())
    return Detection(matched, n_found - matched, n_drawn - matched)


def aggregated_jaccard(drawn: npt.NDArray[Any], found: npt.NDArray[Any]) -> float | None:
    """Return the aggregated Jaccard index (Kumar 2017, doi:10.1109/TMI.2017.2677499).

    Each drawn nucleus is paired with the found one of the largest intersection over union, which may serve more than once; the
    intersections of all pairs are divided by their unions together with the areas of the found nuclei that no pair used.

    Parameters
    ----------
    drawn, found : numpy.ndarray
        Integer (y, x) instance maps of one shape, 0 outside.

    Returns
    -------
    float or None
        0 to 1; None when nothing was drawn and nothing found. Of equal overlaps the found nucleus of the lowest id counts.

    Examples
    --------
    >>> aggregated_jaccard(np.array([[1, 1, 0, 2]]), np.array([[7, 7, 7, 0]]))
    0.5
    """
    table = _Overlaps.of(drawn, found)
    order = np.lexsort((table.columns, -table.shared / table.unions, table.rows))
    best = order[np.flatnonzero(np.diff(table.rows[order], prepend=-1))]
    used, paired = np.unique(table.columns[best]), table.rows[best]
    union = table.unions[best].sum() + np.delete(table.drawn_areas, paired).sum() + np.delete(table.found_areas, used).sum()
    return float(table.shared[best].sum() / union) if union else None


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """The pairs of drawn and found nuclei that share pixels."""

    drawn_areas: Ints
    found_areas: Ints
    rows: Ints
    columns: Ints
    shared: Ints

    @property
    def unions(self) -> Ints:
        return self.drawn_areas[self.rows] + self.found_areas[self.columns] - self.shared

    @classmethod
    def of(cls, drawn: npt.NDArray[Any], found: npt.NDArray[Any]) -> _Overlaps:
        if drawn.shape != found.shape:
            raise InputError(f"The drawn map is {drawn.shape}, the found one {found.shape}.", "Compare maps of one image.")
        one, two = group_instances(drawn), group_instances(found)
        both = (drawn != 0) & (found != 0)
        rows, columns = np.searchsorted(one.ids, drawn[both]), np.searchsorted(two.ids, found[both])
        pairs, shared = np.unique(rows * max(len(two.ids), 1) + columns, return_counts=True)
        return cls(one.counts, two.counts, pairs // max(len(two.ids), 1), pairs % max(len(two.ids), 1), shared)
