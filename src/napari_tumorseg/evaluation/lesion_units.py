"""The pieces that the lesion index is made of: one connected part of a region, or a part of one that the user cut."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.evaluation.diameters import Outline, SlicePlane, measure
from napari_tumorseg.voxels.parts import connected_parts

__all__ = [
    "LesionView",
    "RegionValues",
    "Shape",
    "Unit",
    "fills",
    "grown_or_shrunk",
    "index_sums",
    "meets",
    "overlap",
    "relative",
    "row_of",
    "shift",
    "tightened",
    "union",
]

Labels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class RegionValues:
    """Which label values lie in the region whose parts are the lesions.

    Attributes
    ----------
    inside : numpy.ndarray
        Boolean, by value; what lies beyond the table meets its last entry, which is False.
    """

    inside: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, schema: LabelSchema, region: str, dtype: np.dtype[Any]) -> RegionValues:
        """Return those of a region for masks of a dtype."""
        inside = np.zeros(int(np.iinfo(dtype).max) + 1 if dtype == np.uint8 else max(schema.values) + 2, bool)
        inside[list(schema.region(region).values)] = True
        return cls(inside)

    def __len__(self) -> int:
        """Return the length of the table."""
        return len(self.inside)

    def where(self, labels: Labels) -> npt.NDArray[np.bool_]:
        """Return which voxels lie in the region."""
        # One comparison for each value is several times as fast as looking every voxel up in the table.
        first, *rest = np.flatnonzero(self.inside).astype(labels.dtype)
        found: npt.NDArray[np.bool_] = labels == first
        for value in rest:
            found |= labels == value
        return found

    def count(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return the number of voxels of each value, those beyond the table with the last."""
        return np.bincount(np.minimum(labels, len(self) - 1).ravel(), minlength=len(self)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Shape:
    """The voxels that carry a number, without their labels.

    Attributes
    ----------
    id : int
        The number.
    box : Box
        Smallest box around them.
    inside : numpy.ndarray
        Boolean, shape of `box`.

    Examples
    --------
    >>> shape = Shape(3, Box((0, 0, 1), (1, 1, 4)), np.array([[[True, False, True]]]))
    >>> Shape.of(3, shape.facts()).inside.ravel().tolist()
    [True, False, True]
    """

    id: int
    box: Box
    inside: npt.NDArray[np.bool_]

    @property
    def first_voxel(self) -> tuple[int, int, int]:
        """The first voxel (z, y, x) in C order."""
        return _first_voxel(self.box, self.inside)

    def facts(self) -> list[Any]:
        """Return box and voxels as JSON values: six numbers, and the packed bits, zlib, base64."""
        packed = base64.b64encode(zlib.compress(np.packbits(self.inside).tobytes(), 9)).decode("ascii")
        return [*self.box.start, *self.box.stop, packed]

    @classmethod
    def of(cls, number: int, facts: Sequence[Any]) -> Shape:
        """Return the shape that `facts` describes."""
        a, b, c, d, e, f, packed = facts
        box = Box((a, b, c), (d, e, f))
        bits = np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)
        return cls(number, box, np.unpackbits(bits, count=box.size).astype(bool).reshape(box.shape))


@dataclass(frozen=True, eq=False)
class Unit:
    """Voxels that are one lesion, or one member of a joined one. Never changed; an edit makes a new one.

    Attributes
    ----------
    id : int
        Its own number.
    part : int
        Number of the connected part; units of one part were cut apart by the user.
    box : Box
        Smallest box around it.
    inside : numpy.ndarray
        Boolean, shape of `box`.
    counts : numpy.ndarray
        int64: voxels by label value.
    sums : tuple of int
        Sums of the voxels' (z, y, x) indices, whole numbers, so that nothing drifts over many edits.
    outline : Outline
        What its diameters are measured from.
    """

    id: int
    part: int
    box: Box
    inside: npt.NDArray[np.bool_]
    counts: npt.NDArray[np.int64]
    sums: tuple[int, int, int]
    outline: Outline

    @classmethod
    def of(cls, number: int, part: int, box: Box, inside: npt.NDArray[np.bool_], labels: Labels, plane: SlicePlane, values: int) -> Unit:
        """Return the unit of the voxels `inside` of `box`; `labels` has the shape of the box."""
        counts = np.bincount(labels[inside], minlength=values).astype(np.int64)
        return cls(number, part, box, inside, counts, index_sums(inside, box), Outline.of(inside, box, plane))

    @property
    def voxels(self) -> int:
        """Number of voxels."""
        return int(self.counts.sum())

    @property
    def first_voxel(self) -> tuple[int, int, int]:
        """The first voxel (z, y, x) in C order; no two units share one."""
        return _first_voxel(self.box, self.inside)

    def as_shape(self) -> Shape:
        """Return its voxels with its number."""
        return Shape(self.id, self.box, self.inside)

    def holds(self, voxel: tuple[int, int, int]) -> bool:
        """Return whether a voxel (z, y, x) of the mask belongs to it."""
        index = tuple(v - a for v, a in zip(voxel, self.box.start, strict=True))
        return all(0 <= i < n for i, n in zip(index, self.inside.shape, strict=True)) and bool(self.inside[index])


