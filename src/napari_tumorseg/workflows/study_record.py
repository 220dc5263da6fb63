"""What is kept of one finished task, all of it from its journal: times, coverage, and what became of the mask it began with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.coverage import SceneFrame, coverage_of, displayed
from napari_tumorseg.annotation.entries import EntryKind
from napari_tumorseg.annotation.provenance import Provenance, ProvenanceCounts
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.timeline import timeline_of
from napari_tumorseg.annotation.timing import timing_of
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.evaluation.lesions import locate_lesions, region_volumes_ml
from napari_tumorseg.evaluation.segmentation.surface import dice, surface_distances
from napari_tumorseg.workflows.lesion_ledger import restored_ledger
from napari_tumorseg.workflows.scene import Scene

__all__ = ["RecordRequest", "scene_frame", "study_record"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class RecordRequest:
    """What is asked of a journal.

    Attributes
    ----------
    journal : Path
        Of a finished task.
    reference : numpy.ndarray, optional
        Mask (z, y, x) on the task's grid to compare with, values of its schema: e.g. the other raters' from scratch.
    tolerance_mm : float
        Of the normalised surface Dice.
    least_s, least_zoom : float
        What counts as seen; see `annotation.coverage.coverage_of`.
    """

    journal: Path
    reference: Labels | None = None
    tolerance_mm: float = 1.0
    least_s: float = 0.2
    least_zoom: float = 0.0


def study_record(request: RecordRequest) -> dict[str, Any]:
    """Return what is kept of a task, as JSON values.

    Returns
    -------
    dict
        ``task`` (case, person, step, protocol and what the study added, e.g. arm and order), ``timing``, ``coverage``, ``edits`` (voxels
        and mL against the AI, by label too, acts by tool), ``lesions`` (what became of the AI's, what was added, statuses),
        ``agreement`` (final mask with the AI's, and AI's and final with the reference, by region), ``regions_ml`` of the final mask. Where
        nothing began with an AI, what is said against it is None.

    Raises
    ------
    InputError
        If the file is no journal, cannot be read, holds no mask, or the reference has another shape.
    """
    with JournalReader(request.journal) as reader:
        task = reader.task
        timeline = timeline_of(reader)
        steps = reader.steps()
        document = reader.document()
        ledger = restored_ledger(reader, steps, document)
        ledger.close()
        acts = _acts(reader)
        statuses = Counter(str((entry.data or {}).get("what", "")) for entry in reader.entries(EntryKind.REVIEW))
    if request.reference is not None and request.reference.shape != document.grid.shape:
        raise InputError(
            f"The reference of {task.case} has the shape {request.reference.shape}, its mask {document.grid.shape}.",
            "Give a mask on the grid of the task.",
        )
    provenance = Provenance(document)
    provenance.close()
    final, ai = document.labels, provenance.ai
    # A mask that a model has never filled began from scratch.
    helped = bool(ai.any()) or task.kind.value == "ai"
    grid, schema = document.grid, document.schema
    frame = scene_frame(grid)
    coverage = coverage_of(displayed(timeline, frame), frame, least_s=request.least_s, least_zoom=request.least_zoom)
    inside = Scene(grid).to_scene(schema.region_mask(final, schema.lesion_region))
    return {
        "task": {**{n: getattr(task, n) for n in ("case", "mask", "person", "protocol", "step", "software")}, **task.more},
        "timing": timing_of(timeline).to_json(),
        "coverage": {**coverage.to_json(), "unseen_share_of_lesions": round(coverage.unseen_share(np.asarray(inside)), 6)},
        "edits": {
            "began_with_ai": helped,
            "voxels": _counts(provenance.counts()) if helped else None,
            "by_label": {schema.label(v).name: _counts(c) for v, c in provenance.by_label().items()} if helped else None,
            "changed_from_start": int(np.count_nonzero(final != steps.labels_at(steps.first))),
            **acts,
            "decisions": dict(sorted(statuses.items())),
        },
        "lesions": {
            **_lesions(ai if helped else None, final, grid, schema),
            "by_status": {status.value: count for status, count in ledger.sheet.counts().items()},
        },
        "agreement": {
            "ai_and_final": _agreement(ai, final, grid, schema, request.tolerance_mm) if helped else None,
            "ai_and_reference": _with_reference(ai, request, grid, schema) if helped else None,
            "final_and_reference": _with_reference(final, request, grid, schema),
            "tolerance_mm": request.tolerance_mm,
        },
        "regions_ml": region_volumes_ml(final, grid, schema),
    }


def scene_frame(grid: Grid) -> SceneFrame:
    """Return where an image lies in the views, for `annotation.coverage`."""
    scene = Scene(grid)
    return SceneFrame(scene.grid.shape, scene.scale_mm, scene.translate_mm)


def _acts(reader: JournalReader) -> dict[str, Any]:
    """Return how many acts there were by tool and how many undos and redos; patches of one step are one act."""
    by_tool: Counter[str] = Counter()
    by_source: Counter[str] = Counter()
    last = ""
    for entry in reader.entries(EntryKind.PATCH):
        key = f"{entry.source} {entry.step}"
        # A decision about a lesion may have its place among the changes without being one.
        if key == last or entry.old == entry.new:
            continue
        last = key
        by_source[entry.source] += 1
        if entry.source not in ("undo", "redo"):
            by_tool[entry.tool or entry.source] += 1
    return {"acts_by_tool": dict(sorted(by_tool.items())), "undos": by_source["undo"], "redos": by_source["redo"]}


def _counts(counts: ProvenanceCounts) -> dict[str, Any]:
    voxels = {name: getattr(counts, name) for name in ("ai", "changed", "added", "removed")}
    return {**voxels, **{f"{name}_ml": round(value, 6) for name, value in counts.ml.items()}}


def _lesions(ai: Labels | None, final: Labels, grid: Grid, schema: LabelSchema) -> dict[str, Any]:
    """Return what became of the AI's lesions: 26-connected parts of the schema's lesion region.

    A lesion of the AI is *deleted* when no voxel of it is a lesion any more, *accepted unmodified* when a lesion of the final mask has its
    voxels and labels exactly, else *edited*. A final lesion is *added* when the AI had no lesion in any of its voxels.
    """
    after = locate_lesions(final, grid, schema)
    if ai is None:
        return {"final": len(after.lesions), "ai": None, "added": None, "deleted": None, "edited": None, "accepted_unmodified": None}
    there = locate_lesions(ai, grid, schema)
    before = there.lesions
    was, now = (schema.region_mask(labels, schema.lesion_region) for labels in (ai, final))
    same = deleted = 0
    boxes = {(row.box_start, row.box_stop, row.voxels) for row in after.lesions}
    for row in before:
        where = tuple(slice(a, b) for a, b in zip(row.box_start, row.box_stop, strict=True))
        part = there.part(row)
        if not now[where][part].any():
            deleted += 1
        elif (row.box_start, row.box_stop, row.voxels) in boxes and (final[where][part] == ai[where][part]).all():
            same += 1
    added = 0
    for row in after.lesions:
        where = tuple(slice(a, b) for a, b in zip(row.box_start, row.box_stop, strict=True))
        added += not was[where][after.part(row)].any()
    return {
        "final": len(after.lesions),
        "ai": len(before),
        "added": added,
        "deleted": deleted,
        "edited": len(before) - same - deleted,
        "accepted_unmodified": same,
        "accepted_unmodified_share": same / len(before) if before else None,
    }


def _with_reference(labels: Labels, request: RecordRequest, grid: Grid, schema: LabelSchema) -> dict[str, Any] | None:
    if request.reference is None:
        return None
    return _agreement(labels, request.reference, grid, schema, request.tolerance_mm)


def _agreement(a: Labels, b: Labels, grid: Grid, schema: LabelSchema, tolerance_mm: float) -> dict[str, Any]:
    """Return Dice, normalised surface Dice and HD95 of each region; None where both are empty or a distance is infinite."""
    told = {}
    for region in schema.regions:
        one, other = schema.region_mask(a, region.name), schema.region_mask(b, region.name)
        distances = surface_distances(one, other, grid.spacing_mm)
        values = {"dice": dice(one, other), "nsd": distances.overlap(tolerance_mm), "hd95_mm": distances.hausdorff_mm(95.0)}
        told[region.name] = {name: float(v) if np.isfinite(v) else None for name, v in values.items()}
    return told
