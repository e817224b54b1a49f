# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tell kernel lines from everything else on a console, and take their prefixes off.

A user-space program that prints 'BUG:' is no kernel report. What carries printk's own timestamp
counts (Documentation/core-api/printk-basics.rst), and so does what dmesg and syslog make of it; a
log in which nothing does was printed by a kernel without timestamps, or went through something
that took them off: `parse_bare` is for those.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

# <6>, [   12.345678], [ T1234] or [    C0], in that order, each but the timestamp optional. What
# stands before on the line is somebody else's unfinished line: a login prompt, say.
_STAMP = re.compile(r"\[ *(?P<at>\d{1,12}\.\d{6})\](?: ?\[ *(?P<context>[TC]\d+)\])? ?(?:<\d> ?)?")
# dmesg -T and --time-format iso, and the syslog tag in front of either.
_DATED = re.compile(
    r"^(?:\[[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ [\d:]{8} \d{4}\] |"
    r"\d{4}-\d\d-\d\dT[\d:]{8}[.,]\d{6}[+-][\d:]{4,5} |"
    r"(?:[A-Z][a-z]{2} +\d+ [\d:]{8}|\d{4}-\d\d-\d\dT[\d:]{8}\S*) \S+ kernel: )"
)
# A line without a time: [T12] alone, or the date of whoever kept the log.
_OTHER = re.compile(
    r"^(?:<\d{1,3}>)?(?:\[ *(?P<context>[TC]\d+)\] ?|"
    r"\d{4}[/-]\d\d[/-]\d\d[ T][\d:.,+-]+Z? (?:\S+ kernel: )?)?"
)
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
    first = _STAMP.search(line)
    cut = _STAMP.search(line, first.end()) if first is not None else None
    start = 0
    while cut is not None:
        yield line[start : cut.start()]
        start = cut.start()
        cut = _STAMP.search(line, cut.end())
    yield line[start:]


def parse(line: str) -> KernelLine | None:
    """Return a timestamped kernel line, or None for one that the kernel did not write."""
    if "[" in line:
        match = _STAMP.search(line)
        if match is not None:
            return KernelLine(line[match.end() :], match["context"] or "", float(match["at"]))
    match = _DATED.match(line)
    return KernelLine(line[match.end() :]) if match is not None else None


def parse_bare(line: str) -> KernelLine:
    """Return a line of a log without timestamps; anything may be the kernel's there."""
    stamped = parse(line)
    if stamped is not None:
        return stamped
    match = _OTHER.match(line)
    if match is None:
        return KernelLine(line)
    return KernelLine(line[match.end() :], match["context"] or "")


def kernel_text(line: str) -> str | None:
    """Return the text of a timestamped kernel line, or None."""
    found = parse(line)
    return found.text if found is not None else None
