from __future__ import annotations

import hashlib
import itertools
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_tumorseg.annotation import journal as journal_module
from napari_tumorseg.annotation import journal_queue as queue_module
from napari_tumorseg.annotation.checkpoints import Capture, first_and_until, labels_of
from napari_tumorseg.annotation.entries import EntryKind, patch_of
from napari_tumorseg.annotation.journal import Journal, JournalState
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.store import Store
from napari_tumorseg.annotation.task import Reference, Task
from napari_tumorseg.core.case import MaskKind, Review
from napari_tumorseg.core.document import Change, MaskDocument
from napari_tumorseg.core.errors import InputError, OutputError
from napari_tumorseg.core.patches import Patch

from .conftest import GRID, SCHEMA, SHAPE, Ticking, acts, new_document, new_journal, paint, perform

counter = itertools.count()


@pytest.fixture(scope="module")
def quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in memory where there is one, for hundreds of journals."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path_factory.mktemp("journals")
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def same(again: MaskDocument, document: MaskDocument) -> None:
    np.testing.assert_array_equal(again.labels, document.labels)
    assert again.revision == document.revision
    assert again.history.undo == document.history.undo
    assert again.history.redo == document.history.redo
    assert (again.locked, again.review, again.version) == (document.locked, document.review, document.version)


@settings(max_examples=40)
@given(
    labels=hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 4)),
    done=st.lists(acts, max_size=25),
    then=st.lists(acts, max_size=8),
    kind=st.sampled_from([MaskKind.AI, MaskKind.RATER]),
)
def test_a_journal_read_from_the_disk_is_what_was_in_memory(
    quick_folder: Path, labels: np.ndarray, done: list[Any], then: list[Any], kind: MaskKind
) -> None:
    path = quick_folder / f"{next(counter)}.journal"
    document = new_document(labels, kind=kind)
    states = [labels.copy()]
    document.listen(lambda change: states.append(replayed(states[-1], change.patch)))
    journal = new_journal(path, document)
    recorder = Recorder(document, journal)
    for act in done:
        perform(document, act)
    recorder.look()
    assert journal.close()
    with JournalReader(path) as reader:
        again = reader.document()
        same(again, document)
        steps = reader.steps()
        for revision, state in enumerate(states):
            np.testing.assert_array_equal(steps.labels_at(revision), state)
        assert reader.verify().ok
        assert reader.closed == {}
    # The same file goes on when work is taken up again, in another document of another process.
    journal = new_journal(path, again)
    recorder = Recorder(again, journal)
    for act in then:
        perform(again, act)
        perform(document, act)
    document.review = again.review = Review.ACCEPTED
    recorder.look()
    assert journal.close()
    with JournalReader(path) as reader:
        once_more = reader.document()
        np.testing.assert_array_equal(once_more.labels, document.labels)
        same(once_more, again)
        assert reader.verify().ok
        assert [s["id"] for s in reader.sessions] == [1, 2]


def replayed(labels: np.ndarray, patch: Patch) -> np.ndarray:
    after = labels.copy()
    np.testing.assert_array_equal(after[patch.box.slices], patch.old)
    after[patch.box.slices] = patch.new
    return after


def test_what_is_written_has_no_second_file_beside_it(tmp_path: Path) -> None:
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    paint(document, 1)
    assert journal.flush()
    assert (tmp_path / "a.journal-wal").exists()
    assert journal.close(saved=True)
    assert not journal.alive
    assert [p.name for p in tmp_path.iterdir()] == ["a.journal"]
    with JournalReader(tmp_path / "a.journal") as reader:
        assert reader.closed == {"saved": True}
        assert reader.task == Task.of(document, "case", "mask", person="A.B.")
        assert reader.persons == {"A.B.": {}}


def test_patches_are_recorded_to_the_last_detail(tmp_path: Path) -> None:
    document = new_document(kind=MaskKind.AI, author="net")
    heard: list[Change] = []
    document.listen(heard.append)
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    for x in range(4):
        paint(document, x, step="one" if x < 2 else None)
    document.undo("C.D.")
    document.redo("C.D.")
    journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert [patch for _, patch in reader.patches()] == [change.patch for change in heard]
        assert [revision for revision, _ in reader.patches()] == [change.revision for change in heard]


