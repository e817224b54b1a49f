# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What KDP packets say, as values: requests, errors, and the body of every packet.

Only data; `codec` turns them into bytes and back. Fields are named after what they hold, in the
order in which they lie in a packet.
Source: xnu-11417.101.15, osfmk/kdp/kdp_protocol.h; ports, sizes and sequence rules: kdp_udp.c.
"""

from dataclasses import dataclass
from enum import IntEnum

# The kernel listens here.
KDP_PORT = 41139
# What one packet may hold, header included, and how much memory one request may move.
PACKET_MAX_BYTES = 1200
DATA_MAX_BYTES = 1024
# KDP_VERSION's feature bit: the kernel plants breakpoints itself.
FEATURE_BREAKPOINTS = 1
# From this version on addresses have 64 bits.
VERSION_64_BIT = 11


class Request(IntEnum):
    """What a packet asks for; EXCEPTION and TERMINATION come from the kernel."""

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
    """What a reply says of its request; a kernel may send other numbers, too."""

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
    """A packet that is a header and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Connect:
    """KDP_CONNECT: where replies and exceptions are to be sent, in network order, and a word."""

    reply_port: int
    exception_port: int
    greeting: str


@dataclass(frozen=True, kw_only=True)
class Reattach:
    """KDP_REATTACH: the port of the replies, in network order."""

    reply_port: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """The reply of whatever can fail; what was read follows when it did not."""

    error: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class HostInfo:
    """One bit for each CPU that is there, and Mach's cpu_type and cpu_subtype."""

    cpus_mask: int
    cpu_type: int
    cpu_subtype: int


@dataclass(frozen=True, kw_only=True)
class Version:
    """The protocol's version, 12 today, its features, and two words that are 0."""

    version: int
    feature: int
    pad0: int = 0
    pad1: int = 0


@dataclass(frozen=True, kw_only=True)
class MaxBytes:
    """How much memory one request may move."""

    max_bytes: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Where to read or write how much; `data` only when it is written."""

    address: int
    size_bytes: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class PhysicalMemory:
    """The same in physical memory, by the logical CPU that is to do it."""

    address: int
    size_bytes: int
    lcpu: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Registers:
    """One CPU's registers of one flavour; `data` only when they are written."""

    cpu: int
    flavor: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class ResumeCpus:
    """The CPUs that are to run on."""

    cpu_mask: int


@dataclass(frozen=True, kw_only=True)
class Breakpoint:
    """Where a breakpoint is set or removed."""

    address: int


@dataclass(frozen=True, kw_only=True)
class IoPort:
    """An x86 port of `size_bytes`, by the logical CPU that is to do it."""

    lcpu: int
    address: int
    size_bytes: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Msr:
    """A model specific register; 8 bytes of `data` when it is written."""

    address: int
    lcpu: int
    data: bytes = b""


@dataclass(frozen=True, kw_only=True)
class ExceptionInfo:
    """Why one CPU stopped, in the numbers of mach/exception_types.h."""

    cpu: int
    exception: int
    code: int
    subcode: int


@dataclass(frozen=True, kw_only=True)
class ExceptionNote:
    """KDP_EXCEPTION: the kernel has stopped."""

    stops: tuple[ExceptionInfo, ...]


@dataclass(frozen=True, kw_only=True)
class Termination:
    """KDP_TERMINATION: the kernel is going; 1 exit, 2 power off, 3 reboot."""

    term_code: int
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class Text:
    """One string: the kernel's version, an image's path, the arguments of a load."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Region:
    """One region of 32-bit kernel memory, with Mach's protection."""

    address: int
    size_bytes: int
    protection: int


@dataclass(frozen=True, kw_only=True)
class Regions:
    """KDP_REGIONS' reply."""

    regions: tuple[Region, ...]


@dataclass(frozen=True, kw_only=True)
class DumpInfo:
    """Where the kernel is to send a core, and what it is to do then."""

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
    """One packet: whose it is by sequence and key, which way it goes, and what it says."""

    request: Request
    is_reply: bool
    sequence: int
    key: int
    body: Body
