"""Score predicted masks against references: one pair, or two folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import GeometryError, InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import remap_values
from napari_tumorseg.evaluation.segmentation.profiles import Profile, profile_named
from napari_tumorseg.evaluation.segmentation.score import score_case, score_missing
from napari_tumorseg.evaluation.segmentation.summary import summarise
from napari_tumorseg.workflows.evaluation_pairs import CasePair, pair_folders

__all__ = ["EvaluateRequest", "evaluate", "on_grid"]


@dataclass(frozen=True)
class EvaluateRequest:
    """What to score.

    Attributes
    ----------
    reference, prediction : Path
        Two masks, or two folders of masks whose file names fit each other.
    profile : str
        Name of the definition, see `evaluation.segmentation.profiles`.
    resample : bool
        Whether a prediction on another grid is brought to the reference's by nearest neighbour; it is refused otherwise.
    remap_reference, remap_prediction : tuple of (int, int)
        Values to replace before scoring, e.g. ((4, 3),) for masks of BraTS up to 2021.
    confidence : float
        Of the bootstrap intervals over cases.
    seed : int
        Of the bootstrap.
    """

    reference: Path
    prediction: Path
    profile: str
    resample: bool = False
    remap_reference: tuple[tuple[int, int], ...] = ()
    remap_prediction: tuple[tuple[int, int], ...] = ()
    confidence: float = 0.95
    seed: int = 0


def evaluate(request: EvaluateRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Score one pair of masks or all cases of two folders.

    Returns
    -------
    dict
        Of a pair: the document of `score_case` with "case", "reference", "prediction" and "warnings". Of folders: the same
        with means in "regions", the lesions of all cases (each with its "case"), what `summarise` returns, "cases" (case,
        reference, prediction, missing, regions, warnings), and "missing" and "extra", the names of cases without a prediction
        and of predictions without a reference.

    Raises
    ------
    InputError
        If something cannot be read, paired or scored.
    GeometryError
        If two masks are not on one grid.
    """
    progress = progress or Progress()
    profile = profile_named(request.profile)
    if not 0 < request.confidence < 1:
        raise InputError(f"The confidence is {request.confidence:g}.", "Give a number between 0 and 1.")
    for path in (request.reference, request.prediction):
        if not path.exists():
            raise InputError(f"{path} does not exist.", "Check the path.")
    if request.reference.is_dir() != request.prediction.is_dir():
        folder, file = (request.reference, request.prediction) if request.reference.is_dir() else (request.prediction, request.reference)
        raise InputError(f"{folder} is a folder, and {file} is a file.", "Give two masks or two folders.")
    if request.reference.is_dir():
        return _evaluate_folders(request, profile, progress)
    pair = CasePair(request.reference.name, request.reference, request.prediction)
    result, warnings = _evaluate_pair(pair, request, profile, progress)
    progress.update(1.0, "Done")
    return {
        **result,
        "case": pair.case,
        "reference": str(request.reference),
        "prediction": str(request.prediction),
        "warnings": warnings,
    }


