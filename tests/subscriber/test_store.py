# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the store: bounded, consistent, of one version, and never replaced silently."""

import hashlib
import sqlite3
import time
from pathlib import Path

import pytest

from osq import store_file
from osq.columns import Context
from osq.completeness import Totals
from osq.errors import StoreBusy, StoreCorrupt, StoreError, StoreForeign
from osq.reader import Reader
from osq.retention import Limits, Retention
from osq.store import Store
from osq.tables import TABLES
from tests.subscriber.events import an_exec
from tests.subscriber.host import ask, counts, number, stored

# VERSION and a digest of all tables. If a table changes, the digest changes, and VERSION must
# rise.
SCHEMA = (2, "5aca7afbbf0a1f2c")


def fill(store: Store, first: int, count: int, *, age_s: int = 0, closes: bool = False) -> None:
    """Store this many programs that began this long ago."""
    offset_ns = time.time_ns() - age_s * 10**9
    events = [an_exec(seq=seq) for seq in range(first, first + count)]
    totals = Totals(attempts=first + count - 1, stored=first + count - 1)
    context = Context(realtime_offset_ns=offset_ns)
    store.commit(events, totals, context, close_interval=closes)


def test_the_stores_version_and_schema_digest_equal_the_pair_written_in_this_test() -> None:
    """VERSION and the digest of the schema equal SCHEMA.

    Whoever changes a table must change both there.
    """
    digest = hashlib.sha256("\n".join(store_file.schema(TABLES)).encode()).hexdigest()[:16]

    assert (store_file.VERSION, digest) == SCHEMA


def test_a_reopened_store_has_all_committed_rows(folder: Path) -> None:
    """A reopened store has all rows, and the totals of a session that was not ended."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        session = store.begin()
        fill(store, 1, 10)
    with Store(path, Limits()) as store:
        assert store.begin() > session

    assert stored(path) == 10
    sql = "SELECT session, attempts, stored, ending FROM kosquery_stats"
    assert ask(path, sql) == [(session, 10, 10, "unclean")]


def test_a_store_of_another_version_is_refused_and_left_alone(folder: Path) -> None:
    """The daemon and queries refuse another version's store and do not change it."""
    path = folder / "events.db"
    with Store(path, Limits()):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()

    with pytest.raises(StoreForeign, match="has version 99"):
        Store(path, Limits())
    with pytest.raises(StoreForeign, match="has version 99"):
        Reader(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_alone(folder: Path) -> None:
    """Another program's database is refused and not changed."""
    path = folder / "events.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()

    with pytest.raises(StoreForeign, match="not a store of osq"):
        Store(path, Limits())
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", [0, 4096])
def test_a_damaged_store_file_is_renamed_and_the_log_names_it(
    folder: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    """With a damaged header or page, the new store's stats name the file that was set aside."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        store.begin()
        fill(store, 1, 1000)
        store.end(store.totals, "clean")
    damaged = bytearray(path.read_bytes())
    damaged[place : place + 8192] = b"\xa5" * 8192
    path.write_bytes(damaged)

    with Store(path, Limits()) as store:
        store.begin()
        fill(store, 1, 5)
        store.end(store.totals, "clean")

    (kept,) = folder.glob("events.db.corrupt-*Z")
    assert kept.read_bytes() == damaged
    assert kept.name in caplog.text
    assert stored(path) == 5
    assert kept.name in str(ask(path, "SELECT note FROM kosquery_stats")[0][0])


def test_events_are_stored_in_a_new_file_after_the_store_is_found_damaged(folder: Path) -> None:
    """When damage appears during a commit, the batch goes into a new file."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        session = store.begin()
        fill(store, 1, 10)
        error = StoreCorrupt("a page is damaged")
        store.replace_damaged(error)
        fill(store, 11, 10)
        store.end(store.totals, "clean")

    assert stored(path) == 10
    sql = "SELECT session, attempts, note LIKE '%a page is damaged%' FROM kosquery_stats"
    assert ask(path, sql) == [(session, 20, 1)]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_store_that_another_program_has_locked_is_not_set_aside(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_new: bool
) -> None:
    """A lock of another program on an empty or a full store is an error, and the store stays."""
    monkeypatch.setattr(store_file, "_BUSY_S", 0.0)
    path = folder / "events.db"
    if not is_new:
        with Store(path, Limits()) as store:
            store.begin()
            fill(store, 1, 10)
            store.end(store.totals, "clean")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreError, match="database is locked") as caught:
        Store(path, Limits())
    other.close()

    assert type(caught.value) is StoreError
    assert not list(folder.glob("*.corrupt-*"))
    assert is_new or stored(path) == 10


def test_a_store_whose_name_is_too_long_is_an_error_that_names_it(folder: Path) -> None:
    """An error of the file system is a StoreError with its reason."""
    path = folder / ("x" * 300)

    with pytest.raises(StoreError, match=r"x{300}: File name too long"):
        store_file.connect(path)


def test_a_second_writer_of_a_store_is_refused(folder: Path) -> None:
    """A second writer is refused, while any number of readers may query."""
    path = folder / "events.db"
    with Store(path, Limits()) as store:
        with pytest.raises(StoreBusy):
            Store(path, Limits())
        store.begin()
        fill(store, 1, 3)
        assert stored(path) == 3


def test_writing_to_a_missing_store_folder_or_reading_a_missing_store_is_an_error(
    folder: Path,
) -> None:
    """A missing folder is an error for the writer, and a missing store is one for a reader."""
    with pytest.raises(StoreError, match="No such file"):
        Store(folder / "no" / "events.db", Limits())
    with pytest.raises(StoreError, match="no such store"):
        Reader(folder / "events.db")


def test_the_oldest_of_too_many_rows_are_deleted(folder: Path) -> None:
    """Each table keeps exactly its maximum number of rows, the newest."""
    path = folder / "events.db"
    limits = Limits(by_table={"kprocess_events": Retention(max_rows=250)})
    with Store(path, limits) as store:
        store.begin()
        for first in range(1, 1001, 100):
            fill(store, first, 100)

    ((count, oldest),) = ask(path, "SELECT count(*), min(seq_num) FROM kprocess_events")
    assert (count, oldest) == (250, 751)


def test_rows_that_are_too_old_are_deleted(folder: Path) -> None:
    """Rows older than the maximum age are deleted at the end of an interval."""
    path = folder / "events.db"
    with Store(path, Limits(default=Retention(max_age_s=100))) as store:
        store.begin()
        fill(store, 1, 10, age_s=200)
        fill(store, 11, 10, age_s=50, closes=True)

    assert ask(path, "SELECT count(*), min(seq_num) FROM kprocess_events") == [(10, 11)]


def test_a_store_at_its_size_limit_keeps_the_newest_rows(folder: Path) -> None:
    """The file grows no further than its limit and one batch, and the newest rows stay."""
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
    assert 500 < number(path, "SELECT count(*) FROM kprocess_events") < 6000


def test_a_store_at_its_size_limit_deletes_events_but_no_stats_rows(folder: Path) -> None:
    """Rows of the stats are not deleted to free space for events."""
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
    """A clock that was set back does not repeat a session's number."""
    path = folder / "events.db"
    sessions = []
    for now in (2_000_000_000.0, 2_000_000_000.0, 1.0, 1_999_999_999.0, 2_000_000_100.0):
        monkeypatch.setattr("osq.store.time.time", lambda now=now: now)
        with Store(path, Limits()) as store:
            sessions.append(store.begin())

    assert sessions == sorted(set(sessions))
