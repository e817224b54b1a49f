# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the store: bounded, consistent, of one version, and never replaced silently."""

import hashlib
import resource
from pathlib import Path

import pytest

from osq import store_file
from osq.completeness import Totals
from osq.errors import StoreError
from osq.moment import Moment
from osq.retention import Limits, Retention
from osq.store import Store
from osq.tables import TABLES
from tests.subscriber.filler import fill
from tests.subscriber.host import ask, counts, number, stored

# VERSION and a digest of all tables. If a table changes, the digest changes, and VERSION must
# rise.
SCHEMA = (10, "2dc573bf1a496908")


DAY_S = 86_400


def moment(boot_s: int, *, ahead_s: int = 0) -> Moment:
    """Return the moment so long after boot, by a calendar that is ahead of the true one."""
    return Moment(time_s=1_800_000_000 + boot_s + ahead_s, boot_ns=boot_s * 10**9)


def test_the_stores_version_and_schema_digest_equal_the_pair_written_in_this_test() -> None:
    """A changed table needs a new VERSION of the store: then this test has to be changed.

    Whoever changes a table must change both there.
    """
    digest = hashlib.sha256("\n".join(store_file.schema(TABLES)).encode()).hexdigest()[:16]

    assert (store_file.VERSION, digest) == SCHEMA


def test_a_reopened_store_has_all_committed_rows(folder: Path) -> None:
    """A store that was closed within a session has its rows; that session ends as unclean."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        session = store.begin()
        fill(store, 1, 10)
    with Store(path, Limits()) as store:
        assert store.begin() > session

    assert stored(path) == 10
    sql = "SELECT session, attempts, stored, ending FROM kosquery_stats WHERE session NOT NULL"
    assert ask(path, sql) == [(session, 10, 10, "unclean")]


def test_the_oldest_of_too_many_rows_are_deleted(folder: Path) -> None:
    """With max_rows=250, the newest 250 of 1,000 rows of kprocess_events stay."""
    path = folder / "events.db"
    limits = Limits(by_table={"kprocess_events": Retention(max_rows=250)})
    with Store(path, limits) as store:
        store.begin()
        for first in range(1, 1001, 100):
            fill(store, first, 100)

    ((count, oldest),) = ask(path, "SELECT count(*), min(seq_num) FROM kprocess_events")
    assert (count, oldest) == (250, 751)


def remaining(path: Path) -> list[tuple[int, ...]]:
    """Return the number of programs in a store, and the number of the oldest one."""
    return counts(path, "SELECT count(*), min(seq_num) FROM kprocess_events")


def test_rows_that_are_too_old_are_deleted(folder: Path) -> None:
    """With max_age_s=100, older rows are deleted; `expired` of the next stats row counts them."""
    path = folder / "events.db"
    with Store(path, Limits(default=Retention(max_age_s=100))) as store:
        store.begin()
        fill(store, 1, 10, at=moment(1000), closes=True)
        fill(store, 11, 10, at=moment(1090), closes=True)
        fill(store, 21, 10, at=moment(1100), closes=True)
        before = remaining(path)
        fill(store, 31, 1, at=moment(1101), closes=True)

    assert before == [(30, 1)]
    assert remaining(path) == [(21, 11)]
    assert ask(path, "SELECT expired FROM kosquery_stats") == [(0,), (0,), (10,)]


def test_a_clock_that_is_eight_days_ahead_for_five_seconds_deletes_no_row(folder: Path) -> None:
    """Retention of seven days uses the time since boot, so a wrong calendar deletes nothing."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        fill(store, 1, 100, at=moment(1000), closes=True)
        fill(store, 101, 100, at=moment(1003, ahead_s=8 * DAY_S), closes=True)
        fill(store, 201, 100, at=moment(1006), closes=True)
        fill(store, 301, 100, at=moment(1009), closes=True)

    assert remaining(path) == [(400, 1)]


def test_the_time_of_the_next_boot_is_part_of_a_rows_age(folder: Path) -> None:
    """After a reboot a row's age for retention grows by the time since that boot."""
    path = folder / "events.db"
    with Store(path, Limits(default=Retention(max_age_s=100))) as store:
        store.begin()
        fill(store, 1, 10, at=moment(5000), closes=True)
        fill(store, 11, 10, at=moment(99), closes=True)
        fill(store, 21, 1, at=moment(100), closes=True)
        before = remaining(path)
        fill(store, 22, 1, at=moment(100), closes=True)

    assert (before, remaining(path)) == ([(21, 1)], [(12, 11)])


def test_one_pass_deletes_at_most_2000_rows_that_are_too_old(folder: Path) -> None:
    """A commit deletes 2,000 of 5,000 old rows, the next two delete the rest."""
    path = folder / "events.db"
    with Store(path, Limits(default=Retention(max_age_s=100))) as store:
        store.begin()
        fill(store, 1, 5000, at=moment(1000), closes=True)
        fill(store, 5001, 0, at=moment(2000), closes=True)
        left = []
        for _ in range(3):
            fill(store, 5001, 0, at=moment(2000))
            left += remaining(path)

    assert left == [(3000, 2001), (1000, 4001), (0, 0)]


