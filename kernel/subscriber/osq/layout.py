# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Decode records by the layout that the C compiler gave the structs of uapi/osq.h.

`_libosq` provides the offset of each field, so this file does not change with the ABI, nor with a
new record type.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import fields
from operator import itemgetter
from typing import Any

from _libosq import ffi, lib
from osq.records import Event, Unknown


def _named(prefix: str) -> dict[int, str]:
    """Return the names of osq.h's constants with this prefix, without it, by their numbers.

    The names are in lower case; the counts (*_COUNT) are left out.
    """
    names = [name for name in dir(lib) if name.startswith(prefix) and not name.endswith("_COUNT")]
    constants = {int(getattr(lib, name)): name.removeprefix(prefix).lower() for name in names}
    return dict(sorted(constants.items()))


TYPE_NAMES = _named("OSQ_TYPE_")
TYPES_BY_NAME = {name: number for number, name in TYPE_NAMES.items()}
REASONS = tuple(_named("OSQ_DROP_").values())
FLAG_NAMES = _named("OSQ_FLAG_")

# For each record type its struct and the event class that it is decoded to: osq_exec and Exec, for
# example. A type without a class of its name is Unknown.
EVENTS: dict[int, tuple[str, type[Event]]] = {
    TYPES_BY_NAME[name]: (f"osq_{name}", event)
    for event in Event.__subclasses__()
    if (name := event.__name__.lower()) in TYPES_BY_NAME
}
Decoder = Callable[[bytes], Event | None]

_CODES = {(1, False): "B", (2, False): "H", (4, False): "I", (8, False): "Q", (8, True): "q"}
# The members of a record whose fields keep their own names.
_UNNAMED = frozenset({"head", "actor", "caller"})
_HEAD_BYTES: int = ffi.sizeof("struct osq_record")
_TYPE = struct.Struct("<4xH")


def struct_format(name: str) -> tuple[str, tuple[tuple[str, str, int], ...]]:
    """Return the format, for Python's module `struct`, of a struct of osq.h, and its fields.

    A field is (name, kind, first value): the index of its first value after unpacking. Kinds are
    "number", "span" (two values: offset, length) and "array:N". Fields of _UNNAMED members keep
    their names; the name of its member precedes the fields of any other nested struct.
    Raises: TypeError for a struct with holes.
    """
    codes: list[str] = []
    fields: list[tuple[str, str, int]] = []
    _walk(ffi.typeof(f"struct {name}"), codes, fields)
    text = "<" + "".join(codes)
    if struct.calcsize(text) != ffi.sizeof(f"struct {name}"):
        raise TypeError(f"struct {name} has holes")
    return text, tuple(fields)


def _walk(
    of: Any, codes: list[str], fields: list[tuple[str, str, int]], *, within: str = ""
) -> None:
    for own, field in of.fields:
        name = within + own
        first = len(codes)
        kind = field.type
        if kind.kind == "struct" and kind.cname == "struct osq_span":
            fields.append((name, "span", first))
            codes += ["I", "I"]
        elif kind.kind == "struct":
            _walk(kind, codes, fields, within="" if own in _UNNAMED else f"{name}_")
        elif kind.kind == "array":
            fields.append((name, f"array:{kind.length}", first))
            codes += [_code(kind.item)] * kind.length
        else:
            fields.append((name, "number", first))
            codes.append(_code(kind))


def _code(kind: Any) -> str:
    signed = int(ffi.cast(kind, -1)) < 0
    return _CODES[ffi.sizeof(kind), signed]


def make_decoder(struct_name: str, event: type[Event]) -> Decoder:
    """Return a function that decodes the bytes of one record into an `event`.

    struct_name: the struct of osq.h that describes such a record.
    That function returns None for bytes that cannot be a record. A later schema may have a longer
    fixed part; its length is not needed, because the spans say where their bytes are.
    """
    text, layout = struct_format(struct_name)
    unpack = struct.Struct(text)
    kinds = {name: (kind, first) for name, kind, first in layout}
    wanted = {field.name: kinds[field.name] for field in fields(event)}
    numbers = {name: first for name, (kind, first) in wanted.items() if kind == "number"}
    spans = [(name, first) for name, (kind, first) in wanted.items() if kind == "span"]
    arrays = [
        (name, first, first + int(kind.partition(":")[2]))
        for name, (kind, first) in wanted.items()
        if kind.startswith("array:")
    ]
    pick = itemgetter(*numbers.values())

    def decode(raw: bytes) -> Event | None:
        if len(raw) < unpack.size:
            return None
        values = unpack.unpack_from(raw)
        fields: dict[str, Any] = dict(zip(numbers, pick(values), strict=True))
        for name, first in spans:
            begin, length = values[first], values[first + 1]
            if begin < _HEAD_BYTES or begin + length > len(raw):
                return None
            fields[name] = raw[begin : begin + length]
        for name, first, end in arrays:
            fields[name] = values[first:end]
        # The generated __init__ sets a frozen class field by field, which took four fifths of
        # the time to decode an exec. So this bypasses it.
        made = object.__new__(event)
        made.__dict__.update(fields)
        return made

    return decode


def _make_unknown() -> Decoder:
    text, layout = struct_format("osq_record")
    unpack = struct.Struct(text)
    places = {name: first for name, _, first in layout}
    wanted = [field.name for field in fields(Unknown)]
    pick = itemgetter(*(places[name] for name in wanted))

    def decode(raw: bytes) -> Event | None:
        return Unknown(**dict(zip(wanted, pick(unpack.unpack_from(raw)), strict=True)))

    return decode


_DECODERS = {number: make_decoder(*entry) for number, entry in EVENTS.items()}
_UNKNOWN = _make_unknown()


def decode(raw: bytes) -> Event | None:
    """Return the event of one complete record, or None when its bytes cannot be a record.

    A record of a type that this version does not know is an Unknown.
    """
    (kind,) = _TYPE.unpack_from(raw)
    return _DECODERS.get(kind, _UNKNOWN)(raw)


def enum_names(enum: str, prefix: str) -> dict[int, str]:
    """Return the names of an osq.h enum by number, in lower case and without the prefix."""
    elements = ffi.typeof(f"enum {enum}").elements
    return {number: name.removeprefix(prefix).lower() for number, name in elements.items()}


def flag_names(flags: int) -> Iterator[str]:
    """Yield the names of the OSQ_FLAG_* bits that are set in a record's flags, in lower case."""
    return (name for bit, name in FLAG_NAMES.items() if flags & bit)
