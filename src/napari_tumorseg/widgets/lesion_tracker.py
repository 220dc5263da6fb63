"""The lesions of the active mask, kept up to date off the GUI thread."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.jobs import Progress
from napari_tumorseg.core.lesion import Lesion
from napari_tumorseg.widgets.jobs import Job, JobRunner

__all__ = ["LesionTracker"]

_WAIT_MS = 200


class LesionTracker(QObject):
    """Lists the lesions of a document some time after its last change.

    Signals
    -------
    changed()
        `rows`, `map` and `regions_ml` are new.
    failed(object)
        An exception.
    """

    changed = Signal()
    failed = Signal(object)

    def __init__(self, runner: JobRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = runner
        self._document: MaskDocument | None = None
        self._stop: Any = None
        self._job: Job | None = None
        self._again = False
        self.map: Any = None
        self.regions_ml: dict[str, float] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._compute)

    @property
    def rows(self) -> tuple[Lesion, ...]:
        """The lesions, by falling volume."""
        return () if self.map is None else tuple(self.map.lesions)

    @property
    def up_to_date(self) -> bool:
        """Whether no computation is under way or waiting."""
        return self._job is None and not self._timer.isActive()

    def watch(self, document: MaskDocument | None) -> None:
        """Follow another document, or none."""
        if self._stop is not None:
            self._stop()
            self._stop = None
        self._document, self._again = None, False
        self._timer.stop()
        if self._job is not None:
            self._job.cancel()
        self._document = document
        self.map, self.regions_ml = None, {}
        self.changed.emit()
        if document is not None:
            self._stop = document.listen(self._on_change)
            self._compute()

    def describe(self, voxel: tuple[int, int, int]) -> str:
        """Return one line about the lesion at a voxel (z, y, x) of the document; "" where there is none."""
        # Called from napari's status thread: both names are read once.
        found, document = self.map, self._document
        lesion = found.at(voxel) if found is not None else None
        if lesion is None or document is None:
            return ""
        value = int(document.labels[voxel])
        name = document.schema.label(value).title if value in document.schema.values else ""
        return f"Lesion {lesion.id}, {lesion.region} {lesion.volume_mm3 / 1000:.2g} mL{f', {name}' if name else ''}"

    def _on_change(self, _change: Change) -> None:
        self._timer.start()

    def _compute(self) -> None:
        if self._document is None:
            return
        if self._job is not None:
            self._again = True
            return
        document = self._document
        labels, grid, schema = document.labels.copy(), document.grid, document.schema

        def work(_progress: Progress) -> tuple[Any, dict[str, float]]:
            from napari_tumorseg.evaluation.lesions import locate_lesions, region_volumes_ml

            return locate_lesions(labels, grid, schema), region_volumes_ml(labels, grid, schema)

        self._again = False
        self._job = self._runner.start("lesions", work, done=self._take, failed=self.failed.emit, finished=self._on_finished)

    def _take(self, result: tuple[Any, dict[str, float]]) -> None:
        self.map, self.regions_ml = result

    def _on_finished(self) -> None:
        self._job = None
        if self._again:
            self._compute()
        self.changed.emit()
