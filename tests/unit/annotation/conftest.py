"""A small document, patches, and random edits of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.annotation.entries import Clock
from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset

SHAPE = (3, 4, 5)
GRID = Grid.from_spacing(SHAPE, (3.0, 1.0, 0.5))
SCHEMA = preset("brats-mets-2025")


def new_document(labels: np.ndarray | None = None, **kwargs: Any) -> MaskDocument:
    return MaskDocument(np.zeros(SHAPE, np.uint8) if labels is None else labels, GRID, SCHEMA, **kwargs)


def origin(source: PatchSource = PatchSource.HAND, step: str | None = None, tool: str = "paint") -> Origin:
    return Origin(source, tool, "A.B.", **({} if step is None else {"step": step}))


def paint(document: MaskDocument, x: int, value: int = 1, step: str | None = None) -> bool:
    """Write one voxel, a whole stroke by default."""
    flat = np.unravel_index(x % document.labels.size, document.labels.shape)
    z, y, c = (int(v) for v in flat)
    return document.write(Box((z, y, c), (z + 1, y + 1, c + 1)), np.full((1, 1, 1), value, np.uint8), origin(step=step))


def new_journal(path: Path, document: MaskDocument, **kwargs: Any) -> Journal:
    return Journal(path, Task.of(document, "case", "mask", person="A.B."), document, **kwargs)


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.mono, self.wall = 1_000_000, 1_700_000_000_000_000_000

    def pass_ms(self, ms: float) -> None:
        self.mono += int(ms * 1e6)
        self.wall += int(ms * 1e6)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.mono, lambda: self.wall)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    pairs = [sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1)))) for n in SHAPE]
    return Box(*zip(*((a, b + 1) for a, b in pairs), strict=True))  # type: ignore[arg-type]


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, Box, np.ndarray, PatchSource, str]:
    box = draw(boxes())
    new = draw(hnp.arrays(np.uint8, box.shape, elements=st.integers(0, 4)))
    source = draw(st.sampled_from([PatchSource.HAND, PatchSource.MODEL, PatchSource.TOOL, PatchSource.EXTERNAL]))
    return "write", box, new, source, draw(st.sampled_from("abc"))


#: Any act on a document: a write, an undo, a redo, other locks.
acts = st.one_of(
    writes(),
    writes(),
    st.just(("undo",)),
    st.just(("redo",)),
    st.tuples(st.just("lock"), st.frozensets(st.integers(0, 4), max_size=2)),
)


def perform(document: MaskDocument, act: Any) -> None:
    match act:
        case ("write", box, new, source, step):
            document.write(box, new, origin(source, step))
        case ("undo",):
            document.undo("C.D.")
        case ("redo",):
            document.redo("C.D.")
        case ("lock", values):
            document.locked = values
