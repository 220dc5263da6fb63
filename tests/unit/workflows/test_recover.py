from __future__ import annotations

import datetime as dt
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from napari_tumorseg.annotation.journal import Journal
from napari_tumorseg.annotation.reader import JournalReader
from napari_tumorseg.annotation.recorder import Recorder
from napari_tumorseg.annotation.task import Task
from napari_tumorseg.core.document import MaskDocument, Origin, PatchSource
from napari_tumorseg.core.errors import InputError, OutputError
from napari_tumorseg.core.grid import Box, Grid
from napari_tumorseg.core.labels import preset
from napari_tumorseg.core.settings import Settings
from napari_tumorseg.workflows import recover
from napari_tumorseg.workflows.recover import (
    Left,
    copy_beside,
    discard,
    file_away,
    find_journals,
    journal_folder,
    new_journal_path,
    restore,
)

GRID = Grid.from_spacing((4, 6, 8), (3, 1, 1))


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings((tmp_path / "models",), tmp_path / "cache", tmp_path / "log", tmp_path / "state")


def painted(path: Path, strokes: int = 3, name: str = "lesion") -> tuple[MaskDocument, Journal]:
    document = MaskDocument(np.zeros(GRID.shape, np.uint8), GRID, preset("lesion"))
    journal = Journal(path, Task.of(document, "phantom", name), document, local={"paths": ["/data/case/t1c.nii.gz"]})
    Recorder(document, journal)
    for x in range(strokes):
        document.write(Box((0, 0, x), (1, 1, x + 1)), np.ones((1, 1, 1), np.uint8), Origin(PatchSource.HAND, "paint"))
    assert journal.flush()
    return document, journal


def leave(path: Path, journal: Journal) -> None:
    """Leave a journal at `path` as a killed process does: the file and its log, nobody behind them."""
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{journal.path}{suffix}", f"{path}{suffix}")


@pytest.fixture
def broken_off(settings: Settings, tmp_path: Path) -> MaskDocument:
    document, journal = painted(tmp_path / "live.journal", name="AI")
    folder = journal_folder(settings)
    folder.mkdir(parents=True)
    leave(folder / "left.journal", journal)
    journal.close()
    return document


