# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The file of the store: is it ours, of this version and whole, and does nobody else write it?"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osq.columns import Table
from osq.errors import StoreBusy, StoreCorrupt, StoreError, StoreForeign
from osq.retention import HORIZON
from osq.strings import STRINGS
from osq.tables import TABLES

APPLICATION_ID = 0x6F737173  # "osqs"
# This rises with every change of a table; tests/subscriber/test_store.py enforces that.
VERSION = 10
_BUSY_S = 5.0
_BEGUN = "its daemon makes them at its start: is osq-subscriber running?"
_LOG_BYTES = 8 << 20
_SESSION = """CREATE TABLE session (
    id INTEGER PRIMARY KEY, ending TEXT NOT NULL, note TEXT NOT NULL, base TEXT NOT NULL,
    totals TEXT NOT NULL
)"""


class WriteLock:
    """The lock of the one process that writes a store; the kernel frees it when that process dies.

    Raises: StoreBusy when another process holds it; StoreError when its file cannot be opened.
    """

    def __init__(self, store: Path) -> None:
        path = store.with_name(store.name + ".lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}", hint="is its folder there?") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StoreBusy(f"{store}: another daemon writes it") from error

    def release(self) -> None:
        """Release the lock for the next process."""
        os.close(self._fd)


def schema(tables: tuple[Table, ...]) -> tuple[str, ...]:
    """Return the SQL statements that create an empty store with these tables."""
    return (_SESSION, HORIZON, STRINGS, *(sql for table in tables for sql in table.create))


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection that writes to the store; a missing store is created.

    Raises: StoreForeign for another program's or version's file; StoreCorrupt; StoreError.
    """
    with store_errors(path):
        is_missing = not path.exists()
        connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            is_new = is_missing or _is_begun(connection)
            if not is_new:
                check(connection, path)
                _check_whole(connection, path)
            # The store has the arguments of all users' programs.
            path.chmod(0o600)
            if is_new:
                # Before the first table: so the file can give pages back later.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            # A query that runs for long makes the log grow; afterwards it shrinks to this size.
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            # With a write-ahead log NORMAL does not sync each commit, and after it the kernel's
            # copy of a batch is released.
            connection.execute("PRAGMA synchronous = FULL")
            if is_new:
                _create(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _is_begun(connection: sqlite3.Connection) -> bool:
    """Return whether the file has no table yet: it is new, or its daemon was killed at once."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application:
        return False
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return not tables


@contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """Run a block, and raise errors of SQLite and of the file system in it as StoreErrors."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_error(path, error) from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise an error unless the file is a store of this version with its tables.

    Raises: StoreForeign, StoreCorrupt; StoreError for a file without tables or with read errors.
    """
    with store_errors(path):
        if _is_begun(connection):
            raise StoreError(f"{path}: the store has no tables yet", hint=_BEGUN)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        hint = "name another file; this one is left as it is"
        raise StoreForeign(f"{path}: not a store of osq", hint=hint)
    if version != VERSION:
        hint = "query it with the version that wrote it, or move it away"
        raise StoreForeign(
            f"{path}: the store has version {version}, and this program needs version {VERSION}",
            hint=hint,
        )


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    # One error is enough to set the file aside, so the check stops there.
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise StoreCorrupt(f"{path}: {verdict}")


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN EXCLUSIVE")
    for sql in schema(TABLES):
        connection.execute(sql)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def store_error(path: Path, error: sqlite3.Error) -> StoreError:
    """Return what to raise for SQLite's error: StoreCorrupt for a damaged file, or StoreError."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return StoreCorrupt(f"{path}: {error}")
    return StoreError(f"{path}: {error}")


def set_aside(path: Path) -> Path:
    """Rename a damaged store, and its write-ahead log, to STORE.corrupt-TIME; return that path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while kept.exists():
        kept = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
        number += 1
    # Beside a new store of this name, SQLite would take the old log for that one's.
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(kept.with_name(kept.name + suffix))
    return kept
