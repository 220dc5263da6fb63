"""The row that describes one lesion, shared by every command, table and report, and what tells how rows change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from napari_tumorseg.core.patches import PatchSource

__all__ = ["Diameters", "Lesion", "LesionChanges", "Trail"]

Point = tuple[float, float, float]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Diameters:
    """The two diameters of a lesion in one axial slice, as `evaluation.diameters` defines them.

    Attributes
    ----------
    longest_mm : float
        Longest diameter; 0 where it was not measured.
    perpendicular_mm : float
        Longest diameter at a right angle to it in the same slice.
    longest_ends_mm, perpendicular_ends_mm : tuple of tuple of float
        Their two ends, (x, y, z) in RAS millimetres; empty where they were not measured.

    Examples
    --------
    >>> Diameters(20.0, 15.0).product_mm2
    300.0
    """

    longest_mm: float = 0.0
    perpendicular_mm: float = 0.0
    longest_ends_mm: tuple[Point, ...] = ()
    perpendicular_ends_mm: tuple[Point, ...] = ()

    @property
    def product_mm2(self) -> float:
        """Longest diameter times its perpendicular, the bidimensional measure of RANO."""
        return self.longest_mm * self.perpendicular_mm


@dataclass(frozen=True)
class Lesion:
    """One connected part of a region, or what the user made one lesion.

    Attributes
    ----------
    id : int
        In a fresh list 1 for the largest, then by falling volume; it stays while the lesion is edited.
    region : str
        Region name of the schema, e.g. "WT".
    centroid_mm : tuple of float
        Centre of mass, (x, y, z) in RAS millimetres.
    volume_mm3 : float
        Volume.
    voxels : int
        Number of voxels.
    box_start, box_stop : tuple of int
        Bounding box in (z, y, x) voxels, half open.
    labels_mm3 : mapping of str to float
        Volume of each label inside the lesion, by label name.
    diameters : Diameters
        Longest axial diameter and its perpendicular.
    """

    id: int
    region: str
    centroid_mm: Point
    volume_mm3: float
    voxels: int
    box_start: tuple[int, int, int]
    box_stop: tuple[int, int, int]
    labels_mm3: Mapping[str, float] = field(default_factory=dict)
    diameters: Diameters = Diameters()


@dataclass(frozen=True)
class LesionChanges:
    """What one change of a mask did to the list of its lesions.

    Attributes
    ----------
    before, after : mapping of int to Lesion
        The rows that may differ, by id, as they were and as they are. An id that is only in `before` has vanished, one that
        is only in `after` is new.
    edited : frozenset of int
        Ids that had or have a voxel whose label changed.
    came_from : mapping of int to int
        For a new id the lesion that it was cut off from.
    went_into : mapping of int to int
        For a vanished id the lesion that took it in.
    facts : mapping
        JSON values: which voxels carry which number where that is different from before, for a record.
    """

    before: Mapping[int, Lesion] = field(default_factory=dict)
    after: Mapping[int, Lesion] = field(default_factory=dict)
    edited: frozenset[int] = frozenset()
    came_from: Mapping[int, int] = field(default_factory=dict)
    went_into: Mapping[int, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class Trail(Generic[_T]):
    """Notes on the changes of a document, taken back and brought back as the document's own history is.

    Each patch that is no undo or redo gets a note. An undo takes the last note off, so that what it says can be restored,
    and a redo brings it on again. Without a note (the watcher came later) None stands for it.

    Examples
    --------
    >>> trail = Trail()
    >>> trail.walk(PatchSource.HAND, "to do") is None
    True
    >>> trail.walk(PatchSource.UNDO, "edited"), trail.walk(PatchSource.REDO, "to do")
    ('to do', 'edited')
    """

    def __init__(self) -> None:
        self._done: list[_T | None] = []
        self._undone: list[_T | None] = []

    def next(self, source: PatchSource) -> _T | None:
        """Return the note that a patch of this source would take off; None where there is none."""
        stack = self._done if source is PatchSource.UNDO else self._undone if source is PatchSource.REDO else []
        return stack[-1] if stack else None

    def walk(self, source: PatchSource, now: _T | None) -> _T | None:
        """Count in a patch; `now` notes how things were just before it. Return the note that it takes off."""
        if source is PatchSource.UNDO:
            taken = self._done.pop() if self._done else None
            self._undone.append(now)
            return taken
        if source is PatchSource.REDO:
            taken = self._undone.pop() if self._undone else None
            self._done.append(now)
            return taken
        self._undone.clear()
        self._done.append(now)
        return None

    def copy(self) -> Trail[_T]:
        """Return a trail that goes on from here by itself."""
        other: Trail[_T] = Trail()
        other._done, other._undone = self._done.copy(), self._undone.copy()
        return other
