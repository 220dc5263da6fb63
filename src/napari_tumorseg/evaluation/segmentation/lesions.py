"""One lesion against what was predicted of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.grid import Box
from napari_tumorseg.evaluation.segmentation.parts import Ids, Parts, boxes, joint_box
from napari_tumorseg.evaluation.segmentation.surface import SurfaceDistances, surface_distances

__all__ = ["LesionScore", "Ruler", "found_lesion", "lone_lesions"]

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Ruler:
    """How the distances of a lesion are measured.

    Attributes
    ----------
    spacing_mm : tuple of float
        Voxel size, (z, y, x).
    pooled : bool
        Whether HD95 is the percentile of both directions of the voxel surfaces pooled, rather than of the surface elements.
    tolerances_mm : tuple of float
        Of the NSD, by voxel surfaces.
    nsd_epsilon : float
        Added to the denominator of the NSD.
    """

    spacing_mm: Spacing
    pooled: bool
    tolerances_mm: tuple[float, ...]
    nsd_epsilon: float

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        z, y, x = self.spacing_mm
        return z * y * x

    def measure(self, a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> tuple[float, dict[str, float]]:
        """Return HD95 in mm and the NSD by tolerance of two masks that are not empty."""
        if self.pooled:
            voxels = surface_distances(a, b, self.spacing_mm, "voxels")
            return voxels.pooled_percentile_mm(), self._nsd(voxels)
        hd95 = surface_distances(a, b, self.spacing_mm).hausdorff_mm()
        if not self.tolerances_mm:
            return hd95, {}
        return hd95, self._nsd(surface_distances(a, b, self.spacing_mm, "voxels", reach_mm=max(self.tolerances_mm)))

    def _nsd(self, voxels: SurfaceDistances) -> dict[str, float]:
        return {str(t): with_epsilon(voxels.mean_overlap(t), self.nsd_epsilon) for t in self.tolerances_mm}


def with_epsilon(mean: float, epsilon: float) -> float:
    """Return (a + b) / (a + b + (1 - a) + (1 - b) + epsilon) for the mean of the fractions a and b."""
    return 2 * mean / (2 + epsilon)


@dataclass(frozen=True)
class LesionScore:
    """A reference lesion with its scores, or a predicted one that none is there for.

    Attributes
    ----------
    box_start : tuple of int
        First voxel of its bounding box, (z, y, x) in the volume.
    voxels : int
        Of the lesion itself.
    centre : tuple of float
        Centre of mass, (z, y, x) in voxels of the volume.
    predicted : bool
        Whether it is a false positive: a predicted lesion without a reference.
    matched : bool
        Whether a prediction was found for it.
    dice : float
        0 where it was not found.
    hd95_mm : float
        Infinite where it was not found.
    nsd : mapping of str to float
        By tolerance in mm.
    """

    box_start: tuple[int, int, int]
    voxels: int
    centre: tuple[float, float, float]
    predicted: bool = False
    matched: bool = False
    dice: float = 0.0
    hd95_mm: float = float("inf")
    nsd: Mapping[str, float] = field(default_factory=dict)


def found_lesion(
    reference: Parts, prediction: Parts, number: int, matches: Sequence[int], where: Mapping[str, Any], box: Box, ruler: Ruler
) -> LesionScore:
    """Score the reference lesion `number` against the union of the predicted lesions `matches` (none: it was missed).

    `where` holds the bounding boxes of both, as `lesion_boxes` returns them.
    """
    own = where["reference"][number - 1]
    mask = reference.ids[own] == number
    start, voxels, centre = _place(mask, own, box)
    if not matches:
        return LesionScore(start, voxels, centre, nsd={str(t): 0.0 for t in ruler.tolerances_mm})
    joint = joint_box([own, *(where["prediction"][m - 1] for m in matches)])
    one = reference.ids[joint] == number
    other = np.isin(prediction.ids[joint], np.asarray(matches)) if len(matches) > 1 else prediction.ids[joint] == matches[0]
    shared = 2 * int(np.count_nonzero(one & other))
    hd95, nsd = ruler.measure(one, other)
    return LesionScore(start, voxels, centre, False, True, shared / (voxels + int(np.count_nonzero(other))), hd95, nsd)


def lone_lesions(prediction: Parts, numbers: Sequence[int], where: Mapping[str, Any], box: Box, ruler: Ruler) -> list[LesionScore]:
    """Return the predicted lesions `numbers` as false positives."""
    rows = []
    for number in numbers:
        own = where["prediction"][number - 1]
        start, voxels, centre = _place(prediction.ids[own] == number, own, box)
        rows.append(LesionScore(start, voxels, centre, predicted=True, nsd={str(t): 0.0 for t in ruler.tolerances_mm}))
    return rows


def lesion_boxes(reference: Parts, prediction: Parts) -> dict[str, Any]:
    """Return the bounding boxes of the lesions of both, by number from 1."""
    return {"reference": boxes(reference.ids), "prediction": boxes(prediction.ids)}


def pairs_of(one: Ids, other: Ids) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return (n, 2) pairs of numbers above 0 that share voxels, and how many they share."""
    both = (one > 0) & (other > 0)
    width = int(other.max(initial=0)) + 1
    codes, counts = np.unique(one[both].astype(np.int64) * width + other[both], return_counts=True)
    return np.stack((codes // width, codes % width), axis=1), counts


def _place(mask: npt.NDArray[np.bool_], own: tuple[slice, ...], box: Box) -> tuple[tuple[int, int, int], int, tuple[float, float, float]]:
    start = [s.start + o for s, o in zip(own, box.start, strict=True)]
    where = np.nonzero(mask)
    z, y, x = (float(axis.mean()) + o for axis, o in zip(where, start, strict=True))
    return (start[0], start[1], start[2]), len(where[0]), (z, y, x)
