# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver's protocol, spoken to the emulated device: what libosq does, for tests.

Numbers and sizes are read out of kernel/uapi/osq.h, as BSD's ioctls have them.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from harness.kext.emulator.device import IOC_IN, IOC_OUT, Call, Descriptor, Device, command
from harness.kext.emulator.kernel import Kernel
from harness.kext.emulator.threads import Process

HEADER = Path(__file__).resolve().parents[2] / "kernel" / "uapi" / "osq.h"
_DIRECTIONS = {"_IOR": IOC_OUT, "_IOW": IOC_IN, "_IOWR": IOC_IN | IOC_OUT}
_IOCTL = re.compile(r"#define OSQ_IOC_(\w+) (_IO\w+)\('q', (\d+), struct (\w+)\)")
_SIZE = re.compile(r"OSQ_ASSERT_SIZE\((\w+), ([\d+* ]+)\)")
NONE, LOST, EXEC, SOCKET, FILE = 0, 1, 2, 5, 6
FULL, NESTED = 0, 2
SYNC_WAIT = 1
EPERM, EINTR, ENXIO, EBUSY, EEXIST, EINVAL, ENOTTY = 1, 4, 6, 16, 17, 22, 25
ENOENT, ENOSPC = 2, 28
EAGAIN, ENOTCONN, ESTALE, EPROTO = 35, 57, 70, 100
ALL_FILES = 0xFE
_SYNC_HEAD = struct.Struct("<2I7Q")
_RECORD = struct.Struct("<I2H4Q3I2HQ")
SMALLEST = 8192


def _sizes() -> dict[str, int]:
    """Return the size of every structure of the protocol."""
    found = {}
    for name, text in _SIZE.findall(HEADER.read_text()):
        terms = (part.split("*") for part in text.split("+"))
        found[name] = sum(int(a) * int(b[0]) if b else int(a) for a, *b in terms)
    return found


def _commands() -> dict[str, int]:
    """Return every ioctl as BSD numbers it."""
    sizes = _sizes()
    return {
        name: command(_DIRECTIONS[kind], "q", int(number), sizes[struct_name])
        for name, kind, number, struct_name in _IOCTL.findall(HEADER.read_text())
    }


SIZES = _sizes()
COMMANDS = _commands()


@dataclass(frozen=True, kw_only=True)
class Sync:
    """What SYNC tells."""

    max_pos: int
    attempts: int
    committed: int
    consumed: int
    pending: int
    in_flight: int
    dropped: tuple[int, ...]
    reset: int
    dropped_of: tuple[int, ...]

    def check_law(self) -> None:
        """Hold the counters to the law of osq.h, exactly."""
        assert self.attempts == self.committed + self.in_flight + sum(self.dropped)
        assert self.committed == self.consumed + self.pending + self.reset
        assert sum(self.dropped) == sum(self.dropped_of)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One record: its head, and all of its bytes."""

    length: int
    kind: int
    flags: int
    seq: int
    ts_boot_ns: int
    pos: int
    pid: int
    ppid: int
    data: bytes

    def span(self, offset: int) -> bytes:
        """Return the bytes that the span at an offset of the record means."""
        off, length = struct.unpack_from("<2I", self.data, offset)
        assert off + length <= self.length
        return self.data[off : off + length]


class Refused(Exception):
    """Raised for an ioctl that failed; it holds BSD's error number."""

    def __init__(self, error: int) -> None:
        super().__init__(f"error {error}")
        self.error = error


