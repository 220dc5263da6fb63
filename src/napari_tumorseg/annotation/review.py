"""What a person has decided about each lesion of a mask.

Statuses change by themselves and by hand. By themselves:

- A lesion that a model made begins as "to do". One that holds no voxel of a model begins as "added".
- An edit by brush, tool or script makes a lesion that was "to do" or "accepted" an "edited" one. "Added" and "uncertain" stay.
- What is cut off from a lesion has its status; a lesion that takes in another keeps its own, or becomes "edited".
- Undo and redo of an edit give its lesions the statuses that they had then. "Uncertain" stays until a person takes it back.

By hand a lesion is accepted, called uncertain (a second read is wanted), put back to "to do", or rejected: its voxels go in one
undo step, and it stays in the list, so that it can be brought back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.lesion import Lesion, LesionChanges, Trail
from napari_tumorseg.core.patches import Change, Origin, Patch, PatchSource

__all__ = ["BRING_BACK", "REJECT", "LesionStatus", "Rejected", "ReviewEvent", "ReviewSheet"]

#: Names of the tools, as the record has them.
REJECT, BRING_BACK = "reject lesion", "bring back lesion"
_BY_MODEL = PatchSource.MODEL
_WALKS = (PatchSource.UNDO, PatchSource.REDO)


class LesionStatus(StrEnum):
    """Where a lesion stands; the value is what a person reads."""

    TODO = "to do"
    ACCEPTED = "accepted"
    EDITED = "edited"
    REJECTED = "rejected"
    ADDED = "added"
    UNCERTAIN = "uncertain"

    @property
    def sign(self) -> str:
        """A sign that tells it from the others without colour."""
        return {"to do": "○", "accepted": "✓", "edited": "✎", "rejected": "✗", "added": "+", "uncertain": "?"}[self.value]

    @property
    def text(self) -> str:
        """Sign and word."""
        return f"{self.sign} {self.value}"


@dataclass(frozen=True)
class ReviewEvent:
    """Something that was decided or followed.

    Attributes
    ----------
    what : str
        "status", "reject", "bring back", "split", "join", "separate" or "heal".
    lesion : int
        Its number.
    before, after : LesionStatus or None
        None where there was no lesion, or is none any more.
    person : str
        Who.
    automatic : bool
        Whether it followed from an edit instead of being said.
    lesions : tuple of int
        The other lesions of a split or join.
    volume_mm3 : float
        The lesion's volume then.
    """

    what: str
    lesion: int
    before: LesionStatus | None = None
    after: LesionStatus | None = None
    person: str = ""
    automatic: bool = False
    lesions: tuple[int, ...] = ()
    volume_mm3: float = 0.0

    def facts(self) -> dict[str, Any]:
        """Return the event as JSON values, without `person`, for a journal's entry."""
        facts: dict[str, Any] = {"what": self.what, "lesion": self.lesion, "automatic": self.automatic}
        facts |= {name: status.value for name, status in (("before", self.before), ("after", self.after)) if status is not None}
        facts |= {"lesions": list(self.lesions)} if self.lesions else {}
        return facts | ({"volume_mm3": self.volume_mm3} if self.volume_mm3 else {})


@dataclass(frozen=True, eq=False)
class Rejected:
    """A lesion that was rejected, as it was.

    Attributes
    ----------
    lesion : Lesion
        Its row.
    before : LesionStatus
        Its status before.
    patch : Patch
        What took its voxels away.
    """

    lesion: Lesion
    before: LesionStatus
    patch: Patch


@dataclass(frozen=True)
class _State:
    statuses: Mapping[int, LesionStatus | None]
    rejected: Mapping[int, Rejected | None]


