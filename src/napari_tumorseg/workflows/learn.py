"""Learning from checked slices, as an editing tool."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.fields import about
from napari_tumorseg.editing.region import draft
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.tools import Tool

__all__ = ["LEARN", "LearnParams", "learn_tool"]

#: Name of the tool.
LEARN = "learn"


@dataclass(frozen=True)
class LearnParams:
    """Settings of learning from checked slices.

    Attributes
    ----------
    reach_mm : float
        How far from the mask a voxel may lie to be labelled.
    """

    reach_mm: float = field(default=8.0, metadata=about("Reach (mm)", 1.0, 50.0, 1.0))


def learn_tool(known: Callable[[], npt.NDArray[np.bool_] | None]) -> Tool:
    """Return the tool that corrects the other slices as the checked ones were corrected.

    Parameters
    ----------
    known : callable
        Returns the checked voxels of the mask, boolean (z, y, x); None where nothing is checked.
    """

    def run(scope: Scope, target: Target, params: LearnParams, progress: Progress | None = None) -> Draft | None:
        from napari_tumorseg.inference.prompted.learn import LearnOptions, learn

        del target
        checked = known()
        if checked is None:
            raise InputError("No slice has been checked.", "Correct some slices and mark each as checked (K).")
        images: dict[str, Any] = dict(scope.images) or ({} if scope.image is None else {"": scope.image})
        plain = {name: np.asarray(image, np.float32) for name, image in images.items()}
        first = scope.ai if scope.ai is not None and scope.ai.any() else None
        found = learn(plain, scope.grid, scope.labels, checked, first, LearnOptions(reach_mm=params.reach_mm), progress)
        old = scope.labels[found.box.slices]
        new = np.where(checked[found.box.slices], old, found.labels.astype(old.dtype))
        return draft(found.box, old, new)

    tip = "Correct some slices, mark each as checked (K); the others are then corrected alike. Checked slices stay as they are."
    return Tool(LEARN, "Learn from checked slices", "apply", LearnParams, run, tip, ("image",))
