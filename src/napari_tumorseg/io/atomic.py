"""Writing so that a target is either the old file or the whole new one, never something between."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_tumorseg.core.errors import OutputError

__all__ = ["atomic_folder", "atomic_write", "make_folder", "output_error"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE}


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and move what was written to `target` at the end.

    The temporary file lies beside the target and ends with the same suffixes. When the block
    ends well it is flushed to the disk and renamed over the target; when it does not, whatever
    was raised, it is removed and an earlier target stays as it was.

    Parameters
    ----------
    target : Path
        The file to write. Its folder must exist. A symbolic link is followed.

    Yields
    ------
    Path
        Where the block writes one file.

    Raises
    ------
    OutputError
        If the file cannot be written: disk full, folder or file read-only, folder missing.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "report.json") as part:
    ...     _ = part.write_text("{}")
    >>> [p.name for p in folder.iterdir()]
    ['report.json']
    """
    final = _followed(target)
    part = _beside(final)
    try:
        _check_file(final)
        # A read-only folder is found out before minutes of work, not after them.
        part.touch(exist_ok=False)
        part.unlink()
        yield part
        _flush(part)
        if final.exists():
            shutil.copymode(final, part)
        part.replace(final)
        _flush_folder(final.parent)
    except OSError as error:
        raise output_error(error, final) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder to fill, and move it to `target` at the end.

    Parameters
    ----------
    target : Path
        The folder to make. Its parent must exist; it may exist if it is empty. A folder that
        holds something is refused, since replacing it could take away what the user keeps there.

    Yields
    ------
    Path
        An empty folder beside the target.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something already.

    Examples
    --------
    >>> import tempfile
    >>> parent = Path(tempfile.mkdtemp())
    >>> with atomic_folder(parent / "model") as part:
    ...     _ = (part / "card.md").write_text("A model.")
    >>> (parent / "model" / "card.md").read_text()
    'A model.'
    """
    final = _followed(target)
    part = _beside(final)
    try:
        if final.exists() and not final.is_dir():
            raise OutputError(f"{final.name} is a file, so a folder of that name cannot be made.", "Choose another name.")
        if final.is_dir() and any(final.iterdir()):
            raise OutputError(f"The folder {final.name} is not empty.", "Choose another name, or empty the folder first.")
        part.mkdir()
        yield part
        for file in sorted(part.rglob("*")):
            if file.is_file():
                _flush(file)
        if final.is_dir():
            final.rmdir()
        part.replace(final)
        _flush_folder(final.parent)
    except OSError as error:
        raise output_error(error, final) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def make_folder(folder: Path) -> Path:
    """Make `folder` and the folders above it where they are missing, and return it.

    Raises
    ------
    OutputError
        If a file is in the way, or the disk does not let it be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError(f"{folder} is a file, not a folder.", "Choose another folder.") from None
    except NotADirectoryError:
        raise OutputError(f"{folder} cannot be made: a part of that path is a file.", "Choose another folder.") from None
    except OSError as error:
        raise OutputError(f"The folder {folder} cannot be made: {error.strerror or error}.", "Choose another folder.") from error
    return folder


def output_error(error: OSError, target: Path) -> OutputError:
    """Return the error that tells a user why `target` could not be written."""
    name, folder = target.name, target.parent
    kept = " The earlier file is unchanged." if target.is_file() else ""
    if not folder.is_dir():
        return OutputError(f"{name} was not saved: the folder {folder} does not exist.", "Create the folder, or choose another one.")
    if error.errno in _FULL:
        return OutputError(f"{name} was not saved: the disk that holds {folder} is full.{kept}", "Free some space, or save elsewhere.")
    if error.errno in _READ_ONLY:
        return OutputError(f"{name} was not saved: the folder {folder} is read-only.{kept}", "Choose another folder.")
    if error.errno in _GONE:
        return OutputError(f"{name} was not saved: the drive that holds {folder} stopped answering.{kept}", "Connect it and save again.")
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"{name} was not saved: the name is too long for this disk.", "Choose a shorter name.")
    return OutputError(f"{name} was not saved: {error.strerror or error}.{kept}", "Try again, or save elsewhere.")


def _followed(target: Path) -> Path:
    path = Path(target)
    return path.resolve() if path.is_symlink() else path


def _beside(final: Path) -> Path:
    # The tail of the name keeps the suffixes, by which libraries choose the format.
    return final.with_name(f".{uuid.uuid4().hex[:8]}-{final.name[-160:]}")


def _check_file(final: Path) -> None:
    if final.is_dir():
        raise OutputError(f"{final.name} is a folder, so a file of that name cannot be saved.", "Choose another name.")
    # Renaming would replace a write-protected file without a word.
    if final.exists() and not final.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise OutputError(f"{final.name} is read-only and was not replaced.", "Choose another name, or remove the protection.")


def _flush(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _flush_folder(folder: Path) -> None:
    # Windows cannot open folders; there the rename itself is durable.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(handle)
