# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The limits of the store: age and number of rows by table, bytes for the whole store.

No limit depends on the calendar, because a clock that is wrong for a second would then empty the
store. Age is the time that the machine has been running since a row was stored: each interval of
kosquery_stats has an entry in the table `horizon` with that clock and the last key at that time,
and with the first text that later rows can have.
The clock of the store may only be behind the true time, never ahead of it, so no row is deleted
too early; time during which the machine was switched off is not counted.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from osq.columns import Table
from osq.moment import Moment
from osq.strings import Strings

# One pass deletes at most this many rows of a table for one reason, or twice the rows of the last
# batch, so that deleting keeps up with storing.
_CHUNK_ROWS = 2000
_ROUNDS = 8
# Free pages at the end of a file that is too large; so many are given back in one pass.
_VACUUM_PAGES = 1024
_NS_PER_S = 1_000_000_000
_LAST_KEY = (1 << 63) - 1
HORIZON = """CREATE TABLE horizon (
    interval INTEGER PRIMARY KEY, lived_s BIGINT NOT NULL, boot_s BIGINT NOT NULL,
    event BIGINT NOT NULL, string BIGINT NOT NULL
)"""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long one table keeps its rows: up to an age, up to a number; 0 means no bound."""

    max_age_s: int = 7 * 86400
    max_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of a store: its file's size, and each table's, or `default` without an entry."""

    max_bytes: int = 1 << 30
    default: Retention = field(default_factory=Retention)
    by_table: Mapping[str, Retention] = field(default_factory=dict)

    def of(self, table: Table) -> Retention:
        """Return the bounds of a table: its own, or `default` if it has none."""
        return self.by_table.get(table.name, self.default)


