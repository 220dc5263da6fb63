"""Segmenters that take prompts, as editing tools: a click, and the lesion is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Literal

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import Input, Prompt, PromptLesion, Segmenter, SegmenterSpec
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Over, draft, writable
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.tools import Tool
from napari_tumorseg.voxels.parts import connected_parts

__all__ = ["PromptParams", "prompt_tools"]

Action = Literal["add", "take away"]
Lesion = Literal["as it looks", "a new one", "the one beside"]

_MEANS: dict[Lesion, PromptLesion] = {"as it looks": "either", "a new one": "new", "the one beside": "same"}


@dataclass(frozen=True)
class PromptParams:
    """Settings of a segmenter that is prompted.

    Attributes
    ----------
    action : str
        Add what is found to the label, or take what was clicked on away from it.
    lesion : str
        What a click beside a lesion that is drawn already is about; as it looks, it is a new lesion where darker
        tissue lies between the two.
    over : str
        What may be written over when adding.
    over_label : int
        The label that may be written over, with "one label".
    """

    action: Action = field(default="add", metadata=about("Action"))
    lesion: Lesion = field(default="as it looks", metadata=about("A click beside draws"))
    over: Over = field(default="background", metadata=about("Over"))
    over_label: int = field(default=0, metadata=about("One label", 0, 65535))


def prompt_tools(spec: SegmenterSpec, load: Callable[[], Segmenter]) -> tuple[Tool, ...]:
    """Return the tools that a segmenter with prompts gives: by a click, and by a lasso where it takes one.

    Parameters
    ----------
    spec : SegmenterSpec
        Its card.
    load : callable
        Returns the segmenter; called at the first use, in the job.
    """
    run = _Runner(spec, load)
    tools = []
    if "point" in spec.prompts:
        tip = "Click into a lesion to draw all of it; another click at its border corrects it."
        tools.append(Tool(f"{spec.name}:point", "Lesion from a click", "click", PromptParams, run, tip, ("image",)))
    if "lasso" in spec.prompts:
        tip = "Draw roughly round a lesion to draw all of it."
        tools.append(Tool(f"{spec.name}:lasso", "Lesion from a lasso", "outline", PromptParams, run, tip, ("image",)))
    return tuple(tools)


class _Runner:
    """Runs a segmenter on what was pointed at."""

    def __init__(self, spec: SegmenterSpec, load: Callable[[], Segmenter]) -> None:
        self._spec = spec
        self._load = load
        self._model: Segmenter | None = None

    def __call__(self, scope: Scope, target: Target, params: PromptParams, progress: Progress | None = None) -> Draft | None:
        progress = progress or Progress()
        images = {name: image for name, image in scope.images.items() if name in self._spec.modalities}
        if not images and scope.image is not None:
            # Any image will do: it is given as the first that the model knows.
            images = {self._spec.modalities[0]: scope.image}
        if not images:
            raise InputError("No image lies on the grid of this mask.", "Show the image that the mask was drawn on.")
        if self._model is None:
            self._model = self._load()
        prompt = _prompt_of(scope, target, params)
        around = _around(scope, prompt, self._spec.sees_mm)
        before = scope.labels[around.slices] == scope.label
        given = Input(
            {name: image[around.slices] for name, image in images.items()},
            scope.grid.crop(around),
            (prompt,),
            previous=before.view(np.uint8) if before.any() else None,
        )
        found = self._model.predict(given, progress=progress).labels > 0
        inner = bounding_box(found != before)
        if inner is None:
            return None
        box = _moved(inner, around)
        old, new, had = scope.labels[box.slices], found[inner.slices], before[inner.slices]
        labels = old.copy()
        labels[had & ~new] = 0
        labels[new & ~had & writable(scope, old, params.over, params.over_label)] = scope.label
        return draft(box, old, labels)


def _prompt_of(scope: Scope, target: Target, params: PromptParams) -> Prompt:
    if target.path is not None:
        return Prompt("lasso", scope.grid.to_mm(target.path))
    if target.voxel is None:
        raise InputError("Nothing was pointed at.", "Click on a lesion in one of the planes.")
    place = scope.grid.to_mm(np.array([target.voxel], np.float64))
    return Prompt("point", place, include=params.action == "add", lesion=_MEANS[params.lesion])


def _around(scope: Scope, prompt: Prompt, sees_mm: float | None) -> Box:
    """Return the box outside of which nothing matters to a prompt; a click that takes away is about a whole piece of the label."""
    shape = scope.grid.shape
    if sees_mm is None:
        return Box.whole(shape)
    index = np.rint(scope.grid.to_index(prompt.points_mm)).astype(int).clip(0, np.asarray(shape) - 1)
    low, high = (v.tolist() for v in (index.min(0), index.max(0) + 1))
    margin = [ceil(sees_mm / s) for s in scope.grid.spacing_mm]
    box = Box((low[0], low[1], low[2]), (high[0], high[1], high[2])).grown(margin, shape)
    while not prompt.include and box.shape != shape:
        parts, _ = connected_parts(scope.labels[box.slices] == scope.label, 26)
        number = parts[tuple(index[0] - box.start)]
        piece = bounding_box(parts == number) if number else None
        if piece is None or not _reaches_out(piece, box, shape):
            break
        box = box.grown(margin, shape)
    return box


def _reaches_out(piece: Box, box: Box, shape: tuple[int, int, int]) -> bool:
    """Return whether a piece ends where its box does though the volume goes on."""
    low = any(a == 0 and b > 0 for a, b in zip(piece.start, box.start, strict=True))
    return low or any(a == n and b < m for a, n, b, m in zip(piece.stop, box.shape, box.stop, shape, strict=True))


def _moved(box: Box, around: Box) -> Box:
    """Return a box within another one as a box of the volume."""
    start, stop = ([a + o for a, o in zip(ends, around.start, strict=True)] for ends in (box.start, box.stop))
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
