"""Where each voxel of a mask comes from: left as the AI had it, changed, added or removed by hand.

It is judged by what stands in the mask, not by where a brush has been: a voxel that was painted over
and back is as the AI had it. What the AI had is the mask it began with, if a model made that, and
whatever model runs changed since. Tools, brushes and what scripts wrote count as by hand, because a
person chose to use them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import Labels, MaskDocument
from napari_tumorseg.core.grid import Box
from napari_tumorseg.core.patches import Change, Patch, PatchSource

__all__ = ["OriginClass", "Provenance", "ProvenanceCounts"]


class OriginClass(IntEnum):
    """Where a voxel's label comes from."""

    #: Background that the AI left as background.
    NOTHING = 0
    #: A label that the AI gave, and that still stands.
    AI = 1
    #: A label of the AI that was changed to another one.
    CHANGED = 2
    #: A label where the AI had none.
    ADDED = 3
    #: Background where the AI had a label.
    REMOVED = 4


@dataclass(frozen=True)
class ProvenanceCounts:
    """Voxels of each kind, and their volume.

    Attributes
    ----------
    ai, changed, added, removed : int
        Voxels.
    voxel_ml : float
        Volume of one.
    """

    ai: int
    changed: int
    added: int
    removed: int
    voxel_ml: float

    @property
    def by_hand_share(self) -> float:
        """Share of the labelled voxels that a person changed or added, 0 to 1; 0 where there are none."""
        labelled = self.ai + self.changed + self.added
        return (self.changed + self.added) / labelled if labelled else 0.0

    @property
    def ml(self) -> Mapping[str, float]:
        """Volumes in mL by name."""
        return {name: getattr(self, name) * self.voxel_ml for name in ("ai", "changed", "added", "removed")}


