"""The lesions of the active mask and what was decided about them, brought up to date with every change of the mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_tumorseg.annotation.review import ReviewEvent, ReviewSheet
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.lesion import Lesion, LesionChanges
from napari_tumorseg.evaluation.lesion_index import LesionIndex
from napari_tumorseg.evaluation.lesion_units import LesionView
from napari_tumorseg.widgets.jobs import Job, JobRunner

__all__ = ["LesionTracker"]

#: An update that has to label more voxels than this (about 50 ms) is done off the GUI thread.
_AT_ONCE_VOXELS = 1_500_000
#: Given a box and which of its voxels, returns counts with `ai`, `changed`, `added` and `by_hand_share`.
Provenance = Callable[[Box, np.ndarray], Any]


class _Followed:
    """A document whose lesions are followed."""

    def __init__(self, document: MaskDocument) -> None:
        self.document = document
        self.index: LesionIndex | None = None
        self.view: LesionView | None = None
        self.sheet: ReviewSheet | None = None
        self.provenance: Provenance | None = None
        self.waiting: list[Change] = []
        self.job: Job | None = None
        self.stop: Callable[[], None] = lambda: None

    def by_model(self, lesion: Lesion) -> bool:
        """Return whether a lesion holds a voxel of a model."""
        if self.provenance is None or self.view is None:
            # Without a record only what the mask began with can be a model's.
            return self.sheet is None and self.document.kind is MaskKind.AI
        counts = self.provenance(Box(lesion.box_start, lesion.box_stop), self.view.part(lesion))
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
    reviewed(object, object)
        A document and a `ReviewEvent` about one of its lesions, for its journal.
    """

    changed = Signal()
    failed = Signal(object)
    reviewed = Signal(object, object)

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._followed: dict[int, _Followed] = {}
        self._active: _Followed | None = None

    @property
    def map(self) -> LesionView | None:
        """Where the lesions are; None until they are listed."""
        return self._active.view if self._active is not None else None

    @property
    def rows(self) -> tuple[Lesion, ...]:
        """The lesions by number; at first that is by falling volume."""
        return () if self.map is None else self.map.lesions

    @property
    def regions_ml(self) -> dict[str, float]:
        """Volume in mL of each region of the mask."""
        return self.index.regions_ml if self.index is not None else {}

    @property
    def index(self) -> LesionIndex | None:
        """The index of the active mask; None until it is made."""
        return self._active.index if self._active is not None else None

    @property
    def sheet(self) -> ReviewSheet | None:
        """The statuses of the active mask's lesions; None until they are listed."""
        return self._active.sheet if self._active is not None else None

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
                found = self._followed[id(document)] = _Followed(document)
                found.stop = document.listen(lambda change: self._on_change(found, change))
                self._build(found)
            self._active = found
        self.changed.emit()

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
        found = self._active
        if found is None or found.provenance is None or found.view is None or lesion.id not in found.view.units:
            return None
        return float(found.provenance(Box(lesion.box_start, lesion.box_stop), found.view.part(lesion)).by_hand_share)

    def refresh(self) -> None:
        """Tell that identities or statuses of the active mask have changed."""
        if self._active is not None and self._active.index is not None:
            self._active.view = self._active.index.view()
        self.changed.emit()

    def describe(self, voxel: tuple[int, int, int]) -> str:
        """Return one line about the lesion at a voxel (z, y, x) of the document; "" where there is none."""
        # Called from napari's status thread: what is read is never changed, and each name is read once.
        found = self._active
        view = found.view if found is not None else None
        lesion = view.at(voxel) if view is not None else None
        if lesion is None or found is None:
            return ""
        value = int(found.document.labels[voxel])
        schema, sheet = found.document.schema, found.sheet
        name = schema.label(value).title if value in schema.values else ""
        told = [f"Lesion {lesion.id}, {lesion.region} {lesion.volume_mm3 / 1000:.2g} mL", *([name] if name else [])]
        told += [f"{lesion.diameters.longest_mm:.1f} mm across", *([sheet.status(lesion.id).value] if sheet is not None else [])]
        return ", ".join(told)

    # -- inside

    def _forget_closed(self, document: MaskDocument | None) -> None:
        kept = {id(mask.document) for mask in getattr(self.parent(), "masks", ())} | {id(document)}
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
        document, index, changes = found.document, found.index, found.waiting
        if index is None:
            self._build(found)
            return
        try:
            if index.cost_voxels(changes, document.labels) > _AT_ONCE_VOXELS:
                self._follow_later(found, index)
                return
            done = index.follow_all(changes, document.labels)
        except Exception as error:
            # The mask is right whatever happens here; the list is made anew.
            found.index, found.waiting = None, []
            self.failed.emit(error)
            self._build(found)
            return
        found.waiting = []
        self._take(found, index, changes, done)

    def _build(self, found: _Followed) -> None:
        document = found.document
        labels, grid, schema = document.labels.copy(), document.grid, document.schema
        found.waiting = []

        def take(index: LesionIndex) -> None:
            found.index, found.view = index, index.view()
            if found.sheet is None:
                found.sheet = ReviewSheet(found.view.lesions, found.by_model)
                found.sheet.listen(lambda event: self._pass_on(found, event))

        self._start(found, lambda _progress: LesionIndex(labels, grid, schema), take)

    def _follow_later(self, found: _Followed, index: LesionIndex) -> None:
        fork, labels, changes = index.fork(), found.document.labels.copy(), found.waiting
        found.waiting = []

        def work(_progress: Progress) -> LesionChanges:
            return fork.follow_all(changes, labels)

        self._start(found, work, lambda done: self._take(found, fork, changes, done))

    def _start(self, found: _Followed, work: Callable[[Progress], Any], take: Callable[[Any], None]) -> None:
        def fail(error: BaseException) -> None:
            found.index = None
            self.failed.emit(error)

        def finish() -> None:
            found.job = None
            if found.waiting and found.index is not None:
                self._catch_up(found)
            if found is self._active:
                self.changed.emit()

        found.job = self._runner.start("lesions", work, done=take, failed=fail, finished=finish)

    def _take(self, found: _Followed, index: LesionIndex, changes: list[Change], done: LesionChanges) -> None:
        found.index, found.view = index, index.view()
        if found.sheet is not None:
            found.sheet.follow(changes, done)
        if found is self._active:
            self.changed.emit()

    def _pass_on(self, found: _Followed, event: ReviewEvent) -> None:
        self.reviewed.emit(found.document, event)
