"""Two raters' masks of one image against each other."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.evaluation.resampling import mean_interval
from napari_tumorseg.evaluation.segmentation.surface import dice, surface_distances
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["compare_masks", "lesion_f1", "summarise"]

Mask = npt.NDArray[np.bool_]


def lesion_f1(a: Mask, b: Mask) -> tuple[float | None, int, int]:
    """Return how well two masks agree on which lesions there are.

    ``2 TP / (2 TP + FP + FN)`` without a reference: the lesions (26-connected parts) of either mask that meet the other mask
    in a voxel, over all lesions of both. It is the same whichever mask comes first.

    Returns
    -------
    tuple
        F1 (None where neither mask has a lesion), number of lesions of `a` and of `b`.

    Examples
    --------
    >>> a = np.array([[[True, False, True, False, False]]])
    >>> lesion_f1(a, np.array([[[True, False, False, False, False]]]))
    (0.6666666666666666, 2, 1)
    """
    parts_a, count_a = connected_parts(a)
    parts_b, count_b = connected_parts(b)
    met = sum(np.count_nonzero(np.unique(parts[other])) for parts, other in ((parts_a, b), (parts_b, a)))
    return (float(met) / (count_a + count_b) if count_a + count_b else None), count_a, count_b


def compare_masks(a: Mask, b: Mask, spacing_mm: Sequence[float], tolerances_mm: Sequence[float] = (1.0, 2.0)) -> dict[str, Any]:
    """Compare two masks of which neither is the reference.

    Parameters
    ----------
    a, b : numpy.ndarray
        Boolean (z, y, x), of one shape.
    spacing_mm : sequence of float
        Voxel size along (z, y, x).
    tolerances_mm : sequence of float
        Of the normalised surface Dice.

    Returns
    -------
    dict
        ``dice``, ``hd95_mm``, ``nsd`` (by tolerance as text), ``lesion_f1``, ``lesions_a``, ``lesions_b``, ``volume_a_ml``,
        ``volume_b_ml``, ``both_empty``. All scores are None where both masks are empty; ``hd95_mm`` also where one is.

    Examples
    --------
    >>> cube = np.zeros((4, 4, 4), bool)
    >>> cube[1:3, 1:3, 1:3] = True
    >>> compare_masks(cube, cube, (1, 1, 1))["nsd"]
    {'1.0': 1.0, '2.0': 1.0}
    """
    voxel_ml = math.prod(spacing_mm) / 1000
    box = bounding_box(a | b)
    names = [f"{float(tolerance)}" for tolerance in tolerances_mm]
    if box is None:
        nothing: dict[str, Any] = {"dice": None, "hd95_mm": None, "nsd": dict.fromkeys(names), "lesion_f1": None}
        return {**nothing, "lesions_a": 0, "lesions_b": 0, "volume_a_ml": 0.0, "volume_b_ml": 0.0, "both_empty": True}
    a, b = np.ascontiguousarray(a[box.slices]), np.ascontiguousarray(b[box.slices])
    distances = surface_distances(a, b, spacing_mm)
    hd95 = distances.hausdorff_mm(95.0)
    f1, lesions_a, lesions_b = lesion_f1(a, b)
    return {
        "dice": dice(a, b),
        "hd95_mm": hd95 if math.isfinite(hd95) else None,
        "nsd": {name: distances.overlap(float(tolerance)) for name, tolerance in zip(names, tolerances_mm, strict=True)},
        "lesion_f1": f1,
        "lesions_a": lesions_a,
        "lesions_b": lesions_b,
        "volume_a_ml": np.count_nonzero(a) * voxel_ml,
        "volume_b_ml": np.count_nonzero(b) * voxel_ml,
        "both_empty": False,
    }


def summarise(rows: Iterable[Mapping[str, Any]], unit: str = "case", confidence: float = 0.95) -> dict[str, dict[str, Any]]:
    """Summarise the scores of many comparisons.

    Parameters
    ----------
    rows : iterable of mapping
        What `compare_masks` returns, with the `unit` that each belongs to.
    unit : str
        Key of the unit that the bootstrap draws: comparisons of one case are not independent.
    confidence : float
        Of the intervals of the means.

    Returns
    -------
    dict
        By score ("dice", "hd95_mm", "nsd 1.0", …, "lesion_f1"): ``mean``, ``mean_ci``, ``sd``, ``median``, ``min``, ``max``, ``n`` (rows
        with that score).
    """
    columns: dict[str, list[tuple[float, Hashable]]] = {}
    for row in rows:
        scores = {
            "dice": row["dice"],
            "hd95_mm": row["hd95_mm"],
            **{f"nsd {k}": v for k, v in row["nsd"].items()},
            "lesion_f1": row["lesion_f1"],
        }
        for name, value in scores.items():
            columns.setdefault(name, []).extend([(float(value), row[unit])] if value is not None else [])
    return {name: _summary(found, confidence) for name, found in columns.items()}


def _summary(found: list[tuple[float, Hashable]], confidence: float) -> dict[str, Any]:
    if not found:
        return {"mean": None, "mean_ci": [None, None], "sd": None, "median": None, "min": None, "max": None, "n": 0}
    values = np.array([value for value, _ in found])
    limits = mean_interval(values, [unit for _, unit in found], confidence)
    return {
        "mean": float(values.mean()),
        "mean_ci": list(limits) if limits else [None, None],
        "sd": float(values.std(ddof=1)) if values.size > 1 else None,
        "median": float(np.median(values)),
        "min": float(values.min()),
        "max": float(values.max()),
        "n": int(values.size),
    }
