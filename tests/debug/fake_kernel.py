# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A tiny XNU-like kernel: real x86_64 code of a Mach-O, executed by Unicorn, slid like KASLR.

Breakpoints, steps and registers are those of harness/kext/emulator/stopped.py.
"""

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from unicorn import UC_ARCH_X86, UC_HOOK_INTR, UC_MODE_64, Uc, UcError
from unicorn import unicorn_const as uc

from harness.kext.emulator.stopped import EXC_BAD_ACCESS, StoppedMachine
from harness.protocols.kdp.packets import ExceptionInfo

SOURCE = Path(__file__).parent / "data" / "xnu_like.c"
# __TEXT is linked where XNU's is; the slide is one that KASLR could choose.
LINKED_AT = 0x100000000
TEXT_AT = 0xFFFFFF8000200000 + 0x12000000
SLIDE = TEXT_AT - LINKED_AT
_STACK = 0xFFFFFF9000000000
_STACK_BYTES = 0x10000
_PAGE = 0x1000
_MAX_INSTRUCTIONS = 200_000
_SEGMENT_64, _MAIN = 0x19, 0x80000028


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
    """One segment of a Mach-O file: its address in memory, and its content."""

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


class FakeKernel(StoppedMachine):
    """The emulated kernel behind the KDP stub.

    `pc_past_trap` says whether pc is after an int3 that was hit.
    """

    banner = (
        "Darwin Kernel Version 22.1.0: tests; UUID=01234567-89AB-CDEF-0123-456789ABCDEF; "
        f"stext={TEXT_AT:#x}"
    )

    def __init__(self, kernel: Path, *, pc_past_trap: bool) -> None:
        engine = Uc(UC_ARCH_X86, UC_MODE_64)
        super().__init__(engine, pc_past_trap=pc_past_trap)
        self._trapped = False
        # Kernel addresses are not canonical for Unicorn's own page tables.
        engine.ctl_set_tlb_mode(uc.UC_TLB_VIRTUAL)
        engine.hook_add(UC_HOOK_INTR, self._on_interrupt)
        found, entry = segments(kernel.read_bytes())
        for segment in found:
            size = -(-segment.size_bytes // _PAGE) * _PAGE
            engine.mem_map(segment.address + SLIDE, size)
            engine.mem_write(segment.address + SLIDE, segment.data)
        engine.mem_map(_STACK, _STACK_BYTES)
        self.set("rsp", _STACK + _STACK_BYTES - 0x108)
        self.set("rip", TEXT_AT + entry)
        self.set("cs", 8)
        if self.run() is None:
            raise RuntimeError("the fake kernel did not reach its Debugger()")

    def emulate(self, *, step: bool) -> ExceptionInfo | None:
        """Run the kernel; return a fault's exception, or None after any other stop."""
        self._trapped = False
        try:
            # The kernel never reaches address 0, so it runs to a trap, a fault or the limit.
            self._engine.emu_start(self.get("rip"), 0, count=1 if step else _MAX_INSTRUCTIONS)
        except UcError as error:
            return ExceptionInfo(cpu=0, exception=EXC_BAD_ACCESS, code=error.errno, subcode=0)
        return None

    def has_trapped(self) -> bool:
        """Return whether the last run ended at an int3."""
        return self._trapped

    def _on_interrupt(self, engine: Uc, number: int, _data: object) -> None:
        self._trapped = number == 3
        engine.emu_stop()
