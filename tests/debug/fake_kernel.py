# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A tiny XNU-like kernel: real x86_64 code of a Mach-O, executed by Unicorn, slid like KASLR.

Breakpoints are int3 bytes in its memory, single step is TF, faults are Mach exceptions: what a
kernel behind KDP has.
"""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_64, Uc, UcError
from unicorn import unicorn_const as uc
from unicorn import x86_const as x86

from harness.kdp.packets import ExceptionInfo, KdpStatus
from harness.kdp.registers import CPU_TYPE_X86_64, X86_THREAD

SOURCE = Path(__file__).parent / "data" / "xnu_like.c"
# Where the linker puts __TEXT, where XNU would, and a slide that KASLR could have chosen.
LINKED_AT = 0x100000000
TEXT_AT = 0xFFFFFF8000200000 + 0x12000000
SLIDE = TEXT_AT - LINKED_AT
_STACK = 0xFFFFFF9000000000
_STACK_BYTES = 0x10000
_PAGE = 0x1000
_BREAK_BYTE = b"\xcc"
_TRAP_FLAG = 1 << 8
_MAX_INSTRUCTIONS = 200_000
_EXC_BAD_ACCESS, _EXC_BREAKPOINT = 1, 6
_SEGMENT_64, _MAIN = 0x19, 0x80000028
_REGISTERS = {name: getattr(x86, f"UC_X86_REG_{name.upper()}") for name in X86_THREAD.names}


def build(folder: Path) -> Path:
    """Return a Mach-O executable of the fake kernel, its object with DWARF beside it."""
    obj, kernel = folder / "xnu_like.o", folder / "kernel"
    target = ("-target", "x86_64-apple-macosx10.15")
    flags = ("-g", "-O0", "-fno-omit-frame-pointer", "-ffreestanding", "-mno-red-zone")
    subprocess.run(["clang", *target, *flags, "-c", SOURCE, "-o", obj], check=True)
    version = ("-platform_version", "macos", "10.15", "10.15")
    files = ("-o", str(kernel), str(obj))
    line = ["ld64.lld-19", "-arch", "x86_64", *version, "-e", "_kernel_main", *files]
    subprocess.run(line, check=True)
    return kernel


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment of a Mach-O: where it lies in memory, and what is in it."""

    address: int
    size_bytes: int
    data: bytes


def segments(data: bytes) -> tuple[list[Segment], int]:
    """Return the segments of a 64-bit Mach-O, and the file offset of its entry point."""
    found, entry = [], 0
    position = 32
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        command, size = struct.unpack_from("<II", data, position)
        if command == _SEGMENT_64:
            at, length, offset, filled = struct.unpack_from("<4Q", data, position + 24)
            if filled:
                part = data[offset : offset + filled]
                found.append(Segment(address=at, size_bytes=length, data=part))
        elif command == _MAIN:
            (entry,) = struct.unpack_from("<Q", data, position + 8)
        position += size
    return found, entry


class FakeKernel:
    """The machine behind the stub; `trap_leaves_pc` says whether pc is past an int3 that hit."""

    cpu_type = CPU_TYPE_X86_64
    cpu_subtype = 3
    banner = (
        "Darwin Kernel Version 22.1.0: tests; UUID=01234567-89AB-CDEF-0123-456789ABCDEF; "
        f"stext={TEXT_AT:#x}"
    )

    def __init__(self, kernel: Path, *, pc_past_trap: bool) -> None:
        self._pc_past_trap = pc_past_trap
        self._planted: dict[int, bytes] = {}
        self._trapped = False
        self._engine = Uc(UC_ARCH_X86, UC_MODE_64)
        # Kernel addresses are not canonical for Unicorn's own page tables.
        self._engine.ctl_set_tlb_mode(uc.UC_TLB_VIRTUAL)
        self._engine.hook_add(UC_HOOK_INTR, self._on_interrupt)
        found, entry = segments(kernel.read_bytes())
        for segment in found:
            size = -(-segment.size_bytes // _PAGE) * _PAGE
            self._engine.mem_map(segment.address + SLIDE, size)
            self._engine.mem_write(segment.address + SLIDE, segment.data)
        self._engine.mem_map(_STACK, _STACK_BYTES)
        self._set("rsp", _STACK + _STACK_BYTES - 0x108)
        self._set("rip", TEXT_AT + entry)
        self._set("cs", 8)
        if self.run() is None:
            raise RuntimeError("the fake kernel did not reach its Debugger()")

    def read(self, address: int, size_bytes: int) -> bytes | None:
        """Return memory, planted breakpoints showing, as XNU's does."""
        try:
            return bytes(self._engine.mem_read(address, size_bytes))
        except UcError:
            return None

    def write(self, address: int, data: bytes) -> bool:
        """Change memory."""
        try:
            self._engine.mem_write(address, data)
        except UcError:
            return False
        self._engine.ctl_flush_tb()
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

    @property
    def planted(self) -> frozenset[int]:
        """Where breakpoints are now."""
        return frozenset(self._planted)

    def registers(self) -> dict[str, int]:
        """Return the thread state."""
        return {name: self._engine.reg_read(number) for name, number in _REGISTERS.items()}

    def set_registers(self, values: dict[str, int]) -> None:
        """Set the thread state; segments are the kernel's own and stay."""
        for name in X86_THREAD.names[:-3]:
            self._set(name, values[name])

    def run(self) -> ExceptionInfo | None:
        """Run to an int3, a fault, or, with TF, over one instruction; None when none comes."""
        begin = self._engine.reg_read(_REGISTERS["rip"])
        flags = self._engine.reg_read(_REGISTERS["rflags"])
        step = bool(flags & _TRAP_FLAG)
        self._set("rflags", flags & ~_TRAP_FLAG)
        self._trapped = False
        try:
            self._engine.emu_start(begin, 0, count=1 if step else _MAX_INSTRUCTIONS)
        except UcError as error:
            return ExceptionInfo(cpu=0, exception=_EXC_BAD_ACCESS, code=error.errno, subcode=0)
        if self._trapped:
            pc = self._engine.reg_read(_REGISTERS["rip"])
            if not self._pc_past_trap and pc - 1 in self._planted:
                self._set("rip", pc - 1)
            return ExceptionInfo(cpu=0, exception=_EXC_BREAKPOINT, code=2, subcode=0)
        if step:
            self._set("rflags", flags)
            return ExceptionInfo(cpu=0, exception=_EXC_BREAKPOINT, code=1, subcode=0)
        return None

    def _on_interrupt(self, engine: Uc, number: int, _data: object) -> None:
        self._trapped = number == 3
        engine.emu_stop()

    def _set(self, name: str, value: int) -> None:
        self._engine.reg_write(_REGISTERS[name], value)
