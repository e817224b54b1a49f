# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare the ring with a simple Python model, on sequences of calls that hypothesis generates.

The model is a list of attempts. A reader must get every committed record in the order of the
attempts, and a LOST record for every attempt that it does not get.
"""

import ctypes
import errno
import functools
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

SIZE = 8192
SLOTS = 16
LOST_BYTES, LOST, NONE = 168, 1, 0
FULL, TOO_BIG, NESTED, DISCARDED, MISSED = range(5)
REASONS, TYPES = 8, 32
HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "build" / "core"


class Sync(ctypes.Structure):
    """The layout of struct osq_sync."""

    _fields_ = (
        ("generation", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        *(
            (name, ctypes.c_uint64)
            for name in ("read_pos", "max_pos", "attempts", "committed", "consumed")
        ),
        ("pending", ctypes.c_uint64),
        ("in_flight", ctypes.c_uint64),
        ("dropped", ctypes.c_uint64 * REASONS),
        ("reset", ctypes.c_uint64),
        ("filtered", ctypes.c_uint64),
        ("reserved", ctypes.c_uint64 * 2),
        ("dropped_of", ctypes.c_uint64 * TYPES),
    )


class Head(ctypes.Structure):
    """The layout of struct osq_record, as far as the ring writes it."""

    _fields_ = (
        ("len", ctypes.c_uint32),
        ("type", ctypes.c_uint16),
        ("flags", ctypes.c_uint16),
        ("seq", ctypes.c_uint64),
        ("ts_boot_ns", ctypes.c_uint64),
        ("pos", ctypes.c_uint64),
    )


class Lost(ctypes.Structure):
    """The layout of struct osq_lost after its head."""

    _fields_ = (
        ("first_seq", ctypes.c_uint64),
        ("last_seq", ctypes.c_uint64),
        ("times", ctypes.c_uint64 * 2),
        ("dropped", ctypes.c_uint64 * REASONS),
        ("types", ctypes.c_uint64),
    )


@dataclass
class Entry:
    """One reservation of the model."""

    seq: int
    pos: int
    length: int
    kind: int
    mark: int = 0
    state: str = "busy"
    lost: tuple[int, int, tuple[int, ...], int] | None = None


@dataclass
class Model:
    """The model of the ring: all reservations in order, without bitmaps and wrapping."""

    entries: list[Entry] = field(default_factory=list)
    write_pos: int = 0
    read_pos: int = 0
    attempts: int = 0
    committed: int = 0
    consumed: int = 0
    reset: int = 0
    filtered: int = 0
    dropped: list[int] = field(default_factory=lambda: [0] * REASONS)
    dropped_of: list[int] = field(default_factory=lambda: [0] * TYPES)
    due: list[tuple[int, int, int]] = field(default_factory=list)  # number, type, reason

    def drop(self, kind: int, reason: int) -> None:
        """Count one attempt that left no record."""
        self.attempts += 1
        self.dropped[reason] += 1
        self.dropped_of[kind] += 1
        self.due.append((self.attempts, kind, reason))

    def add(self, kind: int, length: int) -> Entry:
        """Append a reservation."""
        self.attempts += 1
        entry = Entry(seq=self.attempts, pos=self.write_pos, length=length, kind=kind)
        self.entries.append(entry)
        self.write_pos += length
        return entry

    def put_lost(self) -> None:
        """Append the LOST record for all drops that were not reported yet."""
        by_reason = [0] * REASONS
        types = 0
        for _, kind, reason in self.due:
            by_reason[reason] += 1
            types |= 1 << kind
        entry = self.add(LOST, LOST_BYTES)
        entry.state = "live"
        entry.lost = (self.due[0][0], self.due[-1][0], tuple(by_reason), types)
        self.committed += 1
        self.due.clear()

    def reserve(self, kind: int, length: int) -> int:
        """Reserve a record and return the ring's result; on success it is the last entry."""
        if length < 64 or length % 8 or length > SIZE - LOST_BYTES:
            self.drop(kind, TOO_BIG)
            return -errno.E2BIG
        free = SIZE - (self.write_pos - self.read_pos)
        if length + (LOST_BYTES if self.due else 0) > free:
            self.drop(kind, FULL)
            return -errno.ENOSPC
        if self.due:
            self.put_lost()
        self.add(kind, length)
        return 0

    @property
    def commit_pos(self) -> int:
        """The position of the first byte that is still being written."""
        return next((one.pos for one in self.entries if one.state == "busy"), self.write_pos)

    def boundaries(self) -> set[int]:
        """Return every position that a reader may pass to SYNC."""
        ends = {one.pos for one in self.entries if one.pos <= self.commit_pos}
        return ends | {self.read_pos, self.commit_pos}

    def release(self, pos: int) -> list[Entry]:
        """Free all entries before `pos`, and return them."""
        gone = [one for one in self.entries if one.pos < pos]
        self.entries = self.entries[len(gone) :]
        self.consumed += sum(one.state == "live" for one in gone)
        self.read_pos = pos
        return gone


