# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a 64-bit Mach-O file into values, for the bundle writer, the check and the emulator.

Source: the public headers of xnu-11417.101.15, EXTERNAL_HEADERS/mach-o/loader.h, nlist.h and
reloc.h, whose names are kept.

Why not macholib 1.16 or lief 1.0: neither reads a kext's external and local relocations (the test
kext has 71 and 17), and both accept a name outside of the string table and a segment that ends
after the file.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MH_MAGIC_64 = 0xFEEDFACF
MH_OBJECT, MH_BUNDLE, MH_DSYM, MH_KEXT_BUNDLE = 0x1, 0x8, 0xA, 0xB
CPU_TYPE_X86_64, CPU_TYPE_ARM64 = 0x01000007, 0x0100000C

LC_SYMTAB, LC_DYSYMTAB, LC_SEGMENT_64, LC_UUID = 0x2, 0xB, 0x19, 0x1B
LC_CODE_SIGNATURE, LC_SEGMENT_SPLIT_INFO = 0x1D, 0x1E
LC_DYLD_INFO, LC_DYLD_INFO_ONLY = 0x22, 0x80000022
LC_VERSION_MIN_MACOSX, LC_FUNCTION_STARTS = 0x24, 0x26
LC_DATA_IN_CODE, LC_SOURCE_VERSION, LC_DYLIB_CODE_SIGN_DRS = 0x29, 0x2A, 0x2B
LC_NOTE, LC_BUILD_VERSION = 0x31, 0x32
LC_DYLD_CHAINED_FIXUPS = 0x80000034

N_STAB, N_EXT, N_TYPE, N_UNDF = 0xE0, 0x01, 0x0E, 0x00
VM_PROT_WRITE, VM_PROT_EXECUTE = 2, 4

HEADER = struct.Struct("<8I")
COMMAND = struct.Struct("<2I")
# Of the load commands whose fields are read without a struct of their own. Source: loader.h.
_LEAST_BYTES = {LC_UUID: 24, LC_VERSION_MIN_MACOSX: 16, LC_BUILD_VERSION: 24}
SEGMENT = struct.Struct("<2I16s4Q4I")
SECTION = struct.Struct("<16s16s2Q8I")
SYMTAB = struct.Struct("<6I")
DYSYMTAB = struct.Struct("<20I")
NLIST = struct.Struct("<IBBHQ")
RELOCATION = struct.Struct("<iI")


class MachOMalformed(ValueError):
    """Raised for bytes that are not a complete 64-bit Mach-O file of a kind that is supported."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a Mach-O file, its first 32 bytes."""

    cpu_type: int
    cpu_subtype: int
    file_type: int
    flags: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """One load command of a Mach-O file: its LC_ number, its offset in the file, and its bytes."""

    number: int
    offset: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of a Mach-O file, with the place of its bytes in memory and in the file."""

    segment: str
    name: str
    address: int
    size_bytes: int
    file_offset: int
    flags: int


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One segment of a Mach-O file: its memory, its bytes in the file, protection, sections."""

    name: str
    address: int
    size_bytes: int
    file_offset: int
    file_bytes: int
    protection: int
    sections: tuple[Section, ...]

    def holds(self, address: int, size_bytes: int) -> bool:
        """Return whether a range of addresses lies inside the segment."""
        return self.address <= address <= self.address + self.size_bytes - size_bytes


@dataclass(frozen=True, kw_only=True)
class Symbol:
    """One entry of a Mach-O file's symbol table."""

    name: str
    kind: int
    section: int
    description: int
    value: int

    @property
    def is_stab(self) -> bool:
        """Whether the symbol is a debugging entry (a stab)."""
        return bool(self.kind & N_STAB)

    @property
    def is_undefined(self) -> bool:
        """Whether the symbol is imported: another file defines it."""
        return not self.is_stab and self.kind & N_TYPE == N_UNDF


@dataclass(frozen=True, kw_only=True)
class Relocation:
    """One external or local relocation of a kext; `address` counts from the begin of __TEXT.

    `symbol` is the index of a symbol, or of a section when `is_external` is False. The relocated
    value has 2 ** `length` bytes.
    """

    address: int
    symbol: int
    pc_relative: bool
    length: int
    is_external: bool
    kind: int


@dataclass(frozen=True, kw_only=True)
class MachO:
    """A parsed Mach-O file: `data` is the whole file, the other fields are its contents."""

    data: bytes
    header: Header
    commands: tuple[Command, ...]
    segments: tuple[Segment, ...]
    symbols: tuple[Symbol, ...]
    external: tuple[Relocation, ...]
    local: tuple[Relocation, ...]

    def command(self, number: int) -> Command | None:
        """Return the first load command with this LC_ number, or None."""
        return next((one for one in self.commands if one.number == number), None)

    def segment(self, name: str) -> Segment | None:
        """Return the first segment with this name, or None."""
        return next((one for one in self.segments if one.name == name), None)

    def symbol(self, name: str) -> Symbol | None:
        """Return the defined symbol with this name, or None."""
        for one in self.symbols:
            if one.name == name and not one.is_stab and not one.is_undefined:
                return one
        return None

    def bytes_at(self, address: int, size_bytes: int) -> bytes | None:
        """Return the bytes that the file holds for a range of memory addresses.

        Memory of a segment that has no bytes in the file yields zeros. Return None when the range
        is not inside one segment.
        """
        for one in self.segments:
            # The file has no bytes for the end of a segment whose memory is larger, as for zeroed
            # data.
            if one.size_bytes and one.holds(address, size_bytes):
                begin = one.file_offset + address - one.address
                end = min(begin + size_bytes, one.file_offset + one.file_bytes)
                return self.data[begin:end].ljust(size_bytes, b"\0")
        return None


