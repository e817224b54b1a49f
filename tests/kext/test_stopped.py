# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Flags survive between two instructions: in a debugger's single steps, and in thread switches."""

import pytest

from harness.kext.emulator.arch import ARM64, X86_64, Arch
from harness.kext.emulator.core import Core
from harness.kext.emulator.cpu import IMAGE_AT
from harness.kext.emulator.debug import DebuggedThread
from harness.protocols.kdp.packets import ExceptionInfo

_TRAP_FLAG, _ZERO_FLAG = 1 << 8, 1 << 6
_STEPPED = ExceptionInfo(cpu=0, exception=6, code=1, subcode=0)
_OTHER_AT = IMAGE_AT + 0x100
_CODE_BYTES = 0x4000
# cmp eax, eax; je over the next instruction; mov al, 1; ret
_EQUAL = bytes.fromhex("39c0 7402 b001 c3")
# cmp eax, ecx; je; ret, for eax 0 and ecx 1
_UNEQUAL = bytes.fromhex("39c8 7402 b001 c3")


def kernel_with(arch: Arch, code: bytes, other: bytes = b"") -> Core:
    """Return an emulated kernel without a kext, with code at IMAGE_AT and at _OTHER_AT."""
    kernel = Core(lambda _name: None, lambda _thread: None, arch)
    kernel.cpu.engine.mem_map(IMAGE_AT, _CODE_BYTES)
    kernel.cpu.write(IMAGE_AT, code)
    kernel.cpu.write(_OTHER_AT, other)
    return kernel


def debugged(code: bytes) -> DebuggedThread:
    """Return a thread that is stopped before the first instruction of the code."""
    kernel = kernel_with(X86_64, code)
    return DebuggedThread(kernel, kernel.begin("thread", kernel.nobody, IMAGE_AT, ()))


def step(machine: DebuggedThread) -> int:
    """Execute one instruction as a debugger does; return how far pc is into the code."""
    machine.set("rflags", machine.get("rflags") | _TRAP_FLAG)
    assert machine.run() == _STEPPED
    return machine.get("rip") - IMAGE_AT


@pytest.mark.parametrize(
    ("code", "after_je"), [(_EQUAL, 6), (_UNEQUAL, 4)], ids=["equal", "unequal"]
)
def test_a_stepped_conditional_branch_is_taken_exactly_if_the_stepped_compare_was_equal(
    code: bytes, after_je: int
) -> None:
    """The emulator keeps the CPU's flags between two single steps of a debugger."""
    machine = debugged(code)
    machine.set("rcx", 1)

    assert step(machine) == 2
    assert bool(machine.get("rflags") & _ZERO_FLAG) == (code == _EQUAL)
    assert step(machine) == after_je


def test_a_zero_flag_set_before_a_step_is_cleared_by_the_stepped_unequal_compare() -> None:
    """In the emulator, a flag that a debugger has set is cleared by the stepped compare."""
    machine = debugged(_UNEQUAL)
    machine.set("rcx", 1)
    machine.set("rflags", machine.get("rflags") | _ZERO_FLAG)

    step(machine)

    assert not machine.get("rflags") & _ZERO_FLAG


def test_after_a_step_the_trap_flag_is_set() -> None:
    """The KDP bridge recognises a step of the emulated CPU by this flag, as on a real kernel."""
    machine = debugged(_EQUAL)

    step(machine)

    assert machine.get("rflags") & _TRAP_FLAG


@pytest.mark.parametrize(
    ("arch", "code", "other", "after_branch"),
    [
        (X86_64, _EQUAL, bytes.fromhex("83f801 c3"), 6),
        # cmp w0, w0; b.eq over the next instruction; mov w0, 1; ret. The other: cmp w0, 1; ret.
        (
            ARM64,
            bytes.fromhex("1f00006b 40000054 20008052 c0035fd6"),
            bytes.fromhex("1f040071 c0035fd6"),
            12,
        ),
    ],
    ids=["x86_64", "arm64"],
)
def test_a_thread_keeps_its_flags_while_another_thread_runs(
    arch: Arch, code: bytes, other: bytes, after_branch: int
) -> None:
    """If the emulator switches threads before a branch, the branch uses its thread's flags."""
    kernel = kernel_with(arch, code, other)
    first = kernel.begin("first", kernel.nobody, IMAGE_AT, ())
    second = kernel.begin("second", kernel.nobody, _OTHER_AT, ())

    for thread in (first, second, first):
        kernel.threads.run_steps(thread, 1)

    assert kernel.cpu.pc_of(first.context) == IMAGE_AT + after_branch