@dataclass(frozen=True, eq=False)
class LesionView:
    """The lesions of a mask at one moment; may be read from any thread.

    Attributes
    ----------
    lesions : tuple of Lesion
        By id.
    units : mapping of int to tuple of Unit
        What each is made of, by id.
    """

    lesions: tuple[Lesion, ...]
    units: dict[int, tuple[Unit, ...]]

    def lesion(self, number: int) -> Lesion | None:
        """Return the lesion with this id, None where there is none."""
        return next((row for row in self.lesions if row.id == number), None) if number in self.units else None

    def at(self, voxel: tuple[int, int, int]) -> Lesion | None:
        """Return the lesion at a voxel (z, y, x) of the mask, None where there is none."""
        for row in self.lesions:
            if not all(a <= v < b for a, v, b in zip(row.box_start, voxel, row.box_stop, strict=True)):
                continue
            if any(unit.holds(voxel) for unit in self.units[row.id]):
                return row
        return None

    def part(self, lesion: Lesion) -> npt.NDArray[np.bool_]:
        """Return which voxels of the lesion's own bounding box belong to it."""
        own = Box(lesion.box_start, lesion.box_stop)
        inside = np.zeros(own.shape, bool)
        for unit in self.units[lesion.id]:
            inside[relative(unit.box, own)] |= unit.inside
        return inside