class ReviewSheet:
    """The statuses of a mask's lesions, by id.

    It does not listen to the document: give `follow` every change together with what the lesion index made of it.

    Parameters
    ----------
    lesions : sequence of Lesion
        The lesions at the start.
    by_model : callable
        Given a lesion, returns whether it holds a voxel of a model.

    Examples
    --------
    >>> row = Lesion(1, "WT", (0.0, 0.0, 0.0), 10.0, 10, (0, 0, 0), (1, 2, 5))
    >>> sheet = ReviewSheet([row], lambda lesion: True)
    >>> sheet.status(1).text
    '○ to do'
    >>> sheet.accept(row, "A.B.")
    >>> sheet.status(1).text
    '✓ accepted'
    """

    def __init__(self, lesions: Sequence[Lesion], by_model: Callable[[Lesion], bool]) -> None:
        self._by_model = by_model
        self._statuses = {row.id: LesionStatus.TODO if by_model(row) else LesionStatus.ADDED for row in lesions}
        self._rejected: dict[int, Rejected] = {}
        self._rejecting: dict[str, int] = {}
        self._returning: dict[str, int] = {}
        self._trail: Trail[_State] = Trail()
        self._listeners: list[Callable[[ReviewEvent], None]] = []

    def listen(self, listener: Callable[[ReviewEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event; return a function that stops that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def status(self, number: int) -> LesionStatus:
        """Return the status of a lesion; "to do" for one that is not known."""
        if number in self._rejected:
            return LesionStatus.REJECTED
        return self._statuses.get(number, LesionStatus.TODO)

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """Lesions that were rejected and not brought back, by id."""
        return tuple(self._rejected[number] for number in sorted(self._rejected))

    def counts(self) -> dict[LesionStatus, int]:
        """Return how many lesions have each status, those without any left out."""
        every = [*self._statuses.values(), *(LesionStatus.REJECTED for _ in self._rejected)]
        return {status: every.count(status) for status in LesionStatus if status in every}

    # -- what a person says

    def say(self, lesion: Lesion, status: LesionStatus, person: str = "") -> None:
        """Give a lesion a status; raise `InputError` for one that was rejected."""
        if lesion.id in self._rejected:
            raise InputError(f"Lesion {lesion.id} was rejected.", "Bring it back first.")
        before = self._statuses.get(lesion.id)
        if before is not status:
            self._statuses[lesion.id] = status
            self._emit(ReviewEvent("status", lesion.id, before, status, person, False, (), lesion.volume_mm3))

    def accept(self, lesion: Lesion, person: str = "") -> None:
        """Say that the lesion is right as it is."""
        self.say(lesion, LesionStatus.ACCEPTED, person)

    def call_uncertain(self, lesion: Lesion, person: str = "") -> None:
        """Say that somebody else should look at it."""
        self.say(lesion, LesionStatus.UNCERTAIN, person)

    def put_back(self, lesion: Lesion, person: str = "") -> None:
        """Say that it is still to be looked at."""
        self.say(lesion, LesionStatus.TODO, person)

    def reject(self, document: MaskDocument, lesion: Lesion, inside: npt.NDArray[np.bool_], person: str = "") -> None:
        """Take a lesion's voxels out of the mask, in one step that can be undone, and keep it in the list as rejected.

        Parameters
        ----------
        document : MaskDocument
            The mask.
        lesion : Lesion
            Which.
        inside : numpy.ndarray
            Boolean, shape of the lesion's box: its voxels.
        person : str
            Who says so.

        Raises
        ------
        InputError
            If a label of it is locked.
        """
        box = Box(lesion.box_start, lesion.box_stop)
        old = document.labels[box.slices]
        held = sorted(set(np.unique(old[inside]).tolist()) & document.locked)
        if held:
            names = ", ".join(document.schema.label(value).name for value in held)
            raise InputError(f"Lesion {lesion.id} holds {names}, which is locked.", "Unlock it to reject the lesion.")
        new = np.where(inside, 0, old).astype(old.dtype)
        step = uuid.uuid4().hex
        self._rejecting[step] = lesion.id
        document.write(box, new, Origin(PatchSource.TOOL, REJECT, person, step=step))

    def bring_back(self, document: MaskDocument, number: int, person: str = "") -> None:
        """Put a rejected lesion's voxels back where the mask is empty now, in one step that can be undone.

        Raises
        ------
        InputError
            If there is no such lesion, or its place is taken.
        """
        kept = self._rejected.get(number)
        if kept is None:
            raise InputError(f"Lesion {number} was not rejected.", "Choose a rejected lesion.")
        patch = kept.patch
        now, was = document.labels[patch.box.slices], patch.old
        new = np.where((now == 0) & (patch.new == 0), was, now)
        step = uuid.uuid4().hex
        self._returning[step] = number
        if not document.write(patch.box, new, Origin(PatchSource.TOOL, BRING_BACK, person, step=step)):
            del self._returning[step]
            raise InputError(f"The place of lesion {number} is taken.", "Erase what is there first, or undo the rejection.")

    def tell(self, event: ReviewEvent) -> None:
        """Pass on an event of identities: a split, a join or what takes them back."""
        status = self.status(event.lesion)
        for number in event.lesions:
            if event.what in ("split", "separate"):
                self._statuses.setdefault(number, status)
            elif number != event.lesion:
                self._statuses.pop(number, None)
        self._emit(event)

    # -- what follows

    def follow(self, changes: Sequence[Change], lesions: LesionChanges) -> None:
        """Bring the statuses up to date after changes of the mask.

        Parameters
        ----------
        changes : sequence of Change
            What the document told, oldest first; mostly one.
        lesions : LesionChanges
            What the index made of all of them.
        """
        origin = changes[-1].patch.origin
        touched = {*lesions.before, *lesions.after}
        before = _State({n: self._statuses.get(n) for n in touched}, {n: self._rejected.get(n) for n in touched})
        undone = self._trail.walk(origin.source, before) if len(changes) == 1 else None
        if len(changes) > 1:
            for change in changes:
                self._trail.walk(change.patch.origin.source, None)
        for number in sorted(touched):
            if number in lesions.after:
                self._settle(number, lesions, origin, undone)
            else:
                self._end(lesions.before[number], lesions, changes, undone)
        for change in changes:
            # What comes back beside another lesion may have become a part of it.
            self._rejected.pop(self._returning.pop(change.patch.origin.step, 0), None)

    def _settle(self, number: int, lesions: LesionChanges, origin: Origin, undone: _State | None) -> None:
        """Give a lesion that is there its status."""
        old, row = self._statuses.get(number), lesions.after[number]
        gone = self._rejected.pop(number, None)
        if undone is not None and undone.statuses.get(number) is not None:
            new = undone.statuses[number] if old is not LesionStatus.UNCERTAIN else old
        elif gone is not None:
            new = gone.before
        elif old is None:
            parent = lesions.came_from.get(number)
            inherited = self._statuses.get(parent) if parent is not None else None
            new = inherited or (LesionStatus.TODO if origin.act is _BY_MODEL or self._by_model(row) else LesionStatus.ADDED)
            new = self._edited(new, number, lesions, origin)
        else:
            new = self._edited(old, number, lesions, origin)
        assert new is not None
        self._statuses[number] = new
        if new is not old:
            self._emit(ReviewEvent("status", number, LesionStatus.REJECTED if gone else old, new, origin.person, True, (), row.volume_mm3))

    @staticmethod
    def _edited(status: LesionStatus, number: int, lesions: LesionChanges, origin: Origin) -> LesionStatus:
        if number not in lesions.edited or origin.act is _BY_MODEL or origin.source in _WALKS:
            return status
        return LesionStatus.EDITED if status in (LesionStatus.TODO, LesionStatus.ACCEPTED) else status

    def _end(self, row: Lesion, lesions: LesionChanges, changes: Sequence[Change], undone: _State | None) -> None:
        """Take a lesion that is no longer there off the list, or keep it as rejected."""
        old = self._statuses.pop(row.id, LesionStatus.TODO)
        origin = changes[-1].patch.origin
        again = undone.rejected.get(row.id) if undone is not None else None
        for change in changes:
            if self._rejecting.get(change.patch.origin.step) == row.id:
                del self._rejecting[change.patch.origin.step]
                again = Rejected(row, old, change.patch)
        if again is not None:
            self._rejected[row.id] = replace(again, before=old if undone is None else again.before)
            self._emit(ReviewEvent("reject", row.id, old, LesionStatus.REJECTED, origin.person, undone is not None, (), row.volume_mm3))
        else:
            into = lesions.went_into.get(row.id)
            self._emit(ReviewEvent("status", row.id, old, None, origin.person, True, (into,) if into else (), row.volume_mm3))

    def _emit(self, event: ReviewEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)
