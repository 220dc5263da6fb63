"""Going from lesion to lesion: the one in focus is framed and has a white outline."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.widgets.lesion_review import LesionReview
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

    Attributes
    ----------
    lesion : Lesion or None
        As it is after the last edit.
    review : LesionReview
        Decisions, about this lesion where no other is named.
    """

    changed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self.lesion: Lesion | None = None
        self.review = LesionReview(session)
        self._order: Callable[[], list[int]] | None = None
        self._chosen: Callable[[], list[int]] | None = None
        session.lesions.changed.connect(self._keep_outline)

    def clear(self) -> None:
        """Look at no lesion."""
        self.lesion = None

    def walk_in_order_of(self, order: Callable[[], list[int]] | None, chosen: Callable[[], list[int]] | None = None) -> None:
        """Let `step` go through the lesions as a table shows them: `order` returns their numbers from top to bottom.

        `chosen` returns those whose rows are chosen.
        """
        self._order, self._chosen = order, chosen

    def chosen(self) -> list[int]:
        """Return the lesions whose rows are chosen, else the one in focus."""
        chosen = self._chosen() if self._chosen is not None else []
        return chosen if len(chosen) > 1 or self.lesion is None else [self.lesion.id]

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
        """Go to the next (1) or previous (-1) lesion of the table as it is sorted and filtered, round and round."""
        rows = self._in_order()
        if rows:
            at = next((i for i, row in enumerate(rows) if self.lesion is not None and row.id == self.lesion.id), -1 if by > 0 else 0)
            self.go_to(rows[(at + by) % len(rows)])

    def step_to_do(self, number: int) -> None:
        """Go to the next lesion after `number` that is still to do; stay where there is none."""
        sheet = self._session.lesions.sheet
        # A filter may hide the lesion that was just decided, so that the place to go on from is that of its number.
        rows = self._in_order()
        at = next((i + 1 for i, row in enumerate(rows) if row.id == number), 0)
        if sheet is not None:
            following = [row for row in (*rows[at:], *rows[:at]) if row.id != number and sheet.status(row.id) is LesionStatus.TODO]
            if following:
                self.go_to(following[0])

    def _in_order(self) -> list[Lesion]:
        by_id = {row.id: row for row in self._session.lesions.rows}
        order = self._order() if self._order is not None else list(by_id)
        return [by_id[number] for number in order if number in by_id]

    def _keep_outline(self) -> None:
        """Outline the lesion as it is after the last edit."""
        session = self._session
        if session.active is None or session.active.view is None or session.view.scene is None:
            return
        wanted, found, scene = self.lesion, session.lesions.map, session.view.scene
        row = found.lesion(wanted.id) if wanted is not None and found is not None else None
        if row is None or found is None:
            if session.active.view.highlight is not None:
                session.active.view.set_highlight(None)
            return
        self.lesion = row
        inside = scene.to_scene(found.part(row))
        session.active.view.set_highlight(Highlight(scene.box_to_scene(Box(row.box_start, row.box_stop)), inside))
