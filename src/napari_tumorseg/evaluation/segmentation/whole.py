"""Scores of a whole region, whatever lesions it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_tumorseg.evaluation.segmentation.lesions import with_epsilon
from napari_tumorseg.evaluation.segmentation.profiles import Profile
from napari_tumorseg.evaluation.segmentation.regions import MaskPair
from napari_tumorseg.evaluation.segmentation.surface import Surface, SurfaceDistances, SurfaceKind, distances_between, surface_of

__all__ = ["WholeScores"]


class WholeScores:
    """Scores regions over all islands; surfaces that regions share are found once.

    Parameters
    ----------
    profile : Profile
        Its surfaces, tolerance and rules for empty masks are used.
    spacing_mm : sequence of float
        (z, y, x).
    nsd_epsilon : float
        Added to the denominator of the NSD.
    """

    def __init__(self, profile: Profile, spacing_mm: Sequence[float], nsd_epsilon: float) -> None:
        self._profile = profile
        self._spacing_mm = tuple(spacing_mm)
        self._epsilon = nsd_epsilon
        self._known: dict[tuple[MaskPair, SurfaceKind], tuple[Surface, Surface]] = {}
        self._scored: dict[tuple[MaskPair, ...], dict[str, Any]] = {}

    def of(self, pairs: Sequence[MaskPair], voxels: int, penalty_mm: float | None) -> dict[str, Any]:
        """Return Dice, HD95, NSD, sensitivity, specificity and volumes of the region.

        Parameters
        ----------
        pairs : sequence of MaskPair
            Its masks in every island.
        voxels : int
            Of the whole array, for the specificity.
        penalty_mm : float, optional
            HD95 where one of the two is empty.
        """
        key = tuple(pairs)
        if key not in self._scored:
            self._scored[key] = self._score(pairs, voxels, penalty_mm)
        return dict(self._scored[key])

    def _score(self, pairs: Sequence[MaskPair], voxels: int, penalty_mm: float | None) -> dict[str, Any]:
        n_ref, n_pred, n_both = (
            sum(int(np.count_nonzero(m)) for m in masks)
            for masks in (
                (p.reference for p in pairs),
                (p.prediction for p in pairs),
                (p.reference & p.prediction for p in pairs),
            )
        )
        rated = self._profile.empty.startswith("Dice 1")
        per_voxel_ml = float(np.prod(self._spacing_mm)) / 1000
        scores: dict[str, Any] = {
            "dice": 1.0 if rated else None,
            "hd95": 0.0 if rated else None,
            "nsd": 1.0 if rated else None,
            "sensitivity": n_both / n_ref if n_ref else (1.0 if rated and not n_pred else 0.0 if rated else None),
            "specificity": (voxels - n_ref - n_pred + n_both) / (voxels - n_ref) if voxels > n_ref else None,
            "volume_ref_ml": n_ref * per_voxel_ml,
            "volume_pred_ml": n_pred * per_voxel_ml,
        }
        if n_ref or n_pred:
            scores["dice"] = 2 * n_both / (n_ref + n_pred)
            scores["hd95"], scores["nsd"] = self._distances(pairs) if n_ref and n_pred else (penalty_mm, 0.0)
        return scores

    def _distances(self, pairs: Sequence[MaskPair]) -> tuple[float, float]:
        profile = self._profile
        tolerance = min(self._spacing_mm) if profile.nsd_mm is None else profile.nsd_mm
        measured = self._measured(pairs, profile.surface, float("inf"))
        near = measured if profile.nsd_surface == profile.surface else self._measured(pairs, profile.nsd_surface, tolerance)
        if profile.nsd_surface == "elements":
            return measured.hausdorff_mm(), near.overlap(tolerance)
        hd95 = measured.pooled_percentile_mm() if profile.surface == "voxels" else measured.hausdorff_mm()
        return hd95, with_epsilon(near.mean_overlap(tolerance), self._epsilon)

    def _measured(self, pairs: Sequence[MaskPair], kind: SurfaceKind, reach_mm: float) -> SurfaceDistances:
        for pair in pairs:
            if (pair, kind) not in self._known:
                one, other = (surface_of(m, pair.box.start, self._spacing_mm, kind) for m in (pair.reference, pair.prediction))
                self._known[pair, kind] = one, other
        sides = [Surface.joined([self._known[pair, kind][side] for pair in pairs]) for side in (0, 1)]
        return distances_between(sides[0], sides[1], self._spacing_mm, reach_mm=reach_mm)
