# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert a Mach-O bundle (MH_BUNDLE) that lld has linked into a kext binary (MH_KEXT_BUNDLE).

lld cannot link kexts, as Apple's linker does with -kext (llvm-project's pull request 204805 adds
them), but a bundle has the same code, stubs and pointers. Three things differ: the file type, the
content of __LINKEDIT, and the description of pointers: a bundle has chained fixups for dyld, a
kext has relocations for the kernel's loader. Debugging entries are dropped, since they name files
of the host; dsymutil has read them before.
"""

import struct
from dataclasses import dataclass

from harness.kext import macho
from harness.kext.fixups import Fixup, fixups
from harness.kext.macho import MachO, MachOMalformed, Symbol

_KEPT = {
    macho.LC_SEGMENT_64,
    macho.LC_SYMTAB,
    macho.LC_DYSYMTAB,
    macho.LC_UUID,
    macho.LC_VERSION_MIN_MACOSX,
    macho.LC_BUILD_VERSION,
    macho.LC_SOURCE_VERSION,
    macho.LC_FUNCTION_STARTS,
    macho.LC_DATA_IN_CODE,
}
# The flags that Apple's linker sets: MH_NOUNDEFS, MH_DYLDLINK and MH_TWOLEVEL.
_FLAGS = 0x85
_X86_64_RELOC_UNSIGNED = 0
_POINTER_LENGTH = 3  # two to the power of it, in bytes
_LINKEDIT_DATA = struct.Struct("<4I")
# INDIRECT_SYMBOL_LOCAL: such an entry has no number of a symbol.
_INDIRECT_LOCAL = 0x80000000


@dataclass(frozen=True, kw_only=True)
class _Symbols:
    """The kext binary's symbols in the order that LC_DYSYMTAB requires, with their new indexes."""

    local: tuple[Symbol, ...]
    defined: tuple[Symbol, ...]
    undefined: tuple[Symbol, ...]
    number_of: dict[int, int]  # by the number before
    undefined_number: dict[str, int]

    @property
    def all(self) -> tuple[Symbol, ...]:
        return (*self.local, *self.defined, *self.undefined)


def from_linked(data: bytes) -> bytes:
    """Return the kext binary made from a bundle that lld has linked.

    The same input gives the same bytes. A binary for arm64 is only for the emulator: Apple's
    loader requires chained fixups there.
    Raises: MachOMalformed when the input is not a bundle with chained fixups.
    """
    file = macho.parse(data)
    known = (macho.CPU_TYPE_X86_64, macho.CPU_TYPE_ARM64)
    if file.header.file_type != macho.MH_BUNDLE or file.header.cpu_type not in known:
        raise MachOMalformed("it is not an x86_64 or arm64 bundle (-bundle)")
    linkedit = file.segment("__LINKEDIT")
    if linkedit is None:
        raise MachOMalformed("there is no __LINKEDIT segment")
    symbols = _sorted_symbols(file)
    found = fixups(file)
    body = bytearray(data[: linkedit.file_offset])
    for one in found:
        _plain(file, body, one)
    # The new __LINKEDIT begins where the old one did, so nothing before it moves.
    tail = _linkedit(file, symbols, found, linkedit.file_offset)
    commands = _commands(file, symbols, tail, linkedit)
    room = min(s.file_offset for g in file.segments for s in g.sections if s.file_offset)
    # The code cannot be moved to make room for longer load commands.
    if macho.HEADER.size + len(commands.data) > room:
        raise MachOMalformed("the load commands do not fit before the first section")
    header = macho.HEADER.pack(
        macho.MH_MAGIC_64,
        file.header.cpu_type,
        file.header.cpu_subtype,
        macho.MH_KEXT_BUNDLE,
        commands.count,
        len(commands.data),
        _FLAGS,
        0,
    )
    body[:room] = (header + commands.data).ljust(room, b"\0")
    return bytes(body) + tail.data


def _sorted_symbols(file: MachO) -> _Symbols:
    kept = [(index, one) for index, one in enumerate(file.symbols) if not one.is_stab]
    local = [pair for pair in kept if not pair[1].kind & macho.N_EXT]
    outside = [pair for pair in kept if pair[1].kind & macho.N_EXT]
    defined = [pair for pair in outside if not pair[1].is_undefined]
    undefined = [pair for pair in outside if pair[1].is_undefined]
    order = [*local, *defined, *undefined]
    first = len(local) + len(defined)
    return _Symbols(
        local=tuple(one for _, one in local),
        defined=tuple(one for _, one in defined),
        undefined=tuple(one for _, one in undefined),
        number_of={index: number for number, (index, _) in enumerate(order)},
        undefined_number={one.name: first + n for n, (_, one) in enumerate(undefined)},
    )


def _plain(file: MachO, body: bytearray, fixup: Fixup) -> None:
    """Replace a chained pointer in the file content `body` by the value that a relocation expects.

    The value is the address of the pointer's target, or the addend of a pointer to a symbol.
    """
    for one in file.segments:
        if one.holds(fixup.address, 8):
            struct.pack_into(
                "<Q", body, one.file_offset + fixup.address - one.address, fixup.value
            )
            return


@dataclass(frozen=True, kw_only=True)
class _Tail:
    """The kext binary's new __LINKEDIT: its bytes, and each part's file offset and entry count."""

    data: bytes
    parts: dict[str, tuple[int, int]]


