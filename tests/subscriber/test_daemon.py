# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the daemon on the driver's core: no event is lost or repeated, whatever happens."""

import os
import random
import resource
import signal
import time
from pathlib import Path

import pytest

from tests.subscriber.host import (
    START_S,
    Daemon,
    Host,
    Truth,
    ask,
    counts,
    number,
    stored,
    until,
)

SESSIONS = """SELECT session, sum(attempts), sum(stored), sum(dropped), sum(reset)
    FROM kosquery_stats WHERE session NOT NULL GROUP BY session ORDER BY session"""
ENDINGS = """SELECT max(ending) FROM kosquery_stats
    WHERE session NOT NULL GROUP BY session ORDER BY session"""
TWICE = """SELECT count(*) - count(DISTINCT eid) FROM (
    SELECT eid FROM kprocess_events UNION ALL SELECT eid FROM kloss_events)"""


def subscribed(daemon: Daemon) -> None:
    """Wait until a daemon has subscribed, so that the driver's core makes records for it."""
    until(daemon.is_reading, "the daemon reads")


def drained(host: Host) -> None:
    """Wait until every committed record has been released to the driver's core."""

    def is_so() -> bool:
        truth = host.tell("stats")
        return truth.consumed == truth.committed > 0

    until(is_so, "all is consumed", deadline_s=120)


def test_all_programs_that_start_while_the_daemon_is_paused_by_sigstop_are_stored_after_sigcont(
    host: Host, folder: Path
) -> None:
    """The driver's core, in a process, makes 20,000 exec records; each is stored once."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        daemon.signal(signal.SIGSTOP)
        begun = time.monotonic()
        truth = host.tell("burst 20000")
        time.sleep(max(0.0, begun + 0.5 - time.monotonic()))
        daemon.signal(signal.SIGCONT)
        drained(host)
        assert daemon.stop() == 0

    assert (truth.attempts, truth.dropped) == (20_000, 0)
    assert number(daemon.store, "SELECT count(DISTINCT cmdline) FROM kprocess_events") == 20_000
    assert number(daemon.store, "SELECT sum(stored) FROM kosquery_stats") == 20_000
    assert ask(daemon.store, "SELECT DISTINCT complete FROM kosquery_stats") == [(1,)]


def test_daemon_stores_the_drops_of_a_ring_that_is_too_small_in_its_stats_and_loss_tables(
    host: Host, folder: Path
) -> None:
    """The sums of dropped_full in kosquery_stats and kloss_events equal the core's own count."""
    with Daemon(host, folder, {"ring_mib": 1}) as daemon:
        subscribed(daemon)
        daemon.signal(signal.SIGSTOP)
        truth = host.tell("burst 20000")
        daemon.signal(signal.SIGCONT)
        drained(host)
        host.tell("burst 1")
        drained(host)
        assert daemon.stop() == 0

    assert truth.dropped > 0
    full = "SELECT sum(dropped_full) FROM"
    assert number(daemon.store, f"{full} kosquery_stats") == truth.dropped
    assert number(daemon.store, f"{full} kloss_events") == truth.dropped
    ((attempts, kept, dropped),) = counts(
        daemon.store, "SELECT sum(attempts), sum(stored), sum(dropped) FROM kosquery_stats"
    )
    assert attempts == 20_002 == kept + dropped
    assert kept == stored(daemon.store)


def judge_killed(store: Path, truths: list[Truth]) -> None:
    """Compare every session of killed daemons with the driver core's own counters."""
    assert number(store, TWICE) == 0
    sessions = counts(store, SESSIONS)
    assert len(sessions) == len(truths)
    for (session, attempts, kept, dropped, reset), truth in zip(sessions, truths, strict=True):
        numbers = f"""SELECT count(*), coalesce(max(seq_num), 0) FROM (
            SELECT seq_num, eid FROM kprocess_events UNION ALL
            SELECT seq_num, eid FROM kloss_events)
            WHERE CAST(eid AS INTEGER) >> 32 = {session}"""
        ((count, last),) = counts(store, numbers)
        assert count == kept
        # The kernel counts as reset all that was committed and not consumed when the owner died.
        # Some of it was stored, but the sync that reports that had not come.
        assert truth.committed - truth.consumed == truth.reset
        assert truth.consumed <= count <= truth.committed
        given_up = truth.committed - count
        assert count + truth.dropped + given_up == truth.attempts
        # The store has every record up to its last one; its numbers have no other gap than
        # reported losses.
        gaps = f"""SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM kloss_events
            WHERE CAST(eid AS INTEGER) >> 32 = {session}"""
        assert count + number(store, gaps) == last
        # The store's own totals are true as far as the daemon could know them.
        assert attempts == kept + dropped + reset <= truth.attempts
        assert reset <= given_up
    assert set(ask(store, ENDINGS)) <= {("clean",), ("unclean",)}


