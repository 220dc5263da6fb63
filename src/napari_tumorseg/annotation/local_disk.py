"""Which folders are on a disk of this machine: SQLite's write-ahead log does not work over a network."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

from napari_tumorseg.core.errors import OutputError

__all__ = ["file_system", "is_network", "refuse_network"]

_NETWORK = (
    "9p", "acfs", "afp", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "fuse.gcsfuse", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "panfs", "pvfs2",
    "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "webdav",
)  # fmt: skip


def is_network(kind: str) -> bool:
    """Whether a file system of this name lies on another machine.

    Examples
    --------
    >>> is_network("nfs4"), is_network("ext4"), is_network("fuse.sshfs")
    (True, False, True)
    """
    return kind.lower() in _NETWORK


def file_system(folder: Path, mounts: str | None = None) -> str:
    """Return the kind of file system that holds `folder`, "" where it cannot be told.

    Parameters
    ----------
    folder : Path
        Need not exist.
    mounts : str, optional
        The table of mounts as Linux shows it: device, place, kind and options on each line; the machine's own by default.
    """
    resolved = folder.resolve()
    if mounts is None:
        if sys.platform == "win32":
            return _windows_kind(resolved)
        mounts = _mounts()
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        place = PurePosixPath(fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        inside = resolved.as_posix() == place.as_posix() or place in PurePosixPath(resolved.as_posix()).parents
        # Of two mounts on one place the later one is seen.
        if inside and len(place.parts) >= best:
            best, kind = len(place.parts), fields[2]
    return kind


def refuse_network(folder: Path, mounts: str | None = None) -> None:
    """Raise `OutputError` if `folder` lies on another machine's disk."""
    kind = file_system(folder, mounts)
    if is_network(kind):
        raise OutputError(f"Changes cannot be recorded in {folder}, a network drive ({kind}).", "Set TUMORSEG_HOME to a local disk.")


def _mounts() -> str:
    table = Path("/proc/self/mounts")
    if table.exists():
        return table.read_text(encoding="utf-8", errors="replace")
    if sys.platform == "darwin":
        return _mac_mounts()
    return ""


def _mac_mounts() -> str:
    import subprocess

    # Lines are "//user@host/share on /Volumes/share (smbfs, nodev)".
    found = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False, timeout=5).stdout
    lines = []
    for line in found.splitlines():
        device, _, rest = line.partition(" on ")
        place, _, options = rest.rpartition(" (")
        kind = options.split(",")[0].rstrip(")")
        lines.append(" ".join((device.replace(" ", "\\040"), place.replace(" ", "\\040"), kind)))
    return "\n".join(lines)


def _windows_kind(folder: Path) -> str:
    if str(folder).startswith("\\\\"):
        return "cifs"
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - other systems' ctypes has no such name
    return "cifs" if kernel.GetDriveTypeW(folder.anchor) == 4 else "local"
