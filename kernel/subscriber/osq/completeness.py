# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The table kosquery_stats: for every interval, the number of attempts by their outcome.

attempts = stored + unwanted + unknown + unread + in_flight + dropped + reset

This equation is true for a row's session at every moment. A row contains the differences from the
previous row; its unread and in_flight are the values at its end. A row is complete when no attempt
was dropped or reset, and no record was of an unknown type.
"""

from dataclasses import dataclass

from osq.columns import EID, Column, Context, Source, SqlType, SqlValue, Table
from osq.layout import REASONS
from osq.ring import Counters


@dataclass(frozen=True, kw_only=True)
class Totals:
    """The number of attempts of a session by their outcome, up to one moment.

    reset: committed by the kernel, never stored: the queue became invalid, or the daemon died.
    unwanted: events of files in a watched folder that no pattern of the configuration matches.
    unknown: records of a type that this version does not know; they are skipped.
    filtered: rejected by the kernel's filters. They are no attempts and are in no sum.
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

    @property
    def dropped_sum(self) -> int:
        """The number of attempts that were dropped, for any reason."""
        return sum(self.dropped)

    @property
    def adds_up(self) -> bool:
        """Whether the counters add up, so that each attempt appears in exactly one of them."""
        waiting = self.unread + self.in_flight
        return self.attempts == self.read + waiting + self.dropped_sum + self.reset

    @property
    def read(self) -> int:
        """The number of records that were taken out of the ring."""
        return self.stored + self.unwanted + self.unknown

    def after(
        self, counters: Counters, *, stored: int = 0, unwanted: int = 0, unknown: int = 0
    ) -> "Totals":
        """Return the totals at the counters of a sync, after more of its events are stored.

        `stored`, `unwanted` and `unknown` are the numbers of these events. The kernel may count
        as reset a record that was stored just before; the totals do not.
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
        )

    def ended(self) -> "Totals":
        """Return the totals of a session that has ended.

        Records that were unread or being written count as reset.
        """
        return Totals(
            attempts=self.attempts,
            stored=self.stored,
            unwanted=self.unwanted,
            unknown=self.unknown,
            reset=self.reset + self.unread + self.in_flight,
            filtered=self.filtered,
            dropped=self.dropped,
            generation=self.generation,
        )


@dataclass(frozen=True, kw_only=True)
class Interval:
    """One row of kosquery_stats, from the totals `begin` to the totals `end`.

    `ending` is how the session ended. `seq` is the interval's number, which the store assigns.
    """

    session: int
    begin_time: int
    begin: Totals
    end: Totals
    ending: str = ""
    note: str = ""
    seq: int = 0

    def difference(self, name: str) -> int:
        """Return the increase of a counter during the interval."""
        return int(getattr(self.end, name)) - int(getattr(self.begin, name))

    @property
    def is_complete(self) -> bool:
        """Whether no attempt of the interval was lost.

        Each one is stored, unwanted, or still to be read.
        """
        lost = ("dropped_sum", "reset", "unknown")
        return self.end.adds_up and not any(self.difference(name) for name in lost)


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
        _plain("begin_time", "BIGINT", "begin_time", "its begin"),
        _plain("session", "BIGINT", "session", "one opening of the device; upper part of eid"),
        _plain("generation", "BIGINT", lambda row, _: row.end.generation, "of the ring"),
        _counted("attempts", "sync.attempts"),
        _counted("stored", "events of this interval that are in the store"),
        _plain("unread", "BIGINT", lambda row, _: row.end.unread, "in the ring at its end"),
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
        _plain(
            "complete", "INTEGER", lambda row, _: int(row.is_complete), "1: nothing is missing"
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
