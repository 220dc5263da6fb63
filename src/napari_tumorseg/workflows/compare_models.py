"""Several models against each other, on the same cases and the same reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.evaluation.comparison.paired import holm, paired_difference
from napari_tumorseg.evaluation.comparison.ranking import rank_models
from napari_tumorseg.evaluation.comparison.strata import Observation, size_names, stratify
from napari_tumorseg.evaluation.segmentation.profiles import profile_named
from napari_tumorseg.evaluation.segmentation.summary import flat_scores
from napari_tumorseg.workflows.evaluate import EvaluateRequest, evaluate
from napari_tumorseg.workflows.models import open_catalogue
from napari_tumorseg.workflows.training_overlap import training_cases, training_overlap

__all__ = ["CompareRequest", "compare_models"]

# Of scores that are not listed here more is better.
_LOWER_IS_BETTER = ("lesionwise_hd95", "hd95")
_SCORES = ("lesionwise_dice", "lesionwise_hd95", "dice", "hd95", "nsd")
_LESION_NSD = "lesionwise_nsd_"
# With five pairs and no zeros the signed rank test cannot fall below 0.06; percentile intervals are short of their level too.
_FEW_CASES = 10


@dataclass(frozen=True)
class CompareRequest:
    """Which models are compared, and how.

    Attributes
    ----------
    references : Path
        Folder of reference masks.
    predictions : tuple of Path
        A folder per model, two or more; its name is the model's.
    profile : str
        Definition of the scores, see `evaluation.segmentation.profiles`.
    edges_ml : tuple of float
        Volumes between the strata of size.
    training_cases : tuple of str
        Files of training cases: "FILE" for all models, "NAME=FILE" for one.
    resample : bool
        Whether predictions on another grid are brought to the reference's; they are refused otherwise.
    remap_reference, remap_prediction : tuple of (int, int)
        Values to replace before scoring, as in `EvaluateRequest`.
    without_overlap : bool
        Leave out cases that any of the models was trained on.
    confidence : float
        Of all intervals.
    seed : int
        Of all resamples.
    """

    references: Path
    predictions: tuple[Path, ...]
    profile: str = "plain"
    edges_ml: tuple[float, ...] = (0.1, 1.0)
    training_cases: tuple[str, ...] = ()
    resample: bool = False
    remap_reference: tuple[tuple[int, int], ...] = ()
    remap_prediction: tuple[tuple[int, int], ...] = ()
    without_overlap: bool = False
    confidence: float = 0.95
    seed: int = 0


def compare_models(request: CompareRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Compare models.

    A case without a prediction is rated as the profile says. Where a profile gives no score, the pair is left out of the
    differences, and counted; in the ranking, no score ranks first where reference and prediction are both empty, and last
    otherwise.

    Parameters
    ----------
    request : CompareRequest
        Folders and settings.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    dict
        JSON document:

        - ``profile``, ``constants``, ``references``, ``cases`` (names), ``settings``, ``notes``;
        - ``models``: ``name``, ``folder``, ``missing`` (cases without a prediction), ``unmatched`` (files without a reference),
          ``warnings``;
        - ``scores``: a row per case, model and region: ``case``, ``model``, ``region``, ``missing`` and what `flat_scores` returns;
        - ``differences``: a row per pair of models, region and score: ``a``, ``b``, ``region``, ``score``, ``higher_is_better``, what
          `paired_difference` returns, ``p_holm`` (over all rows) and ``better`` (a model, or None where ``p_holm`` is not below
          1 - confidence);
        - ``ranking``: what `rank_models` returns with ``models`` and ``scores`` it was made of; None with a single case, with ``why``;
        - ``strata``: ``by`` ("lesion" or "mask"), ``edges_ml``, ``rows`` (see `stratify`);
        - ``overlap`` (see `training_overlap`), ``training_unknown`` (models), ``excluded`` (cases left out for it).

    Raises
    ------
    InputError
        If a folder is not there, fewer than two models are given, nothing matches, or a mask does not fit the profile.
    GeometryError
        If a prediction is not on the grid of its reference.
    """
    progress = progress or Progress()
    profile = profile_named(request.profile)
    size_names(request.edges_ml)
    if not 0 < request.confidence < 1:
        raise InputError(f"The confidence is {request.confidence:g}.", "Give a number between 0 and 1.")
    if len(request.predictions) < 2:
        raise InputError("One model cannot be compared with itself.", "Name the folders of two or more.")
    folders = _named(request.predictions)
    for folder in (request.references, *request.predictions):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder.", "Name a folder of masks.")
    # Lists that cannot be read are found before minutes of scoring.
    known = training_cases(folders, request.training_cases, open_catalogue())
    scored = _scored(request, folders, progress.part(0.0, 0.9))
    progress.update(0.9, "Comparing the models")
    overlap, unknown = training_overlap(known, [row["case"] for row in next(iter(scored.values()))["cases"]])
    excluded = sorted({case for row in overlap for case in row["cases"]}) if request.without_overlap else []
    results = _by_case(scored, set(excluded))
    models = list(folders)
    document = {
        "profile": profile.name,
        "constants": profile.constants(),
        "references": str(request.references),
        "cases": list(results),
        "settings": {"confidence": request.confidence, "edges_ml": list(request.edges_ml), "seed": request.seed},
        "models": [
            {
                "name": name,
                "folder": str(folders[name]),
                "missing": [case for case in found["missing"] if case in results],
                "unmatched": found["extra"],
                "warnings": found["warnings"],
            }
            for name, found in scored.items()
        ],
        "scores": _rows(results),
        "differences": _differences(results, models, request),
        "ranking": _ranking(results, models, request.seed),
        "strata": _strata(results, models, request),
        "overlap": overlap,
        "training_unknown": unknown,
        "excluded": excluded,
    }
    document["notes"] = _notes(document)
    progress.update(1.0, "Done")
    return document


Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    names: dict[str, Path] = {}
    for folder in folders:
        own = folder.resolve()
        if own in (other.resolve() for other in names.values()):
            raise InputError(f"{folder} is named twice.", "Name each model once.")
        # Folders like A/pred and B/pred are told apart by what is above them.
        name, parent = own.name, own.parent
        while name in names and parent.name:
            name, parent = f"{parent.name}/{name}", parent.parent
        names[name] = folder
    return names


