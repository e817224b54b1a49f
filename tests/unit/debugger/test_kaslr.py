# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of kaslr: a kernel's address is read from its IDT, and its build id from its notes."""

import struct
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from harness.debugger import kaslr
from harness.debugger.inside.elf import Image
from harness.errors import UsageError
from harness.guest.domain import Domain

LINKED = 0xFFFFFFFF81C00BE0
NOTES = 0xFFFFFFFF82000000
SLIDE = 0x1200000


def notes(build_id: bytes) -> bytes:
    """Return an ELF note that holds a GNU build id."""
    return struct.pack("<III", 4, len(build_id), 3) + b"GNU\0" + build_id


class Monitor:
    """A fake of QEMU's monitor that reads a given memory."""

    def __init__(self, memory: dict[int, bytes]) -> None:
        self._memory = memory

    def hmp(self, command: str) -> str:
        """Answer `x /NFx ADDRESS` as QEMU does: a line has 2 values of 8 bytes, or 8 of 1 byte."""
        _, form, where = command.split()
        count, size = int(form[1:-2]), {"g": 8, "b": 1}[form[-2]]
        address = int(where, 16)
        data = self._memory.get(address)
        if data is None:
            return f"{address:016x}: Cannot access memory"
        values = [
            int.from_bytes(data[at * size : (at + 1) * size], "little") for at in range(count)
        ]
        width = 2 if size == 8 else 8
        rows = range(0, count, width)
        return "\r\n".join(
            f"{address + row * size:016x}:"
            + "".join(f" 0x{value:0{2 * size}x}" for value in values[row : row + width])
            for row in rows
        )


class Kernel:
    """A fake vmlinux with the symbols that the tests need."""

    path = "vmlinux"
    build_id = "aa" * 20

    def __init__(self, without: str = "") -> None:
        end = NOTES + len(notes(bytes(20)))
        symbols = {"asm_exc_page_fault": LINKED, "__start_notes": NOTES, "__stop_notes": end}
        self._symbols = {name: at for name, at in symbols.items() if name != without}

    def symbol(self, name: str) -> int:
        """Return the linked address of a symbol."""
        return self._symbols[name]


def gate(handler: int) -> bytes:
    """Return the IDT entry of a handler (Intel SDM volume 3, figure 6-8)."""
    low, middle, high = handler & 0xFFFF, handler >> 16 & 0xFFFF, handler >> 32
    return struct.pack("<HHBBHII", low, 0x10, 0, 0x8E, middle, high, 0)


IDT = 0xFFFFFE00000000E0
IMAGE: Any = Kernel()


def domain(memory: dict[int, bytes]) -> Domain:
    """Return a fake guest with this memory."""
    return cast("Domain", Monitor(memory))


def test_the_slide_is_computed_from_the_page_fault_entry_of_the_idt() -> None:
    """KASLR's slide is the page fault handler's address in the guest minus that in vmlinux."""
    guest = domain({IDT: gate(LINKED + SLIDE)})

    assert kaslr.slide(guest, cast("Image", IMAGE)) == SLIDE


def test_a_kernel_without_an_idt_has_no_slide_yet() -> None:
    """A guest at its first instruction has no IDT, so `slide` returns None."""
    assert kaslr.slide(domain({}), cast("Image", IMAGE)) is None
    assert kaslr.slide(domain({IDT: bytes(16)}), cast("Image", IMAGE)) is None


def test_a_slide_that_is_no_multiple_of_2_mib_is_refused_as_another_kernel() -> None:
    """A slide that is no multiple of 2 MiB (CONFIG_PHYSICAL_ALIGN) shows another kernel."""
    with pytest.raises(UsageError, match="not this guest's kernel"):
        kaslr.slide(domain({IDT: gate(LINKED + 0x1234)}), cast("Image", IMAGE))


def test_a_guests_kernel_with_another_build_id_is_refused() -> None:
    """The guest's build id must equal vmlinux's; the check is False for unreadable memory."""
    same = domain({NOTES + SLIDE: notes(b"\xaa" * 20)})
    other = domain({NOTES + SLIDE: notes(b"\xbb" * 20)})

    assert kaslr.check_build(same, cast("Image", IMAGE), SLIDE)
    assert not kaslr.check_build(domain({}), cast("Image", IMAGE), SLIDE)
    with pytest.raises(UsageError, match="the guest's kernel bbbb"):
        kaslr.check_build(other, cast("Image", IMAGE), SLIDE)


def test_a_vmlinux_without_the_symbol_of_the_page_faults_handler_is_refused() -> None:
    """Without this symbol no slide can be computed, and the error names it."""
    stripped = cast("Image", Kernel(without="asm_exc_page_fault"))

    with pytest.raises(UsageError, match="vmlinux has no symbol asm_exc_page_fault") as caught:
        kaslr.slide(domain({IDT: gate(LINKED + SLIDE)}), stripped)

    assert "kernel-symbols" in caught.value.hint


@pytest.mark.parametrize("name", ["__start_notes", "__stop_notes"])
def test_a_vmlinux_that_does_not_say_where_the_notes_are_is_not_compared(name: str) -> None:
    """check_build() returns False if vmlinux has no symbol __start_notes or no __stop_notes."""
    guest = domain({NOTES + SLIDE: notes(b"\xaa" * 20)})

    assert not kaslr.check_build(guest, cast("Image", Kernel(without=name)), SLIDE)


@pytest.mark.parametrize("size_bytes", [6, 64, 1000])
def test_a_vmlinux_that_was_cut_off_is_refused(tmp_path: Path, size_bytes: int) -> None:
    """A file that ends before its tables of sections or symbols is damaged."""
    whole = Path(sys.executable).resolve().read_bytes()
    file = tmp_path / "vmlinux"
    file.write_bytes(whole[:size_bytes])

    with pytest.raises(UsageError, match="damaged"):
        kaslr.slide(domain({IDT: gate(LINKED + SLIDE)}), Image(file))
