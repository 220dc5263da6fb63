"""On which disks an SQLite study may lie.

A study is always in SQLite's rollback mode (``journal_mode=DELETE``): write-ahead logging needs memory that processes share,
which machines on a network do not (https://sqlite.org/wal.html). Rollback mode needs file locks that hold between machines. NFS and SMB
have them; file systems over SSH, WebDAV or object stores do not, and two people would write over each other.
"""

from __future__ import annotations

from pathlib import Path

from napari_tumorseg.annotation.local_disk import file_system, is_network
from napari_tumorseg.core.errors import OutputError

__all__ = ["check_disk"]

# Locks are taken on the client alone, or not at all.
_WITHOUT_LOCKS = frozenset(
    ("afp", "afpfs", "davfs", "fuse.davfs2", "fuse.gcsfuse", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.curlftpfs", "webdav")
)


def check_disk(folder: Path, mounts: str | None = None) -> str:
    """Return what kind of network share holds a study's folder, "" for a disk of this machine.

    Parameters
    ----------
    folder : Path
        Of the database file.
    mounts : str, optional
        The table of mounts, as `local_disk.file_system` takes it.

    Raises
    ------
    OutputError
        If its file system has no locks between machines.

    Examples
    --------
    >>> check_disk(Path("/team/study"), "server:/team /team nfs4 rw 0 0")
    'nfs4'
    >>> check_disk(Path("/team/study"), "me@server: /team fuse.sshfs rw 0 0")
    Traceback (most recent call last):
    ...
    napari_tumorseg.core.errors.OutputError: The study folder is on a drive (fuse.sshfs) on which two machines cannot lock a file. \
Keep it on a local disk, an NFS or SMB share, or in PostgreSQL.
    """
    kind = file_system(folder, mounts)
    if kind.lower() in _WITHOUT_LOCKS:
        raise OutputError(
            f"The study folder is on a drive ({kind}) on which two machines cannot lock a file.",
            "Keep it on a local disk, an NFS or SMB share, or in PostgreSQL.",
        )
    return kind if is_network(kind) else ""
