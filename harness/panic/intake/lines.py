# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tell kernel lines from everything else on a console, and take their prefixes off.

A user-space program that prints 'BUG:' is no kernel report. What carries printk's own timestamp
counts (Documentation/core-api/printk-basics.rst), and so does what dmesg, syslog and others make
of it (`dialects`). `normalise` finds out whose the lines of a log without prefixes are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.panic.intake.dialects import STAMP, UNTIMED, peel

_CALLER = re.compile(r"\[ *(?P<context>[TC]\d+)\] ?")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\^_=>78])")
# A line that is longer is none of printk's, which cuts at 1024; looking at its start is enough.
_LONGEST = 2048


@dataclass(frozen=True)
class KernelLine:
    """A kernel line's text, who printed it (T and a thread, C and a CPU, or ''), and when.

    `at` is in seconds of the kernel's own clock, None where the line does not say it.
    """

    text: str
    context: str = ""
    at: float | None = None


def clean(line: str) -> str:
    """Return a console line without carriage returns and terminal escapes."""
    if len(line) > _LONGEST:
        line = line[:_LONGEST]
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    return line.replace("\r", "") if "\r" in line else line


def pieces(line: str) -> Iterator[str]:
    """Yield what several CPUs put onto one line, cut before each timestamp but the first."""
    first = STAMP.search(line)
    cut = STAMP.search(line, first.end()) if first is not None else None
    start = 0
    while cut is not None:
        yield line[start : cut.start()]
        start = cut.start()
        cut = STAMP.search(line, cut.end())
    yield line[start:]


def parse(line: str) -> KernelLine | None:
    """Return a kernel line, or None for one that the kernel did not write."""
    if line.startswith("["):
        match = STAMP.match(line)
        if match is not None:
            return KernelLine(line[match.end() :], match["context"] or "", float(match["at"]))
        if line.startswith(UNTIMED):
            text = line.removeprefix(UNTIMED)
            caller = _CALLER.match(text)
            return (
                KernelLine(text[caller.end() :], caller["context"]) if caller else KernelLine(text)
            )
    peeled = peel(line)
    return KernelLine(peeled.text, peeled.context, peeled.at) if peeled.kernel else None


def kernel_text(line: str) -> str | None:
    """Return the text of a timestamped kernel line, or None."""
    found = parse(line)
    return found.text if found is not None else None