def test_what_was_broken_off_is_found_and_described(settings: Settings, broken_off: MaskDocument) -> None:
    (found,) = find_journals(settings)
    assert (found.task.case, found.task.mask, found.edits, found.left) == ("phantom", "AI", 3, Left.BROKEN_OFF)
    assert found.image_paths == (Path("/data/case/t1c.nii.gz"),)
    assert abs(found.last - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert found.line.startswith("phantom, mask AI: 3 changes, 20")
    # Looking at it changes nothing: it is offered again.
    assert find_journals(settings) == (found,)


def test_it_comes_back_and_goes_on_in_its_file(settings: Settings, broken_off: MaskDocument) -> None:
    (found,) = find_journals(settings)
    again = restore(found).document
    np.testing.assert_array_equal(again.labels, broken_off.labels)
    assert again.history.undo == broken_off.history.undo
    journal = Journal(found.path, found.task, again)
    Recorder(again, journal)
    assert find_journals(settings, *Left) == ()
    assert not again.finish_walk()
    again.undo()
    assert journal.close(saved=False)
    (later,) = find_journals(settings, Left.NOT_SAVED)
    assert (later.edits, later.path) == (4, found.path)
    assert find_journals(settings) == ()
    with JournalReader(found.path) as reader:
        assert reader.verify().ok
        assert len(reader.sessions) == 2


def test_a_journal_of_a_running_process_is_never_offered(settings: Settings) -> None:
    path = new_journal_path(settings)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from napari_tumorseg.annotation.journal import Journal\n"
        "from napari_tumorseg.annotation.task import Task\n"
        "from napari_tumorseg.core.document import MaskDocument\n"
        "from napari_tumorseg.core.grid import Grid\n"
        "from napari_tumorseg.core.labels import preset\n"
        "d = MaskDocument(np.zeros((2, 2, 2), np.uint8), Grid.from_spacing((2, 2, 2), (1, 1, 1)), preset('lesion'))\n"
        "j = Journal(Path(sys.argv[1]), Task.of(d, 'case', 'mask'), d)\n"
        "print(j.flush(), flush=True); sys.stdin.read()\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "True\n"
        assert find_journals(settings, *Left) == ()
        child.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
        child.wait(20)
        (found,) = find_journals(settings)
        assert (found.edits, found.line.startswith("case, mask mask: no change")) == (0, True)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.kill()
        child.wait(20)


def test_a_closed_journal_is_not_offered(settings: Settings) -> None:
    folder = journal_folder(settings)
    painted(folder / "a.journal")[1].close(saved=True)
    painted(folder / "b.journal", strokes=1)[1].close(saved=False)
    assert find_journals(settings) == ()
    assert [j.path.name for j in find_journals(settings, Left.SAVED)] == ["a.journal"]
    assert [(j.path.name, "1 change," in j.line) for j in find_journals(settings, Left.NOT_SAVED)] == [("b.journal", True)]


def test_what_cannot_be_read_is_left_out_and_left_alone(settings: Settings, broken_off: MaskDocument) -> None:
    strange = journal_folder(settings) / "strange.journal"
    strange.write_text("nothing of ours")
    assert len(find_journals(settings, *Left)) == 1
    assert strange.read_text() == "nothing of ours"


def test_what_is_discarded_is_kept_out_of_sight(settings: Settings, broken_off: MaskDocument) -> None:
    (found,) = find_journals(settings)
    kept = discard(found)
    assert find_journals(settings, *Left) == ()
    assert [p.name for p in journal_folder(settings).iterdir()] == ["discarded"]
    with JournalReader(kept) as reader:
        np.testing.assert_array_equal(reader.document().labels, broken_off.labels)
    with pytest.raises(OutputError, match="could not be moved"):
        discard(found)


def test_no_folder_means_no_journals(settings: Settings) -> None:
    assert find_journals(settings, *Left) == ()


@pytest.mark.parametrize(
    ("mask", "copy"),
    [("case-seg.nii.gz", "case-seg.journal"), ("a.b.dcm", "a.b.journal"), ("m.seg.nrrd", "m.journal"), ("m.mha", "m.journal")],
)
def test_a_copy_lies_beside_the_mask_and_names_no_path(settings: Settings, tmp_path: Path, mask: str, copy: str) -> None:
    document, journal = painted(new_journal_path(settings))
    with pytest.raises(InputError, match="another window"):
        copy_beside(journal.path, tmp_path / mask)
    journal.close(saved=True)
    assert copy_beside(journal.path, tmp_path / mask) == tmp_path / copy
    assert copy_beside(journal.path, tmp_path / mask) == tmp_path / copy  # replaced
    assert b"/data/case" not in (tmp_path / copy).read_bytes()
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert not (tmp_path / f"{copy}-wal").exists()
    with JournalReader(tmp_path / copy) as reader:
        assert reader.verify().ok
        np.testing.assert_array_equal(reader.document().labels, document.labels)


def test_a_copy_that_cannot_be_written_says_so(settings: Settings, tmp_path: Path) -> None:
    _, journal = painted(new_journal_path(settings))
    journal.close()
    with pytest.raises(OutputError, match="does not exist"):
        copy_beside(journal.path, tmp_path / "nowhere" / "mask.nii.gz")


def test_a_home_on_a_network_drive_keeps_its_journals_on_the_local_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(folder: Path, mounts: str | None = None) -> str:
        return "nfs4" if folder.is_relative_to(settings.state_dir) else "ext4"

    monkeypatch.setattr(recover, "file_system", kind)
    monkeypatch.setattr("napari_tumorseg.annotation.local_disk.file_system", kind)
    folder = journal_folder(settings)
    assert folder.is_relative_to(tempfile.gettempdir())
    painted(folder / "a.journal")[1].close(saved=False)
    assert len(find_journals(settings, Left.NOT_SAVED)) == 1
    monkeypatch.setattr(recover, "file_system", lambda folder, mounts=None: "nfs4")
    monkeypatch.setattr("napari_tumorseg.annotation.local_disk.file_system", lambda folder, mounts=None: "nfs4")
    with pytest.raises(OutputError, match="network drive"):
        journal_folder(settings)


def test_names_of_journals_are_free_and_say_nothing_of_the_patient(settings: Settings) -> None:
    now = dt.datetime(2026, 11, 24, 6, 30, tzinfo=dt.UTC)
    one, two = (new_journal_path(settings, now).name for _ in range(2))
    assert one != two
    assert one.startswith("2026-11-24T06-30-00-")
    assert one.endswith(".journal")


def test_journals_of_saved_masks_are_filed_beside_them(settings: Settings, tmp_path: Path) -> None:
    folder = journal_folder(settings)
    (tmp_path / "case").mkdir()
    for name, mask in (("a", tmp_path / "case" / "m.nii.gz"), ("b", tmp_path / "gone" / "m.nii.gz"), ("c", None)):
        _, journal = painted(folder / f"{name}.journal")
        if mask is not None:
            journal.ask(lambda store, mask=mask: store.set_local({"mask": str(mask)})).result(10)
        journal.close(saved=name != "c")
    assert file_away(settings) == (tmp_path / "case" / "m.journal",)
    assert sorted(p.name for p in folder.iterdir()) == ["b.journal", "c.journal"]
    with JournalReader(tmp_path / "case" / "m.journal") as reader:
        assert reader.verify().ok
        assert reader.local == {}
    (tmp_path / "gone").mkdir()
    assert file_away(settings) == (tmp_path / "gone" / "m.journal",)
    assert [p.name for p in folder.iterdir()] == ["c.journal"]
