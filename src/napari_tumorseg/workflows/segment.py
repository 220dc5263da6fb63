"""Pre-segment a case with a model of the catalogue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion, Review, TimePoint
from napari_tumorseg.core.errors import InputError, ModelError
from napari_tumorseg.core.grid import Grid
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.core.segmenter import Input, Prediction, Prompt, Segmenter, SegmenterSpec
from napari_tumorseg.core.volume import Volume

__all__ = ["Fitness", "SegmentRequest", "SegmentResult", "case_fitness", "segment_case", "warnings_for"]


@dataclass(frozen=True)
class SegmentRequest:
    """What to segment, with what, and how.

    Attributes
    ----------
    model : str
        Name in the catalogue.
    device : str
        "auto", "cpu" or "cuda".
    probabilities : bool
        Whether region probabilities are kept with the result.
    text : str
        Text prompt, for models that take one.
    prompts : tuple of Prompt
        Spatial prompts, for models that take them.
    timepoint : int
        Index of the time point; -1 for the latest.
    """

    model: str
    device: str = field(default="auto", metadata={"choices": ("auto", "cpu", "cuda")})
    probabilities: bool = field(default=False, metadata={"label": "Keep probabilities"})
    text: str = field(default="", metadata={"label": "Text prompt"})
    prompts: tuple[Prompt, ...] = ()
    timepoint: int = -1


@dataclass(frozen=True)
class Fitness:
    """Whether a case has what a model needs.

    Attributes
    ----------
    ready : bool
        Whether the model can run on the case.
    missing : tuple of str
        Required modalities that the case lacks.
    absent : tuple of str
        Optional modalities that the case lacks.
    reason : str
        One line for the user; empty when there is nothing to say.
    """

    ready: bool
    missing: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """A mask on the grid of the reference image, and what is known about it.

    Attributes
    ----------
    mask : MaskVersion
        Kind AI, not reviewed, on the reference image's own grid.
    prediction : Prediction
        What the model returned.
    reference : str
        Name of the volume whose grid the mask has.
    regions_ml : mapping of str to float
        Volume of each region of the schema in mL.
    lesions : tuple of Lesion
        Connected parts of the schema's lesion region.
    seconds : mapping of str to float
        Time by stage, "total" included.
    notes : tuple of str
        What the user should know: limits of the model, what was missing, what the readers noticed,
        where it ran.
    """

    mask: MaskVersion
    prediction: Prediction
    reference: str
    regions_ml: Mapping[str, float]
    lesions: tuple[Lesion, ...]
    seconds: Mapping[str, float]
    notes: tuple[str, ...] = field(default_factory=tuple)


def case_fitness(case: Case, spec: SegmenterSpec, timepoint: int = -1) -> Fitness:
    """Say whether a time point of `case` has the images that a model needs."""
    have = case.timepoints[timepoint].volumes
    missing = tuple(n.modality for n in spec.inputs if n.required and n.modality not in have)
    absent = tuple(n.modality for n in spec.inputs if not n.required and n.modality not in have)
    if missing:
        return Fitness(False, missing, absent, f"This case lacks {_and(missing)}, which {spec.name} needs.")
    if len(absent) == len(spec.inputs):
        return Fitness(False, absent, absent, f"This case has none of {_and(spec.modalities)}.")
    reason = f"Without {_and(absent)} the result will be less sure." if absent else ""
    return Fitness(True, (), absent, reason)


def _and(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def warnings_for(spec: SegmenterSpec) -> tuple[str, ...]:
    """Return the limits of a model in the user's words, its licence among them."""
    licence = (
        () if spec.commercial_use else (f"The licence of {spec.name} ({spec.licence or 'none named'}) does not allow commercial use.",)
    )
    return (*spec.warnings, *licence)


def reference_volume(point: TimePoint, spec: SegmenterSpec) -> tuple[str, Volume]:
    """Return the volume whose grid the mask gets.

    Tumours are drawn on the contrast-enhanced T1 where there is one; else on the model's first
    image that the case has.
    """
    wanted = [m for m in ("T1c", *spec.modalities) if m in spec.modalities and m in point.volumes]
    if not wanted:
        raise InputError("The case has none of the images that the model takes.", f"{spec.name} takes {', '.join(spec.modalities)}.")
    return wanted[0], point.volumes[wanted[0]]


