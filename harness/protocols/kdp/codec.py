# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Encode and decode KDP packets: every packet of the protocol, in both directions. Pure.

A packet that a kernel would discard is not encoded, and a packet that breaks the protocol is not
decoded: both raise KdpMalformed. Everything is little endian except the ports of CONNECT and
REATTACH.
Source: xnu-11417.101.15, osfmk/kdp/kdp_protocol.h (every structure there is packed).
"""

import struct
from dataclasses import astuple, dataclass

from harness.errors import DebugError
from harness.protocols.kdp.packets import (
    PACKET_MAX_BYTES,
    Body,
    Breakpoint,
    Connect,
    DumpInfo,
    Empty,
    ExceptionInfo,
    ExceptionNote,
    HostInfo,
    IoPort,
    MaxBytes,
    Memory,
    Msr,
    Packet,
    PhysicalMemory,
    Reattach,
    Region,
    Regions,
    Registers,
    Request,
    ResumeCpus,
    Status,
    Termination,
    Text,
    Version,
)

HEADER_BYTES = 8
_HEADER = struct.Struct("<BBHI")
_REPLY = 0x80
_WORD = struct.Struct("<I")
_STOP = struct.Struct("<4I")
_REGION = struct.Struct("<3I")
_DUMP = struct.Struct("<50s16s16sII")
_DUMP_BYTES = (50, 16, 16)


class KdpMalformed(DebugError):
    """Raised for bytes that are not a KDP packet, and for values that fit into none."""


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How the body of one kind of packet lies in bytes: fixed fields, and what follows them.

    `fixed` is the struct format of the fields. `tail` says what follows: "bytes", a "string", a
    counted list of "stops" or "regions", or "" for nothing.
    """

    body: type
    fixed: str = "<"
    tail: str = ""

    @property
    def size_bytes(self) -> int:
        return struct.calcsize(self.fixed)


_EMPTY = _Layout(body=Empty)
_STATUS = _Layout(body=Status, fixed="<I")
_STATUS_DATA = _Layout(body=Status, fixed="<I", tail="bytes")
_TEXT = _Layout(body=Text, tail="string")
_DUMP_INFO = _Layout(body=DumpInfo, fixed=_DUMP.format)