def _evaluate_folders(request: EvaluateRequest, profile: Profile, progress: Progress) -> dict[str, Any]:
    pairs, extra = pair_folders(request.reference, request.prediction)
    cases: list[dict[str, Any]] = []
    lesions: list[dict[str, Any]] = []
    for number, pair in enumerate(pairs):
        result, warnings = _evaluate_pair(pair, request, profile, progress.part(number / len(pairs), (number + 1) / len(pairs)))
        lesions += [{"case": pair.case, **row} for row in result["lesions"]]
        cases.append(
            {
                "case": pair.case,
                "reference": str(pair.reference),
                "prediction": str(pair.prediction) if pair.prediction else None,
                "missing": pair.prediction is None,
                "regions": result["regions"],
                "warnings": warnings,
            }
        )
    missing = [case["case"] for case in cases if case["missing"]]
    notes = [f"{case['case']}: {note}" for case in cases for note in case["warnings"]]
    if missing:
        notes.append(f"No prediction for {_some(missing)}: {profile.missing}.")
    if extra:
        notes.append(f"No reference for {_some([path.name for path in extra])}: not scored.")
    summary = summarise([case["regions"] for case in cases], request.confidence, request.seed)
    progress.update(1.0, "Done")
    return {
        "profile": profile.name,
        "constants": profile.constants(),
        "regions": summary.pop("regions"),
        "lesions": lesions,
        **summary,
        "cases": cases,
        "missing": missing,
        "extra": [path.name for path in extra],
        "reference": str(request.reference),
        "prediction": str(request.prediction),
        "warnings": notes,
    }


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _evaluate_pair(pair: CasePair, request: EvaluateRequest, profile: Profile, progress: Progress) -> tuple[dict[str, Any], list[str]]:
    from napari_tumorseg.io.registry import read_mask

    progress.update(0.0, f"Reading {pair.reference.name}")
    reference = _remapped(read_mask(pair.reference), dict(request.remap_reference))
    warnings = _warnings(reference, pair.reference.name, profile)
    grid = reference.grid
    if pair.prediction is None:
        progress.update(0.5, f"Scoring {pair.case}")
        return score_missing(reference.labels, grid.spacing_mm, profile, grid=grid), warnings
    progress.update(0.3, f"Reading {pair.prediction.name}")
    prediction = _remapped(read_mask(pair.prediction), dict(request.remap_prediction))
    warnings += _warnings(prediction, pair.prediction.name, profile)
    placed, moved = on_grid(prediction, grid, pair.prediction.name, pair.reference.name, resample=request.resample)
    if moved:
        warnings.append(f"{pair.prediction.name} was resampled to the grid of {pair.reference.name} by nearest neighbour.")
    if not reference.labels.any() and not placed.labels.any():
        warnings.append(f"{pair.reference.name} and {pair.prediction.name} are both empty: {profile.empty}.")
    progress.update(0.6, f"Scoring {pair.case}")
    names = (pair.reference.name, pair.prediction.name)
    return score_case(reference.labels, placed.labels, grid.spacing_mm, profile, grid=grid, names=names), warnings


def _warnings(mask: MaskVersion, name: str, profile: Profile) -> list[str]:
    notes = [str(note) for note in mask.header.get("warnings", ())]
    # A glioma of BraTS up to 2021 against a profile since 2023 would have a cavity where it has enhancing tumour, and look well scored.
    since_2023 = profile.regions.get("ET") == (3,) and profile.regions.get("RC") == (4,)
    if since_2023 and (mask.labels == 4).any() and not (mask.labels == 3).any():
        notes.append(f"{name} holds 4 and no 3. Up to BraTS 2021, 4 was enhancing tumour; if it is here, replace it (4=3).")
    return notes


def _remapped(mask: MaskVersion, values: Mapping[int, int]) -> MaskVersion:
    return replace(mask, labels=remap_values(mask.labels, values)) if values else mask


def on_grid(mask: MaskVersion, grid: Grid, name: str, grid_name: str, *, resample: bool = False) -> tuple[MaskVersion, bool]:
    """Return a mask on another grid, and whether it had to be resampled.

    A mask of the same voxels in another order is turned. Any other is refused, or with `resample` gets for each voxel
    the value of the nearest voxel of the mask; 0 outside it.

    Raises
    ------
    GeometryError
        If the grids do not describe the same voxels, and `resample` is not set.
    """
    from napari_tumorseg.io.geometry import mask_on_grid

    try:
        return mask_on_grid(mask, grid, name, grid_name), False
    except GeometryError as error:
        if not resample:
            raise GeometryError(error.message, "Choose masks of one image, or add --resample.") from error
    from scipy.ndimage import affine_transform

    to_mask = np.linalg.inv(mask.grid.affine) @ grid.affine
    # Rounding must not push the outermost voxels out of the mask.
    labels = affine_transform(mask.labels, to_mask[:3, :3], to_mask[:3, 3] + 1e-9, output_shape=grid.shape, order=0, mode="grid-constant")
    return replace(mask, labels=labels, grid=grid), True
