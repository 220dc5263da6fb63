"""What can be measured, each as a form to fill in, a result, and a section of a report.

The window lists `MEASURES`, shows the form of the one that is chosen and runs it; the page is written from the same result.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.labels import remap_values
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.evaluation.segmentation.match_map import match_map
from napari_tumorseg.evaluation.segmentation.profiles import Profile, profile_named
from napari_tumorseg.workflows.measure_forms import (
    MaskFiles,
    MaskFolders,
    ModelFolders,
    OpenMasks,
    OpenPet,
    QuantityTable,
    RaterFolder,
    VisitFiles,
    VisitFolder,
)
from napari_tumorseg.workflows.report.section import Section

__all__ = ["MEASURES", "Measure", "MeasureResult", "facts_of", "map_matches", "measure_open_masks", "measure_open_pet"]

#: Labels of BraTS since 2023 that are in no region of their own.
_BRATS_NAMES = {1: "NETC", 2: "SNFH", 3: "ET", 4: "RC"}


@dataclass(frozen=True)
class MeasureResult:
    """What was measured.

    Attributes
    ----------
    document : dict
        As the command line prints it.
    section : Section
        The same for people.
    """

    document: dict[str, Any]
    section: Section


@dataclass(frozen=True)
class Measure:
    """Something that can be measured.

    Attributes
    ----------
    title : str
        What the user reads.
    start : object
        A frozen dataclass: the form as it stands at first.
    run : callable, optional
        Takes the form and a `Progress`; None for what is measured on what is open, see `measure_open_masks`.
    """

    title: str
    start: Any
    run: Callable[[Any, Progress], MeasureResult] | None = None


def _in_values_of(profile: Profile, mask: MaskVersion, name: str, reference: MaskVersion) -> MaskVersion:
    """Return a mask with the values by which the profile, or for one without regions the reference, knows its labels.

    A mask of BraTS 2018 has 4 for enhancing tumour, which is the resection cavity since 2023: open masks know the names of their
    labels, so nothing needs to be guessed.
    """
    known = _names_of(profile) or {label.name: label.value for label in reference.schema.labels}
    present = {int(v) for v in np.unique(mask.labels)} - {0}
    values = {}
    for label in mask.schema.labels:
        if label.name in known:
            values[label.value] = known[label.name]
        elif label.value in present:
            raise InputError(
                f"{name} has the label {label.name}, which {profile.name if profile.regions else 'the reference'} does not know.",
                f"It knows {', '.join(known)}.",
            )
    changed = {old: new for old, new in values.items() if old != new}
    return replace(mask, labels=remap_values(mask.labels, changed)) if changed else mask


def _names_of(profile: Profile) -> dict[str, int]:
    if not profile.regions:
        return {}
    single = {values[0]: name for name, values in profile.regions.items() if len(values) == 1}
    return {single.get(value, _BRATS_NAMES.get(value, "")): value for value in sorted(profile.values)}


def measure_open_masks(form: OpenMasks, reference: MaskVersion, prediction: MaskVersion, progress: Progress | None = None) -> MeasureResult:
    """Score one open mask against another.

    Raises
    ------
    InputError
        If they are one mask, or hold values that the profile does not know.
    GeometryError
        If they are not on one grid.
    """
    from napari_tumorseg.evaluation.segmentation.score import score_case
    from napari_tumorseg.workflows.report.scores import score_section

    if form.reference == form.prediction:
        raise InputError("Reference and test are the same mask.", "Choose two masks.")
    progress = progress or Progress()
    reference, placed = _both(form, reference, prediction)
    progress.update(0.2, f"Scoring {form.prediction}")
    names = (form.reference, form.prediction)
    scores = score_case(reference.labels, placed.labels, reference.grid.spacing_mm, form.profile, grid=reference.grid, names=names)
    progress.update(1.0, "Done")
    document = {**scores, "reference": form.reference, "prediction": form.prediction, "warnings": []}
    return MeasureResult(document, score_section(document))


def _both(form: OpenMasks, reference: MaskVersion, prediction: MaskVersion) -> tuple[MaskVersion, MaskVersion]:
    """Return both masks on the reference's grid, with the profile's values."""
    from napari_tumorseg.workflows.evaluate import on_grid

    profile = profile_named(form.profile)
    placed, _ = on_grid(prediction, reference.grid, form.prediction, form.reference)
    return _in_values_of(profile, reference, form.reference, reference), _in_values_of(profile, placed, form.prediction, reference)


def map_matches(form: OpenMasks, reference: MaskVersion, prediction: MaskVersion, region: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return how the lesions of a region match, on the reference's grid: see `match_map`; missed and false ones are hatched.

    Missed lesions show two of four diagonal layers of voxels, false ones every other voxel, so that none is told by colour alone.
    """
    reference, placed = _both(form, reference, prediction)
    found = match_map(reference.labels, placed.labels, form.profile, region)
    z, y, x = np.nonzero(found > 1)
    values = found[z, y, x]
    diagonal = z + y + x
    hidden = np.where(values == 2, diagonal % 4 > 1, diagonal % 2 == 1)
    found[z[hidden], y[hidden], x[hidden]] = 0
    return found


