# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a guest's physical memory from its QEMU process, without stopping the guest.

drgn could open QEMU's monitor itself, but it then makes QEMU dump one byte to learn where the
kernel is. The end of that dump is an event that libvirt does not expect, and libvirt 9.0 follows a
null pointer there (qemuProcessHandleDumpCompleted): the daemon dies, and the guest with it.
"""

import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import UsageError

# The kernel keeps this ELF note on a page of its own: kernel/crash_core.c, vmcoreinfo_note.
_NAME = b"VMCOREINFO\0"
_NOTE = struct.Struct("<III")
_PAGE_BYTES = 4096
_FIRST_WORD = b"OSRELEASE="
_MOST_NOTE_BYTES = 64 << 10
_CHUNK_BYTES = 4 << 20
# Guest memory is one large mapping of QEMU. Smaller ones are QEMU's own data, executable ones its
# code.
_LEAST_BYTES = 64 << 20
_MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw-[ps]")
# The address at which a q35 machine's memory continues after the PCI hole; hw/i386/pc_q35.c,
# pc_q35_init. A machine type promises this address to migrated guests, so it does not change.
_SPLIT_FROM_BYTES = 0xB000_0000
_LOW_BYTES = 0x8000_0000
_HIGH_ADDRESS = 0x1_0000_0000
# struct ucred of unix(7): process, user, group.
_PEER = struct.Struct("3i")
_ANSWER_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A range of the guest's physical memory, and its address `at` in QEMU's address space."""

    address: int
    size_bytes: int
    at: int


class GuestMemory:
    """Read access to a running guest's physical memory, given its QMP socket.

    It ends with the `with` block; without a block it lasts as long as this process. `segments` are
    the guest's ranges of memory. The machine must be an x86-64 q35.
    Raises: UsageError when no process listens on the socket, this process may not read QEMU's
        memory, QEMU has ended, or the process has no mapping of 64 MiB or more.
    """

    def __init__(self, qmp: Path) -> None:
        pid = _listener(qmp)
        try:
            self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
            start, end = _guest_ram(pid)
        except PermissionError as error:
            raise UsageError(
                f"the memory of QEMU (process {pid}) cannot be read: {error.strerror}",
                hint="run as root, or as QEMU's user with kernel.yama.ptrace_scope = 0",
            ) from error
        except OSError as error:
            raise UsageError(f"QEMU (process {pid}) is gone: {error.strerror}") from error
        self.segments = segments(start, end - start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._memory)

    def read(self, segment: Segment, offset: int, size_bytes: int) -> bytes:
        """Return bytes of a segment, from `offset` bytes after its start.

        Raises: UsageError when QEMU has ended.
        """
        try:
            data = os.pread(self._memory, size_bytes, segment.at + offset)
        except OSError as error:
            raise UsageError(f"QEMU's memory is gone: {error.strerror}") from error
        # The memory file of a process that has ended reads as empty.
        if len(data) < size_bytes:
            raise UsageError("QEMU's memory is gone: QEMU has ended")
        return data

    def vmcoreinfo(self) -> bytes:
        """Return the guest kernel's vmcoreinfo: release, addresses of symbols, KASLR offset.

        The note lies low in memory, so the search takes milliseconds.
        Raises: UsageError when no kernel has written the note yet.
        """
        for segment in self.segments:
            for offset in range(0, segment.size_bytes, _CHUNK_BYTES):
                # A note that begins at this chunk's end is complete only together with the next
                # chunk's begin.
                size = min(_CHUNK_BYTES + _MOST_NOTE_BYTES, segment.size_bytes - offset)
                found = next(notes(self.read(segment, offset, size)), None)
                if found is not None:
                    return found
        raise UsageError(
            "the guest's memory holds no vmcoreinfo note",
            hint="a kernel writes it early in its boot: wait until the guest has booted",
        )


def segments(start: int, size_bytes: int) -> tuple[Segment, ...]:
    """Return the physical memory ranges of a q35 machine with this much memory.

    `start` is the address at which the guest's memory begins in QEMU's address space.
    """
    if size_bytes < _SPLIT_FROM_BYTES:
        return (Segment(address=0, size_bytes=size_bytes, at=start),)
    return (
        Segment(address=0, size_bytes=_LOW_BYTES, at=start),
        Segment(address=_HIGH_ADDRESS, size_bytes=size_bytes - _LOW_BYTES, at=start + _LOW_BYTES),
    )


def notes(data: bytes) -> Iterator[bytes]:
    """Yield the content of each complete vmcoreinfo note in a piece of guest memory.

    `data` begins at a page of the guest, as a note does.
    """
    at = data.find(_NAME)
    while at >= 0:
        head = at - _NOTE.size
        if head >= 0 and head % _PAGE_BYTES == 0:
            name_bytes, size, _ = _NOTE.unpack_from(data, head)
            begin = at + -(-len(_NAME) // 4) * 4
            content = data[begin : begin + size]
            whole = name_bytes == len(_NAME) and len(content) == size <= _MOST_NOTE_BYTES
            if whole and content.startswith(_FIRST_WORD):
                yield content
        at = data.find(_NAME, at + 1)


def _listener(path: Path) -> int:
    """Return the process id of the QEMU that listens on a UNIX socket.

    Raises: UsageError when no process listens there.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_ANSWER_S)
        try:
            client.connect(str(path))
        except OSError as error:
            raise UsageError(f"no QEMU listens on {path}: {error}") from error
        # They are the credentials of the process that called listen: QEMU.
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid: int = _PEER.unpack(peer)[0]
    return pid


def _guest_ram(pid: int) -> tuple[int, int]:
    """Return start and end of a process's largest data mapping, which is the guest's memory.

    Raises: UsageError when that mapping is smaller than 64 MiB; OSError when the process is gone
        or may not be examined.
    """
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    found = [match for match in map(_MAPPING.match, lines) if match is not None]
    ranges = [(int(match.group(1), 16), int(match.group(2), 16)) for match in found]
    start, end = max(ranges, key=lambda one: one[1] - one[0], default=(0, 0))
    if end - start < _LEAST_BYTES:
        raise UsageError(
            f"process {pid} has no mapping that could be a guest's memory: is it QEMU?"
        )
    return start, end
