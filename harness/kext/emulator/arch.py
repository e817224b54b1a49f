# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How the emulated processors differ: registers, calling conventions and page size.

Source: System V psABI of x86-64; Arm's AAPCS64; Apple's 'Writing ARM64 code for Apple platforms',
which puts variadic arguments on the stack.
"""

from dataclasses import dataclass

from unicorn import UC_ARCH_ARM64, UC_ARCH_X86, UC_MODE_64, UC_MODE_ARM
from unicorn import arm64_const as arm64
from unicorn import x86_const as x86

from harness.kext.macho import CPU_TYPE_ARM64, CPU_TYPE_X86_64


@dataclass(frozen=True, kw_only=True)
class Arch:
    """The description of one emulated processor; `registers` maps register names to Unicorn's.

    A call's return address is in the register `link`, or on the stack where `link` is ''.
    `cleared` are the registers that are set to 0 at the beginning of a call, or to their value in
    `initial`. `native` is machine code for the functions that are called most, `ret` the code of
    every other kernel function. `page_bytes` is the size of XNU's pages.
    """

    name: str
    engine: tuple[int, int]
    model: int | None
    registers: dict[str, int]
    arguments: tuple[str, ...]
    variadic_on_stack: bool
    pc: str
    stack: str
    result: str
    link: str
    cleared: tuple[str, ...]
    initial: dict[str, int]
    ret: bytes
    native: dict[str, bytes]
    page_bytes: int


_X86_GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rdi", "rsi", "rbp", "rsp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)
_X86_SEGMENTS = ("cs", "fs", "gs")
X86_64 = Arch(
    name="x86_64",
    engine=(UC_ARCH_X86, UC_MODE_64),
    model=None,
    registers={
        name: getattr(x86, f"UC_X86_REG_{name.upper()}")
        for name in (*_X86_GENERAL, *_X86_SEGMENTS)
    },
    arguments=("rdi", "rsi", "rdx", "rcx", "r8", "r9"),
    variadic_on_stack=False,
    pc="rip",
    stack="rsp",
    result="rax",
    link="",
    cleared=_X86_GENERAL,
    # Bit 1 of the flags is always set on x86.
    initial={"rflags": 2},
    ret=b"\xc3",
    # Copying and filling run as machine code, which is fast and obeys page protections.
    native={
        "_memcpy": bytes.fromhex("4889f8 4889d1 f3a4 c3"),
        "_memset": bytes.fromhex("57 89f0 4889d1 f3aa 58 c3"),
        "___bzero": bytes.fromhex("31c0 4889f1 f3aa c3"),
    },
    page_bytes=0x1000,
)
_ARM64_GENERAL = tuple(f"x{number}" for number in range(31))
ARM64 = Arch(
    name="arm64",
    engine=(UC_ARCH_ARM64, UC_MODE_ARM),
    # Apple's compiler emits the atomic instructions of Armv8.1, so the processor needs them.
    model=arm64.UC_CPU_ARM64_MAX,
    registers={
        name: getattr(arm64, f"UC_ARM64_REG_{name.upper()}")
        for name in (*_ARM64_GENERAL, "sp", "pc", "nzcv")
    },
    arguments=_ARM64_GENERAL[:8],
    variadic_on_stack=True,
    pc="pc",
    stack="sp",
    result="x0",
    link="x30",
    cleared=(*_ARM64_GENERAL, "nzcv"),
    initial={},
    ret=bytes.fromhex("c0035fd6"),
    # The function copies byte by byte: mov, cbz, ldrb, strb, subs, b.ne, ret.
    native={
        "_memcpy": bytes.fromhex("e30300aa a20000b4 24144038 64140038 420400f1 a1ffff54 c0035fd6"),
        "_memset": bytes.fromhex("e30300aa 820000b4 61140038 420400f1 c1ffff54 c0035fd6"),
        "___bzero": bytes.fromhex("810000b4 1f140038 210400f1 c1ffff54 c0035fd6"),
    },
    page_bytes=0x4000,
)
ARCHES = {CPU_TYPE_X86_64: X86_64, CPU_TYPE_ARM64: ARM64}
