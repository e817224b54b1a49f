# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Dumps of memory: whole or not at all, as many as may be kept, and back to what they were."""

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

MIB = 1 << 20
KEEP = VmcoreLimits()
# What a guest's memory is like: much of it zero, some of it full.
MEMORY = random.Random(1).randbytes(MIB) + bytes(3 * MIB) + b"text " * 1000  # noqa: S311


class Usage(NamedTuple):
    """What shutil.disk_usage gives."""

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
    """Dump as a hypervisor would."""
    path.write_bytes(MEMORY)


def take(
    folder: Path,
    dump: Callable[[Path], None] | None = None,
    *,
    keep: VmcoreLimits = KEEP,
    expected_bytes: int = len(MEMORY),
) -> vmcore.Vmcore:
    """Dump with `dump`, or with what writes MEMORY."""
    return vmcore.take(
        dump or write_memory,
        folder,
        runs=folder.parents[2],
        keep=keep,
        expected_bytes=expected_bytes,
    )


def test_dump_comes_back_as_it_was(folder: Path, tmp_path: Path) -> None:
    """What is restored is what was dumped, with holes; nothing but the packed file stays."""
    made = take(folder)
    back = vmcore.restore(made.file, tmp_path / "core")

    assert back.read_bytes() == MEMORY
    assert back.stat().st_blocks * 512 < len(MEMORY) // 2
    assert [item.name for item in folder.iterdir()] == ["vmcore.zst"]
    assert (made.memory_bytes, made.removed) == (len(MEMORY), ())
    assert made.size_bytes == made.file.stat().st_size < 2 * MIB


def test_no_room_is_said_before_anything_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With less free than memory, packed file and spare take, the guest is not touched."""
    called: list[Path] = []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1200 * MIB))

    with pytest.raises(Lost, match=r"takes 1216 MiB .* 1200 MiB are free"):
        take(folder, called.append, expected_bytes=768 * MIB)

    assert called == []
    assert "1200 MiB are free" in vmcore.why_missing(folder)


def test_room_that_just_does_is_enough(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is exact: one MiB more than in the test before, and it is dumped."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1216 * MIB))

    assert take(folder, expected_bytes=768 * MIB).file.is_file()


def fill_the_disk(path: Path) -> None:
    """Write some, then meet the kernel's own 'no space left'."""
    path.write_bytes(MEMORY[:MIB])
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(MEMORY)


def refuse_as_qemu(path: Path) -> None:
    """Fail as libvirt does when QEMU meets a full disk."""
    path.write_bytes(b"half")
    raise HypervisorError("dump: failed to save memory: No space left on device")


@pytest.mark.parametrize("dump", [fill_the_disk, refuse_as_qemu])
def test_disk_that_becomes_full_leaves_nothing(folder: Path, dump: Callable[[Path], None]) -> None:
    """A dump that is cut short is removed, and the folder says why there is none."""
    with pytest.raises(Lost, match="became full"):
        take(folder, dump)

    assert [item.name for item in folder.iterdir()] == ["vmcore.txt"]
    assert "became full" in vmcore.why_missing(folder)


def test_disk_that_becomes_full_while_packing_leaves_nothing(folder: Path) -> None:
    """The packed file, too, is whole or not there; the limit is the kernel's own."""
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


def test_another_error_is_passed_on_with_its_reason(folder: Path) -> None:
    """What libvirt refuses for another reason is that reason, not a full disk."""

    def dump(path: Path) -> None:
        path.write_bytes(b"half")
        raise HypervisorError("the domain is not running")

    with pytest.raises(HypervisorError, match="not running"):
        take(folder, dump)

    assert [item.name for item in folder.iterdir()] == ["vmcore.txt"]
    assert vmcore.why_missing(folder) == "the domain is not running"


def older_dumps(folder: Path, sizes: list[int]) -> list[Path]:
    """Make dumps of earlier runs, the oldest first, and return them."""
    found = []
    for number, size in enumerate(sizes):
        file = folder.parents[2] / f"r{number}/crashes/1/vmcore.zst"
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes(size))
        os.utime(file, (number + 1, number + 1))
        found.append(file)
    return found


def test_oldest_dumps_go_first(folder: Path) -> None:
    """Over the number, the oldest of any run is removed, and its folder says for what."""
    old = older_dumps(folder, [10, 10, 10])

    made = take(folder, keep=VmcoreLimits(keep=2))

    assert set(made.removed) == {old[0], old[1]}
    assert [file.exists() for file in old] == [False, False, True]
    assert "2 dumps, 4096 MiB" in vmcore.why_missing(old[0].parent)
    assert vmcore.why_missing(old[2].parent) == ""


def test_size_is_limited_over_all_runs(folder: Path) -> None:
    """Over the size, a large old dump goes and smaller ones stay; the newest always stays."""
    small, large = older_dumps(folder, [10, 3 * MIB])

    made = take(folder, keep=VmcoreLimits(total_mib=2))

    assert made.removed == (large,)
    assert small.exists()
    assert take(folder, keep=VmcoreLimits(total_mib=0)).file.exists()


def test_damaged_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """One changed byte is noticed, and nothing is left where the core would be."""
    file = take(folder).file
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(Lost, match="damaged"):
        vmcore.restore(file, tmp_path / "core")

    assert not (tmp_path / "core").exists()


def test_cut_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """A file that ends early is not restored as a shorter memory."""
    file = take(folder).file
    file.write_bytes(file.read_bytes()[:-1000])

    with pytest.raises(Lost, match="damaged"):
        vmcore.restore(file, tmp_path / "core")
