"""Codes that cases are shown under, so that a repeat is not recognised and no file name tells who the patient is."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from napari_tumorseg.core.case import Case, TimePoint

__all__ = ["draw_codes", "fingerprint", "recoded_case"]

# Without what is read as something else: 0 and O, 1, I and L.
_SIGNS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
_LENGTH = 5


def draw_codes(count: int, seed: int, taken: Collection[str] = (), purpose: str = "task") -> tuple[str, ...]:
    """Return codes that say nothing and are not taken.

    Parameters
    ----------
    count : int
        How many.
    seed : int
        The same seed gives the same codes.
    taken : collection of str
        Codes in use.
    purpose : str
        Codes for another purpose are others.

    Examples
    --------
    >>> first, second = draw_codes(2, seed=1)
    >>> len(first), first != second, draw_codes(2, seed=1) == (first, second)
    (5, True, True)
    """
    rng = random.Random(f"codes {purpose} {seed}")
    used: set[str] = set(taken)
    found: list[str] = []
    while len(found) < count:
        code = "".join(rng.choice(_SIGNS) for _ in range(_LENGTH))
        # Codes of letters alone may be words.
        if code not in used and any(sign.isdigit() for sign in code):
            used.add(code)
            found.append(code)
    return tuple(found)


def recoded_case(case: Case, code: str) -> Case:
    """Return a case as a study shows it: under its code, images by modality, without masks and dates.

    The masks that lie in the folder would tell what others have drawn; a date or a file name, whose case it is.
    """
    points = []
    for point in case.timepoints:
        volumes = {}
        for number, (key, volume) in enumerate(point.volumes.items(), 1):
            name = volume.modality or f"image {number}"
            volumes[key if volume.modality else name] = replace(volume, name=name, warnings=())
        points.append(TimePoint(volumes))
    return Case(code, tuple(points))


def fingerprint(files: Collection[Path]) -> str:
    """Return what identifies images by their content, whatever they are called: SHA-256 over the sorted SHA-256 of the files."""
    each = []
    for path in files:
        with path.open("rb") as handle:
            each.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return hashlib.sha256("\n".join(sorted(each)).encode()).hexdigest()
