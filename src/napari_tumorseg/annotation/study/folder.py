"""A study's folder: the file that says where its database and its files are, and the key that it signs with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from napari_tumorseg.annotation.study.database import FILE, is_url
from napari_tumorseg.annotation.study.toml_table import read_toml
from napari_tumorseg.core.errors import InputError, OutputError

__all__ = ["STUDY_FILE", "StudyFolder", "located", "relative_location"]

#: The file by which a study's folder is known.
STUDY_FILE = "study.toml"

_FORMAT = 1
_KEY = "signing.key"


@dataclass(frozen=True)
class StudyFolder:
    """Where the parts of a study are.

    Attributes
    ----------
    folder : Path
        With `STUDY_FILE` in it.
    database : str
        A file name relative to the folder, or a URL.
    files : str
        Folder of journals, from which case folders are counted; relative to `folder` or absolute.
    """

    folder: Path
    database: str = FILE
    files: str = "."

    @classmethod
    def read(cls, folder: Path) -> StudyFolder:
        """Read the file; raise `InputError` where there is none, or it is of a newer program."""
        path = folder / STUDY_FILE
        if not path.is_file():
            raise InputError(
                f"{folder} is no study: it holds no {STUDY_FILE}.", "Choose a study's folder, or make one with tumorseg study init."
            )
        table = read_toml(path)
        if table.whole("format") > _FORMAT:
            raise InputError(f"{path} was written by a newer program.", "Install the newest version.")
        found = cls(folder, table.text("database", FILE), table.text("files", "."))
        table.done()
        return found

    @property
    def url(self) -> str:
        """Address of the database."""
        if is_url(self.database):
            return self.database
        return f"sqlite:///{(self.folder / self.database).resolve().as_posix()}"

    @property
    def files_path(self) -> Path:
        """Folder of the files."""
        return (self.folder / self.files).resolve()

    @property
    def text(self) -> str:
        """What the file says."""
        quoted = [value.replace("\\", "\\\\").replace('"', '\\"') for value in (self.database, self.files)]
        return (
            "# Where the parts of this study are; paths are relative to this folder, which may be moved as a whole.\n"
            f'format = {_FORMAT}\ndatabase = "{quoted[0]}"\nfiles = "{quoted[1]}"\n'
        )

    def make(self) -> None:
        """Make the folder where it is missing."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"The folder {self.folder} cannot be made: {error.strerror}.", "Choose another folder.") from error

    def write(self) -> None:
        """Write the file, whole or not at all."""
        write_text(self.folder / STUDY_FILE, self.text)

    def write_key(self, private: bytes) -> None:
        """Keep the private key that packages are signed with, for this user alone."""
        path = self.folder / _KEY
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(private.hex() + "\n")
        except OSError as error:
            raise OutputError(f"The study's key cannot be written to {path}: {error.strerror}.", "Choose another folder.") from error

    def read_key(self) -> bytes:
        """Return the private key; raise `InputError` where it is not here."""
        try:
            return bytes.fromhex((self.folder / _KEY).read_text(encoding="ascii").strip())
        except (OSError, ValueError):
            raise InputError(
                f"The study's key {_KEY} is not in {self.folder}.", "Packages are made where the study was made; bring the file from there."
            ) from None


def write_text(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written: {error.strerror}.", "Choose another folder.") from error


def relative_location(folder: Path, files: Path) -> str:
    """Return where a case's folder is, counted from the study's files where they are on one disk.

    Examples
    --------
    >>> relative_location(Path("/team/cases/a"), Path("/team/study"))
    '../cases/a'
    """
    try:
        return PurePosixPath(Path(os.path.relpath(folder.resolve(), files.resolve()))).as_posix()
    except ValueError:  # another drive
        return folder.resolve().as_posix()


def located(location: str, files: Path | None) -> Path:
    """Return the folder of a case; it need not exist."""
    path = Path(location)
    return path if path.is_absolute() or files is None else (files / path).resolve()
