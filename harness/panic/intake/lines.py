# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Distinguish the kernel's lines from all others on a console, and remove their prefixes.

A user program that prints 'BUG:' is no kernel report. A line counts as the kernel's if it has
printk's timestamp (Documentation/core-api/printk-basics.rst), or the form that dmesg, syslog and
others give it (`dialects`). For a log without prefixes `normalise` decides.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.panic.intake.dialects import STAMP, UNTIMED, peel

_CALLER = re.compile(r"\[ *(?P<context>[TC]\d+)\] ?")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\^_=>78])")
# printk cuts lines at 1024 characters, so only the start of a longer line is read.
_LONGEST = 2048


@dataclass(frozen=True)
class KernelLine:
    """A line that the kernel wrote: its text, its time, and the thread (T123) or CPU (C0).

    The thread or CPU is '' where printk does not name it. `at` is in seconds of the kernel's own
    clock, None where the line does not give it.
    """

    text: str
    context: str = ""
    at: float | None = None


# Blanks of mails and web pages, and marks without a width.
_BLANKS = str.maketrans(dict.fromkeys("\xa0\u2002\u2003\u2007\u2009\u202f", " ")) | dict.fromkeys(
    map(ord, "\u200b\u200e\u200f\u2060\ufeff")
)


def clean(line: str) -> str:
    """Return a console line without carriage returns, terminal escapes and special blanks.

    Only its first 2048 characters are returned.
    """
    if len(line) > _LONGEST:
        line = line[:_LONGEST]
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    if not line.isascii():
        line = line.translate(_BLANKS)
    return line.replace("\r", "") if "\r" in line else line


def pieces(line: str) -> Iterator[str]:
    """Yield the parts of a console line that several CPUs wrote at once, cut at timestamps."""
    first = STAMP.search(line)
    cut = STAMP.search(line, first.end()) if first is not None else None
    start = 0
    while cut is not None:
        yield line[start : cut.start()]
        start = cut.start()
        cut = STAMP.search(line, cut.end())
    yield line[start:]


def parse(line: str) -> KernelLine | None:
    """Return the kernel line that a console line contains, None if the kernel did not write it."""
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
    """Return the kernel's text in a console line, None if the kernel did not write the line."""
    found = parse(line)
    return found.text if found is not None else None
