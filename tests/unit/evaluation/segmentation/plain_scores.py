"""The definitions of 2023, 2024 and 2026 in plain code: whole volumes, one lesion after the other, no shortcuts.

Arrays are (x, y, z), as the challenges' files are stored. HD95 is that of the package surface-distance.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from unittest import mock

import numpy as np
from scipy import ndimage

EIGHTEEN = ndimage.generate_binary_structure(3, 2)
TWENTY_SIX = np.ones((3, 3, 3), bool)


def hd95(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> float:
    """By the package of google-deepmind, which uses names that numpy and scipy have dropped or will drop."""
    with warnings.catch_warnings(), np.errstate(all="ignore"), mock.patch.dict(np.__dict__, {"Inf": np.inf, "NaN": np.nan}):
        warnings.simplefilter("ignore")
        import surface_distance.metrics as metrics

        return float(metrics.compute_robust_hausdorff(metrics.compute_surface_distances(a, b, spacing), 95))


def voxel_distances(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    surface_a, surface_b = (m & ~ndimage.binary_erosion(m, ndimage.generate_binary_structure(3, 1)) for m in (a, b))
    to_a, to_b = (ndimage.distance_transform_edt(~s, sampling=spacing) for s in (surface_a, surface_b))
    return to_b[surface_a], to_a[surface_b]


def nsd(a: np.ndarray, b: np.ndarray, spacing: Sequence[float], tolerance: float, epsilon: float) -> float:
    return nsd_of(*voxel_distances(a, b, spacing), tolerance, epsilon)


def nsd_of(there: np.ndarray, back: np.ndarray, tolerance: float, epsilon: float) -> float:
    x, y = float((there <= tolerance).mean()), float((back <= tolerance).mean())
    return (x + y) / (x + y + (1 - x) + (1 - y) + epsilon)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * int((a & b).sum()) / int(a.sum() + b.sum())


def merged(mask: np.ndarray, dilations: int) -> np.ndarray:
    """Number the parts; those inside one part of the dilated mask get its number."""
    dilated = ndimage.binary_dilation(mask, EIGHTEEN, iterations=dilations)
    return ndimage.label(dilated, TWENTY_SIX)[0] * mask


def touching_pairs(one: np.ndarray, other: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of lesions of which one, dilated once, meets the other."""
    pairs = set()
    for a in np.unique(one[one > 0]).tolist():
        pairs |= {(a, b) for b in np.unique(other[ndimage.binary_dilation(one == a, EIGHTEEN)]).tolist() if b}
    for b in np.unique(other[other > 0]).tolist():
        pairs |= {(a, b) for a in np.unique(one[ndimage.binary_dilation(other == b, EIGHTEEN)]).tolist() if a}
    return sorted(pairs)


