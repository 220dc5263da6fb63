"""From files to files: read a case, run a model, write the mask and its report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from napari_tumorseg.core.case import Case
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.workflows.models import open_catalogue
from napari_tumorseg.workflows.save import FORMATS, save_mask, suggested_name
from napari_tumorseg.workflows.segment import SegmentRequest, SegmentResult, report, segment_case

__all__ = ["segment_files", "write_result"]


def segment_files(
    paths: Sequence[Path],
    request: SegmentRequest,
    out: Path,
    *,
    modalities: Mapping[str, Path] | None = None,
    ending: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Segment a case on disk.

    Parameters
    ----------
    paths : sequence of Path
        A case folder, or image files.
    request : SegmentRequest
        Model, device and prompts.
    out : Path
        Folder for ``CASE-seg-ai`` and ``CASE-report.json``; made when it is not there. A file
        that exists is never replaced: the new one gets a number.
    modalities : mapping of str to Path, optional
        Files whose modality the user has named.
    ending : str
        File ending of the mask; by default what suits the images.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    dict
        The JSON document of `workflows.segment.report`.
    """
    from napari_tumorseg.io.cases import read_case

    if ending and ending not in FORMATS.values():
        raise InputError(f"{ending} is not a mask format.", f"Choose one of {', '.join(FORMATS.values())}.")
    progress = progress or Progress()
    catalogue = open_catalogue()
    catalogue.spec(request.model)  # a misspelt name is found before minutes of reading
    progress.update(0.0, "Reading the case")
    case = read_case(paths[0] if len(paths) == 1 else list(paths), modalities=modalities or None, progress=progress.part(0.0, 0.1))
    model = catalogue.load(request.model, progress.part(0.1, 0.15))
    result = segment_case(case, model, request, progress.part(0.15, 0.98))
    document = report(result, model.spec, None)
    return write_result(case, result, document, out, ending=ending, timepoint=request.timepoint)


def write_result(
    case: Case,
    result: SegmentResult,
    document: dict[str, Any],
    out: Path,
    *,
    ending: str = "",
    timepoint: int = -1,
    replace: bool = False,
) -> dict[str, Any]:
    """Write mask, report and, when kept, probabilities into `out`; return the completed report.

    Files that exist are kept and the new ones get a number, unless `replace` is given.
    """
    from napari_tumorseg.io.atomic import atomic_write, make_folder

    place = (lambda path: path) if replace else unused
    volume = case.timepoints[timepoint].volumes[result.reference]
    make_folder(out)
    name = suggested_name(case.name, volume, result.mask.review.value)
    stem, suffix = name.split(".", 1)
    wanted = ending.lstrip(".") or suffix
    mask_path = save_mask(result.mask, volume, place(out / f"{stem}.{wanted}"), replace=replace)
    document = {**document, "mask": str(mask_path)}
    if result.prediction.probabilities:
        from napari_tumorseg.core.volume import Volume
        from napari_tumorseg.io.registry import write_image

        document["probabilities"] = {}
        for region, values in result.prediction.probabilities.items():
            image = Volume(values.astype("float32"), result.mask.grid, name=f"probability of {region}", source=volume.source)
            document["probabilities"][region] = str(write_image(place(out / f"{case.name}-probability-{region}.nii.gz"), image))
    with atomic_write(place(out / f"{case.name}-report.json")) as temporary:
        temporary.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return document


def unused(path: Path) -> Path:
    """Return `path`, or the first of ``NAME-2``, ``NAME-3`` … that does not exist."""
    stem, dot, suffix = path.name.partition(".")
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{stem}-{number}{dot}{suffix}")
    return path
