# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The packets of gdb's remote protocol (RSP): cut them out of a byte stream, and make them. Pure.

Payloads here are plain bytes. Escapes and run lengths are resolved when a packet is read. A packet
that is made has escapes where necessary, and no run lengths.
Source: the gdb manual, appendix 'Remote Protocol', sections Overview and Notification Packets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

# A stub's packet size: far more than any debugger asks for at once.
PACKET_MAX_BYTES = 4 * 1024 * 1024
_ESCAPE = 0x7D
_ESCAPED_BIT = 0x20
_SPECIAL = re.compile(rb"[#$*}]")
_RUN = 0x2A
# A number of repetitions is sent as a printable character: the number plus 29.
_RUN_BASE = 29
# These bytes stand alone between packets; 0x03 is the debugger's Ctrl-C.
_SIGNS = {ord("+"), ord("-"), 0x03}


class Kind(Enum):
    """The kinds of units in a stream of gdb's remote protocol, such as packets.

    DAMAGED is a packet with a wrong checksum or encoding.
    """

    ACK = "+"
    NAK = "-"
    INTERRUPT = "\x03"
    PACKET = "$"
    NOTIFICATION = "%"
    DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One unit of the stream (see Kind): its payload, and in `raw` its bytes as they arrived.

    The payload is empty for a damaged packet, and for a kind that is a single byte.
    """

    kind: Kind
    payload: bytes
    raw: bytes


class Reader:
    """Cuts a byte stream into pieces (packets, acknowledgements, interrupts).

    The bytes of an incomplete piece are kept until the rest arrives.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Piece]:
        """Take more bytes, and yield every complete piece; bytes between packets are dropped.

        Raises: ValueError for a packet that is longer than any stub sends.
        """
        self._pending += data
        while (piece := self._next()) is not None:
            yield piece
        if len(self._pending) > PACKET_MAX_BYTES:
            raise ValueError(f"no end of a packet within {PACKET_MAX_BYTES} bytes")

    def _next(self) -> Piece | None:
        pending = self._pending
        while pending and pending[0] not in _SIGNS and pending[0] not in b"$%":
            del pending[0]
        if not pending:
            return None
        if pending[0] in _SIGNS:
            raw = self._take(1)
            return Piece(kind=Kind(raw.decode("latin-1")), payload=b"", raw=raw)
        end = pending.find(b"#")
        if end < 0 or len(pending) < end + 3:
            return None
        return _piece(self._take(end + 3))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._pending[:count])
        del self._pending[:count]
        return taken


def packet(payload: bytes) -> bytes:
    """Return a payload as a packet, escaped, with its checksum."""
    body = _SPECIAL.sub(lambda match: bytes((_ESCAPE, match[0][0] ^ _ESCAPED_BIT)), payload)
    return b"$" + body + b"#%02x" % checksum(body)


def checksum(body: bytes) -> int:
    """Return the sum of a packet's bytes as sent, modulo 256."""
    return sum(body) & 0xFF


def _piece(raw: bytes) -> Piece:
    body, digits = raw[1:-3], raw[-2:]
    try:
        good = int(digits, 16) == checksum(body)
        payload = _plain(body)
    except ValueError:
        good, payload = False, b""
    kind = Kind(raw[:1].decode("latin-1")) if good else Kind.DAMAGED
    return Piece(kind=kind, payload=payload if good else b"", raw=raw)


def _plain(body: bytes) -> bytes:
    """Return a body with escapes and run lengths resolved.

    Raises: ValueError for an escape without the byte after it, or a run length without the byte
        before or after it.
    """
    if _ESCAPE not in body and _RUN not in body:
        return body
    out = bytearray()
    position = 0
    while position < len(body):
        byte = body[position]
        if byte in {_ESCAPE, _RUN}:
            position += 1
            if position == len(body) or (byte == _RUN and not out):
                raise ValueError("an escape or a run length without its byte")
            if byte == _ESCAPE:
                out.append(body[position] ^ _ESCAPED_BIT)
            else:
                out += out[-1:] * max(0, body[position] - _RUN_BASE)
        else:
            out.append(byte)
        position += 1
    return bytes(out)
