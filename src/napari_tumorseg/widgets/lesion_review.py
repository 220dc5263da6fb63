"""Deciding about lesions: accept, reject, uncertain, split, join, bring back. What a key, a button or a menu calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_tumorseg.annotation.review import LesionStatus, ReviewEvent, ReviewSheet
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.evaluation.lesion_index import LesionIndex

if TYPE_CHECKING:
    from napari_tumorseg.widgets.session import Session

__all__ = ["LesionReview"]


class LesionReview(QObject):
    """Decisions about the lesions of the active mask.

    Every method takes a lesion's number, and the lesion in focus without one; what cannot be done is reported in one line. Decisions
    that change no voxel can be taken back here, newest first; rejecting and bringing back are steps of the mask's own history.

    Parameters
    ----------
    session : Session
        Owner.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session
        self._taken: list[tuple[MaskDocument, int, str, Callable[[], None]]] = []

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
            document, index, sheet, lesion = self._found(number)
            view = self._session.lesions.map
            assert view is not None
            index.bury(lesion.id)
            sheet.reject(document, lesion, view.part(lesion), self._person)
            self._advance(lesion.id, advance)

    def bring_back(self, number: int) -> None:
        """Put the voxels of a rejected lesion back."""
        with self._session.reporting():
            sheet, document = self._session.lesions.sheet, self._session.lesions.document
            if sheet is not None and document is not None:
                sheet.bring_back(document, number, self._person)

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
            document, index, sheet, lesion = self._found(number)
            if len(index.members(lesion.id)) > 1:
                members = index.separate(lesion.id)
                sheet.tell(self._event("separate", lesion, members))
                self._remember("Split", lambda: self._rejoin(index, members))
            else:
                pieces = index.split(lesion.id, document.labels, seeds)
                sheet.tell(self._event("split", lesion, pieces))
                self._remember("Split", lambda: self._heal(index, document, pieces))
            self._session.lesions.refresh()

    def join(self, numbers: Sequence[int]) -> None:
        """Make one lesion of several, whether they touch or not."""
        with self._session.reporting():
            _, index, sheet, _ = self._found(numbers[0] if numbers else None)
            groups = [index.members(number) for number in dict.fromkeys(numbers)]
            keeper = index.join(numbers)
            lesion = index.row(keeper)
            sheet.tell(self._event("join", lesion, tuple(numbers)))
            self._remember("Join", lambda: self._unjoin(index, keeper, groups))
            self._session.lesions.refresh()
            self._session.focus.go_to(lesion)

    @property
    def last(self) -> str:
        """The last decision of the active mask that can be taken back, in a word; "" where there is none."""
        return self._taken[-1][2] if self._taken and self._taken[-1][0] is self._session.lesions.document else ""

    @property
    def is_newest(self) -> bool:
        """Whether the last decision is newer than the mask's last change, so that an undo key should take it back first."""
        document = self._session.lesions.document
        return bool(self.last) and document is not None and self._taken[-1][1] == document.revision

    def take_back(self) -> bool:
        """Take back the last decision that changed no voxel; return whether there was one."""
        if not self.last:
            return False
        undo = self._taken.pop()[3]
        with self._session.reporting():
            undo()
            self._session.lesions.refresh()
        return True

    # -- inside

    @property
    def _person(self) -> str:
        return str(self._session.settings.person)

    def _found(self, number: int | None) -> tuple[MaskDocument, LesionIndex, ReviewSheet, Lesion]:
        lesions, focus = self._session.lesions, self._session.focus
        document, index, sheet = lesions.document, lesions.index, lesions.sheet
        if number is None and focus.lesion is not None:
            number = focus.lesion.id
        if document is None or number is None:
            raise InputError("No lesion is chosen.", "Choose one in the lesion table.")
        self._session.sync()
        if index is None or sheet is None or not lesions.up_to_date:
            raise InputError("The lesions are being listed.", "Try again in a moment.")
        row = next((row for row in lesions.rows if row.id == number), None)
        if row is None:
            raise InputError(f"Lesion {number} is not in the mask.", "Choose one in the lesion table.")
        return document, index, sheet, row

    def _set(self, number: int | None, status: LesionStatus, advance: bool) -> None:
        with self._session.reporting():
            _, _, sheet, lesion = self._found(number)
            before = sheet.status(lesion.id)
            self._say(sheet, lesion, status)
            if before is not status:
                self._remember(status.value.capitalize(), lambda: self._say(sheet, lesion, before))
            self._session.lesions.changed.emit()
            self._advance(lesion.id, advance)

    def _say(self, sheet: ReviewSheet, lesion: Lesion, status: LesionStatus) -> None:
        sheet.say(lesion, status, self._person)

    def _advance(self, number: int, wanted: bool) -> None:
        sheet = self._session.lesions.sheet
        if wanted and sheet is not None:
            self._session.focus.step_to_do(number)

    def _remember(self, what: str, undo: Callable[[], None]) -> None:
        document = self._session.lesions.document
        assert document is not None
        self._taken = [entry for entry in self._taken if entry[0] is document]
        self._taken.append((document, document.revision, what, undo))

    def _event(self, what: str, lesion: Lesion, lesions: tuple[int, ...]) -> ReviewEvent:
        return ReviewEvent(what, lesion.id, person=self._person, lesions=lesions, volume_mm3=lesion.volume_mm3)

    def _heal(self, index: LesionIndex, document: MaskDocument, pieces: tuple[int, ...]) -> None:
        kept = index.heal(pieces, document.labels)
        self._tell("heal", index, kept, pieces)

    def _rejoin(self, index: LesionIndex, members: tuple[int, ...]) -> None:
        self._tell("join", index, index.join(members), members)

    def _unjoin(self, index: LesionIndex, keeper: int, groups: Sequence[tuple[int, ...]]) -> None:
        index.separate(keeper)
        for group in groups:
            there = [number for number in group if number in index.numbers]
            if len(there) > 1:
                index.join(there)
        self._tell("separate", index, keeper, tuple(group[0] for group in groups))

    def _tell(self, what: str, index: LesionIndex, number: int, lesions: tuple[int, ...]) -> None:
        sheet = self._session.lesions.sheet
        if sheet is not None and number in index.numbers:
            sheet.tell(self._event(what, index.row(number), lesions))
