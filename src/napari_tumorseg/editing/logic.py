"""Logic between labels and between masks: union, intersection, difference, copy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Mask, Over, Reach, box_of_values, changed, step, within
from napari_tumorseg.editing.scope import Draft, Scope, Target

__all__ = ["LogicParams", "combine"]


@dataclass(frozen=True)
class LogicParams:
    """Settings of combine.

    Attributes
    ----------
    operation : str
        Union adds the other's voxels; intersection keeps those that the other has, too; difference
        takes the other's voxels away; copy makes the label equal to the other.
    source : str
        A label of this mask, or of another mask, or of the AI's.
    other_label : int
        That label; 0 for any label of the other mask, or any other label of this mask.
    reach : str
        Within the lesion in focus, or in the whole mask.
    over : str
        What may be written over. With "background" a union with a label of this mask adds nothing.
    over_label : int
        The label that may be written over, with "one label".
    """

    operation: Literal["union", "intersection", "difference", "copy"] = field(default="union", metadata=about("Operation"))
    source: Literal["this mask", "another mask", "AI's mask"] = field(default="another mask", metadata=about("With"))
    other_label: int = field(default=0, metadata=about("Label (0: any)", 0, 65535))
    reach: Reach = field(default="whole mask", metadata=about("In"))
    over: Over = field(default="all but locked", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def combine(scope: Scope, target: Target, params: LogicParams, progress: Progress | None = None) -> Draft | None:
    """Combine the label drawn with and another.

    Two labels of one mask never overlap, so between them only union (the other becomes this one)
    and copy have an effect on voxels of the other, and intersection clears the label.

    Raises
    ------
    InputError
        If there is no other mask on the mask's grid.
    """
    step(progress, 0.0, "Looking for the labels")
    other = {"this mask": scope.labels, "another mask": scope.other, "AI's mask": scope.ai}[params.source]
    if other is None or other.shape != scope.labels.shape:
        raise InputError("There is no other mask on this grid to combine with.", "Open or choose another mask.")
    values = (params.other_label,) if params.other_label else None
    limit = target.part if params.reach == "lesion in focus" else None
    box = limit[0] if limit else _both(box_of_values(scope.labels, (scope.label,)), box_of_values(other, values))
    if box is None:
        return None
    step(progress, 0.6, "Combining")
    old, block = scope.labels[box.slices], other[box.slices]
    mine = np.asarray(old == scope.label)
    theirs = np.asarray(block == params.other_label if params.other_label else block != 0)
    if params.source == "this mask" and not params.other_label:
        theirs &= ~mine
    after: Mask = {
        "union": mine | theirs,
        "intersection": mine & theirs,
        "difference": mine & ~theirs,
        "copy": theirs,
    }[params.operation]
    if limit is not None:
        inside = within(limit[1], limit[0], box)
        after = np.where(inside, after, mine)
    return changed(scope, box, mine, after, params.over, params.over_label)


def _both(a: Box | None, b: Box | None) -> Box | None:
    if a is None or b is None:
        return a or b
    return a.union(b)