def test_a_daemon_that_is_killed_loses_nothing_that_it_stored(
    host: Host,
    folder: Path,
    long_run: bool,  # noqa: FBT001
) -> None:
    """After SIGKILL at random moments, the store's counts agree with the driver core's."""
    rounds = 100 if long_run else 4
    chance = random.Random(4711)  # noqa: S311
    store = folder / "events.db"
    host.tell("rate 4000")
    for round_number in range(rounds):
        with Daemon(host, folder, {"latency_ms": 20}) as daemon:
            until(lambda n=round_number: daemon.said().count("reading") > n, "it reads")  # type: ignore[misc]
            time.sleep(chance.random() * 0.8)
            daemon.signal(signal.SIGKILL)
            daemon.wait()
        host.wait_for_end()
    host.tell("rate 0")
    with Daemon(host, folder) as daemon:
        until(lambda: daemon.said().count("reading") > rounds, "it reads")
        host.tell("burst 10")
        drained(host)
        assert daemon.stop() == 0
    host.wait_for_end()

    judge_killed(store, host.ended)
    assert stored(store) > 10


def test_the_comparison_fails_when_the_store_lacks_a_counted_event(
    host: Host, folder: Path
) -> None:
    """The comparison of the preceding test fails for a core that has counted one event more."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        host.tell("burst 10")
        drained(host)
        daemon.stop()
    truth = host.wait_for_end()
    judge_killed(daemon.store, [truth])

    more = Truth(
        attempts=truth.attempts + 1,
        committed=truth.committed + 1,
        consumed=truth.consumed + 1,
        reset=0,
        dropped=0,
    )
    with pytest.raises(AssertionError):
        judge_killed(daemon.store, [more])


def resident_bytes(pid: int) -> int:
    """Return the memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_at_5000_events_a_second_all_are_stored_or_dropped_and_memory_and_cpu_use_stay_level(
    host: Host,
    folder: Path,
    long_run: bool,  # noqa: FBT001
) -> None:
    """The daemon reads the driver's core at that rate; its second half costs hardly more.

    From the first half of the time to the second, memory grows by less than 10 MiB, and CPU time
    by half at most.
    """
    parts, part_s = (20, 30.0) if long_run else (4, 2.0)
    measured = []
    with Daemon(host, folder, {"store_max_mib": 64}) as daemon:
        subscribed(daemon)
        host.tell("rate 5000")
        for _ in range(parts + 1):
            before, begun = cpu_s(daemon.pid), time.monotonic()
            time.sleep(part_s)
            used = (cpu_s(daemon.pid) - before) / (time.monotonic() - begun)
            measured.append((used, resident_bytes(daemon.pid) >> 10))
        truth = host.tell("rate 0")
        drained(host)
        assert daemon.stop() == 0
    print(measured, truth)  # noqa: T201 - the numbers of a long run are what it is for

    totals = "SELECT sum(attempts), sum(stored), sum(dropped), sum(reset) FROM kosquery_stats"
    ((attempts, kept, dropped, reset),) = counts(daemon.store, totals)
    assert attempts == kept + dropped + reset == truth.attempts
    assert truth.attempts >= 0.9 * 5000 * parts * part_s
    assert reset == 0
    # The first part of the time fills SQLite's caches; the two halves of the rest are compared.
    # While others use the machine, batches vary, and so does their memory: a batch of 2,000 events
    # takes some 10 MiB.
    half = parts // 2
    memory = [kib for _, kib in measured[1:]]
    processor = [part for part, _ in measured[1:]]
    assert max(memory[half:]) - max(memory[:half]) < 10 << 10
    assert sum(processor[half:]) < 1.5 * sum(processor[:half]) + 0.1


