# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What keeps the store bounded: age and number of rows by table, bytes over all."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from osq.columns import Table

# Of what is too much, so many rows at least go at once; a batch never adds more than it frees.
_CHUNK_ROWS = 2000
_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long rows of one table stay; 0: no such limit."""

    max_age_s: int = 7 * 86400
    max_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of a store; tables without an entry go by `default`."""

    max_bytes: int = 1 << 30
    default: Retention = field(default_factory=Retention)
    by_table: Mapping[str, Retention] = field(default_factory=dict)

    def of(self, table: Table) -> Retention:
        """Return the bounds of one table."""
        return self.by_table.get(table.name, self.default)


class Trimmer:
    """Deletes the oldest rows beyond the limits, within the transaction of its caller."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        events: Iterable[Table],
        others: Iterable[Table],
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._events = tuple(events)
        self._tables = (*self._events, *others)
        self._limits = limits
        (self._page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        self._rows = {
            table.name: int(
                connection.execute(f"SELECT count(*) FROM {table.store_name}").fetchone()[0]
            )
            for table in self._tables
        }

    def trim(self, added: Mapping[str, int], *, now_s: int, by_age: bool) -> None:
        """Delete what is too much after so many rows were added to each table.

        Age is looked at when asked for, since it takes a look into each table.
        """
        for table in self._tables:
            self._rows[table.name] += added.get(table.name, 0)
            bound = self._limits.of(table)
            if bound.max_rows and self._rows[table.name] > bound.max_rows:
                self._delete_oldest(table, self._rows[table.name] - bound.max_rows)
            if by_age and bound.max_age_s:
                self._delete_before(table, now_s - bound.max_age_s)
        chunk = max(_CHUNK_ROWS, 2 * sum(added.values()))
        for _ in range(_ROUNDS):
            if self.used_bytes() <= self._limits.max_bytes or not self._delete_of_all(chunk):
                break

    def used_bytes(self) -> int:
        """Return the size of what is in use; freed pages are used again, the file keeps them."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * int(self._page_bytes)

    def _delete_of_all(self, rows: int) -> bool:
        """Delete so many rows of the largest table of events, and what is older in the others.

        Keys are ordered over all tables of events, so that all go back equally far. What tells
        of the events' completeness is small, and goes by age and number alone.
        """
        largest = max(self._events, key=lambda table: self._rows[table.name])
        key = self._oldest_but(largest, rows)
        if key is not None:
            for table in self._events:
                self._delete_up_to(table, key)
        return key is not None

    def _delete_oldest(self, table: Table, rows: int) -> None:
        key = self._oldest_but(table, rows)
        if key is not None:
            self._delete_up_to(table, key)

    def _oldest_but(self, table: Table, rows: int) -> int | None:
        """Return the key up to which there are so many rows, or None in an empty table."""
        sql = f"SELECT max(id) FROM (SELECT id FROM {table.store_name} ORDER BY id LIMIT ?)"
        (key,) = self._connection.execute(sql, (rows,)).fetchone()
        return None if key is None else int(key)

    def _delete_up_to(self, table: Table, key: int) -> None:
        sql = f"DELETE FROM {table.store_name} WHERE id <= ?"
        self._count(table, self._connection.execute(sql, (key,)))

    def _delete_before(self, table: Table, time_s: int) -> None:
        sql = f"DELETE FROM {table.store_name} WHERE time < ?"
        self._count(table, self._connection.execute(sql, (time_s,)))

    def _count(self, table: Table, done: sqlite3.Cursor) -> None:
        self._rows[table.name] -= done.rowcount
