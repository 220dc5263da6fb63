"""Versions of one mask compared: where they differ, lesion by lesion, and taking a lesion from one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskVersion
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress

__all__ = ["DIFFERENT_LABEL", "SOME_ONLY", "DifferingLesion", "VersionComparison", "compare_versions", "lesion_taken"]

Labels = npt.NDArray[np.unsignedinteger[Any]]

#: Codes of `VersionComparison.differences`: marked in some versions only, and marked in all with different labels.
SOME_ONLY, DIFFERENT_LABEL = 1, 2


@dataclass(frozen=True)
class DifferingLesion:
    """A connected part of what any version has marked.

    Attributes
    ----------
    number : int
        Value in `VersionComparison.parts`, 1 and up.
    box : Box
        Around it, on the grid of the masks.
    centre_mm : tuple of float
        (x, y, z) in RAS millimetres, the middle of the differing voxels.
    volumes_ml : tuple of float
        Marked volume in each version.
    differing_ml : float
        Volume of the voxels that are not the same in all.
    """

    number: int
    box: Box
    centre_mm: tuple[float, float, float]
    volumes_ml: tuple[float, ...]
    differing_ml: float


@dataclass(frozen=True, eq=False)
class VersionComparison:
    """Where versions differ.

    Attributes
    ----------
    differences : numpy.ndarray
        uint8 (z, y, x): 0 the same in all, else `SOME_ONLY` or `DIFFERENT_LABEL`.
    parts : numpy.ndarray
        Unsigned integer (z, y, x): number of the lesion, 0 outside.
    lesions : tuple of DifferingLesion
        Those that differ, the largest difference first.
    same : int
        Number of lesions that are the same in all, voxel by voxel.
    """

    differences: npt.NDArray[np.uint8]
    parts: Labels
    lesions: tuple[DifferingLesion, ...]
    same: int


def compare_versions(versions: Sequence[MaskVersion], progress: Progress | None = None) -> VersionComparison:
    """Compare versions of a mask.

    A lesion here is a part of the union of all that any version has marked, connected over faces, edges and corners: so every voxel
    belongs to one lesion, whichever version drew it, and lesions that one version joins are one.

    Parameters
    ----------
    versions : sequence of MaskVersion
        At least one, on one grid.
    progress : Progress, optional
        Reports and cancels.

    Raises
    ------
    InputError
        If they are on different grids.

    Examples
    --------
    >>> from napari_tumorseg.core.case import MaskKind
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> grid = Grid.from_spacing((1, 1, 5), (10, 10, 10))
    >>> def version(*labels):
    ...     return MaskVersion(np.array([[labels]], np.uint8), grid, preset("brats-mets-2025"), MaskKind.RATER)
    >>> found = compare_versions([version(3, 0, 3, 3, 0), version(3, 0, 3, 2, 0)])
    >>> found.differences.tolist(), found.same, [round(volume, 3) for volume in found.lesions[0].volumes_ml]
    ([[[0, 0, 0, 2, 0]]], 1, [2.0, 2.0])
    """
    from scipy import ndimage

    from napari_tumorseg.voxels.parts import connected_parts

    progress = progress or Progress()
    first = versions[0]
    if any(not v.grid.matches(first.grid) for v in versions):
        raise InputError("The versions are not on one grid.", "Compare versions of one case.")
    union = np.zeros(first.grid.shape, bool)
    common = np.ones(first.grid.shape, bool)
    differs = np.zeros(first.grid.shape, bool)
    for number, version in enumerate(versions):
        progress.update(number / len(versions), "Comparing the versions")
        marked = version.labels > 0
        union |= marked
        common &= marked
        differs |= version.labels != first.labels
    differences = np.where(differs, np.where(common, DIFFERENT_LABEL, SOME_ONLY), 0).astype(np.uint8)
    parts, count = connected_parts(union)
    ml = first.grid.voxel_volume_mm3 / 1000.0
    sizes = np.bincount(parts[differs], minlength=count + 1)
    volumes = [np.bincount(parts[v.labels > 0], minlength=count + 1) for v in versions]
    boxes = ndimage.find_objects(parts, max_label=count)
    lesions = []
    for lesion in sorted((n for n in range(1, count + 1) if sizes[n]), key=lambda n: -sizes[n]):
        progress.update(1.0, "Comparing the versions")
        part = boxes[lesion - 1]
        inside = np.argwhere((parts[part] == lesion) & differs[part])
        start = tuple(s.start for s in part)
        # The voxel nearest to the middle of the differences, so that jumping there shows one.
        middle = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))] + start
        x, y, z = first.grid.to_mm(middle)
        box = Box(start, tuple(s.stop for s in part))
        at = (float(x), float(y), float(z))
        lesions.append(DifferingLesion(lesion, box, at, tuple(float(v[lesion] * ml) for v in volumes), float(sizes[lesion] * ml)))
    return VersionComparison(differences, parts, tuple(lesions), count - len(lesions))


def lesion_taken(current: Labels, parts: Labels, lesion: DifferingLesion, source: Labels) -> Labels:
    """Return the labels of a lesion's box with the lesion as another version has it, and all around it as it was.

    Parameters
    ----------
    current : numpy.ndarray
        The mask at hand, (z, y, x).
    parts : numpy.ndarray
        Of the comparison.
    lesion : DifferingLesion
        Which.
    source : numpy.ndarray
        Labels of the version that it is taken from, (z, y, x).

    Returns
    -------
    numpy.ndarray
        Shape of the lesion's box.
    """
    inside = lesion.box.slices
    return np.where(parts[inside] == lesion.number, source[inside], current[inside])
