# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A long load with everything that can go wrong, and the judge of what the store has of it."""

import random
import resource
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.subscriber.host import (
    Daemon,
    Host,
    Truth,
    ask,
    counts,
    environment,
    number,
    set_clock_ahead,
    until,
)

RATE_PER_S = 5000
# The reader of the store is never this far behind it.
_MOST_ROWS = 15_000
_DAYS_8_S = 8 * 86400
# A record's number is taken, and its time, before the driver counts it: a thread that loses the
# processor in between is counted in the next interval. It waits for less than this.
_EDGE_NS = 200_000_000
_ENTRY = struct.Struct("=QQ")
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
_TAKER = """import sys
from pathlib import Path
from osq.ring import Ring
with Ring(Path(sys.argv[1]), ring_bytes=1 << 20):
    print("taken", flush=True)
    sys.stdin.read()
"""
_ROWS = """SELECT global_seq_num, coalesce(child_pid, pid) - 2 FROM kprocess_events
    WHERE global_seq_num > ? ORDER BY global_seq_num"""
_LOSSES = """SELECT global_seq_num FROM kloss_events
    WHERE global_seq_num > ? ORDER BY global_seq_num"""
_SESSIONS = """SELECT session, max(ending), sum(attempts), sum(stored), sum(dropped) + sum(reset)
    FROM kosquery_stats WHERE session NOT NULL GROUP BY session ORDER BY session"""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What happened, by the ledger of the producer, and what a reader of the store has seen.

    made: the time since boot of each event, by its number.
    seen: how often a row of each event was read; losses: the number of rows of kloss_events.
    """

    store: Path
    made: dict[int, int]
    seen: Counter[int]
    losses: int
    truths: list[Truth]


class Soak:
    """A daemon under load; leaving the block ends the load and stops the daemon cleanly."""

    def __init__(self, host: Host, folder: Path, chance: random.Random) -> None:
        self._host, self._folder, self._chance = host, folder, chance
        self._ledger, self._store = folder / "ledger", folder / "events.db"
        self._seen: Counter[int] = Counter()
        self._last = self._last_loss = self._losses = 0
        host.tell(f"ledger {self._ledger}")
        self._daemon = self._start()
        host.tell(f"rate {RATE_PER_S}")

    def _start(self, until_it: str = "reading /") -> Daemon:
        log = self._folder / "daemon.log"
        before = log.read_text().count(until_it) if log.exists() else 0
        daemon = Daemon(
            self._host, self._folder, {"ring_mib": 4}, options={"events_max": _MOST_ROWS}
        )
        # The first daemon makes the store, which cannot be read before it is whole.
        wait = self._until if self._last else until
        wait(lambda: daemon.said().count(until_it) > before, f"it logs {until_it}")
        return daemon

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds, and read what is new in the store meanwhile."""

        def holds() -> bool:
            self._read()
            return condition()

        until(holds, what, deadline_s=120)

    def spend(self, seconds: float) -> None:
        """Let the load go on, and read what is new in the store meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read()
            time.sleep(0.1)

    def _read(self) -> None:
        for key, event in counts(self._store, _ROWS, self._last):
            self._seen[event] += 1
            self._last = key
        for (key,) in counts(self._store, _LOSSES, self._last_loss):
            self._losses += 1
            self._last_loss = key

    def kill(self) -> None:
        """Kill the daemon, and start another one."""
        self._daemon.signal(signal.SIGKILL)
        self._daemon.wait()
        self._daemon = self._start()

    def take_device(self) -> None:
        """Stop the daemon, and let another process have the device when the next one starts."""
        self._daemon.stop()
        command = [sys.executable, "-c", _TAKER, str(self._host.socket)]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(self._host.socket),
        ) as taker:
            assert taker.stdout is not None
            assert taker.stdout.readline() == b"taken\n"
            self._daemon = self._start("waiting")
            self.spend(1.0)
            taker.communicate()
        said = self._daemon.said
        self._until(
            lambda: said().rpartition("waiting")[2].count("reading /") > 0, "it has the device"
        )

    def invalidate(self) -> None:
        """Make the ring invalid, as another process does that uses the device."""
        self._host.tell("invalidate")

    def set_clock(self) -> None:
        """Set the calendar eight days ahead, and back again."""
        set_clock_ahead(self._host, _DAYS_8_S)
        self.spend(1.5)
        set_clock_ahead(self._host, 0)

    def fill_disk(self) -> None:
        """Let no file of the store grow for a while."""
        wal = self._store.with_name("events.db-wal")
        size = max(wal.stat().st_size, self._store.stat().st_size)
        resource.prlimit(self._daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        self.spend(1.5)
        resource.prlimit(self._daemon.pid, resource.RLIMIT_FSIZE, _UNLIMITED)

    def pause(self) -> None:
        """Let the daemon stand still until the ring is full."""
        self._daemon.pause()
        before = self._host.tell("stats").dropped
        self._until(lambda: self._host.tell("stats").dropped > before, "a record is dropped")
        self._daemon.go_on()

    def run(self, rounds: int) -> Evidence:
        """Let everything go wrong so many times, in a new order each time; end cleanly."""
        wrongs = [
            *(self.kill, self.take_device, self.invalidate, self.set_clock, self.fill_disk),
            self.pause,
        ]
        for _ in range(rounds):
            self._chance.shuffle(wrongs)
            for wrong in wrongs:
                self.spend(0.5 + self._chance.random())
                wrong()
        self.spend(2.0)
        self._host.tell("rate 0")
        self._until(self._is_drained, "all is consumed")
        assert self._daemon.stop() == 0
        self._host.wait_for_end()
        self._read()
        return Evidence(
            store=self._store,
            made=dict(_ENTRY.iter_unpack(self._ledger.read_bytes())),
            seen=self._seen,
            losses=self._losses,
            truths=[truth for truth in self._host.ended if truth.attempts],
        )

    def _is_drained(self) -> bool:
        truth = self._host.tell("stats")
        return truth.consumed == truth.committed

    def close(self) -> None:
        """End a daemon that still runs."""
        self._daemon.__exit__(None, None, None)


def judge(evidence: Evidence) -> None:
    """Compare a store with what happened; every missing event has to be reported."""
    store, made, seen = evidence.store, evidence.made, evidence.seen
    assert set(seen.values()) == {1}
    assert seen.keys() <= made.keys()
    # Each row that was counted has been seen; what is no longer there was deleted and counted.
    counted = number(store, "SELECT sum(stored) FROM kosquery_stats")
    expired = number(store, "SELECT sum(expired) FROM kosquery_stats")
    left = number(store, "SELECT count(*) FROM kprocess_events")
    left += number(store, "SELECT count(*) FROM kloss_events")
    assert len(seen) + evidence.losses == counted == left + expired
    _judge_sessions(store, evidence.truths)
    unreported = _unreported(store, {one: made[one] for one in made.keys() - seen.keys()})
    assert not unreported, unreported[:10]


def _judge_sessions(store: Path, truths: list[Truth]) -> None:
    """Compare the store's counters of each session with the driver core's own."""
    sessions = ask(store, _SESSIONS)
    assert len(sessions) == len(truths)
    for (_, ending, *numbers), truth in zip(sessions, truths, strict=True):
        attempts, kept, missing = (int(one or 0) for one in numbers)
        assert attempts == kept + missing
        if ending == "clean":
            assert attempts == truth.attempts
        else:
            # failed: stopped while the disk was full.
            assert ending in {"unclean", "failed"}
            assert attempts <= truth.attempts


def _unreported(store: Path, missing: dict[int, int]) -> list[tuple[int, int]]:
    """Return the missing events, by time and number, outside of every incomplete interval."""
    gaps = counts(
        store, "SELECT begin_ntime, ntime FROM kosquery_stats WHERE NOT complete ORDER BY ntime"
    )
    left = sorted((at, one) for one, at in missing.items())
    for begin, end in gaps:
        left = [(at, one) for at, one in left if not begin - _EDGE_NS <= at <= end + _EDGE_NS]
    return left
