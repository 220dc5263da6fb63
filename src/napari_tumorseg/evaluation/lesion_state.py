"""Which lesion is which, as a record keeps it and gives it back without looking at a voxel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from napari_tumorseg.core.lesion import Trail
from napari_tumorseg.core.patches import PatchSource
from napari_tumorseg.evaluation.lesion_identity import Memory
from napari_tumorseg.evaluation.lesion_units import Shape, Unit, fills

__all__ = ["Identities", "IndexState", "KnownUnit"]


@dataclass(frozen=True, eq=False)
class KnownUnit:
    """A unit as a record has it: by its first voxel, and by its voxels where the part that it belongs to was cut.

    Attributes
    ----------
    id, part : int
        Its own number, and that of its connected part.
    first_voxel : tuple of int
        (z, y, x).
    shape : Shape, optional
        Its voxels.
    """

    id: int
    part: int
    first_voxel: tuple[int, int, int]
    shape: Shape | None = None

    def as_shape(self) -> Shape:
        """Return its voxels; only asked of a piece of a part that was cut."""
        assert self.shape is not None
        return self.shape


@dataclass(frozen=True)
class Identities:
    """What `LesionIndex` holds besides the voxels, at one moment.

    Attributes
    ----------
    units : mapping of int to Unit
        By their own number.
    shown : mapping of int to int
        The lesion as whose member a unit is shown, by its own number; left out where it is a lesion by itself.
    buried : mapping of int to Shape
        Lesions that are gone and get their number back when they are brought back.
    kept : frozenset of int
        Numbers of lesions to bury when they go.
    next_number : int
        The next one that was never used.
    """

    units: Mapping[int, Unit]
    shown: Mapping[int, int]
    buried: Mapping[int, Shape]
    kept: frozenset[int]
    next_number: int

    def facts(self, before: Identities | None = None) -> dict[str, Any]:
        """Return as JSON values what is different from before, or everything."""
        old = before or Identities({}, {}, {}, frozenset(), 1)
        fresh = [unit for number, unit in self.units.items() if old.units.get(number) is not unit]
        pieces = _pieces(self.units.values())
        facts: dict[str, Any] = {
            "gone": sorted(old.units.keys() - self.units.keys()),
            "whole": [[unit.id, unit.part, *unit.first_voxel] for unit in fresh if pieces[unit.part] == 1],
            "cut": [[unit.id, unit.part, *unit.first_voxel, unit.as_shape().facts()] for unit in fresh if pieces[unit.part] > 1],
            "shown": _different(old.shown, self.shown),
            "buried": {n: shape and shape.facts() for n, shape in _different(old.buried, self.buried).items()},
            "kept": sorted(self.kept - old.kept),
        }
        return {name: value for name, value in facts.items() if value} | {"next": self.next_number}


class IndexState:
    """The state of a `LesionIndex`, put together from the facts that it gave with each change.

    Attributes
    ----------
    units, shown, buried, kept, next_number
        As in `Identities`.
    trail : Trail of Memory
        What undo and redo will give back.
    """

    def __init__(self) -> None:
        self.units: dict[int, KnownUnit] = {}
        self.shown: dict[int, int] = {}
        self.buried: dict[int, Shape] = {}
        self.kept: set[int] = set()
        self.next_number = 1
        self.trail: Trail[Memory] = Trail()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Take over all that `Identities.facts` returned, in place of what is known."""
        self.__init__()  # type: ignore[misc]
        self.set_to(facts)

    def fold(self, source: PatchSource, facts: Mapping[str, Any] | None) -> None:
        """Take over what was different after a change of this source; None where it was not recorded."""
        self.trail.walk(source, self._memory(facts) if facts is not None else None)
        self.set_to(facts or {})

    def set_to(self, facts: Mapping[str, Any]) -> None:
        """Take over what was different, without a note for undo and redo."""
        for number in facts.get("gone", ()):
            self.units.pop(number, None)
        for number, part, z, y, x in facts.get("whole", ()):
            self.units[number] = KnownUnit(number, part, (z, y, x))
        for number, part, z, y, x, shape in facts.get("cut", ()):
            self.units[number] = KnownUnit(number, part, (z, y, x), Shape.of(number, shape))
        for name, lesion in facts.get("shown", {}).items():
            _set(self.shown, int(name), lesion)
        for name, shape in facts.get("buried", {}).items():
            _set(self.buried, int(name), Shape.of(int(name), shape) if shape is not None else None)
        self.kept |= set(facts.get("kept", ()))
        self.next_number = facts.get("next", self.next_number)

    @property
    def memory(self) -> Memory:
        """Which lesion is which now."""
        return Memory.of(tuple(self.units.values()), self.shown)

    def units_among(self, parts: Iterable[Unit], piece: Callable[[KnownUnit, Shape], Unit]) -> dict[int, Unit] | None:
        """Return the units of this state by number, where they are the connected parts of a mask; None where they are not.

        Parameters
        ----------
        parts : iterable of Unit
            The parts, whatever their numbers.
        piece : callable
            Given a known unit and its voxels, returns the unit of a piece of a part that was cut.
        """
        left = {unit.first_voxel: unit for unit in parts}
        known_of: dict[int, list[KnownUnit]] = {}
        for known in self.units.values():
            known_of.setdefault(known.part, []).append(known)
        units: dict[int, Unit] = {}
        for part, own in known_of.items():
            whole = left.pop(min(known.first_voxel for known in own), None)
            if whole is None or not fills(whole, [known.shape for known in own]):
                return None
            for known in own:
                units[known.id] = replace(whole, id=known.id, part=part) if known.shape is None else piece(known, known.shape)
        return None if left else units

    def _memory(self, facts: Mapping[str, Any]) -> Memory:
        """Return which lesion was which where `facts` says that something changed."""
        named = {*facts.get("gone", ()), *(int(n) for n in facts.get("shown", ()))}
        named |= {row[0] for row in (*facts.get("whole", ()), *facts.get("cut", ()))}
        parts = {self.units[number].part for number in named if number in self.units}
        return Memory.of([unit for unit in self.units.values() if unit.part in parts], self.shown)


def _pieces(units: Iterable[Unit]) -> dict[int, int]:
    """Return how many units each part has."""
    counts: dict[int, int] = {}
    for unit in units:
        counts[unit.part] = counts.get(unit.part, 0) + 1
    return counts


def _different(old: Mapping[int, Any], new: Mapping[int, Any]) -> dict[int, Any]:
    """Return what is new or other than before, and None for what is gone."""
    return {n: value for n, value in new.items() if old.get(n) != value} | dict.fromkeys(old.keys() - new.keys())


def _set(kept: dict[int, Any], number: int, value: Any) -> None:
    kept.pop(number, None)
    if value is not None:
        kept[number] = value
