# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An emulated kext as a stopped kernel: what harness/kdp's server puts in front of a debugger.

Breakpoints are int3 bytes in the kext's code, a step is one instruction. One thread of the kext's
is debugged: it is stopped before its first instruction, and runs to its end when it is let go.
"""

from unicorn import UcError

from harness.errors import RuleBroken
from harness.kdp.packets import ExceptionInfo, KdpStatus
from harness.kdp.registers import CPU_TYPE_X86_64, X86_THREAD
from harness.kext.emulator.cpu import IMAGE_AT, RETURN_AT
from harness.kext.emulator.kernel import Kernel
from harness.kext.emulator.threads import Thread

_BREAK_BYTE = b"\xcc"
_TRAP_FLAG = 1 << 8
_KERNEL_CS = 8
_EXC_BAD_ACCESS, _EXC_BREAKPOINT = 1, 6
_HIT, _STEPPED = 2, 1


class DebuggedThread:
    """One thread of an emulated kext, for `harness.kdp.stub.StubServer`."""

    cpu_type = CPU_TYPE_X86_64
    cpu_subtype = 3
    banner = f"Darwin Kernel Version 24.4.0: emulated; stext={IMAGE_AT:#x}"

    def __init__(self, kernel: Kernel, thread: Thread) -> None:
        self.kernel = kernel
        self.ended = False
        self._planted: dict[int, bytes] = {}
        kernel.threads.current = thread
        kernel.cpu.begin(thread.entry, thread.arguments, thread.stack)
        kernel.cpu.set("cs", _KERNEL_CS)

    @property
    def planted(self) -> frozenset[int]:
        """Where breakpoints are now."""
        return frozenset(self._planted)

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Return memory, planted breakpoints showing."""
        try:
            return self.kernel.cpu.read(address, size_bytes)
        except UcError:
            return None

    def write(self, address: int, data: bytes) -> bool:
        """Change memory; tell whether it is there."""
        try:
            self.kernel.cpu.write(address, data)
        except UcError:
            return False
        self.kernel.cpu.engine.ctl_flush_tb()
        return True

    def plant(self, address: int) -> KdpStatus:
        """Put an int3 where an instruction begins."""
        if address in self._planted:
            return KdpStatus.BREAKPOINT_ALREADY_SET
        was = self.read(address, 1)
        if was is None:
            return KdpStatus.BAD_ACCESS
        self._planted[address] = was
        self.write(address, _BREAK_BYTE)
        return KdpStatus.NO_ERROR

    def clear(self, address: int) -> KdpStatus:
        """Put the instruction's first byte back."""
        if address not in self._planted:
            return KdpStatus.BREAKPOINT_NOT_FOUND
        self.write(address, self._planted.pop(address))
        return KdpStatus.NO_ERROR

    def registers(self) -> dict[str, int]:
        """Return the thread state."""
        return {name: self.kernel.cpu.get(name) for name in X86_THREAD.names}

    def set_registers(self, values: dict[str, int]) -> None:
        """Set the thread state; segments are the kernel's own and stay."""
        for name in X86_THREAD.names[:-3]:
            self.kernel.cpu.set(name, values[name])

    def run(self) -> ExceptionInfo | None:
        """Run to an int3, a fault, or, with TF, over one instruction; None at the thread's end."""
        cpu = self.kernel.cpu
        flags = cpu.get("rflags")
        step = bool(flags & _TRAP_FLAG)
        cpu.set("rflags", flags & ~_TRAP_FLAG)
        cpu.trapped = False
        try:
            cpu.run(1 if step else 0)
        except RuleBroken:
            return ExceptionInfo(cpu=0, exception=_EXC_BAD_ACCESS, code=1, subcode=0)
        if cpu.trapped:
            if cpu.get("rip") - 1 in self._planted:
                cpu.set("rip", cpu.get("rip") - 1)
            return ExceptionInfo(cpu=0, exception=_EXC_BREAKPOINT, code=_HIT, subcode=0)
        if step:
            cpu.set("rflags", flags)
            return ExceptionInfo(cpu=0, exception=_EXC_BREAKPOINT, code=_STEPPED, subcode=0)
        self.ended = cpu.get("rip") == RETURN_AT
        return None
