# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Recognize a kernel report's first line, by the tables `fault_headers` and `check_headers`."""

import re

from harness.panic.tables import check_headers, fault_headers
from harness.panic.tables.header import Header

HEADERS = (*fault_headers.HEADERS, *check_headers.HEADERS)
# lockdep has printed its headlines in brackets for years; the text in the brackets is matched.
_BOX = re.compile(r"^\[ ((?:BUG|INFO|WARNING): .*) \]$")
# Each header contains one of these words, and nearly no other line does. So a search for the words
# is a quick test before the patterns.
HINTS = (
    "BUG",
    "WARNING",
    "INFO: ",
    "panic",
    " fault",
    "UBSAN",
    "Unable to",
    "LOCKUP",
    "stall",
    "[#",
    "stack segment",
    "divide",
    "invalid opcode",
    "int3",
    "Oops",
    "hung_task_timeout",
    "Unhandled",
    "Machine check",
    "Machine Check",
    "list_add",
    "Internal error",
    "corruption",
    "refcount_t",
    "kmemleak",
    "unreferenced",
    "of memory",
    "Hardware Error",
    "unregister_netdevice",
    "harness-canary",
    "VFS: ",
    "Alignment trap",
    "usercopy",
    "Insufficient stack",
    "buffer overflow",
    "SError",
    "unaligned access",
    "misaligned",
    "allocation failure",
)


def match(text: str) -> tuple[Header, re.Match[str]] | None:
    """Return the row of the tables that a line matches as a report's header, and the match.

    None means that the line begins no report.
    """
    if not any(word in text for word in HINTS):
        return None
    text = text.strip()
    boxed = _BOX.match(text)
    if boxed is not None:
        text = boxed[1]
    for header in HEADERS:
        found = header.pattern.search(text)
        if found:
            excused = header.unless is not None and header.unless.search(text)
            return None if excused else (header, found)
    return None
