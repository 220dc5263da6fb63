"""Going from lesion to lesion: the one in focus is framed and has a white outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.widgets.mask_layer import Highlight

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["LesionFocus"]


class LesionFocus(QObject):
    """The lesion that the user looks at.

    Signals
    -------
    changed(object)
        The lesion that was gone to.

    Parameters
    ----------
    session : Session
        Owner.
    """

    changed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.lesion: Lesion | None = None
        session.lesions.changed.connect(self._keep_outline)

    def clear(self) -> None:
        """Look at no lesion."""
        self.lesion = None

    def go_to(self, lesion: Lesion) -> None:
        """Bring a lesion into view, framed, its outline white."""
        session = self._session
        if session.active is None or session.active.view is None:
            return
        self.lesion = lesion
        self._keep_outline()
        session.view.frame(lesion.centroid_mm, Box(lesion.box_start, lesion.box_stop))
        self.changed.emit(lesion)

    def step(self, by: int) -> None:
        """Go to the next (1) or previous (-1) lesion, round and round."""
        rows = self._session.lesions.rows
        if rows:
            at = next((i for i, row in enumerate(rows) if self.lesion is not None and row.id == self.lesion.id), -1 if by > 0 else 0)
            self.go_to(rows[(at + by) % len(rows)])

    def _keep_outline(self) -> None:
        """Outline the lesion as it is after the last edit."""
        session = self._session
        if session.active is None or session.active.view is None or session.view.scene is None:
            return
        wanted, found, scene = self.lesion, session.lesions.map, session.view.scene
        row = next((r for r in session.lesions.rows if wanted is not None and r.id == wanted.id), None)
        if row is None or found is None:
            if session.active.view.highlight is not None:
                session.active.view.set_highlight(None)
            return
        inside = scene.to_scene(found.part(row))
        session.active.view.set_highlight(Highlight(scene.box_to_scene(Box(row.box_start, row.box_stop)), inside))
