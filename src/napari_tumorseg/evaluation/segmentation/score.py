"""Score a prediction against a reference by a named profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.evaluation.segmentation.instances import pair_means, score_pairs
from napari_tumorseg.evaluation.segmentation.lesions import LesionScore, Ruler
from napari_tumorseg.evaluation.segmentation.lesionwise import lesions_of_regions, region_means, score_lesions
from napari_tumorseg.evaluation.segmentation.profiles import Profile, profile_named
from napari_tumorseg.evaluation.segmentation.regions import Island, MaskPair, find_islands, region_pairs
from napari_tumorseg.evaluation.segmentation.whole import WholeScores

__all__ = ["score_case", "score_missing"]

Labels = npt.NDArray[np.integer[Any]]
# Of the NSD of the 2024 scripts.
_EPSILON = 1e-8
_NO_LESIONS: dict[str, Any] = {
    "lesionwise_dice": None,
    "lesionwise_hd95": None,
    "lesionwise_nsd": {},
    "n_tp": None,
    "n_fp": None,
    "n_fn": None,
}


def score_case(
    reference: Labels,
    prediction: Labels,
    spacing_mm: Sequence[float],
    profile: Profile | str,
    *,
    grid: Grid | None = None,
    names: tuple[str, str] = ("The reference", "The prediction"),
) -> dict[str, Any]:
    """Score one case.

    Parameters
    ----------
    reference, prediction : numpy.ndarray
        Labels (z, y, x), whole numbers from 0, of one shape; booleans are label 1.
    spacing_mm : sequence of float
        Voxel size, (z, y, x).
    profile : Profile or str
        The definition, or its name.
    grid : Grid, optional
        Position of the voxels, for the centres of lesions; without it they are (x, y, z) in mm from the first voxel.
    names : tuple of str
        What the two are called in errors.

    Returns
    -------
    dict
        JSON-able, without NaN: {"profile", "constants", "regions": {name: {"lesionwise_dice", "lesionwise_hd95",
        "lesionwise_nsd": {tolerance: value}, "n_tp", "n_fp", "n_fn", "dice", "hd95", "nsd", "sensitivity",
        "specificity", "volume_ref_ml", "volume_pred_ml"}}, "lesions": [{"region", "id", "status", "counted",
        "centroid_mm", "centroid_voxel", "volume_mm3", "matched", "dice", "hd95"}]}. A score that the profile does not
        give is None. Statuses are "found", "missed" and "false" (a predicted lesion without a reference).

    Raises
    ------
    InputError
        If the shapes differ, or a mask holds a value that the profile does not know.

    Examples
    --------
    >>> mask = np.zeros((8, 8, 8), np.uint8)
    >>> mask[2:5, 2:5, 2:5] = 3
    >>> result = score_case(mask, mask, (1, 1, 1), "brats-mets-2024")
    >>> result["regions"]["ET"]["lesionwise_dice"], result["regions"]["ET"]["n_tp"], result["lesions"][0]["volume_mm3"]
    (1.0, 1, 27.0)
    """
    chosen = profile_named(profile) if isinstance(profile, str) else profile
    one, other = _checked(reference, names[0]), _checked(prediction, names[1])
    if one.shape != other.shape:
        raise InputError(f"{names[0]} has the shape {one.shape}, {names[1]} has {other.shape}.", "Give masks on one grid.")
    islands = find_islands(one, other, max([chosen.dilations, *chosen.dilations_of.values()]))
    _check_values(islands, chosen, names)
    regions, lesions = _scores(islands, one.shape, _triple(spacing_mm), chosen, grid)
    return {"profile": chosen.name, "constants": chosen.constants(), "regions": regions, "lesions": lesions}


def score_missing(reference: Labels, spacing_mm: Sequence[float], profile: Profile | str, *, grid: Grid | None = None) -> dict[str, Any]:
    """Return the scores of a case without a prediction, as the profile rates it; see `score_case`.

    Every region gets Dice 0, NSD 0 and the penalty, even where the reference is empty. A profile that leaves such
    cases out gives None.
    """
    chosen = profile_named(profile) if isinstance(profile, str) else profile
    result = score_case(reference, np.zeros_like(reference), spacing_mm, chosen, grid=grid)
    rated = chosen.missing.startswith("Dice 0")
    penalty = chosen.penalty_mm(reference.shape) if rated else None
    zero = 0.0 if rated else None
    for scores in result["regions"].values():
        scores.update(dice=zero, hd95=penalty, nsd=zero, sensitivity=zero)
        if chosen.method != "whole masks":
            nsd = dict.fromkeys(scores["lesionwise_nsd"], zero)
            scores.update(lesionwise_dice=zero, lesionwise_hd95=penalty, lesionwise_nsd=nsd)
    return result


def _triple(spacing_mm: Sequence[float]) -> tuple[float, float, float]:
    z, y, x = (float(s) for s in spacing_mm)
    return z, y, x


def _checked(labels: Labels, name: str) -> npt.NDArray[np.unsignedinteger[Any]]:
    if labels.ndim != 3:
        raise InputError(f"{name} has {labels.ndim} axes.", "Give a mask of three.")
    if labels.dtype.kind == "b":
        return labels.astype(np.uint8)
    if labels.dtype.kind == "u" and labels.dtype.itemsize <= 2:
        return np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.min(initial=0) < 0 or labels.max(initial=0) > 65535:
        raise InputError(f"{name} is no mask of whole numbers from 0 to 65535.", "Give a label mask.")
    return labels.astype(np.uint16)


def _check_values(islands: Sequence[Island], profile: Profile, names: tuple[str, str]) -> None:
    if not profile.regions:
        return
    for side, name in enumerate(names):
        arrays = ((island.reference, island.prediction)[side] for island in islands if island.values - profile.values)
        unknown = {int(v) for array in arrays for v in np.unique(array)} - profile.values - {0}
        if unknown:
            values = ", ".join(map(str, sorted(unknown)))
            known = ", ".join(map(str, sorted(profile.values)))
            raise InputError(
                f"{name} holds the value{'s' if len(unknown) > 1 else ''} {values}, which {profile.name} does not know (it knows {known}).",
                "If the mask uses other numbers, such as 4 for enhancing tumour before 2023, say which one stands for which (4=3).",
            )


def _scores(
    islands: Sequence[Island], shape: tuple[int, ...], spacing_mm: tuple[float, float, float], profile: Profile, grid: Grid | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    lesion_wise = profile.method == "lesion-wise"
    epsilon = _EPSILON if lesion_wise else 0.0
    smallest = min(spacing_mm)
    tolerances = tuple(smallest if t is None else t for t in profile.lesion_nsd_mm)
    ruler = Ruler(spacing_mm[::-1] if profile.exchanges_spacing else spacing_mm, profile.surface == "voxels", tolerances, epsilon)
    penalty = profile.penalty_mm(shape)
    values = profile.regions or {str(v): (v,) for v in sorted({v for island in islands for v in island.values})}
    parts, masks = lesions_of_regions(islands, profile) if lesion_wise else ({}, region_pairs(islands, values))
    whole = WholeScores(profile, spacing_mm, epsilon)
    given = _volumes_ml(islands, values, spacing_mm)
    known: dict[Any, list[LesionScore]] = {}
    regions: dict[str, Any] = {}
    lesions: list[dict[str, Any]] = []
    for name in values:
        rows: list[LesionScore] = []
        for number, pair in enumerate(masks[name]):
            key: Any = (parts[name][0][number], parts[name][1][number]) if lesion_wise else pair
            if key not in known:
                known[key] = _rows(pair, key, profile, ruler)
            rows += known[key]
        if lesion_wise:
            means = region_means(rows, profile.min_volume_in(name), penalty or 0.0, ruler)
        else:
            means = pair_means(rows, profile, name, ruler) if profile.method == "one-to-one" else dict(_NO_LESIONS)
        # The volume of the prediction is that of the mask as it was given, also where the profile deletes parts of it.
        regions[name] = _ordered(means, whole.of(masks[name], int(np.prod(shape)), penalty) | {"volume_pred_ml": given[name]})
        lesions += _lesion_rows(rows, name, profile, spacing_mm, penalty, grid)
    return regions, lesions


def _rows(pair: MaskPair, key: Any, profile: Profile, ruler: Ruler) -> list[LesionScore]:
    if profile.method == "lesion-wise":
        return score_lesions(key[0], key[1], pair, ruler)
    return score_pairs(pair, profile, ruler) if profile.method == "one-to-one" else []


def _volumes_ml(islands: Sequence[Island], regions: Any, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
    per_voxel_ml = float(np.prod(spacing_mm)) / 1000
    counts: dict[int, int] = {}
    for island in islands:
        for value, count in enumerate(np.bincount(island.prediction.ravel()).tolist()):
            counts[value] = counts.get(value, 0) + count
    return {name: sum(counts.get(v, 0) for v in values) * per_voxel_ml for name, values in regions.items()}


def _ordered(lesion_scores: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Put the scores of the published table first, in its order, and what only one profile has after them."""
    first = [*_NO_LESIONS, *whole]
    scores = lesion_scores | whole
    return {name: scores[name] for name in first} | {name: value for name, value in scores.items() if name not in first}


