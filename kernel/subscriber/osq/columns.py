# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tables and columns as data, and the SQL that is generated from them.

Each table of events is a view over a second table, `<name>_store`, which contains the recorded
values. The view has osquery's column names and types. A value that can be computed at query time
(an eid, a time in seconds) is computed in the view and takes no space. The view is stored in the
database, so `osq query`, the osquery extension, the Python API and any SQLite shell see the same
table, and SQLite's query planner can use the indexes of the table below it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

from osq.layout import FLAG_NAMES
from osq.programs import Program
from osq.values import signed

SqlValue = int | str | None
SqlType = Literal["TEXT", "INTEGER", "BIGINT"]

# The key of an event is its session number, shifted left by this many bits, plus its number.
# A session's number is the second in which it began. After 2 ** 32 attempts the sum carries
# into the numbers of seconds that have passed already, so keys stay unique and keep growing.
SEQ_BITS = 32


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the rows of a batch need in addition to the events: clock, environment, programs.

    environment_variables: the names of the variables that may be stored.
    programs, categories: the program of the process, and the category of the file, by the event's
    seq; an event without an entry has none.
    Units: realtime_offset_ns is CLOCK_REALTIME minus CLOCK_BOOTTIME, when the batch was read.
    """

    realtime_offset_ns: int
    environment_variables: frozenset[bytes] = frozenset()
    programs: Mapping[int, Program] = field(default_factory=dict)
    categories: Mapping[int, str] = field(default_factory=dict)


def shared_text(column: str) -> str:
    """Return the SQL expression for the text whose number (in the table `string`) a column has."""
    return f"(SELECT text FROM string WHERE string.id = {column})"


# Each function here reads one class of values; the table names the class beside the function.
Source = Callable[[Any, Context], SqlValue]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of an SQL table, and how it is filled.

    by: for each class of values (mostly events) the field or function that fills the column;
    a class without an entry leaves NULL.
    select: the SQL expression that computes the column from stored columns, instead of `by`.
    shared: whether the text is stored once for many rows (strings.py).
    otherwise: the SQL expression for a row in which `by` has left NULL.
    source: documentation: where the value comes from, or why the column stays empty.
    origin: documentation: the table of osquery that has this column.
    hidden: whether osquery leaves the column out of SELECT *.
    aliases: osquery's other names for the column.
    """

    name: str
    kind: SqlType
    source: str
    origin: str = "osq"
    by: Mapping[type, str | Source] = field(default_factory=dict)
    select: str = ""
    shared: bool = False
    otherwise: str = ""
    hidden: bool = False
    aliases: tuple[str, ...] = ()

    @property
    def is_stored(self) -> bool:
        """Whether the table below the view has the column: not if it is computed, or empty."""
        return not self.select and bool(self.by)

    @property
    def expression(self) -> str:
        """The SQL expression of the column in the view."""
        if not self.is_stored:
            return self.select or "NULL"
        stored = shared_text(self.name) if self.shared else self.name
        return f"coalesce({stored}, {self.otherwise})" if self.otherwise else stored