class Provenance:
    """Follows a document and keeps, for every voxel, where its label comes from.

    Costs two bytes for each voxel of a uint8 mask. Only the box of a change is looked at.

    Parameters
    ----------
    document : MaskDocument
        New or restored: what happened so far is read from its history.

    Attributes
    ----------
    classes : numpy.ndarray
        uint8, shape (z, y, x), values of `OriginClass`; read-only.

    Examples
    --------
    >>> from napari_tumorseg.core.document import Origin
    >>> from napari_tumorseg.core.grid import Grid
    >>> from napari_tumorseg.core.labels import preset
    >>> grid = Grid.from_spacing((1, 1, 4), (10, 10, 10))
    >>> ai = np.array([[[1, 1, 0, 0]]], np.uint8)
    >>> document = MaskDocument(ai, grid, preset("lesion"), MaskKind.AI, "net")
    >>> provenance = Provenance(document)
    >>> _ = document.write(Box.whole(grid.shape), np.array([[[1, 0, 1, 0]]], np.uint8), Origin(PatchSource.HAND, "paint"))
    >>> provenance.classes.ravel().tolist()
    [1, 4, 3, 0]
    >>> round(provenance.counts().ml["added"], 3)
    1.0
    """

    def __init__(self, document: MaskDocument) -> None:
        self.document = document
        labels = document.labels
        self._ai: Labels = np.zeros_like(labels)
        self._classes: npt.NDArray[np.uint8] = np.zeros(labels.shape, np.uint8)
        #: What the AI had in the box of each model run that stands, before that run.
        self._before: list[bytes] = []
        self._listeners: list[Callable[[Box], None]] = []
        self._read_history()
        self._stop = document.listen(self._on_change)

    def close(self) -> None:
        """Follow the document no longer."""
        self._stop()

    def listen(self, listener: Callable[[Box], None]) -> Callable[[], None]:
        """Call `listener` with the box after every change; return a function that stops that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    @property
    def classes(self) -> npt.NDArray[np.uint8]:
        """Values of `OriginClass`, shape (z, y, x), as a read-only view."""
        return _read_only(self._classes)

    @property
    def ai(self) -> Labels:
        """The labels as the models left them, shape (z, y, x), as a read-only view."""
        return _read_only(self._ai)

    def counts(self, box: Box | None = None, inside: npt.NDArray[np.bool_] | None = None) -> ProvenanceCounts:
        """Return the voxels of each kind in the whole mask, in a box, or in a part of a box.

        Parameters
        ----------
        box : Box, optional
            The whole mask by default.
        inside : numpy.ndarray, optional
            Boolean, shape of the box: e.g. a lesion's voxels. A lesion's removed voxels are no longer
            its own; to count them, give its box grown by a margin and no `inside`.
        """
        if box is None and inside is None:
            totals = self._table.sum(axis=1)
        else:
            part = self._classes if box is None else self._classes[box.slices]
            totals = np.bincount(part.ravel() if inside is None else part[inside], minlength=len(OriginClass))
        return self._counts(totals)

    def by_label(self) -> Mapping[int, ProvenanceCounts]:
        """Return the voxels of each kind for each label of the schema, by value; removed ones under the label they had."""
        return {value: self._counts(self._table[:, value]) for value in self.document.schema.values}

    def _counts(self, totals: npt.NDArray[Any]) -> ProvenanceCounts:
        _, ai, changed, added, removed = (int(n) for n in totals)
        return ProvenanceCounts(ai, changed, added, removed, self.document.grid.voxel_volume_mm3 / 1000)

    def _read_history(self) -> None:
        document = self.document
        steps = document.history.undo
        now = document.labels.copy()
        for step in reversed(steps):
            for patch in reversed(step):
                now[patch.box.slices] = patch.old
        if document.kind is MaskKind.AI:
            self._ai[...] = now
        for step in steps:
            for patch in step:
                self._follow_ai(patch)
        self._table = np.zeros((len(OriginClass), max(document.schema.values) + 1), np.int64)
        whole = Box.whole(document.labels.shape)
        # Slice by slice, so that no temporary array is as large as the mask.
        for z in range(whole.stop[0]):
            box = Box((z, 0, 0), (z + 1, *whole.stop[1:]))
            self._classify(box, document.labels[box.slices])

    def _on_change(self, change: Change) -> None:
        patch = change.patch
        # The document itself may be further: it tells the patches of one undo after the last of them.
        self._table -= self._tabulate(patch.box, patch.old)
        self._follow_ai(patch)
        self._classify(patch.box, patch.new)
        for listener in tuple(self._listeners):
            listener(patch.box)

    def _follow_ai(self, patch: Patch) -> None:
        origin = patch.origin
        if origin.act is not PatchSource.MODEL:
            return
        ai = self._ai[patch.box.slices]
        if origin.source is PatchSource.UNDO:
            ai[...] = np.frombuffer(zlib.decompress(self._before.pop()), ai.dtype).reshape(ai.shape)
            return
        self._before.append(zlib.compress(ai.tobytes(), 1))
        new = patch.new
        np.copyto(ai, new, where=new != patch.old)

    def _classify(self, box: Box, now: Labels) -> None:
        ai, classes = self._ai[box.slices], self._classes[box.slices]
        had, has = ai != 0, now != 0
        classes[...] = OriginClass.NOTHING
        classes[had & has] = OriginClass.CHANGED
        classes[had & (ai == now)] = OriginClass.AI
        classes[~had & has] = OriginClass.ADDED
        classes[had & ~has] = OriginClass.REMOVED
        self._table += self._tabulate(box, now)

    def _tabulate(self, box: Box, now: Labels) -> npt.NDArray[np.int64]:
        """Return voxels by class and label as they stand in a box that holds `now`."""
        classes, ai = self._classes[box.slices], self._ai[box.slices]
        label = np.where(now != 0, now, ai).astype(np.intp)
        kinds, values = self._table.shape
        flat = np.bincount((classes.astype(np.intp) * values + np.minimum(label, values - 1)).ravel(), minlength=kinds * values)
        return flat.reshape(kinds, values)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
