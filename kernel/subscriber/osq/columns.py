# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a table is: columns as data, and the SQL that follows from them.

A table of events has a twin in the store that holds what was recorded (`<name>_store`), and is
itself a view over it, with osquery's column names and types. Whatever can be computed when asked
(an eid, a time in seconds) is computed there and takes no room. The view is a part of the store,
so `osq query`, the osquery extension, the Python API and any SQLite shell see the same table,
and SQLite's own planner sees through it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from osq.programs import Program

SqlValue = int | str | None
SqlType = Literal["TEXT", "INTEGER", "BIGINT"]

# An event's key is its session's number, so many bits to the left, plus its own number. Sessions
# are numbered by the second in which they began, so a carry after 2 ** 32 attempts runs into
# numbers of seconds that are over: keys stay unique, and grow with time.
SEQ_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Context:
    """What turns an event into a row beside the event: clocks, and what may be stored.

    programs and categories are of the batch, by the number of an event.
    Units: realtime_offset_ns is CLOCK_REALTIME minus CLOCK_BOOTTIME, when the batch was read.
    """

    realtime_offset_ns: int
    environment_variables: frozenset[bytes] = frozenset()
    programs: Mapping[int, Program] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)


# Made for one class of values; which one, the table says beside it.
Source = Callable[[Any, Context], SqlValue]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    by: how a value of each class (mostly events) fills it, as the name of a field or a function;
    a class that is not there leaves NULL.
    select: the SQL that computes it from stored columns, instead.
    source: for the reader of the documentation, where it comes from or why it stays empty.
    origin: the table of osquery that it is known from.
    """

    name: str
    kind: SqlType
    source: str
    origin: str = "osq"
    by: Mapping[type, str | Source] = field(default_factory=dict)
    select: str = ""
    hidden: bool = False

    @property
    def is_stored(self) -> bool:
        """Whether it has a place of its own in the store."""
        return not self.select and bool(self.by)

    @property
    def expression(self) -> str:
        """The SQL that the view has for it."""
        return self.select or (self.name if self.by else "NULL")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; `columns` are those of the view, id and time are always stored."""

    name: str
    about: str
    columns: tuple[Column, ...]
    holds: tuple[type, ...]

    @property
    def store_name(self) -> str:
        """The table that holds the rows."""
        return f"{self.name}_store"

    @property
    def create(self) -> tuple[str, ...]:
        """The SQL that makes table, index and view."""
        stored = [f"{one.name} {one.kind}" for one in self.columns if one.is_stored]
        columns = ", ".join(("id INTEGER PRIMARY KEY", "time BIGINT NOT NULL", *stored))
        return (
            f"CREATE TABLE {self.store_name} ({columns})",
            f"CREATE INDEX {self.name}_time ON {self.store_name} (time)",
            f"CREATE VIEW {self.name} AS {self.view()}",
        )

    def view(self, where: str = "") -> str:
        """Return the SELECT that the view is, over all rows or those that `where` lets through."""
        wanted = ", ".join(f"{one.expression} AS {one.name}" for one in self.columns)
        condition = f" WHERE {where}" if where else ""
        return f"SELECT {wanted} FROM {self.store_name}{condition}"

    def _filled(self, kind: type) -> tuple[list[tuple[str, str]], list[tuple[str, Source]]]:
        """Return the stored columns that a class fills: by a field, and by a function."""
        plain: list[tuple[str, str]] = []
        computed: list[tuple[str, Source]] = []
        for one in self.columns:
            source = one.by.get(kind) if one.is_stored else None
            if isinstance(source, str):
                plain.append((one.name, source))
            elif source is not None:
                computed.append((one.name, source))
        return plain, computed

    def insert(self, kind: type) -> str:
        """Return the INSERT for a row of this class of values."""
        plain, computed = self._filled(kind)
        names = ("id", "time", *(name for name, _ in (*plain, *computed)))
        places = ", ".join("?" * len(names))
        return f"INSERT INTO {self.store_name} ({', '.join(names)}) VALUES ({places})"

    def row_maker(self, kind: type) -> Callable[[int, int, object, Context], list[SqlValue]]:
        """Return what makes the values of `insert` from id, time and a value of the class."""
        plain, computed = self._filled(kind)
        # seq, which every value has, twice: attrgetter gives a tuple for two or more names only.
        pick = attrgetter("seq", "seq", *(field_name for _, field_name in plain))
        functions = [source for _, source in computed]

        def make(key: int, time_s: int, one: object, context: Context) -> list[SqlValue]:
            row: list[SqlValue] = list(pick(one))
            row[0], row[1] = key, time_s
            row += [function(one, context) for function in functions]
            return row

        return make


EID = Column(
    name="eid",
    kind="TEXT",
    select="printf('%020d', id)",
    hidden=True,
    origin="process_events",
    source="session and head.seq; grows with time, unique over all tables of events",
)


_TIME = Column(
    name="time",
    kind="BIGINT",
    select="time",
    origin="process_events",
    source="head.ts_boot_ns, as CLOCK_REALTIME when the batch was read, in seconds",
)
_UPTIME = Column(
    name="uptime",
    kind="BIGINT",
    select="ntime / 1000000000",
    origin="process_events",
    source="head.ts_boot_ns in seconds",
)
_KEY = Column(
    name="global_seq_num",
    kind="BIGINT",
    select="id",
    origin="es_process_events",
    source="session * 2^32 + head.seq: eid as a number",
)


def common_columns(events: Sequence[type]) -> tuple[Column, ...]:
    """Return the columns that every table of events ends with."""

    def of_head(name: str, kind: SqlType, field_name: str, source: str, origin: str) -> Column:
        by = dict.fromkeys(events, field_name)
        return Column(name=name, kind=kind, by=by, source=source, origin=origin)

    return (
        _TIME,
        _UPTIME,
        of_head(
            *("ntime", "BIGINT", "ts_boot_ns"),
            "head.ts_boot_ns; a number here, text there",
            "bpf_process_events",
        ),
        EID,
        of_head(
            *("seq_num", "BIGINT", "seq"),
            "head.seq: counts every attempt of the session, so a gap is a loss",
            "es_process_events",
        ),
        _KEY,
        of_head(
            *("flags", "INTEGER", "flags"),
            "head.flags: OSQ_FLAG_* of osq.h, what is not whole",
            "osq",
        ),
        of_head("cpu", "INTEGER", "cpu", "head.cpu", "osq"),
    )
