# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the function that a tail call hid from a stack, by the call before a return address.

A compiler turns 'kfree(x);' at the end of a function into a jump. The function's frame is gone
when kfree runs, and the stack shows kfree called by the function's caller. But the caller still
has its call instruction before the return address, and that names the hidden function.

Only calls with a fixed target are read: x86-64's 'call rel32' (Intel SDM, CALL) and arm64's BL
(Arm ARM, C6.2). The jump out of the function is 'jmp rel32' or B. The target comes from the
relocation of the call if the file still has one, else from the instruction.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.panic import guilty
from harness.panic.tables.function_lists import functions
from harness.panic.values import Frame, KernelReport
from harness.symbols.elf import Code, Symbol

_CALL_BYTES = 5
_CALL_REL32 = 0xE8
_BL = 0b100101
_JMP_REL32 = b"\xe9"
_B = 0b000101
# Targets that stand for another function, which is not known before the kernel runs.
_STAND_INS = ("__x86_indirect", "__x86_return", "__SCT__", "__SCK__", "__pi_", "__fentry__")
# Since 6.10 an allocator's name is a macro around NAME_noprof.
_VARIANT = re.compile(r"_noprof$|^_+")


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """A function that a stack does not show: it was called, and went on to `into` by a jump.

    `jump` is an address within that jump, in the function's section, None if it is not known.
    """

    function: str
    into: str
    jump: int | None


def hidden(inner: Frame, symbol: Symbol, offset: int, code: Code) -> Hidden | None:
    """Return the function that a tail call hid between two frames, None if none is known.

    `symbol` + `offset` is the outer frame's return address, and `inner` is the frame that the
    stack shows as called by it. If the call before that address calls another function than
    `inner`, that one is hidden. The result is None when the call names `inner` itself, or has no
    fixed target.
    """
    names = _called(code, symbol.value + offset)
    if not names or _same(inner.function, names):
        return None
    name = names[0]
    if name.startswith(_STAND_INS):
        return None
    return Hidden(function=name, into=inner.function, jump=_jump(code, name, inner.function))


def _called(code: Code, back_to: int) -> tuple[str, ...]:
    """Return the names of the function that is called just before a return address.

    The result is () when there is no call with a fixed target. Several symbols may share the
    address.
    """
    data = code.read(back_to - _CALL_BYTES, _CALL_BYTES)
    if len(data) < _CALL_BYTES:
        return ()
    # The relocation is at the last four bytes of the call, which on arm64 are all of it.
    if code.machine == "EM_X86_64" and data[0] == _CALL_REL32:
        there = code.target(back_to - 4)
        (relative,) = struct.unpack("<i", data[1:])
        return there if there is not None else code.functions_at(back_to + relative)
    (word,) = struct.unpack("<I", data[1:])
    if code.machine == "EM_AARCH64" and word >> 26 == _BL:
        there = code.target(back_to - 4)
        # imm26 is a signed number of words.
        words = word & 0x3FF_FFFF
        signed = words - 0x400_0000 if words & 0x200_0000 else words
        return there if there is not None else code.functions_at(back_to - 4 + signed * 4)
    return ()


def _jump(code: Code, function: str, into: str) -> int | None:
    """Return an address in the jump by which `function` went on to `into`, None if unknown.

    It is the place of the jump's relocation, which is the only one of `function` that names
    `into`. If none names it, `function` jumped to a function that jumped on to `into`, as
    mutex_lock does: then the only jump that leaves `function` is taken.
    """
    places = code.references(function)
    spots = [place for place, names in places.items() if into in names]
    spots = spots or [place for place, names in places.items() if _leaves(code, place, names)]
    return spots[0] if len(spots) == 1 else None


def _leaves(code: Code, place: int, names: Sequence[str]) -> bool:
    """Return whether the relocation at an offset is part of a jump to another function.

    `names` are the names of what the relocation refers to.
    """
    if not names or names[0].startswith(_STAND_INS):
        return False
    if code.machine == "EM_X86_64":
        return code.read(place - 1, 1) == _JMP_REL32
    (word,) = struct.unpack("<I", code.read(place, 4))
    return bool(word >> 26 == _B)


def _same(function: str, names: Sequence[str]) -> bool:
    """Return whether a frame's function is one of the names, or a compiler's copy of it.

    Such a copy is named FUNCTION.constprop.0 or FUNCTION.isra.0, for example.
    """
    wanted = _VARIANT.sub("", guilty.bare(function))
    return any(_VARIANT.sub("", guilty.bare(name)) == wanted for name in names)


def is_entry(function: str) -> bool:
    """Return whether a function is entered by an exception or interrupt, not by a call."""
    name = guilty.stem(function)
    return functions("interrupts").holds(name) or name.startswith(("asm_", "el0", "el1", "ret_"))


def renamed(report: KernelReport, added: Sequence[tuple[Frame, Frame]]) -> KernelReport:
    """Return a report that blames the function that a tail call hid, in place of its caller.

    The report is unchanged in three cases: it blames no such caller; the hidden function only
    serves its callers, as memcpy does; or it is the kernel's own, and the caller is a module's.
    `added` are the hidden functions' frames, each with its caller's frame. The fact 'inferred'
    says how the name was found.
    """
    for frame, caller in added:
        if guilty.bare(caller.function) != report.function or guilty.serves(frame.function):
            continue
        # What a module calls in the kernel, such as __const_udelay, works for the module.
        if caller.module and not frame.module:
            continue
        name = guilty.bare(frame.function)
        title = report.title.removesuffix(f" in {report.function}")
        call = f"{caller.function}+{caller.offset:#x}"
        why = f"{name} is inferred: the call before {call} calls it, and it ended in a jump"
        return replace(
            report,
            function=name,
            module=frame.module,
            place=frame.place,
            title=f"{title} in {name}" if title != report.title else title,
            facts={**report.facts, "inferred": why},
        )
    return report
