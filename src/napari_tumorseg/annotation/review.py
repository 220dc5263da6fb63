"""What a person has decided about each lesion of a mask.

Statuses change by themselves and by hand. By themselves:

- A lesion that a model made begins as "to do". One that holds no voxel of a model begins as "added".
- An edit by brush, tool or script makes a lesion that was "to do" or "accepted" an "edited" one. "Added" and "uncertain" stay.
- What is cut off from a lesion has its status; a lesion that takes in another keeps its own, or becomes "edited".
- Undo and redo give the lesions the statuses that they had then.

By hand a lesion is accepted, called uncertain (a second read is wanted), put back to "to do", or rejected: its voxels go, and it
stays in the list, so that it can be brought back. Each such decision is one step of the mask's history, undone in its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.decision import Decided, Decision
from napari_tumorseg.core.document import Labels, MaskDocument
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.lesion import Diameters, Lesion, LesionChanges, Trail
from napari_tumorseg.core.patches import Change, Origin, Patch, PatchSource

__all__ = ["LesionStatus", "Rejected", "ReviewEvent", "ReviewSheet"]

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
    """Something that followed from a change; what was decided is a `Decision`.

    Attributes
    ----------
    what : str
        "status" or "reject".
    lesion : int
        Its number.
    before, after : LesionStatus or None
        None where there was no lesion, or is none any more.
    person : str
        Who.
    automatic : bool
        True: it followed from an edit, an undo or a redo.
    lesions : tuple of int
        For one that is no more, the lesion that took it in.
    volume_mm3 : float
        The lesion's volume then.
    """

    what: str
    lesion: int
    before: LesionStatus | None = None
    after: LesionStatus | None = None
    person: str = ""
    automatic: bool = True
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
    revision : int
        Of the mask after that.
    """

    lesion: Lesion
    before: LesionStatus
    patch: Patch
    revision: int

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values; the patch by its revision."""
        return {"row": asdict(self.lesion), "before": self.before.value, "revision": self.revision}

    @classmethod
    def of(cls, facts: Mapping[str, Any], patch: Patch) -> Rejected:
        """Return what `facts` describes, with its patch."""
        row = dict(facts["row"])
        sizes = {name: _tuples(value) if isinstance(value, list) else value for name, value in row.pop("diameters").items()}
        lesion = Lesion(**{name: _tuples(value) for name, value in row.items()}, diameters=Diameters(**sizes))
        return cls(lesion, LesionStatus(facts["before"]), patch, int(facts["revision"]))


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

    Attributes
    ----------
    by_model : callable
        As given; may be replaced by one that knows better.

    Examples
    --------
    >>> row = Lesion(1, "WT", (0.0, 0.0, 0.0), 10.0, 10, (0, 0, 0), (1, 2, 5))
    >>> sheet = ReviewSheet([row], lambda lesion: True)
    >>> sheet.status(1).text
    '○ to do'
    """

    def __init__(self, lesions: Sequence[Lesion], by_model: Callable[[Lesion], bool]) -> None:
        self.by_model = by_model
        self._statuses = {row.id: LesionStatus.TODO if by_model(row) else LesionStatus.ADDED for row in lesions}
        self._rejected: dict[int, Rejected] = {}
        self._trail: Trail[_State] = Trail()
        self._listeners: list[Callable[[ReviewEvent], None]] = []

    def listen(self, listener: Callable[[ReviewEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event that nobody decided; return a function that stops that."""
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

    # -- the voxels of a rejection

    def without(self, document: MaskDocument, lesion: Lesion, inside: npt.NDArray[np.bool_]) -> Labels:
        """Return the labels of a lesion's box with its voxels taken out.

        Parameters
        ----------
        document : MaskDocument
            The mask.
        lesion : Lesion
            Which.
        inside : numpy.ndarray
            Boolean, shape of the lesion's box: its voxels.

        Raises
        ------
        InputError
            If a label of it is locked.
        """
        old = document.labels[Box(lesion.box_start, lesion.box_stop).slices]
        held = sorted(set(np.unique(old[inside]).tolist()) & document.locked)
        if held:
            names = ", ".join(document.schema.label(value).name for value in held)
            raise InputError(f"Lesion {lesion.id} holds {names}, which is locked.", "Unlock it to reject the lesion.")
        return np.where(inside, 0, old).astype(old.dtype)

    def brought_back(self, document: MaskDocument, number: int) -> tuple[Box, Labels]:
        """Return the box of a rejected lesion, and its labels with the lesion's voxels put back where the mask is empty now.

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
        if np.array_equal(new, now):
            raise InputError(f"The place of lesion {number} is taken.", "Erase what is there first, or undo the rejection.")
        return patch.box, new

    # -- what follows

    def follow(self, change: Change, lesions: LesionChanges, decision: Decision | None = None) -> dict[str, Any]:
        """Bring the statuses up to date after a change of the mask.

        Parameters
        ----------
        change : Change
            What the document told.
        lesions : LesionChanges
            What the index made of it.
        decision : Decision, optional
            What the change stands for.

        Returns
        -------
        dict
            JSON values for a record: the lesions that may differ, as they stand now; `fold` takes them.
        """
        origin, before = change.patch.origin, self._trail.next(change.patch.origin.source)
        touched = {*lesions.before, *lesions.after}
        touched |= {decision.lesion} if decision is not None and decision.what in (Decided.STATUS, Decided.BRING_BACK) else set()
        if before is not None:
            touched |= {*before.statuses}
        undone = self._trail.walk(origin.source, self._now(touched))
        for number in sorted(touched):
            if number in lesions.after:
                self._settle(number, lesions, origin, undone)
            elif number in lesions.before:
                self._end(lesions.before[number], lesions, change, undone, decision)
            elif undone is not None:
                self._put(number, undone, origin)
        if decision is not None and decision.what is Decided.STATUS and decision.lesion in self._statuses:
            self._statuses[decision.lesion] = LesionStatus(decision.status)
        if decision is not None and decision.what is Decided.BRING_BACK:
            # What comes back beside another lesion may have become a part of it.
            self._rejected.pop(decision.lesion, None)
        return self.facts(touched)

    def facts(self, numbers: Iterable[int] | None = None) -> dict[str, Any]:
        """Return as JSON values how lesions stand, all of them by default."""
        chosen = sorted({*self._statuses, *self._rejected} if numbers is None else numbers)
        statuses = {str(n): self._statuses[n].value if n in self._statuses else None for n in chosen}
        rejected = {str(n): self._rejected[n].facts() for n in chosen if n in self._rejected}
        return {"status": statuses} | ({"rejected": rejected} if rejected else {})

    def fold(self, source: PatchSource, facts: Mapping[str, Any] | None, patch: Callable[[int], Patch | None]) -> None:
        """Take over what `follow` returned after a change of this source, oldest first, instead of following it again.

        Parameters
        ----------
        source : PatchSource
            Of the change.
        facts : mapping, optional
            None where it was not recorded.
        patch : callable
            Given a revision, returns the patch that led to it, None where it is not known.
        """
        named = {int(n): value for n, value in facts.get("status", {}).items()} if facts is not None else {}
        self._trail.walk(source, self._now(named) if facts is not None else None)
        self.set_to(facts or {}, patch)

    def set_to(self, facts: Mapping[str, Any], patch: Callable[[int], Patch | None]) -> None:
        """Let the lesions that `facts` names stand as it says."""
        rejected = facts.get("rejected", {})
        for name, value in facts.get("status", {}).items():
            number, gone = int(name), rejected.get(name)
            taken = patch(int(gone["revision"])) if gone is not None else None
            self._statuses.pop(number, None)
            self._rejected.pop(number, None)
            if value is not None:
                self._statuses[number] = LesionStatus(value)
            if gone is not None and taken is not None:
                self._rejected[number] = Rejected.of(gone, taken)

    def _now(self, numbers: Iterable[int]) -> _State:
        chosen = tuple(numbers)
        return _State({n: self._statuses.get(n) for n in chosen}, {n: self._rejected.get(n) for n in chosen})

    def _settle(self, number: int, lesions: LesionChanges, origin: Origin, undone: _State | None) -> None:
        """Give a lesion that is there its status."""
        old, row = self._statuses.get(number), lesions.after[number]
        gone = self._rejected.pop(number, None)
        then = undone.statuses.get(number) if undone is not None else None
        if then is not None:
            new = then
        elif gone is not None:
            new = gone.before
        elif old is None:
            parent = lesions.came_from.get(number)
            inherited = self._statuses.get(parent) if parent is not None else None
            new = inherited or (LesionStatus.TODO if origin.act is _BY_MODEL or self.by_model(row) else LesionStatus.ADDED)
            new = self._edited(new, number, lesions, origin)
        else:
            new = self._edited(old, number, lesions, origin)
        self._statuses[number] = new
        if new is not old:
            self._emit(ReviewEvent("status", number, LesionStatus.REJECTED if gone else old, new, origin.person, True, (), row.volume_mm3))

    @staticmethod
    def _edited(status: LesionStatus, number: int, lesions: LesionChanges, origin: Origin) -> LesionStatus:
        if number not in lesions.edited or origin.act is _BY_MODEL or origin.source in _WALKS:
            return status
        return LesionStatus.EDITED if status in (LesionStatus.TODO, LesionStatus.ACCEPTED) else status

    def _end(self, row: Lesion, lesions: LesionChanges, change: Change, undone: _State | None, decision: Decision | None) -> None:
        """Take a lesion that is no longer there off the list, or keep it as rejected."""
        old = self._statuses.pop(row.id, LesionStatus.TODO)
        origin = change.patch.origin
        if decision is not None and decision.what is Decided.REJECT and decision.lesion == row.id:
            self._rejected[row.id] = Rejected(row, old, change.patch, change.revision)
            return
        again = undone.rejected.get(row.id) if undone is not None else None
        if again is not None:
            self._rejected[row.id] = again
            self._emit(ReviewEvent("reject", row.id, old, LesionStatus.REJECTED, origin.person, True, (), row.volume_mm3))
        else:
            into = lesions.went_into.get(row.id)
            self._emit(ReviewEvent("status", row.id, old, None, origin.person, True, (into,) if into else (), row.volume_mm3))

    def _put(self, number: int, undone: _State, origin: Origin) -> None:
        """Let a lesion whose voxels are as they were stand as it did before the step that is taken back."""
        before = self._statuses.get(number)
        status, gone = undone.statuses.get(number), undone.rejected.get(number)
        self._statuses.pop(number, None)
        self._rejected.pop(number, None)
        if status is not None:
            self._statuses[number] = status
        if gone is not None:
            self._rejected[number] = gone
        if status is not before:
            self._emit(ReviewEvent("status", number, before, status, origin.person, True))

    def _emit(self, event: ReviewEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)


def _tuples(value: Any) -> Any:
    """Return JSON's lists as the tuples they were."""
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value
