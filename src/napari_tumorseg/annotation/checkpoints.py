"""The whole mask in a journal, now and then, so that opening need not start from the first stroke.

A checkpoint is taken by the journal's own thread while the person goes on painting: block after block
of slices is copied, the mask held still for each. So the blocks may come from different revisions.
The checkpoint says the revision before its first block and that after its last; the changes between
the two, written over it once more, make it exact at the latter, because each says what its voxels
held afterwards. They stand in the journal before the checkpoint does.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_tumorseg.annotation.entries import Entry, EntryKind, to_json
from napari_tumorseg.core.document import Labels, MaskDocument
from napari_tumorseg.core.patches import Patch

__all__ = ["Capture", "first_and_until", "labels_of"]

# Copied in a tenth of a millisecond, for which a brush can wait.
_BLOCK_BYTES = 1 << 20
_PATIENCE_S = 0.001


@dataclass
class Capture:
    """A checkpoint that is being taken; `blocks` does the work a piece at a time.

    Parameters
    ----------
    document : MaskDocument
        Changed by another thread meanwhile.
    """

    document: MaskDocument
    first: int = 0
    until: int = 0

    def blocks(self) -> Iterator[None]:
        """Copy and pack one block of slices at each step."""
        labels = self.document.labels
        slices = max(1, _BLOCK_BYTES // max(1, labels[0].nbytes))
        parts: list[bytes] = []
        self.first = -1
        for z in range(0, len(labels), slices):
            raw = None
            while raw is None:
                # Whoever paints may be waiting for this thread, which then writes before it tries again.
                with self.document.steady(_PATIENCE_S) as held:
                    if held:
                        raw = labels[z : z + slices].tobytes()
                        self.until = self.document.revision
                if raw is None:
                    yield
            self.first = self.until if self.first < 0 else self.first
            # Most of a volume holds no tumour.
            parts.append(zlib.compress(raw, 1) if np.frombuffer(raw, np.uint8).any() else b"")
            yield
        self._slices, self._parts = slices, parts

    def entry(self, mono_ns: int, wall_us: int) -> Entry:
        """Return the entry of a finished capture."""
        payload = to_json({"first": self.first, "until": self.until, "slices": self._slices, "sizes": [len(p) for p in self._parts]})
        return Entry(
            EntryKind.CHECKPOINT,
            mono_ns,
            wall_us,
            revision=self.until,
            dtype=self.document.labels.dtype.str,
            new=b"".join(self._parts),
            payload=payload,
        )


def first_and_until(entry: Entry) -> tuple[int, int]:
    """Return the revisions before the first and after the last block of a checkpoint."""
    data: Mapping[str, Any] = entry.data
    return int(data["first"]), int(data["until"])


def labels_of(entry: Entry, shape: tuple[int, int, int], patches: Iterable[tuple[int, Patch]]) -> Labels:
    """Return the mask at the revision that a checkpoint is exact for.

    Parameters
    ----------
    entry : Entry
        Of kind CHECKPOINT.
    shape : tuple of int
        (z, y, x).
    patches : iterable of (int, Patch)
        Revision and change, in order; those that came while the checkpoint was taken are used.

    Returns
    -------
    numpy.ndarray
        Unsigned integers, `shape`.
    """
    data = entry.data
    labels: npt.NDArray[Any] = np.zeros(shape, np.dtype(entry.dtype))
    ends = list(itertools.accumulate(data["sizes"]))
    for i, (size, end) in enumerate(zip(data["sizes"], ends, strict=True)):
        if size:
            part = labels[i * data["slices"] : (i + 1) * data["slices"]]
            part[...] = np.frombuffer(zlib.decompress(entry.new[end - size : end]), part.dtype).reshape(part.shape)
    first, until = first_and_until(entry)
    for revision, patch in patches:
        if first < revision <= until:
            labels[patch.box.slices] = patch.new
    return labels