def _scored(request: CompareRequest, folders: Mapping[str, Path], progress: Progress) -> dict[str, dict[str, Any]]:
    """Return the document of `evaluate` of every model."""
    scored = {}
    for number, (name, folder) in enumerate(folders.items()):
        part = progress.part(number / len(folders), (number + 1) / len(folders))
        remaps = (request.remap_reference, request.remap_prediction)
        scored[name] = evaluate(EvaluateRequest(request.references, folder, request.profile, request.resample, *remaps), part)
    cases = [row["case"] for row in next(iter(scored.values()))["cases"]]
    twice = sorted({case for case in cases if cases.count(case) > 1})
    if twice:
        raise InputError(f"{request.references} has two masks of the case {twice[0]}.", "Give each case a name of its own.")
    return scored


def _rows(results: Results) -> list[dict[str, Any]]:
    return [
        {"case": case, "model": model, "region": region, "missing": result["missing"], **flat_scores(scores)}
        for case, of_model in results.items()
        for model, result in of_model.items()
        for region, scores in result["regions"].items()
    ]


def _by_case(scored: Mapping[str, Mapping[str, Any]], excluded: set[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the regions, the lesions and whether the prediction is missing, by case and model."""
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for model, document in scored.items():
        lesions: dict[str, list[Any]] = {}
        for row in document["lesions"]:
            lesions.setdefault(row["case"], []).append(row)
        for row in document["cases"]:
            if row["case"] not in excluded:
                own = {"regions": row["regions"], "missing": row["missing"], "lesions": lesions.get(row["case"], [])}
                results.setdefault(row["case"], {})[model] = own
    if not results:
        raise InputError("Every case was in the training of one of the models.", "Test on other cases.")
    return results


def _score_names(results: Results) -> list[tuple[str, str]]:
    """Return the regions and scores that occur, in the order of the profile; regions that are empty everywhere would only tie."""
    every = [result for of_model in results.values() for result in of_model.values()]
    regions = [r for r in dict.fromkeys(r for result in every for r in result["regions"]) if not all(_both_empty(x, r) for x in every)]
    keys = dict.fromkeys(key for result in every for scores in result["regions"].values() for key in flat_scores(scores))
    wanted = [key for key in keys if key in _SCORES or key.startswith(_LESION_NSD)]
    used = [(region, key) for region in regions for key in wanted if any(_score(result, region, key) is not None for result in every)]
    if not used:
        raise InputError("All masks, of the reference and of all models, are empty.", "Check the masks.")
    return used


def _score(result: Mapping[str, Any], region: str, name: str) -> float | None:
    value = flat_scores(result["regions"].get(region, {})).get(name)
    return None if value is None or not math.isfinite(value) else float(value)


def _both_empty(result: Mapping[str, Any], region: str) -> bool:
    scores = result["regions"].get(region)
    return scores is None or (scores["volume_ref_ml"] == 0 and scores["volume_pred_ml"] == 0)


def _column(results: Results, model: str, region: str, name: str) -> list[float]:
    values = (_score(of_model[model], region, name) for of_model in results.values())
    return [math.nan if value is None else value for value in values]


def _differences(results: Results, models: Sequence[str], request: CompareRequest) -> list[dict[str, Any]]:
    rows = []
    for a, b in combinations(models, 2):
        for region, name in _score_names(results):
            found = paired_difference(
                _column(results, a, region, name), _column(results, b, region, name), confidence=request.confidence, seed=request.seed
            )
            rows.append({"a": a, "b": b, "region": region, "score": name, "higher_is_better": name not in _LOWER_IS_BETTER, **found})
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p
        row["better"] = None
        if p is not None and p < 1 - request.confidence and row["difference"]:
            row["better"] = row["a"] if (row["difference"] > 0) == row["higher_is_better"] else row["b"]
    return rows


def _ranking(results: Results, models: Sequence[str], seed: int) -> dict[str, Any]:
    names = _score_names(results)
    lesion_wise = [name for name in names if name[1] in ("lesionwise_dice", "lesionwise_hd95")]
    chosen = lesion_wise or [name for name in names if name[1] in ("dice", "hd95")]
    table = [[[_to_rank(of_model[m], *name) for m in models] for name in chosen] for of_model in results.values()]
    head = {"models": list(models), "scores": [" ".join(name) for name in chosen]}
    if len(results) < 2:
        return {**head, "rank": None, "why": "A ranking needs two cases."}
    return {**head, **rank_models(table, [name not in _LOWER_IS_BETTER for _, name in chosen], seed)}


def _to_rank(result: Mapping[str, Any], region: str, name: str) -> float:
    value = _score(result, region, name)
    if value is not None:
        return value
    if not _both_empty(result, region):
        return math.nan
    return -math.inf if name in _LOWER_IS_BETTER else math.inf


def _strata(results: Results, models: Sequence[str], request: CompareRequest) -> dict[str, Any]:
    by_lesion = any(result["lesions"] for of_model in results.values() for result in of_model.values())
    observations = []
    for case, of_model in results.items():
        observations += _lesions(case, of_model, models) if by_lesion else _masks(case, of_model, models)
    rows = stratify(observations, models, request.edges_ml, request.confidence)
    return {"by": "lesion" if by_lesion else "mask", "edges_ml": list(request.edges_ml), "rows": rows}


def _lesions(case: str, of_model: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> list[Observation]:
    """Return the reference lesions that count, which all models have under the same number."""
    tables = [
        {(row["region"], row["id"]): row for row in of_model[m]["lesions"] if row["status"] != "false" and row["counted"]} for m in models
    ]
    found = []
    for key, row in tables[0].items():
        rows = [table.get(key) for table in tables]
        same = [other for other in rows if other is not None and other["volume_mm3"] == row["volume_mm3"]]
        if len(same) < len(models):
            raise InputError(f"The lesions of {case} are not the same for all models in {key[0]}.", "Compare with another profile.")
        dice = tuple(0.0 if not other["matched"] else other["dice"] for other in same)
        found.append(Observation(case, key[0], row["volume_mm3"] / 1000, dice, tuple(bool(other["matched"]) for other in same)))
    return found


def _masks(case: str, of_model: Mapping[str, Mapping[str, Any]], models: Sequence[str]) -> list[Observation]:
    volumes: dict[str, float] = {}
    for result in of_model.values():
        volumes |= {region: scores["volume_ref_ml"] for region, scores in result["regions"].items()}
    return [
        Observation(case, region, volume, tuple(_score(of_model[m], region, "dice") for m in models))
        for region, volume in volumes.items()
        if volume > 0
    ]


def _notes(document: Mapping[str, Any]) -> list[str]:
    notes = []
    for row in document["overlap"]:
        if row["cases"]:
            shown = ", ".join(row["cases"][:5]) + (" …" if len(row["cases"]) > 5 else "")
            left = "They are left out." if document["excluded"] else "Its scores there say nothing about new patients."
            notes.append(f"{row['model']} was trained on {len(row['cases'])} of the test cases by {row['source']}: {shown}. {left}")
    if document["training_unknown"]:
        notes.append(f"The training cases of {', '.join(document['training_unknown'])} are not known, so overlap cannot be ruled out.")
    for model in document["models"]:
        if model["missing"]:
            rule = document["constants"]["missing_prediction"]
            notes.append(f"{model['name']} has no prediction of {len(model['missing'])} in {len(document['cases'])} cases: {rule}.")
        if model["unmatched"]:
            notes.append(f"{model['name']} has masks without a reference, which are left out: {', '.join(model['unmatched'][:5])}.")
    if len(document["cases"]) < _FEW_CASES:
        notes.append(f"Of fewer than {_FEW_CASES} cases the intervals are too narrow, and hardly any difference can be told.")
    return notes
