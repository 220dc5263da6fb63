"""The lesions of a mask with what was decided about them: followed, decided, recorded, and brought back from the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from napari_tumorseg.annotation.entries import EntryKind
from napari_tumorseg.annotation.provenance import Provenance
from napari_tumorseg.annotation.reader import JournalReader, Steps
from napari_tumorseg.annotation.review import LesionStatus, ReviewEvent, ReviewSheet
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.decision import Decided, Decision
from napari_tumorseg.core.document import Change, Labels, MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.lesion import Lesion, LesionChanges
from napari_tumorseg.evaluation.lesion_index import LesionIndex
from napari_tumorseg.evaluation.lesion_state import IndexState

__all__ = ["LesionLedger", "restored_ledger"]

#: A change of the mask, with the decision that it stands for.
Pair = tuple[Change, Decision | None]
Note = tuple[EntryKind, str, Mapping[str, Any]]
#: More changes without a note are not followed again: the lesions are listed anew.
_MOST_FOLLOWED = 500


class LesionLedger:
    """Numbers and statuses of a mask's lesions, kept up to date with each change, and the decisions about them.

    A decision is a step of the document's own history, also where it changes no voxel. It does not listen to the document: give
    it every change, in order.

    Parameters
    ----------
    document : MaskDocument
        The mask.
    index : LesionIndex
        Its lesions now.
    sheet : ReviewSheet
        Their statuses now.
    revision : int, optional
        Of the mask that both are of; the newest by default.
    noted : bool
        Whether a record holds already how they stand.

    Attributes
    ----------
    close : callable
        Ends the listening to `sheet`, which another ledger goes on with.
    revision : int
        Of the mask that the lesions are of.
    view : LesionView
        Where the lesions are.

    Examples
    --------
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> mask = np.zeros((1, 1, 6), np.uint8)
    >>> mask[..., :2], mask[..., 4:] = 1, 1
    >>> document = MaskDocument(mask, Grid.from_spacing(mask.shape, (1, 1, 1)), preset("lesion"))
    >>> ledger = LesionLedger.of(document)
    >>> stop = document.listen(lambda change: ledger.follow([ledger.pair(change)]))
    >>> ledger.join([1, 2], "A.B.")
    1
    >>> [(row.id, row.voxels) for row in ledger.view.lesions]
    [(1, 4)]
    >>> document.undo(), [(row.id, row.voxels) for row in ledger.view.lesions]
    (True, [(1, 2), (2, 2)])
    """

    def __init__(
        self, document: MaskDocument, index: LesionIndex, sheet: ReviewSheet, revision: int | None = None, *, noted: bool = False
    ) -> None:
        self.document = document
        self.revision = document.revision if revision is None else revision
        self.index = index
        self.sheet = sheet
        self.view = index.view()
        self._plans: dict[str, Decision] = {}
        # Until there is a record, which may be opened later than the mask is listed.
        self._unrecorded: list[Note] = [] if noted else [(EntryKind.LESIONS, "", self._start())]
        self._record: Callable[[EntryKind, str, Mapping[str, Any]], None] | None = None
        self.close = sheet.listen(self._on_event)

    @classmethod
    def of(cls, document: MaskDocument) -> LesionLedger:
        """Return the ledger of a document that nobody has worked on yet."""
        index = LesionIndex.of(document)
        return cls(document, index, ReviewSheet(index.view().lesions, lambda _row: document.kind is MaskKind.AI))

    def record_to(self, record: Callable[[EntryKind, str, Mapping[str, Any]], None]) -> None:
        """Tell a journal (`Journal.note`) how the lesions stand, if it does not know, and from now on whatever is decided or follows.

        Parameters
        ----------
        record : callable
            Given the kind of entry, who decided ("" for nobody) and JSON values.
        """
        self._record = record
        waiting, self._unrecorded = self._unrecorded, []
        for note in waiting:
            record(*note)

    # -- what follows

    def pair(self, change: Change) -> Pair:
        """Return a change with the decision that it stands for; asked once for each change."""
        return change, self._plans.pop(change.patch.origin.step, None)

    def follow(self, pairs: Sequence[Pair]) -> None:
        """Bring everything up to date after changes of the document, oldest first."""
        self.take(self.index, pairs, self.index.follow_all(pairs, self.document.labels))

    def take(self, index: LesionIndex, pairs: Sequence[Pair], done: Sequence[LesionChanges]) -> None:
        """Take over an index that has followed `pairs` (a fork, in another thread), and what that did."""
        self.index, self.view = index, index.view()
        for (change, decision), lesions in zip(pairs, done, strict=True):
            facts = self.sheet.follow(change, lesions, decision)
            self.revision = change.revision
            self._note(EntryKind.LESIONS, "", {"revision": change.revision, **lesions.facts, **facts})

    # -- what a person decides

    def set_status(self, lesion: Lesion, status: LesionStatus, person: str = "") -> None:
        """Give a lesion a status; raise `InputError` for one that was rejected."""
        before = self.sheet.status(lesion.id)
        if before is LesionStatus.REJECTED:
            raise InputError(f"Lesion {lesion.id} was rejected.", "Bring it back first.")
        if before is not status:
            self._decide(Decision(Decided.STATUS, lesion.id, self._anchor(lesion.id), status=status.value), lesion, person)

    def reject(self, lesion: Lesion, person: str = "") -> None:
        """Take a lesion's voxels out of the mask and keep it in the list; raise `InputError` if a label of it is locked."""
        new = self.sheet.without(self.document, lesion, self.view.part(lesion))
        box = Box(lesion.box_start, lesion.box_stop)
        self._decide(Decision(Decided.REJECT, lesion.id, self._anchor(lesion.id)), lesion, person, (box, new))

    def bring_back(self, number: int, person: str = "") -> None:
        """Put a rejected lesion's voxels back where the mask is empty now; raise `InputError` if it has none such."""
        box, new = self.sheet.brought_back(self.document, number)
        (row,) = (kept.lesion for kept in self.sheet.rejected if kept.lesion.id == number)
        put = np.argwhere(new != self.document.labels[box.slices])[0]
        z, y, x = (int(i) + a for i, a in zip(put, box.start, strict=True))
        self._decide(Decision(Decided.BRING_BACK, number, (z, y, x)), row, person, (box, new))

    def split(self, lesion: Lesion, seeds: Sequence[Sequence[int]] = (), person: str = "") -> None:
        """Take apart what was joined, else cut one connected part at its neck, or as many as there are seeds; no voxel changes.

        Parameters
        ----------
        lesion : Lesion
            Which.
        seeds : sequence of (z, y, x)
            One voxel of the mask in each piece.
        person : str
            Who decides.

        Raises
        ------
        InputError
            If it cannot be cut there.
        """
        number, anchor = lesion.id, self._anchor(lesion.id)
        if len(self.index.members(number)) > 1:
            self._decide(Decision(Decided.SEPARATE, number, anchor), lesion, person)
        else:
            self._decide(Decision(Decided.SPLIT, number, anchor, seeds=self.index.seeds(number, seeds)), lesion, person)

    def join(self, numbers: Sequence[int], person: str = "") -> int:
        """Make one lesion of several, touching or not, and return its number; no voxel changes.

        Raises
        ------
        InputError
            If there are fewer than two, or one of them is not there.
        """
        keeper = self.index.keeper(numbers)
        chosen = tuple(dict.fromkeys(int(number) for number in numbers))
        self._decide(Decision(Decided.JOIN, keeper, self._anchor(keeper), chosen), self.index.row(keeper), person)
        return keeper

    # -- inside

    def _start(self) -> dict[str, Any]:
        return {"start": True, "revision": self.revision, **self.index.facts(), **self.sheet.facts()}

    def _note(self, kind: EntryKind, person: str, facts: Mapping[str, Any]) -> None:
        if self._record is not None:
            self._record(kind, person, facts)
        else:
            self._unrecorded.append((kind, person, facts))

    def _anchor(self, number: int) -> tuple[int, int, int]:
        return self.view.units[number][0].first_voxel

    def _decide(self, decision: Decision, lesion: Lesion, person: str, change: tuple[Box, Labels] | None = None) -> None:
        """Record a decision, then take its step: a change that stands for a decision must not be without it in the record."""
        origin = Origin(PatchSource.TOOL, decision.what.tool, person)
        patch = self.document.propose(*change, origin) if change is not None else None
        facts: dict[str, Any] = {"step": origin.step, "before": self.sheet.status(lesion.id).value, "volume_mm3": lesion.volume_mm3}
        facts |= {"after": LesionStatus.REJECTED.value} if decision.what is Decided.REJECT else {}
        self._note(EntryKind.REVIEW, person, facts | decision.facts())
        self._plans[origin.step] = decision
        try:
            if patch is None:
                self.document.mark(decision.anchor, origin)
            else:
                self.document.apply(patch)
        finally:
            self._plans.pop(origin.step, None)

    def _on_event(self, event: ReviewEvent) -> None:
        # What follows again while a journal is being read is in it already.
        if self._record is not None:
            self._note(EntryKind.REVIEW, event.person, event.facts())


