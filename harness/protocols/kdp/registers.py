# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The register sets that KDP transfers, as names and values. Pure.

A set has a number (its flavour), which means a different set on each architecture. The segment
registers of x86-64 are 64 bits wide in packets although those of the CPU are not.
Source: xnu-11417.101.15, osfmk/mach/{i386,arm}/thread_status.h and _structs.h.
"""

import struct
from dataclasses import dataclass

from harness.errors import DebugError

# mach/machine.h
CPU_TYPE_X86_64 = 0x01000007
CPU_TYPE_ARM64 = 0x0100000C
ARCHITECTURES = {CPU_TYPE_X86_64: "x86_64", CPU_TYPE_ARM64: "arm64"}


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """One register set that KDP transfers: its number, and the names and widths in order.

    `layout` is the struct format of the whole set in a packet.
    """

    number: int
    layout: str
    names: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        """The number of bytes that this register set takes in a KDP packet."""
        return struct.calcsize(self.layout)

    def encode(self, values: dict[str, int]) -> bytes:
        """Return register values, given by name, as the bytes of this set in a KDP packet.

        Raises: DebugError for a register without a value, or a value that is too wide.
        """
        try:
            return struct.pack(self.layout, *(values[name] for name in self.names))
        except (KeyError, struct.error) as error:
            raise DebugError(f"no register set of flavour {self.number}: {error}") from error

    def decode(self, data: bytes) -> dict[str, int]:
        """Return the register values in the bytes of this set from a KDP packet, by name.

        Raises: DebugError when the bytes are not as many as the set has.
        """
        if len(data) != self.size_bytes:
            raise DebugError(
                f"flavour {self.number} has {self.size_bytes} bytes, {len(data)} came"
            )
        return dict(zip(self.names, struct.unpack(self.layout, data), strict=True))


# As in x86_thread_state64_t, rdi comes before rsi.
X86_THREAD = Flavor(
    number=4,
    layout="<21Q",
    names=(
        *("rax", "rbx", "rcx", "rdx", "rdi", "rsi", "rbp", "rsp"),
        *(f"r{number}" for number in range(8, 16)),
        *("rip", "rflags", "cs", "fs", "gs"),
    ),
)
X86_EXCEPTION = Flavor(number=6, layout="<HHIQ", names=("trapno", "cpu", "error", "fault_address"))
ARM_THREAD = Flavor(
    number=6,
    layout="<33QII",
    names=(*(f"x{number}" for number in range(29)), "fp", "lr", "sp", "pc", "cpsr", "flags"),
)
ARM_EXCEPTION = Flavor(number=7, layout="<QII", names=("far", "esr", "exception"))

THREAD = {CPU_TYPE_X86_64: X86_THREAD, CPU_TYPE_ARM64: ARM_THREAD}
EXCEPTION = {CPU_TYPE_X86_64: X86_EXCEPTION, CPU_TYPE_ARM64: ARM_EXCEPTION}
