"""Case folders: a patient's images by modality, masks by name, visits by date."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from napari_tumorseg.core.case import Case, TimePoint
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.volume import Volume
from napari_tumorseg.io import registry, tiff
from napari_tumorseg.io.case_masks import with_mask
from napari_tumorseg.io.modality import guess_modality, guess_unit, is_mask_name
from napari_tumorseg.io.names import stem_of
from napari_tumorseg.io.overlap import Overlap
from napari_tumorseg.io.visits import NOTHING_HINT, Visit, date_of, find_visits

__all__ = ["guess_modality", "read_case"]

SpacingMm = tuple[float, float, float]


def read_case(
    paths: Path | Sequence[Path],
    *,
    modalities: Mapping[str, str | Path] | None = None,
    split_4d: bool = False,
    spacing_mm: SpacingMm | None = None,
    on_overlap: Overlap = "error",
    progress: Progress | None = None,
) -> Case:
    """Read everything about one patient.

    Parameters
    ----------
    paths : Path or sequence of Path
        A case folder, or image and mask files, or folders of DICOM series. Sub-folders named by
        date (2024-01-31 or 20240131) are visits; so are the studies of different days in a DICOM
        folder.
    modalities : mapping of str to (str or Path), optional
        Modality chosen by hand: a file, or the name of a file or series, for each, e.g.
        ``{"T1c": "scan7.nii.gz"}``. The others are guessed.
    split_4d : bool
        Whether files of several volumes are read as such; they are refused otherwise.
    spacing_mm : tuple of float, optional
        (z, y, x), for files that state no voxel size.
    on_overlap : str
        Which segment of a mask wins where several overlap: "first", "last", or "error" to leave
        the mask out with a warning.
    progress : Progress, optional
        Told how far it is.

    Returns
    -------
    Case
        Volumes by modality, or by name where the modality is unknown. Masks under "seg" or their
        file name, each on exactly the grid of a volume of its visit. What could not be placed is
        told in the warnings of the first volume.

    Raises
    ------
    InputError
        If a path is missing, an image cannot be read, there is none, or two files claim the same
        modality.

    Examples
    --------
    >>> case = read_case(Path("BraTS-MET-00110-000"))  # doctest: +SKIP
    >>> sorted(case.latest.volumes)  # doctest: +SKIP
    ['FLAIR', 'T1', 'T1c', 'T2']
    """
    progress = progress or Progress()
    given = [Path(paths)] if isinstance(paths, str | os.PathLike) else [Path(p) for p in paths]
    chosen = {modality: _located(wanted, given) for modality, wanted in (modalities or {}).items()}
    given += [p for p in chosen.values() if isinstance(p, Path) and p.exists() and not _inside(p, given)]
    if not given:
        raise InputError("No file or folder was given.", "Choose a case folder or its images.")
    for path in given:
        if not path.exists():
            raise InputError(f"{path} does not exist.", "Check the path.")
    progress.update(0.0, "Looking for images")
    visits = find_visits(given)
    unused = dict(chosen)
    timepoints: list[TimePoint] = []
    for number, visit in enumerate(visits):
        part = progress.part(number / len(visits), (number + 1) / len(visits))
        timepoints += _read_visit(visit, chosen, unused, split_4d, spacing_mm, on_overlap, part)
    if unused:
        modality, wanted = next(iter(unused.items()))
        names = ", ".join(dict.fromkeys(v.name for t in timepoints for v in t.volumes.values()))
        raise InputError(f"{wanted}, chosen as {modality}, is not among the images.", f"There are {names}.")
    if not timepoints:
        raise InputError(f"{given[0].name} holds no image.", NOTHING_HINT)
    timepoints.sort(key=lambda point: point.date or dt.date.min)
    return Case(_case_name(given, visits), tuple(timepoints))


def _located(wanted: str | Path, given: Sequence[Path]) -> str | Path:
    """Return the path of a file or folder chosen by hand, or its name where it is the name of an image."""
    for folder in given:
        if folder.is_dir() and (folder / wanted).exists():
            return folder / wanted
    return Path(wanted) if Path(wanted).exists() else wanted


def _inside(path: Path, given: Sequence[Path]) -> bool:
    return any(path == g or (g.is_dir() and path.resolve().is_relative_to(g.resolve())) for g in given)


def _chosen_for(volume: Volume, path: Path | None, chosen: Mapping[str, str | Path]) -> str:
    """Return the modality that the user chose for a volume, "" for none."""
    for modality, wanted in chosen.items():
        names = {volume.name}
        if path is not None:
            names |= {path.name, stem_of(path), str(path)}
        elif volume.source is not None:
            names |= {str(volume.source.header.get("series_uid", ""))} | {str(p) for p in volume.source.paths}
        if str(wanted) in names:
            return modality
        target = Path(wanted)
        sources = [path] if path is not None else list(volume.source.paths) if volume.source is not None else []
        if target.exists() and any(p.resolve() == target.resolve() or p.resolve().is_relative_to(target.resolve()) for p in sources):
            return modality
    return ""


def _is_chosen(path: Path, chosen: Mapping[str, str | Path]) -> bool:
    return any(
        str(w) in (path.name, stem_of(path), str(path)) or (Path(w).exists() and Path(w).resolve() == path.resolve())
        for w in chosen.values()
    )


def _read_visit(
    visit: Visit,
    chosen: Mapping[str, str | Path],
    unused: dict[str, str | Path],
    split_4d: bool,
    spacing_mm: SpacingMm | None,
    on_overlap: Overlap,
    progress: Progress,
) -> list[TimePoint]:
    """Read a visit; DICOM studies of several days become several time points. Modalities met are taken out of `unused`."""
    masks = [p for p in visit.files if is_mask_name(p) and not _is_chosen(p, chosen)]
    images = [p for p in visit.files if p not in masks]
    entries: list[tuple[Volume, str, Path | None]] = []  # volume, modality, file
    steps = len(images) + len(visit.stacks) + len(masks) + len(visit.dicom_masks) + 1
    for number, path in enumerate([*images, *visit.stacks]):
        progress.update(number / steps, f"Reading {path.name}")
        read = (
            tiff.read_folder(path, spacing_mm=spacing_mm)
            if path.is_dir()
            else registry.read_file(path, split_4d=split_4d, spacing_mm=spacing_mm)
        )
        guessed = guess_modality(path.name) if len(read) == 1 else ""
        entries += [(volume, guessed, path) for volume in read]
    if visit.dicom_images:
        start = (len(images) + len(visit.stacks)) / steps
        entries += [(v, v.modality, None) for v in _read_dicom(visit.dicom_images, progress.part(start, start + 1 / steps))]
    days: dict[dt.date | None, list[tuple[Volume, str, Path | None]]] = {}
    for entry in entries:
        days.setdefault(_day(entry[0], visit.date), []).append(entry)
    if None in days and len(days) == 2:
        # Files without a date beside one dated study belong to it.
        lone = days.pop(None)
        next(iter(days.values())).extend(lone)
    stems = [stem_of(path) for path in images]
    points = [TimePoint(_by_key(group, chosen, unused), date=date) for date, group in days.items()]
    for number, path in enumerate([*masks, *visit.dicom_masks]):
        progress.update((steps - len(masks) - len(visit.dicom_masks) + number) / steps, f"Reading {path.name}")
        points = with_mask(points, path, stems, on_overlap, spacing_mm) if points else points
    return points


def _read_dicom(files: Sequence[Path], progress: Progress) -> tuple[Volume, ...]:
    from napari_tumorseg.io.dicom import read_series

    return read_series(files, progress)


def _day(volume: Volume, date: dt.date | None) -> dt.date | None:
    stated = str(volume.source.header.get("study_date", "")) if volume.source is not None else ""
    return date_of(stated) or date


def _by_key(
    entries: Sequence[tuple[Volume, str, Path | None]], chosen: Mapping[str, str | Path], unused: dict[str, str | Path]
) -> dict[str, Volume]:
    """Return volumes by modality, or by name where it is unknown or several series share it."""
    picks = [_chosen_for(volume, path, chosen) for volume, _, path in entries]
    volumes: dict[str, Volume] = {}
    owners: dict[str, str] = {}
    rest: list[tuple[Volume, Path | None]] = []
    for pick, (volume, _, path) in zip(picks, entries, strict=True):
        if pick:
            if pick in volumes:
                raise InputError(
                    f"{owners[pick]} and {_shown(volume, path)} are both chosen as {pick}.", "Choose one image for each modality."
                )
            volumes[pick], owners[pick] = _as(volume, pick, path), _shown(volume, path)
            unused.pop(pick, None)
    for modality in dict.fromkeys(guess for pick, (_, guess, _) in zip(picks, entries, strict=True) if guess and not pick):
        claims = [(v, p) for pick, (v, guess, p) in zip(picks, entries, strict=True) if guess == modality and not pick]
        if modality in volumes:
            rest += claims
        elif len(claims) == 1:
            volumes[modality] = _as(claims[0][0], modality, claims[0][1])
        elif all(path is None for _, path in claims):
            names = ", ".join(v.name for v, _ in claims)
            note = f"{len(claims)} series look like {modality} ({names}). Choose by hand which one is."
            rest += [(replace(v, warnings=(*v.warnings, note)), None) for v, _ in claims]
        else:
            first, second = (_shown(*claim) for claim in claims[:2])
            raise InputError(f"{first} and {second} both claim to be {modality}.", "Choose by hand which one is, or take the other out.")
    rest += [(v, p) for pick, (v, guess, p) in zip(picks, entries, strict=True) if not guess and not pick]
    for volume, path in rest:
        key = volume.name or "image"
        if key in volumes and path is not None:
            key = path.name
        number = 2
        while key in volumes:
            key, number = f"{volume.name or 'image'} ({number})", number + 1
        volumes[key] = volume
    return volumes


def _as(volume: Volume, modality: str, path: Path | None) -> Volume:
    """Return the volume with its modality, and its unit where the name of its file tells."""
    known = replace(volume, modality=modality)
    return known if path is None or known.unit else replace(known, unit=guess_unit(path.name, known))


def _shown(volume: Volume, path: Path | None) -> str:
    return path.name if path is not None else f"the series {volume.name}"


def _case_name(given: Sequence[Path], visits: Sequence[Visit]) -> str:
    """Return a name for the case that is no patient's name: its folder, or what its files share."""
    files = [stem_of(path) for path in given if not path.is_dir()]
    common = _shared_start(files).rstrip("-_. ") if len(files) > 1 else ""
    if len(given) == 1 and given[0].is_dir():
        name = given[0].resolve().name
    else:
        name = common if len(common) >= 3 else given[0].resolve().parent.name
    series = next((visit.dicom_images[0] for visit in visits if visit.dicom_images), None)
    return "case" if not name or (series is not None and _names_patient(name, series)) else name


def _shared_start(names: Sequence[str]) -> str:
    """Return the words that all names begin with: "CASE-1" for "CASE-1_t1" and "CASE-1_t2"."""
    letters = itertools.takewhile(lambda column: len(set(column)) == 1, zip(*names, strict=False))
    start = "".join(column[0] for column in letters)
    cut_inside_a_word = any(name[len(start) : len(start) + 1].isalnum() for name in names)
    return re.sub(r"[^-_. ]+$", "", start) if cut_inside_a_word else start


def _names_patient(name: str, dicom_file: Path) -> bool:
    """Whether a folder's name holds a part of the patient's name; a name with digits in it is a pseudonym."""
    from napari_tumorseg.io.dicom_files import read_dataset

    try:
        dataset = read_dataset(dicom_file)
    except InputError:
        return False
    parts = re.split(r"[\^=,\s]+", str(dataset.get("PatientName", "") or "")) if dataset is not None else []
    return any(len(part) >= 3 and part.isalpha() and part.casefold() in name.casefold() for part in parts)
