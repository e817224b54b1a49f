# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the KDP codec: packets match kdp_protocol.h byte for byte, in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DebugError
from harness.protocols.kdp import registers
from harness.protocols.kdp.codec import KdpMalformed, decode, encode
from harness.protocols.kdp.packets import (
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

R = Request
KERNEL = 0xFFFFFF8000200000
# Each row: the request, whether it is the reply, the body, and the body's bytes as the C
# structures define them.
BODIES: list[tuple[Request, bool, Body, str]] = [
    (
        R.CONNECT,
        False,
        Connect(reply_port=0x1234, exception_port=0x5678, greeting="hi"),
        "1234 5678 686900",
    ),
    (R.CONNECT, True, Status(error=1), "01000000"),
    (R.DISCONNECT, False, Empty(), ""),
    (R.DISCONNECT, True, Empty(), ""),
    (R.REATTACH, False, Reattach(reply_port=0xABCD), "abcd"),
    (R.REATTACH, True, Empty(), ""),
    (R.HOSTINFO, False, Empty(), ""),
    (
        R.HOSTINFO,
        True,
        HostInfo(cpus_mask=3, cpu_type=0x01000007, cpu_subtype=3),
        "03000000 07000001 03000000",
    ),
    (R.VERSION, False, Empty(), ""),
    (R.VERSION, True, Version(version=12, feature=1), "0c000000 01000000 00000000 00000000"),
    (R.MAXBYTES, False, Empty(), ""),
    (R.MAXBYTES, True, MaxBytes(max_bytes=1024), "00040000"),
    (R.READMEM, False, Memory(address=0x1000, size_bytes=4), "00100000 04000000"),
    (R.READMEM, True, Status(error=0, data=b"\x01\x02\x03\x04"), "00000000 01020304"),
    (
        R.WRITEMEM,
        False,
        Memory(address=0x1000, size_bytes=2, data=b"\xaa\xbb"),
        "00100000 02000000 aabb",
    ),
    (R.WRITEMEM, True, Status(error=4), "04000000"),
    (
        R.READMEM64,
        False,
        Memory(address=KERNEL, size_bytes=0x200),
        "0000200080ffffff 00020000",
    ),
    (R.READMEM64, True, Status(error=0, data=b"\x90"), "00000000 90"),
    (
        R.WRITEMEM64,
        False,
        Memory(address=KERNEL, size_bytes=1, data=b"\xcc"),
        "0000200080ffffff 01000000 cc",
    ),
    (R.WRITEMEM64, True, Status(error=0), "00000000"),
    (
        R.READPHYSMEM64,
        False,
        PhysicalMemory(address=0x2000, size_bytes=8, lcpu=0xFFFF),
        "0020000000000000 08000000 ffff",
    ),
    (R.READPHYSMEM64, True, Status(error=0, data=bytes(8)), "00000000 0000000000000000"),
    (
        R.WRITEPHYSMEM64,
        False,
        PhysicalMemory(address=0x2000, size_bytes=1, lcpu=1, data=b"\x7f"),
        "0020000000000000 01000000 0100 7f",
    ),
    (R.WRITEPHYSMEM64, True, Status(error=2), "02000000"),
    (R.READREGS, False, Registers(cpu=0, flavor=4), "00000000 04000000"),
    (R.READREGS, True, Status(error=3), "03000000"),
    (
        R.WRITEREGS,
        False,
        Registers(cpu=1, flavor=6, data=b"\x01\x00"),
        "01000000 06000000 0100",
    ),
    (R.WRITEREGS, True, Status(error=0), "00000000"),
    (R.LOAD, False, Text(text="k"), "6b00"),
    (R.LOAD, True, Status(error=0), "00000000"),
    (R.IMAGEPATH, False, Empty(), ""),
    (R.IMAGEPATH, True, Text(text="/mach"), "2f6d61636800"),
    (R.SUSPEND, False, Empty(), ""),
    (R.SUSPEND, True, Empty(), ""),
    (R.RESUMECPUS, False, ResumeCpus(cpu_mask=0xF), "0f000000"),
    (R.RESUMECPUS, True, Empty(), ""),
    (
        R.EXCEPTION,
        False,
        ExceptionNote(stops=(ExceptionInfo(cpu=1, exception=6, code=2, subcode=0),)),
        "01000000 01000000 06000000 02000000 00000000",
    ),
    (R.EXCEPTION, True, Empty(), ""),
    (R.TERMINATION, False, Termination(term_code=3, exit_code=9), "03000000 09000000"),
    (R.TERMINATION, True, Empty(), ""),
    (R.BREAKPOINT_SET, False, Breakpoint(address=0x80001000), "00100080"),
    (R.BREAKPOINT_SET, True, Status(error=100), "64000000"),
    (R.BREAKPOINT_REMOVE, False, Breakpoint(address=0x80001000), "00100080"),
    (R.BREAKPOINT_REMOVE, True, Status(error=101), "65000000"),
    (R.BREAKPOINT64_SET, False, Breakpoint(address=KERNEL), "0000200080ffffff"),
    (R.BREAKPOINT64_SET, True, Status(error=102), "66000000"),
    (R.BREAKPOINT64_REMOVE, False, Breakpoint(address=KERNEL), "0000200080ffffff"),
    (R.BREAKPOINT64_REMOVE, True, Status(error=0), "00000000"),
    (R.REGIONS, False, Empty(), ""),
    (
        R.REGIONS,
        True,
        Regions(regions=(Region(address=0x1000, size_bytes=0x2000, protection=3),)),
        "01000000 00100000 00200000 03000000",
    ),
    (R.HOSTREBOOT, False, Empty(), ""),
    (R.HOSTREBOOT, True, Empty(), ""),
    (R.KERNELVERSION, False, Empty(), ""),
    (R.KERNELVERSION, True, Text(text="Darwin"), "44617277696e00"),
    (R.READIOPORT, False, IoPort(lcpu=0, address=0x3F8, size_bytes=1), "0000 f803 0100"),
    (R.READIOPORT, True, Status(error=0, data=b"\x0a"), "00000000 0a"),
    (
        R.WRITEIOPORT,
        False,
        IoPort(lcpu=2, address=0xCF9, size_bytes=1, data=b"\x06"),
        "0200 f90c 0100 06",
    ),
    (R.WRITEIOPORT, True, Status(error=0), "00000000"),
    (R.READMSR64, False, Msr(address=0xC0000080, lcpu=0), "800000c0 0000"),
    (R.READMSR64, True, Status(error=0, data=bytes(8)), "00000000 0000000000000000"),
    (
        R.WRITEMSR64,
        False,
        Msr(address=0xC0000080, lcpu=1, data=bytes((1, 0, 0, 0, 0, 0, 0, 0))),
        "800000c0 0100 0100000000000000",
    ),
    (R.WRITEMSR64, True, Status(error=0), "00000000"),
]
DUMP = DumpInfo(name="core", destination="10.0.0.1", router="", port=1069, type=0x103)
BODIES += [
    (
        R.DUMPINFO,
        is_reply,
        DUMP,
        "636f7265" + "00" * 46 + "31302e302e302e31" + "00" * 8 + "00" * 16 + "2d040000 03010000",
    )
    for is_reply in (False, True)
]


def framed(request: Request, *, is_reply: bool, sequence: int, key: int, body: str) -> bytes:
    """Return a packet with the header: request:7, is_reply:1, seq:8, len:16, key:32."""
    rest = bytes.fromhex(body)
    first = request.value + (128 if is_reply else 0)
    size = len(rest) + 8
    return bytes((first, sequence, size & 255, size >> 8)) + key.to_bytes(4, "little") + rest


@pytest.mark.parametrize(("request_", "is_reply", "body", "bytes_"), BODIES)
def test_every_packet_is_encoded_to_its_bytes_and_decoded_from_them(
    request_: Request, *, is_reply: bool, body: Body, bytes_: str
) -> None:
    """Each KDP request and reply of a table becomes the given bytes, and these the same value."""
    packet = Packet(request=request_, is_reply=is_reply, sequence=0xFE, key=0x12345678, body=body)
    data = framed(request_, is_reply=is_reply, sequence=0xFE, key=0x12345678, body=bytes_)

    assert encode(packet) == data
    assert decode(data) == packet


def test_the_tested_packets_include_request_and_reply_of_each_kdp_request() -> None:
    """The table of the test before this one lacks no packet of Apple's KDP protocol."""
    covered = {(request, is_reply) for request, is_reply, _, _ in BODIES}

    assert covered == {(request, way) for request in Request for way in (False, True)}
    assert [request.value for request in Request] == list(range(32))


@pytest.mark.parametrize(
    ("data", "objection"),
    [
        ("", "0 bytes are no KDP packet"),
        ("01000800000000", "7 bytes are no KDP packet"),
        ("0100090000000000", "says that it has 9"),
        ("20000800 00000000", "there is no KDP request 32"),
        ("80000800 00000000", "CONNECT reply: unpack_from requires"),
        ("01000900 00000000 ff", "DISCONNECT request: 1 bytes too many"),
        ("00000e00 00000000 12345678 6869", "a string without an end"),
        ("0d000c00 00000000 02000000", "2 entries do not take 0 bytes"),
        ("15001500 00000000 0000000000000000 02000000 aa", "1 bytes of data, 2 announced"),
        ("01" * 1201, "1201 bytes are no KDP packet"),
    ],
)
def test_broken_packets_are_refused(data: str, objection: str) -> None:
    """KDP bytes with a wrong length, type or count raise an error that names the fault."""
    with pytest.raises(KdpMalformed, match=objection):
        decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    ("request_", "is_reply", "body", "objection"),
    [
        (R.CONNECT, False, Empty(), "CONNECT carries Connect"),
        (R.READMEM, False, Memory(address=1 << 32, size_bytes=1), "fits in no packet"),
        (R.READMEM64, False, Memory(address=0, size_bytes=1, data=b"x"), "has no place"),
        (R.WRITEMEM64, False, Memory(address=0, size_bytes=2, data=b"x"), "2 announced"),
        (R.KERNELVERSION, True, Text(text="a\0b"), "ends at its first NUL"),
        (R.READMEM64, True, Status(error=0, data=bytes(1189)), "1201 of 1200 bytes"),
        (R.DUMPINFO, False, DumpInfo(name="n" * 50, destination="", router="", port=0, type=0),
         "longer than 49"),
    ],
)  # fmt: skip
def test_values_that_no_packet_can_hold_are_refused(
    request_: Request, *, is_reply: bool, body: Body, objection: str
) -> None:
    """A KDP packet with another packet's body, too large a value or wrong data is not encoded."""
    with pytest.raises(KdpMalformed, match=objection):
        encode(Packet(request=request_, is_reply=is_reply, sequence=0, key=0, body=body))


