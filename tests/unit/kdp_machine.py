# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A fake stopped kernel, a page of memory and a set of registers, for tests of KDP."""

from harness.protocols.kdp.packets import ExceptionInfo, KdpStatus, Termination
from harness.protocols.kdp.registers import CPU_TYPE_X86_64, X86_THREAD

BASE = 0xFFFFFF8012200000
BANNER = (
    "Darwin Kernel Version 22.1.0: root:xnu~1/RELEASE_X86_64; "
    "UUID=01234567-89AB-CDEF-0123-456789ABCDEF; stext=0xffffff8012200000"
)


class PageMachine:
    """A machine with one page of memory at BASE; `run` returns the next of the given stops."""

    cpu_type = CPU_TYPE_X86_64
    cpu_subtype = 3
    banner = BANNER

    def __init__(self, *stops: ExceptionInfo | Termination) -> None:
        self.memory = bytearray(range(256)) * 16
        self.planted: set[int] = set()
        self.values = dict.fromkeys(X86_THREAD.names, 0)
        self.runs = 0
        self.flags_at_run: list[int] = []
        self._stops = list(stops)

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Return memory of the page."""
        start = address - BASE
        if not 0 <= start <= len(self.memory) - size_bytes:
            return None
        return bytes(self.memory[start : start + size_bytes])

    def write(self, address: int, data: bytes) -> bool:
        """Change memory of the page."""
        start = address - BASE
        if not 0 <= start <= len(self.memory) - len(data):
            return False
        self.memory[start : start + len(data)] = data
        return True

    def plant(self, address: int) -> KdpStatus:
        """Record a breakpoint."""
        if address in self.planted:
            return KdpStatus.BREAKPOINT_ALREADY_SET
        self.planted.add(address)
        return KdpStatus.NO_ERROR

    def clear(self, address: int) -> KdpStatus:
        """Remove the record of a breakpoint."""
        if address not in self.planted:
            return KdpStatus.BREAKPOINT_NOT_FOUND
        self.planted.remove(address)
        return KdpStatus.NO_ERROR

    def registers(self) -> dict[str, int]:
        """Return the registers."""
        return dict(self.values)

    def set_registers(self, values: dict[str, int]) -> None:
        """Set the registers."""
        self.values = dict(values)

    def run(self) -> ExceptionInfo | Termination | None:
        """Return the next stop."""
        self.runs += 1
        self.flags_at_run.append(self.values["rflags"])
        return self._stops.pop(0) if self._stops else None
