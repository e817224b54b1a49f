# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A Unicorn processor that acts as a stopped x86_64 kernel under a debugger.

The KDP server lets the debugger read memory, set breakpoints and continue. As in a kernel behind
KDP, a breakpoint is an int3 byte in memory, a single step uses the trap flag, and a fault is a
Mach exception.
"""

from abc import ABC, abstractmethod

from unicorn import Uc, UcError
from unicorn import x86_const as x86

from harness.protocols.kdp.packets import ExceptionInfo, KdpStatus
from harness.protocols.kdp.registers import CPU_TYPE_X86_64, X86_THREAD

EXC_BAD_ACCESS, EXC_BREAKPOINT = 1, 6
_BREAK_BYTE = b"\xcc"
_TRAP_FLAG = 1 << 8
# EXC_I386_BPT and EXC_I386_SGL, the codes of EXC_BREAKPOINT.
_HIT, _STEPPED = 2, 1
_REGISTERS = {name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in X86_THREAD.names}


class StoppedMachine(ABC):
    """The stopped kernel that `harness.protocols.kdp.stub.StubServer` lets a debugger control.

    A subclass decides how far the machine runs. When a breakpoint is hit, pc is set back to its
    int3; with `pc_past_trap`, pc stays after the int3.
    """

    cpu_type = CPU_TYPE_X86_64
    cpu_subtype = 3

    def __init__(self, engine: Uc, *, pc_past_trap: bool = False) -> None:
        self._engine = engine
        self._pc_past_trap = pc_past_trap
        self._planted: dict[int, bytes] = {}

    @abstractmethod
    def emulate(self, *, step: bool) -> ExceptionInfo | None:
        """Run to the next stop; return the Mach exception of a fault, None without one.

        With `step`, run one instruction only.
        """

    @abstractmethod
    def has_trapped(self) -> bool:
        """Return whether the machine's last run ended at an int3."""

    @property
    def planted(self) -> frozenset[int]:
        """The addresses at which the debugger has set a breakpoint."""
        return frozenset(self._planted)

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Return the bytes at an address, None where no memory is mapped.

        As in XNU, a breakpoint shows as its int3 byte.
        """
        try:
            return bytes(self._engine.mem_read(address, size_bytes))
        except UcError:
            return None

    def write(self, address: int, data: bytes) -> bool:
        """Write bytes to memory; return False where no memory is mapped."""
        try:
            self._engine.mem_write(address, data)
        except UcError:
            return False
        # Unicorn would go on executing its translation of the code that was there before.
        self._engine.ctl_flush_tb()
        return True

    def plant(self, address: int) -> KdpStatus:
        """Set a breakpoint: replace the first byte of an instruction by int3.

        Return the status that KDP reports: an error for a second one, or where no memory is
        mapped.
        """
        if address in self._planted:
            return KdpStatus.BREAKPOINT_ALREADY_SET
        was = self.read(address, 1)
        if was is None:
            return KdpStatus.BAD_ACCESS
        self._planted[address] = was
        self.write(address, _BREAK_BYTE)
        return KdpStatus.NO_ERROR

    def clear(self, address: int) -> KdpStatus:
        """Remove a breakpoint: restore the instruction's first byte.

        Return the status that KDP reports: an error when there is no breakpoint at the address.
        """
        if address not in self._planted:
            return KdpStatus.BREAKPOINT_NOT_FOUND
        self.write(address, self._planted.pop(address))
        return KdpStatus.NO_ERROR

    def registers(self) -> dict[str, int]:
        """Return KDP's x86 thread state: general registers, flags and segments by name."""
        return {name: self.get(name) for name in X86_THREAD.names}

    def set_registers(self, values: dict[str, int]) -> None:
        """Set KDP's x86 thread state, except the segment registers, which belong to the kernel."""
        for name in X86_THREAD.names[:-3]:
            self.set(name, values[name])

    def get(self, name: str) -> int:
        """Return the value of a register of the stopped processor."""
        return int(self._engine.reg_read(_REGISTERS[name]))

    def set(self, name: str, value: int) -> None:
        """Set a register of the stopped processor."""
        self._engine.reg_write(_REGISTERS[name], value)

    def run(self) -> ExceptionInfo | None:
        """Run to the next stop, and return its Mach exception, or None when the thread ended.

        If the debugger has set the trap flag, only one instruction is executed.
        """
        flags = self.get("rflags")
        step = bool(flags & _TRAP_FLAG)
        self.set("rflags", flags & ~_TRAP_FLAG)
        fault = self.emulate(step=step)
        if fault is not None:
            return fault
        if self.has_trapped():
            pc = self.get("rip")
            if not self._pc_past_trap and pc - 1 in self._planted:
                self.set("rip", pc - 1)
            return ExceptionInfo(cpu=0, exception=EXC_BREAKPOINT, code=_HIT, subcode=0)
        if step:
            # A debugger recognises a step by the trap flag; the other flags are those that the
            # instruction has set.
            self.set("rflags", self.get("rflags") | _TRAP_FLAG)
            return ExceptionInfo(cpu=0, exception=EXC_BREAKPOINT, code=_STEPPED, subcode=0)
        return None