def parse(data: bytes) -> MachO:
    """Return the parsed headers, load commands, segments, symbols and relocations of a file.

    Raises: MachOMalformed for another format than 64-bit Mach-O, and when a part lies outside of
        the file.
    """
    try:
        magic, cpu, subtype, kind, count, size, flags, _reserved = HEADER.unpack_from(data)
        if magic != MH_MAGIC_64:
            raise MachOMalformed(f"magic {magic:#x} is not that of a 64-bit Mach-O")
        commands = tuple(_commands(data, count, size))
        segments = tuple(_segment(one) for one in commands if one.number == LC_SEGMENT_64)
        _check_segments(segments, len(data))
        symbols = _symbols(data, commands)
        external, local = _relocations(data, commands)
    except struct.error as error:
        raise MachOMalformed(f"it ends too early: {error}") from error
    return MachO(
        data=data,
        header=Header(cpu_type=cpu, cpu_subtype=subtype, file_type=kind, flags=flags),
        commands=commands,
        segments=segments,
        symbols=symbols,
        external=external,
        local=local,
    )


def _commands(data: bytes, count: int, size_bytes: int) -> Iterator[Command]:
    position, end = HEADER.size, HEADER.size + size_bytes
    for _ in range(count):
        number, length = COMMAND.unpack_from(data, position)
        if length < _LEAST_BYTES.get(number, COMMAND.size) or position + length > min(
            end, len(data)
        ):
            raise MachOMalformed(f"load command {number:#x} is {length} bytes long")
        yield Command(number=number, offset=position, data=data[position : position + length])
        position += length


def text(raw: bytes) -> str:
    """Return a Mach-O name without the NUL bytes that pad it."""
    return raw.rstrip(b"\0").decode("utf-8", "backslashreplace")


def _segment(command: Command) -> Segment:
    values = SEGMENT.unpack_from(command.data)
    _number, _size, name, address, size, offset, filled, _most, now, count, _flags = values
    sections = []
    for index in range(count):
        fields = SECTION.unpack_from(command.data, SEGMENT.size + index * SECTION.size)
        sections.append(
            Section(
                name=text(fields[0]),
                segment=text(fields[1]),
                address=fields[2],
                size_bytes=fields[3],
                file_offset=fields[4],
                flags=fields[8],
            )
        )
    return Segment(
        name=text(name),
        address=address,
        size_bytes=size,
        file_offset=offset,
        file_bytes=filled,
        protection=now,
        sections=tuple(sections),
    )


def _check_segments(segments: tuple[Segment, ...], size_bytes: int) -> None:
    for one in segments:
        if one.file_offset + one.file_bytes > size_bytes:
            raise MachOMalformed(f"segment {one.name} extends past the end of the file")


def _symbols(data: bytes, commands: tuple[Command, ...]) -> tuple[Symbol, ...]:
    table = next((one for one in commands if one.number == LC_SYMTAB), None)
    if table is None:
        return ()
    _number, _size, offset, count, strings, string_bytes = SYMTAB.unpack_from(table.data)
    if strings + string_bytes > len(data):
        raise MachOMalformed("the string table extends past the end of the file")
    found = []
    for index in range(count):
        entry = NLIST.unpack_from(data, offset + index * NLIST.size)
        name, kind, section, description, value = entry
        if name >= string_bytes:
            raise MachOMalformed(f"the name of symbol {index} is not in the string table")
        end = data.find(b"\0", strings + name, strings + string_bytes)
        if end < 0:
            raise MachOMalformed(f"the name of symbol {index} does not end")
        found.append(
            Symbol(
                name=text(data[strings + name : end]),
                kind=kind,
                section=section,
                description=description,
                value=value,
            )
        )
    return tuple(found)


def _relocations(
    data: bytes, commands: tuple[Command, ...]
) -> tuple[tuple[Relocation, ...], tuple[Relocation, ...]]:
    table = next((one for one in commands if one.number == LC_DYSYMTAB), None)
    if table is None:
        return (), ()
    values = DYSYMTAB.unpack_from(table.data)
    external_at, external_count, local_at, local_count = values[16:20]
    return _entries(data, external_at, external_count), _entries(data, local_at, local_count)


def _entries(data: bytes, offset: int, count: int) -> tuple[Relocation, ...]:
    found = []
    for index in range(count):
        address, packed = RELOCATION.unpack_from(data, offset + index * RELOCATION.size)
        found.append(
            Relocation(
                address=address,
                symbol=packed & 0xFFFFFF,
                pc_relative=bool(packed >> 24 & 1),
                length=packed >> 25 & 3,
                is_external=bool(packed >> 27 & 1),
                kind=packed >> 28,
            )
        )
    return tuple(found)
