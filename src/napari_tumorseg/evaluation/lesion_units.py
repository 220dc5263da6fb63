"""The pieces that the lesion index is made of: one connected part of a region, or a part of one that the user cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.evaluation.diameters import Outline, SlicePlane, measure

__all__ = ["LesionView", "Unit", "index_sums", "meets", "overlap", "relative", "row_of", "shift", "tightened", "union"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


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
        z, y, x = (int(i) for i in np.unravel_index(int(self.inside.argmax()), self.inside.shape))
        a, b, c = self.box.start
        return z + a, y + b, x + c


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
            for unit in self.units[row.id]:
                index = tuple(v - a for v, a in zip(voxel, unit.box.start, strict=True))
                if all(0 <= i < n for i, n in zip(index, unit.inside.shape, strict=True)) and unit.inside[index]:
                    return row
        return None

    def part(self, lesion: Lesion) -> npt.NDArray[np.bool_]:
        """Return which voxels of the lesion's own bounding box belong to it."""
        own = Box(lesion.box_start, lesion.box_stop)
        inside = np.zeros(own.shape, bool)
        for unit in self.units[lesion.id]:
            inside[relative(unit.box, own)] |= unit.inside
        return inside


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