def merged_by(lesions: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Join the lesions whose first touching lesion of the other region is the same, if more than one pair touches."""
    pairs = touching_pairs(lesions, other)
    if len(pairs) <= 1:
        return lesions
    out = lesions.copy()
    for number in {a for a, _ in pairs}:
        first = min(b for a, b in pairs if a == number)
        out[lesions == number] = int(lesions.max()) + first
    return out


def lesion_wise(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    *,
    regions: Mapping[str, Sequence[int]],
    scored: Sequence[str],
    dilations: Callable[[str], int],
    min_volume: Callable[[str], float],
    penalty: float,
    tolerances: Sequence[float] = (),
    merge_predictions: bool = False,
    merge_steps: Sequence[tuple[str, str]] = (),
) -> dict[str, dict[str, object]]:
    sides = []
    for labels, is_prediction in ((reference, False), (prediction, True)):
        lesions = {}
        for name, values in regions.items():
            mask = np.isin(labels, list(values))
            if is_prediction and not merge_predictions:
                lesions[name] = ndimage.label(mask, TWENTY_SIX)[0]
                continue
            lesions[name] = merged(mask, dilations(name))
            if is_prediction:
                for number, count in zip(*np.unique(lesions[name], return_counts=True), strict=True):
                    if number and count <= min_volume(name):
                        lesions[name][lesions[name] == number] = 0
        joined = dict(lesions)
        for name, other in merge_steps:
            joined[name] = merged_by(joined[name], lesions[other])
        sides.append(joined)
    return {
        name: _region(sides[0][name], sides[1][name], spacing, dilations(name), min_volume(name), penalty, tolerances) for name in scored
    }


def _region(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    dilations: int,
    min_volume: float,
    penalty: float,
    tolerances: Sequence[float],
) -> dict[str, object]:
    rows, touched_at_all = [], set()
    for number in np.unique(reference[reference > 0]).tolist():
        lesion = reference == number
        reach = ndimage.binary_dilation(lesion, EIGHTEEN, iterations=dilations)
        touched = set(np.unique(prediction[reach]).tolist()) - {0}
        touched_at_all |= touched
        if lesion.sum() * np.prod(spacing) <= min_volume:
            continue
        found = np.isin(prediction, list(touched))
        if touched:
            distances = voxel_distances(lesion, found, spacing) if tolerances else ()
            near = [nsd_of(*distances, t, 1e-8) for t in tolerances]
            rows.append((True, dice(lesion, found), hd95(lesion, found, spacing), near))
        else:
            rows.append((False, 0.0, penalty, [0.0] * len(tolerances)))
    n_fp = len(set(np.unique(prediction).tolist()) - {0} - touched_at_all)
    whole = len(rows) + n_fp
    return {
        "lesionwise_dice": sum(r[1] for r in rows) / whole if whole else 1.0,
        "lesionwise_hd95": (sum(r[2] for r in rows) + n_fp * penalty) / whole if whole else 0.0,
        "lesionwise_nsd": {str(t): sum(r[3][i] for r in rows) / whole if whole else 1.0 for i, t in enumerate(tolerances)},
        "n_tp": sum(r[0] for r in rows),
        "n_fp": n_fp,
        "n_fn": sum(not r[0] for r in rows),
    }


def one_to_one(
    reference: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    *,
    values: Sequence[int],
    min_volume: float = 27.0,
    small_min_dice: float = 0.2,
    penalty: float = 373.0,
) -> dict[str, object]:
    """The matching tries every assignment, so there must be few lesions."""
    ref, n_ref = ndimage.label(np.isin(reference, list(values)), TWENTY_SIX)
    pred, n_pred = ndimage.label(np.isin(prediction, list(values)), TWENTY_SIX)
    table = np.array([[dice(ref == i + 1, pred == j + 1) for j in range(n_pred)] for i in range(n_ref)]).reshape(n_ref, n_pred)
    best: list[tuple[int, int]] = []
    if n_ref and n_pred:
        wide = table if n_ref <= n_pred else table.T
        choices = itertools.permutations(range(wide.shape[1]), wide.shape[0])
        chosen = max(choices, key=lambda c: sum(wide[i, j] for i, j in enumerate(c)))
        best = [(i, j) if n_ref <= n_pred else (j, i) for i, j in enumerate(chosen) if wide[i, j] >= 1e-6]
    match = dict(best)
    large, small_found, n_small = [], 0, 0
    for i in range(n_ref):
        lesion = ref == i + 1
        if lesion.sum() * np.prod(spacing) >= min_volume:
            if i not in match:
                large.append(None)
                continue
            there, back = voxel_distances(lesion, pred == match[i] + 1, spacing[::-1])
            tolerance = min(spacing)
            near = (float((there <= tolerance).mean()) + float((back <= tolerance).mean())) / 2
            large.append((table[i, match[i]], float(np.percentile(np.hstack((there, back)), 95)), near))
        else:
            n_small += 1
            small_found += i in match and table[i, match[i]] >= small_min_dice
    scores = [row for row in large if row]
    means = [float(np.mean([row[k] for row in scores])) for k in range(3)] if scores else [0.0, penalty, 0.0]
    n_fp = n_pred - len(match)
    return {
        "lesionwise_dice": means[0] if large else None,
        "lesionwise_hd95": means[1] if large else None,
        "lesionwise_nsd": means[2] if large else None,
        "n_tp": len(match),
        "n_fp": n_fp,
        "n_fn": n_ref - len(match),
        "small": (small_found, n_fp, n_small - small_found) if n_small else (None, None, None),
    }
