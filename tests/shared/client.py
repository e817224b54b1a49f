# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A subscriber for tests on any system; it makes the same calls as libosq, one by one.

A `Peer` is the process that makes the calls: over SSH it is osqpeer (tests/guest/tools/osqpeer.c),
in the emulator a process of the emulated kernel.
"""

import struct
from typing import Protocol

from tests.shared import protocol
from tests.shared.protocol import Record, Sync


class Peer(Protocol):
    """A process of root that may open the device; its errors are the system's own numbers."""

    def open(self, *, wait: bool = True) -> int:
        """Open the device, with O_NONBLOCK unless `wait`; return the error number, 0 for none."""
        ...

    def close(self) -> None:
        """Close the device."""
        ...

    def ioctl(self, name: str, data: bytes) -> tuple[int, bytes]:
        """Run the ioctl OSQ_IOC_<name>; return the error number and the argument afterwards."""
        ...

    def begin(self, name: str, data: bytes) -> None:
        """Begin an ioctl that may wait; `end` returns its result."""
        ...

    def end(self) -> tuple[int, bytes]:
        """Wait until the ioctl of `begin` has ended; return the error number and the argument."""
        ...

    def ioctl_of_child(self, name: str, data: bytes) -> int:
        """Let a child that shares the descriptor run an ioctl; return the error number."""
        ...

    def map(self, size_bytes: int) -> int:
        """Map the ring for reading; return the error number."""
        ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes of the mapped ring."""
        ...

    def run(self, path: str) -> None:
        """Let a child of the process run a program, and wait for the program's end."""
        ...

    def become_heir(self) -> None:
        """Exec another program in this process, with the device left open."""
        ...

    def die(self) -> None:
        """Kill the process by SIGKILL, and wait until it has ended."""
        ...


class Loaded(Protocol):
    """A kernel with the driver loaded."""

    def peer(self) -> Peer:
        """Return a new process of root."""
        ...

    def program(self, name: str) -> str:
        """Return the path of a runnable program with this name, as the kernel reports the path."""
        ...

    def error_name(self, number: int) -> str:
        """Return this system's name of an error number."""
        ...


class Refused(Exception):
    """Raised for a call that failed; `error` is the system's error number."""

    def __init__(self, error: int) -> None:
        super().__init__(f"error {error}")
        self.error = error


class Client:
    """A process that has the device open, and its position in the ring."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.generation = 0
        self.ring_bytes = 0
        self.read_pos = 0

    def ask(self, name: str, data: bytes = b"") -> bytes:
        """Run an ioctl of the protocol, and return the argument afterwards.

        Raises: Refused when the ioctl fails.
        """
        error, answer = self.peer.ioctl(name, data)
        if error:
            raise Refused(error)
        return answer

    def abi(self) -> int:
        """Return the number of the driver's ABI."""
        return int(struct.unpack_from("<I", self.ask("VERSION"))[0])

    def caps(self) -> tuple[int, int]:
        """Return two bit masks: the types that can be subscribed to, and those without a hook."""
        _abi, _schema, types, missing = struct.unpack_from("<2I2Q", self.ask("CAPS"))
        return types, missing

    def smallest(self) -> int:
        """Return the size in bytes of the smallest ring, which depends on the page size."""
        (found,) = struct.unpack_from("<I", self.ask("CAPS"), 24)
        return int(found)

    def allocate(self, ring_bytes: int | None = None, *, abi: int | None = None) -> None:
        """Allocate and map a ring of this size, or the smallest one."""
        self.make_ring(ring_bytes, abi=abi)
        self.map_ring()

    def make_ring(self, ring_bytes: int | None = None, *, abi: int | None = None) -> None:
        """Allocate a ring of this size, or the smallest one, without mapping it."""
        ring_bytes = self.smallest() if ring_bytes is None else ring_bytes
        number = self.abi() if abi is None else abi
        answer = self.ask("ALLOCATE", struct.pack("<2I2Q2I", number, 0, ring_bytes, 0, 0, 0))
        _abi, _zero, _bytes, map_bytes, self.generation, _rest = struct.unpack("<2I2Q2I", answer)
        assert map_bytes == 2 * ring_bytes
        self.ring_bytes, self.read_pos = ring_bytes, 0

    def map_ring(self) -> None:
        """Map the allocated ring."""
        error = self.peer.map(2 * self.ring_bytes)
        if error:
            raise Refused(error)

    def subscribe(self, kind: int = protocol.EXEC, *, on: bool = True, options: int = 0) -> None:
        """Switch a type of records on or off."""
        self.ask("SUBSCRIBE", struct.pack("<2IQ", kind, int(on), options))

    def watch(self, path: str, *, on: bool = True, actions: int = protocol.ALL_FILES) -> None:
        """Watch a path, or end the watch of a path."""
        data = path.encode()
        head = struct.pack("<2IQ", int(on), len(data), actions if on else 0)
        self.ask("WATCH", (head + data).ljust(protocol.SIZES["osq_watch"], b"\0"))

    def sync_argument(self, *, flags: int = 0, read_pos: int | None = None) -> bytes:
        """Return the argument of SYNC for the records that were read."""
        pos = self.read_pos if read_pos is None else read_pos
        head = struct.pack("<2IQ", self.generation, flags, pos)
        return head.ljust(protocol.SIZES["osq_sync"], b"\0")

    def sync(self, *, flags: int = 0) -> Sync:
        """Release the records that were read, and return the counters, which must add up."""
        return protocol.parsed_sync(self.ask("SYNC", self.sync_argument(flags=flags)))

    def records(self, until: int) -> list[Record]:
        """Return every record up to a position; each must be well-formed."""
        begin, self.read_pos = self.read_pos, max(until, self.read_pos)
        if begin >= until:
            return []
        data = self.peer.read(begin % self.ring_bytes, until - begin)
        return protocol.parsed_records(data, begin)

    def read(self) -> list[Record]:
        """Call SYNC, and return all records that it reports."""
        return self.records(self.sync().max_pos)

    def close(self) -> None:
        """Close the device."""
        self.peer.close()
