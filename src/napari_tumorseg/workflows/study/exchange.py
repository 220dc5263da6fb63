"""``tumorseg study status|verify|pack|merge|lock|exclude``: how far a study is, whether it is whole, and packages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["PackRequest", "exclude_task", "merge_package", "pack_study", "study_status", "verify_study"]


@dataclass(frozen=True)
class PackRequest:
    """What is packed.

    Attributes
    ----------
    study : str
        Folder of the study, or of its offline part.
    out : Path, optional
        File to write; None to call a package back.
    person : str
        Whose tasks; "" in an offline part, of which the results are packed.
    images : bool
        Whether the images go along, under the codes of their cases.
    recall : str
        A package that was lost, whose tasks are taken back.
    """

    study: str
    out: Path | None = None
    person: str = ""
    images: bool = True
    recall: str = ""


def study_status(study: str, files: Path | None = None) -> dict[str, Any]:
    """Return how far a study is; nothing by arm."""
    from napari_tumorseg.annotation.study.store import StudyStore

    with StudyStore.open(study, files=files) as opened:
        return opened.status()


def verify_study(study: str, head: str = "", files: Path | None = None) -> dict[str, Any]:
    """Check everything that a study has written.

    Returns
    -------
    dict
        ``ok``, ``problems`` (each with ``where``, ``what``, ``severe``), ``audit_entries`` and ``audit_head``.
    """
    from napari_tumorseg.annotation.study.store import StudyStore

    with StudyStore.open(study, files=files) as opened:
        problems = opened.verify(head)
        seq, last = opened.audit_head
    return {
        "ok": not any(problem.severe for problem in problems),
        "problems": [{"where": p.where, "what": p.what, "severe": p.severe, "text": str(p)} for p in problems],
        "audit_entries": seq,
        "audit_head": last,
    }


def pack_study(request: PackRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Write one person's tasks, or what was done of them, into a signed package; or call one back.

    Returns
    -------
    dict
        ``package``, ``person``, ``tasks`` and ``file``.

    Raises
    ------
    InputError
        If images are DICOM, whose headers hold the patient's name, and should go along.
    """
    from napari_tumorseg.annotation.study.package import pack, pack_answer, recall
    from napari_tumorseg.annotation.study.store import StudyStore
    from napari_tumorseg.io.atomic import atomic_write

    progress = progress or Progress()
    with StudyStore.open(request.study) as study:
        if request.recall:
            return {"package": request.recall, "person": None, "tasks": recall(study, request.recall), "file": None}
        if request.out is None:
            raise InputError("No file to write was named.", "Give --out FILE.zip.")
        if request.out.exists():
            raise InputError(f"{request.out} exists.", "Choose another name; packages are never replaced.")
        progress.update(0.1, "Packing")
        with atomic_write(request.out) as part:
            if not request.person:
                done = pack_answer(study, part)
            else:
                done = pack(study, request.person, part, _images(study) if request.images else None)
        return {**done, "file": str(request.out)}


def merge_package(study: str, package: Path, files: Path | None = None) -> dict[str, Any]:
    """Take back what was done with a package; see `annotation.study.merge`."""
    from napari_tumorseg.annotation.study.merge import merge
    from napari_tumorseg.annotation.study.store import StudyStore

    with StudyStore.open(study, files=files) as opened:
        return merge(opened, package)


def exclude_task(study: str, task: int, reason: str, by: str, files: Path | None = None) -> dict[str, Any]:
    """Leave a task out of the analysis, with a reason."""
    from napari_tumorseg.annotation.study.store import StudyStore

    with StudyStore.open(study, files=files) as opened:
        opened.exclude(task, reason, by)
    return {"task": task, "reason": reason}


def _images(study: StudyStore) -> dict[str, Sequence[tuple[str, Path]]]:
    """Return the image files of each case with names that say the sequence and nothing else."""
    from napari_tumorseg.annotation.study.folder import located
    from napari_tumorseg.io.formats import format_of
    from napari_tumorseg.io.modality import guess_modality
    from napari_tumorseg.io.names import suffix_of
    from napari_tumorseg.workflows.study.images import image_files

    found: dict[str, Sequence[tuple[str, Path]]] = {}
    for code, (location, _, _) in study.cases.items():
        folder = located(location, study.files)
        if not folder.exists():
            raise InputError(
                f"The images of case {code} are not where the study has them.",
                "Name their folder: tumorseg study assign STUDY --cases FOLDER.",
            )
        named: list[tuple[str, Path]] = []
        for number, path in enumerate(image_files(folder), 1):
            # Headers that name another file would lose it under its new name.
            if format_of(path) not in ("nifti", "nrrd", "mha") or suffix_of(path) in (".mhd", ".nhdr"):
                raise InputError(
                    f"The images of case {code} are {format_of(path)}, whose headers may name the patient.",
                    "Pack with --no-images, and give the images in another way; or make the study of NIfTI files (tumorseg convert).",
                )
            modality = guess_modality(path.name)
            named.append((f"{modality or f'image-{number}'}{suffix_of(path)}", path))
        if len({name for name, _ in named}) != len(named) or any(path.parent != folder for _, path in named):
            raise InputError(f"Case {code} has several visits, or several images of one sequence.", "Pack with --no-images.")
        found[code] = named
    return found
