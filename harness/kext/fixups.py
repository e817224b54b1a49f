# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read a Mach-O file's chained fixups: the address and the target of each pointer.

Source: dyld-1378, include/mach-o/fixup-chains.h.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from harness.kext.macho import LC_DYLD_CHAINED_FIXUPS, MachO, MachOMalformed

_HEADER = struct.Struct("<7I")
_STARTS = struct.Struct("<I2HQIH")
_NO_PAGE = 0xFFFF
# The formats differ in whether a target counts from 0 or from the image, but a bundle's image is
# at 0.
_PTR_64, _PTR_64_OFFSET = 2, 6
_IMPORT = 1
_STRIDE_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Fixup:
    """A pointer in a Mach-O file that the loader must fill in: where it is, and its target.

    `symbol` is the imported symbol that it points to, None for a pointer into the file itself.
    `value` is what is added to the symbol's address, or else the target's address.
    """

    address: int
    symbol: str | None
    value: int


def fixups(file: MachO) -> tuple[Fixup, ...]:
    """Return every chained fixup of a Mach-O file, in order of address.

    Raises: MachOMalformed for a file without chains, or with chains of another format.
    """
    command = file.command(LC_DYLD_CHAINED_FIXUPS)
    if command is None:
        raise MachOMalformed("the linker left no chained fixups (lld 19 or newer is needed)")
    offset, size = struct.unpack_from("<2I", command.data, 8)
    blob = file.data[offset : offset + size]
    try:
        return tuple(sorted(_walk(file, blob), key=lambda one: one.address))
    except struct.error as error:
        raise MachOMalformed(f"the chained fixups end too early: {error}") from error


def _walk(file: MachO, blob: bytes) -> Iterator[Fixup]:
    _version, starts, imports, symbols, count, import_format, packing = _HEADER.unpack_from(blob)
    if import_format != _IMPORT or packing:
        raise MachOMalformed(f"import format {import_format} is not supported")
    names = tuple(_import_names(blob, imports, symbols, count))
    (segments,) = struct.unpack_from("<I", blob, starts)
    for index in range(segments):
        (at,) = struct.unpack_from("<I", blob, starts + 4 + 4 * index)
        # Offset 0 stands for a segment without fixups.
        if at:
            yield from _segment(file, blob, starts + at, names)


def _import_names(blob: bytes, imports: int, symbols: int, count: int) -> Iterator[str]:
    for index in range(count):
        (packed,) = struct.unpack_from("<I", blob, imports + 4 * index)
        begin = symbols + (packed >> 9)
        yield blob[begin : blob.index(b"\0", begin)].decode()


def _segment(file: MachO, blob: bytes, at: int, names: tuple[str, ...]) -> Iterator[Fixup]:
    _size, page_bytes, form, segment_at, _most, pages = _STARTS.unpack_from(blob, at)
    if form not in {_PTR_64, _PTR_64_OFFSET}:
        raise MachOMalformed(f"pointer format {form} is not supported")
    for page in range(pages):
        (start,) = struct.unpack_from("<H", blob, at + _STARTS.size + 2 * page)
        if start != _NO_PAGE:
            yield from _chain(file, segment_at + page * page_bytes + start, names)


def _chain(file: MachO, address: int, names: tuple[str, ...]) -> Iterator[Fixup]:
    while True:
        raw = file.bytes_at(address, 8)
        if raw is None:
            raise MachOMalformed(f"a chain leads to {address:#x}, outside every segment")
        value = int.from_bytes(raw, "little")
        # The highest bit marks a bind: the import's number has 24 bits, the addend 8.
        if value >> 63:
            yield Fixup(address=address, symbol=names[value & 0xFFFFFF], value=value >> 24 & 0xFF)
        else:
            # A rebase has 36 bits of the address, and its highest byte apart from them.
            top = value >> 36 & 0xFF
            yield Fixup(address=address, symbol=None, value=value & 0xFFFFFFFFF | top << 56)
        step = value >> 51 & 0xFFF
        if not step:
            return
        address += step * _STRIDE_BYTES
