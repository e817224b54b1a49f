# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The store: one SQLite file that one daemon writes and any number of readers query.

A batch is one transaction, which is synced to the disk before the batch is released to the kernel.
If the daemon or the machine dies, a batch is either in the store completely or not at all.
"""

import errno
import json
import logging
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from osq.columns import SEQ_BITS, Context, SqlValue
from osq.completeness import STATS, Interval, Totals
from osq.cursors import cut_answers
from osq.errors import CorruptRing, StoreCorrupt
from osq.moment import Moment
from osq.records import Event
from osq.retention import Limits, Trimmer
from osq.store_file import WriteLock, connect, set_aside, store_error, store_errors
from osq.strings import Strings
from osq.tables import EVENT_TABLES

LOG = logging.getLogger(__name__)
# Sessions are numbered by seconds since this moment, so that keys fit into 63 bits until 2088.
SESSION_EPOCH_S = 1_577_836_800  # 2020-01-01
_NS_PER_S = 1_000_000_000
_INSERTS = {
    event: (table, table.insert(event), table.row_maker(event), table.shared_places(event))
    for table in EVENT_TABLES
    for event in table.holds
}
_INTERVAL_INSERT = STATS.insert(Interval)
_INTERVAL_ROW = STATS.row_maker(Interval)
_NO_CONTEXT = Context(realtime_offset_ns=0)
_NOT_READ = "no daemon read the device"


class Store:
    """The store, open for writing by the one daemon; leaving the block closes it.

    A damaged file is renamed and a new file begun. The log reports this, and so does the note of
    the next row of kosquery_stats.
    unwatched: the number of configured paths that are not watched as they were meant.
    Raises: StoreForeign, StoreBusy, StoreError.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._notes: list[str] = []
        self._is_spoilt = False
        self._session = 0
        self._last_key = 0
        self.unwatched = 0
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
            self._connect()
        except StoreCorrupt as error:
            self._set_aside(error)
            self._connect()

    def _connect(self) -> None:
        """Open the file, with its texts and the limits on its rows."""
        self._connection = connect(self.path)
        try:
            with store_errors(self.path):
                self._strings = Strings(self._connection)
                self._trimmer = Trimmer(
                    self._connection,
                    events=EVENT_TABLES,
                    others=(STATS,),
                    strings=self._strings,
                    limits=self._limits,
                )
        except BaseException:
            self._connection.close()
            raise

    def add_note(self, note: str) -> None:
        """Give the next row of kosquery_stats a note."""
        self._notes.append(note)

    def spoil(self, note: str) -> None:
        """Mark the next row of kosquery_stats as not complete, because of what the note says."""
        self.add_note(note)
        self._is_spoilt = True

    def _set_aside(self, error: StoreCorrupt) -> None:
        kept = set_aside(self.path)
        note = f"the store was damaged ({error.message}) and is kept as {kept.name}"
        LOG.error("%s", note)
        self.spoil(note)

    def replace_damaged(self, error: StoreCorrupt) -> None:
        """Rename the damaged file, and continue the session, with its totals, in a new file."""
        self._connection.close()
        self._set_aside(error)
        self._connect()
        with self._transaction():
            self._insert_session(self._session)

    def begin(self) -> int:
        """Begin a session, which is one opening of the device, and return its number.

        Events before this moment are not part of it. A row of kosquery_stats without a session
        covers the time since the last session. If a daemon was killed, its session gets a row that
        ends it at its last commit, as "unclean".
        """
        now = Moment.now()
        rows = "SELECT id, ending, base, totals, note FROM session ORDER BY id"
        with self._transaction():
            earlier = self._connection.execute(rows).fetchall()
            unclean = [(number, *rest) for number, ending, *rest in earlier if not ending]
            for row in unclean:
                self._end_unclean(*row)
            last = earlier[-1][0] if earlier else 0
            # The clock may have been set back since an earlier session, and keys grow all the
            # same.
            number = max(now.time_s - SESSION_EPOCH_S, last + 1, self._session + 1)
            before = _totals_from(earlier[-1][3]) if earlier else None
            cut = before.cut_answers if before else cut_answers(self.path)
            self.totals = self._base = Totals(at=now, cut_answers=cut)
            if before:
                begin = Totals(at=before.at, cut_answers=cut)
                gap = Interval(session=None, begin=begin, end=self._base, note=_NOT_READ)
                self._write_interval(gap)
            self._insert_session(number)
        for session, *_ in unclean:
            LOG.warning("session %d was not ended: the daemon, or the machine, died", session)
        self._session, self._last_key = number, number << SEQ_BITS
        return number

    def _end_unclean(self, session: int, base: str, totals: str, note: str) -> None:
        interval = Interval(
            session=session,
            begin=_totals_from(base),
            end=_totals_from(totals).ended(),
            ending="unclean",
            note=note,
        )
        self._write_interval(interval)

    def _insert_session(self, number: int) -> None:
        self._connection.execute(
            "INSERT INTO session (id, ending, note, base, totals) VALUES (?, '', ?, ?, ?)",
            (number, self._note(), _text(self._base), _text(self.totals)),
        )

    def _note(self) -> str:
        return "; ".join(self._notes)

    def commit(
        self, events: Sequence[Event], totals: Totals, context: Context, *, close_interval: bool
    ) -> None:
        """Store a batch and the session's totals after it; both are on the disk when this returns.

        close_interval: write the row of kosquery_stats for the interval that ends with this batch.
        Raises: StoreCorrupt; StoreError, most often for a full disk; CorruptRing for a number that
        is too large for SQLite. In each case the store has not changed.
        """
        rows, added = self._rows(events, context)
        cut = self.totals.cut_answers
        if close_interval:
            cut = self._cut_answers()
            added[STATS.name] = 1
            with self._translating_errors():
                self._trimmer.give_pages_back()
        with self._transaction():
            self._strings.write()
            for event, values in rows.items():
                self._insert(event, values)
            expired = self.totals.expired + self._trimmer.trim(added)
            totals = replace(totals, expired=expired, cut_answers=cut)
            if close_interval:
                self._close_interval(totals)
            else:
                self._connection.execute(
                    "UPDATE session SET totals = ? WHERE id = ?", (_text(totals), self._session)
                )
        self._trimmer.accept()
        self._strings.accept()
        self.totals = totals
        if close_interval:
            self._begin_interval()

    def _cut_answers(self) -> int:
        """Return how many answers to osqueryd were cut; a removed file does not lower it."""
        return max(self.totals.cut_answers, cut_answers(self.path))

    def _begin_interval(self) -> None:
        self._base = self.totals
        self._notes, self._is_spoilt = [], False

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
        number = self._strings.number
        first = self._session << SEQ_BITS
        offset_ns = context.realtime_offset_ns
        rows: dict[type[Event], list[list[SqlValue]]] = defaultdict(list)
        added: dict[str, int] = defaultdict(int)
        for event in events:
            kind = type(event)
            table, _, make, shared = _INSERTS[kind]
            time_s = (event.ts_boot_ns + offset_ns) // _NS_PER_S
            row = make(first + event.seq, time_s, event, context)
            for place in shared:
                text = row[place]
                if isinstance(text, str):
                    row[place] = number(text)
            rows[kind].append(row)
            added[table.name] += 1
        if events:
            self._last_key = first + events[-1].seq
        return rows, added

    def end(self, totals: Totals, ending: str) -> None:
        """End the session by its last row of kosquery_stats.

        ending: "clean"; "corrupt" for an impossible ring; "failed" for another error.
        """
        totals = replace(totals, expired=self.totals.expired, cut_answers=self._cut_answers())
        with self._transaction():
            self._close_interval(totals, ending=ending)
        self.totals = totals
        self._begin_interval()

    def _close_interval(self, totals: Totals, *, ending: str = "") -> None:
        interval = Interval(
            session=self._session,
            begin=self._base,
            end=totals,
            ending=ending,
            note=self._note(),
            unwatched=self.unwatched,
            is_spoilt=self._is_spoilt,
        )
        number = self._write_interval(interval)
        self._trimmer.note(number, at=totals.at, event=self._last_key)

    def _write_interval(self, interval: Interval) -> int:
        """Insert an interval as a row of kosquery_stats, and return the row's number."""
        sql = f"SELECT coalesce(max(id), 0) + 1 FROM {STATS.store_name}"
        (number,) = self._connection.execute(sql).fetchone()
        row = _INTERVAL_ROW(number, interval.end.at.time_s, interval, _NO_CONTEXT)
        self._connection.execute(_INTERVAL_INSERT, row)
        self._connection.execute(
            "UPDATE session SET ending = ?, note = '', base = ?, totals = ? WHERE id = ?",
            (interval.ending, _text(interval.end), _text(interval.end), interval.session),
        )
        return int(number)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run a block as one transaction; its SQLite errors become StoreErrors."""
        with self._translating_errors():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _translating_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error


def _text(totals: Totals) -> str:
    return json.dumps(asdict(totals))


def _totals_from(text: str) -> Totals:
    fields = json.loads(text)
    special = {"dropped": tuple(fields["dropped"]), "at": Moment(**fields["at"])}
    return Totals(**{**fields, **special})