def test_clocks_are_the_caller_s(tmp_path: Path) -> None:
    ticking = Ticking()
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document, clock=ticking.clock)
    Recorder(document, journal)
    for x in range(3):
        ticking.pass_ms(250)
        journal.event("wheel", by=x)
        ticking.pass_ms(250)
        paint(document, x)
    ticking.wall -= 3_600_000_000_000  # somebody sets the clock back
    journal.event("key", key="N")
    journal.event("focus", on=False)
    journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        patches = list(reader.entries(EntryKind.PATCH))
        assert [p.mono_ns for p in patches] == [1_000_000 + n * 500_000_000 for n in (1, 2, 3)]
        assert [p.wall_us - 1_700_000_000_000_000 for p in patches] == [500_000, 1_000_000, 1_500_000]
        seen = list(reader.interactions())
        assert [(i.kind, dict(i.data)) for i in seen] == [
            *(("wheel", {"by": x}) for x in range(3)),
            ("key", {"key": "N"}),
            ("focus", {"on": False}),
        ]
        assert [i.mono_ns for i in seen[:3]] == [1_000_000 + n * 250_000_000 for n in (1, 3, 5)]
        last = list(reader.entries(EntryKind.EVENT))[-1]
        assert last.wall_us < patches[-1].wall_us
        assert last.mono_ns == patches[-1].mono_ns
        assert reader.verify().ok


def test_many_events_are_few_entries_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    assert journal.flush()
    for n in range(5000):
        journal.event("pointer", at=[n, 0, 0])
    paint(document, 0)
    journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert [i.data["at"][0] for i in reader.interactions()] == list(range(5000))
        assert len(list(reader.entries(EntryKind.EVENT))) < 50


def test_events_that_no_disk_takes_are_counted_and_changes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "_MOST_EVENTS", 10)
    gate = broken_disk(monkeypatch)
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document, retry_s=0.01)
    Recorder(document, journal)
    for n in range(25):
        journal.event("wheel", by=n)
        paint(document, n, 1 + n % 3)
    gate.set()
    assert wait_until(lambda: journal.flush())
    assert journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert [i.data["by"] for i in reader.interactions()] == list(range(10))
        assert [e.data["events_dropped"] for e in reader.entries(EntryKind.STATUS) if "events_dropped" in e.data] == [15]
        same(reader.document(), document)


def test_a_checkpoint_taken_while_somebody_paints_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_tumorseg.annotation.checkpoints._BLOCK_BYTES", 1)
    rng = np.random.default_rng(0)
    document = new_document(rng.integers(0, 5, SHAPE).astype(np.uint8))
    heard: list[Change] = []
    document.listen(heard.append)
    paint(document, 3, 2)
    capture = Capture(document)
    for _ in capture.blocks():
        paint(document, int(rng.integers(60)), int(rng.integers(1, 5)))
        document.undo()
        paint(document, int(rng.integers(60)), int(rng.integers(1, 5)))
    entry = capture.entry(0, 0)
    first, until = first_and_until(entry)
    assert until > first >= 1
    patches = [(c.revision, c.patch) for c in heard]
    at_until = document.snapshot().labels
    for change in reversed([c for c in heard if c.revision > until]):
        at_until[change.patch.box.slices] = change.patch.old
    np.testing.assert_array_equal(labels_of(entry, SHAPE, patches), at_until)


def test_checkpoints_come_now_and_then_and_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_CHECKPOINT_PATCHES", 7)
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    for n in range(60):
        paint(document, n * 7, 1 + n % 4)
        if n % 5 == 4:
            document.undo()
            assert journal.flush()
    journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert 5 <= len(list(reader.entries(EntryKind.CHECKPOINT))) <= 12
        same(reader.document(), document)
        steps = reader.steps()
        labels = np.zeros(SHAPE, np.uint8)
        for revision, patch in reader.patches():
            labels[patch.box.slices] = patch.new
            np.testing.assert_array_equal(steps.labels_at(revision), labels)


def test_a_copy_of_a_live_journal_can_be_read_and_names_no_path(tmp_path: Path) -> None:
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document, local={"paths": ["/home/somebody/case"]})
    Recorder(document, journal)
    paint(document, 2)
    journal.ask(lambda store: store.copy_to(tmp_path / "copy.journal")).result(10)
    paint(document, 3)
    journal.close()
    with JournalReader(tmp_path / "copy.journal") as reader:
        assert (reader.patch_count, reader.closed, reader.local) == (1, None, {})
        assert reader.verify().ok
    assert b"somebody" not in (tmp_path / "copy.journal").read_bytes()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert reader.local == {"paths": ["/home/somebody/case"]}