_REQUESTS: dict[Request, _Layout] = {
    Request.CONNECT: _Layout(body=Connect, fixed=">HH", tail="string"),
    Request.REATTACH: _Layout(body=Reattach, fixed=">H"),
    Request.READMEM: _Layout(body=Memory, fixed="<II"),
    Request.WRITEMEM: _Layout(body=Memory, fixed="<II", tail="bytes"),
    Request.READMEM64: _Layout(body=Memory, fixed="<QI"),
    Request.WRITEMEM64: _Layout(body=Memory, fixed="<QI", tail="bytes"),
    Request.READPHYSMEM64: _Layout(body=PhysicalMemory, fixed="<QIH"),
    Request.WRITEPHYSMEM64: _Layout(body=PhysicalMemory, fixed="<QIH", tail="bytes"),
    Request.READREGS: _Layout(body=Registers, fixed="<II"),
    Request.WRITEREGS: _Layout(body=Registers, fixed="<II", tail="bytes"),
    Request.LOAD: _TEXT,
    Request.RESUMECPUS: _Layout(body=ResumeCpus, fixed="<I"),
    Request.BREAKPOINT_SET: _Layout(body=Breakpoint, fixed="<I"),
    Request.BREAKPOINT_REMOVE: _Layout(body=Breakpoint, fixed="<I"),
    Request.BREAKPOINT64_SET: _Layout(body=Breakpoint, fixed="<Q"),
    Request.BREAKPOINT64_REMOVE: _Layout(body=Breakpoint, fixed="<Q"),
    Request.READIOPORT: _Layout(body=IoPort, fixed="<HHH"),
    Request.WRITEIOPORT: _Layout(body=IoPort, fixed="<HHH", tail="bytes"),
    Request.READMSR64: _Layout(body=Msr, fixed="<IH"),
    Request.WRITEMSR64: _Layout(body=Msr, fixed="<IH", tail="bytes"),
    Request.EXCEPTION: _Layout(body=ExceptionNote, tail="stops"),
    Request.TERMINATION: _Layout(body=Termination, fixed="<II"),
    Request.DUMPINFO: _DUMP_INFO,
}
_REPLIES: dict[Request, _Layout] = {
    Request.CONNECT: _STATUS,
    Request.HOSTINFO: _Layout(body=HostInfo, fixed="<III"),
    Request.VERSION: _Layout(body=Version, fixed="<IIII"),
    Request.MAXBYTES: _Layout(body=MaxBytes, fixed="<I"),
    Request.READMEM: _STATUS_DATA,
    Request.WRITEMEM: _STATUS,
    Request.READMEM64: _STATUS_DATA,
    Request.WRITEMEM64: _STATUS,
    Request.READPHYSMEM64: _STATUS_DATA,
    Request.WRITEPHYSMEM64: _STATUS,
    Request.READREGS: _STATUS_DATA,
    Request.WRITEREGS: _STATUS,
    Request.LOAD: _STATUS,
    Request.IMAGEPATH: _TEXT,
    Request.BREAKPOINT_SET: _STATUS,
    Request.BREAKPOINT_REMOVE: _STATUS,
    Request.BREAKPOINT64_SET: _STATUS,
    Request.BREAKPOINT64_REMOVE: _STATUS,
    Request.KERNELVERSION: _TEXT,
    Request.READIOPORT: _STATUS_DATA,
    Request.WRITEIOPORT: _STATUS,
    Request.READMSR64: _STATUS_DATA,
    Request.WRITEMSR64: _STATUS,
    Request.REGIONS: _Layout(body=Regions, tail="regions"),
    Request.DUMPINFO: _DUMP_INFO,
}


def encode(packet: Packet) -> bytes:
    """Return the bytes of a packet.

    Raises: KdpMalformed when the body belongs to another request or does not fit.
    """
    layout = _layout(packet.request, is_reply=packet.is_reply)
    if type(packet.body) is not layout.body:
        raise KdpMalformed(
            f"{packet.request.name} carries {layout.body.__name__}, not {packet.body!r}"
        )
    try:
        body = _encode_body(packet.body, layout)
        size = HEADER_BYTES + len(body)
        first = packet.request | (_REPLY if packet.is_reply else 0)
        header = _HEADER.pack(first, packet.sequence, size, packet.key)
    except (struct.error, ValueError) as error:
        raise KdpMalformed(f"{packet} fits in no packet: {error}") from error
    if size > PACKET_MAX_BYTES:
        raise KdpMalformed(f"{packet.request.name} would have {size} of {PACKET_MAX_BYTES} bytes")
    return header + body


def decode(data: bytes) -> Packet:
    """Return the packet in a datagram.

    Raises: KdpMalformed for a wrong length, an unknown request or truncated fields.
    """
    if not HEADER_BYTES <= len(data) <= PACKET_MAX_BYTES:
        raise KdpMalformed(f"{len(data)} bytes are no KDP packet", evidence=(data[:32].hex(),))
    first, sequence, size, key = _HEADER.unpack_from(data)
    if size != len(data):
        raise KdpMalformed(f"a packet of {len(data)} bytes says that it has {size}")
    number, is_reply = first & ~_REPLY, bool(first & _REPLY)
    if number not in Request.__members__.values():
        raise KdpMalformed(f"there is no KDP request {number}")
    request = Request(number)
    layout = _layout(request, is_reply=is_reply)
    try:
        body = _decode_body(data[HEADER_BYTES:], layout)
    except (struct.error, ValueError) as error:
        raise KdpMalformed(
            f"{request.name} {'reply' if is_reply else 'request'}: {error}", evidence=(data.hex(),)
        ) from error
    return Packet(request=request, is_reply=is_reply, sequence=sequence, key=key, body=body)


