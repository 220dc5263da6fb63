"""The lesions of a mask: connected parts of a region, and the volumes of its regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box, Grid, bounding_box
from napari_tumorseg.core.labels import LabelSchema
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.evaluation.diameters import Outline, SlicePlane, measure
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["LesionMap", "find_lesions", "locate_lesions", "region_volumes_ml"]

Labels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False)
class LesionMap:
    """The lesions of a mask and where they are.

    Attributes
    ----------
    lesions : tuple of Lesion
        By falling volume.
    box : Box
        Block of the mask that holds them all; empty when there are none.
    ids : numpy.ndarray
        Shape of `box`, unsigned integer: `Lesion.id` of each voxel, 0 outside.
    """

    lesions: tuple[Lesion, ...]
    box: Box
    ids: npt.NDArray[np.unsignedinteger[Any]]

    def at(self, voxel: tuple[int, int, int]) -> Lesion | None:
        """Return the lesion at a voxel (z, y, x) of the mask, None where there is none."""
        index = tuple(v - a for v, a in zip(voxel, self.box.start, strict=True))
        if any(not 0 <= i < n for i, n in zip(index, self.ids.shape, strict=True)):
            return None
        found = int(self.ids[index])
        return self.lesions[found - 1] if found else None

    def part(self, lesion: Lesion) -> npt.NDArray[np.bool_]:
        """Return which voxels of the lesion's own bounding box belong to it."""
        own = Box(lesion.box_start, lesion.box_stop)
        start = tuple(a - b for a, b in zip(own.start, self.box.start, strict=True))
        index = tuple(slice(a, a + n) for a, n in zip(start, own.shape, strict=True))
        return np.asarray(self.ids[index] == lesion.id)


def find_lesions(labels: Labels, grid: Grid, schema: LabelSchema, region: str | None = None) -> tuple[Lesion, ...]:
    """List the connected parts of a region.

    Parameters
    ----------
    labels : numpy.ndarray
        Shape (z, y, x), unsigned integer, values of `schema`.
    grid : Grid
        Position of the voxels.
    schema : LabelSchema
        Meaning of the values.
    region : str, optional
        Region name; the schema's `lesion_region` by default.

    Returns
    -------
    tuple of Lesion
        26-connected parts by falling volume, numbered from 1. Parts of equal volume are ordered
        by their first voxel, so that the numbering does not depend on the library.

    Examples
    --------
    >>> from napari_tumorseg.core.labels import preset
    >>> mask = np.zeros((4, 4, 4), np.uint8)
    >>> mask[0, 0, :2] = 1
    >>> [lesion.volume_mm3 for lesion in find_lesions(mask, Grid.from_spacing(mask.shape, (2, 1, 1)), preset("lesion"))]
    [4.0]
    """
    return locate_lesions(labels, grid, schema, region).lesions


def locate_lesions(labels: Labels, grid: Grid, schema: LabelSchema, region: str | None = None) -> LesionMap:
    """List the connected parts of a region as `find_lesions` does, and say which voxel belongs to which."""
    import cc3d

    name = region or schema.lesion_region
    inside = schema.region_mask(labels, name)
    box = bounding_box(inside)
    if box is None:
        return LesionMap((), Box((0, 0, 0), (0, 0, 0)), np.zeros((0, 0, 0), np.uint8))
    parts, count = connected_parts(inside[box.slices])
    stats = cc3d.statistics(parts, no_slice_conversion=False)
    voxels = np.asarray(stats["voxel_counts"])[1:]
    boxes = stats["bounding_boxes"][1:]
    centroids = np.asarray(stats["centroids"], np.float64)[1:] + np.array(box.start)
    order = sorted(range(count), key=lambda i: (-int(voxels[i]), tuple(s.start for s in boxes[i])))
    values = labels[box.slices]
    volume = grid.voxel_volume_mm3
    plane = SlicePlane.of(grid)
    rows = []
    for number, i in enumerate(order, start=1):
        part = parts[boxes[i]] == i + 1
        own = values[boxes[i]][part]
        make_up = {label.name: float(np.count_nonzero(own == label.value)) * volume for label in schema.labels}
        x, y, z = (float(v) for v in grid.to_mm(centroids[i]))
        start = tuple(int(s.start) + o for s, o in zip(boxes[i], box.start, strict=True))
        stop = tuple(int(s.stop) + o for s, o in zip(boxes[i], box.start, strict=True))
        rows.append(
            Lesion(
                id=number,
                region=name,
                centroid_mm=(x, y, z),
                volume_mm3=float(voxels[i]) * volume,
                voxels=int(voxels[i]),
                box_start=(start[0], start[1], start[2]),
                box_stop=(stop[0], stop[1], stop[2]),
                labels_mm3={k: v for k, v in make_up.items() if v},
                diameters=measure([Outline.of(part, Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2])), plane)], plane),
            )
        )
    number_of = np.zeros(count + 1, np.min_scalar_type(count))
    number_of[np.array(order, np.intp) + 1] = np.arange(1, count + 1)
    return LesionMap(tuple(rows), box, number_of[parts])


def region_volumes_ml(labels: Labels, grid: Grid, schema: LabelSchema) -> dict[str, float]:
    """Return the volume in mL of every region of `schema` in a mask (z, y, x)."""
    counts = np.bincount(labels.ravel(), minlength=max(schema.values) + 1)
    per_voxel_ml = grid.voxel_volume_mm3 / 1000
    return {region.name: float(sum(int(counts[v]) for v in region.values)) * per_voxel_ml for region in schema.regions}
