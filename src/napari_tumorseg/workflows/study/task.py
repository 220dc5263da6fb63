"""One task of a study: handed out, its images and mask opened as the protocol says, and its result given back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_tumorseg.core.case import Case, MaskKind, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.records import StudyTask
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["NextRequest", "OpenTask", "SubmitRequest", "change_facts", "next_task", "open_task", "submit_task"]


@dataclass(frozen=True)
class NextRequest:
    """Who asks for a task.

    Attributes
    ----------
    study : str
        Folder, or URL of the database.
    person : str
        Who.
    out : Path, optional
        Folder into which the task's ticket and the mask to begin with are written.
    peek : bool
        Only say what comes next; nothing is taken.
    files : Path, optional
        See `StudyStore.open`.
    """

    study: str
    person: str
    out: Path | None = None
    peek: bool = False
    files: Path | None = None


@dataclass(frozen=True)
class SubmitRequest:
    """A result that was made with another program.

    Attributes
    ----------
    study : str
        Folder, or URL of the database.
    ticket : Path
        What `next_task` wrote.
    mask : Path
        File of the mask.
    decision : str
        "submit", or "accept" or "return" where the step decides.
    comments : tuple of (tuple of int, str)
        Voxel (z, y, x) and text.
    answers : mapping of str to int
        To the protocol's questions.
    files : Path, optional
        See `StudyStore.open`.
    """

    study: str
    ticket: Path
    mask: Path
    decision: str = "submit"
    comments: tuple[tuple[tuple[int, int, int], str], ...] = ()
    answers: Mapping[str, int] = field(default_factory=dict)
    files: Path | None = None


@dataclass(frozen=True, eq=False)
class OpenTask:
    """A task as it is shown.

    Attributes
    ----------
    task : StudyTask
        What is to be done.
    case : Case
        The images under their code, without masks and dates.
    mask : MaskVersion
        What to begin with; empty where the task is from scratch.
    sequence : str
        Name of the image that the mask is drawn on.
    fingerprint : str
        Of the images that were read, for `Submission`.
    """

    task: StudyTask
    case: Case
    mask: MaskVersion
    sequence: str
    fingerprint: str


def open_task(study: StudyStore, task: StudyTask, progress: Progress | None = None) -> OpenTask:
    """Read the images of a task and the mask that it begins with.

    Raises
    ------
    InputError
        If the images are not there, or are not those that the study was made with.
    """
    from napari_tumorseg.annotation.study.recode import recoded_case
    from napari_tumorseg.core.labels import preset
    from napari_tumorseg.io.cases import read_case
    from napari_tumorseg.workflows.study.images import case_fingerprint, reference_name

    progress = progress or Progress()
    folder = study.case_folder(task)
    found = case_fingerprint(folder)
    if found != task.fingerprint:
        raise InputError(f"The images of task {task.code} are not those that the study was made with.", "Bring the original files back.")
    case = recoded_case(read_case(folder, progress=progress), task.code)
    start = study.start_mask(task)
    sequence = reference_name(case, start)
    if start is None:
        grid = case.latest.volumes[sequence].grid
        start = MaskVersion(np.zeros(grid.shape, np.uint8), grid, preset(study.protocol.schema), MaskKind.RATER)
    return OpenTask(task, case, start, sequence, found)


def change_facts(before: MaskVersion | None, after: MaskVersion) -> dict[str, Any]:
    """Return what a person changed in the mask that they began with.

    Parameters
    ----------
    before, after : MaskVersion
        On one grid; `before` is None where the mask was drawn from scratch.

    Returns
    -------
    dict
        ``voxels_added``, ``voxels_removed``, ``voxels_relabelled``, ``dice_with_start`` (of everything that is tumour, None without
        a start), ``unmodified``, ``lesions``; ``lesions_added`` and ``lesions_deleted`` (that touch nothing of the other mask), and
        ``lesions_accepted_unmodified`` (voxel by voxel the same).
    """
    new = after.labels
    old = np.zeros_like(new) if before is None else before.labels
    was, now = old > 0, new > 0
    both, total = int((was & now).sum()), int(was.sum()) + int(now.sum())
    region = after.schema.lesion_region
    mine, theirs = after.schema.region_mask(new, region), after.schema.region_mask(old, region)
    added, _, count = _lesions(mine, theirs, None)
    deleted, same, _ = _lesions(theirs, mine, old == new)
    return {
        "voxels_added": int((~was & now).sum()),
        "voxels_removed": int((was & ~now).sum()),
        "voxels_relabelled": int((was & now & (old != new)).sum()),
        "dice_with_start": None if before is None else (1.0 if total == 0 else 2.0 * both / total),
        "unmodified": None if before is None else bool(np.array_equal(old, new)),
        "lesions": count,
        "lesions_added": added,
        "lesions_deleted": deleted,
        "lesions_accepted_unmodified": None if before is None else same,
    }


def _lesions(mask: Any, other: Any, equal: Any) -> tuple[int, int, int]:
    """Return how many lesions of a mask touch nothing of another, how many are the same in both, and how many there are."""
    from napari_tumorseg.voxels.parts import connected_parts

    parts, count = connected_parts(mask)
    touched = np.unique(parts[other & mask])
    same = 0
    if equal is not None and count:
        theirs, number = connected_parts(other)
        sizes, sizes_theirs = np.bincount(parts.ravel(), minlength=count + 1), np.bincount(theirs.ravel(), minlength=number + 1)
        for lesion in range(1, count + 1):
            inside = parts == lesion
            found = np.unique(theirs[inside])
            same += len(found) == 1 and found[0] > 0 and sizes[lesion] == sizes_theirs[found[0]] and bool(equal[inside].all())
    return count - int((touched > 0).sum()), int(same), count


def next_task(request: NextRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Hand a person their next task.

    Returns
    -------
    dict
        ``task`` (None when there is nothing now), ``why``, ``not_before_us``, ``resumed``; ``images``, ``start_mask`` and ``ticket``, files
        below `out` that are named by the code. Neither the arm nor where images and mask came from is told.
    """
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.io.atomic import atomic_write, make_folder
    from napari_tumorseg.io.registry import write_mask

    progress = progress or Progress()
    with StudyStore.open(request.study, files=request.files) as study:
        if request.peek:
            task = study.peek(request.person)
            return {"task": _told(task) if task else None, "why": "" if task else study.why_nothing(request.person), "taken": False}
        got = study.next_task(request.person)
        result: dict[str, Any] = {
            "task": _told(got.task) if got.task else None,
            "why": got.why,
            "not_before_us": got.not_before_us or None,
            "resumed": got.resumed,
            "taken": got.task is not None,
        }
        if got.task is None or request.out is None or got.lease is None:
            return result
        opened = open_task(study, got.task, progress)
        folder = make_folder(request.out / got.task.code)
        images = _write_images(opened, folder)
        mask = folder / "start.nii.gz"
        write_mask(mask, replace(opened.mask, header={}), reference=opened.case.latest.volumes[opened.sequence])
        ticket = folder / "ticket.json"
        with atomic_write(ticket) as part:
            part.write_text(json.dumps({"study": study.uid, "task": got.task.id, "lease": asdict(got.lease)}, indent=1), encoding="utf-8")
        return {**result, "images": [str(path) for path in images], "start_mask": str(mask), "ticket": str(ticket)}


