# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the check of watched paths: hidden ones, missing ones, file systems below them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from osq.watching import Fault, Mount, fault_of, mounted_below, mounts_in, relevant
from tests.subscriber.host import environment

ROOT = Path("/")
# A mount namespace in which a folder is hidden, as ProtectHome= hides one.
_HIDE = """mount -t tmpfs none "$1" && exec "$2" -c '
import sys
from pathlib import Path
from osq.watching import fault_of
print([str(fault_of(one, Path(sys.argv[1]))) for one in sys.argv[2:]])' "$3" "$4" "$5" "$6"
"""
MOUNTS = ("/", "/boot", "/srv", "/srv/alice", "/srv/bo b", "/srvs")


def test_a_path_that_exists_and_is_the_machines_has_no_fault(folder: Path) -> None:
    """fault_of returns None for a folder that this process and the machine see alike."""
    assert fault_of(str(folder), ROOT) is None
    assert fault_of("/", ROOT) is None


def test_a_path_that_does_not_exist_is_a_fault_that_names_the_existing_folder(
    folder: Path,
) -> None:
    """fault_of says from which existing parent folder on the path's creation is watched."""
    fault = fault_of(str(folder / "not" / "there"), ROOT)

    assert fault is not None
    assert fault.reason == f"does not exist: it is watched from its creation in {folder} on"
    assert not fault.misses_events


def test_a_path_that_the_machine_has_elsewhere_is_a_fault(folder: Path) -> None:
    """fault_of says "hidden" for a path at which the machine's root has another file."""
    (folder / "etc").mkdir()

    for path in ("/etc", "/usr", "/usr/none"):
        fault = fault_of(path, folder)
        assert fault is not None
        assert fault.misses_events
        assert str(fault).startswith(f"file_paths: {path}: hidden from this process")


def test_a_path_whose_symbolic_link_is_followed_has_no_fault(folder: Path) -> None:
    """fault_of compares the target of a symbolic link, as the driver follows it."""
    (folder / "real").mkdir()
    (folder / "link").symlink_to(folder / "real")

    assert fault_of(str(folder / "link"), ROOT) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="not run: only root can mount a file system")
def test_a_path_hidden_by_a_mount_of_this_process_alone_is_a_fault(folder: Path) -> None:
    """In a mount namespace of its own, a process finds what it has mounted over as hidden."""
    (folder / "user").mkdir()
    # The test's own process stands for the machine's first one.
    machine = "/proc/$$/root"
    script = f'unshare -m sh -c "$0" sh "$1" "$2" {machine} "$1" "$1/user" "$1/none"'
    done = subprocess.run(
        ["sh", "-c", script, _HIDE, str(folder), sys.executable],
        env=environment(folder / "none"),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.stdout.count("hidden from this process") == 3


def test_file_systems_mounted_below_a_path_are_found_by_their_names_below_it(
    folder: Path,
) -> None:
    """mounted_below returns the mount points below /srv, also for a symbolic link to /srv."""
    (folder / "link").symlink_to("/srv")

    assert mounted_below("/srv", MOUNTS) == ["/srv/alice", "/srv/bo b"]
    assert mounted_below("/", MOUNTS) == [one for one in MOUNTS if one != "/"]
    assert mounted_below("/srv/alice", MOUNTS) == []
    assert mounted_below(f"{folder}/link", MOUNTS) == [
        *(f"{folder}/link/alice", f"{folder}/link/bo b")
    ]


MOUNTINFO = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw - proc proc rw
24 22 8:2 /x /srv/bo\040b\134 rw master:1 - btrfs /dev/sdb rw
25 22 8:3 / /opt rw - xfs /dev/sdc rw
"""


def test_mounts_are_read_without_the_kernels_own_and_with_their_blanks() -> None:
    """mounts_in leaves out proc and the like, and decodes the escape of a blank in mountinfo."""
    assert [(one.number, one.folder) for one in mounts_in(MOUNTINFO)] == [
        *(("22", "/"), ("24", "/srv/bo b\\"), ("25", "/opt"))
    ]


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\x0cb", b"\x1c", "\u2028".encode()])
def test_a_mount_point_of_any_bytes_is_read_like_every_other(name: bytes) -> None:
    """A user who may mount chooses bytes that are no text, or that end a line for Python."""
    line = b"26 22 0:50 / /srv/" + name + b" rw - fuse me rw\n"

    assert [os.fsencode(one.folder) for one in mounts_in(MOUNTINFO + line)] == [
        *(b"/", b"/srv/bo b\\", b"/opt", b"/srv/" + name)
    ]


def test_a_fault_of_a_path_that_is_no_text_can_be_logged() -> None:
    """The line of the log is UTF-8, whatever bytes the mount point has."""
    fault = Fault(path=os.fsdecode(b"/srv/\xff"), reason="not watched")

    assert str(fault) == "file_paths: /srv/\\xff: not watched"


def test_only_mounts_at_above_and_below_a_watched_path_are_relevant() -> None:
    """For mounts elsewhere no watch has to be set again, so relevant() leaves them out."""
    mounts = [Mount(number=str(at), folder=one) for at, one in enumerate(MOUNTS)]

    def folders(path: str) -> set[str]:
        return {one.folder for one in relevant([path], mounts)}

    assert folders("/srv") == {"/", "/srv", "/srv/alice", "/srv/bo b"}
    assert folders("/srv/alice/x") == {"/", "/srv", "/srv/alice"}
    assert folders("/etc") == {"/"}
