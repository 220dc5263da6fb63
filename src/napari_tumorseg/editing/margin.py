"""Margins: a mask made larger or smaller, or hollowed out, by millimetres."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Extent, Over, Reach, Region, changed, chosen_groups, draft, enlarged, joined, step, writable
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.voxels.distance import depth_mm, dilated, eroded

__all__ = ["HollowParams", "MarginParams", "hollow", "margin"]

_EDGE = 1 + 1e-6


@dataclass(frozen=True)
class MarginParams:
    """Settings of grow and shrink.

    Attributes
    ----------
    margin_mm : float
        How far the border moves; below 0 it moves inwards.
    extent : str
        In 3-D, in every slice by itself, or in this slice only.
    reach : str
        The lesion in focus, or the label wherever it is.
    over : str
        What may be grown over.
    over_label : int
        The label that may be grown over, with "one label".
    """

    margin_mm: float = field(default=2.0, metadata=about("Margin (mm)", -50.0, 50.0, 0.5))
    extent: Extent = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


@dataclass(frozen=True)
class HollowParams:
    """Settings of hollow.

    Attributes
    ----------
    thickness_mm : float
        Thickness of the shell.
    side : str
        Where the shell lies: inside the border, outside it, or half on each side.
    core_label : int
        What the inner part becomes; 0 for background.
    extent : str
        In 3-D, in every slice by itself, or in this slice only.
    reach : str
        The lesion in focus, or the label wherever it is.
    over : str
        What the shell may be put over.
    over_label : int
        The label that it may be put over, with "one label".
    """

    thickness_mm: float = field(default=2.0, metadata=about("Thickness (mm)", 0.1, 50.0, 0.5))
    side: Literal["inside", "outside", "both"] = field(default="inside", metadata=about("Shell"))
    core_label: int = field(default=0, metadata=about("Inner part becomes", 0, 65535))
    extent: Extent = field(default="3-D", metadata=about("Where"))
    reach: Reach = field(default="lesion in focus", metadata=about("Of"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def margin(scope: Scope, target: Target, params: MarginParams, progress: Progress | None = None) -> Draft | None:
    """Move the border of the label by a distance between voxel centres.

    Growing adds all voxels within the margin; shrinking takes away all that have a voxel outside
    within the margin. The border of the volume is no border of the lesion: it takes nothing away.
    """
    step(progress, 0.0, "Looking for the label")
    far, spacing = abs(params.margin_mm), scope.grid.spacing_mm
    regions = chosen_groups(scope, target, params.reach, params.extent, range_mm=far)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.2 + 0.7 * count / len(regions), "Measuring distances")
        wide = enlarged(scope, region, max(params.margin_mm, 0.0))
        move = dilated if params.margin_mm > 0 else eroded
        after = move(wide.mask, far, spacing, wide.axis)
        done.append(changed(scope, wide.box, wide.mask, after, params.over, params.over_label))
    return joined(scope, done)


def hollow(scope: Scope, target: Target, params: HollowParams, progress: Progress | None = None) -> Draft | None:
    """Turn the label into a shell along its border.

    The shell holds the voxels whose distance to the other side of the border is at most the
    thickness (half of it on each side with "both").
    """
    step(progress, 0.0, "Looking for the label")
    inwards = {"inside": 1.0, "outside": 0.0, "both": 0.5}[params.side] * params.thickness_mm
    outwards = params.thickness_mm - inwards
    regions = chosen_groups(scope, target, params.reach, params.extent, range_mm=params.thickness_mm)
    done = []
    for count, region in enumerate(regions):
        step(progress, 0.2 + 0.7 * count / len(regions), "Measuring distances")
        done.append(_hollowed(scope, enlarged(scope, region, outwards), inwards, outwards, params))
    return joined(scope, done)


def _hollowed(scope: Scope, region: Region, inwards: float, outwards: float, params: HollowParams) -> Draft | None:
    spacing = scope.grid.spacing_mm
    shell = region.mask & (depth_mm(region.mask, spacing, region.axis) <= inwards * _EDGE)
    if outwards > 0:
        shell |= ~region.mask & (depth_mm(~region.mask, spacing, region.axis) <= outwards * _EDGE)
    old = scope.labels[region.box.slices]
    new = old.copy()
    new[region.mask & ~shell & ~np.isin(old, list(scope.locked))] = params.core_label
    new[shell & ~region.mask & writable(scope, old, params.over, params.over_label)] = scope.label
    return draft(region.box, old, new)