def _told(task: StudyTask) -> dict[str, Any]:
    """Return a task for people: without the fingerprint, by which a repeat would be known."""
    return {name: value for name, value in asdict(task).items() if name != "fingerprint"}


def _write_images(opened: OpenTask, folder: Path) -> list[Path]:
    """Write the images of a task under names that say the sequence alone."""
    from napari_tumorseg.io.registry import write_image

    several = len(opened.case.timepoints) > 1
    return [
        write_image(folder / f"{f'visit-{number}-' if several else ''}{name.replace(' ', '-').replace('/', '-')}.nii.gz", volume)
        for number, point in enumerate(opened.case.timepoints, 1)
        for name, volume in point.volumes.items()
    ]


def submit_task(request: SubmitRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Take a mask that was made with another program as the result of a task.

    Returns
    -------
    dict
        ``task``, ``version``, ``facts`` (see `change_facts`) and ``questions`` that are still to be answered.
    """
    from napari_tumorseg.annotation.study.records import Comment, Lease, Submission
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.core.labels import preset
    from napari_tumorseg.io.registry import read_mask

    try:
        ticket = json.loads(request.ticket.read_text(encoding="utf-8"))
        number, lease, uid = int(ticket["task"]), Lease(**ticket["lease"]), ticket["study"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{request.ticket.name} is no ticket of a task.", "Name the file that tumorseg study next wrote.") from None
    with StudyStore.open(request.study, files=request.files) as study:
        if uid != study.uid:
            raise InputError(f"{request.ticket.name} is of another study.", "Submit to its own.")
        task = study.task(number)
        opened = open_task(study, task, progress)
        reference = opened.case.latest.volumes[opened.sequence]
        mask = read_mask(request.mask, schema=preset(study.protocol.schema), reference=reference)
        facts = change_facts(study.start_mask(task), mask)
        now = {q.name for q in study.protocol.questions if q.when == "submit"}
        comments = tuple(Comment(voxel, text) for voxel, text in request.comments)
        answers = {name: value for name, value in request.answers.items() if name in now}
        result = Submission(mask, opened.fingerprint, request.decision, answers, comments, facts=facts)
        receipt = study.submit(lease, result)
        later = {name: value for name, value in request.answers.items() if name not in now}
        if later:
            study.answer(task.id, lease.person, later)
        return {
            "task": task.id,
            "code": task.code,
            "version": receipt.version,
            "facts": facts,
            "questions": [name for name in receipt.questions if name not in later],
        }