def _lesion_rows(
    rows: Sequence[LesionScore], region: str, profile: Profile, spacing_mm: Sequence[float], penalty: float | None, grid: Grid | None
) -> list[dict[str, Any]]:
    """Return the rows of a region: its reference lesions by falling volume, then the false positives, numbered from 1."""
    ordered = sorted(rows, key=lambda row: (row.predicted, -row.voxels, row.box_start))
    out = []
    for number, row in enumerate(ordered, start=1):
        volume = row.voxels * float(np.prod(spacing_mm))
        limit = profile.min_volume_in(region)
        large = volume >= limit if profile.method == "one-to-one" else volume > limit
        z, y, x = (c * s for c, s in zip(row.centre, spacing_mm, strict=True))
        centre = grid.to_mm(row.centre).tolist() if grid else [x, y, z]
        out.append(
            {
                "region": region,
                "id": number,
                "status": "false" if row.predicted else "found" if row.matched else "missed",
                "counted": bool(row.predicted or large),
                "centroid_mm": [float(c) for c in centre],
                "centroid_voxel": list(row.centre),
                "volume_mm3": volume,
                "matched": row.matched,
                "dice": row.dice,
                "hd95": row.hd95_mm if np.isfinite(row.hd95_mm) else penalty,
            }
        )
    return out
