# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A KDP kernel's registers in the form of gdb-remote: the description, and the bytes. Pure.

gdb accepts a description only when each feature is complete. So registers that KDP does not
transfer are described, too, and sent as 'x' (unavailable). lldb accepts any description and would
show an unavailable register as 0xcccc..., so lldb gets a description of the existing registers
only.
Source: the gdb manual, appendix 'Target Descriptions', Standard Target Features.
"""

from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

from harness.protocols.kdp.registers import CPU_TYPE_ARM64, CPU_TYPE_X86_64


@dataclass(frozen=True, kw_only=True)
class Register:
    """A register as gdb-remote numbers and names it: its size in bits, and KDP's name for it.

    KDP's name is "" for a register that KDP does not transfer.
    """

    name: str
    bits: int
    kdp: str
    type: str = "int"


@dataclass(frozen=True, kw_only=True)
class Description:
    """The registers of an architecture in gdb's order.

    `architecture` and `feature` are gdb's names, `triple` is lldb's name of the machine, and `pc`
    the name of the program counter.
    """

    architecture: str
    feature: str
    triple: str
    pc: str
    registers: tuple[Register, ...]

    def xml(self) -> str:
        """Return the description of the registers in gdb's XML format."""
        root = ET.Element("target", version="1.0")
        ET.SubElement(root, "architecture").text = self.architecture
        feature = ET.SubElement(root, "feature", name=self.feature)
        for register in self.registers:
            ET.SubElement(
                feature,
                "reg",
                name=register.name,
                bitsize=str(register.bits),
                type=register.type,
            )
        head = '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd">'
        return head + ET.tostring(root, encoding="unicode")

    def for_lldb(self) -> "Description":
        """Return the description without the registers that KDP does not transfer.

        The flags of x86-64 have the name rflags in it, as in lldb, not eflags as in gdb.
        """
        moved = tuple(
            replace(register, name=register.kdp if register.kdp == "rflags" else register.name)
            for register in self.registers
            if register.kdp
        )
        return replace(self, registers=moved)

    def hex_of(self, register: Register, values: dict[str, int]) -> bytes:
        """Return one register as hex digits in memory order; 'x' characters without a value."""
        count = register.bits // 8
        if register.kdp not in values:
            return b"xx" * count
        value = values[register.kdp] & ((1 << register.bits) - 1)
        return value.to_bytes(count, "little").hex().encode()

    def all_hex(self, values: dict[str, int]) -> bytes:
        """Return every register, in the form of the reply to 'g'."""
        return b"".join(self.hex_of(register, values) for register in self.registers)

    def from_hex(self, text: bytes, values: dict[str, int]) -> dict[str, int]:
        """Return `values`, changed by the registers that a 'G' packet sets.

        'x' leaves a register unchanged.
        Raises: ValueError for text that is shorter than the registers, or not hex.
        """
        found, position = dict(values), 0
        for register in self.registers:
            digits = text[position : position + register.bits // 4]
            position += register.bits // 4
            if register.kdp in values and b"x" not in digits:
                found[register.kdp] = int.from_bytes(bytes.fromhex(digits.decode()), "little")
        if position > len(text):
            raise ValueError(f"{len(text)} of {position} digits")
        return found


def _x86_64() -> Description:
    words = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi")
    pointers = ("rbp", "rsp")
    numbered = tuple(f"r{number}" for number in range(8, 16))
    segments = ("cs", "ss", "ds", "es", "fs", "gs")
    control = ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")
    moved = {"cs", "fs", "gs"}
    return Description(
        architecture="i386:x86-64",
        feature="org.gnu.gdb.i386.core",
        triple="x86_64-apple-macosx",
        pc="rip",
        registers=(
            *(Register(name=name, bits=64, kdp=name) for name in words),
            *(Register(name=name, bits=64, kdp=name, type="data_ptr") for name in pointers),
            *(Register(name=name, bits=64, kdp=name) for name in numbered),
            Register(name="rip", bits=64, kdp="rip", type="code_ptr"),
            Register(name="eflags", bits=32, kdp="rflags"),
            *(
                Register(name=name, bits=32, kdp=name if name in moved else "")
                for name in segments
            ),
            *(
                Register(name=f"st{number}", bits=80, kdp="", type="i387_ext")
                for number in range(8)
            ),
            *(Register(name=name, bits=32, kdp="") for name in control),
        ),
    )


def _arm64() -> Description:
    return Description(
        architecture="aarch64",
        feature="org.gnu.gdb.aarch64.core",
        triple="arm64-apple-macosx",
        pc="pc",
        registers=(
            *(Register(name=f"x{number}", bits=64, kdp=f"x{number}") for number in range(29)),
            Register(name="x29", bits=64, kdp="fp"),
            Register(name="x30", bits=64, kdp="lr"),
            Register(name="sp", bits=64, kdp="sp", type="data_ptr"),
            Register(name="pc", bits=64, kdp="pc", type="code_ptr"),
            Register(name="cpsr", bits=32, kdp="cpsr"),
        ),
    )


DESCRIPTIONS = {CPU_TYPE_X86_64: _x86_64(), CPU_TYPE_ARM64: _arm64()}
