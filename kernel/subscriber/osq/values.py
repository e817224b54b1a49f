# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert the kernel's bytes and numbers to SQL values."""

import re

# The escape of a byte; a text that looks like one has its backslash escaped.
_LIKE_AN_ESCAPE = re.compile(rb"\\(?=x[0-9a-f]{2})")


def text(raw: bytes) -> str:
    r"""Return bytes as text: UTF-8, and every other byte as backslash, x and two digits.

    No two values look alike: where the bytes themselves are backslash, x and two digits, the
    backslash becomes \x5c. Any other backslash stays as it is.
    """
    if rb"\x" in raw:
        raw = _LIKE_AN_ESCAPE.sub(rb"\\x5c", raw)
    return raw.decode("utf-8", "backslashreplace")


def signed(value: int) -> int:
    """Return an unsigned 64-bit number as SQLite's signed one: from 2 ** 63 on it is negative."""
    return value - (1 << 64) if value >> 63 else value
