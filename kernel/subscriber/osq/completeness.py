# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kosquery_stats: for every interval, the number of attempts by their outcome.

attempts = stored + unwanted + unknown + in_flight + dropped + reset

This equation is true for the sums over a session's rows. A row contains the differences from the
previous row; its in_flight is the value at its end. It is written when every record that was in
the ring at its end is stored, so a later loss cannot be of an event within it.

A row is complete only when it is known that nothing is missing: no attempt was dropped or reset,
no record was of an unknown type, no other process used the device, every configured path was
watched, and the session has not ended in a way that leaves its last attempts uncounted. Time in
which no daemon read the device has a row of its own, without a session.
"""

from dataclasses import dataclass, field, replace

from osq.columns import EID, Column, Context, Source, SqlType, SqlValue, Table
from osq.layout import REASONS
from osq.moment import Moment
from osq.ring import Counters

# How a session can end and leave no attempt uncounted; "" is the ending of one that goes on.
_COUNTED_TO_THE_END = frozenset({"", "clean"})


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The number of attempts of a session by their outcome, up to one moment.

    unread: committed, and not yet read from the ring. in_flight: still being written.
    reset: committed by the kernel, never stored: the queue became invalid, or the daemon died.
    unwanted: events of files in a watched folder that no pattern of the configuration matches.
    unknown: records of a type that this version does not know; they are skipped.
    filtered: rejected by the kernel's filters. They are no attempts and are in no sum.
    expired: rows of events that the bounds of the store have deleted; also in no sum.
    cut_answers: answers to osqueryd that did not hold all rows; also in no sum.
    at: the moment up to which the kernel's counters are known.
    """

    attempts: int = 0
    stored: int = 0
    unwanted: int = 0
    unknown: int = 0
    unread: int = 0
    in_flight: int = 0
    reset: int = 0
    filtered: int = 0
    dropped: tuple[int, ...] = (0,) * len(REASONS)
    generation: int = 0
    expired: int = 0
    cut_answers: int = 0
    at: Moment = field(default_factory=Moment)

    @property
    def dropped_sum(self) -> int:
        """The events of this session that the driver tried to record and dropped, in sum."""
        return sum(self.dropped)

    @property
    def adds_up(self) -> bool:
        """Whether the counters add up, so that each attempt appears in exactly one of them."""
        waiting = self.unread + self.in_flight
        return self.attempts == self.read + waiting + self.dropped_sum + self.reset

    @property
    def read(self) -> int:
        """The number of records that the daemon has taken out of the ring in this session."""
        return self.stored + self.unwanted + self.unknown

    def after(
        self, counters: Counters, *, stored: int = 0, unwanted: int = 0, unknown: int = 0
    ) -> "Totals":
        """Return the totals after one more batch, with the driver's counters of the latest sync.

        `stored`, `unwanted` and `unknown` are the numbers of the batch's events. The kernel may
        count as reset a record that was stored just before; the totals do not.
        """
        return Totals(
            attempts=counters.attempts,
            stored=self.stored + stored,
            unwanted=self.unwanted + unwanted,
            unknown=self.unknown + unknown,
            unread=counters.pending - stored - unwanted - unknown,
            in_flight=counters.in_flight,
            reset=counters.consumed + counters.reset - self.read,
            filtered=counters.filtered,
            dropped=counters.dropped,
            generation=counters.generation,
            expired=self.expired,
            at=counters.at,
        )

    def as_of(self, counters: Counters, read: int) -> "Totals":
        """Return these totals as of an earlier sync, all of whose records have been read by now.

        counters: the driver's counters of that sync.
        read: the number of records that had been read when that sync was made.
        """
        return replace(
            self,
            attempts=counters.attempts,
            unread=0,
            in_flight=counters.in_flight,
            reset=counters.consumed + counters.reset - read,
            filtered=counters.filtered,
            dropped=counters.dropped,
            generation=counters.generation,
            at=counters.at,
        )

    def ended(self) -> "Totals":
        """Return the totals of a session that has ended.

        Records that were unread or being written count as reset.
        """
        given_up = self.unread + self.in_flight
        return replace(self, unread=0, in_flight=0, reset=self.reset + given_up)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One row of kosquery_stats, from the totals `begin` to the totals `end`.

    session: None for time in which no daemon read the device.
    ending: how the session ended, "" while it goes on.
    unwatched: the number of configured paths that are not watched as they were meant.
    is_spoilt: whether events are missing that no counter has; `note` says why.
    seq: the interval's number, which the store assigns.
    """

    session: int | None
    begin: Totals
    end: Totals
    ending: str = ""
    note: str = ""
    unwatched: int = 0
    is_spoilt: bool = False
    seq: int = 0

    def difference(self, name: str) -> int:
        """Return the increase of a counter during the interval."""
        return int(getattr(self.end, name)) - int(getattr(self.begin, name))

    @property
    def is_complete(self) -> bool:
        """Whether it is known that no event of the interval is missing.

        Each one is stored, unwanted, or being written at its end.
        """
        lost = ("dropped_sum", "reset", "unknown")
        return (
            self.session is not None
            and self.ending in _COUNTED_TO_THE_END
            and not self.is_spoilt
            and not self.unwatched
            and self.end.adds_up
            and not any(self.difference(name) for name in lost)
        )


def _counted(name: str, source: str, *, field: str = "") -> Column:
    counter = field or name

    def grown(row: Interval, _: Context) -> SqlValue:
        return row.difference(counter)

    return Column(name=name, kind="BIGINT", by={Interval: grown}, source=source)


def _dropped(reason: int) -> Source:
    return lambda row, _: row.end.dropped[reason] - row.begin.dropped[reason]


def _plain(name: str, kind: SqlType, by: str | Source, source: str) -> Column:
    return Column(name=name, kind=kind, by={Interval: by}, source=source)


STATS = Table(
    name="kosquery_stats",
    about="For every interval what was attempted, stored, dropped and reset; is it complete?",
    columns=(
        Column(name="time", kind="BIGINT", select="time", source="end of the interval"),
        _plain("begin_time", "BIGINT", lambda row, _: row.begin.at.time_s, "its begin"),
        _plain(
            "begin_ntime",
            "BIGINT",
            lambda row, _: row.begin.at.boot_ns,
            "its begin on the clock of ntime, which nobody can set",
        ),
        _plain("ntime", "BIGINT", lambda row, _: row.end.at.boot_ns, "its end, on the same clock"),
        _plain(
            "session",
            "BIGINT",
            "session",
            "one opening of the device; upper part of eid. NULL: no daemon read the device",
        ),
        _plain("generation", "BIGINT", lambda row, _: row.end.generation, "of the ring"),
        _counted("attempts", "sync.attempts"),
        _counted("stored", "events of this interval that are in the store"),
        _plain(
            "in_flight", "BIGINT", lambda row, _: row.end.in_flight, "being written at its end"
        ),
        _counted("dropped", "sync.dropped, all reasons", field="dropped_sum"),
        *(
            Column(
                name=f"dropped_{reason}",
                kind="BIGINT",
                by={Interval: _dropped(number)},
                source=f"sync.dropped[{reason}]",
            )
            for number, reason in enumerate(REASONS)
        ),
        _counted("reset", "committed and never stored: queue invalid, or the daemon killed"),
        _counted(
            "filtered", "sync.filtered: kept out by the kernel's filters; no attempts, in no sum"
        ),
        _counted("unwanted", "of watched files that no pattern names"),
        _counted("unknown", "records of a type that this version does not know"),
        _counted(
            "expired", "rows of events that retention has deleted in this interval; in no sum"
        ),
        _counted(
            "cut_answers", "answers to osqueryd that were cut at osq.extension_mib; in no sum"
        ),
        _plain(
            "unwatched",
            "BIGINT",
            "unwatched",
            "paths of the configuration that are not watched as they were meant; the log has"
            " the reasons",
        ),
        _plain(
            "complete",
            "INTEGER",
            lambda row, _: int(row.is_complete),
            "1: it is known that nothing is missing",
        ),
        _plain(
            "ending",
            "TEXT",
            "ending",
            "of the session: clean, corrupt, failed, or unclean: killed, and what came after its"
            " last commit is not known",
        ),
        _plain(
            "note", "TEXT", "note", "what happened, such as a damaged store that was set aside"
        ),
        Column(name="global_seq_num", kind="BIGINT", select="id", source="number of the row"),
        EID,
    ),
    holds=(Interval,),
)
