# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read from an ELF file its symbols, with their sizes, and its build id.

pyelftools reads the file, except the rows of the symbol table. It would make an object of each
row, which takes 10 s for the 119,000 symbols of a vmlinux. The code here decodes them in 0.3 s.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SHN_INDICES
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import NoteSection, SymbolTableSection

from harness.errors import UsageError

# Elf64_Sym of elf(5): st_name, st_info, st_other, st_shndx, st_value, st_size.
_ROW = struct.Struct("<IBBHQQ")
# Elf64_Rela of elf(5): r_offset, r_info, r_addend.
_RELA = struct.Struct("<QQq")
_STT_OBJECT, _STT_FUNC, _STT_SECTION, _STT_FILE = 1, 2, 3, 4
# objtool's names for the padding before a function; some kernels omit them from kallsyms.
_PADDING = b"__pfx_"
# The kernel computes the size of the last symbol in a module's section up to the next section, or
# to the end of the page, so its size is not known here. It is greater than this only in another
# build.
_TAIL_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """One named address of an ELF file; `value` is relative to its section in a relocatable file.

    `extents` are the sizes that a kernel may print for the symbol: kallsyms contains no sizes, so
    the kernel counts up to the next symbol. `last` means that no symbol follows in the section.
    `is_data` marks a symbol that is not code, for which the size that the kernel prints is
    meaningless.
    """

    name: str
    section: str
    value: int
    size: int
    extents: tuple[int, ...]
    last: bool
    is_data: bool = False

    def fits(self, size: int) -> bool:
        """Return whether the kernel could print this size in FUNCTION+OFFSET/SIZE for the symbol.

        If it could not, the file is not the one that ran.
        """
        if size == self.size or size in self.extents:
            return True
        return self.last and self.size <= size < self.size + _TAIL_BYTES


class _Row(NamedTuple):
    name: int
    info: int
    other: int
    section: int
    value: int
    size: int

    @property
    def type(self) -> int:
        return self.info & 0xF

    @property
    def is_defined(self) -> bool:
        """Whether the symbol names an address in a section, not a file or a section itself."""
        named = self.type not in {_STT_SECTION, _STT_FILE}
        return named and 0 < self.section < SHN_INDICES.SHN_LORESERVE


class SymbolTable:
    """The symbols of one file, looked up by name, because a report needs few of over 100,000.

    Raises: UsageError when the file cannot be read or is no 64-bit little-endian ELF file.
    """

    def __init__(self, path: Path) -> None:
        self._strings = b""
        self._rows: list[_Row] = []
        with _opened(path) as file:
            if file.elfclass != 64 or not file.little_endian:
                raise UsageError(f"{path} is no 64-bit little-endian ELF file")
            self._sections = tuple(section.name for section in file.iter_sections())
            table = file.get_section_by_name(".symtab")
            if isinstance(table, SymbolTableSection):
                self._strings = table.stringtable.data()
                self._rows = [_Row(*row) for row in _ROW.iter_unpack(table.data())]
        self._values: dict[int, tuple[list[int], list[int]]] = {}

    def find(self, name: str) -> tuple[Symbol, ...]:
        """Return every defined symbol with this name, which static symbols may share."""
        places = set(self._places(name.encode()))
        return tuple(
            self._symbol(name, row) for row in self._rows if row.name in places and row.is_defined
        )

    def functions_at(self, section: str, address: int) -> tuple[str, ...]:
        """Return the names of the functions that begin at an address of a section."""
        index = self._sections.index(section) if section in self._sections else -1
        return tuple(
            self._name(row)
            for row in self._rows
            if row.value == address and row.section == index and row.type == _STT_FUNC
        )

    def names(self, index: int, addend: int) -> tuple[str, ...]:
        """Return the name of the symbol with this index in the symbol table; () if there is none.

        A symbol for a whole section has no name of its own. For it, the functions that begin at
        the offset `addend` from the symbol are returned.
        """
        row = self._rows[index] if index < len(self._rows) else None
        if row is None:
            return ()
        if row.type == _STT_SECTION:
            return self.functions_at(self._sections[row.section], row.value + addend)
        return (self._name(row),)

    def _name(self, row: _Row) -> str:
        end = self._strings.find(b"\0", row.name)
        return self._strings[row.name : end].decode(errors="backslashreplace")

    def _places(self, name: bytes) -> Iterator[int]:
        """Yield each offset in the string table at which a name, ended by a zero byte, lies.

        The name may be there as the end of a longer name, because linkers share such strings.
        """
        at = self._strings.find(name + b"\0")
        while at >= 0:
            yield at
            at = self._strings.find(name + b"\0", at + 1)

    def _symbol(self, name: str, row: _Row) -> Symbol:
        following = [_next(row.value, ordered) for ordered in self._ordered(row.section)]
        return Symbol(
            name=name,
            section=self._sections[row.section],
            value=row.value,
            size=row.size,
            extents=tuple(sorted({after - row.value for after in following if after is not None})),
            last=None in following,
            is_data=row.type == _STT_OBJECT,
        )

    def _ordered(self, section: int) -> tuple[list[int], list[int]]:
        """Return a section's sorted symbol addresses: all, and those that are not padding."""
        if section not in self._values:
            rows = [row for row in self._rows if row.section == section and row.is_defined]
            solid = (row for row in rows if not self._strings.startswith(_PADDING, row.name))
            self._values[section] = (
                sorted({row.value for row in rows}),
                sorted({row.value for row in solid}),
            )
        return self._values[section]


