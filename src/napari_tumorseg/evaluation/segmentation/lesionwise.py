"""The lesion-wise definitions of 2023 and 2024: each reference lesion against all predictions that touch it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_tumorseg.evaluation.segmentation.lesions import LesionScore, Ruler, found_lesion, lesion_boxes, lone_lesions, pairs_of
from napari_tumorseg.evaluation.segmentation.parts import Parts, find_parts, merge_by, touching, without_small
from napari_tumorseg.evaluation.segmentation.profiles import Profile
from napari_tumorseg.evaluation.segmentation.regions import Island, MaskPair, region_pairs

__all__ = ["lesions_of_regions", "region_means", "score_lesions"]

#: Labels of a region that only decides which lesions of others are merged.
_HELPERS = {"NETC": (1,)}
Sides = tuple[list[Parts], list[Parts]]


def lesions_of_regions(islands: Sequence[Island], profile: Profile) -> tuple[dict[str, Sides], dict[str, list[MaskPair]]]:
    """Find the lesions of every region, in the reference and in the prediction.

    Returns
    -------
    lesions : dict of str to (list of Parts, list of Parts)
        By region: the reference's and the prediction's, one `Parts` for each island.
    masks : dict of str to list of MaskPair
        By region; a prediction without what the profile deletes.
    """
    helpers = {name: _HELPERS[name] for name in profile.helpers}
    masks = region_pairs(islands, {**profile.regions, **helpers})
    known: dict[Any, tuple[Parts, Parts, MaskPair]] = {}
    found: dict[str, Sides] = {}
    for name, pairs in masks.items():
        found[name] = ([], [])
        for number, pair in enumerate(pairs):
            key = (pair, profile.dilations_in(name), profile.min_volume_in(name))
            if key not in known:
                known[key] = _both(pair, profile, name)
            reference, prediction, pairs[number] = known[key]
            found[name][0].append(reference)
            found[name][1].append(prediction)
    return {name: _merged(found, name, profile) for name in profile.regions}, masks


def _both(pair: MaskPair, profile: Profile, region: str) -> tuple[Parts, Parts, MaskPair]:
    dilations = profile.dilations_in(region)
    reference = find_parts(pair.reference, dilations)
    if not profile.merges_predictions:
        return reference, find_parts(pair.prediction, 0), pair
    # Published so: a number of voxels for the prediction, cubic millimetres for the reference.
    prediction = without_small(find_parts(pair.prediction, dilations), profile.min_volume_in(region))
    return reference, prediction, MaskPair(pair.box, pair.reference, prediction.ids > 0)


def _merged(found: Mapping[str, Sides], region: str, profile: Profile) -> Sides:
    """Return the lesions of a region after the profile's merging steps, in the order they are listed."""
    sides = []
    for side in (0, 1):
        mine = list(found[region][side])
        for _, other in (step for step in profile.merge_steps if step[0] == region):
            pairs = [touching(a.ids, b.ids) for a, b in zip(mine, found[other][side], strict=True)]
            # With a single pair in the whole volume nothing is merged, nor could it be.
            if sum(map(len, pairs)) > 1:
                mine = [merge_by(a, p, b) if len(p) > 1 else a for a, p, b in zip(mine, pairs, found[other][side], strict=True)]
        sides.append(mine)
    return sides[0], sides[1]


def score_lesions(reference: Parts, prediction: Parts, pair: MaskPair, ruler: Ruler) -> list[LesionScore]:
    """Score the lesions of one region of one island."""
    where = lesion_boxes(reference, prediction)
    # The dilations of two lesions never meet, so the numbered halo says whose dilation a predicted voxel lies in.
    touched, _ = pairs_of(reference.halo, prediction.ids)
    rows = [
        found_lesion(reference, prediction, int(n), touched[touched[:, 0] == n, 1].tolist(), where, pair.box, ruler)
        for n in reference.numbers
    ]
    false = np.setdiff1d(prediction.numbers, touched[:, 1]).tolist()
    return rows + lone_lesions(prediction, false, where, pair.box, ruler)


def region_means(rows: Sequence[LesionScore], min_volume_mm3: float, penalty_mm: float, ruler: Ruler) -> dict[str, Any]:
    """Return the lesion-wise scores of a region.

    Sums run over the reference lesions of more than `min_volume_mm3`; the number of false positives, of any
    size, is in the denominator, each with Dice 0, NSD 0 and the penalty for its HD95. With nothing to score
    Dice and NSD are 1 and HD95 is 0.
    """
    counted = [row for row in rows if not row.predicted and row.voxels * ruler.voxel_mm3 > min_volume_mm3]
    n_fp = sum(row.predicted for row in rows)
    whole = len(counted) + n_fp
    hd95 = sum(row.hd95_mm if np.isfinite(row.hd95_mm) else penalty_mm for row in counted) + n_fp * penalty_mm
    return {
        "lesionwise_dice": sum(row.dice for row in counted) / whole if whole else 1.0,
        "lesionwise_hd95": hd95 / whole if whole else 0.0,
        "lesionwise_nsd": {str(t): sum(row.nsd[str(t)] for row in counted) / whole if whole else 1.0 for t in ruler.tolerances_mm},
        "n_tp": sum(row.matched for row in counted),
        "n_fp": n_fp,
        "n_fn": sum(not row.matched for row in counted),
    }
