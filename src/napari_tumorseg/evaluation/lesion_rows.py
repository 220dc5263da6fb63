"""The rows of the lesion list: units, and which of them are shown as one lesion."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion, LesionChanges
from napari_tumorseg.evaluation.diameters import SlicePlane
from napari_tumorseg.evaluation.lesion_units import Unit, row_of

__all__ = ["LesionRows"]


@dataclass(eq=False)
class LesionRows:
    """Units by their own number, and the rows that they make.

    Attributes
    ----------
    schema : LabelSchema
        Meaning of the labels.
    region : str
        Name of the region whose parts are the lesions.
    plane : SlicePlane
        Where diameters are measured.
    units : dict of int to Unit
        By their own number.
    shown : dict of int to int
        The lesion as whose member a unit is shown, by its own number; left out where it is a lesion by itself.
    rows : dict of int to Lesion
        By the lesion's number.
    """

    schema: LabelSchema
    region: str
    plane: SlicePlane
    units: dict[int, Unit] = field(default_factory=dict)
    shown: dict[int, int] = field(default_factory=dict)
    rows: dict[int, Lesion] = field(default_factory=dict)

    def copy(self) -> LesionRows:
        """Return rows that go on from here by themselves."""
        return LesionRows(self.schema, self.region, self.plane, self.units.copy(), self.shown.copy(), self.rows.copy())

    def take(self, units: dict[int, Unit], shown: dict[int, int]) -> None:
        """Take these units in place of all."""
        self.units, self.shown, self.rows = units, shown, {}
        self._refresh({self.lesion_of(number) for number in units})

    def lesion_of(self, number: int) -> int:
        """Return the lesion that a unit is shown as."""
        return self.shown.get(number, number)

    def members(self, number: int) -> tuple[Unit, ...]:
        """Return the units of a lesion, its own first."""
        if not self.shown:
            return (self.units[number],) if number in self.units else ()
        own = [self.units[number]] if number in self.units and self.lesion_of(number) == number else []
        return (*own, *(self.units[i] for i, shown in sorted(self.shown.items()) if shown == number and i != number and i in self.units))

    def of_parts(self, parts: Collection[int]) -> list[Unit]:
        """Return all pieces of some parts, by number."""
        return [self.units[number] for number in sorted(self.units) if self.units[number].part in parts]

    def exchange(self, olds: Iterable[Unit], news: Iterable[Unit]) -> set[int]:
        """Put units in the place of others and bring the rows of their lesions up to date; return those lesions' numbers."""
        touched = set()
        for unit in olds:
            del self.units[unit.id]
            touched.add(self.lesion_of(unit.id))
        for unit in news:
            self.units[unit.id] = unit
            touched.add(self.lesion_of(unit.id))
        self._refresh(touched)
        return touched

    def difference(self, before: Mapping[int, Lesion], touched: Collection[int]) -> tuple[dict[int, Lesion], dict[int, Lesion]]:
        """Return the rows of the lesions `touched`, by number, as they were and as they are."""
        chosen = sorted(touched)
        return {n: before[n] for n in chosen if n in before}, {n: self.rows[n] for n in chosen if n in self.rows}

    def regroup(
        self,
        olds: Sequence[Unit] = (),
        news: Sequence[Unit] = (),
        members: Collection[int] = (),
        shown: Mapping[int, int] | None = None,
    ) -> LesionChanges:
        """Draw the borders between lesions anew where no voxel changes.

        Parameters
        ----------
        olds, news : sequence of Unit
            Units, and what stands in their place.
        members : collection of int
            Own numbers of units that become lesions by themselves, or members as `shown` says.
        shown : mapping of int to int
            The lesion as whose member a unit is shown from now on, by the unit's own number.
        """
        before = dict(self.rows)
        was = {number: self.lesion_of(number) for number in (*self.units, *members)}
        for number in members:
            self.shown.pop(number, None)
        self.shown.update(shown or {})
        touched = self.exchange(olds, news) | {was[unit.id] for unit in olds}
        touched |= {was[number] for number in members} | {self.lesion_of(number) for number in members}
        self._refresh(touched)
        old, new = self.difference(before, touched)
        home = {self.lesion_of(number): was[number] for number in members}
        home |= {unit.id: was[olds[0].id] for unit in news if olds}
        went = {was[number]: self.lesion_of(number) for number in members}
        came_from = {number: home[number] for number in new if number not in old and home.get(number, number) != number}
        return LesionChanges(old, new, frozenset(), came_from, {n: went[n] for n in old if n not in new and n in went})

    def _refresh(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            members = self.members(number)
            if members:
                self.rows[number] = row_of(number, members, self.schema, self.region, self.plane)
            else:
                self.rows.pop(number, None)