@functools.cache
def library() -> ctypes.CDLL:
    """Return the core as a library, built by the Makefile in this folder."""
    make = ["make", "-s", "-C", str(HERE), f"O={OUT}", "lib"]
    subprocess.run(make, check=True, timeout=120)
    core = ctypes.CDLL(str(OUT / "libosqcore.so"))
    core.osq_py_new.restype = ctypes.c_void_p
    core.osq_py_new.argtypes = [ctypes.c_uint64]
    core.osq_py_free.argtypes = [ctypes.c_void_p]
    core.osq_py_reserve.argtypes = [ctypes.c_void_p] + [ctypes.c_uint32] * 3
    core.osq_py_fill.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint8]
    core.osq_py_fill.restype = ctypes.c_uint64
    core.osq_py_commit.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    core.osq_py_discard.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    core.osq_py_drop.argtypes = [ctypes.c_void_p, *([ctypes.c_uint32] * 2), ctypes.c_uint64]
    core.osq_py_filtered.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    core.osq_py_sync.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(Sync)]
    core.osq_py_reset.argtypes = [ctypes.c_void_p]
    core.osq_py_at.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
    core.osq_py_at.restype = ctypes.c_void_p
    return core


LENGTHS = st.one_of(
    st.integers(8, 130).map(lambda words: words * 8),
    st.sampled_from([0, 63, 65, 4000, SIZE - LOST_BYTES, SIZE - LOST_BYTES + 8, SIZE]),
)
KINDS = st.integers(2, TYPES - 1)