def on_grid(volume: Volume, grid: Grid) -> npt.NDArray[np.float32]:
    """Return the values of `volume` (z, y, x) float32 at the voxels of `grid`.

    Volumes on other grids are interpolated linearly, smoothed first where `grid` is coarser; outside
    their field of view the result is 0.
    """
    if volume.channels or np.iscomplexobj(volume.data):
        raise InputError(f"{volume.name or volume.modality} is a colour or complex image.", "Choose a plain image for this sequence.")
    if volume.grid.matches(grid):
        return np.ascontiguousarray(volume.data, dtype=np.float32)
    from napari_tumorseg.inference.resample import resample

    return resample(np.asarray(volume.data, np.float32), volume.grid, grid)


def segment_case(
    case: Case,
    model: Segmenter,
    request: SegmentRequest | None = None,
    progress: Progress | None = None,
) -> SegmentResult:
    """Run a model on one time point of a case.

    Parameters
    ----------
    case : Case
        The images; those on other grids are resampled to the reference image for the model.
    model : Segmenter
        From `Catalogue.load`.
    request : SegmentRequest, optional
        Device, prompts, what to keep; the defaults otherwise.
    progress : Progress, optional
        Told how far it is; asked whether to stop.

    Returns
    -------
    SegmentResult
        Mask on the grid of the reference image.

    Raises
    ------
    InputError
        If the case lacks what the model needs.
    ModelError
        If the model's answer cannot be used.
    Cancelled
        If the user stopped it.
    """
    from napari_tumorseg.evaluation.lesions import find_lesions, region_volumes_ml

    spec = model.spec
    request = request or SegmentRequest(spec.name)
    progress = progress or Progress()
    fitness = case_fitness(case, spec, request.timepoint)
    if not fitness.ready:
        raise InputError(fitness.reason, "Add the images, or choose a model that does without.")
    started = time.perf_counter()
    point = case.timepoints[request.timepoint]
    reference, volume = reference_volume(point, spec)
    progress.update(0.0, "Bringing the images to one grid")
    images = {m: on_grid(point.volumes[m], volume.grid) for m in spec.modalities if m in point.volumes}
    given = Input(images, volume.grid, request.prompts, request.text)
    prepared = time.perf_counter()
    prediction = model.predict(given, device=request.device, probabilities=request.probabilities, progress=progress.part(0.05, 0.95))
    if prediction.labels.shape != volume.grid.shape:
        raise ModelError(f"{spec.name} returned a mask of {prediction.labels.shape}.", "The model does not fit; tell who made it.")
    spec.schema.check(prediction.labels, f"The mask of {spec.name}")
    predicted = time.perf_counter()
    progress.update(0.96, "Listing the lesions")
    regions = region_volumes_ml(prediction.labels, volume.grid, spec.schema)
    lesions = find_lesions(prediction.labels, volume.grid, spec.schema)
    mask = MaskVersion(
        prediction.labels,
        volume.grid,
        spec.schema,
        MaskKind.AI,
        f"{spec.name} {spec.version}",
        Review.NOT_REVIEWED,
    )
    done = time.perf_counter()
    seconds = {"resample": prepared - started, **prediction.seconds, "model": predicted - prepared, "lesions": done - predicted}
    read = tuple(dict.fromkeys(w for modality in images for w in point.volumes[modality].warnings))
    notes = (*warnings_for(spec), *((fitness.reason,) if fitness.reason else ()), *read, *prediction.notes)
    progress.update(1.0, "Done")
    return SegmentResult(mask, prediction, reference, regions, lesions, {**seconds, "total": done - started}, notes)


def report(result: SegmentResult, spec: SegmenterSpec, mask_path: Path | None) -> dict[str, Any]:
    """Return the JSON document of `tumorseg segment`.

    Keys: "mask", "model", "version", "device", "reference", "review", "seconds" (by stage),
    "regions_ml", "lesions" (rows of `core.lesion.Lesion`), "warnings", "notice".
    """
    from dataclasses import asdict

    from napari_tumorseg.core.settings import RESEARCH_USE_ONLY

    return {
        "mask": str(mask_path) if mask_path else None,
        "model": spec.name,
        "version": spec.version,
        "device": result.prediction.device,
        "reference": result.reference,
        "review": result.mask.review.value,
        "seconds": {k: round(v, 3) for k, v in result.seconds.items()},
        "regions_ml": {k: round(v, 4) for k, v in result.regions_ml.items()},
        "lesions": [asdict(lesion) for lesion in result.lesions],
        "warnings": list(result.notes),
        "notice": RESEARCH_USE_ONLY,
    }