@dataclass(frozen=True, kw_only=True)
class Table:
    """One SQL table of the subscriber: a view that users query over a table `<name>_store`.

    columns: those of the view; the table below it has those of them that are stored, id and time.
    holds: the event classes (or Interval) whose instances become rows.
    indexes: SQL statements that create indexes besides those on time and pid.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    holds: tuple[type, ...]
    indexes: tuple[str, ...] = ()

    @property
    def store_name(self) -> str:
        """The name of the table below the view, which holds the rows."""
        return f"{self.name}_store"

    @property
    def create(self) -> tuple[str, ...]:
        """The SQL statements that create the table, its indexes and its view."""
        stored = [
            f"{one.name} {'INTEGER' if one.shared else one.kind}"
            for one in self.columns
            if one.is_stored
        ]
        columns = ", ".join(("id INTEGER PRIMARY KEY", "time BIGINT NOT NULL", *stored))
        # A join of processes asks once for each row of the other table.
        indexed = ("time", *(x.name for x in self.columns if x.is_stored and x.name == "pid"))
        return (
            f"CREATE TABLE {self.store_name} ({columns})",
            *(
                f"CREATE INDEX {self.name}_{name} ON {self.store_name} ({name})"
                for name in indexed
            ),
            *self.indexes,
            f"CREATE VIEW {self.name} AS {self.view()}",
        )

    def view(self, where: str = "") -> str:
        """Return the SELECT of the view, over all rows or over those that match `where`."""
        wanted = ", ".join(f"{one.expression} AS {one.name}" for one in self.columns)
        condition = f" WHERE {where}" if where else ""
        return f"SELECT {wanted} FROM {self.store_name}{condition}"

    def _filled(self, kind: type) -> tuple[list[tuple[str, str]], list[tuple[str, Source]]]:
        """Return a class's stored columns: those that a field fills, those that a function does.

        Each column is a pair: its name, and the name of the field, or the function.
        """
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
        """Return the INSERT statement for rows that are made from instances of the class."""
        plain, computed = self._filled(kind)
        names = ("id", "time", *(name for name, _ in (*plain, *computed)))
        places = ", ".join("?" * len(names))
        return f"INSERT INTO {self.store_name} ({', '.join(names)}) VALUES ({places})"

    def shared_places(self, kind: type) -> tuple[int, ...]:
        """Return which values of `insert`, by index, are texts stored once for many rows."""
        plain, computed = self._filled(kind)
        names = ("id", "time", *(name for name, _ in (*plain, *computed)))
        shared = {one.name for one in self.columns if one.shared}
        return tuple(place for place, name in enumerate(names) if name in shared)

    def row_maker(self, kind: type) -> Callable[[int, int, object, Context], list[SqlValue]]:
        """Return a function of key, time, instance and context that makes the values for `insert`.

        Units: the time is in seconds since the epoch.
        """
        plain, computed = self._filled(kind)
        # attrgetter returns a tuple only for two or more names, so `seq`, which every value has,
        # is requested twice.
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


_SET_FLAGS = " || ".join(
    f"CASE WHEN flags & {bit} THEN '{name},' ELSE '' END" for bit, name in FLAG_NAMES.items()
)
_FLAG_NAMES = Column(
    name="flag_names",
    kind="TEXT",
    # Most rows have none.
    select=f"CASE flags WHEN 0 THEN '' ELSE rtrim({_SET_FLAGS}, ',') END",
    source="flags by name, with commas",
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


def actor_columns(events: Sequence[type]) -> tuple[Column, ...]:
    """Return the columns on a process that caused an event, and on its parent.

    They are the parent's start, and device and inode of the files that process and parent run.
    events: the event classes of the table that gets the columns.
    """
    parent = Column(
        name="parent_start_ntime",
        kind="BIGINT",
        by=dict.fromkeys(events, lambda event, _: event.parent_start_boot_ns or None),
        source="head.parent_start_boot_ns: with parent it names that process for good; NULL:"
        " not known",
    )

    def of(name: str, field_name: str, source: str) -> Column:
        def value(event: Any, _: Context) -> SqlValue:
            return signed(getattr(event, field_name))

        by: Mapping[type, str | Source] = dict.fromkeys(events, value)
        return Column(name=name, kind="BIGINT", by=by, source=source)

    return (
        parent,
        of(
            "program_device", "program_dev", "actor.program_dev: what the process runs; 0: unknown"
        ),
        of("program_inode", "program_ino", "actor.program_ino"),
        of("parent_device", "parent_dev", "actor.parent_dev: what its parent runs; 0: unknown"),
        of("parent_inode", "parent_ino", "actor.parent_ino"),
    )


def caller_columns(
    event: type, member: str = "caller", *, pid: str = "head.pid"
) -> tuple[Column, ...]:
    """Return the columns on the thread that made a call: its ids, program and system call.

    event: the class of the table's events. member: what the documentation names as the place of
    the ids in the record. pid: the documentation of the column pid.
    """

    def of(name: str, field_name: str, source: str) -> Column:
        return Column(name=name, kind="BIGINT", by={event: field_name}, source=source)

    return (
        of("pid", "pid", pid),
        of("parent", "ppid", "head.ppid"),
        of("tid", "tid", "head.tid"),
        program_column(event, "path"),
        of("syscall", "syscall", f"{member}.syscall: its number; 4294967295: in none"),
        of("uid", "uid", f"{member}.uid"),
        of("euid", "euid", f"{member}.euid"),
        of("auid", "auid", f"{member}.auid; 4294967295 when not set"),
        of("session_id", "session", f"{member}.session: audit's"),
    )


def target_columns(event: type, prefix: str, *, pid: str = "") -> tuple[Column, ...]:
    """Return the columns on the process to which a call is done, and on the file that it runs.

    event: as for `caller_columns`. prefix: what precedes the fields' names in the documentation.
    pid: what the documentation of target_pid adds.
    """

    def of(name: str, field_name: str, says: str = "") -> Column:
        def value(one: Any, _: Context) -> SqlValue:
            return signed(getattr(one, f"target_{field_name}"))

        source = f"{prefix}{field_name}{says}"
        return Column(name=f"target_{name}", kind="BIGINT", by={event: value}, source=source)

    return (
        of("pid", "pid", pid),
        of("tid", "tid"),
        of("start_ntime", "start_boot_ns", ": with target_pid it names the process for good"),
        of("device", "dev", ": what the target runs; 0: unknown"),
        of("inode", "ino"),
        of("uid", "uid"),
        of("euid", "euid"),
    )


def program_column(event: type, name: str, *, origin: str = "osq", later: str = "") -> Column:
    """Return the column with the path of the program that the acting process runs.

    NULL: that is not known. event: the class of the table's events; name: the column's name.
    later: the SQL expression for the path of a program whose exec comes after the event.
    """

    def path(one: Any, context: Context) -> SqlValue:
        program = context.programs.get(one.seq)
        return program.path if program else None

    source = "of the exec that has started program_inode, or /proc/PID/exe; NULL: not known"
    if later:
        source = f"{source}. In an exec: of the program that is started"
    return Column(
        name=name,
        kind="TEXT",
        by={event: path},
        source=source,
        origin=origin,
        shared=True,
        otherwise=later,
    )


def common_columns(events: Sequence[type]) -> tuple[Column, ...]:
    """Return the last columns of every table of events: times, keys, seq, flags and CPU.

    events: the event classes of the table that gets the columns.
    """

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
        _FLAG_NAMES,
        of_head("cpu", "INTEGER", "cpu", "head.cpu", "osq"),
    )
