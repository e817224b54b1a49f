# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The limits of the store: age and number of rows by table, bytes for the whole store."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from osq.columns import Table

# When the store is too large, at least this many rows are deleted at once, or twice the rows of
# the last batch. So the store shrinks whatever a batch adds.
_CHUNK_ROWS = 2000
_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The bounds of one table; 0 means no such bound."""

    max_age_s: int = 7 * 86400
    max_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of a store; a table without an entry uses `default`."""

    max_bytes: int = 1 << 30
    default: Retention = field(default_factory=Retention)
    by_table: Mapping[str, Retention] = field(default_factory=dict)

    def of(self, table: Table) -> Retention:
        """Return the bounds of a table: its own, or `default` if it has none."""
        return self.by_table.get(table.name, self.default)


class Trimmer:
    """Deletes the oldest rows beyond the bounds, within the transaction of its caller."""

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
        """Delete the rows beyond the bounds after this many rows were added to each table.

        Age is checked only when requested, because it costs a query on each table. One call
        deletes a limited number of rows, so a store that is far too large shrinks over many calls.
        Shape: `added` is by table name; now_s is seconds since 1970.
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
        """Return the size of the pages in use; SQLite keeps freed pages for later use."""
        (pages,) = self._connection.execute("PRAGMA page_count").fetchone()
        (free,) = self._connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * int(self._page_bytes)

    def _delete_of_all(self, rows: int) -> bool:
        """Delete this many rows of the largest table of events, and rows as old of the others.

        Return False when there was nothing to delete. Keys are ordered across all tables of
        events, so all tables go back equally far. The tables about completeness are small, and
        only age and number bound them.
        """
        largest = max(self._events, key=lambda table: self._rows[table.name])
        key = self._last_of_oldest(largest, rows)
        if key is not None:
            for table in self._events:
                self._delete_up_to(table, key)
        return key is not None

    def _delete_oldest(self, table: Table, rows: int) -> None:
        key = self._last_of_oldest(table, rows)
        if key is not None:
            self._delete_up_to(table, key)

    def _last_of_oldest(self, table: Table, rows: int) -> int | None:
        """Return the greatest key among the oldest `rows` rows, or None for an empty table."""
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
