# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert the kernel's bytes and numbers to SQL values."""


def text(raw: bytes) -> str:
    """Return bytes as text: UTF-8, and every other byte as backslash, x and two digits."""
    return raw.decode("utf-8", "backslashreplace")


def signed(value: int) -> int:
    """Return a 64-bit number as SQLite stores it; numbers from 2 ** 63 on become negative."""
    return value - (1 << 64) if value >> 63 else value
