"""Consensus masks and agreement maps of the raters of a case, written to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.evaluation.raters.consensus import Consensus, agreement_map, majority, simple, staple
from napari_tumorseg.evaluation.segmentation.surface import dice
from napari_tumorseg.workflows.rater_readings import Reading
from napari_tumorseg.workflows.segment_files import unused

__all__ = ["write_consensus"]


def write_consensus(case: str, readings: Sequence[Reading], masks: Sequence[MaskVersion], out: Path) -> list[dict[str, Any]]:
    """Fuse the first readings of a case, per arm, and write the results.

    Parameters
    ----------
    case : str
        Name of the case; slashes become underscores in file names.
    readings : sequence of Reading
        Of one case.
    masks : sequence of MaskVersion
        Their masks, on one grid.
    out : Path
        Folder, made where it is missing. Files that are there are kept, and the new ones get a number.

    Returns
    -------
    list of dict
        Per arm with two raters or more: ``case``, ``arm``, ``raters``, ``agreement_map`` (file; share of raters at each voxel, 0 to
        1), and for "majority", "staple" and "simple" a dict: ``file``, ``volume_ml``, ``tied_voxels``, ``dice`` of each rater with it
        (None where both are empty), for STAPLE ``sensitivity`` and ``specificity`` by rater and label, for SIMPLE ``weights``.
    """
    from napari_tumorseg.io.atomic import make_folder
    from napari_tumorseg.io.registry import write_image, write_mask

    found = []
    for arm in dict.fromkeys(reading.arm for reading in readings):
        chosen = [(r, m) for r, m in zip(readings, masks, strict=True) if r.arm == arm and r.repeat == 1]
        if len(chosen) < 2:
            continue
        names, labels = [r.rater for r, _ in chosen], [m.labels for _, m in chosen]
        first = max((m for _, m in chosen), key=lambda mask: len(mask.schema.labels))
        stem = "-".join(part.replace("/", "_").replace(" ", "_") for part in (case, arm) if part)
        make_folder(out)
        share = Volume(agreement_map(labels), first.grid, name=f"share of raters, {case}")
        entry: dict[str, Any] = {
            "case": case,
            "arm": arm,
            "raters": names,
            "agreement_map": str(write_image(unused(out / f"{stem}-agreement.nii.gz"), share)),
        }
        for method, fuse in (("majority", majority), ("staple", staple), ("simple", simple)):
            consensus = fuse(labels)
            mask = replace(
                first,
                labels=consensus.labels,
                kind=MaskKind.REFERENCE,
                author=f"{method} of {', '.join(names)}",
                review=Review.NOT_REVIEWED,
                header={},
            )
            path = write_mask(unused(out / f"{stem}-{method}.nii.gz"), mask)
            entry[method] = {"file": str(path), **_described(consensus, names, labels, first.grid.voxel_volume_mm3)}
        found.append(entry)
    return found


def _described(consensus: Consensus, names: Sequence[str], labels: Sequence[Any], voxel_mm3: float) -> dict[str, Any]:
    inside = consensus.labels != 0
    scores = [dice(mask != 0, inside) for mask in labels]
    described: dict[str, Any] = {
        "volume_ml": int(inside.sum()) * voxel_mm3 / 1000,
        "tied_voxels": consensus.tied_voxels,
        "dice": {name: score if score == score else None for name, score in zip(names, scores, strict=True)},
    }
    if consensus.sensitivity:
        for key, found in (("sensitivity", consensus.sensitivity), ("specificity", consensus.specificity)):
            described[key] = {name: {str(v): s for v, s in own.items()} for name, own in zip(names, found, strict=True)}
    if consensus.weights:
        described["weights"] = dict(zip(names, consensus.weights, strict=True))
    return described
