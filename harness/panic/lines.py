# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tell kernel lines from everything else on a console, and take their prefixes off.

A user-space program that prints 'BUG:' is no kernel report. Only what carries printk's own
timestamp counts; Documentation/core-api/printk-basics.rst.
"""

import re

# <6>, [   12.345678], [T1234] or [    C0], in that order, each but the timestamp optional.
_PREFIX = re.compile(
    r"^(?:<\d{1,3}>)?\s*\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?",
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\^_=>78])")


def clean(line: str) -> str:
    """Return a console line without carriage returns and terminal escapes."""
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    return line.replace("\r", "") if "\r" in line else line


def kernel_text(line: str) -> str | None:
    """Return the text of a kernel line, or None for a line that the kernel did not write."""
    if "[" not in line[:12]:
        return None
    match = _PREFIX.match(line)
    return line[match.end() :] if match else None
