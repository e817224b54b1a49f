# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Fill a store with the events of processes, without a ring."""

import time
from dataclasses import dataclass

from osq.columns import Context
from osq.completeness import Totals
from osq.moment import Moment
from osq.records import Event
from osq.store import Store
from tests.subscriber.events import a_fork, an_exec, an_exit

PROCESSES = 300
PIDS = 30_000


@dataclass(kw_only=True)
class Filler:
    """A store, and the number of the next event in it."""

    store: Store
    seq: int = 1

    def add(self, events: list[Event]) -> None:
        """Store events, which this function numbers."""
        for event in events:
            assert event.seq < self.seq + len(events)
        totals = Totals(attempts=self.seq + len(events) - 1, stored=self.seq + len(events) - 1)
        offset_ns = time.time_ns() - 10**12
        context = Context(realtime_offset_ns=offset_ns)
        self.store.commit(events, totals, context, close_interval=False)
        self.seq += len(events)

    def add_processes(self, count: int) -> None:
        """Store a fork, an exec and an exit of this many processes."""
        events: list[Event] = []
        for number in range(count):
            seq = self.seq + 3 * number
            pid = 1000 + seq // 3 % PIDS
            head = {"pid": pid, "start_boot_ns": seq * 1000, "ts_boot_ns": 10**12 + seq * 10**7}
            events.append(a_fork(seq=seq, pid=7, child_pid=pid, ts_boot_ns=head["ts_boot_ns"]))
            path = b"/bin/sh" if number % 3 else b"/usr/bin/printf"
            events.append(an_exec(seq=seq + 1, uid=number % 5, path=path, **head))
            events.append(an_exit(seq=seq + 2, status=256 * (number % 4), **head))
        self.add(events)


def fill(
    store: Store,
    first: int,
    count: int,
    *,
    age_s: int = 0,
    at: Moment | None = None,
    closes: bool = False,
) -> None:
    """Store this many programs that began this long ago, at a moment."""
    offset_ns = time.time_ns() - age_s * 10**9
    events = [an_exec(seq=seq) for seq in range(first, first + count)]
    number = first + count - 1
    totals = Totals(attempts=number, stored=number, at=at or Moment.now())
    context = Context(realtime_offset_ns=offset_ns)
    store.commit(events, totals, context, close_interval=closes)