def test_a_commit_that_fails_on_a_full_disk_does_not_count_its_rows(folder: Path) -> None:
    """Rows of failed commits are not counted toward max_rows, so no row is deleted for them."""
    path = folder / "events.db"
    limits = Limits(by_table={"kprocess_events": Retention(max_rows=250)})
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store(path, limits) as store:
        store.begin()
        fill(store, 1, 200)
        size = path.with_name("events.db-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited[1]))
        try:
            for _ in range(3):
                with pytest.raises(StoreError):
                    fill(store, 201, 50)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        fill(store, 201, 50)

    assert remaining(path) == [(250, 1)]


def test_the_session_of_a_killed_daemon_ends_at_its_last_commit_and_is_not_complete(
    folder: Path,
) -> None:
    """kosquery_stats has the session as unclean, and then a gap until the next session."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        first = store.begin()
        fill(store, 1, 10, at=moment(1000), closes=True)
        fill(store, 11, 10, at=moment(1007))
    with Store(path, Limits()) as store:
        store.begin()
        fill(store, 1, 10, closes=True)

    rows = """SELECT session = ?, ending, complete, begin_ntime / 1000000000, ntime / 1000000000,
        time - 1800000000 FROM kosquery_stats"""
    (closed, unclean, gap, last) = ask(path, rows, first)
    assert closed[:3] == (1, "", 1)
    assert unclean == (1, "unclean", 0, 1000, 1007, 1007)
    assert gap[:4] == (None, "", 0, 1007)
    assert last[:4] == (0, "", 1, gap[4])
    assert number(path, "SELECT count(*) FROM kosquery_stats WHERE NOT complete") == 2


def test_the_time_between_two_clean_sessions_is_not_complete(folder: Path) -> None:
    """kosquery_stats has a row for it, without a session: no daemon read the device."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        store.end(Totals(at=moment(1000)), "clean")
        store.begin()

    gap = "SELECT begin_time - 1800000000, note FROM kosquery_stats WHERE NOT complete"
    assert ask(path, gap) == [(1000, "no daemon read the device")]


def test_a_store_with_a_smaller_limit_gives_its_space_back(folder: Path) -> None:
    """Opened with a smaller max_bytes, the file shrinks to it within some commits."""
    path = folder / "events.db"
    with Store(path, Limits(max_bytes=32 << 20)) as store:
        store.begin()
        for first in range(1, 40_001, 2000):
            fill(store, first, 2000)
    size = path.stat().st_size
    with Store(path, Limits(max_bytes=1 << 20)) as store:
        store.begin()
        for _ in range(12):
            fill(store, 40_001, 0, closes=True)

    assert size > 3 << 20
    assert path.stat().st_size <= (1 << 20) + 4096
    assert 0 < remaining(path)[0][0] < 10_000


def test_a_store_at_its_size_limit_keeps_the_newest_rows(folder: Path) -> None:
    """With max_bytes of 1 MiB the file stays below 1.5 MiB, and has the newest events."""
    path = folder / "events.db"
    limit = 1 << 20
    sizes = []
    with Store(path, Limits(max_bytes=limit)) as store:
        store.begin()
        for first in range(1, 15_001, 500):
            fill(store, first, 500)
            sizes.append(path.stat().st_size)

    assert max(*sizes, path.stat().st_size) < 1.5 * limit
    ((count, oldest, newest),) = counts(
        path, "SELECT count(*), min(seq_num), max(seq_num) FROM kprocess_events"
    )
    assert newest == 15_000
    assert count == newest - oldest + 1
    assert 500 < number(path, "SELECT count(*) FROM kprocess_events") < 10_000


def test_a_store_at_its_size_limit_deletes_events_but_no_stats_rows(folder: Path) -> None:
    """To keep max_bytes, events are deleted, and all rows of kosquery_stats stay."""
    path = folder / "events.db"
    with Store(path, Limits(max_bytes=1 << 20)) as store:
        store.begin()
        for first in range(1, 10_001, 1000):
            fill(store, first, 1000, closes=True)

    assert ask(path, "SELECT count(*), sum(attempts) FROM kosquery_stats") == [(10, 10_000)]
    assert stored(path) < 10_000


def test_session_numbers_increase_even_when_the_clock_is_set_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Store.begin, called at calendar times that go back, returns ever greater session numbers."""
    path = folder / "events.db"
    sessions = []
    for now in (2_000_000_000.0, 2_000_000_000.0, 1.0, 1_999_999_999.0, 2_000_000_100.0):
        monkeypatch.setattr("osq.moment.time.time", lambda now=now: now)
        with Store(path, Limits()) as store:
            sessions.append(store.begin())

    assert sessions == sorted(set(sessions))
