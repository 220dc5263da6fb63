from __future__ import annotations

from pathlib import Path

import pytest

from napari_tumorseg.annotation.local_disk import file_system, is_network, refuse_network
from napari_tumorseg.core.errors import OutputError

MOUNTS = r"""sysfs /sys sysfs rw 0 0
/dev/sda1 / ext4 rw,relatime 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local xfs rw 0 0
//server/share /mnt/two\040words cifs rw 0 0
me@host:/ /mnt/ssh fuse.sshfs rw 0 0
/dev/sdc1 /mnt/over ext4 rw 0 0
server:/over /mnt/over nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind", "network"),
    [
        ("/var/lib", "ext4", False),
        ("/home/somebody/state", "nfs4", True),
        ("/home", "nfs4", True),
        ("/homes", "ext4", False),
        ("/home/local/somebody", "xfs", False),
        ("/mnt/two words/x", "cifs", True),
        ("/mnt/ssh", "fuse.sshfs", True),
        ("/mnt/over/x", "nfs", True),
        ("/", "ext4", False),
    ],
)
def test_the_nearest_mount_decides(folder: str, kind: str, network: bool) -> None:
    assert file_system(Path(folder), MOUNTS) == kind
    assert is_network(kind) == network
    if network:
        with pytest.raises(OutputError, match=rf"network drive \({kind}\)"):
            refuse_network(Path(folder), MOUNTS)
    else:
        refuse_network(Path(folder), MOUNTS)


def test_this_machine_s_own_disk_is_local(tmp_path: Path) -> None:
    refuse_network(tmp_path)


def test_an_empty_table_says_nothing() -> None:
    assert file_system(Path("/somewhere"), "") == ""
    refuse_network(Path("/somewhere"), "")