def _layout(request: Request, *, is_reply: bool) -> _Layout:
    return (_REPLIES if is_reply else _REQUESTS).get(request, _EMPTY)


def _encode_body(body: Body, layout: _Layout) -> bytes:
    if isinstance(body, ExceptionNote):
        stops = (_STOP.pack(*astuple(stop)) for stop in body.stops)
        return _WORD.pack(len(body.stops)) + b"".join(stops)
    if isinstance(body, Regions):
        regions = (_REGION.pack(*astuple(region)) for region in body.regions)
        return _WORD.pack(len(body.regions)) + b"".join(regions)
    if isinstance(body, DumpInfo):
        texts = (body.name, body.destination, body.router)
        cells = [_cell(text, size) for text, size in zip(texts, _DUMP_BYTES, strict=True)]
        return _DUMP.pack(*cells, body.port, body.type)
    _check_size(body, written=layout.tail == "bytes")
    fields = astuple(body)
    count = len(layout.fixed) - 1
    fixed = struct.pack(layout.fixed, *fields[:count])
    if layout.tail == "bytes":
        return fixed + bytes(fields[count])
    if layout.tail == "string":
        return fixed + _string(fields[count])
    if any(fields[count:]):
        raise ValueError(f"{fields[count:]} has no place")
    return fixed


def _decode_body(data: bytes, layout: _Layout) -> Body:
    rest = data[layout.size_bytes :]
    fields = list(struct.unpack_from(layout.fixed, data))
    if layout.tail in {"stops", "regions"}:
        cell = _STOP if layout.tail == "stops" else _REGION
        (count,) = _WORD.unpack_from(rest)
        if len(rest) != _WORD.size + count * cell.size:
            raise ValueError(f"{count} entries do not take {len(rest) - _WORD.size} bytes")
        cells = cell.iter_unpack(rest[_WORD.size :])
        return _entries(layout.tail, list(cells))
    if layout.body is DumpInfo:
        fields[:3] = [_uncell(field) for field in fields[:3]]
    if layout.tail == "bytes":
        fields.append(rest)
    elif layout.tail == "string":
        fields.append(_unstring(rest))
    elif rest:
        raise ValueError(f"{len(rest)} bytes too many")
    names = layout.body.__dataclass_fields__  # type: ignore[attr-defined]
    body: Body = layout.body(**dict(zip(names, fields, strict=False)))
    _check_size(body, written=layout.tail == "bytes")
    return body


def _entries(tail: str, cells: list[tuple[int, ...]]) -> Body:
    if tail == "stops":
        return ExceptionNote(
            stops=tuple(
                ExceptionInfo(cpu=cell[0], exception=cell[1], code=cell[2], subcode=cell[3])
                for cell in cells
            )
        )
    return Regions(
        regions=tuple(
            Region(address=cell[0], size_bytes=cell[1], protection=cell[2]) for cell in cells
        )
    )


def _check_size(body: Body, *, written: bool) -> None:
    """Raise ValueError when the data to write is not as long as the request's size field says.

    `written` means that the packet contains data to write; otherwise nothing is checked.
    """
    if not (written and isinstance(body, Memory | PhysicalMemory | IoPort)):
        return
    if len(body.data) != body.size_bytes:
        raise ValueError(f"{len(body.data)} bytes of data, {body.size_bytes} announced")


def _string(text: str) -> bytes:
    data = text.encode()
    if b"\0" in data:
        raise ValueError("a string ends at its first NUL")
    return data + b"\0"


def _unstring(data: bytes) -> str:
    text, nul, _ = data.partition(b"\0")
    if not nul:
        raise ValueError("a string without an end")
    return text.decode(errors="backslashreplace")


def _cell(text: str, size_bytes: int) -> bytes:
    data = _string(text)
    if len(data) > size_bytes:
        raise ValueError(f"'{text}' is longer than {size_bytes - 1} bytes")
    return data.ljust(size_bytes, b"\0")


def _uncell(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="backslashreplace")
