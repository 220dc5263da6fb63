"""Deciding about lesions: accept, reject, uncertain, split, join, bring back. What a key, a button or a menu calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.workflows.lesion_ledger import LesionLedger

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["LesionReview"]


class LesionReview(QObject):
    """Decisions about the lesions of the active mask.

    Every method takes a lesion's number, and the lesion in focus without one; what cannot be done is reported in one line. Each
    decision is a step of the mask's own history, undone and brought back in its turn by the undo keys.

    Parameters
    ----------
    session : Session
        Owner.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    def accept(self, number: int | None = None, *, advance: bool = True) -> None:
        """Say that a lesion is right, and go to the next one to do."""
        self._set(number, LesionStatus.ACCEPTED, advance)

    def call_uncertain(self, number: int | None = None, *, advance: bool = True) -> None:
        """Say that a second read is wanted, and go to the next one to do."""
        self._set(number, LesionStatus.UNCERTAIN, advance)

    def put_back(self, number: int | None = None) -> None:
        """Say that a lesion is still to do."""
        self._set(number, LesionStatus.TODO, False)

    def reject(self, number: int | None = None, *, advance: bool = True) -> None:
        """Take a lesion out of the mask; it stays in the list and can be undone or brought back."""
        with self._session.reporting():
            ledger, lesion = self._found(number)
            ledger.reject(lesion, self._person)
            self._advance(lesion.id, advance)

    def bring_back(self, number: int) -> None:
        """Put the voxels of a rejected lesion back."""
        with self._session.reporting():
            self._ready().bring_back(number, self._person)

    def split(self, number: int | None = None, seeds: Sequence[Sequence[int]] = ()) -> None:
        """Make lesions of what touches: of a joined lesion its members, else of one part two or as many as there are seeds.

        Parameters
        ----------
        number : int, optional
            Which lesion.
        seeds : sequence of (z, y, x)
            One voxel of the mask in each; by default the cut runs through the narrowest neck.
        """
        with self._session.reporting():
            ledger, lesion = self._found(number)
            ledger.split(lesion, seeds, self._person)

    def join(self, numbers: Sequence[int]) -> None:
        """Make one lesion of several, whether they touch or not."""
        with self._session.reporting():
            ledger, _ = self._found(numbers[0] if numbers else None)
            keeper = ledger.join(numbers, self._person)
            self._session.focus.go_to(ledger.index.row(keeper))

    def join_chosen(self) -> None:
        """Join the lesions that are chosen in the table; where there is only the one in focus, join it with its nearest."""
        focus = self._session.focus
        chosen = focus.chosen()
        if len(chosen) < 2 and focus.lesion is not None:
            near = self.nearest(focus.lesion.id)
            chosen = [focus.lesion.id, *near[:1]]
        self.join(chosen)

    def nearest(self, number: int) -> list[int]:
        """Return the other lesions, the nearest first by their centres."""
        rows = {row.id: row.centroid_mm for row in self._session.lesions.rows}
        here = rows.pop(number, (0.0, 0.0, 0.0))
        return sorted(rows, key=lambda other: sum((a - b) ** 2 for a, b in zip(rows[other], here, strict=True)))

    # -- inside

    @property
    def _person(self) -> str:
        return str(self._session.settings.person)

    def _ready(self) -> LesionLedger:
        self._session.sync()
        lesions = self._session.lesions
        if lesions.document is None:
            raise InputError("There is no mask.", "Open one, or run a model.")
        if lesions.ledger is None or not lesions.up_to_date:
            raise InputError("The lesions are being listed.", "Try again in a moment.")
        return lesions.ledger

    def _found(self, number: int | None) -> tuple[LesionLedger, Lesion]:
        lesions, focus = self._session.lesions, self._session.focus
        if number is None and focus.lesion is not None:
            number = focus.lesion.id
        if lesions.document is None or number is None:
            raise InputError("No lesion is chosen.", "Choose one in the lesion table.")
        ledger = self._ready()
        row = ledger.view.lesion(number)
        if row is None:
            raise InputError(f"Lesion {number} is not in the mask.", "Choose one in the lesion table.")
        return ledger, row

    def _set(self, number: int | None, status: LesionStatus, advance: bool) -> None:
        with self._session.reporting():
            ledger, lesion = self._found(number)
            ledger.set_status(lesion, status, self._person)
            self._advance(lesion.id, advance)

    def _advance(self, number: int, wanted: bool) -> None:
        sheet = self._session.lesions.sheet
        if wanted and sheet is not None:
            self._session.focus.step_to_do(number)
