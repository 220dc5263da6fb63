"""What a session has one of: made when it is first asked for, gone with the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["SessionPart"]


class SessionPart(QObject):
    """Base of what works for one session and belongs to it.

    Signals
    -------
    changed()
        It is in another state; what that means is said by the subclass.

    Parameters
    ----------
    session : Session
        Owner.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    @classmethod
    def of(cls, session: Session) -> Self:
        """Return the part of this kind that a session has, made at the first call."""
        found = session.findChild(cls)
        return found if found is not None else cls(session)
