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

__all__ = ["CorrectRequest", "draft_of", "scope_of", "write_draft"]


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
) -> Scope:
    """Return what a tool may look at, as the mask is now.

    The labels are the document's own, read-only: a tool that runs beside the window must be
    given up when the mask changes meanwhile, which `write_draft` sees to.
    """
    return Scope(document.labels, document.grid, document.schema, label, document.locked, image, ai, other, images or {})


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
