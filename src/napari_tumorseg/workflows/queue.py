"""A queue of cases: a folder of case folders, worked through in order, without any study file.

What is remembered of a case is its state and where the user was in it, under keys that are keyed
hashes of folder names: neither a patient's name nor a path can be read from the file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_tumorseg.core.case import Case
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.settings import Settings

__all__ = ["CaseQueue", "CaseState", "Place", "QueuedCase", "case_bytes", "find_cases", "may_read_ahead"]

_FORMAT = 1
# Reading a case takes its images twice for a moment: the file's numbers and the volume's.
_COPIES = 2.0
# Of the free memory, what reading ahead may take.
_SHARE = 0.25
# Images in compressed files are rarely larger than this many times the file.
_UNPACKED = 6.0


class CaseState(StrEnum):
    """How far a case is; the value is what the user reads."""

    TO_DO = "to do"
    IN_WORK = "in work"
    DONE = "done"

    @property
    def sign(self) -> str:
        """A sign beside the word, so that colour is never needed."""
        return {CaseState.TO_DO: "○", CaseState.IN_WORK: "◐", CaseState.DONE: "✓"}[self]


@dataclass(frozen=True)
class Place:
    """Where the user was in a case.

    Attributes
    ----------
    point_mm : tuple of float
        (x, y, z) in RAS millimetres: the slice and the crosshair.
    centre_mm : tuple of float
        (x, y, z) in RAS millimetres: the middle of the view.
    plane : str
        "axial", "coronal" or "sagittal".
    zoom : float
        Screen pixels per millimetre; 0 for the whole image.
    sequence : str
        Name of the volume in view.
    mask : str
        Name of the active mask, "" for none.
    timepoint : int
        Index of the visit.
    """

    point_mm: tuple[float, float, float]
    centre_mm: tuple[float, float, float]
    plane: str = "axial"
    zoom: float = 0.0
    sequence: str = ""
    mask: str = ""
    timepoint: int = -1

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Place:
        """Return what `asdict` gave; raise `KeyError`, `TypeError` or `ValueError` for anything else."""
        point, centre = (tuple(float(v) for v in values[name]) for name in ("point_mm", "centre_mm"))
        if len(point) != 3 or len(centre) != 3:
            raise ValueError("a place has three coordinates")
        return cls(
            (point[0], point[1], point[2]),
            (centre[0], centre[1], centre[2]),
            str(values["plane"]),
            float(values["zoom"]),
            str(values["sequence"]),
            str(values["mask"]),
            int(values["timepoint"]),
        )


@dataclass(frozen=True)
class QueuedCase:
    """One case of a queue.

    Attributes
    ----------
    path : Path
        Its folder.
    key : str
        Under which it is remembered.
    state : CaseState
        How far it is.
    place : Place, optional
        Where the user was.
    """

    path: Path
    key: str
    state: CaseState = CaseState.TO_DO
    place: Place | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What the user reads."""
        return self.path.name