def test_one_journal_has_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    document = new_document()
    journal = new_journal(path, document)
    Recorder(document, journal)
    paint(document, 1)
    assert journal.flush()
    code = (
        "import sys; from pathlib import Path\n"
        "from napari_tumorseg.annotation.reader import JournalReader\n"
        "from napari_tumorseg.annotation.store import Store\n"
        "for open_it in (Store.open, JournalReader):\n"
        "    try: open_it(Path(sys.argv[1])); print('opened')\n"
        "    except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["InputError a.journal is being written by another window. Close it there first."] * 2
    with pytest.raises(InputError, match="another window"):
        new_journal(path, document)
    paint(document, 2)
    assert journal.close()
    with JournalReader(path) as reader:
        same(reader.document(), document)


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be taken for one" * 100])
def test_a_stranger_s_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.journal"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.journal"):
        new_journal(path, new_document())
    with pytest.raises(InputError, match=r"a\.journal"):
        JournalReader(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE entries (seq)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a record of changes"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_journal_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    new_journal(path, new_document()).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(InputError, match="newer program"):
        JournalReader(path)


def test_entries_cannot_be_changed_by_accident(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    new_journal(path, new_document()).close()
    connection = sqlite3.connect(path)
    for statement in ("UPDATE entries SET tool = 'x'", "DELETE FROM entries"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            connection.execute(statement)
    connection.close()


# -- tampering


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A closed journal of eleven changes."""
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    for n in range(11):
        paint(document, n)
        journal.event("wheel", by=n)
    journal.close()
    return tmp_path / "a.journal"


def tamper(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript("DROP TRIGGER entries_stay; DROP TRIGGER entries_remain;" + ";".join(statements))
    connection.close()


def test_an_untouched_journal_is_whole(written: Path) -> None:
    with JournalReader(written) as reader:
        verdict = reader.verify()
        assert verdict.ok
        assert verdict.closed
        assert verdict.entries == len(list(reader.entries()))
        assert bytes.fromhex(verdict.head) == list(reader.entries())[-1].hash


@pytest.mark.parametrize(
    "change",
    [
        "tool = 'erase'",
        "person = 'X.Y.'",
        "wall_us = wall_us - 1",
        "mono_ns = mono_ns + 1",
        "new = old",
        "box = '0,0,0,1,1,2'",
        "payload = '{}'",
        "revision = 3",
        "session = 2",
        "source = 'tool'",
        "act = 'model'",
        "made_us = 0",
        "dtype = '<u2'",
        "kind = 'review'",
        "step = ''",
    ],
)
def test_an_altered_entry_is_named(written: Path, change: str) -> None:
    with JournalReader(written) as reader:
        seq = [e.seq for e in reader.entries(EntryKind.PATCH)][6]
    tamper(written, f"UPDATE entries SET {change} WHERE seq = {seq}")
    with JournalReader(written) as reader:
        verdict = reader.verify()
    assert (verdict.ok, verdict.seq, verdict.entries) == (False, seq, seq - 1)
    assert verdict.problem == f"entry {seq} was altered"


def test_a_missing_entry_is_named(written: Path) -> None:
    tamper(written, "DELETE FROM entries WHERE seq = 8")
    with JournalReader(written) as reader:
        verdict = reader.verify()
    assert (verdict.ok, verdict.seq, verdict.problem) == (False, 8, "entry 8 is missing")


def test_a_gap_closed_by_counting_anew_is_named(written: Path) -> None:
    tamper(written, "DELETE FROM entries WHERE seq = 8", *(f"UPDATE entries SET seq = {n - 1} WHERE seq = {n}" for n in range(9, 40)))
    with JournalReader(written) as reader:
        verdict = reader.verify()
    assert (verdict.ok, verdict.seq) == (False, 8)
    assert "does not follow" in verdict.problem


def test_two_entries_that_changed_places_are_named(written: Path) -> None:
    tamper(
        written,
        "UPDATE entries SET seq = 1000 WHERE seq = 7",
        "UPDATE entries SET seq = 7 WHERE seq = 8",
        "UPDATE entries SET seq = 8 WHERE seq = 1000",
    )
    with JournalReader(written) as reader:
        verdict = reader.verify()
    assert (verdict.ok, verdict.seq) == (False, 7)


def test_an_end_that_was_cut_off_is_not_closed_and_has_another_head(written: Path) -> None:
    with JournalReader(written) as reader:
        whole = reader.verify()
    tamper(written, "DELETE FROM entries WHERE seq > 10")
    with JournalReader(written) as reader:
        verdict = reader.verify()
    assert verdict.ok
    assert not verdict.closed
    assert verdict.head != whole.head


def test_a_task_that_was_rewritten_is_noticed(written: Path) -> None:
    tamper(written, 'UPDATE task SET head = replace(head, \'"case":"case"\', \'"case":"other"\')')
    with JournalReader(written) as reader:
        verdict = reader.verify()
        assert reader.task.case == "other"
    assert (verdict.ok, verdict.seq) == (False, 1)


# -- disks that fail


def broken_disk(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> threading.Event:
    """Let every write fail as a full disk does, until the event that is returned is set."""
    gate = threading.Event()
    append = Store.append

    def failing(self: Store, entries: Any, session: int) -> None:
        if not gate.is_set():
            raise error or sqlite3.OperationalError("database or disk is full")
        append(self, entries, session)

    monkeypatch.setattr(Store, "append", failing)
    return gate


def wait_until(condition: Any, timeout_s: float = 10.0) -> bool:
    event = threading.Event()
    for _ in range(int(timeout_s / 0.01)):
        if condition():
            return True
        event.wait(0.01)
    return False


class Told(list[tuple[JournalState, str]]):
    def __call__(self, state: JournalState, line: str) -> None:
        self.append((state, line))


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (sqlite3.OperationalError("database or disk is full"), r"is full\. The work goes on in memory"),
        (OSError(28, "No space left on device"), r"is full\. The work goes on in memory"),
        (sqlite3.OperationalError("attempt to write a readonly database"), r"is read-only\. The work"),
        (OSError(30, "Read-only file system"), r"is read-only\. The work"),
        (sqlite3.OperationalError("disk I/O error"), r"disk I/O error\. The work"),
        (ValueError("a fault"), r"a fault\. The work"),
    ],
)
def test_a_disk_that_fails_is_told_once_and_everything_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    told = Told()
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document, told=told, retry_s=0.01)
    Recorder(document, journal)
    paint(document, 0)
    assert journal.flush()
    assert journal.state is JournalState.SAVED
    gate = broken_disk(monkeypatch, error)
    for n in range(20):
        paint(document, n, 1 + n % 4)
        if n % 4 == 3:
            document.undo()
    assert wait_until(lambda: bool(journal.failing))
    assert not journal.flush()
    assert journal.state is JournalState.MEMORY
    paint(document, 30, 2)
    gate.set()
    assert wait_until(journal.flush)
    assert journal.state is JournalState.SAVED
    assert journal.close()
    assert [state for state, _ in told] == [JournalState.MEMORY, JournalState.SAVED]
    assert re.search(line, told[0][1])
    with JournalReader(tmp_path / "a.journal") as reader:
        same(reader.document(), document)
        assert reader.verify().ok


def test_nothing_is_raised_into_the_painting_when_there_was_never_a_disk(tmp_path: Path) -> None:
    told = Told()
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    document = new_document()
    journal = new_journal(in_the_way / "a.journal", document, told=told, retry_s=0.01)
    Recorder(document, journal)
    for n in range(10):
        paint(document, n)
    assert not journal.flush()
    in_the_way.unlink()
    assert wait_until(journal.flush)
    paint(document, 11)
    assert journal.close()
    assert len(told) == 2
    with JournalReader(in_the_way / "a.journal") as reader:
        same(reader.document(), document)
        assert reader.verify().ok


def test_closing_on_a_full_disk_ends_the_thread_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    paint(document, 0)
    assert journal.flush()
    broken_disk(monkeypatch)
    paint(document, 1)
    assert not journal.close()
    assert not journal.alive
    monkeypatch.undo()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert reader.patch_count == 1
        assert reader.closed is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let an open file be removed")
def test_a_file_that_was_taken_away_comes_back_whole(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    document = new_document()
    journal = new_journal(folder / "a.journal", document, retry_s=0.01)
    Recorder(document, journal)
    for n in range(5):
        paint(document, n)
    assert journal.flush()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    paint(document, 9, 3)
    document.undo()
    assert wait_until(journal.flush)
    assert journal.close()
    with JournalReader(folder / "a.journal") as reader:
        same(reader.document(), document)
        assert reader.verify().ok


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let an open file be removed")
def test_a_drive_that_is_gone_for_good_gets_a_new_file_with_the_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Store, path: Path) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "rescue_to", gone)
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document, retry_s=0.01)
    Recorder(document, journal)
    for n in range(5):
        paint(document, n)
    assert journal.flush()
    for file in tmp_path.iterdir():
        file.unlink()
    paint(document, 9, 3)
    assert wait_until(journal.flush)
    assert journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        again = reader.document()
        np.testing.assert_array_equal(again.labels, document.labels)
        assert again.revision == document.revision
        assert reader.verify().ok


def test_a_network_drive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_tumorseg.annotation.local_disk.file_system", lambda folder, mounts=None: "nfs4")
    with pytest.raises(OutputError, match="network drive"):
        new_journal(tmp_path / "a.journal", new_document())


def test_a_slow_disk_keeps_nobody_waiting_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    assert journal.flush()
    held = threading.Event()
    append = Store.append

    def slow(self: Store, entries: Any, session: int) -> None:
        held.wait(20)
        append(self, entries, session)

    monkeypatch.setattr(Store, "append", slow)
    waited: list[float] = []
    wait = threading.Condition.wait_for

    def counted(self: threading.Condition, predicate: Any, timeout: float | None = None) -> Any:
        if threading.current_thread() is threading.main_thread():
            waited.append(timeout or 0.0)
        return wait(self, predicate, timeout)

    monkeypatch.setattr(threading.Condition, "wait_for", counted)
    for n in range(30):
        paint(document, n)
    assert waited == [journal_module._WAIT_S]
    held.set()
    assert journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        same(reader.document(), document)


def test_strokes_before_the_last_one_are_on_the_disk(tmp_path: Path) -> None:
    document = new_document()
    journal = new_journal(tmp_path / "a.journal", document)
    Recorder(document, journal)
    assert journal.flush()
    missing = []
    for n in range(200):
        paint(document, n, 1 + n % 4)
        missing.append(journal._queue.missing)
    assert max(missing) <= 1
    journal.close()


# -- what it is about


def test_a_task_goes_through_json() -> None:
    task = Task(
        "case 1", "AI", GRID, SCHEMA, kind=MaskKind.AI, author="net 1", version="v", sequence="T1c",
        reference=Reference(12, 34, "ab"), software="s", person="A.B.", protocol="p", step="search", more={"arm": "with AI"},
    )  # fmt: skip
    assert Task.from_json(task.to_json()) == task


def test_a_reference_is_known_by_its_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.write_bytes(b"one")
    two.write_bytes(b"two!")
    both = Reference.of((two, one, tmp_path / "gone"), hashed=True)
    assert both.size == 7
    assert both == Reference.of((one, two), hashed=True)
    assert Reference.of((one,), hashed=True).sha256 == hashlib.sha256(b"one").hexdigest()
    assert Reference.of((one,)).sha256 == ""
    assert Reference.of(()) == Reference()


def test_patch_entries_need_no_document(written: Path) -> None:
    with JournalReader(written) as reader:
        entries = list(reader.entries(EntryKind.PATCH))
        assert [patch_of(e) for e in entries] == [p for _, p in reader.patches()]


def test_roles_of_people_are_kept_in_the_chain(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "a.journal", new_document())
    journal.person("E.F.", role="approver", expertise="neuroradiologist")
    journal.review("E.F.", lesion=3, status="accepted")
    journal.close()
    with JournalReader(tmp_path / "a.journal") as reader:
        assert reader.persons == {"A.B.": {}, "E.F.": {"role": "approver", "expertise": "neuroradiologist"}}
        (review,) = reader.entries(EntryKind.REVIEW)
        assert (review.person, review.data) == ("E.F.", {"lesion": 3, "status": "accepted"})


def test_a_journal_broken_off_before_it_held_the_mask_says_so(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "a.journal")
    store.set_task(Task.of(new_document(), "case", "mask"))
    store.close()
    with JournalReader(tmp_path / "a.journal") as reader, pytest.raises(InputError, match="broken off before it held the mask"):
        reader.document()


def test_no_thread_is_left(tmp_path: Path) -> None:
    before = threading.active_count()
    journals = [Journal(tmp_path / f"{n}.journal", Task.of(d := new_document(), "c", "m"), d) for n in range(5)]
    assert all(journal.close() for journal in journals)
    assert all(journal.close() for journal in journals)
    assert threading.active_count() == before