class _Notes:
    """What a journal holds about the lesions."""

    def __init__(self, reader: JournalReader) -> None:
        self.starts: dict[int, dict[str, Any]] = {}
        self.changes: dict[int, dict[str, Any]] = {}
        self.decisions: dict[str, Decision] = {}
        for entry in reader.entries(EntryKind.LESIONS):
            facts = entry.data
            (self.starts if "start" in facts else self.changes)[int(facts["revision"])] = facts
        for entry in reader.entries(EntryKind.REVIEW):
            facts = entry.data
            if "step" in facts:
                self.decisions[facts["step"]] = Decision.of(facts)

    def known(self, steps: Steps) -> int | None:
        """Return the last revision up to which nothing is missing behind a start; None without a start."""
        known = None
        for revision in range(min(self.starts, default=0), steps.last + 1):
            if revision in self.starts or (known == revision - 1 and revision in self.changes):
                known = revision
        return known

    def folded(self, steps: Steps, until: int, sheet: ReviewSheet) -> IndexState:
        """Return how the lesions were after revision `until`; their statuses are put into `sheet`."""
        patches = dict(zip(steps.revisions, steps.patches, strict=True))
        state = IndexState()
        for revision in sorted({r for r in (*self.starts, *self.changes, *patches) if r <= until}):
            patch, facts = patches.get(revision), self.changes.get(revision)
            if patch is not None:
                state.fold(patch.origin.source, facts)
                sheet.fold(patch.origin.source, facts, patches.get)
            elif facts is not None:
                state.set_to(facts)
                sheet.set_to(facts, patches.get)
            if revision in self.starts:
                state.begin(self.starts[revision])
                sheet.set_to(self.starts[revision], patches.get)
        return state


