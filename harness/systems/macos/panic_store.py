# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the text of a panic from where macOS saves it. Pure.

After a restart DumpPanic turns the text into a file in /Library/Logs/DiagnosticReports. Until then
it is in NVRAM: in `aapl,panic-info`, or from macOS 11 on in pieces named AAPL,PanicInfo000K, 000M
and so on. On Intel each character is packed into 7 bits (xnu, osfmk/kern/debug.c, packA).
"""

import re
from collections.abc import Iterable

FOLDER = "/Library/Logs/DiagnosticReports"
OLD_VARIABLE = "aapl,panic-info"
_PIECE = "AAPL,PanicInfo"
_NOT_A_PIECE = "AAPL,PanicInfoLog"
_FILE = re.compile(r"^(?:Kernel.*\.panic|panic-(?:full|base).*\.(?:panic|ips)|.*\.panic)$")
_BEGIN = ("panic(cpu ", "Debugger: Unexpected kernel trap")
_GROUP_BYTES = 7
_GROUP_CHARACTERS = 8


def panic_files(names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the file names that are names of panic reports, sorted."""
    return tuple(sorted(name for name in names if _FILE.match(name)))


def from_nvram(listing: str) -> str:
    """Return the panic text in the output of `nvram -p`; "" when there is none.

    The pieces are joined in the order of their names, because their numbers are not decimal.
    """
    values = dict(line.partition("\t")[::2] for line in listing.splitlines() if "\t" in line)
    pieces = sorted(
        name for name in values if name.startswith(_PIECE) and not name.startswith(_NOT_A_PIECE)
    )
    names = pieces or [name for name in (OLD_VARIABLE,) if name in values]
    return text_of(b"".join(unescape(values[name]) for name in names))


def unescape(value: str) -> bytes:
    """Return the bytes of a value as nvram prints them; unprintable bytes are written as %xx."""
    found = re.findall(r"%([0-9a-fA-F]{2})|(.)", value, re.DOTALL)
    return b"".join(
        bytes.fromhex(hexadecimal) if hexadecimal else character.encode("latin-1", "replace")
        for hexadecimal, character in found
    )


def text_of(data: bytes) -> str:
    """Return the panic text in some bytes, packed or plain; "" when they contain none."""
    # Nothing in the variable says whether it is packed; a known first line decides.
    for candidate in (data.decode("latin-1"), unpack_septets(data)):
        text = candidate.rstrip("\0")
        if any(begin in text for begin in _BEGIN):
            return text
    return ""


def unpack_septets(data: bytes) -> str:
    """Return the characters that xnu packed, eight into seven bytes, lowest bits first."""
    whole = len(data) - len(data) % _GROUP_BYTES
    numbers = (
        int.from_bytes(data[at : at + _GROUP_BYTES], "little")
        for at in range(0, whole, _GROUP_BYTES)
    )
    return "".join(
        chr(number >> (_GROUP_BYTES * place) & 0x7F)
        for number in numbers
        for place in range(_GROUP_CHARACTERS)
    )