@given(st.binary(max_size=1300))
def test_any_bytes_decode_to_a_packet_that_survives_encoding_or_are_refused(data: bytes) -> None:
    """Random bytes raise KdpMalformed or are a KDP packet that encodes to an equal one."""
    try:
        packet = decode(data)
    except KdpMalformed:
        return

    assert decode(encode(packet)) == packet


def test_register_sets_have_the_size_and_order_of_xnus_structures() -> None:
    """x86_thread_state64_t has 168 bytes, rdi before rsi; arm_thread_state64_t has 272 bytes."""
    x86 = registers.X86_THREAD
    values = {name: index for index, name in enumerate(x86.names)}
    arm = registers.ARM_THREAD

    assert x86.encode(values) == b"".join(n.to_bytes(8, "little") for n in range(21))
    assert (values["rdi"], values["rsi"], values["rip"], values["rflags"]) == (4, 5, 16, 17)
    assert x86.decode(x86.encode(values)) == values
    assert (x86.number, x86.size_bytes) == (4, 168)
    assert (arm.number, arm.size_bytes, arm.names[29:]) == (
        6, 272, ("fp", "lr", "sp", "pc", "cpsr", "flags"),
    )  # fmt: skip
    assert registers.X86_EXCEPTION.decode(
        bytes.fromhex("0e00 0100 02000000 efbeadde00000000")
    ) == {"trapno": 14, "cpu": 1, "error": 2, "fault_address": 0xDEADBEEF}


def test_too_few_bytes_of_a_register_set_and_a_missing_register_value_are_refused() -> None:
    """A KDP reply that is too short, and a register set without one of its names, are errors."""
    with pytest.raises(DebugError, match="168 bytes, 167 came"):
        registers.X86_THREAD.decode(bytes(167))
    with pytest.raises(DebugError, match="rax"):
        registers.X86_THREAD.encode({})
