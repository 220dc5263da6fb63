"""Segmenters that take prompts, as editing tools: a click, and the lesion is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import bounding_box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.segmenter import Input, Prompt, Segmenter, SegmenterSpec
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import Over, draft, writable
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.tools import Tool

__all__ = ["PromptParams", "prompt_tools"]

Action = Literal["add", "take away"]


@dataclass(frozen=True)
class PromptParams:
    """Settings of a segmenter that is prompted.

    Attributes
    ----------
    action : str
        Add what is found to the label, or take what was clicked on away from it.
    over : str
        What may be written over when adding.
    over_label : int
        The label that may be written over, with "one label".
    """

    action: Action = field(default="add", metadata=about("Action"))
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
        tip = "Click into a lesion to draw all of it; another click beside it corrects the border."
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
        if target.path is not None:
            prompt = Prompt("lasso", scope.grid.to_mm(target.path))
        elif target.voxel is not None:
            prompt = Prompt("point", scope.grid.to_mm(np.array([target.voxel], np.float64)), include=params.action == "add")
        else:
            raise InputError("Nothing was pointed at.", "Click on a lesion in one of the planes.")
        before = scope.labels == scope.label
        given = Input(images, scope.grid, (prompt,), previous=before.view(np.uint8) if before.any() else None)
        found = self._model.predict(given, progress=progress).labels > 0
        box = bounding_box(found != before)
        if box is None:
            return None
        old, new, had = scope.labels[box.slices], found[box.slices], before[box.slices]
        labels = old.copy()
        labels[had & ~new] = 0
        labels[new & ~had & writable(scope, old, params.over, params.over_label)] = scope.label
        return draft(box, old, labels)
