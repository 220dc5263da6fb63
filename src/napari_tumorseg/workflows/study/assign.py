"""``tumorseg study assign``: people, masks of a model, and the tasks that the protocol asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.case import Case, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.planted import PlantedError
    from napari_tumorseg.annotation.study.records import Person
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["AssignRequest", "assign", "parse_person"]


@dataclass(frozen=True)
class AssignRequest:
    """Who works on a study, and what masks they begin with.

    Attributes
    ----------
    study : str
        Folder, or URL of the database.
    people : tuple of Person
        New people.
    model : str
        Model of the catalogue that pre-segments the cases.
    device : str
        "auto", "cpu" or "cuda".
    ai_masks : Path, optional
        Folder of masks that a model has made, each named as its case's folder or with that name at its start.
    cases : Path, optional
        Folder in which cases that were moved are found again.
    files : Path, optional
        See `StudyStore.open`.
    tasks : bool
        Whether the tasks are made now; they are made once.
    """

    study: str
    people: tuple[Person, ...] = ()
    model: str = ""
    device: str = "auto"
    ai_masks: Path | None = None
    cases: Path | None = None
    files: Path | None = None
    tasks: bool = True


def parse_person(text: str) -> Person:
    """Return the person that ``ID:ROLE[+ROLE][:EXPERTISE]`` describes.

    Examples
    --------
    >>> parse_person("N1:neuroradiologist+approver:12 years")
    Person(id='N1', roles=('neuroradiologist', 'approver'), expertise='12 years')
    """
    from napari_tumorseg.annotation.study.records import Person

    name, _, rest = text.partition(":")
    roles, _, expertise = rest.partition(":")
    if not name or not roles:
        raise InputError(f"{text!r} describes nobody.", "Write ID:ROLE, e.g. --person R1:rater or --person R1:rater:neuroradiologist.")
    return Person(name, tuple(roles.split("+")), expertise)


def assign(request: AssignRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Add people, pre-segment cases that have no AI mask yet, and make the tasks.

    Returns
    -------
    dict
        ``people``, ``ai_masks``, ``tasks`` (made now) and ``found`` (cases found again).

    Raises
    ------
    InputError
        If people, masks or the model cannot be used.
    ModelError
        If the model is missing.
    """
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.workflows.study.images import find_again

    progress = progress or Progress()
    if request.model and request.ai_masks is not None:
        raise InputError("Both --model and --ai-masks are given.", "AI masks come from one of them.")
    with StudyStore.open(request.study, files=request.files) as study:
        found = find_again(study, request.cases, progress.part(0.0, 0.1)) if request.cases is not None else 0
        if request.people:
            study.add_people(request.people)
        masks = 0
        if request.model:
            masks = _run_model(study, request, progress.part(0.1, 0.9))
        elif request.ai_masks is not None:
            masks = _read_masks(study, request.ai_masks, progress.part(0.1, 0.9))
        # To find cases that were moved is no reason to begin.
        wanted = request.tasks and bool(request.people or request.model or request.ai_masks is not None or request.cases is None)
        tasks = study.make_tasks(_planter(study)) if wanted else 0
        return {"people": len(request.people), "ai_masks": masks, "tasks": tasks, "found": found}


def _folder(study: StudyStore, code: str) -> Path:
    from napari_tumorseg.annotation.study.folder import located

    folder = located(study.cases[code][0], study.files)
    if not folder.exists():
        raise InputError(
            f"The images of case {code} are not where the study has them.", "Name their folder: tumorseg study assign STUDY --cases FOLDER."
        )
    return folder


def _without_mask(study: StudyStore) -> list[str]:
    have = study.ai_cases
    return [code for code in study.cases if code not in have]


def _run_model(study: StudyStore, request: AssignRequest, progress: Progress) -> int:
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.workflows.models import open_catalogue
    from napari_tumorseg.workflows.segment import SegmentRequest, segment_case

    catalogue = open_catalogue()
    spec = catalogue.spec(request.model)  # a misspelt name is found before minutes of reading
    codes = _without_mask(study)
    if not codes:
        return 0
    if spec.schema.name != study.protocol.schema:
        raise InputError(
            f"{request.model} makes masks with the labels of {spec.schema.name}.",
            f"The study's are {study.protocol.schema}; choose another model.",
        )
    model = catalogue.load(request.model, progress.part(0.0, 0.1))
    for number, code in enumerate(codes):
        part = progress.part(0.1 + 0.9 * number / len(codes), 0.1 + 0.9 * (number + 1) / len(codes))
        case = read_case(_folder(study, code))
        began = time.perf_counter()
        result = segment_case(case, model, SegmentRequest(request.model, request.device), part)
        facts = {
            "seconds": round(time.perf_counter() - began, 3),
            "model": request.model,
            "version": spec.version,
            "weights_sha256": {weight.name: weight.sha256 for weight in spec.weights},
        }
        study.add_ai_mask(code, replace(result.mask, author=request.model), facts)
    return len(codes)


def _read_masks(study: StudyStore, folder: Path, progress: Progress) -> int:
    from napari_tumorseg.core.labels import preset
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.io.registry import read_mask
    from napari_tumorseg.workflows.study.images import reference_name

    codes = _without_mask(study)
    for number, code in enumerate(codes):
        progress.update(number / len(codes), f"Reading the AI mask of case {number + 1} of {len(codes)}")
        place = _folder(study, code)
        path = _mask_of(folder, place.name, code)
        mask = read_mask(path, schema=preset(study.protocol.schema))
        case = replace(read_case(place), name=code)
        reference_name(case, mask)
        study.add_ai_mask(code, replace(mask, author=mask.author or "given mask", header={}), {"given": True})
    return len(codes)


def _mask_of(folder: Path, name: str, code: str) -> Path:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Name the folder of the AI masks.")
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and _names(path.name, name)]
    if len(found) != 1:
        raise InputError(
            f"{len(found)} files in {folder.name} are named after the folder of case {code}.",
            "Name each mask as its case's folder, e.g. CASE-001.nii.gz.",
        )
    return found[0]


def _names(file: str, case: str) -> bool:
    # "case-1" begins "case-10" and is not its name.
    return file.startswith(case) and not file[len(case) : len(case) + 1].isalnum()


def _planter(study: StudyStore) -> Callable[[str, MaskVersion, str, int], tuple[MaskVersion, PlantedError]]:
    """Return what puts errors into masks; images are read where a vessel is looked for."""
    from napari_tumorseg.annotation.study.planted import plant
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.workflows.study.images import reference_name

    def put(code: str, mask: MaskVersion, kind: str, seed: int) -> tuple[MaskVersion, PlantedError]:
        image = None
        if kind == "vessel":
            case: Case = read_case(_folder(study, code))
            image = case.latest.volumes[reference_name(case, mask)].data
        labels, error = plant(mask.labels, mask.grid, mask.schema, kind, seed, image=image, shift_mm=study.protocol.planted.shift_mm)
        return replace(mask, labels=labels), error

    return put
