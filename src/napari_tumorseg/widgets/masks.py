"""The masks that are open on a case, each with its document, its layer and whether it is saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from napari_tumorseg.annotation.provenance import Provenance
from napari_tumorseg.core.case import MaskKind, MaskVersion, Review
from napari_tumorseg.core.document import MaskDocument
from napari_tumorseg.widgets.mask_layer import MaskLayer

__all__ = ["OpenMask"]


@dataclass(eq=False)
class OpenMask:
    """One mask that is open.

    Attributes
    ----------
    name : str
        What the user reads; unique in its case.
    document : MaskDocument
        The mask itself.
    reference : str
        Name of the volume whose grid it has.
    view : MaskLayer, optional
        Its layer; None while the user has closed the layer.
    saved_revision : int, optional
        Revision of the document that is on disk; None before it was ever saved.
    saved_review : Review, optional
        Review state that is on disk.
    path : Path, optional
        Where it was saved or read.
    notes : tuple of str
        What the user should know about it.
    accepted_by : str
        Who accepted it in this session.
    """

    name: str
    document: MaskDocument
    reference: str
    view: MaskLayer | None = None
    saved_revision: int | None = None
    saved_review: Review | None = None
    path: Path | None = None
    notes: tuple[str, ...] = field(default_factory=tuple)
    accepted_by: str = ""

    @cached_property
    def provenance(self) -> Provenance:
        """Made at the first use, from the document's history."""
        return Provenance(self.document)

    @classmethod
    def of(cls, version: MaskVersion, name: str, reference: str, *, from_file: bool = False) -> OpenMask:
        """Return an open mask for a finished version."""
        document = MaskDocument(version.labels, version.grid, version.schema, version.kind, version.author, version.review)
        return cls(
            name,
            document,
            reference,
            saved_revision=0 if from_file else None,
            saved_review=version.review if from_file else None,
        )

    @property
    def saved(self) -> bool:
        """Whether what is on disk is what is in memory."""
        return self.saved_revision == self.document.revision and self.saved_review == self.document.review

    @property
    def review_text(self) -> str:
        """The review state as the user reads it, e.g. "accepted by A.B."."""
        review = self.document.review
        if review is not Review.ACCEPTED:
            return review.value
        if self.document.kind is MaskKind.REFERENCE and not self.document.revision:
            return "reference"
        return f"accepted by {self.accepted_by}" if self.accepted_by else "accepted"

    def mark_saved(self, revision: int, review: Review, path: Path) -> None:
        """Remember what was written, and where."""
        self.saved_revision, self.saved_review, self.path = revision, review, path
