"""What belongs to which visit of a patient, as folders and files have it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.io import tiff
from napari_tumorseg.io.formats import Contents, format_of, look_into
from napari_tumorseg.io.names import natural_key

__all__ = ["NOTHING_HINT", "Visit", "date_of", "find_visits"]

#: What to do about a folder without an image.
NOTHING_HINT = "Choose a folder of NIfTI, NRRD, TIFF or DICOM files."

_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)(-?)(\d\d)\2(\d\d)(?!\d)")


@dataclass
class Visit:
    """The files of one visit.

    Attributes
    ----------
    date : datetime.date, optional
        From the folder's name.
    files : list of Path
        Images and masks other than DICOM.
    stacks : list of Path
        Folders whose TIFF files are the slices of one image.
    dicom_images, dicom_masks : list of Path
        DICOM files.
    """

    date: dt.date | None = None
    files: list[Path] = field(default_factory=list)
    stacks: list[Path] = field(default_factory=list)
    dicom_images: list[Path] = field(default_factory=list)
    dicom_masks: list[Path] = field(default_factory=list)

    @property
    def has_images(self) -> bool:
        """Whether there is anything besides DICOM masks."""
        return bool(self.files or self.stacks or self.dicom_images)

    def add_folder(self, folder: Path, contents: Contents) -> None:
        """Take over what a folder holds; its TIFF slices as one stack."""
        slices = [p for p in contents.files if format_of(p) == "tiff"]
        if len(slices) > 1 and tiff.is_stack(folder):
            self.stacks.append(folder)
        else:
            slices = []
        self.files += [p for p in contents.files if p not in slices]
        self.dicom_images += contents.dicom_images
        self.dicom_masks += contents.dicom_masks

    def add_file(self, path: Path) -> None:
        """Take over one file; raise `InputError` when its format is unknown."""
        form = format_of(path)
        if form == "dicom":
            self.dicom_images.append(path)
        elif form in ("dicom-seg", "rtstruct"):
            self.dicom_masks.append(path)
        else:
            self.files.append(path)

    def add(self, other: Visit) -> None:
        """Take over the files of another visit."""
        self.files += other.files
        self.stacks += other.stacks
        self.dicom_images += other.dicom_images
        self.dicom_masks += other.dicom_masks


def date_of(name: str) -> dt.date | None:
    """Return the first date in a name, written 2024-01-31 or 20240131, None when there is none."""
    for year, _, month, day in _DATE.findall(name):
        try:
            return dt.date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None


def find_visits(given: Sequence[Path]) -> list[Visit]:
    """Return the visits that files and folders hold, in no particular order.

    Files, and folders without a date, make one visit together. Sub-folders named by date make one
    visit each.

    Raises
    ------
    InputError
        If a folder holds no image, or several folders that do and none of them is a visit.
    """
    visits: list[Visit] = []
    together = Visit()
    parents = {path.parent for path in given if not path.is_dir()}
    if len(parents) == 1:
        together.date = date_of(parents.pop().name)
    for path in given:
        if not path.is_dir():
            together.add_file(path)
            continue
        for visit in _visits_of_folder(path):
            if visit.date is None:
                together.add(visit)
            else:
                visits.append(visit)
    return [together, *visits] if together.has_images or together.dicom_masks else visits


def _visits_of_folder(folder: Path) -> list[Visit]:
    subfolders = sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural_key)
    dated = [_dated_visit(sub, date) for sub in subfolders if (date := date_of(sub.name)) is not None]
    dated = [visit for visit in dated if visit.has_images]
    if dated:
        rest = Visit()
        # What lies below the dated folders is theirs, so only the files beside them are looked at.
        for path in sorted((p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")), key=natural_key):
            try:
                rest.add_file(path)
            except InputError:
                continue
        return [*dated, rest] if rest.has_images else dated
    contents = look_into(folder)
    if contents.files or contents.dicom_images:
        visit = Visit(date_of(folder.name))
        visit.add_folder(folder, contents)
        return [visit]
    cases = [sub for sub in subfolders if look_into(sub).files]
    if len(cases) == 1:
        return _visits_of_folder(cases[0])
    if cases:
        names = ", ".join(p.name for p in cases[:3]) + (" …" if len(cases) > 3 else "")
        raise InputError(f"{folder.name} holds no image itself, but {len(cases)} folders that do: {names}.", "Choose one of them.")
    raise InputError(f"{folder.name} holds no image.", NOTHING_HINT)


def _dated_visit(folder: Path, date: dt.date) -> Visit:
    """Return the visit in a folder; where it only holds folders ("anat", "pet"), in all of these."""
    visit = Visit(date)
    contents = look_into(folder)
    visit.add_folder(folder, contents)
    if not contents:
        for sub in sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural_key):
            visit.add_folder(sub, look_into(sub))
    return visit
