# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of vmcore: a dump is complete or absent, old ones are removed, and one is restored."""

import os
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.errors import HypervisorError, Lost
from harness.memory import vmcore
from harness.model.limits import VmcoreLimits
from tests.unit.crashes import crash

MIB = 1 << 20
KEEP = VmcoreLimits()
# Content like a guest's memory: large parts are zero, others are not.
MEMORY = random.Random(1).randbytes(MIB) + bytes(3 * MIB) + b"text " * 1000  # noqa: S311


class Usage(NamedTuple):
    """The value that shutil.disk_usage returns."""

    total: int
    used: int
    free: int


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of the only crash of the only run."""
    crash = tmp_path / "runs/one/crashes/1"
    crash.mkdir(parents=True)
    return crash


def write_memory(path: Path) -> None:
    """Write a file like the dump that a hypervisor writes."""
    path.write_bytes(MEMORY)


def take(
    folder: Path,
    dump: Callable[[Path], None] | None = None,
    *,
    keep: VmcoreLimits = KEEP,
    expected_bytes: int = len(MEMORY),
) -> vmcore.Vmcore:
    """Call vmcore.take with `dump`, or with a function that writes MEMORY."""
    return vmcore.take(
        dump or write_memory,
        folder,
        runs=folder.parents[2],
        keep=keep,
        expected_bytes=expected_bytes,
    )


def test_restored_dump_equals_the_memory(folder: Path, tmp_path: Path) -> None:
    """A fake guest's memory dump is stored compressed; unpacked it is equal and sparse."""
    made = take(folder)
    back = vmcore.restore(made.file, tmp_path / "core")

    assert back.read_bytes() == MEMORY
    assert back.stat().st_blocks * 512 < len(MEMORY) // 2
    assert [item.name for item in folder.iterdir()] == ["vmcore.zst"]
    assert (made.memory_bytes, made.removed) == (len(MEMORY), ())
    assert made.size_bytes == made.file.stat().st_size < 2 * MIB


def test_a_guest_is_not_dumped_if_the_disk_lacks_space_and_the_reason_is_recorded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error Lost has the MiB needed and free; vmcore.txt in the crash's folder, too."""
    called: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1215 * MIB))

    with pytest.raises(Lost, match=r"needs 1216 MiB .* 1215 MiB are free"):
        take(folder, called.append, expected_bytes=768 * MIB)

    assert called == []
    assert "1215 MiB are free" in vmcore.why_missing(folder)


def test_a_guest_is_dumped_when_the_disk_has_just_enough_free_space(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The least free space that is enough for a memory dump is 1216 MiB for 768 MiB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1216 * MIB))

    assert take(folder, expected_bytes=768 * MIB).file.is_file()


def fill_the_disk(path: Path) -> None:
    """Write one MiB, then fail with the kernel's own ENOSPC."""
    path.write_bytes(MEMORY[:MIB])
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(MEMORY)


def refuse_as_qemu(path: Path) -> None:
    """Fail as libvirt does when QEMU meets a full disk."""
    path.write_bytes(b"half")
    raise HypervisorError("dump: failed to save memory: No space left on device")


@pytest.mark.parametrize("dump", [fill_the_disk, refuse_as_qemu])
def test_a_dump_that_fills_the_disk_is_removed_and_the_reason_recorded(
    folder: Path, dump: Callable[[Path], None]
) -> None:
    """When a memory dump fills the disk, only vmcore.txt with the reason is left."""
    with pytest.raises(Lost, match="became full"):
        take(folder, dump)

    assert [item.name for item in folder.iterdir()] == ["vmcore.txt"]
    assert "became full" in vmcore.why_missing(folder)


def test_a_dump_whose_compression_fills_the_disk_is_removed_with_a_reason_left(
    folder: Path,
) -> None:
    """A limit on file size stands for the disk that fills while a memory dump is compressed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def dump(path: Path) -> None:
        path.write_bytes(MEMORY)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB // 2, hard))

    try:
        with pytest.raises(Lost, match="became full"):
            take(folder, dump)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [item.name for item in folder.iterdir()] == ["vmcore.txt"]


def test_a_dump_error_other_than_a_full_disk_is_raised_and_recorded_as_reason(
    folder: Path,
) -> None:
    """Libvirt's error while it dumps a guest's memory is raised and kept in vmcore.txt."""

    def dump(path: Path) -> None:
        path.write_bytes(b"half")
        raise HypervisorError("the domain is not running")

    with pytest.raises(HypervisorError, match="not running"):
        take(folder, dump)

    assert [item.name for item in folder.iterdir()] == ["vmcore.txt"]
    assert vmcore.why_missing(folder) == "the domain is not running"


def older_dumps(folder: Path, sizes: list[int]) -> list[Path]:
    """Create dumps of earlier runs, the oldest first, and return them."""
    found = []
    for number, size in enumerate(sizes):
        file = folder.parents[2] / f"r{number}/crashes/1/vmcore.zst"
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(size))
        os.utime(file, (number + 1, number + 1))
        found.append(file)
    return found


def test_a_new_dump_over_the_allowed_number_removes_the_oldest_ones_and_records_the_reason(
    folder: Path,
) -> None:
    """The oldest memory dumps of any run go; vmcore.txt beside each tells of the limit."""
    old = older_dumps(folder, [10, 10, 10])

    made = take(folder, keep=VmcoreLimits(keep=2))

    assert set(made.removed) == {old[0], old[1]}
    assert [file.exists() for file in old] == [False, False, True]
    assert "2 dumps of 4096 MiB" in vmcore.why_missing(old[0].parent)
    assert vmcore.why_missing(old[2].parent) == ""


def test_over_the_total_size_limit_a_large_old_dump_is_removed_and_small_and_new_ones_stay(
    folder: Path,
) -> None:
    """Of all runs' memory dumps, the newest one stays even if it alone exceeds the limit."""
    small, large = older_dumps(folder, [10, 3 * MIB])

    made = take(folder, keep=VmcoreLimits(total_mib=2))

    assert made.removed == (large,)
    assert small.exists()
    assert take(folder, keep=VmcoreLimits(total_mib=0)).file.exists()


def test_dump_with_a_changed_byte_is_refused(folder: Path, tmp_path: Path) -> None:
    """Unpacking a damaged memory dump raises Lost, and no core file is left."""
    file = take(folder).file
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(Lost, match="damaged"):
        vmcore.restore(file, tmp_path / "core")

    assert not (tmp_path / "core").exists()


def test_dump_that_is_cut_off_is_refused(folder: Path, tmp_path: Path) -> None:
    """Unpacking a memory dump that lacks its end raises Lost."""
    file = take(folder).file
    file.write_bytes(file.read_bytes()[:-1000])

    with pytest.raises(Lost, match="damaged"):
        vmcore.restore(file, tmp_path / "core")


def test_a_crash_whose_dump_was_removed_has_no_dump_and_a_reason(folder: Path) -> None:
    """A crash that recorded its memory dump is shown without it once the file is gone."""
    found = crash(folder, vmcore=vmcore.NAME, vmcore_note="30 MiB")
    (folder / vmcore.NAME).write_bytes(b"dump")
    assert vmcore.present(found, folder) is found

    (folder / vmcore.NAME).unlink()
    (folder / vmcore.REASON).write_text("removed for a newer dump\nhow to keep more\n")

    gone = vmcore.present(found, folder)
    assert (gone.vmcore, gone.vmcore_note) == ("", "none: removed for a newer dump")
