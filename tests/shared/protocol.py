# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver's structures in Python, the same on every system; sizes are read from osq.h."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

HEADER = Path(__file__).resolve().parents[2] / "kernel" / "uapi" / "osq.h"
_SIZE = re.compile(r"OSQ_ASSERT_SIZE\((\w+), ([\d+* ]+)\)")
NONE, LOST, EXEC, SOCKET, FILE = 0, 1, 2, 5, 6
FULL, NESTED = 0, 2
SYNC_WAIT = 1
ALL_FILES = 0xFE
# The offset of the path's span in an exec record, and of numbers and counters in a LOST record.
PATH_AT = 168
_LOST_SEQS_AT, _LOST_DROPPED_AT = 64, 96
_SYNC_HEAD = struct.Struct("<2I7Q")
_RECORD = struct.Struct("<I2H4Q3I2HQ")


def _sizes() -> dict[str, int]:
    """Return the size of every structure of the protocol."""
    found = {}
    for name, text in _SIZE.findall(HEADER.read_text()):
        terms = (part.split("*") for part in text.split("+"))
        found[name] = sum(int(a) * int(b[0]) if b else int(a) for a, *b in terms)
    return found


SIZES = _sizes()


@dataclass(frozen=True, kw_only=True)
class Sync:
    """The counters that SYNC returns."""

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
        """Assert that the counters satisfy the equations of osq.h exactly."""
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
        """Return the bytes to which the span at an offset of the record refers."""
        off, length = struct.unpack_from("<2I", self.data, offset)
        assert off + length <= self.length
        return self.data[off : off + length]

    @property
    def path(self) -> str:
        """The path of an exec's program."""
        assert self.kind == EXEC
        return self.span(PATH_AT).decode()

    @property
    def lost(self) -> int:
        """The number of attempts that a LOST record reports."""
        assert self.kind == LOST
        return sum(struct.unpack_from("<8Q", self.data, _LOST_DROPPED_AT))

    @property
    def lost_between(self) -> tuple[int, int]:
        """The numbers of the first and the last attempt that a LOST record reports."""
        assert self.kind == LOST
        first, last = struct.unpack_from("<2Q", self.data, _LOST_SEQS_AT)
        return first, last


def parsed_sync(answer: bytes) -> Sync:
    """Return the counters in SYNC's answer, which must add up."""
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


def parsed_records(data: bytes, begin: int) -> list[Record]:
    """Return the records in the ring's bytes from a position on; each must be complete."""
    found, at = [], 0
    while at < len(data):
        values = _RECORD.unpack_from(data, at)
        length, kind, flags, seq, ts_boot_ns, pos = values[:6]
        assert length % 8 == 0, f"a record of {length} bytes"
        assert _RECORD.size <= length <= len(data) - at
        assert pos == begin + at, f"a record at {begin + at} says {pos}"
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
                data=data[at : at + length],
            )
        )
        at += length
    return found