class Ring(RuleBasedStateMachine):
    """Calls the ring and the model with the same arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.core = library()
        self.handle = self.core.osq_py_new(SIZE)
        self.model = Model()
        self.slots: dict[int, Entry] = {}

    def teardown(self) -> None:
        """Free the ring's memory."""
        self.core.osq_py_free(self.handle)

    def sync(self, pos: int) -> tuple[int, Sync]:
        """Call SYNC; return its result and its output."""
        out = Sync()
        return self.core.osq_py_sync(self.handle, pos, ctypes.byref(out)), out

    @precondition(lambda self: len(self.slots) < SLOTS)
    @rule(kind=KINDS, length=LENGTHS, mark=st.integers(0, 255))
    def reserve(self, kind: int, length: int, mark: int) -> None:
        """Reserve a record and, on success, fill it."""
        slot = next(number for number in range(SLOTS) if number not in self.slots)
        result = self.core.osq_py_reserve(self.handle, kind, length, slot)
        assert result == self.model.reserve(kind, length)
        if result == 0:
            entry = self.model.entries[-1]
            entry.mark = mark
            self.slots[slot] = entry
            assert self.core.osq_py_fill(self.handle, slot, mark) == entry.seq

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), commit=st.booleans())
    def finish(self, data: st.DataObject, *, commit: bool) -> None:
        """Commit or discard any open reservation."""
        slot = data.draw(st.sampled_from(sorted(self.slots)))
        entry = self.slots.pop(slot)
        if commit:
            self.core.osq_py_commit(self.handle, slot)
            entry.state = "live"
            self.model.committed += 1
        else:
            self.core.osq_py_discard(self.handle, slot)
            entry.state = "dead"
            self.model.dropped[DISCARDED] += 1
            self.model.dropped_of[entry.kind] += 1

    @rule(kind=KINDS, reason=st.sampled_from([NESTED, MISSED]), count=st.integers(0, 3))
    def drop(self, kind: int, reason: int, count: int) -> None:
        """Count attempts that were dropped before they reached the ring."""
        self.core.osq_py_drop(self.handle, kind, reason, count)
        for _ in range(count):
            self.model.drop(kind, reason)

    @rule(kind=KINDS)
    def filter_out(self, kind: int) -> None:
        """Count a record that a filter refused; nothing else may change."""
        self.core.osq_py_filtered(self.handle, kind)
        self.model.filtered += 1

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """Check all records up to a boundary, then release them."""
        pos = data.draw(st.sampled_from(sorted(self.model.boundaries())))
        for entry in self.model.entries:
            if entry.pos < pos:
                self.check(entry)
        result, _ = self.sync(pos)
        assert result == 0
        self.model.release(pos)

    @rule(offset=st.integers(-16, SIZE + 16))
    def read_anywhere(self, offset: int) -> None:
        """Pass any position to SYNC, which accepts only boundaries."""
        pos = (self.model.read_pos + offset) % 2**64
        right = pos in self.model.boundaries()
        result, _ = self.sync(pos)
        assert result == (0 if right else -errno.EINVAL)
        if right:
            self.model.release(pos)

    @precondition(lambda self: not self.slots)
    @rule()
    def reset(self) -> None:
        """Reset the ring, as when an invalid queue is allocated again."""
        self.core.osq_py_reset(self.handle)
        self.model.reset += sum(one.state == "live" for one in self.model.entries)
        self.model.entries.clear()
        self.model.read_pos = self.model.write_pos = 0

    def check(self, entry: Entry) -> None:
        """Compare a record's bytes with what was written into it."""
        at = self.core.osq_py_at(self.handle, entry.pos)
        head = Head.from_address(at)
        assert (head.len, head.seq, head.pos) == (entry.length, entry.seq, entry.pos)
        if entry.lost is not None:
            lost = Lost.from_address(at + 64)
            content = (lost.first_seq, lost.last_seq, tuple(lost.dropped), lost.types)
            assert (head.type, content) == (LOST, entry.lost)
        elif entry.state == "dead":
            assert head.type == NONE
        else:
            assert head.type == entry.kind
            tail = ctypes.string_at(at + ctypes.sizeof(Head), entry.length - ctypes.sizeof(Head))
            assert tail[32:] == bytes([entry.mark]) * (entry.length - 64)

    @invariant()
    def same(self) -> None:
        """After every call, positions and counters are equal, and the counters add up."""
        result, out = self.sync(self.model.read_pos)
        model = self.model
        live = sum(one.state == "live" for one in model.entries)
        assert result == 0
        assert out.max_pos == model.commit_pos
        assert (out.attempts, out.committed, out.consumed, out.reset) == (
            model.attempts,
            model.committed,
            model.consumed,
            model.reset,
        )
        assert (out.pending, out.in_flight) == (live, len(self.slots))
        assert out.filtered == model.filtered
        assert (list(out.dropped), list(out.dropped_of)) == (model.dropped, model.dropped_of)
        assert out.attempts == out.committed + out.in_flight + sum(out.dropped)


Ring.TestCase.settings = settings(
    max_examples=int(os.environ.get("OSQ_EXAMPLES", "150")),
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    derandomize=True,
)
TestRing = Ring.TestCase


def test_comparing_ring_and_model_fails_if_only_the_model_has_reserved_a_record() -> None:
    """When the Python model has one reservation more than the C ring, their comparison fails."""
    machine = Ring()
    machine.model.reserve(2, 64)
    with pytest.raises(AssertionError):
        machine.same()
    machine.teardown()
