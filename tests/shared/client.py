# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A subscriber for tests, on whatever system its process runs: what libosq does, call by call.

`Peer` is that process: over SSH it is osqpeer (tests/guest/tools/osqpeer.c), in the emulator a
process of the emulated kernel.
"""

import struct
from typing import Protocol

from tests.shared import protocol
from tests.shared.protocol import Record, Sync


class Peer(Protocol):
    """A process of root's that may open the device. Errors are the system's own numbers."""

    def open(self, *, wait: bool = True) -> int:
        """Open the device, without `wait` by O_NONBLOCK; return the error, 0 for none."""
        ...

    def close(self) -> None:
        """Close the device."""
        ...

    def ioctl(self, name: str, data: bytes) -> tuple[int, bytes]:
        """Carry out OSQ_IOC_<name>; return the error, and the argument as it is then."""
        ...

    def begin(self, name: str, data: bytes) -> None:
        """Begin an ioctl that may wait; `end` gives what `ioctl` would."""
        ...

    def end(self) -> tuple[int, bytes]:
        """Return how the ioctl of `begin` has ended, once it has."""
        ...

    def ioctl_of_child(self, name: str, data: bytes) -> int:
        """Have a child that shares the descriptor carry out an ioctl; return the error."""
        ...

    def map(self, size_bytes: int) -> int:
        """Map the ring for reading; return the error."""
        ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes of the mapping."""
        ...

    def run(self, path: str) -> None:
        """Have a child of the process run a program, and wait for its end."""
        ...

    def become_heir(self) -> None:
        """Replace the process's program by exec, the device left open."""
        ...

    def die(self) -> None:
        """End by SIGKILL; when this returns, the process has ended."""
        ...


class Loaded(Protocol):
    """A kernel with the driver loaded."""

    def peer(self) -> Peer:
        """Return a new process of root's."""
        ...

    def program(self, name: str) -> str:
        """Return the path, as the kernel tells it, of a program of this name that may be run."""
        ...

    def error_name(self, number: int) -> str:
        """Return what this system calls an error."""
        ...


class Refused(Exception):
    """Raised for a call that failed; it holds the system's error number."""

    def __init__(self, error: int) -> None:
        super().__init__(f"error {error}")
        self.error = error


class Client:
    """A process with the device open, and how far it has read."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.generation = 0
        self.ring_bytes = 0
        self.read_pos = 0

    def ask(self, name: str, data: bytes = b"") -> bytes:
        """Carry out an ioctl of the protocol; Refused when it fails."""
        error, answer = self.peer.ioctl(name, data)
        if error:
            raise Refused(error)
        return answer

    def abi(self) -> int:
        """Return the driver's ABI."""
        return int(struct.unpack_from("<I", self.ask("VERSION"))[0])

    def caps(self) -> tuple[int, int]:
        """Return the types that can be subscribed to, and those without a hook: a bit each."""
        _abi, _schema, types, missing = struct.unpack_from("<2I2Q", self.ask("CAPS"))
        return types, missing

    def smallest(self) -> int:
        """Return the size in bytes of the smallest ring, which the system's pages decide."""
        (found,) = struct.unpack_from("<I", self.ask("CAPS"), 24)
        return int(found)

    def allocate(self, ring_bytes: int | None = None, *, abi: int | None = None) -> None:
        """Have a ring of this size, or the smallest one, mapped."""
        self.make_ring(ring_bytes, abi=abi)
        self.map_ring()

    def make_ring(self, ring_bytes: int | None = None, *, abi: int | None = None) -> None:
        """Have a ring of this size, or the smallest one."""
        ring_bytes = self.smallest() if ring_bytes is None else ring_bytes
        number = self.abi() if abi is None else abi
        answer = self.ask("ALLOCATE", struct.pack("<2I2Q2I", number, 0, ring_bytes, 0, 0, 0))
        _abi, _zero, _bytes, map_bytes, self.generation, _rest = struct.unpack("<2I2Q2I", answer)
        assert map_bytes == 2 * ring_bytes
        self.ring_bytes, self.read_pos = ring_bytes, 0

    def map_ring(self) -> None:
        """Have the ring mapped."""
        error = self.peer.map(2 * self.ring_bytes)
        if error:
            raise Refused(error)

    def subscribe(self, kind: int = protocol.EXEC, *, on: bool = True, options: int = 0) -> None:
        """Switch a type of records on or off."""
        self.ask("SUBSCRIBE", struct.pack("<2IQ", kind, int(on), options))

    def watch(self, path: str, *, on: bool = True, actions: int = protocol.ALL_FILES) -> None:
        """Watch a path, or watch it no more."""
        data = path.encode()
        head = struct.pack("<2IQ", int(on), len(data), actions if on else 0)
        self.ask("WATCH", (head + data).ljust(protocol.SIZES["osq_watch"], b"\0"))

    def sync_argument(self, *, flags: int = 0, read_pos: int | None = None) -> bytes:
        """Return SYNC's argument for what was read."""
        pos = self.read_pos if read_pos is None else read_pos
        head = struct.pack("<2IQ", self.generation, flags, pos)
        return head.ljust(protocol.SIZES["osq_sync"], b"\0")

    def sync(self, *, flags: int = 0) -> Sync:
        """Give back what was read, and learn what there is; the law must hold."""
        return protocol.parsed_sync(self.ask("SYNC", self.sync_argument(flags=flags)))

    def records(self, until: int) -> list[Record]:
        """Read every record up to a position, each held to what a record must be."""
        begin, self.read_pos = self.read_pos, max(until, self.read_pos)
        if begin >= until:
            return []
        data = self.peer.read(begin % self.ring_bytes, until - begin)
        return protocol.parsed_records(data, begin)

    def read(self) -> list[Record]:
        """Sync, and read all there is."""
        return self.records(self.sync().max_pos)

    def close(self) -> None:
        """Close the device."""
        self.peer.close()