class Client:
    """A process with the device open."""

    def __init__(self, device: Device, process: Process, descriptor: Descriptor) -> None:
        self.device = device
        self.process = process
        self.descriptor = descriptor
        self.generation = 0
        self.address = 0
        self.ring_bytes = 0
        self.read_pos = 0

    @classmethod
    def open(cls, kernel: Kernel, process: Process | None = None) -> "Client":
        """Return a client; Refused when the device refuses."""
        device = Device(kernel)
        who = process or kernel.process()
        error, descriptor = device.open(who)
        if descriptor is None:
            raise Refused(error)
        return cls(device, who, descriptor)

    def ask(self, name: str, data: bytes = b"", *, who: Process | None = None) -> bytes:
        """Carry out an ioctl of the protocol; Refused when it fails."""
        error, answer = self.device.ioctl(who or self.process, COMMANDS[name], data)
        if error:
            raise Refused(error)
        return answer

    def abi(self) -> int:
        """Return the driver's ABI."""
        return int(struct.unpack_from("<I", self.ask("VERSION"))[0])

    def allocate(self, ring_bytes: int = SMALLEST, *, abi: int | None = None) -> None:
        """Have a ring of this size, mapped."""
        self.make_ring(ring_bytes, abi=abi)
        self.map_ring()

    def make_ring(self, ring_bytes: int = SMALLEST, *, abi: int | None = None) -> None:
        """Have a ring of this size."""
        number = self.abi() if abi is None else abi
        answer = self.ask("ALLOCATE", struct.pack("<2I2Q2I", number, 0, ring_bytes, 0, 0, 0))
        _abi, _zero, _bytes, map_bytes, self.generation, _rest = struct.unpack("<2I2Q2I", answer)
        assert map_bytes == 2 * ring_bytes
        self.ring_bytes, self.read_pos = ring_bytes, 0

    def map_ring(self) -> None:
        """Have the ring mapped."""
        self.address, shown = struct.unpack("<2Q", self.ask("MAP"))
        assert shown == 2 * self.ring_bytes

    def subscribe(self, kind: int = EXEC, *, on: bool = True, options: int = 0) -> None:
        """Switch a type of records on or off."""
        self.ask("SUBSCRIBE", struct.pack("<2IQ", kind, int(on), options))

    def watch(self, path: str, *, on: bool = True, actions: int = ALL_FILES) -> None:
        """Watch a path, or watch it no more."""
        data = path.encode()
        head = struct.pack("<2IQ", int(on), len(data), actions if on else 0)
        self.ask("WATCH", (head + data).ljust(SIZES["osq_watch"], b"\0"))

    def sync_argument(self, *, flags: int = 0, read_pos: int | None = None) -> bytes:
        """Return SYNC's argument for what was read."""
        pos = self.read_pos if read_pos is None else read_pos
        return struct.pack("<2IQ", self.generation, flags, pos).ljust(SIZES["osq_sync"], b"\0")

    def sync(self, *, flags: int = 0) -> Sync:
        """Give back what was read, and learn what there is; the law must hold."""
        return parsed(self.ask("SYNC", self.sync_argument(flags=flags)))

    def begin_wait(self, *, flags: int = 0) -> Call:
        """Begin a SYNC that waits."""
        argument = self.sync_argument(flags=SYNC_WAIT)
        return self.device.begin_ioctl(self.process, COMMANDS["SYNC"], argument, flags=flags)

    def records(self, until: int) -> list[Record]:
        """Read every record up to a position, each held to what a record must be."""
        found = []
        while self.read_pos < until:
            at = self.address + self.read_pos % self.ring_bytes
            head = self.device.kernel.user_memory(self.process, at, _RECORD.size)
            values = _RECORD.unpack(head)
            length, kind, flags, seq, ts_boot_ns, pos = values[:6]
            assert length % 8 == 0, f"a record of {length} bytes"
            assert _RECORD.size <= length <= until - self.read_pos
            assert pos == self.read_pos, f"a record at {self.read_pos} says {pos}"
            found.append(
                Record(
                    length=length,
                    kind=kind,
                    flags=flags,
                    seq=seq,
                    ts_boot_ns=ts_boot_ns,
                    pos=pos,
                    pid=values[7],
                    ppid=values[9],
                    data=self.device.kernel.user_memory(self.process, at, length),
                )
            )
            self.read_pos += length
        return found

    def read(self) -> list[Record]:
        """Sync, and read all there is."""
        return self.records(self.sync().max_pos)

    def close(self) -> None:
        """Close the descriptor."""
        self.device.close(self.process, self.descriptor)


def parsed(answer: bytes) -> Sync:
    """Return SYNC's answer; the law must hold."""
    head = _SYNC_HEAD.unpack_from(answer)
    dropped = struct.unpack_from("<8Q", answer, 64)
    found = Sync(
        max_pos=head[3],
        attempts=head[4],
        committed=head[5],
        consumed=head[6],
        pending=head[7],
        in_flight=head[8],
        dropped=dropped,
        reset=struct.unpack_from("<Q", answer, 128)[0],
        dropped_of=struct.unpack_from("<32Q", answer, 160),
    )
    found.check_law()
    return found
