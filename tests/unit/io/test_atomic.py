from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from napari_tumorseg.core.errors import OutputError
from napari_tumorseg.io import atomic
from napari_tumorseg.io.atomic import atomic_folder, atomic_write, make_folder


def interrupted(target: Path, content: str, interruption: BaseException) -> None:
    with atomic_write(target) as part:
        part.write_text(content)
        raise interruption


def interrupted_folder(target: Path, interruption: BaseException) -> None:
    with atomic_folder(target) as part:
        (part / "a").write_text("a")
        raise interruption


def test_the_new_file_replaces_the_old_one_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "seg.nii.gz"
    target.write_text("old")
    with atomic_write(target) as part:
        assert part.parent == tmp_path
        assert part.suffixes == [".nii", ".gz"]
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("interruption", [ValueError("no"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path, interruption: BaseException) -> None:
    target = tmp_path / "seg.nrrd"
    target.write_text("old")
    with pytest.raises(type(interruption)):
        interrupted(target, "half", interruption)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "is full"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "is read-only"),
        (errno.EACCES, "is read-only"),
        (errno.EIO, "stopped answering"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.EBUSY, os.strerror(errno.EBUSY)),
    ],
)
def test_every_failure_is_one_line_that_says_what_to_do(tmp_path: Path, number: int, words: str) -> None:
    target = tmp_path / "seg.nii"
    target.write_text("old")
    with pytest.raises(OutputError) as caught:
        interrupted(target, "half", OSError(number, os.strerror(number)))
    assert words in str(caught.value)
    assert "seg.nii" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_disk_that_fills_up_at_the_last_flush_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="is full"), atomic_write(tmp_path / "seg.nii") as part:
        part.write_text("new")
    assert not list(tmp_path.iterdir())


def test_a_write_protected_file_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "seg.nii"
    target.write_text("old")
    target.chmod(stat.S_IRUSR)
    with pytest.raises(OutputError, match="is read-only and was not replaced"), atomic_write(target):
        pytest.fail("the block must not run")
    assert target.read_text() == "old"


def test_a_read_only_folder_is_found_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write into any folder, so the refusal is played.
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match="is read-only"), atomic_write(tmp_path / "seg.nii"):
        pytest.fail("the block must not run")


def test_a_missing_folder_and_a_folder_of_the_same_name_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*nowhere does not exist"), atomic_write(tmp_path / "nowhere" / "seg.nii"):
        pytest.fail("the block must not run")
    with pytest.raises(OutputError, match="is a folder"), atomic_write(tmp_path):
        pytest.fail("the block must not run")


def test_a_block_that_writes_nothing_does_not_remove_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "seg.nii"
    target.write_text("old")
    with pytest.raises(OutputError, match="was not saved"), atomic_write(target):
        pass
    assert target.read_text() == "old"


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and modes of POSIX")
def test_links_are_followed_and_modes_kept(tmp_path: Path) -> None:
    real = tmp_path / "real.nii"
    real.write_text("old")
    real.chmod(0o640)
    link = tmp_path / "link.nii"
    link.symlink_to(real)
    with atomic_write(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with pytest.raises(RuntimeError):
        interrupted_folder(target, RuntimeError())
    assert not list(tmp_path.iterdir())
    target.mkdir()
    with atomic_folder(target) as part:
        (part / "deep").mkdir()
        (part / "deep" / "a").write_text("a")
    assert (target / "deep" / "a").read_text() == "a"
    with pytest.raises(OutputError, match="not empty"), atomic_folder(target):
        pytest.fail("the block must not run")
    with pytest.raises(OutputError, match="is a file"), atomic_folder(target / "deep" / "a"):
        pytest.fail("the block must not run")
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_on_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is full"):
        interrupted_folder(tmp_path / "model", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert not list(tmp_path.iterdir())


def test_the_real_limit_of_the_system_is_reported(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="file size limits exist on POSIX only")
    target = tmp_path / "seg.nii"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OutputError, match="is full"), atomic.atomic_write(target) as part:
            part.write_bytes(bytes(50_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_made_with_its_parents_or_the_obstacle_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        make_folder(tmp_path / "file")
    with pytest.raises(OutputError, match="a part of that path is a file"):
        make_folder(tmp_path / "file" / "b")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OutputError, match="cannot be made"):
        make_folder(tmp_path / "c")
