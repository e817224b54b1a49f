# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The contents of KDP packets as values: requests, errors, and the body of every packet.

Only data; `codec` converts it to bytes and back. Fields are in the order of the packet.
Source: xnu-11417.101.15, osfmk/kdp/kdp_protocol.h; ports, sizes and sequence rules: kdp_udp.c.
"""

from dataclasses import dataclass
from enum import IntEnum

# The port on which the kernel listens.
KDP_PORT = 41139
# The largest packet, header included, and the most memory that one request may move.
PACKET_MAX_BYTES = 1200
DATA_MAX_BYTES = 1024
# KDP_VERSION's feature bit: the kernel sets breakpoints itself.
FEATURE_BREAKPOINTS = 1
# From this version on addresses have 64 bits.
VERSION_64_BIT = 11


class Request(IntEnum):
    """The kinds of KDP packets, by number.

    The debugger sends the requests, except EXCEPTION and TERMINATION, which the kernel sends.
    """

    CONNECT = 0
    DISCONNECT = 1
    HOSTINFO = 2
    VERSION = 3
    MAXBYTES = 4
    READMEM = 5
    WRITEMEM = 6
    READREGS = 7
    WRITEREGS = 8
    LOAD = 9
    IMAGEPATH = 10
    SUSPEND = 11
    RESUMECPUS = 12
    EXCEPTION = 13
    TERMINATION = 14
    BREAKPOINT_SET = 15
    BREAKPOINT_REMOVE = 16
    REGIONS = 17
    REATTACH = 18
    HOSTREBOOT = 19
    READMEM64 = 20
    WRITEMEM64 = 21
    BREAKPOINT64_SET = 22
    BREAKPOINT64_REMOVE = 23
    KERNELVERSION = 24
    READPHYSMEM64 = 25
    WRITEPHYSMEM64 = 26
    READIOPORT = 27
    WRITEIOPORT = 28
    READMSR64 = 29
    WRITEMSR64 = 30
    DUMPINFO = 31


class KdpStatus(IntEnum):
    """The result of a request in its reply; a kernel may send other numbers, too."""

    NO_ERROR = 0
    ALREADY_CONNECTED = 1
    BAD_NBYTES = 2
    BAD_FLAVOR = 3
    BAD_ACCESS = 4
    MAX_BREAKPOINTS = 100
    BREAKPOINT_NOT_FOUND = 101
    BREAKPOINT_ALREADY_SET = 102


@dataclass(frozen=True, kw_only=True)
class Empty:
    """The body of a packet that has only a header."""


@dataclass(frozen=True, kw_only=True)
class Connect:
    """KDP_CONNECT: the ports for replies and exceptions, in network order, and a greeting."""

    reply_port: int
    exception_port: int
    greeting: str


@dataclass(frozen=True, kw_only=True)
class Reattach:
    """KDP_REATTACH: the port for replies, in network order."""

    reply_port: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """The reply to a request that can fail: `error` as in KdpStatus, and the data that was read.

    `data` is empty after an error, and for a request that reads nothing.
    """

    error: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class HostInfo:
    """The reply to KDP_HOSTINFO: a bit for each existing CPU, Mach's cpu_type and cpu_subtype."""

    cpus_mask: int
    cpu_type: int
    cpu_subtype: int


@dataclass(frozen=True, kw_only=True)
class Version:
    """The reply to KDP_VERSION: the protocol's version (12), its features, two zero words."""

    version: int
    feature: int
    pad0: int = 0
    pad1: int = 0


@dataclass(frozen=True, kw_only=True)
class MaxBytes:
    """The reply to KDP_MAXBYTES: how much memory one request may move."""

    max_bytes: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """An address and a size to read or write; `data` only for a write."""

    address: int
    size_bytes: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class PhysicalMemory:
    """A physical address and size to read or write, and the logical CPU that does it."""

    address: int
    size_bytes: int
    lcpu: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Registers:
    """One CPU's registers of one flavour (a set by number); `data` only for a write."""

    cpu: int
    flavor: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class ResumeCpus:
    """KDP_RESUMECPUS: the CPUs that are to continue."""

    cpu_mask: int


@dataclass(frozen=True, kw_only=True)
class Breakpoint:
    """The address at which a breakpoint is set or removed."""

    address: int


@dataclass(frozen=True, kw_only=True)
class IoPort:
    """An x86 port of `size_bytes`, and the logical CPU that accesses it."""

    lcpu: int
    address: int
    size_bytes: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Msr:
    """A model specific register, and the logical CPU that has it.

    `data` is empty for a read, and has 8 bytes for a write.
    """

    address: int
    lcpu: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class ExceptionInfo:
    """The reason why one CPU stopped, in the numbers of mach/exception_types.h."""

    cpu: int
    exception: int
    code: int
    subcode: int


@dataclass(frozen=True, kw_only=True)
class ExceptionNote:
    """KDP_EXCEPTION: the kernel has stopped, with the reason for each CPU."""

    stops: tuple[ExceptionInfo, ...]


@dataclass(frozen=True, kw_only=True)
class Termination:
    """KDP_TERMINATION: the kernel terminates; 1 exit, 2 power off, 3 reboot."""

    term_code: int
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Text:
    """One string: the kernel's version, an image's path, the arguments of a load."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Region:
    """One entry of the reply to KDP_REGIONS: a mapped region of the kernel's memory.

    The packet has 32 bits for the address and for the size. `protection` has Mach's bits: read 1,
    write 2, execute 4.
    """

    address: int
    size_bytes: int
    protection: int


@dataclass(frozen=True, kw_only=True)
class Regions:
    """The reply to KDP_REGIONS: the mapped regions of the kernel's memory."""

    regions: tuple[Region, ...]


@dataclass(frozen=True, kw_only=True)
class DumpInfo:
    """KDP_DUMPINFO: where the kernel sends a core dump, and what it does afterwards."""

    name: str
    destination: str
    router: str
    port: int
    type: int


Body = (
    Empty
    | Connect
    | Reattach
    | Status
    | HostInfo
    | Version
    | MaxBytes
    | Memory
    | PhysicalMemory
    | Registers
    | ResumeCpus
    | Breakpoint
    | IoPort
    | Msr
    | ExceptionNote
    | Termination
    | Text
    | Regions
    | DumpInfo
)


@dataclass(frozen=True, kw_only=True)
class Packet:
    """One packet: its request, direction, sequence number, the session's key, and its body."""

    request: Request
    is_reply: bool
    sequence: int
    key: int
    body: Body