def measure_open_pet(pet: Volume, mask: MaskVersion, progress: Progress | None = None) -> MeasureResult:
    """Measure the lesions of an open PET; a mask on another grid is carried over to the PET's."""
    from napari_tumorseg.workflows.quantify import QuantifyRequest, quantify_volume
    from napari_tumorseg.workflows.report.pet import pet_section

    document = quantify_volume(pet, mask, QuantifyRequest(Path(), Path(), resample=True), progress)
    return MeasureResult(document, pet_section(document))


def _files(form: MaskFiles | MaskFolders, progress: Progress) -> MeasureResult:
    from napari_tumorseg.workflows.evaluate import EvaluateRequest, evaluate
    from napari_tumorseg.workflows.report.scores import score_section

    request = EvaluateRequest(_given(form.reference, "reference"), _given(form.prediction, "test"), form.profile, form.resample)
    document = evaluate(request, progress)
    return MeasureResult(document, score_section(document))


def _models(form: ModelFolders, progress: Progress) -> MeasureResult:
    from napari_tumorseg.workflows.compare_models import CompareRequest, compare_models
    from napari_tumorseg.workflows.report.comparison import comparison_section

    models = [_given(form.model_a, "model A"), _given(form.model_b, "model B")]
    if form.model_c != Path():
        models.append(form.model_c)
    document = compare_models(CompareRequest(_given(form.references, "references"), tuple(models), form.profile), progress)
    return MeasureResult(document, comparison_section(document))


def _raters(form: RaterFolder, progress: Progress) -> MeasureResult:
    from napari_tumorseg.workflows.raters import RatersRequest, raters
    from napari_tumorseg.workflows.report.raters import rater_section

    document = raters(RatersRequest(_given(form.source, "folder")), progress)
    return MeasureResult(document, rater_section(document))


def _agree(form: QuantityTable, progress: Progress) -> MeasureResult:
    from napari_tumorseg.workflows.agree import AgreeRequest, agree
    from napari_tumorseg.workflows.report.agreement import agreement_section

    document = agree(AgreeRequest(_given(form.table, "table"), form.reference, form.test, form.patient), progress)
    return MeasureResult(document, agreement_section(document))


def _over_time(form: VisitFiles | VisitFolder, progress: Progress) -> MeasureResult:
    from napari_tumorseg.workflows.report.response import response_section
    from napari_tumorseg.workflows.response import ResponseRequest, respond

    if isinstance(form, VisitFolder):
        masks: tuple[Path, ...] = (_given(form.folder, "folder"),)
    else:
        later = [path for path in (form.followup_1, form.followup_2, form.followup_3) if path != Path()]
        masks = (_given(form.baseline, "baseline"), *(later or [_given(form.followup_1, "follow-up")]))
    document = respond(ResponseRequest(masks), progress)
    return MeasureResult(document, response_section(document))


def _given(path: Path, what: str) -> Path:
    if path == Path():
        raise InputError(f"The {what} is not chosen yet.", "Choose it with the button beside the line.")
    return path


MEASURES: tuple[Measure, ...] = (
    Measure("Masks that are open", OpenMasks()),
    Measure("Masks on disk", MaskFiles(), _files),
    Measure("Folders of masks", MaskFolders(), _files),
    Measure("Models against each other", ModelFolders(), _models),
    Measure("Raters", RaterFolder(), _raters),
    Measure("Agreement of two columns", QuantityTable(), _agree),
    Measure("PET that is open", OpenPet()),
    Measure("Over time, masks", VisitFiles(), _over_time),
    Measure("Over time, folder of visits", VisitFolder(), _over_time),
)


def facts_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what one needs to make a result again: files, constants, settings and versions.

    Examples
    --------
    >>> facts = facts_of({"profile": "plain", "constants": {"version": "1"}, "lesions": []})
    >>> facts["profile"], facts["constants"], "lesions" in facts
    ('plain', {'version': '1'}, False)
    """
    wanted = (
        "reference",
        "prediction",
        "references",
        "source",
        "table",
        "pet",
        "mask",
        "region",
        "rules",
        "profile",
        "constants",
        "settings",
        "bootstrap",
    )
    packages = ("napari-tumorseg", "numpy", "scipy", "SimpleITK", "statsmodels")
    return {
        **{name: document[name] for name in wanted if name in document},
        "versions": {**{name: version(name) for name in packages}, "Python": platform.python_version()},
    }