class Trimmer:
    """Deletes a store's oldest rows beyond its limits, within the transaction of the caller.

    The caller calls `accept` once that transaction is committed. After a transaction that failed,
    the numbers of rows that the trimmer remembers are still those from before it.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        *,
        events: Iterable[Table],
        others: Iterable[Table],
        strings: Strings,
        limits: Limits,
    ) -> None:
        self._connection = connection
        self._strings = strings
        self._events = tuple(events)
        self._others = tuple(others)
        self._tables = (*self._events, *self._others)
        self._limits = limits
        (self._page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        self._accepted = {
            table.name: int(
                connection.execute(f"SELECT count(*) FROM {table.store_name}").fetchone()[0]
            )
            for table in self._tables
        }
        self._rows = dict(self._accepted)
        # By table: the greatest key of the rows that are too old.
        self._too_old: dict[str, int] = {}

    def note(self, interval: int, *, at: Moment, event: int) -> None:
        """Store the machine's running time beside the last keys; rows get their age from that.

        interval: the last row of kosquery_stats; event: the last key of all events.
        at: the end of that interval. Old texts without a row are deleted, too.
        """
        boot_s = at.boot_ns // _NS_PER_S
        lived_s = self._lived_s(boot_s)
        self._connection.execute(
            "INSERT OR REPLACE INTO horizon (interval, lived_s, boot_s, event, string)"
            " VALUES (?, ?, ?, ?, ?)",
            (interval, lived_s, boot_s, event, self._strings.first),
        )
        ages = [self._limits.of(table).max_age_s for table in self._tables]
        for table, age_s in zip(self._tables, ages, strict=True):
            key = "interval" if table in self._others else "event"
            sql = f"SELECT max({key}) FROM horizon WHERE lived_s <= ?"
            (last,) = self._connection.execute(sql, (lived_s - age_s,)).fetchone()
            if age_s and last is not None:
                self._too_old[table.name] = int(last)
        self._forget_horizon(lived_s - max(ages))
        self._delete_unused_strings()

    def _delete_unused_strings(self) -> None:
        """Delete shared texts that no remaining row has: those that are older than the oldest row.

        The table horizon has, for a key, the first text that later rows can have.
        """
        firsts = ", ".join(f"((SELECT min(id) FROM {one.store_name}))" for one in self._events)
        sql = f"""SELECT max(string) FROM horizon
            WHERE event < coalesce((SELECT min(column1) FROM (VALUES {firsts})), ?)"""
        (first,) = self._connection.execute(sql, (_LAST_KEY,)).fetchone()
        if first is not None:
            self._strings.delete_before(int(first))

    def _lived_s(self, boot_s: int) -> int:
        """Return how long the machine had been running since the store was made, at one moment.

        boot_s: the moment, in seconds since boot. If it is smaller than the one noted last, the
        machine has booted since, and at least boot_s have passed.
        """
        sql = "SELECT lived_s, boot_s FROM horizon ORDER BY interval DESC LIMIT 1"
        lived_s, last_s = self._connection.execute(sql).fetchone() or (0, boot_s)
        return int(lived_s + (boot_s - last_s if boot_s >= last_s else boot_s))

    def _forget_horizon(self, lived_s: int) -> None:
        """Delete entries of the table horizon that no bound on the age needs any more.

        lived_s: rows from before this running time are too old for every table.
        """
        last = "SELECT max(interval) FROM horizon WHERE lived_s <= ?"
        self._connection.execute(f"DELETE FROM horizon WHERE interval < ({last})", (lived_s,))

    def trim(self, added: Mapping[str, int]) -> int:
        """Delete rows beyond the limits; return how many rows of events were deleted.

        added: by table name, how many rows this transaction has added. One call deletes a limited
        number of rows, so a store that is far too large shrinks over many calls.
        """
        self._rows = dict(self._accepted)
        for table in self._tables:
            self._rows[table.name] += added.get(table.name, 0)
        before = self._events_count()
        chunk = max(_CHUNK_ROWS, 2 * sum(added.values()))
        for table in self._tables:
            bound = self._limits.of(table)
            if bound.max_rows and self._rows[table.name] > bound.max_rows:
                excess = self._rows[table.name] - bound.max_rows
                self._delete_oldest(table, min(excess, chunk))
            self._delete_too_old(table, chunk)
        for _ in range(_ROUNDS):
            if self.used_bytes() <= self._limits.max_bytes or not self._delete_of_all(chunk):
                break
        return before - self._events_count()

    def accept(self) -> None:
        """Remember the numbers of rows after the last `trim`, whose transaction is committed."""
        self._accepted = self._rows

    def _events_count(self) -> int:
        return sum(self._rows[table.name] for table in self._events)

    def used_bytes(self) -> int:
        """Return the size of the file without its free pages, which it may keep for later rows."""
        return (self._pages("page_count") - self._pages("freelist_count")) * int(self._page_bytes)

    def _pages(self, pragma: str) -> int:
        (pages,) = self._connection.execute(f"PRAGMA {pragma}").fetchone()
        return int(pages)

    def give_pages_back(self) -> None:
        """Shorten the store's file by up to 1024 free pages if it is larger than its limit.

        This is a transaction of its own. Python executes this pragma as a whole in a script only.
        """
        excess = self._pages("page_count") - self._limits.max_bytes // int(self._page_bytes)
        if excess > 0 and self._pages("freelist_count"):
            pages = min(excess, _VACUUM_PAGES)
            self._connection.executescript(f"PRAGMA incremental_vacuum({pages})")

    def _delete_of_all(self, rows: int) -> bool:
        """Delete the oldest rows of all tables of events: this many of the largest one.

        The others lose the rows that are as old: keys are ordered across all tables of events. The
        tables about completeness are small, and only age and number bound them.
        Return False when there was nothing to delete.
        """
        largest = max(self._events, key=lambda table: self._rows[table.name])
        key = self._last_of_oldest(largest, rows)
        if key is not None:
            for table in self._events:
                self._delete_up_to(table, key)
        return key is not None

    def _delete_too_old(self, table: Table, rows: int) -> None:
        """Delete rows beyond a table's greatest age, at most `rows` of them."""
        last = self._too_old.get(table.name, 0)
        (first,) = self._connection.execute(f"SELECT min(id) FROM {table.store_name}").fetchone()
        if first is not None and first <= last:
            self._delete_up_to(table, min(last, self._last_of_oldest(table, rows) or 0))

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
        self._rows[table.name] -= self._connection.execute(sql, (key,)).rowcount
