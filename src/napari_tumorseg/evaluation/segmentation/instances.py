"""The definition of 2026: lesions matched one to one, scored over the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_tumorseg.evaluation.segmentation.lesions import LesionScore, Ruler, found_lesion, lesion_boxes, lone_lesions, pairs_of
from napari_tumorseg.evaluation.segmentation.parts import Parts, find_parts
from napari_tumorseg.evaluation.segmentation.profiles import Profile
from napari_tumorseg.evaluation.segmentation.regions import MaskPair

__all__ = ["match_lesions", "pair_means", "score_pairs"]


def match_lesions(reference: Parts, prediction: Parts, min_dice: float) -> dict[int, int]:
    """Match lesions one to one so that the sum of their Dice coefficients is the largest.

    Parameters
    ----------
    reference, prediction : Parts
        Lesions of one block.
    min_dice : float
        Pairs below it are no match.

    Returns
    -------
    dict of int to int
        Number of the predicted lesion by number of the reference lesion.
    """
    from scipy.optimize import linear_sum_assignment

    pairs, shared = pairs_of(reference.ids, prediction.ids)
    if not len(pairs):
        return {}
    rows, columns = np.unique(pairs[:, 0]), np.unique(pairs[:, 1])
    dice = np.zeros((len(rows), len(columns)))
    at = np.searchsorted(rows, pairs[:, 0]), np.searchsorted(columns, pairs[:, 1])
    dice[at] = 2 * shared / (reference.sizes[pairs[:, 0]] + prediction.sizes[pairs[:, 1]])
    chosen = zip(*linear_sum_assignment(dice, maximize=True), strict=True)
    return {int(rows[i]): int(columns[j]) for i, j in chosen if dice[i, j] >= min_dice}


def score_pairs(pair: MaskPair, profile: Profile, ruler: Ruler) -> list[LesionScore]:
    """Score the lesions of one region of one island."""
    reference, prediction = find_parts(pair.reference, 0), find_parts(pair.prediction, 0)
    matches = match_lesions(reference, prediction, profile.min_dice)
    where = lesion_boxes(reference, prediction)
    rows = [
        found_lesion(reference, prediction, int(n), [matches[int(n)]] if int(n) in matches else [], where, pair.box, ruler)
        for n in reference.numbers
    ]
    false = np.setdiff1d(prediction.numbers, list(matches.values())).tolist()
    return rows + lone_lesions(prediction, false, where, pair.box, ruler)


def pair_means(rows: Sequence[LesionScore], profile: Profile, region: str, ruler: Ruler) -> dict[str, Any]:
    """Return the scores of a region.

    Means run over the matched reference lesions of at least the profile's volume; if there are such lesions and
    none is matched they are Dice 0, the penalty and NSD 0, and if there is no such lesion they are None. Smaller
    lesions count as detected from a Dice of `small_min_dice`; their F1 takes every false positive of the region.
    """
    reference = [row for row in rows if not row.predicted]
    large = [row for row in reference if row.voxels * ruler.voxel_mm3 >= profile.min_volume_in(region)]
    small = [row for row in reference if row.voxels * ruler.voxel_mm3 < profile.min_volume_in(region)]
    n_tp, n_fp = sum(row.matched for row in reference), sum(row.predicted for row in rows)
    n_fn = len(reference) - n_tp
    detected = sum(row.matched and row.dice >= profile.small_min_dice for row in small)
    matched = [row for row in large if row.matched]
    worst = {"dice": 0.0, "hd95": profile.hd95_penalty, **{str(t): 0.0 for t in ruler.tolerances_mm}}
    columns: dict[str, list[float]] = {
        "dice": [row.dice for row in matched],
        "hd95": [row.hd95_mm for row in matched],
        **{str(t): [row.nsd[str(t)] for row in matched] for t in ruler.tolerances_mm},
    }
    mean = {k: float(np.mean(v)) if v else (worst[k] if large else None) for k, v in columns.items()}
    spread = {k: float(np.std(v)) if v else None for k, v in columns.items()}
    tolerances = [str(t) for t in ruler.tolerances_mm]
    return {
        "lesionwise_dice": mean["dice"],
        "lesionwise_hd95": mean["hd95"],
        "lesionwise_nsd": {t: mean[t] for t in tolerances},
        "n_tp": n_tp,
        "n_fp": n_fp,
        "n_fn": n_fn,
        "lesionwise_std": {"dice": spread["dice"], "hd95": spread["hd95"], "nsd": {t: spread[t] for t in tolerances}},
        "f1": _f1(n_tp, n_fp, n_fn),
        "small": {
            "n_tp": detected if small else None,
            "n_fp": n_fp if small else None,
            "n_fn": len(small) - detected if small else None,
            "f1": _f1(detected, n_fp, len(small) - detected) if small else None,
        },
    }


def _f1(n_tp: int, n_fp: int, n_fn: int) -> float | None:
    whole = 2 * n_tp + n_fp + n_fn
    return 2 * n_tp / whole if whole else None
