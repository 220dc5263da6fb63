"""The row that describes one lesion, shared by every command, table and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Lesion"]


@dataclass(frozen=True)
class Lesion:
    """One connected part of a region.

    Attributes
    ----------
    id : int
        1 for the largest, then by falling volume.
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
    """

    id: int
    region: str
    centroid_mm: tuple[float, float, float]
    volume_mm3: float
    voxels: int
    box_start: tuple[int, int, int]
    box_stop: tuple[int, int, int]
    labels_mm3: Mapping[str, float] = field(default_factory=dict)
