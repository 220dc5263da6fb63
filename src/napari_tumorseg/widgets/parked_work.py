"""Unsaved masks of one case while another one is looked at: their journals are kept and taken up again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.workflows.recover import FoundJournal, Left, find_journals

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["ParkedWork"]


class ParkedWork:
    """Puts the unsaved masks of a queue's case away and brings them back, with all that can be undone.

    What is still put away when the program ends stands in the list of work that was left, at the next start.

    Parameters
    ----------
    session : Session
        Of the viewer.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._paths: dict[str, tuple[Path, ...]] = {}

    def park(self, case_key: str) -> bool:
        """Put away the unsaved masks of the open case before it is closed; return whether all are safe."""
        held = self._session.keeper.hold(self._session.unsaved)
        if held is None:
            return False
        self._paths[case_key] = held
        return True

    def resume(self, case_key: str) -> None:
        """Bring back, into the case that has just been opened, what was put away."""
        paths, session = self._paths.pop(case_key, ()), self._session
        if not paths:
            return

        def look(_progress: Progress) -> tuple[FoundJournal, ...]:
            left = find_journals(session.settings, Left.NOT_SAVED, Left.BROKEN_OFF)
            return tuple(found for found in left if found.path in paths)

        def back(found: tuple[FoundJournal, ...]) -> None:
            with session.reporting():
                for journal in found:
                    session.keeper.restore(journal)

        session.runner.start("resume", look, done=back, failed=session.report)
