# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the registers in a kernel report, by the names that the kernel prints on each architecture.

Sources: show_regs() and its helpers in arch/*/kernel/process.c, traps.c and dumpstack.c.
"""

import re
from collections.abc import Iterator, Sequence

_VALUE = r"([0-9a-f]{8,16})\b"
# Each form: the beginning of a line of registers, and the registers in it.
_FORMS = (
    # x86; the kernel's registers come first, then those that it saved for user space.
    (
        re.compile(
            r"^\s*(?:R?SP: [0-9a-f]{4}:|RIP: (?!0033|0023)|[RE]?[A-Z]{2}: |EIP: |R\d\d: |[CD]R\d: |EFLAGS|ORIG_)"
        ),
        re.compile(r"\b((?:ORIG_)?[RE][A-Z][A-Z0-9]|R\d\d|EFLAGS|CR[0-4]): (?:\d{4}:)?" + _VALUE),
    ),
    # arm64 and arm.
    (
        re.compile(r"^\s*(?:x\d|sp :|pstate|pc : \[<|r\d{1,2} ?: [0-9a-f]{8}\b)"),
        re.compile(r"\b(x\d{1,2}|r\d{1,2}|pc|lr|sp|ip|fp|psr|pstate) ?: ?(?:\[<)?" + _VALUE),
    ),
    # riscv.
    (
        re.compile(r"^\s*(?:epc : [0-9a-f]|gp : |t\d : |s\d{1,2} ?: |a\d : |status: )"),
        re.compile(r"\b(epc|ra|sp|gp|tp|t\d|s\d{1,2}|a\d|status|badaddr|cause) ?: " + _VALUE),
    ),
    # mips: registers with names.
    (
        re.compile(r"^(?:epc|ra|Status|Cause|BadVA|Hi|Lo) *: [0-9a-f]{8}"),
        re.compile(r"\b(epc|ra|Status|Cause|BadVA|Hi|Lo) *: " + _VALUE),
    ),
    # powerpc: registers with names.
    (
        re.compile(r"^(?:NIP:|MSR:|CFAR:|DAR:)"),
        re.compile(r"\b(NIP|LR|CTR|MSR|CR|XER|CFAR|DAR|DSISR): +" + _VALUE),
    ),
)
# Rows of numbered registers: '$ 4   : v v v v', 'GPR00: v v v v', 'Krnl GPRS: v v v v'.
_ROW = re.compile(
    r"^(?:(?P<mips>\$) ?(?P<first>\d{1,2}) *|(?P<powerpc>GPR)(?P<number>\d\d)|(?P<s390>Krnl GPRS)|(?P<more> {8,}))"
    r"(?::|(?<= )) *(?P<values>[0-9a-f]{8,16}(?: +[0-9a-f]{8,16}){0,7})\s*$"
)
_PSW = re.compile(r"^Krnl PSW : ([0-9a-f]{8,16}) ([0-9a-f]{8,16})")
# The code selectors of user space: 0x33 with 64 bits, 0x23 with 32.
_USER = re.compile(r"^\s*RIP: 00[23]3")
_LAST = re.compile(r"^\s*(?:Call [Tt]race:|Modules linked in|---\[ end|Kernel panic|Backtrace)")


def registers(text: Sequence[str]) -> dict[str, str]:
    """Return the registers that a kernel report prints, by their printed names, as hex digits.

    They are those of the moment of the fault.
    """
    found: dict[str, str] = {}
    row = 0
    for line in text:
        if _USER.match(line) is not None or (found and _LAST.match(line) is not None):
            break
        if ": " not in line and not line.startswith(" "):
            continue
        numbered, row = _numbered(line, row)
        for name, value in (*_named(line), *numbered):
            found.setdefault(name, value)
    return found


def _named(line: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of the registers in a line such as 'RAX: 0000000000000000 RBX: ...'."""
    psw = _PSW.match(line)
    if psw is not None:
        yield from (("PSW", psw[1]), ("PSW-address", psw[2]))
    for begin, pattern in _FORMS:
        if begin.match(line) is not None:
            yield from pattern.findall(line)
            return


def _numbered(line: str, row: int) -> tuple[list[tuple[str, str]], int]:
    """Return the registers in a line of values without names, and the next line's first number.

    Such a line is 'GPR04: v v v v'. `row` is the number that the line before gave for this line.
    It is used where the line itself has no number.
    """
    match = _ROW.match(line)
    if match is None or (match["more"] and not row):
        return [], row
    values = match["values"].split()
    start = int(match["first"] or match["number"] or (row if match["more"] else 0))
    name = "$" if match["mips"] else "GPR"
    rows = [(f"{name}{start + index}", value) for index, value in enumerate(values)]
    return rows, (start + len(values) if match["s390"] or match["more"] else 0)
