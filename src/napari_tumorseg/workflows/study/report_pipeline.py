"""The report of a pipeline: how long each step took, what it changed, how often cases were sent back, how far checkers agree."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import TumorSegError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.workflows.study.report_readings import Gathered, Row, values_of
from napari_tumorseg.workflows.study.report_time import quartiles, times_by

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["pipeline"]

_CHANGES = ("voxels_added", "voxels_removed", "voxels_relabelled", "lesions_added", "lesions_deleted", "dice_with_start")


def pipeline(
    study: StudyStore, head: dict[str, Any], gathered: Gathered, progress: Progress
) -> tuple[dict[str, Any], dict[str, list[Row]]]:
    """Return document and tables of a pipeline, see `report.study_report`."""
    rows = gathered.readings
    masks: dict[int, Any] = {}
    pairs: list[Row] = []
    codes = sorted({row["case"] for row in rows})
    for number, code in enumerate(codes):
        progress.update(number / len(codes), f"Comparing the masks of case {code}")
        own = [row for row in rows if row["case"] == code]
        masks = {row["task"]: _mask(study, row["version"], row, gathered.notes) for row in own}
        for row in own:
            row |= _changes(study, row, masks[row["task"]], gathered.notes)
        pairs += _pairs(code, own, masks)
    steps = [step for step in study.protocol.steps if step.role != "model"]
    times = times_by(rows, "step")
    comments = study.rows("comments")
    document = {
        **head,
        "kind": "pipeline",
        "steps": [_step(step, rows, times, comments) for step in steps if step.name in times],
        "agreement": _agreement(pairs),
        "notes": gathered.notes,
        "constants": {"nsd_tolerances_between_raters_mm": [1.0, 2.0]},
    }
    return document, {"readings": rows, "times_by": gathered.times_by, "pairs": pairs, "excluded": head["study"]["excluded"]}


def _mask(study: StudyStore, uid: str | None, row: Row, notes: list[str]) -> Any:
    if not uid:
        return None
    try:
        return study.mask(uid)
    except TumorSegError as error:
        notes.append(f"A mask of task {row['code']} ({row['step']}) is left out. {error}")
        return None


def _changes(study: StudyStore, row: Row, mask: Any, notes: list[str]) -> Row:
    """Return what a step changed in the mask that it began with."""
    from napari_tumorseg.evaluation.lesions import region_volumes_ml
    from napari_tumorseg.workflows.study.task import change_facts

    if mask is None:
        return {"volume_ml": None, **dict.fromkeys(_CHANGES)}
    start = _mask(study, row["start_version"], row, notes)
    volume = region_volumes_ml(mask.labels, mask.grid, mask.schema)[mask.schema.lesion_region]
    return {"volume_ml": volume, **change_facts(start, mask)}


def _pairs(code: str, rows: Sequence[Row], masks: dict[int, Any]) -> list[Row]:
    """Compare the masks of people who did one step of one round."""
    from napari_tumorseg.evaluation.raters.masks import compare_masks

    found: list[Row] = []
    for one, other in combinations(sorted(rows, key=lambda row: (row["step"], row["round"], row["rater"])), 2):
        a, b = masks[one["task"]], masks[other["task"]]
        if (one["step"], one["round"]) != (other["step"], other["round"]) or a is None or b is None:
            continue
        mine, theirs = (m.schema.region_mask(m.labels, m.schema.lesion_region) for m in (a, b))
        names = {"case": code, "step": one["step"], "round": one["round"], "rater_a": one["rater"], "rater_b": other["rater"]}
        found.append({**names, **compare_masks(mine, theirs, a.grid.spacing_mm)})
    return found


def _step(step: Any, rows: Sequence[Row], times: dict[str, dict[str, Any]], comments: Sequence[Row]) -> Row:
    own = [row for row in rows if row["step"] == step.name]
    return {
        "step": step.name,
        "title": step.title or step.name,
        "role": step.role,
        "done": len(own),
        "cases": len({row["case"] for row in own}),
        "returned": sum(row["decision"] == "return" for row in own),
        "comments": sum(comment["step"] == step.name for comment in comments),
        "times": times[step.name],
        "changes": {name: quartiles(values_of(own, name)) for name in _CHANGES},
        "unmodified": sum(row.get("unmodified") is True for row in own),
        "unseen_share": quartiles(values_of(own, "unseen_share")),
    }


def _agreement(pairs: Sequence[Row]) -> list[Row]:
    from napari_tumorseg.evaluation.raters.masks import summarise

    found = []
    for step in sorted({row["step"] for row in pairs}):
        own = [row for row in pairs if row["step"] == step]
        cases = len({row["case"] for row in own})
        found += [{"step": step, "score": name, "cases": cases, **score} for name, score in summarise(own, "case").items()]
    return found
