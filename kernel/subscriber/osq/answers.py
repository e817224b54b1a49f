# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Answer osquery's requests to a table from the store, with a bound on each answer.

An answer is a function of the store and of the conditions of the request, so queries cannot take
each other's rows. A request with a cursor is the exception: it gets the rows of its window.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from osq.columns import Column, SqlValue, Table
from osq.cursors import Cursors
from osq.errors import OsqError, QueryError
from osq.osquery_context import CURSOR, CUT, RUN, Condition, Request, request_of
from osq.reader import Reader

_DEADLINE_S = 30.0
# The memory that osqueryd needs for a row and for a value besides their text: a std::map with a
# node and two std::string for each value, on a 64-bit machine.
_ROW_BYTES = 100
_VALUE_BYTES = 100
# osquery's options of a column (osquery/core/sql/column.h): it passes conditions on it, and
# SELECT * leaves it out.
_INDEX = 1
_HIDDEN = 16
_EVENT_BASED = "4"
# Columns of every table that osquery has and the store has not. They come first: osquery reports
# as used each of the first 63 columns for itself, and all others together. CUT is the very first,
# because SQLite passes LIMIT and OFFSET as constraints on the first column.
_OWN_COLUMNS = (
    Column(name=CUT, kind="INTEGER", source="1: the answer did not hold all rows"),
    Column(name=CURSOR, kind="TEXT", source="the name of a reading position", hidden=True),
    Column(name=RUN, kind="TEXT", source="one run of the query with the cursor", hidden=True),
)

Row = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an extension answers from: the store, its cursors, and a bound on each answer's memory.

    Units: most_bytes is the memory that the rows of one answer may take in osqueryd.
    """

    store: Path
    cursors: Cursors
    most_bytes: int


@dataclass(kw_only=True)
class _Part:
    """The rows of one answer, whether the bound left rows out, and the key of its last row."""

    rows: list[Row] = field(default_factory=list)
    is_cut: bool = False
    last: int = 0


def columns(table: Table) -> tuple[Column, ...]:
    """Return the columns that osquery sees: `cut`, `cursor` and `run`, then those of the store."""
    return (*_OWN_COLUMNS, *table.columns)


def routes(table: Table) -> list[Row]:
    """Return osquery's description ("routes") of a table: its columns, aliases and attributes.

    Every column has the option INDEX, because osquery passes conditions on no other column. An
    alias follows its column: osquery takes the use of one alias behind the 63rd column for the use
    of all columns there, and of no other alias.
    """
    described: list[Row] = []
    for one in columns(table):
        options = _INDEX | _HIDDEN if one.hidden else _INDEX
        described.append({"id": "column", "name": one.name, "type": one.kind, "op": str(options)})
        described += [
            {"id": "columnAlias", "name": alias, "target": one.name} for alias in one.aliases
        ]
    return [*described, {"id": "attributes", "attributes": _EVENT_BASED}]


def answer(source: Source, table: Table, context: Mapping[str, Any]) -> list[Row]:
    """Return the rows that answer one request of osquery, every value as text.

    context: osquery's JSON of the request: the columns in use, and the constraints.
    Raises: QueryError when the rows exceed the bound and the query does not use the column `cut`;
        OsqError when the store cannot answer.
    """
    request = request_of(table, context)
    if request.cursor:
        return _answer_run(source, request)
    with Reader(source.store) as reader:
        return _answer_all(source, reader, request)


def _answer_run(source: Source, request: Request) -> list[Row]:
    """Return the rows of a query that names a cursor: those of its run's window.

    After an error the next run of the query gets the same window again.
    """
    try:
        with Reader(source.store) as reader:
            return _answer_window(source, reader, request)
    except OsqError:
        source.cursors.forget_run(request.cursor, request.table.name, run=request.run)
        raise


def _answer_all(source: Source, reader: Reader, request: Request) -> list[Row]:
    """Return all rows of the store that fulfil the conditions of a request without a cursor.

    Raises: QueryError when the rows exceed the bound and the query does not use the column `cut`,
        by which it would see that rows are missing.
    """
    # Without ORDER BY SQLite uses the index of a condition on time or pid.
    part = _part(source, request, _values(reader, request, request.conditions, order=""), {})
    if part.is_cut:
        source.cursors.count_cut()
    if part.is_cut and not request.shows_cut:
        raise QueryError(
            f"{request.table.name}: the answer takes more than {source.most_bytes >> 20} MiB",
            hint=f"name the column {CUT} to get a part of the rows, limit the query by time,"
            " or raise osq.extension_mib",
        )
    return part.rows


def _answer_window(source: Source, reader: Reader, request: Request) -> list[Row]:
    """Return the rows of a run's window, oldest first, up to the bound on an answer.

    When the bound leaves rows out, the window ends before them, so the next run gets them.
    """
    cursors, name = source.cursors, request.table.name
    newest = reader.newest()[name]
    window = cursors.window(request.cursor, name, run=request.run, newest=newest)
    conditions = (
        *request.conditions,
        ("global_seq_num > ?", window.after),
        ("global_seq_num <= ?", window.up_to),
    )
    shown = {CURSOR: request.cursor, RUN: request.run}
    values = _values(reader, request, conditions, order="ORDER BY global_seq_num")
    part = _part(source, request, values, shown)
    if part.is_cut:
        cursors.end_window(request.cursor, name, part.last)
        cursors.count_cut()
    return part.rows


def _values(
    reader: Reader, request: Request, conditions: tuple[Condition, ...], *, order: str
) -> Iterator[tuple[SqlValue, ...]]:
    """Yield for each row that matches the conditions its global_seq_num and its requested columns.

    order: an ORDER BY clause, or "".
    """
    where = " AND ".join(sql for sql, _ in conditions) or "1"
    wanted = ", ".join(("global_seq_num", *request.columns))
    sql = f"SELECT {wanted} FROM {request.table.name} WHERE {where} {order}"
    parameters = tuple(value for _, value in conditions)
    return reader.query(sql, parameters, deadline_s=_DEADLINE_S).rows


def _part(
    source: Source,
    request: Request,
    values: Iterator[tuple[SqlValue, ...]],
    shown: Mapping[str, str],
) -> _Part:
    """Return the first rows of `values` that fit into the bound, and at least one row.

    At least one, so that each run of a query with a cursor makes progress. When osquery passed
    constraints, each row has its key as `rowid`: for conditions joined by OR, SQLite asks several
    times and unites the rows by it.
    shown: the values of `cursor` and `run`, which each row repeats.
    """
    part = _Part()
    left_bytes = source.most_bytes
    for key, *rest in values:
        texts = ["" if value is None else str(value) for value in rest]
        row = {**dict(zip(request.columns, texts, strict=True)), **shown}
        if request.is_constrained:
            row["rowid"] = str(key)
        left_bytes -= _ROW_BYTES + sum(_VALUE_BYTES + len(text) for text in row.values())
        if part.rows and left_bytes < 0:
            part.is_cut = True
            break
        part.rows.append(row)
        part.last = int(str(key))
    if request.shows_cut:
        for row in part.rows:
            row[CUT] = str(int(part.is_cut))
    return part