def test_daemon_allocates_a_new_ring_after_another_process_invalidated_its_queue(
    host: Host, folder: Path
) -> None:
    """The 50 unread records count as reset in kosquery_stats; later events are stored."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        host.tell("burst 100")
        drained(host)
        daemon.signal(signal.SIGSTOP)
        host.tell("burst 50")
        truth = host.tell("invalidate")
        daemon.signal(signal.SIGCONT)
        until(lambda: "reading a new ring" in daemon.said(), "it allocates again")
        host.tell("burst 7")
        until(lambda: host.tell("stats").consumed >= 107, "it reads again")
        assert daemon.stop() == 0

    assert truth.reset == 50
    totals = "SELECT sum(attempts), sum(stored), sum(reset), max(generation) FROM kosquery_stats"
    assert ask(daemon.store, totals) == [(157, 107, 50, 2)]


def test_invalid_ring_bytes_make_the_daemon_end_its_session_as_corrupt_and_exit_with_1(
    host: Host, folder: Path
) -> None:
    """When the driver's core writes garbage into the ring, unread records count as reset."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        host.tell("burst 100")
        drained(host)
        daemon.signal(signal.SIGSTOP)
        host.tell("burst 50")
        host.tell("garbage")
        daemon.signal(signal.SIGCONT)
        assert daemon.wait() == 1
    with Daemon(host, folder) as daemon:
        until(lambda: daemon.said().count("reading") > 1, "another daemon reads")
        host.tell("burst 7")
        drained(host)
        assert daemon.stop() == 0

    assert "Bad message" in daemon.said()
    (first, second) = counts(daemon.store, SESSIONS)
    assert first[1:] == (150, 100, 0, 50)
    assert second[1:] == (7, 7, 0, 0)
    assert ask(daemon.store, ENDINGS) == [("corrupt",), ("clean",)]


def rights_of(pid: int | str) -> dict[str, int]:
    """Return the sets of capabilities of a process, and whether exec can give it others."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines)
    sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    return {**sets, "NoNewPrivs": int(status["NoNewPrivs"])}


def test_once_it_reads_the_daemon_has_the_right_to_look_up_paths_and_gets_no_other(
    host: Host, folder: Path
) -> None:
    """Of its capabilities a reading daemon keeps CAP_DAC_READ_SEARCH alone, with NoNewPrivs."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        rights = rights_of(daemon.pid)
        host.tell("burst 7")
        drained(host)
        assert daemon.stop() == 0

    kept = rights_of("self")["CapPrm"] & 1 << 2
    expected = {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapAmb": 0, "NoNewPrivs": 1}
    assert rights == expected
    assert stored(daemon.store) == 7


def test_events_during_a_full_disk_are_stored_once_there_is_space(
    host: Host, folder: Path
) -> None:
    """While the store cannot grow, the daemon releases no record; later it stores all 5,100."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        host.tell("burst 100")
        drained(host)
        daemon.signal(signal.SIGSTOP)
        size = (daemon.store.with_name("events.db-wal")).stat().st_size
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        host.tell("burst 5000")
        daemon.signal(signal.SIGCONT)
        until(lambda: "trying again" in daemon.said(), "it meets the full disk")
        held = host.tell("stats")
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, unlimited)
        drained(host)
        assert daemon.stop() == 0

    assert held.consumed == 100
    assert stored(daemon.store) == 5_100
    assert "the store can be written again, after" in daemon.said()


def test_a_second_daemon_on_the_same_store_exits_with_1(host: Host, folder: Path) -> None:
    """The second daemon logs that another daemon writes this store; the first one runs on."""
    with Daemon(host, folder) as first:
        subscribed(first)
        with Daemon(host, folder) as second:
            assert second.wait() == 1
        assert first.stop() == 0

    assert "another daemon writes it" in first.said()


def test_daemon_exits_with_3_if_its_device_path_is_missing_and_with_1_if_it_is_a_file(
    host: Host, folder: Path
) -> None:
    """For a missing path it logs "is the module loaded?", for a file the call that failed."""
    with Daemon(host, folder, {"device": str(folder / "nothing")}) as daemon:
        assert daemon.wait() == 3
        assert "No such file or directory" in daemon.said()
        assert "is the module loaded?" in daemon.said()

    (folder / "file").touch()
    with Daemon(host, folder, {"device": str(folder / "file")}) as daemon:
        assert daemon.wait() == 1
        assert "allocate" in daemon.said() or "Inappropriate ioctl" in daemon.said()


def test_only_environment_variables_named_in_the_configuration_are_stored(
    host: Host, folder: Path
) -> None:
    """The store has the values of LANG and TERM, and no byte of another, which may be a secret."""
    events = {"environment_variables": ["LANG", "TERM"]}
    with Daemon(host, folder, events=events) as daemon:
        subscribed(daemon)
        host.tell("burst 1")
        drained(host)
        assert daemon.stop() == 0

    assert ask(daemon.store, "SELECT env, env_count FROM kprocess_events") == [
        ("LANG=C.UTF-8 TERM=dumb", 3)
    ]
    assert b"SECRET" not in daemon.store.read_bytes()


def test_an_event_can_be_queried_a_second_later(host: Host, folder: Path) -> None:
    """Within a second of an exec in the driver's core, a query on the store finds its row."""
    with Daemon(host, folder) as daemon:
        subscribed(daemon)
        host.tell("burst 1")
        begun = time.monotonic()
        until(lambda: stored(daemon.store) == 1, "the event is there", deadline_s=START_S)
        assert time.monotonic() - begun < 1.0
        assert daemon.stop() == 0
