"""Which editing tool is in hand and which one runs, for the record."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tumorseg.annotation.entries import EventKind
from napari_tumorseg.editing.tools import TOOLS
from napari_tumorseg.workflows.learn import LEARN

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ToolEvents"]


class ToolEvents(QObject):
    """Tells of the tools of a session; napari's own brushes are told with the views.

    Parameters
    ----------
    record : callable
        Told the `EventKind` and its data.
    session : Session
        Owner.
    """

    def __init__(self, record: Callable[..., None], session: Session) -> None:
        super().__init__(session)
        self._record = record
        self._hand = session.hand
        self._told = ""
        self._hand.changed.connect(self._on_changed)
        self._hand.started.connect(self._on_started)
        self._hand.ended.connect(self._on_ended)

    def _on_changed(self) -> None:
        tool = self._hand.tool
        name = tool.name if tool is not None else ""
        # The settings of a tool change, too.
        if name != self._told:
            self._told = name
            self._record(EventKind.TOOL, tool=name)

    def _on_started(self, _title: str) -> None:
        tool = self._hand.running
        if tool is not None:
            self._record(EventKind.JOB, name=_job(tool.name), tool=tool.name, on=True)

    def _on_ended(self, name: str, outcome: str) -> None:
        self._record(EventKind.JOB, name=_job(name), tool=name, on=False, outcome=outcome)


def _job(name: str) -> str:
    """Return what a tool's run is called: waiting for a model, or for one of the tools that compute in moments."""
    return "tool" if name in TOOLS else "learn" if name == LEARN else "prompt"