def _linkedit(file: MachO, symbols: _Symbols, found: tuple[Fixup, ...], start: int) -> _Tail:
    strings, names = _strings(symbols)
    # The parts are in the order of cctools, which strip and codesign require.
    contents = {
        "local": (_local(file, found), macho.RELOCATION.size),
        "functions": (_old_part(file, macho.LC_FUNCTION_STARTS), 1),
        "data_in_code": (_old_part(file, macho.LC_DATA_IN_CODE), 1),
        "symbols": (_nlist(symbols, names), macho.NLIST.size),
        "external": (_external(symbols, found), macho.RELOCATION.size),
        "indirect": (_indirect(file, symbols), 4),
        "strings": (strings, 1),
    }
    data, parts = b"", {}
    for name, (content, unit) in contents.items():
        parts[name] = (start + len(data), len(content) // unit)
        data += content.ljust(-(-len(content) // 8) * 8, b"\0")
    return _Tail(data=data, parts=parts)


def _relocation(address: int, symbol: int, *, external: bool) -> bytes:
    packed = symbol | _POINTER_LENGTH << 25 | int(external) << 27 | _X86_64_RELOC_UNSIGNED << 28
    return macho.RELOCATION.pack(address, packed)


def _local(file: MachO, found: tuple[Fixup, ...]) -> bytes:
    sections = [one for segment in file.segments for one in segment.sections]

    def ordinal(address: int) -> int:
        for number, one in enumerate(sections, start=1):
            if one.address <= address < one.address + max(one.size_bytes, 1):
                return number
        raise MachOMalformed(f"a pointer leads to {address:#x}, which is in no section")

    return b"".join(
        _relocation(one.address, ordinal(one.value), external=False)
        for one in found
        if one.symbol is None
    )


def _external(symbols: _Symbols, found: tuple[Fixup, ...]) -> bytes:
    return b"".join(
        _relocation(one.address, symbols.undefined_number[one.symbol], external=True)
        for one in found
        if one.symbol is not None
    )


def _strings(symbols: _Symbols) -> tuple[bytes, dict[str, int]]:
    # The first byte of the table belongs to no name, because an offset of 0 means that there is
    # none.
    data, names = b" \0", {"": 1}
    for one in symbols.all:
        if one.name not in names:
            names[one.name] = len(data)
            data += one.name.encode() + b"\0"
    return data, names


def _nlist(symbols: _Symbols, names: dict[str, int]) -> bytes:
    return b"".join(
        macho.NLIST.pack(names[one.name], one.kind, one.section, one.description, one.value)
        for one in symbols.all
    )


def _indirect(file: MachO, symbols: _Symbols) -> bytes:
    table = file.command(macho.LC_DYSYMTAB)
    if table is None:
        return b""
    offset, count = macho.DYSYMTAB.unpack_from(table.data)[14:16]
    before = struct.unpack_from(f"<{count}I", file.data, offset)
    after = [one if one & _INDIRECT_LOCAL else symbols.number_of[one] for one in before]
    return struct.pack(f"<{count}I", *after)


def _old_part(file: MachO, number: int) -> bytes:
    command = file.command(number)
    if command is None:
        return b""
    _number, _size, offset, size = _LINKEDIT_DATA.unpack_from(command.data)
    return file.data[offset : offset + size]


@dataclass(frozen=True, kw_only=True)
class _Commands:
    """The load commands of the kext binary, as bytes."""

    count: int
    data: bytes


def _commands(file: MachO, symbols: _Symbols, tail: _Tail, linkedit: macho.Segment) -> _Commands:
    kept = [one for one in file.commands if one.number in _KEPT]
    packed = [_rewritten(one, symbols, tail, linkedit) for one in kept]
    return _Commands(count=len(packed), data=b"".join(packed))


def _rewritten(
    command: macho.Command, symbols: _Symbols, tail: _Tail, linkedit: macho.Segment
) -> bytes:
    if command.number == macho.LC_SYMTAB:
        at, count = tail.parts["symbols"]
        return macho.SYMTAB.pack(macho.LC_SYMTAB, 24, at, count, *tail.parts["strings"])
    if command.number == macho.LC_DYSYMTAB:
        return _dysymtab(symbols, tail)
    parts = {macho.LC_FUNCTION_STARTS: "functions", macho.LC_DATA_IN_CODE: "data_in_code"}
    if command.number in parts:
        part = tail.parts[parts[command.number]]
        return _LINKEDIT_DATA.pack(command.number, _LINKEDIT_DATA.size, *part)
    if command.number == macho.LC_SEGMENT_64:
        values = list(macho.SEGMENT.unpack_from(command.data))
        if macho.text(values[2]) == linkedit.name:
            page = 0x1000
            # The segment's size in memory is in whole pages; its size in the file is exact.
            values[4] = -(-len(tail.data) // page) * page
            values[6] = len(tail.data)
            return macho.SEGMENT.pack(*values)
    return command.data


def _dysymtab(symbols: _Symbols, tail: _Tail) -> bytes:
    local, defined = len(symbols.local), len(symbols.defined)
    return macho.DYSYMTAB.pack(
        macho.LC_DYSYMTAB,
        macho.DYSYMTAB.size,
        *(0, local, local, defined, local + defined, len(symbols.undefined)),
        # A kext has no table of contents, no modules and no table of references.
        *(0, 0, 0, 0, 0, 0),
        *tail.parts["indirect"],
        *tail.parts["external"],
        *tail.parts["local"],
    )
