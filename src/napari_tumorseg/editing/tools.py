"""The table of editing tools: what a window lists and what commands refer to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.brush import BrushParams, brush
from napari_tumorseg.editing.carry import CarryParams, carry
from napari_tumorseg.editing.copy_slice import CopySliceParams, copy_slice
from napari_tumorseg.editing.fill_holes import FillHolesParams, fill_holes
from napari_tumorseg.editing.gates import AdaptiveParams, ThresholdParams, adaptive_gate, threshold_gate
from napari_tumorseg.editing.grow import GrowParams, grow
from napari_tumorseg.editing.grow_seeds import GrowSeedsParams, grow_seeds
from napari_tumorseg.editing.interpolate import InterpolateParams, interpolate
from napari_tumorseg.editing.islands import (
    AddIslandParams,
    DropSmallParams,
    IslandParams,
    KeepLargestParams,
    RelabelIslandParams,
    add_island,
    delete_island,
    drop_small,
    keep_island,
    keep_largest,
    relabel_island,
)
from napari_tumorseg.editing.level_tracing import LevelParams, level_tracing
from napari_tumorseg.editing.logic import LogicParams, combine
from napari_tumorseg.editing.margin import HollowParams, MarginParams, hollow, margin
from napari_tumorseg.editing.outline import LassoParams, WireParams, lasso, livewire
from napari_tumorseg.editing.pet_edge import EdgeParams, gradient_edge
from napari_tumorseg.editing.pet_threshold import FixedSuvParams, PercentParams, PercistParams, percent_of_max, percist, suv_at_least
from napari_tumorseg.editing.region import Mask
from napari_tumorseg.editing.reshape import ReshapeParams, reshape
from napari_tumorseg.editing.restore import (
    RestoreLassoParams,
    RestorePartParams,
    RestoreSphereParams,
    restore_lasso,
    restore_part,
    restore_sphere,
)
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.smooth import SmoothParams, smooth
from napari_tumorseg.editing.smooth_jointly import JointParams, smooth_jointly
from napari_tumorseg.editing.split import SplitParams, split

__all__ = ["TOOLS", "GateRun", "Kind", "Run", "Tool", "tool"]

#: What the user does: presses a button, clicks on a voxel, draws a path or sets anchors, or paints through it.
Kind = Literal["apply", "click", "outline", "gate"]
#: A tool: scope, target, settings, progress; returns what it would write, None for nothing.
Run: TypeAlias = Callable[[Scope, Target, Any, Progress | None], Draft | None]
#: A gate: scope, target (voxel under the cursor), box and mask of the brush, settings, progress; returns what may be painted.
GateRun: TypeAlias = Callable[[Scope, Target, Box, Mask, Any, Progress | None], Mask]


@dataclass(frozen=True)
class Tool:
    """A tool as a window shows it.

    Attributes
    ----------
    name : str
        Stable, lower case with underscores.
    title : str
        For a menu or a button.
    kind : str
        "apply" (a button), "click" (``target.voxel``), "outline" (``target.path``) or "gate" (of the brush).
    params : type
        Frozen dataclass of its settings; all have defaults.
    run : callable
        `Run`, or `GateRun` for a gate.
    tip : str
        What it does, in one sentence.
    needs : tuple of str
        What of "image", "ai", "part", "other" and "before" it cannot do without with its default settings.
    """

    name: str
    title: str
    kind: Kind
    params: type[Any]
    run: Run | GateRun
    tip: str
    needs: tuple[str, ...] = ()


_ALL = (
    Tool("brush", "Brush", "outline", BrushParams, brush, "Paint or erase with a disc or a sphere of a size in mm."),
    Tool(
        "threshold_paint",
        "Threshold paint",
        "gate",
        ThresholdParams,
        threshold_gate,
        "Paint only voxels whose intensity lies in a window.",
        ("image",),
    ),
    Tool(
        "adaptive_brush",
        "Adaptive brush",
        "gate",
        AdaptiveParams,
        adaptive_gate,
        "Paint only what resembles the voxel under the cursor and hangs together with it.",
        ("image",),
    ),
    Tool("grow", "Grow from a click", "click", GrowParams, grow, "Click into a structure to paint what resembles it.", ("image",)),
    Tool(
        "grow_seeds",
        "Grow from scribbles",
        "apply",
        GrowSeedsParams,
        grow_seeds,
        "Grow all labels from the scribbles that are there until they meet.",
        ("image",),
    ),
    Tool(
        "level_tracing",
        "Level tracing",
        "click",
        LevelParams,
        level_tracing,
        "Click on a border to fill the line of equal intensity through it.",
        ("image",),
    ),
    Tool(
        "pet_suv",
        "PET: SUV at least",
        "click",
        FixedSuvParams,
        suv_at_least,
        "Click on a lesion to paint what reaches SUV 2.5, 4.0 or another value.",
        ("image",),
    ),
    Tool(
        "pet_percent",
        "PET: % of maximum",
        "click",
        PercentParams,
        percent_of_max,
        "Click on a lesion to paint what reaches a share (41 %) of its maximum.",
        ("image",),
    ),
    Tool(
        "pet_percist",
        "PET: PERCIST liver",
        "click",
        PercistParams,
        percist,
        "Draw a liver region into a mask of its own; then click on a lesion to paint what reaches 1.5 x its mean + 2 SD.",
        ("image", "other"),
    ),
    Tool(
        "pet_edge",
        "PET: gradient edge",
        "click",
        EdgeParams,
        gradient_edge,
        "Click on a lesion to paint it up to where its uptake falls off most steeply.",
        ("image",),
    ),
    Tool(
        "livewire",
        "Live-wire",
        "outline",
        WireParams,
        livewire,
        "Set points round a structure; the outline between them follows edges.",
        ("image",),
    ),
    Tool("lasso", "Lasso", "outline", LassoParams, lasso, "Draw round a region to fill or clear it."),
    Tool(
        "reshape",
        "Redraw border",
        "outline",
        ReshapeParams,
        reshape,
        "Draw where a border should run, all of it or a stretch; the mask grows and shrinks to the line.",
    ),
    Tool(
        "interpolate",
        "Fill between slices",
        "apply",
        InterpolateParams,
        interpolate,
        "Fill the slices between those that you have drawn on.",
    ),
    Tool(
        "carry",
        "Carry corrections between slices",
        "apply",
        CarryParams,
        carry,
        "Correct every few slices; those between are changed in the same way. Slices marked as checked stay.",
        ("before",),
    ),
    Tool(
        "copy_slice",
        "Copy slice",
        "apply",
        CopySliceParams,
        copy_slice,
        "Copy the label of this slice to the next or previous one, fitted to the image if you like.",
    ),
    Tool("smooth", "Smooth", "apply", SmoothParams, smooth, "Smooth one label by median, opening, closing or Gaussian."),
    Tool(
        "smooth_jointly",
        "Smooth jointly",
        "apply",
        JointParams,
        smooth_jointly,
        "Smooth all labels together without gaps or overlaps between them.",
    ),
    Tool("margin", "Grow or shrink", "apply", MarginParams, margin, "Move the border of the label outwards or inwards by mm."),
    Tool("hollow", "Hollow", "apply", HollowParams, hollow, "Turn the label into a shell of a thickness in mm."),
    Tool("fill_holes", "Fill holes", "apply", FillHolesParams, fill_holes, "Fill background that the label encloses."),
    Tool(
        "keep_largest", "Keep largest island", "apply", KeepLargestParams, keep_largest, "Clear all islands of the label but the largest."
    ),
    Tool("drop_small", "Drop small islands", "apply", DropSmallParams, drop_small, "Clear islands below a volume in mm³."),
    Tool("split", "Split at necks", "apply", SplitParams, split, "Part blobs that touch at their narrowest place."),
    Tool("delete_island", "Delete island", "click", IslandParams, delete_island, "Click on an island to clear it."),
    Tool(
        "keep_island", "Keep this island only", "click", IslandParams, keep_island, "Click on an island to clear all others of its label."
    ),
    Tool(
        "relabel_island", "Change class", "click", RelabelIslandParams, relabel_island, "Click on an island to give it the selected label."
    ),
    Tool(
        "add_island",
        "Add island",
        "click",
        AddIslandParams,
        add_island,
        "Click to add one island of the AI's mask, another mask or an intensity window.",
        ("ai",),
    ),
    Tool(
        "combine",
        "Combine masks",
        "apply",
        LogicParams,
        combine,
        "Union, intersection, difference or copy of the label and another label or mask.",
        ("other",),
    ),
    Tool("restore_part", "Restore lesion", "apply", RestorePartParams, restore_part, "Put the AI's version of this lesion back.", ("ai",)),
    Tool(
        "restore_sphere",
        "Restore round a click",
        "click",
        RestoreSphereParams,
        restore_sphere,
        "Click to put the AI's version back within a radius.",
        ("ai",),
    ),
    Tool(
        "restore_lasso",
        "Restore inside a lasso",
        "outline",
        RestoreLassoParams,
        restore_lasso,
        "Draw round a region to put the AI's version back there.",
        ("ai",),
    ),
)

#: Tools by name, in the order in which a window lists them.
TOOLS: MappingProxyType[str, Tool] = MappingProxyType({entry.name: entry for entry in _ALL})


def tool(name: str) -> Tool:
    """Return a tool by name; raise `InputError` when there is none.

    Examples
    --------
    >>> tool("margin").title
    'Grow or shrink'
    """
    try:
        return TOOLS[name]
    except KeyError:
        raise InputError(f"There is no tool {name!r}.", f"Choose one of {', '.join(TOOLS)}.") from None
