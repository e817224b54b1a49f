# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The store: one SQLite file that one daemon writes and any number of readers query.

A batch is one transaction, which is synced to the disk before the batch is released to the kernel.
If the daemon or the machine dies, a batch is either in the store completely or not at all.
"""

import errno
import json
import logging
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from osq.columns import SEQ_BITS, Context, SqlValue
from osq.completeness import STATS, Interval, Totals
from osq.errors import CorruptRing, StoreCorrupt
from osq.records import Event
from osq.retention import Limits, Trimmer
from osq.store_file import WriteLock, connect, set_aside, store_error
from osq.tables import EVENT_TABLES

LOG = logging.getLogger(__name__)
# Sessions are numbered by seconds since this moment, so that keys fit into 63 bits until 2088.
SESSION_EPOCH_S = 1_577_836_800  # 2020-01-01
_NS_PER_S = 1_000_000_000
_INSERTS = {
    event: (table, table.insert(event), table.row_maker(event))
    for table in EVENT_TABLES
    for event in table.holds
}
_INTERVAL_INSERT = STATS.insert(Interval)
_INTERVAL_ROW = STATS.row_maker(Interval)
_NO_CONTEXT = Context(realtime_offset_ns=0)


class Store:
    """The store, open for writing; leaving the block closes it.

    A damaged file is set aside and a new file begun. The log reports this, and so does the note of
    the next row of kosquery_stats.

    Raises: StoreForeign, StoreBusy, StoreError.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._note = ""
        self._session = 0
        self._begun_s = 0
        self.totals = self._base = Totals()
        self._lock = WriteLock(path)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
        self._lock.release()

    def _open(self) -> None:
        try:
            self._connection = connect(self.path)
        except StoreCorrupt as error:
            self._set_aside(error)
            self._connection = connect(self.path)
        self._trimmer = self._make_trimmer()
        self._close_unclean_sessions()

    def _make_trimmer(self) -> Trimmer:
        return Trimmer(self._connection, events=EVENT_TABLES, others=(STATS,), limits=self._limits)

    def _set_aside(self, error: StoreCorrupt) -> None:
        kept = set_aside(self.path)
        self._note = f"the store was damaged ({error.message}) and is kept as {kept.name}"
        LOG.error("%s", self._note)

    def replace_damaged(self, error: StoreCorrupt) -> None:
        """Set the damaged file aside and continue the session with its totals in a new file."""
        self._connection.close()
        self._set_aside(error)
        self._connection = connect(self.path)
        self._trimmer = self._make_trimmer()
        with self._transaction():
            self._insert_session()

    def _close_unclean_sessions(self) -> None:
        """End the sessions of killed daemons, with all losses that are recorded for them."""
        sql = "SELECT id, begun, base, totals, note FROM session WHERE ending = ''"
        for session, begun, base, totals, note in self._connection.execute(sql).fetchall():
            LOG.warning("session %d was not ended: the daemon, or the machine, died", session)
            end = _totals_from(totals).ended()
            interval = Interval(
                session=session,
                begin_time=begun,
                begin=_totals_from(base),
                end=end,
                ending="unclean",
                note=note,
            )
            with self._transaction():
                self._write_interval(interval)

    def begin(self) -> int:
        """Begin a session, which is one opening of the device, and return its number."""
        self._begun_s = int(time.time())
        last = self._connection.execute("SELECT max(id) FROM session").fetchone()[0] or 0
        self._session = max(self._begun_s - SESSION_EPOCH_S, last + 1, self._session + 1)
        self.totals = self._base = Totals()
        with self._transaction():
            self._insert_session()
        return self._session

    def _insert_session(self) -> None:
        self._connection.execute(
            "INSERT INTO session (id, begun, ending, note, base, totals)"
            " VALUES (?, ?, '', ?, ?, ?)",
            (self._session, self._begun_s, self._note, _text(self._base), _text(self.totals)),
        )

    def commit(
        self, events: Sequence[Event], totals: Totals, context: Context, *, close_interval: bool
    ) -> None:
        """Store a batch and the totals after it; both are on the disk when this returns.

        Raises: StoreCorrupt; StoreError, most often for a full disk; CorruptRing for a number
            that is too large for SQLite. In each case the store has not changed.
        """
        rows, added = self._rows(events, context)
        now_s = int(time.time())
        with self._transaction():
            for event, values in rows.items():
                self._insert(event, values)
            if close_interval:
                self._close_interval(totals, now_s)
                added[STATS.name] = 1
            else:
                self._connection.execute(
                    "UPDATE session SET totals = ? WHERE id = ?", (_text(totals), self._session)
                )
            self._trimmer.trim(added, now_s=now_s, by_age=close_interval)
        self.totals = totals
        if close_interval:
            self._base, self._begun_s, self._note = totals, now_s, ""

    def _insert(self, event: type[Event], values: list[list[SqlValue]]) -> None:
        try:
            self._connection.executemany(_INSERTS[event][1], values)
        except OverflowError as error:
            raise CorruptRing(
                "a number is larger than any counter can be", errno.EBADMSG
            ) from error

    def _rows(
        self, events: Sequence[Event], context: Context
    ) -> tuple[dict[type[Event], list[list[SqlValue]]], dict[str, int]]:
        first = self._session << SEQ_BITS
        offset_ns = context.realtime_offset_ns
        rows: dict[type[Event], list[list[SqlValue]]] = defaultdict(list)
        added: dict[str, int] = defaultdict(int)
        for event in events:
            kind = type(event)
            table, _, make = _INSERTS[kind]
            time_s = (event.ts_boot_ns + offset_ns) // _NS_PER_S
            rows[kind].append(make(first + event.seq, time_s, event, context))
            added[table.name] += 1
        return rows, added

    def end(self, totals: Totals, ending: str) -> None:
        """End the session: store the rest of its totals, and how it ended."""
        with self._transaction():
            self._close_interval(totals, int(time.time()), ending=ending)
        self._note = ""

    def _close_interval(self, totals: Totals, now_s: int, *, ending: str = "") -> None:
        interval = Interval(
            session=self._session,
            begin_time=self._begun_s,
            begin=self._base,
            end=totals,
            ending=ending,
            note=self._note,
        )
        self._write_interval(interval, now_s)

    def _write_interval(self, interval: Interval, now_s: int | None = None) -> None:
        time_s = int(time.time()) if now_s is None else now_s
        sql = f"SELECT coalesce(max(id), 0) + 1 FROM {STATS.store_name}"
        (number,) = self._connection.execute(sql).fetchone()
        row = _INTERVAL_ROW(number, time_s, interval, _NO_CONTEXT)
        self._connection.execute(_INTERVAL_INSERT, row)
        self._connection.execute(
            "UPDATE session SET begun = ?, ending = ?, note = '', base = ?, totals = ?"
            " WHERE id = ?",
            (time_s, interval.ending, _text(interval.end), _text(interval.end), interval.session),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run a block as one transaction; its SQLite errors become StoreErrors."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise store_error(self.path, error) from error
            raise


def _text(totals: Totals) -> str:
    return json.dumps(asdict(totals))


def _totals_from(text: str) -> Totals:
    fields = json.loads(text)
    return Totals(**{**fields, "dropped": tuple(fields["dropped"])})
