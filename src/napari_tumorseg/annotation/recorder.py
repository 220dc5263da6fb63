"""What writes a document's changes into its journal."""

from __future__ import annotations

from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.core.case import Review
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.core.patches import Change

__all__ = ["Recorder"]


class Recorder:
    """Listens to a `MaskDocument` and puts every change, undo and redo into its journal.

    Locks and review state are recorded where they have changed, with the next change of the mask or at `look`.

    Parameters
    ----------
    document : MaskDocument
        The mask.
    journal : Journal
        Its journal.
    """

    def __init__(self, document: MaskDocument, journal: Journal) -> None:
        self.document = document
        self.journal = journal
        self._step = ""
        self._number = 0
        self._locked: frozenset[int] = frozenset()
        self._review: Review | None = None
        self._stop = document.listen(self._on_change)
        self.look()

    def stop(self) -> None:
        """Listen no longer; the journal stays open."""
        self._stop()

    def look(self) -> None:
        """Record locks and review state if they are others than before."""
        if self.document.locked != self._locked:
            self._locked = self.document.locked
            self.journal.status(locked=sorted(self._locked))
        if self.document.review is not self._review:
            self._review = self.document.review
            self.journal.status(review=self._review.value)

    def _on_change(self, change: Change) -> None:
        step = change.patch.origin.step
        if step != self._step:
            # All steps before this one are on the disk, so that a killed process loses this one at most.
            self.journal.wait_for(self._number)
            self._step = step
            self.look()
        self._number = self.journal.record(change.patch, change.revision)