def _first_voxel(box: Box, inside: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    z, y, x = (int(i) for i in np.unravel_index(int(inside.argmax()), inside.shape))
    a, b, c = box.start
    return z + a, y + b, x + c


def fills(unit: Unit, shapes: Sequence[Shape | None]) -> bool:
    """Return whether shapes are, together and without overlap, the voxels of a unit; None stands for all of them."""
    if shapes == [None]:
        return True
    filled = np.zeros(unit.inside.shape, np.int8)
    for shape in shapes:
        if shape is None or filled[relative(shape.box, unit.box)].shape != shape.inside.shape:
            return False
        filled[relative(shape.box, unit.box)] += shape.inside
    return bool(np.array_equal(filled, unit.inside))


def grown_or_shrunk(unit: Unit, labels: Labels, box: Box, old: Labels, plane: SlicePlane, values: RegionValues) -> Unit | None:
    """Return a unit after an edit that leaves it in one piece; None when that needs a closer look.

    A part stays connected when its voxels in the changed box and one voxel around are: every way through the box enters and
    leaves it there.

    Parameters
    ----------
    unit : Unit
        The only one that the box grown by one voxel meets.
    labels : numpy.ndarray
        The mask after the edit, shape (z, y, x).
    box : Box
        What was changed.
    old : numpy.ndarray
        Its labels before.
    plane : SlicePlane
        Of the mask's grid.
    values : RegionValues
        The region's.
    """
    grown = box.grown(1, plane.grid.shape)
    near = values.where(labels[grown.slices])
    _, count = connected_parts(near)
    if count != 1:
        return None
    frame = bounding_box(near)
    assert frame is not None
    inner = Box(shift(frame.start, grown.start), shift(frame.stop, grown.start))
    whole = unit.box.union(inner)
    inside = np.zeros(whole.shape, bool)
    inside[relative(unit.box, whole)] = unit.inside
    now = labels[box.slices]
    has, had = values.where(now), values.where(old)
    here = overlap(box, whole)
    inside[relative(here, whole)] = has[relative(here, box)]
    own, mask = tightened(whole, inside)
    counts = unit.counts - values.count(old[had]) + values.count(now[has])
    plus, minus = index_sums(has, box), index_sums(had, box)
    z, y, x = (total + a - b for total, a, b in zip(unit.sums, plus, minus, strict=True))
    outline = unit.outline.updated(mask, own, box, plane)
    return Unit(unit.id, unit.part, own, mask, counts, (z, y, x), outline)


def meets(first: Box, second: Box) -> bool:
    """Return whether two boxes have a voxel in common."""
    (a, b, c), (d, e, f) = first.start, first.stop
    (g, h, i), (j, k, m) = second.start, second.stop
    return a < j and g < d and b < k and h < e and c < m and i < f


def relative(box: Box, frame: Box) -> tuple[slice, slice, slice]:
    """Return the index expression of `box` in an array over `frame`; what reaches out of the frame is cut off."""
    z, y, x = (
        slice(min(max(a, s), t) - s, max(min(b, t), s) - s) for a, b, s, t in zip(box.start, box.stop, frame.start, frame.stop, strict=True)
    )
    return z, y, x


def index_sums(inside: npt.NDArray[np.bool_], box: Box) -> tuple[int, int, int]:
    """Return the sums of the (z, y, x) indices of the voxels `inside` of `box`."""
    flat = np.count_nonzero(inside, axis=2)
    z, y = flat.sum(axis=1), flat.sum(axis=0)
    x = np.count_nonzero(inside, axis=(0, 1))
    return (
        int(z @ np.arange(box.start[0], box.stop[0])),
        int(y @ np.arange(box.start[1], box.stop[1])),
        int(x @ np.arange(box.start[2], box.stop[2])),
    )


def tightened(box: Box, inside: npt.NDArray[np.bool_]) -> tuple[Box, npt.NDArray[np.bool_]]:
    """Return the smallest box around the voxels, of which there is at least one, and the voxels in it."""
    if all(face.any() for axis in range(3) for face in (inside.take(0, axis), inside.take(-1, axis))):
        return box, inside
    inner = bounding_box(inside)
    assert inner is not None
    (a, b, c), (d, e, f), (z, y, x) = inner.start, inner.stop, box.start
    return Box((a + z, b + y, c + x), (d + z, e + y, f + x)), np.ascontiguousarray(inside[inner.slices])


def row_of(number: int, units: Sequence[Unit], schema: LabelSchema, region: str, plane: SlicePlane) -> Lesion:
    """Return the row of a lesion that is made of one or more units."""
    volume = plane.grid.voxel_volume_mm3
    counts = units[0].counts if len(units) == 1 else np.sum([unit.counts for unit in units], axis=0)
    voxels = int(counts.sum())
    z, y, x = (sum(unit.sums[axis] for unit in units) / voxels for axis in range(3))
    centre = plane.grid.to_mm((z, y, x))
    box = union(unit.box for unit in units)
    return Lesion(
        id=number,
        region=region,
        centroid_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        volume_mm3=voxels * volume,
        voxels=voxels,
        box_start=box.start,
        box_stop=box.stop,
        labels_mm3={label.name: int(counts[label.value]) * volume for label in schema.labels if counts[label.value]},
        diameters=measure([unit.outline for unit in units], plane),
    )


def union(boxes: Iterable[Box]) -> Box:
    """Return the smallest box that holds all of these, of which there is at least one."""
    first, *rest = boxes
    for box in rest:
        first = first.union(box)
    return first


def overlap(first: Box, second: Box) -> Box:
    """Return what two boxes have in common; without voxels where they have nothing."""
    (a, b, c), (d, e, f) = first.start, second.start
    (g, h, i), (j, k, m) = first.stop, second.stop
    return Box((max(a, d), max(b, e), max(c, f)), (min(g, j), min(h, k), min(i, m)))


def shift(index: Sequence[int], by: Sequence[int]) -> tuple[int, int, int]:
    """Return the sum of two (z, y, x) indices."""
    z, y, x = (int(i) + int(b) for i, b in zip(index, by, strict=True))
    return z, y, x
