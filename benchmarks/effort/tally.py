"""The overlap with the reference, kept up with every change."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from effort.cases import Subject
from napari_tumorseg.core.document import Change, MaskDocument

__all__ = ["Tally"]

Labels = npt.NDArray[np.uint8]
#: Classes below this volume in the reference are not asked for.
LEAST_CLASS_MM3 = 1000.0


class Tally:
    """Counts the voxels of each pair of labels in mask and reference.

    Parameters
    ----------
    subject : Subject
        The case.
    document : MaskDocument
        The mask; every change of it is counted in.
    """

    def __init__(self, subject: Subject, document: MaskDocument) -> None:
        self._subject = subject
        self._size = int(max(subject.truth.max(), *subject.schema.values)) + 1
        self._counts = self._pairs(np.asarray(document.labels), subject.truth)
        document.listen(self._on_change)

    def dice(self) -> dict[str, float]:
        """Return the Dice of the whole tumour ("WT") and of each class of at least 1 mL in the reference."""
        counts = self._counts
        total = counts.sum()
        found = {"WT": _dice(counts[1:, 1:].sum(), total - counts[0].sum(), total - counts[:, 0].sum())}
        for label in self._subject.schema.labels:
            mine, its = counts[label.value].sum(), counts[:, label.value].sum()
            if its * self._subject.grid.voxel_volume_mm3 >= LEAST_CLASS_MM3:
                found[label.name] = _dice(counts[label.value, label.value], mine, its)
        return found

    def _on_change(self, change: Change) -> None:
        patch = change.patch
        truth = self._subject.truth[patch.box.slices]
        self._counts += self._pairs(patch.new, truth) - self._pairs(patch.old, truth)

    def _pairs(self, labels: npt.NDArray[np.unsignedinteger[npt.NBitBase]], truth: Labels) -> npt.NDArray[np.int64]:
        """Return how many voxels have each label (row) where the reference has each (column)."""
        joint = labels.astype(np.intp) * self._size + truth
        return np.bincount(joint.ravel(), minlength=self._size**2).reshape(self._size, self._size).astype(np.int64)


def _dice(both: int, mine: int, its: int) -> float:
    return float(2 * both / (mine + its)) if mine + its else 1.0
