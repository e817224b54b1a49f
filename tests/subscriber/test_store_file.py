# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the store's file: foreign, damaged, begun, locked, missing."""

import sqlite3
from pathlib import Path

import pytest

from osq import store_file
from osq.errors import StoreBusy, StoreCorrupt, StoreError, StoreForeign
from osq.reader import Reader
from osq.retention import Limits
from osq.store import Store
from tests.subscriber.filler import fill
from tests.subscriber.host import ask, stored


def test_a_store_of_another_version_is_refused_and_left_alone(folder: Path) -> None:
    """Store and Reader raise StoreForeign for it, and its bytes stay."""
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
    """Store raises StoreForeign for an SQLite file without our application id; its bytes stay."""
    path = folder / "events.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    before = path.read_bytes()

    with pytest.raises(StoreForeign, match="not a store of osq"):
        Store(path, Limits())
    assert path.read_bytes() == before


def test_a_store_whose_maker_was_killed_before_its_tables_is_an_error_to_read_and_made_by_the_next(
    folder: Path,
) -> None:
    """Reader raises StoreError for a file with a header and no tables; Store creates them."""
    path = folder / "events.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
    assert path.stat().st_size

    with pytest.raises(StoreError, match="has no tables yet") as caught:
        Reader(path)
    assert type(caught.value) is StoreError
    with Store(path, Limits()) as store:
        store.begin()
        fill(store, 1, 10)

    assert stored(path) == 10


def test_a_store_that_lacks_a_table_is_an_error_and_its_lock_is_free_again(folder: Path) -> None:
    """Store raises StoreError, and at the next try again, not StoreBusy: its lock was released."""
    path = folder / "events.db"
    with Store(path, Limits()):
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE horizon")
        connection.execute("DROP TABLE string")

    for _ in range(2):
        with pytest.raises(StoreError, match=r"events.db: no such table"):
            Store(path, Limits())


@pytest.mark.parametrize("place", [0, 4096])
def test_a_damaged_store_file_is_renamed_and_the_log_names_it(
    folder: Path, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    """Store renames it to events.db.corrupt-TIME, and begins a new file whose stats say so."""
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
    """After Store.replace_damaged the session goes on in a new file, with its totals so far."""
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
    """Store raises StoreError for a locked file, empty or full, and does not rename it."""
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
    """An error of the file system becomes a StoreError with the system's reason."""
    path = folder / ("x" * 300)

    with pytest.raises(StoreError, match=r"x{300}: File name too long"):
        store_file.connect(path)


def test_a_second_writer_of_a_store_is_refused(folder: Path) -> None:
    """A second Store of the same file raises StoreBusy, while a query reads the file."""
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
    """Store raises StoreError for a missing folder, and Reader raises it for a missing file."""
    with pytest.raises(StoreError, match="No such file"):
        Store(folder / "no" / "events.db", Limits())
    with pytest.raises(StoreError, match="no such store"):
        Reader(folder / "events.db")
