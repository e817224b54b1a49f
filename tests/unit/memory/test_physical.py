# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of physical, on a process in QEMU's place with memory, a socket and a note."""

import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.memory.physical import GuestMemory, Segment, notes, segments

INFO = b"OSRELEASE=6.1.0-9-toy\nPAGESIZE=4096\n"
GIB = 1 << 30
# The process maps memory, writes the note at the given offset and waits until it is killed.
PROCESS = """
import mmap, socket, sys, time
path, size, at, note = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
memory[at : at + len(note)] = note
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
print("ready", flush=True)
time.sleep(60)
"""
Start = Callable[[int, int, bytes], "FakeQemu"]


@dataclass(frozen=True, kw_only=True)
class FakeQemu:
    """A process in QEMU's place, and its socket."""

    socket: Path
    process: subprocess.Popen[bytes]


def note(content: bytes = INFO, *, name: bytes = b"VMCOREINFO\0") -> bytes:
    """Return an ELF note; its name is padded to four bytes."""
    head = struct.pack("<III", len(name), len(content), 0)
    return head + name + bytes(-len(name) % 4) + content


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts such a process; all are killed at the end."""
    started = []

    def begin(size: int, at: int, data: bytes) -> FakeQemu:
        path = tmp_path / "qmp"
        process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path), str(size), str(at), data.hex()],
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return FakeQemu(socket=path, process=process)

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_memory_is_read_by_address_and_the_vmcoreinfo_note_is_found(start: Start) -> None:
    """The memory of a process in QEMU's place is one segment; the note planted in it is found."""
    path = start(96 << 20, 19 << 20, note()).socket

    with GuestMemory(path) as memory:
        (segment,) = memory.segments

        assert (segment.address, segment.size_bytes) == (0, 96 << 20)
        assert memory.vmcoreinfo() == INFO
        assert memory.read(segment, (19 << 20) + 12, 10) == b"VMCOREINFO"


def test_vmcoreinfo_note_across_two_chunks_is_read_completely(start: Start) -> None:
    """In a stand-in for QEMU, a note across the border of two reads of 4 MiB is whole."""
    path = start(96 << 20, (4 << 20) - 4096, note(INFO + b"x" * 8000)).socket

    with GuestMemory(path) as memory:
        assert memory.vmcoreinfo() == INFO + b"x" * 8000


@pytest.mark.parametrize(
    ("at", "data"),
    [
        (8, note()),
        (0, note(b"something else")),
        (0, note(name=b"VMCOREINFX\0")),
        (0, struct.pack("<III", 11, 1 << 30, 0) + b"VMCOREINFO\0\0" + INFO),
    ],
    ids=["inside a page", "another text", "another name", "too long"],
)
def test_data_that_resembles_a_vmcoreinfo_note_is_ignored(
    start: Start, at: int, data: bytes
) -> None:
    """In a stand-in for QEMU, bytes with a wrong place, text, name or length are no note."""
    path = start(64 << 20, at, data).socket

    with GuestMemory(path) as memory, pytest.raises(UsageError, match="holds no vmcoreinfo note"):
        memory.vmcoreinfo()


def test_reading_memory_after_qemus_death_is_a_usage_error(start: Start) -> None:
    """After a stand-in for QEMU is killed, a read of its memory and opening its socket fail."""
    qemu = start(64 << 20, 0, note())
    with GuestMemory(qemu.socket) as memory:
        qemu.process.kill()
        qemu.process.wait()

        with pytest.raises(UsageError, match="gone"):
            memory.read(memory.segments[0], 0, 16)
        with pytest.raises(UsageError, match="no QEMU listens"):
            GuestMemory(qemu.socket)


def test_complete_vmcoreinfo_notes_are_returned_in_order_without_a_truncated_one() -> None:
    """All complete notes of a piece of memory are returned in order; a cut one is not."""
    data = note() + bytes(4096 - len(note())) + note(INFO + b"second")

    assert list(notes(data)) == [INFO, INFO + b"second"]
    assert list(notes(data[:4100])) == [INFO]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (2 * GIB, [(0, 2 * GIB, 0)]),
        (0xB000_0000 - 4096, [(0, 0xB000_0000 - 4096, 0)]),
        (0xB000_0000, [(0, 2 * GIB, 0), (4 * GIB, 0x3000_0000, 2 * GIB)]),
        (8 * GIB, [(0, 2 * GIB, 0), (4 * GIB, 6 * GIB, 2 * GIB)]),
    ],
)
def test_a_guest_with_2816_mib_or_more_has_2_gib_at_address_0_and_the_rest_at_4_gib(
    size: int, expected: list[tuple[int, int, int]]
) -> None:
    """From 2816 MiB on, a q35 machine has 2 GiB below the PCI hole and the rest above 4 GiB."""
    start = 0x7F00_0000_0000

    assert segments(start, size) == tuple(
        Segment(address=address, size_bytes=length, at=start + offset)
        for address, length, offset in expected
    )
