# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the layout of a kernel's structures from its BTF.

Reading BTF takes half a second; a debugger takes half a minute to read the same from DWARF.

Source: Documentation/bpf/btf.rst, "BTF Type and String Encoding".
"""

import struct
from dataclasses import dataclass

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_ARRAY = struct.Struct("<III")
# The number of bytes after each kind's header, as (fixed bytes, bytes for each of vlen entries).
_STRUCT, _UNION, _ARRAY_KIND, _POINTER = 4, 5, 3, 2
_FOLLOWS = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0),
            15: (0, 12), 17: (4, 0), 19: (0, 12)}  # fmt: skip
# Kinds that only give another name to a type: typedef, volatile, const, restrict, type tag.
_ALIASES = {8, 9, 10, 11, 18}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member of a structure: its offset, and the size of its type."""

    offset_bytes: int
    size_bytes: int


class Btf:
    """The types of one kernel, read from its BTF.

    Raises: ValueError for bytes that are not BTF.
    """

    def __init__(self, data: bytes) -> None:
        magic, _, _, header, types_at, types_size, strings_at, _ = _HEADER.unpack_from(data)
        if magic != _MAGIC:
            raise ValueError("these bytes are not BTF")
        self._data = data
        self._strings = header + strings_at
        self._types: list[int] = [0]
        self._structures: dict[str, int] = {}
        self._read(header + types_at, header + types_at + types_size)

    def _read(self, position: int, end: int) -> None:
        while position < end:
            name, info, _ = _TYPE.unpack_from(self._data, position)
            kind, count = info >> 24 & 0x1F, info & 0xFFFF
            if kind in {_STRUCT, _UNION} and name:
                self._structures.setdefault(self._string(name), len(self._types))
            self._types.append(position)
            fixed, each = _FOLLOWS.get(kind, (0, 0))
            position += _TYPE.size + fixed + each * count

    def size(self, structure: str) -> int:
        """Return the size of a structure in bytes; KeyError for an unknown structure."""
        return self._size(self._structures[structure])

    def has(self, path: str) -> bool:
        """Return whether the kernel has the structure and the members that a dotted path names."""
        try:
            self.member(path)
        except KeyError:
            return False
        return True

    def member(self, path: str) -> Member:
        """Return the offset and the size of the member at a dotted path in a structure.

        A member of an anonymous structure counts as a member of the structure that contains it.
        Raises: KeyError with the name that does not exist.
        """
        structure, *names = path.split(".")
        if structure not in self._structures:
            raise KeyError(f"no structure {structure}")
        number, offset = self._structures[structure], 0
        for name in names:
            found = self._find(self._plain(number), name)
            if found is None:
                raise KeyError(f"no {name} in {path}")
            number, offset = found[0], offset + found[1]
        return Member(offset_bytes=offset, size_bytes=self._size(number))

    def offset(self, path: str) -> int:
        """Return the offset in bytes of the member at a dotted path; KeyError as in `member`."""
        return self.member(path).offset_bytes

    def _find(self, number: int, wanted: str) -> tuple[int, int] | None:
        position = self._types[number]
        _, info, _ = _TYPE.unpack_from(self._data, position)
        if info >> 24 & 0x1F not in {_STRUCT, _UNION}:
            return None
        for index in range(info & 0xFFFF):
            at = position + _TYPE.size + index * _MEMBER.size
            name, kind, bits = _MEMBER.unpack_from(self._data, at)
            # With the flag set, the upper byte is a bit field's width.
            offset = (bits & 0xFFFFFF if info >> 31 else bits) // 8
            if name:
                if self._string(name) == wanted:
                    return kind, offset
            elif (inner := self._find(self._plain(kind), wanted)) is not None:
                return inner[0], inner[1] + offset
        return None

    def _plain(self, number: int) -> int:
        """Return the number of the type to which the typedef or qualifier `number` leads.

        Any other type leads to itself; 0 is void.
        """
        while number:
            _, info, target = _TYPE.unpack_from(self._data, self._types[number])
            if info >> 24 & 0x1F not in _ALIASES:
                break
            number = target
        return number

    def _size(self, number: int) -> int:
        number = self._plain(number)
        if not number:
            return 0
        _, info, size = _TYPE.unpack_from(self._data, self._types[number])
        kind = info >> 24 & 0x1F
        if kind == _POINTER:
            return 8
        if kind == _ARRAY_KIND:
            of, _, count = _ARRAY.unpack_from(self._data, self._types[number] + _TYPE.size)
            return self._size(of) * int(count)
        return int(size)

    def _string(self, offset: int) -> str:
        start = self._strings + offset
        return self._data[start : self._data.index(b"\0", start)].decode()
