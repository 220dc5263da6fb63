"""The lesions of the active mask and what was decided about them, brought up to date with every change of the mask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_tumorseg.annotation.entries import EntryKind
from napari_tumorseg.annotation.review import ReviewSheet
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.decision import Decision
from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.lesion import Lesion, LesionChanges
from napari_tumorseg.core.wording import ml_text
from napari_tumorseg.evaluation.lesion_index import LesionIndex
from napari_tumorseg.evaluation.lesion_units import LesionView
from napari_tumorseg.widgets.jobs import Job, JobRunner
from napari_tumorseg.workflows.lesion_ledger import LesionLedger

__all__ = ["LesionTracker"]

#: An update that has to label more voxels than this (about 50 ms) is done off the GUI thread.
_AT_ONCE_VOXELS = 1_500_000
#: Given a box and which of its voxels, returns counts with `ai`, `changed`, `added` and `by_hand_share`.
Provenance = Callable[[Box, np.ndarray], Any]
#: What a journal is told by: kind of entry, person, JSON values.
Record = Callable[[EntryKind, str, Mapping[str, Any]], None]


class _Followed:
    """A document whose lesions are followed."""

    def __init__(self, document: MaskDocument, ledger: LesionLedger | None) -> None:
        self.document = document
        self.ledger = ledger
        #: Whether the list has to be made anew, because it could not follow.
        self.broken = False
        self.provenance: Provenance | None = None
        self.waiting: list[Change] = []
        self.job: Job | None = None
        self.stop: Callable[[], None] = lambda: None

    def by_model(self, lesion: Lesion) -> bool:
        """Return whether a lesion holds a voxel of a model."""
        if self.provenance is None or self.ledger is None:
            # Without a record only what the mask began with can be a model's.
            return self.ledger is None and self.document.kind is MaskKind.AI
        box, view = Box(lesion.box_start, lesion.box_stop), self.ledger.view
        inside = view.part(lesion) if view.lesion(lesion.id) == lesion else self.document.labels[box.slices] > 0
        counts = self.provenance(box, inside)
        return bool(counts.ai + counts.changed)


class LesionTracker(QObject):
    """Lists the lesions of a document, at once after each stroke.

    A mask's numbers and statuses are kept while it is open, active or not. The first list, and what follows from a change of
    a large part of the mask, is made off the GUI thread.

    Signals
    -------
    changed()
        `rows`, `map`, `regions_ml` or a status is new.
    failed(object)
        An exception.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._followed: dict[int, _Followed] = {}
        self._restored: dict[int, LesionLedger] = {}
        self._records: dict[int, Record] = {}
        self._active: _Followed | None = None

    @property
    def ledger(self) -> LesionLedger | None:
        """The lesions of the active mask with what was decided about them; None until they are listed."""
        return self._active.ledger if self._active is not None else None

    @property
    def map(self) -> LesionView | None:
        """Where the lesions are; None until they are listed."""
        return self.ledger.view if self.ledger is not None else None

    @property
    def rows(self) -> tuple[Lesion, ...]:
        """The lesions by number; at first that is by falling volume."""
        return () if self.map is None else self.map.lesions

    @property
    def regions_ml(self) -> dict[str, float]:
        """Volume in mL of each region of the mask."""
        return self.ledger.index.regions_ml if self.ledger is not None else {}

    @property
    def sheet(self) -> ReviewSheet | None:
        """The statuses of the active mask's lesions; None until they are listed."""
        return self.ledger.sheet if self.ledger is not None else None

    @property
    def document(self) -> MaskDocument | None:
        """The active mask."""
        return self._active.document if self._active is not None else None

    @property
    def up_to_date(self) -> bool:
        """Whether no computation is under way or waiting."""
        return self._active is None or (self._active.job is None and not self._active.waiting)

    def watch(self, document: MaskDocument | None) -> None:
        """Follow another document, or none; those that the session closed are forgotten."""
        self._forget_closed(document)
        self._active = None
        if document is not None:
            found = self._followed.get(id(document))
            if found is None:
                found = self._followed[id(document)] = _Followed(document, self._restored.pop(id(document), None))
                found.stop = document.listen(lambda change: self._on_change(found, change))
                if found.ledger is None:
                    self._build(found)
                else:
                    self._attach(found, found.ledger)
            self._active = found
        self.changed.emit()

    def expect(self, ledger: LesionLedger) -> None:
        """Take a mask's lesions as they came back from a journal, when its document is watched."""
        self._restored[id(ledger.document)] = ledger

    def record_into(self, document: MaskDocument, record: Record) -> None:
        """Have a journal told of a document's lesions: how they stand, and what is decided or follows."""
        self._records[id(document)] = record
        found = self._followed.get(id(document))
        if found is not None and found.ledger is not None:
            found.ledger.record_to(record)

    def set_provenance(self, document: MaskDocument, counts: Provenance | None) -> None:
        """Say how to count where a lesion's voxels come from; `annotation.provenance.Provenance.counts` is such a function."""
        found = self._followed.get(id(document))
        if found is not None:
            found.provenance = counts
            # The counts are to be up to date when the list is told of a change, so that it hears of it after them.
            found.stop()
            found.stop = document.listen(lambda change: self._on_change(found, change))
            self.changed.emit()

    def by_hand_share(self, lesion: Lesion) -> float | None:
        """Return the share of a lesion's voxels that a person changed or added; None where that is not known."""
        found, view = self._active, self.map
        if found is None or found.provenance is None or view is None or lesion.id not in view.units:
            return None
        return float(found.provenance(Box(lesion.box_start, lesion.box_stop), view.part(lesion)).by_hand_share)

    def describe(self, voxel: tuple[int, int, int]) -> str:
        """Return one line about the lesion at a voxel (z, y, x) of the document; "" where there is none."""
        # Called from napari's status thread: what is read is never changed, and each name is read once.
        found = self._active
        ledger = found.ledger if found is not None else None
        lesion = ledger.view.at(voxel) if ledger is not None else None
        if lesion is None or found is None or ledger is None:
            return ""
        value = int(found.document.labels[voxel])
        schema = found.document.schema
        name = schema.label(value).title if value in schema.values else ""
        told = [f"Lesion {lesion.id}, {lesion.region} {ml_text(lesion.volume_mm3 / 1000)} mL", *([name] if name else [])]
        told += [f"{lesion.diameters.longest_mm:.1f} mm across", ledger.sheet.status(lesion.id).value]
        return ", ".join(told)

    # -- inside

    def _forget_closed(self, document: MaskDocument | None) -> None:
        kept = {id(mask.document) for mask in getattr(self.parent(), "masks", ())} | {id(document)}
        for other in (self._restored, self._records):
            for key in [key for key in other if key not in kept]:
                del other[key]
        for key in [key for key in self._followed if key not in kept]:
            gone = self._followed.pop(key)
            gone.stop()
            if gone.job is not None:
                gone.job.cancel()

    def _on_change(self, found: _Followed, change: Change) -> None:
        found.waiting.append(change)
        if found.job is None:
            self._catch_up(found)

    def _catch_up(self, found: _Followed) -> None:
        """Follow the changes that wait, at once where that is quick."""
        document, ledger = found.document, found.ledger
        if ledger is None or found.broken:
            self._build(found)
            return
        changes, found.waiting = found.waiting, []
        pairs = [ledger.pair(change) for change in changes]
        try:
            if ledger.index.cost_voxels(changes, document.labels) > _AT_ONCE_VOXELS:
                self._follow_later(found, ledger, pairs)
                return
            ledger.follow(pairs)
        except Exception as error:
            # The mask is right whatever happens here; the list is made anew.
            found.broken = True
            self.failed.emit(error)
            self._build(found)
            return
        if found is self._active:
            self.changed.emit()

    def _build(self, found: _Followed) -> None:
        document = found.document
        labels, grid, schema, revision = document.labels.copy(), document.grid, document.schema, document.revision
        found.waiting = []

        def take(index: LesionIndex) -> None:
            old, found.broken = found.ledger, False
            if old is not None:
                old.close()
            sheet = ReviewSheet(index.view().lesions, found.by_model) if old is None else old.sheet
            self._attach(found, LesionLedger(document, index, sheet, revision))

        self._start(found, lambda _progress: LesionIndex(labels, grid, schema), take)

    def _attach(self, found: _Followed, ledger: LesionLedger) -> None:
        found.ledger = ledger
        ledger.sheet.by_model = found.by_model
        record = self._records.get(id(found.document))
        if record is not None:
            ledger.record_to(record)

    def _follow_later(self, found: _Followed, ledger: LesionLedger, pairs: list[tuple[Change, Decision | None]]) -> None:
        fork, labels = ledger.index.fork(), found.document.labels.copy()

        def work(_progress: Progress) -> list[LesionChanges]:
            return fork.follow_all(pairs, labels)

        self._start(found, work, lambda done: ledger.take(fork, pairs, done))

    def _start(self, found: _Followed, work: Callable[[Progress], Any], take: Callable[[Any], None]) -> None:
        def fail(error: BaseException) -> None:
            found.broken = True
            self.failed.emit(error)

        def finish() -> None:
            found.job = None
            if found.waiting and found.ledger is not None:
                self._catch_up(found)
            if found is self._active:
                self.changed.emit()

        found.job = self._runner.start("lesions", work, done=take, failed=fail, finished=finish)