@dataclass(frozen=True, kw_only=True)
class _Relocation:
    """The target of a relocation: the index of its symbol, and an offset from that symbol."""

    symbol: int
    addend: int


class Code:
    """The machine code of one section, its relocations, and the functions at its addresses.

    Addresses are relative to the section in a relocatable file, as those of `Symbol`.
    Raises: UsageError when the file cannot be read or has no such section.
    """

    def __init__(self, path: Path, section: str, table: SymbolTable) -> None:
        self._path, self._table, self._name = path, table, section
        self._relocations: dict[int, _Relocation] = {}
        with _opened(path) as file:
            self.machine = str(file["e_machine"])
            found = file.get_section_by_name(section)
            if found is None:
                raise UsageError(f"{path} has no section {section}")
            self._start, self._offset = int(found["sh_addr"]), int(found["sh_offset"])
            # A file of debug information alone has the section's header and none of its bytes.
            self._size = int(found["sh_size"]) if found["sh_type"] != "SHT_NOBITS" else 0
            rows = file.get_section_by_name(f".rela{section}")
            if isinstance(rows, RelocationSection):
                self._relocations = {
                    place: _Relocation(symbol=info >> 32, addend=addend)
                    for place, info, addend in _RELA.iter_unpack(rows.data())
                }

    def read(self, address: int, size: int) -> bytes:
        """Return the bytes at an address, b"" when some of them are outside of the section.

        They are outside, too, if the file has only the section's header.
        Raises: UsageError when the file cannot be read.
        """
        at = address - self._start
        if at < 0 or at + size > self._size:
            return b""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset + at)
                return stream.read(size)
        except OSError as error:
            raise UsageError(f"cannot read {self._path}: {error.strerror}") from error

    def functions_at(self, address: int) -> tuple[str, ...]:
        """Return the names of the functions that begin at an address of this section."""
        return self._table.functions_at(self._name, address)

    def target(self, place: int) -> tuple[str, ...] | None:
        """Return the names of the symbol to which the relocation at an offset refers.

        The result is None if there is no relocation, () if the symbol has no name.
        """
        found = self._relocations.get(place)
        if found is None:
            return None
        # A call's offset counts from its end on x86-64, so the addend is 4 less.
        less = 4 if self.machine == "EM_X86_64" else 0
        return self._table.names(found.symbol, found.addend + less)

    def defines(self, function: str) -> bool:
        """Return whether the file has a function, and not only a reference to it."""
        return bool(self._table.find(function))

    def references(self, function: str) -> dict[int, tuple[str, ...]]:
        """Return the relocations in a function: offset in the section, names to which it refers.

        The result is {} unless exactly one symbol in this section has the function's name.
        """
        homes = [one for one in self._table.find(function) if one.section == self._name]
        if len(homes) != 1:
            return {}
        begin, end = homes[0].value, homes[0].value + homes[0].size
        inside = (place for place in self._relocations if begin <= place < end)
        return {place: self.target(place) or () for place in inside}


def build_id(path: Path) -> str:
    """Return the build id that the linker wrote, in hex; "" for a file without one.

    Raises: UsageError when the file is no ELF file.
    """
    with _opened(path) as file:
        for section in file.iter_sections():
            if isinstance(section, NoteSection):
                for note in section.iter_notes():
                    if note["n_type"] == "NT_GNU_BUILD_ID" and note["n_name"] == "GNU":
                        return str(note["n_desc"])
    return ""


@contextmanager
def _opened(path: Path) -> Iterator[ELFFile]:
    """Open an ELF file; every fault of the file becomes a UsageError that names it."""
    try:
        with path.open("rb") as stream:
            yield ELFFile(stream)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ELFError, ValueError, KeyError, UnicodeDecodeError, struct.error) as error:
        raise UsageError(f"cannot read {path}: {error or type(error).__name__}") from error


def _next(value: int, ordered: list[int]) -> int | None:
    index = bisect_right(ordered, value)
    return ordered[index] if index < len(ordered) else None