def find_cases(folder: Path) -> tuple[Path, ...]:
    """Return the sub-folders of a folder in which there is an image, in natural order (case 2 before case 10).

    Raises
    ------
    InputError
        If the folder cannot be read or none of its sub-folders holds an image.
    """
    from napari_tumorseg.io.names import natural_key

    try:
        folders = sorted((p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")), key=natural_key)
        found = tuple(p for p in folders if _holds_image(p))
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be read: {error.strerror}.", "Choose another folder.") from error
    if not found:
        raise InputError(f"No folder in {folder.name} holds an image.", "Choose a folder with one folder for each case.")
    return found


def _holds_image(folder: Path) -> bool:
    from napari_tumorseg.io.formats import format_of

    # Visits and DICOM series lie one or two levels down.
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            try:
                format_of(path)
            except InputError:
                continue
            return True
    return False


class CaseQueue:
    """The cases of a folder and how far each is, kept between runs.

    Parameters
    ----------
    folder : Path
        With one folder for each case.
    settings : Settings
        Name the folder in which states are kept.

    Raises
    ------
    InputError
        If there is no case in the folder.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder.resolve()
        self._home = settings.state_dir / "queues"
        self._secret = self._read_secret()
        self._file = self._home / f"{self._hash(str(self.folder))}.json"
        known = self._read()
        self._cases = [self._remembered(path, known) for path in find_cases(self.folder)]
        current = known.get("current")
        self._at = next((i for i, case in enumerate(self._cases) if case.key == current), -1)
        self._lasting = True

    @property
    def cases(self) -> tuple[QueuedCase, ...]:
        """All cases in order."""
        return tuple(self._cases)

    @property
    def current(self) -> QueuedCase | None:
        """The case that was gone to last, in this run or an earlier one; None at first."""
        return self._cases[self._at] if self._at >= 0 else None

    @property
    def text(self) -> str:
        """How far the queue is, e.g. "12 of 40 done"."""
        return f"{sum(case.state is CaseState.DONE for case in self._cases)} of {len(self._cases)} done"

    @property
    def lasting(self) -> bool:
        """Whether the last change could be kept on the disk."""
        return self._lasting

    def neighbour(self, by: int) -> QueuedCase | None:
        """Return the next (1) or previous (-1) case, None at the end."""
        at = self._at + by if self._at >= 0 or by > 0 else -1
        return self._cases[at] if 0 <= at < len(self._cases) else None

    def first_open(self) -> QueuedCase | None:
        """Return the first case that is not done, from the current one on and then from the start; None when all are."""
        start = max(0, self._at)
        order = [*self._cases[start:], *self._cases[:start]]
        return next((case for case in order if case.state is not CaseState.DONE), None)

    def go_to(self, case: QueuedCase) -> QueuedCase:
        """Make a case the current one; return it as it is remembered. What was to do is in work from now on."""
        self._at = self._index(case)
        now = self._cases[self._at]
        if now.state is CaseState.TO_DO:
            return self.set_state(now, CaseState.IN_WORK)
        self._write()
        return now

    def set_state(self, case: QueuedCase, state: CaseState) -> QueuedCase:
        """Remember how far a case is."""
        return self._set(case, state=state)

    def set_place(self, case: QueuedCase, place: Place) -> QueuedCase:
        """Remember where the user was in a case."""
        return self._set(case, place=place)

    def _set(self, case: QueuedCase, **changes: Any) -> QueuedCase:
        at = self._index(case)
        self._cases[at] = replace(self._cases[at], **changes)
        self._write()
        return self._cases[at]

    def _index(self, case: QueuedCase) -> int:
        return next(i for i, own in enumerate(self._cases) if own.key == case.key)

    def _hash(self, text: str) -> str:
        return hmac.new(self._secret, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]

    def _remembered(self, path: Path, known: Mapping[str, Any]) -> QueuedCase:
        key = self._hash(path.name)
        case = QueuedCase(path, key)
        try:
            case = replace(case, state=CaseState(known["cases"][key]["state"]))
            place = known["cases"][key]["place"]
            return replace(case, place=Place.from_json(place)) if place else case
        except (KeyError, TypeError, ValueError):
            # Nobody has written it yet, or another version has: what cannot be read is as at first.
            return case

    def _read_secret(self) -> bytes:
        """Return this user's key, so that hashes of guessed names cannot be compared with the file's elsewhere."""
        file = self._home / "key"
        try:
            found = bytes.fromhex(file.read_text().strip())
        except (OSError, ValueError):
            found = b""
        if len(found) == 32:
            return found
        made = secrets.token_bytes(32)
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            file.write_text(made.hex())
            file.chmod(0o600)
        except OSError:
            # Without a place to keep it the queue works, and is forgotten at the end.
            return made
        return made

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        fits = isinstance(found, dict) and found.get("format") == _FORMAT and isinstance(found.get("cases"), dict)
        return found if fits else {}

    def _write(self) -> None:
        from napari_tumorseg.core.errors import OutputError
        from napari_tumorseg.io.atomic import atomic_write

        kept = {
            case.key: {"state": case.state.value, "place": asdict(case.place) if case.place else None}
            for case in self._cases
            if case.state is not CaseState.TO_DO or case.place is not None
        }
        # Cases whose folders are away for the moment keep what is known of them.
        others = {key: entry for key, entry in self._read().get("cases", {}).items() if key not in {case.key for case in self._cases}}
        current = self._cases[self._at].key if self._at >= 0 else None
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._file) as part:
                part.write_text(
                    json.dumps({"format": _FORMAT, "current": current, "cases": {**others, **kept}}, indent=1), encoding="utf-8"
                )
            self._lasting = True
        except (OSError, OutputError):
            # The work itself is not in this file; a full disk must not stop it.
            self._lasting = False


def case_bytes(case: Case) -> int:
    """Return the memory that a case's images and masks take.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_tumorseg.core.case import TimePoint
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.volume import Volume
    >>> grid = Grid.from_spacing((2, 2, 2), (1, 1, 1))
    >>> case_bytes(Case("c", (TimePoint({"T1": Volume(np.zeros((2, 2, 2), np.int16), grid)}),)))
    16
    """
    total = 0
    for point in case.timepoints:
        total += sum(int(volume.data.nbytes) for volume in point.volumes.values())
        total += sum(int(mask.labels.nbytes) for versions in point.masks.values() for mask in versions)
    return total


def may_read_ahead(folder: Path, like_bytes: int, free_bytes: int) -> bool:
    """Return whether there is memory enough to read a case before it is wanted.

    Parameters
    ----------
    folder : Path
        Of the case.
    like_bytes : int
        Memory that the open case takes (see `case_bytes`); 0 when none is open.
    free_bytes : int
        Free memory (see `inference.memory.free_bytes`).

    Returns
    -------
    bool
        Whether a case as large as the open one, or as its own files may unpack to, would take less than a quarter of
        the free memory, counting it twice.
    """
    try:
        on_disk = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    except OSError:
        return False
    expected = max(float(like_bytes), on_disk * (_UNPACKED if like_bytes == 0 else 1.0))
    return expected * _COPIES <= _SHARE * free_bytes
