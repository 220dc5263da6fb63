"""The images of a study's cases: which files they are, and how they are found again after they were moved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.annotation.study.recode import fingerprint
from napari_tumorseg.core.case import Case, MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.store import StudyStore

__all__ = ["case_fingerprint", "find_again", "image_files", "reference_name"]


def image_files(folder: Path) -> tuple[Path, ...]:
    """Return the image files of a case's folder, without the masks beside them; raise `InputError` where there are none."""
    from napari_tumorseg.io.modality import is_mask_name
    from napari_tumorseg.io.visits import find_visits

    found: list[Path] = []
    for visit in find_visits([folder]):
        found += [path for path in visit.files if not is_mask_name(path)]
        found += [path for stack in visit.stacks for path in sorted(stack.iterdir()) if path.is_file()]
        found += visit.dicom_images
    if not found:
        raise InputError("A case's folder holds no image.", "Name a folder with one folder for each case.")
    return tuple(found)


def case_fingerprint(folder: Path) -> str:
    """Return what identifies a case by the content of its images, whatever the files are called."""
    return fingerprint(image_files(folder))


def find_again(study: StudyStore, folder: Path, progress: Progress | None = None) -> int:
    """Find a study's cases below a folder by their content, and remember where they are; return how many were found.

    Raises
    ------
    InputError
        If none of them is there.
    """
    from napari_tumorseg.annotation.study.folder import relative_location
    from napari_tumorseg.workflows.queue import find_cases

    progress = progress or Progress()
    codes = {print_: code for code, (_, print_, _) in study.cases.items()}
    folders, count = find_cases(folder), 0
    for number, case in enumerate(folders):
        progress.update(number / len(folders), "Looking at the images")
        code = codes.get(case_fingerprint(case))
        if code is not None:
            study.move_case(code, relative_location(case, study.files) if study.files is not None else case.resolve().as_posix())
            count += 1
    if not count:
        raise InputError(f"None of the study's cases is in {folder}.", "Name the folder that holds their folders.")
    return count


def reference_name(case: Case, mask: MaskVersion | None = None) -> str:
    """Return which image a mask of a case is drawn on: the one with contrast agent where there is one, on the grid of `mask`.

    Raises
    ------
    InputError
        If no image is on the grid of the mask.
    """
    volumes: Mapping[str, Any] = case.latest.volumes
    fitting = [name for name, volume in volumes.items() if mask is None or volume.grid.matches(mask.grid)]
    if not fitting:
        raise InputError(f"The mask of case {case.name} is on the grid of none of its images.", "Make it on the grid of one of them.")
    return "T1c" if "T1c" in fitting else fitting[0]
