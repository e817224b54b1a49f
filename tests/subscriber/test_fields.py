# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that the tables have all that the driver's records have: each field shows in some column.

A record in which one field differs from a plain one must give a row that differs, too. A field
that the header gains needs a column, or a reason in WITHOUT_COLUMN.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from _libosq import ffi
from osq.columns import Context
from osq.completeness import Totals
from osq.layout import EVENTS, TYPE_NAMES
from osq.retention import Limits
from osq.store import Store
from osq.tables import EVENT_TABLES
from tests.subscriber.events import a_record

# The fields of a record that no column shows, and why.
WITHOUT_COLUMN = {
    "len": "the place of a record in the ring says nothing of the event",
    "type": "each type has a table, or a value of event_type",
    "pos": "as len",
    "ring_id": "there is one ring",
    "seq": "seq_num, which differs in all rows of this test",
    "reserved": "0 in this version of the header",
    "old_reserved": "as reserved",
    "now_reserved": "as reserved",
}
# Those of a loss have no process: the header says that they are 0.
OF_A_PROCESS = {"start_boot_ns", "pid", "tid", "ppid", "parent_start_boot_ns"}
# Columns that differ between any two rows.
NUMBERS = {"eid", "seq_num", "global_seq_num"}
# Addresses are shown for families that have them.
PLAIN: dict[str, dict[str, int]] = {"socket": {"family": 2}}
ENVIRONMENT = frozenset({b"A"})
# Numbers that an enumeration, a set of bits, a time in seconds and a part of a number show.
TRIED = (1, 2, 0x1FF, 5 * 10**9)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A record of a type in which one field has this value."""

    type: str
    field: str
    spans: dict[str, bytes]
    values: dict[str, Any]


def leaves(of: Any, member: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield each field of a struct: the member that has it, its name and its type."""
    for name, one in of.fields:
        if one.type.kind == "struct" and one.type.cname != "struct osq_span":
            yield from leaves(one.type, name)
        else:
            yield member, name, one.type


def changes(kind: str) -> Iterator[Change]:
    """Yield changes of each field of a type of records; several for a field that is a number."""
    for member, name, of in leaves(ffi.typeof(f"struct osq_{kind}")):
        field = f"{member}_{name}" if member in {"old", "now"} else name
        if field in WITHOUT_COLUMN or (kind == "lost" and name in OF_A_PROCESS):
            continue
        if of.kind == "struct":
            yield Change(type=kind, field=field, spans={name: b"A=" + b"1" * 64}, values={})
            continue
        item = of.item if of.kind == "array" else of
        for tried in TRIED:
            number = tried % (1 << 8 * ffi.sizeof(item))
            value = [number] if of.kind == "array" else number
            # a_record finds the fields of the head by itself.
            own = {name: value} if member in {"", "head"} else {member: {name: value}}
            yield Change(type=kind, field=field, spans={}, values=own)


def shown(folder: Path, number: int) -> dict[str, set[str]]:
    """Return for each field of a type the columns in which its changes are seen."""
    kind = TYPE_NAMES[number]
    tried = list(changes(kind))
    plain = Change(type=kind, field="", spans={}, values={})
    events = [
        a_record(one.type, spans=one.spans, seq=seq, **{**PLAIN.get(kind, {}), **one.values})
        for seq, one in enumerate([plain, *tried], start=1)
    ]
    path = folder / f"{kind}.db"
    context = Context(realtime_offset_ns=0, environment_variables=ENVIRONMENT)
    with Store(path, Limits()) as store:
        store.begin()
        store.commit(events, Totals(), context, close_interval=False)
    (table,) = (one.name for one in EVENT_TABLES if EVENTS[number][1] in one.holds)
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        base, *rows = connection.execute(f"SELECT * FROM {table} ORDER BY seq_num").fetchall()
    seen: dict[str, set[str]] = {one.field: set() for one in tried}
    for one, row in zip(tried, rows, strict=True):
        seen[one.field] |= {name for name in dict(row) if row[name] != base[name]} - NUMBERS
    return seen


@pytest.mark.parametrize("number", EVENTS, ids=lambda number: TYPE_NAMES[number])
def test_each_field_of_a_record_is_seen_in_a_column(folder: Path, number: int) -> None:
    """A changed field of a record changes a column of its row, unless a reason is given."""
    seen = shown(folder, number)

    assert "ts_boot_ns" in seen
    assert [field for field, columns in seen.items() if not columns] == []


def test_a_field_without_a_column_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison of fields and columns finds a field that no column shows: here ring_id."""
    number = next(number for number, name in TYPE_NAMES.items() if name == "fork")
    monkeypatch.delitem(WITHOUT_COLUMN, "ring_id")

    assert [field for field, columns in shown(folder, number).items() if not columns] == [
        "ring_id"
    ]
