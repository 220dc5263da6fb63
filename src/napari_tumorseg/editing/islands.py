"""Islands: the connected parts of a label, kept, dropped, deleted, given another class."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import (
    Extent,
    Mask,
    Over,
    Reach,
    Region,
    chosen_groups,
    draft,
    island_at,
    joined,
    needed_image,
    needed_voxel,
    painted,
    step,
    within,
    writable,
)
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.parts import connected_parts

__all__ = [
    "AddIslandParams",
    "DropSmallParams",
    "IslandParams",
    "KeepLargestParams",
    "RelabelIslandParams",
    "add_island",
    "delete_island",
    "drop_small",
    "keep_island",
    "keep_largest",
    "relabel_island",
]

#: What hangs together: voxels of the label, or of any label.
Kin = Literal["the same label", "any label"]


@dataclass(frozen=True)
class KeepLargestParams:
    """Settings of keep largest.

    Attributes
    ----------
    kin : str
        Islands of the label drawn with, or of all labels together.
    reach : str
        Within the lesion in focus, or in the whole mask.
    """

    kin: Kin = field(default="the same label", metadata=about("Islands of"))
    reach: Reach = field(default="whole mask", metadata=about("In"))


@dataclass(frozen=True)
class DropSmallParams:
    """Settings of drop small.

    Attributes
    ----------
    volume_mm3 : float
        Islands smaller than this go.
    kin : str
        Islands of the label drawn with, or of all labels together.
    extent : str
        Islands in 3-D, or of every slice by itself, or of this slice only; a slice counts with its thickness.
    reach : str
        Within the lesion in focus, or in the whole mask.
    """

    volume_mm3: float = field(default=20.0, metadata=about("Volume (mm³)", 0.0, 1e6, 5.0))
    kin: Kin = field(default="the same label", metadata=about("Islands of"))
    extent: Extent = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="whole mask", metadata=about("In"))


@dataclass(frozen=True)
class IslandParams:
    """Settings of the tools for the island under the cursor.

    Attributes
    ----------
    kin : str
        What hangs together: voxels of the label clicked on, or of any label.
    in_3d : bool
        The island in 3-D; otherwise its part in this slice.
    """

    kin: Kin = field(default="the same label", metadata=about("Island of"))
    in_3d: bool = field(default=True, metadata=about("In 3-D"))


@dataclass(frozen=True)
class RelabelIslandParams(IslandParams):
    """Settings of change the class of an island.

    Attributes
    ----------
    kin : str
        What hangs together: voxels of the label clicked on, or of any label.
    in_3d : bool
        The island in 3-D; otherwise its part in this slice.
    """


@dataclass(frozen=True)
class AddIslandParams:
    """Settings of add island.

    Attributes
    ----------
    source : str
        Where the island comes from: the AI's mask, another mask, or voxels of the image within the window.
    low : float
        Lower end of the window, in the image's unit.
    high : float
        Upper end of the window, in the image's unit.
    in_3d : bool
        The island in 3-D; otherwise its part in this slice.
    keep_classes : bool
        From a mask, take its labels over; otherwise the island gets the label drawn with.
    over : str
        What may be written over.
    over_label : int
        The label that may be written over, with "one label".
    """

    source: Literal["AI's mask", "another mask", "image window"] = field(default="AI's mask", metadata=about("From"))
    low: float = field(default=0.0, metadata=about("From intensity", -1e6, 1e6))
    high: float = field(default=1e6, metadata=about("To intensity", -1e6, 1e6))
    in_3d: bool = field(default=True, metadata=about("In 3-D"))
    keep_classes: bool = field(default=False, metadata=about("Keep its classes"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def keep_largest(scope: Scope, target: Target, params: KeepLargestParams, progress: Progress | None = None) -> Draft | None:
    """Turn all islands but the largest into background; of several that are equal one is kept."""
    step(progress, 0.0, "Looking for islands")
    regions = chosen_groups(scope, target, params.reach, "3-D", None if params.kin == "the same label" else ())
    largest, parts_of = (0, -1, 0), []
    for count, region in enumerate(regions):
        step(progress, 0.3 + 0.6 * count / len(regions), "Comparing islands")
        parts, _ = connected_parts(region.mask)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        parts_of.append(parts)
        number = int(np.argmax(sizes))
        if sizes[number] > largest[0]:
            largest = (int(sizes[number]), count, number)
    done = []
    for count, (region, parts) in enumerate(zip(regions, parts_of, strict=True)):
        goes = region.mask & (parts != largest[2]) if count == largest[1] else region.mask
        done.append(_cleared(scope, region.box, goes))
    return joined(scope, done)


def drop_small(scope: Scope, target: Target, params: DropSmallParams, progress: Progress | None = None) -> Draft | None:
    """Turn islands below a volume into background."""
    step(progress, 0.0, "Looking for islands")
    regions = chosen_groups(scope, target, params.reach, params.extent, None if params.kin == "the same label" else ())
    least = params.volume_mm3 / scope.grid.voxel_volume_mm3 * (1 - 1e-9)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.3 + 0.6 * count / len(regions), "Measuring islands")
        done.append(_cleared(scope, region.box, _below(region, least)))
    return joined(scope, done)


def _below(region: Region, voxels: float) -> Mask:
    """Return the islands with fewer voxels, in 3-D or slice by slice."""
    axis, mask = region.axis, region.mask
    blocks = [mask] if axis is None else [mask.take([i], axis) for i in range(mask.shape[axis])]
    small = []
    for block in blocks:
        parts, _ = connected_parts(block)
        goes = np.bincount(parts.ravel()) < voxels
        goes[0] = False
        small.append(goes[parts])
    return np.concatenate(small, axis=axis or 0)


def delete_island(scope: Scope, target: Target, params: IslandParams, progress: Progress | None = None) -> Draft | None:
    """Turn the island under the cursor into background.

    Raises
    ------
    InputError
        If nothing was pointed at.
    """
    step(progress, 0.0, "Looking for the island")
    found = _island(scope, target, params.kin, params.in_3d)
    return None if found is None else _cleared(scope, found.box, found.mask)


def relabel_island(scope: Scope, target: Target, params: RelabelIslandParams, progress: Progress | None = None) -> Draft | None:
    """Give the island under the cursor the label drawn with.

    Raises
    ------
    InputError
        If nothing was pointed at.
    """
    step(progress, 0.0, "Looking for the island")
    found = _island(scope, target, params.kin, params.in_3d)
    return None if found is None else painted(scope, found.box, found.mask, "all but locked")


def keep_island(scope: Scope, target: Target, params: IslandParams, progress: Progress | None = None) -> Draft | None:
    """Keep the island under the cursor and turn the others (of its label, or of any) into background.

    Raises
    ------
    InputError
        If nothing was pointed at.
    """
    step(progress, 0.0, "Looking for the island")
    found = _island(scope, target, params.kin, params.in_3d)
    if found is None:
        return None
    value = int(scope.labels[needed_voxel(scope, target)])
    extent: Extent = "3-D" if params.in_3d else "this slice"
    regions = chosen_groups(scope, target, "whole mask", extent, (value,) if params.kin == "the same label" else ())
    step(progress, 0.6, "Clearing the others")
    return joined(scope, [_cleared(scope, region.box, region.mask & ~within(found.mask, found.box, region.box)) for region in regions])


def add_island(scope: Scope, target: Target, params: AddIslandParams, progress: Progress | None = None) -> Draft | None:
    """Add the one island under the cursor out of the AI's mask, another mask or an intensity window.

    Raises
    ------
    InputError
        If nothing was pointed at, or the source is not there.
    """
    step(progress, 0.0, "Looking for the island")
    voxel = needed_voxel(scope, target)
    axis = None if params.in_3d else target.axis
    if params.source == "image window":
        image = needed_image(scope)
        found = island_at(
            image.shape, voxel, lambda box: (image[box.slices] >= params.low) & (image[box.slices] <= params.high), axis, connectivity=6
        )
        return None if found is None else painted(scope, found.box, found.mask, params.over, params.over_label)
    other = scope.ai if params.source == "AI's mask" else scope.other
    if other is None or other.shape != scope.labels.shape:
        raise InputError("There is no other mask on this grid to take an island from.", "Choose another source.")
    found = island_at(other.shape, voxel, lambda box: np.asarray(other[box.slices] != 0), axis)
    if found is None or not params.keep_classes:
        return None if found is None else painted(scope, found.box, found.mask, params.over, params.over_label)
    old = scope.labels[found.box.slices]
    may = writable(scope, old, params.over, params.over_label)
    return draft(found.box, old, np.where(found.mask & may, other[found.box.slices].astype(old.dtype), old))


def _island(scope: Scope, target: Target, kin: Kin, in_3d: bool) -> Region | None:
    voxel = needed_voxel(scope, target)
    value = int(scope.labels[voxel])
    if value == 0:
        return None
    same = kin == "the same label"

    def look(box: Box) -> Mask:
        block = scope.labels[box.slices]
        return np.asarray(block == value if same else block != 0)

    return island_at(scope.labels.shape, voxel, look, None if in_3d else target.axis)


def _cleared(scope: Scope, box: Box, where: Mask) -> Draft | None:
    old = scope.labels[box.slices]
    new = old.copy()
    new[where & ~np.isin(old, list(scope.locked))] = 0
    return draft(box, old, new)