def restored_ledger(reader: JournalReader, steps: Steps, document: MaskDocument) -> LesionLedger:
    """Return the lesions of a mask that comes back from its journal, with their numbers, statuses, splits and joins.

    What undo and redo will give back is there, too. Where the journal holds no such notes (it is older than they are, or was
    broken off before the first), its changes are followed again, or, where there are very many, the lesions are listed anew.

    Parameters
    ----------
    reader : JournalReader
        The journal.
    steps : Steps
        Its changes.
    document : MaskDocument
        The mask as `JournalReader.document` returns it.
    """
    notes = _Notes(reader)
    known = notes.known(steps)
    begin = steps.first if known is None else known
    tail = [(r, p) for r, p in zip(steps.revisions, steps.patches, strict=True) if r > begin]
    if len(tail) > _MOST_FOLLOWED:
        return LesionLedger.of(document)
    labels = document.labels.copy() if tail else document.labels
    for _, patch in reversed(tail):
        labels[patch.box.slices] = patch.old
    ledger = _ledger_then(notes, steps, known, labels, document)
    if tail:
        ledger.follow([(Change(patch, revision), notes.decisions.get(patch.origin.step)) for revision, patch in tail])
    return ledger


def _ledger_then(notes: _Notes, steps: Steps, known: int | None, labels: Labels, document: MaskDocument) -> LesionLedger:
    """Return the lesions as they were when the mask was `labels`."""
    by_model = _by_model(document)
    if known is not None:
        sheet = ReviewSheet((), by_model)
        index = LesionIndex.resumed(labels, document.grid, document.schema, notes.folded(steps, known, sheet))
        if index is not None:
            return LesionLedger(document, index, sheet, known, noted=True)
    index = LesionIndex(labels, document.grid, document.schema)
    sheet = ReviewSheet(index.view().lesions, lambda _row: document.kind is MaskKind.AI)
    sheet.by_model = by_model
    return LesionLedger(document, index, sheet, steps.first if known is None else known)


def _by_model(document: MaskDocument) -> Callable[[Lesion], bool]:
    found: list[Provenance] = []

    def by_model(row: Lesion) -> bool:
        if not found:
            found.append(Provenance(document))
            found[0].close()
        box = Box(row.box_start, row.box_stop)
        counts = found[0].counts(box, document.labels[box.slices] > 0)
        return bool(counts.ai + counts.changed)

    return by_model
