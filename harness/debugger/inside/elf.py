# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read symbols, sections and build id of a 64-bit little-endian ELF file in place.

It reads only those parts of vmlinux and modules that debugging a kernel needs. It runs in a
debugger's Python, where no package can be installed, so it does not use an ELF library.
Source: elf(5).
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_NOTE = struct.Struct("<III")
_SYMTAB = 2
_NT_GNU_BUILD_ID = 3
# STT_NOTYPE, which labels of assembly often have, and STT_FUNC.
_TYPES_OF_CODE = {0, 2}


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of an ELF file: its linked address, and the place of its bytes in the file."""

    name: str
    kind: int
    address: int
    offset: int
    size_bytes: int
    link: int


class Image:
    """An ELF file, mapped into memory.

    Raises: ValueError for any other kind of file; every method also for a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._bytes[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no 64-bit little-endian ELF file")

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """Every section of the ELF file, in the file's order; ValueError for a damaged file."""
        try:
            (start,) = struct.unpack_from("<Q", self._bytes, 0x28)
            size, count, names = struct.unpack_from("<HHH", self._bytes, 0x3A)
            rows = [_SECTION.unpack_from(self._bytes, start + size * n) for n in range(count)]
            strings = rows[names][4]
        except (struct.error, IndexError) as error:
            raise ValueError(f"a damaged ELF file: {error}") from error
        return tuple(
            Section(
                name=self._string(strings + row[0]),
                kind=row[1],
                address=row[3],
                offset=row[4],
                size_bytes=row[5],
                link=row[6],
            )
            for row in rows
        )

    def section(self, name: str) -> bytes:
        """Return the bytes of a section; KeyError for an unknown section."""
        for section in self.sections:
            if section.name == name:
                return self._bytes[section.offset : section.offset + section.size_bytes]
        raise KeyError(f"{self.path} has no {name}")

    @cached_property
    def _symbols(self) -> tuple[dict[str, int], list[tuple[int, int, str]]]:
        """Return the symbols' addresses by name, and code symbols as (start, size, name).

        Where two symbols have one name, the global one is returned.
        """
        by_name: dict[str, int] = {}
        code = []
        for section in self.sections:
            if section.kind != _SYMTAB:
                continue
            for word, info, value, size in self._rows(section):
                if info >> 4 or word not in by_name:
                    by_name[word] = value
                if info & 0xF in _TYPES_OF_CODE and value:
                    code.append((value, size, word))
        return by_name, code

    def _rows(self, section: Section) -> Iterator[tuple[str, int, int, int]]:
        """Yield name, info, value and size of each named symbol in a section of symbols.

        Raises: ValueError for a damaged file.
        """
        try:
            strings = self.sections[section.link]
            text = self._bytes[strings.offset : strings.offset + strings.size_bytes]
            table = self._bytes[section.offset : section.offset + section.size_bytes]
            for name, info, _, _, value, size in _SYMBOL.iter_unpack(table):
                if name:
                    word = text[name : text.index(b"\0", name)].decode(errors="replace")
                    yield word, info, value, size
        except (struct.error, IndexError, ValueError) as error:
            raise ValueError(f"a damaged ELF file: {error}") from error

    def symbol(self, name: str) -> int:
        """Return a symbol's linked address; KeyError for an unknown symbol."""
        try:
            return self._symbols[0][name]
        except KeyError as error:
            raise KeyError(f"{self.path.name} has no symbol {name}") from error

    def code_symbols(self, prefix: str) -> list[tuple[int, int]]:
        """Return start and end of every function whose name begins with this text."""
        return [
            (start, start + size)
            for start, size, name in self._symbols[1]
            if name.startswith(prefix)
        ]

    @cached_property
    def build_id(self) -> str:
        """The GNU build id of the file in hex, "" if it has none."""
        for section in self.sections:
            if section.name.startswith(".note"):
                found = build_id_in(self.section(section.name))
                if found:
                    return found
        return ""

    def _string(self, offset: int) -> str:
        return self._bytes[offset : self._bytes.find(b"\0", offset)].decode(errors="replace")


def build_id_in(notes: bytes) -> str:
    """Return the GNU build id in the bytes of ELF notes, in hex; "" if there is none."""
    position = 0
    while position + _NOTE.size <= len(notes):
        name_bytes, data_bytes, kind = _NOTE.unpack_from(notes, position)
        name_at = position + _NOTE.size
        data_at = name_at + (name_bytes + 3) // 4 * 4
        if kind == _NT_GNU_BUILD_ID and notes[name_at : name_at + 4] == b"GNU\0":
            return notes[data_at : data_at + data_bytes].hex()
        position = data_at + (data_bytes + 3) // 4 * 4
    return ""
