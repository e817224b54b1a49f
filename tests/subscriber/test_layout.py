# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the decoder, which uses the compiled header: any bytes give an event or None."""

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from _libosq import ffi, lib
from osq import layout
from osq.layout import EVENTS, decode, struct_format
from osq.records import Event, Exec, Unknown
from tests.subscriber.events import TAIL, a_fork, an_exec, exec_bytes

# Fields of the record's head that are useless after the ring, so an event does not have them.
UNTOLD = {"len", "type", "pos", "ring_id", "reserved", "old_reserved", "now_reserved"}


@pytest.mark.parametrize("number", EVENTS)
def test_an_event_has_every_field_of_its_struct(number: int) -> None:
    """Each class of records.py has its struct's fields of osq.h, except len, type and the like."""
    name, event = EVENTS[number]
    names = [field for field, _, _ in struct_format(name)[1]]
    in_c = set(names) - UNTOLD
    in_python = {field.name for field in fields(event)}

    assert in_python == in_c
    assert len(set(names) - {"reserved"}) == len([one for one in names if one != "reserved"])


def test_every_record_type_of_the_header_becomes_an_event() -> None:
    """Each OSQ_TYPE_* of osq.h has a class in records.py, if it is ever delivered."""
    types = {number for number, name in layout.TYPE_NAMES.items() if name not in {"none", "test"}}

    assert set(EVENTS) == types


def test_numbers_and_texts_of_an_exec_record_are_decoded() -> None:
    """Fields of each width and sign, and each span, have the values that the record got in C."""
    event = an_exec(seq=2**40, uid=2**32 - 1, mtime_ns=-5, ino=2**63, cpu=65535, pid=7)

    assert (event.seq, event.uid, event.mtime_ns) == (2**40, 2**32 - 1, -5)
    assert (event.ino, event.cpu, event.pid) == (2**63, 65535, 7)
    assert {name: getattr(event, name) for name in TAIL} == TAIL
    assert event.arguments == (b"printf", b"%s x", b"\xff")


def test_a_fork_record_which_has_no_texts_is_decoded() -> None:
    """For a fork record, which has only numbers, decode returns a Fork event with them."""
    event = a_fork(child_pid=3, child_tid=4, ts_boot_ns=5)

    assert (event.child_pid, event.child_tid, event.ts_boot_ns) == (3, 4, 5)


def test_a_record_of_an_unknown_type_is_decoded_as_unknown() -> None:
    """A type that a later driver may add gives an Unknown event, and is not taken for damage."""
    raw = bytearray(exec_bytes(seq=9))
    raw[4:6] = (30).to_bytes(2, "little")
    event = decode(bytes(raw))

    assert isinstance(event, Unknown)
    assert (event.type, event.seq) == (30, 9)


def test_additional_fields_in_a_record_of_a_later_driver_are_skipped() -> None:
    """A struct that is longer than this version's is decoded, since spans say where texts are."""
    raw = bytearray(exec_bytes())
    size = ffi.sizeof("struct osq_exec")
    grown = raw[:size] + b"\1" * 64 + raw[size:]
    for name in TAIL:
        place = ffi.offsetof("struct osq_exec", name)
        offset = int.from_bytes(grown[place : place + 4], "little") + 64
        grown[place : place + 4] = offset.to_bytes(4, "little")
    event = decode(bytes(grown))

    assert isinstance(event, Exec)
    assert event.path == TAIL["path"]


@pytest.mark.parametrize("name", TAIL)
@pytest.mark.parametrize(("offset", "length"), [(0, 8), (60, 4), (2**32 - 1, 1), (256, 2**32 - 1)])
def test_a_record_whose_text_would_lie_outside_of_it_is_not_decoded(
    name: str, offset: int, length: int
) -> None:
    """A span before the texts, after the end, or whose sum wraps in C makes decode return None."""
    raw = bytearray(exec_bytes())
    place = ffi.offsetof("struct osq_exec", name)
    raw[place : place + 8] = offset.to_bytes(4, "little") + length.to_bytes(4, "little")

    assert decode(bytes(raw)) is None


def test_a_record_shorter_than_its_struct_is_not_decoded() -> None:
    """For such bytes decode returns None, which Ring.read takes for a corrupt ring."""
    assert decode(exec_bytes()[:248]) is None


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([lib.OSQ_TYPE_LOST, lib.OSQ_TYPE_EXEC, lib.OSQ_TYPE_EXIT, 29]),
    body=st.binary(min_size=58, max_size=600),
)
def test_random_bytes_are_decoded_or_rejected_without_an_exception(kind: int, body: bytes) -> None:
    """For random bytes after a valid head, decode returns an event or None."""
    event = decode(b"\0\0\0\0" + kind.to_bytes(2, "little") + body)

    assert event is None or isinstance(event, Event)
