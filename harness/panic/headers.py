# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find out whether a line of the kernel begins a report, by the two tables of first lines."""

import re

from harness.panic.tables import check_headers, fault_headers
from harness.panic.tables.header import Header

HEADERS = (*fault_headers.HEADERS, *check_headers.HEADERS)
# lockdep has put its headlines into brackets for years.
_BOX = re.compile(r"^\[ ((?:BUG|INFO|WARNING): .*) \]$")
# Cheap: every header holds one of these, and nearly no other line does.
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
    "Unhandled",
    "Machine check",
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
    """Return the header that a kernel line's text is, and its match; or None."""
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
