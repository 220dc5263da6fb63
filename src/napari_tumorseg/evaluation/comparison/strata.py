"""Scores by size of lesion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.evaluation.comparison.paired import paired_difference
from napari_tumorseg.evaluation.resampling import mean_interval

__all__ = ["Observation", "size_names", "stratify"]


@dataclass(frozen=True)
class Observation:
    """A reference lesion, or a whole mask, with its score by every model.

    Attributes
    ----------
    case, region : str
        Where it is.
    volume_ml : float
        In the reference.
    dice : tuple of float or None
        By model, in one order.
    found : tuple of bool
        By model: whether the lesion was found; empty for whole masks.
    """

    case: str
    region: str
    volume_ml: float
    dice: tuple[float | None, ...]
    found: tuple[bool, ...] = ()


def size_names(edges_ml: Sequence[float]) -> list[str]:
    """Return the names of the strata between edges.

    Examples
    --------
    >>> size_names([0.1, 1])
    ['up to 0.1 mL', 'above 0.1 to 1 mL', 'above 1 mL']
    """
    if not edges_ml or any(not np.isfinite(edge) or edge <= 0 for edge in edges_ml) or list(edges_ml) != sorted(set(edges_ml)):
        raise InputError(
            f"{', '.join(f'{edge:g}' for edge in edges_ml) or 'Nothing'} are no edges of sizes.", "Give rising positive volumes in mL."
        )
    names = [f"up to {edges_ml[0]:g} mL"]
    names += [f"above {low:g} to {high:g} mL" for low, high in pairwise(edges_ml)]
    return [*names, f"above {edges_ml[-1]:g} mL"]


def stratify(
    observations: Sequence[Observation], models: Sequence[str], edges_ml: Sequence[float], confidence: float = 0.95
) -> list[dict[str, Any]]:
    """Summarise and compare the models' Dice by size and region.

    Parameters
    ----------
    observations : sequence of Observation
        Of all cases.
    models : sequence of str
        Names, in the order of the scores.
    edges_ml : sequence of float
        Rising volumes in mL between the strata.
    confidence : float
        Of the intervals.

    Returns
    -------
    list of dict
        ``region``, ``size``, ``n``, ``cases``; ``models``: ``name``, ``dice``, ``dice_ci`` (bootstrap over cases), ``sensitivity`` (share
        found; None for whole masks); ``differences``: ``a``, ``b`` and what `paired_difference` returns with whole cases drawn.
        Strata without observations are there with n 0.

    Examples
    --------
    >>> lesions = [Observation("p1", "ET", 0.05, (0.0, 0.5), (False, True)), Observation("p2", "ET", 3.0, (0.9, 0.8), (True, True))]
    >>> rows = stratify(lesions, ["a", "b"], [1.0])
    >>> [(row["size"], row["models"][0]["sensitivity"]) for row in rows]
    [('up to 1 mL', 0.0), ('above 1 mL', 1.0)]
    """
    names = size_names(edges_ml)
    rows = []
    for region in dict.fromkeys(o.region for o in observations):
        for number, name in enumerate(names):
            # An edge belongs to the stratum below it.
            own = [o for o in observations if o.region == region and int(np.searchsorted(edges_ml, o.volume_ml, side="left")) == number]
            cases = [o.case for o in own]
            dice = np.array([[np.nan if d is None else d for d in o.dice] for o in own], np.float64).reshape(-1, len(models))
            found = [o.found for o in own if o.found]
            rows.append(
                {
                    "region": region,
                    "size": name,
                    "n": len(own),
                    "cases": len(set(cases)),
                    "models": [
                        {
                            "name": model,
                            **_mean_dice(dice[:, i], cases, confidence),
                            "sensitivity": float(np.mean([f[i] for f in found])) if found else None,
                        }
                        for i, model in enumerate(models)
                    ],
                    "differences": [
                        {"a": models[i], "b": models[j], **paired_difference(dice[:, i], dice[:, j], cases, confidence)}
                        for i, j in combinations(range(len(models)), 2)
                    ],
                }
            )
    return rows


def _mean_dice(dice: npt.NDArray[np.float64], cases: Sequence[str], confidence: float) -> dict[str, Any]:
    known = np.isfinite(dice)
    if not known.any():
        return {"dice": None, "dice_ci": [None, None]}
    limits = mean_interval(dice[known], [case for case, here in zip(cases, known, strict=True) if here], confidence)
    return {"dice": float(dice[known].mean()), "dice_ci": list(limits) if limits else [None, None]}
