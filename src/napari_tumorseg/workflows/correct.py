"""Run an editing tool on a mask: from what the user pointed at to one step that can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import ConflictError
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.editing.scope import Draft, Scope, Target
from napari_tumorseg.editing.tools import Run, Tool

__all__ = ["CorrectRequest", "before_corrections", "draft_of", "scope_of", "write_draft"]

#: Tools after which corrections are counted anew, besides models.
_SETTLING = ("carry", "learn")


@dataclass(frozen=True, eq=False)
class CorrectRequest:
    """One use of a tool.

    Attributes
    ----------
    tool : Tool
        Which one.
    target : Target
        What the user pointed at.
    params : dataclass
        Settings of the tool, of the type ``tool.params``.
    """

    tool: Tool
    target: Target
    params: Any


def scope_of(
    document: MaskDocument,
    label: int,
    *,
    image: npt.NDArray[Any] | None = None,
    ai: npt.NDArray[np.unsignedinteger[Any]] | None = None,
    other: npt.NDArray[np.unsignedinteger[Any]] | None = None,
    images: Mapping[str, npt.NDArray[Any]] | None = None,
    before: npt.NDArray[np.unsignedinteger[Any]] | None = None,
    checked: frozenset[tuple[int, int]] = frozenset(),
) -> Scope:
    """Return what a tool may look at, as the mask is now.

    The labels are the document's own, read-only: a tool that runs beside the window must be
    given up when the mask changes meanwhile, which `write_draft` sees to.
    """
    return Scope(document.labels, document.grid, document.schema, label, document.locked, image, ai, other, images or {}, before, checked)


def before_corrections(document: MaskDocument) -> npt.NDArray[np.unsignedinteger[Any]]:
    """Return the labels before the corrections that stand since the last model run, learning or carrying; a copy.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Box, Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> grid = Grid.from_spacing((1, 1, 2), (1, 1, 1))
    >>> document = MaskDocument(np.array([[[1, 0]]], np.uint8), grid, preset("lesion"))
    >>> _ = document.write(Box.whole(grid.shape), np.array([[[1, 1]]], np.uint8), Origin(PatchSource.TOOL, "carry"))
    >>> _ = document.write(Box.whole(grid.shape), np.array([[[0, 1]]], np.uint8), Origin(PatchSource.HAND, "paint"))
    >>> before_corrections(document).tolist()
    [[[1, 1]]]
    """
    labels = np.array(document.labels)
    for step in reversed(document.history.undo):
        if any(patch.origin.act is PatchSource.MODEL or patch.origin.tool in _SETTLING for patch in step):
            break
        for patch in reversed(step):
            labels[patch.box.slices] = patch.old
    return labels


def draft_of(request: CorrectRequest, scope: Scope, progress: Progress | None = None) -> Draft | None:
    """Return what the tool would write, None when it would change nothing.

    Raises
    ------
    InputError
        If the target or the settings cannot be used.
    Cancelled
        If the user stopped it.
    """
    progress = progress or Progress()
    progress.update(0.0, request.tool.title)
    run = cast(Run, request.tool.run)
    return run(scope, request.target, request.params, progress)


def write_draft(document: MaskDocument, draft: Draft | None, tool: str, revision: int, person: str = "") -> bool:
    """Write a draft as one step; return whether anything changed.

    Parameters
    ----------
    document : MaskDocument
        The mask.
    draft : Draft, optional
        From `draft_of`.
    tool : str
        Name of the tool.
    revision : int
        Revision of the document when the tool was started.
    person : str
        Who is working.

    Raises
    ------
    ConflictError
        If the mask was changed since; nothing is written.
    """
    if document.revision != revision:
        raise ConflictError("The mask was changed while the tool was running, so its result was not used.", "Use the tool again.")
    return draft is not None and document.write(draft.box, draft.labels, Origin(PatchSource.TOOL, tool, person))
