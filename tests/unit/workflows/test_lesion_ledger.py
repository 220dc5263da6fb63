"""Lesions, statuses, splits and joins come back from a journal as they were, and so does their undo."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.review import LesionStatus
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.case import MaskKind
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import InputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.workflows.lesion_ledger import LesionLedger, restored_ledger

SHAPE = (3, 9, 14)
GRID = Grid.from_spacing(SHAPE, (3.0, 1.0, 1.0))


def first_mask() -> np.ndarray:
    """Return two lesions; the first is two blocks with a neck."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, 1:4, 0:3] = 3
    labels[1, 2, 3] = 3
    labels[1, 1:4, 4:7] = 1
    labels[1, 6:8, 9:12] = 2
    return labels


class Bench:
    """A model's mask that is corrected, with its journal."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.journal"
        self.document = MaskDocument(first_mask(), GRID, preset("brats-mets-2025"), MaskKind.AI, "net")
        self.open(LesionLedger.of(self.document))

    def open(self, ledger: LesionLedger) -> None:
        self.ledger = ledger
        self.journal = Journal(self.path, Task.of(self.document, "case", "mask"), self.document)
        self._recorder = Recorder(self.document, self.journal)
        assert self.journal.flush()
        ledger.record_to(self.journal.note)
        self._stop = self.document.listen(lambda change: ledger.follow([ledger.pair(change)]))

    def reopen(self) -> None:
        """Close the journal and go on from it in a new document."""
        assert self.journal.close()
        self._recorder.stop()
        self._stop()
        with JournalReader(self.path) as reader:
            steps = reader.steps()
            self.document = reader.document(steps)
            ledger = restored_ledger(reader, steps, self.document)
        self.open(ledger)

    def paint(self, y: int, x: int, size: int, value: int) -> None:
        box = Box((1, y, x), (2, min(9, y + size), min(14, x + size)))
        self.document.write(box, np.full(box.shape, value, np.uint8), Origin(PatchSource.HAND, "paint", "A.B."))

    @property
    def table(self):
        """What the lesion table shows, and which voxels it is about."""
        view, sheet = self.ledger.view, self.ledger.sheet
        rows = {row.id: (row, view.part(row).tobytes(), sheet.status(row.id), self.ledger.index.members(row.id)) for row in view.lesions}
        return rows, tuple((kept.lesion, kept.before) for kept in sheet.rejected)

    def act(self, what: str, a: int, b: int) -> None:
        ledger, rows = self.ledger, self.ledger.view.lesions
        row = rows[a % len(rows)] if rows else None
        if what == "undo":
            self.document.undo()
        elif what == "redo":
            self.document.redo()
        elif what == "paint":
            self.paint(a % 8, b % 13, 1 + (a + b) % 3, (0, 1, 3)[b % 3])
        elif what == "bring back" and ledger.sheet.rejected:
            self.refused(lambda: ledger.bring_back(ledger.sheet.rejected[a % len(ledger.sheet.rejected)].lesion.id, "A.B."))
        elif row is not None and what in ("accepted", "uncertain", "to do"):
            ledger.set_status(row, LesionStatus(what), "A.B.")
        elif row is not None and what == "reject":
            ledger.reject(row, "A.B.")
        elif row is not None and what == "split":
            self.refused(lambda: ledger.split(row, (), "A.B."))
        elif row is not None and what == "join":
            self.refused(lambda: ledger.join([row.id, rows[b % len(rows)].id], "A.B."))

    def refused(self, act) -> None:
        """Do what may be impossible; then nothing changes."""
        before = self.document.revision
        try:
            act()
        except InputError:
            assert self.document.revision == before


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.journal.close()


ACTS = ["paint", "paint", "undo", "redo", "accepted", "uncertain", "to do", "reject", "bring back", "split", "split", "join", "join"]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=14), st.integers(0, 13))
def test_a_reopened_journal_gives_back_the_table_and_all_that_undo_and_redo_did(acts, reopened_after) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            for number, act in enumerate(acts):
                bench.act(*act)
                if number == reopened_after:
                    table = bench.table
                    bench.reopen()
                    assert bench.table == table
            table, labels = bench.table, bench.document.labels.copy()
            tables = [table]
            while bench.document.undo():
                tables.append(bench.table)
            for _ in tables[1:]:
                assert bench.document.redo()
            assert bench.table == table
            bench.reopen()
            assert bench.table == table
            assert np.array_equal(bench.document.labels, labels)
            for before in tables[1:]:
                assert bench.document.undo()
                assert bench.table == before
            assert not bench.document.undo()
        finally:
            bench.journal.close()


def test_split_and_join_change_no_voxel_and_are_undone_in_order_with_strokes(bench) -> None:
    before = bench.document.labels.copy()
    tables = [bench.table]
    bench.ledger.split(bench.ledger.index.row(1), (), "A.B.")
    tables.append(bench.table)
    assert np.array_equal(bench.document.labels, before)
    bench.paint(0, 0, 1, 3)
    tables.append(bench.table)
    bench.ledger.join([1, 2], "A.B.")
    tables.append(bench.table)
    assert [len(rows) for rows, _ in tables] == [2, 3, 3, 2]
    bench.reopen()
    assert bench.table == tables[3]
    for table in reversed(tables[:3]):
        bench.document.undo()
        assert bench.table == table
    for table in tables[1:]:
        bench.document.redo()
        assert bench.table == table


def altered(path: Path, target: Path, *statements: str) -> None:
    """Copy a journal and change its entries, against which the file guards itself."""
    shutil.copyfile(path, target)
    connection = sqlite3.connect(target)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def opened(path: Path):
    with JournalReader(path) as reader:
        steps = reader.steps()
        document = reader.document(steps)
        return document, restored_ledger(reader, steps, document)


def test_what_was_not_noted_before_a_kill_is_followed_again(bench, tmp_path) -> None:
    tables = {}
    for what, a, b in [
        ("accepted", 0, 0),
        ("split", 0, 0),
        ("paint", 0, 0),
        ("join", 0, 1),
        ("reject", 1, 0),
        ("undo", 0, 0),
        ("redo", 0, 0),
    ]:
        bench.act(what, a, b)
        tables[bench.document.revision] = bench.table
    assert bench.journal.close()
    connection = sqlite3.connect(bench.path)
    last = connection.execute("SELECT max(seq) FROM entries").fetchone()[0]
    connection.close()
    checked = 0
    for end in range(last, 2, -1):
        altered(bench.path, tmp_path / "short.journal", f"DELETE FROM entries WHERE seq > {end}")
        document, ledger = opened(tmp_path / "short.journal")
        if document.revision in tables:
            bench.ledger, bench.document = ledger, document
            assert bench.table == tables[document.revision], f"cut after entry {end}"
            checked += 1
    assert checked > len(tables)


def test_a_journal_from_before_lesions_were_noted_opens(bench, tmp_path) -> None:
    bench.act("accepted", 0, 0)
    bench.paint(0, 11, 1, 3)
    bench.act("split", 0, 0)
    rows = bench.table[0]
    assert bench.journal.close()
    altered(bench.path, tmp_path / "old.journal", "DELETE FROM entries WHERE kind IN ('lesions', 'review')")
    document, ledger = opened(tmp_path / "old.journal")
    assert np.array_equal(document.labels, bench.document.labels)
    assert sum(row.voxels for row in ledger.view.lesions) == sum(row.voxels for row, *_ in rows.values())
    assert document.undo()


def test_notes_of_another_mask_are_not_believed(bench, tmp_path) -> None:
    bench.act("split", 0, 0)
    assert bench.journal.close()
    moved = "UPDATE entries SET payload = replace(payload, '[2,2,1,6,9]', '[2,2,1,0,9]') WHERE kind = 'lesions'"
    altered(bench.path, tmp_path / "other.journal", moved)
    document, ledger = opened(tmp_path / "other.journal")
    assert [row.id for row in ledger.view.lesions] == [1, 2]
    assert np.array_equal(document.labels, first_mask())
