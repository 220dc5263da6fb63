"""A study's task in the viewer: its images and mask as the protocol says, and nothing that it keeps from the person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_tumorseg.core.errors import InputError, OutputError
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.widgets.masks import OpenMask
from napari_tumorseg.widgets.provenance_overlay import ProvenanceOverlay

if TYPE_CHECKING:
    from napari_tumorseg.annotation.study.protocol import Protocol
    from napari_tumorseg.widgets.session import Session
    from napari_tumorseg.workflows.study.desk import TaskInHand

__all__ = ["StudyCase"]

#: Name of the mask whatever it began with.
_MASK = "mask"


class StudyCase:
    """Shows a task in a session, holds it open, and closes it with its journal.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._before: Settings | None = None
        self.mask: OpenMask | None = None

    def show(self, hand: TaskInHand, person: str, protocol: Protocol) -> None:
        """Show a task: the image that is drawn on in front, the mask to begin with or the work of the last time.

        What is open and not saved is kept in its journal.

        Raises
        ------
        InputError
            If another task is open.
        OutputError
            If what is open cannot be kept.
        """
        session = self._session
        if session.unsaved and session.keeper.hold(session.unsaved) is None:
            raise OutputError("The open mask is not saved, and its record cannot be written.", "Save it, then take your task.")
        session.close_case()
        self._before = self._before or session.settings
        session.settings = replace(session.settings, person=person)
        facts = {name: value for name, value in hand.journal.items() if name != "case"}
        session.keeper.study_facts = lambda _mask: facts
        ProvenanceOverlay.of(session).set_blinded(protocol.blinding.origin)
        try:
            session.open_case(hand.opened.case)
            if hand.found is not None and hand.restored is not None:
                session.keeper.adopt(hand.found, hand.restored)
            else:
                session.add_mask(hand.opened.mask, _MASK)
        except BaseException:
            self._release()
            raise
        self.mask = session.active
        session.view.show_sequence(hand.opened.sequence)
        session.held = f"Task {hand.task.code} is open. Submit it, or leave it for later, first."
        if protocol.is_comparison and not hand.task.has_mask:
            session.no_models = f"Task {hand.task.code} is drawn from scratch: tools that work by a model are not used in it."

    def check(self, hand: TaskInHand) -> OpenMask:
        """Return the task's mask; raise `InputError` where another case is open by now."""
        session = self._session
        if self.mask is None or self.mask not in session.masks or session.case is None or session.case.name != hand.task.code:
            raise InputError(
                f"The case that is open is not that of task {hand.task.code}.", "Leave it for later and take it again; your work is kept."
            )
        return self.mask

    def close(self) -> Path | None:
        """Close the case and return its closed journal.

        Raises
        ------
        OutputError
            If not all of the record is on the disk; then the case stays open.
        """
        session = self._session
        path = None
        if self.mask is not None and self.mask in session.masks:
            session.sync()
            held = session.keeper.hold([self.mask])
            if held is None:
                raise OutputError(
                    f"The record of the work cannot be written: {session.keeper.text}.",
                    "Free some space and try again.",
                )
            path = held[0]
        session.held = ""
        session.close_case()
        self._release()
        session.case_changed.emit()
        return path

    def _release(self) -> None:
        session = self._session
        session.held = session.no_models = ""
        session.keeper.study_facts = _no_study
        ProvenanceOverlay.of(session).set_blinded(False)
        if self._before is not None:
            session.settings, self._before = self._before, None
        self.mask = None


def _no_study(_mask: OpenMask) -> Mapping[str, Any]:
    return {}
