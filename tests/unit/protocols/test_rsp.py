# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the codec for gdb's remote protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocols.rsp import PACKET_MAX_BYTES, Kind, Piece, Reader, packet


def pieces(data: bytes) -> list[Piece]:
    """Return the packets and other pieces that the reader finds in one chunk of bytes."""
    return list(Reader().feed(data))


def test_a_packet_ends_with_the_sum_of_its_bytes_modulo_256() -> None:
    """A packet of gdb's remote protocol has its checksum as two hex digits."""
    assert packet(b"qC") == b"$qC#b4"
    assert packet(b"") == b"$#00"
    assert packet(b"OK") == b"$OK#9a"


def test_special_bytes_are_escaped() -> None:
    """In gdb's remote protocol # $ * } are sent as } and the byte with bit 5 flipped."""
    assert packet(b"}#$*") == b"$}]}\x03}\x04}\x0a#%02x" % (
        (4 * 0x7D + 0x5D + 0x03 + 0x04 + 0x0A) & 0xFF
    )


def test_run_lengths_are_expanded() -> None:
    """In gdb's remote protocol '0* ' is four zeros: one, and the count's byte less 29."""
    (piece,) = pieces(b"$0* #7a")

    assert piece.payload == b"0000"


def test_acks_naks_interrupts_packets_and_notifications_are_told_apart_and_junk_is_dropped() -> (
    None
):
    """The reader of gdb's remote protocol returns each kind as such and drops other bytes."""
    kinds = pieces(b"+junk-\x03$g#67%Stop:T05#99")

    assert [piece.kind for piece in kinds] == [
        Kind.ACK, Kind.NAK, Kind.INTERRUPT, Kind.PACKET, Kind.NOTIFICATION,
    ]  # fmt: skip
    assert kinds[3].raw == b"$g#67"


@pytest.mark.parametrize("data", [b"$g#68", b"$g#zz", b"$}#7d", b"$* #4a"])
def test_damaged_packets_are_marked_as_bad(data: bytes) -> None:
    """A gdb packet with a wrong checksum, bad digits, a cut escape or nothing to repeat is bad."""
    (piece,) = pieces(data)

    assert (piece.kind, piece.payload) == (Kind.DAMAGED, b"")


def test_a_gdb_packet_that_exceeds_the_size_limit_without_an_end_raises_value_error() -> None:
    """The reader raises ValueError once it holds more than PACKET_MAX_BYTES without an end."""
    reader = Reader()

    with pytest.raises(ValueError, match="no end of a packet"):
        list(reader.feed(b"$" + b"x" * (PACKET_MAX_BYTES + 1)))


@given(st.lists(st.binary(max_size=80), max_size=8), st.integers(min_value=1, max_value=7))
def test_payloads_are_the_same_however_the_stream_is_cut(payloads: list[bytes], step: int) -> None:
    """The reader of gdb's remote protocol gives the same packets from any chunks."""
    stream = b"+".join(packet(payload) for payload in payloads)
    reader = Reader()

    received = [
        piece.payload
        for start in range(0, len(stream), step)
        for piece in reader.feed(stream[start : start + step])
        if piece.kind is Kind.PACKET
    ]

    assert received == payloads
