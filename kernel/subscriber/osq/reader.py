# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read the store: SQL that cannot write, within a deadline, over all events or new ones.

All queries use this module: `osq query`, the osquery extension and the Python API.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from osq.columns import SqlValue
from osq.errors import OsqError, QueryError, StoreError
from osq.store_file import check, store_error
from osq.tables import BY_NAME, TABLES

_BUSY_S = 5.0
_LAST = (1 << 63) - 1
# SQLite calls back after this many steps of its virtual machine, about once a millisecond.
_STEPS = 50_000
_READING = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
    }
)
_ACTIONS = {
    getattr(sqlite3, name): name.removeprefix("SQLITE_").replace("_", " ")
    for name in (
        *("SQLITE_INSERT", "SQLITE_UPDATE", "SQLITE_DELETE", "SQLITE_PRAGMA", "SQLITE_ATTACH"),
        *("SQLITE_DETACH", "SQLITE_TRANSACTION", "SQLITE_SAVEPOINT", "SQLITE_ALTER_TABLE"),
        *("SQLITE_CREATE_TABLE", "SQLITE_CREATE_VIEW", "SQLITE_CREATE_INDEX"),
        *("SQLITE_DROP_TABLE", "SQLITE_DROP_VIEW", "SQLITE_DROP_INDEX", "SQLITE_REINDEX"),
    )
}


@dataclass(frozen=True, kw_only=True)
class Result:
    """The answer to a query: its column names, and its rows, which SQLite yields one by one."""

    columns: tuple[str, ...]
    rows: Iterator[tuple[SqlValue, ...]]


Windows = Mapping[str, tuple[int, int]]


class Reader:
    """Runs SQL on the store that cannot change it; leaving the block closes the store.

    new_only: whether a table shows only those rows that the argument `windows` of `query` names.
    Raises: StoreError when there is no store; StoreForeign, StoreCorrupt.
    """

    def __init__(self, path: Path, *, new_only: bool = False) -> None:
        self.path = path
        self._refused = ""
        self._end_s = 0.0
        self._windows: Windows = {}
        self._connection = _open(path)
        try:
            if new_only:
                self._shadow_tables()
            self._connection.set_authorizer(self._authorize)
            self._connection.set_progress_handler(self._is_over, _STEPS)
        except BaseException:
            self._connection.close()
            raise

    def _shadow_tables(self) -> None:
        """Let each table's name stand for its rows within a window, for queries of new rows.

        A temporary view of the same name does that, because SQLite finds it before the table.
        """
        for number, bound in enumerate(("osq_after", "osq_up_to")):
            self._connection.create_function(bound, 1, self._bound(number), deterministic=True)
        for table in TABLES:
            window = f"id > osq_after('{table.name}') AND id <= osq_up_to('{table.name}')"
            self._connection.execute(f"CREATE TEMP VIEW {table.name} AS {table.view(window)}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def _bound(self, number: int) -> Callable[[str], int]:
        return lambda table: self._windows.get(table, (_LAST, _LAST))[number]

    def _authorize(
        self, action: int, first: str | None, _second: str | None, _db: str | None, _by: str | None
    ) -> int:
        if action in _READING:
            return sqlite3.SQLITE_OK
        self._refused = f"{_ACTIONS.get(action, f'action {action}')} {first or ''}".strip()
        return sqlite3.SQLITE_DENY

    def _is_over(self) -> bool:
        return time.monotonic() > self._end_s

    def query(
        self,
        sql: str,
        parameters: Sequence[SqlValue] = (),
        *,
        deadline_s: float,
        windows: Windows | None = None,
    ) -> Result:
        """Return the answer to one SQL query on the store.

        windows: by table, the rows to show: (after, up to), both as global_seq_num. A table
        without an entry is empty. Only a reader with `new_only` uses them.
        Units: deadline_s counts from now until the last row is fetched.
        Raises: QueryError for SQL that is wrong, would write or takes too long; StoreError.
        """
        self._refused, self._end_s = "", time.monotonic() + deadline_s
        self._windows = windows or {}
        with self._translating_errors(deadline_s):
            cursor = self._connection.execute(sql, tuple(parameters))
        if cursor.description is None:
            raise QueryError(
                "the SQL is no query: it returns no columns", hint="begin with SELECT"
            )
        columns = tuple(str(one[0]) for one in cursor.description)
        return Result(columns=columns, rows=self._rows(cursor, deadline_s))

    def _rows(self, cursor: sqlite3.Cursor, deadline_s: float) -> Iterator[tuple[SqlValue, ...]]:
        with self._translating_errors(deadline_s):
            yield from cursor

    def newest(self) -> dict[str, int]:
        """Return by table its greatest key (global_seq_num) now, 0 for an empty table."""
        keys = {}
        with self._translating_errors(_BUSY_S):
            self._end_s = time.monotonic() + _BUSY_S
            for table in TABLES:
                sql = f"SELECT coalesce(max(id), 0) FROM {table.store_name}"
                (keys[table.name],) = self._connection.execute(sql).fetchone()
        return keys

    @contextmanager
    def _translating_errors(self, deadline_s: float) -> Iterator[None]:
        """Run a block and raise SQLite's errors as QueryError or StoreError."""
        try:
            yield
        except sqlite3.Warning as error:
            raise QueryError(str(error)) from error
        except sqlite3.Error as error:
            raise self._translated(error, deadline_s) from error

    def _translated(self, error: sqlite3.Error, deadline_s: float) -> OsqError:
        """Return the QueryError or StoreError for an error of SQLite."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if self._refused:
            return QueryError(f"only queries are allowed; this would also do: {self._refused}")
        if code == sqlite3.SQLITE_INTERRUPT:
            hint = "limit the query by time, or raise --deadline"
            return QueryError(f"the query did not finish within {deadline_s:g} s", hint=hint)
        if code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_AUTH}:
            return QueryError(str(error), hint=_hint(str(error)))
        return store_error(self.path, error)


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise StoreError(
            f"{path}: no such store", hint="is the daemon running, and does it use this store?"
        )
    try:
        uri = f"file:{quote(str(path.resolve()))}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error
    try:
        check(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _hint(message: str) -> str:
    """Return a hint for SQLite's error "no such table", "" for another error.

    It names the table that is meant, or all tables when that is not known.
    """
    name = message.removeprefix("no such table: ").removeprefix("main.")
    if name == message:
        return ""
    known = {"process_events": "kprocess_events", "bpf_process_events": "kprocess_events"}
    known |= {"es_process_events": "kprocess_events"}
    if name in known or f"k{name}" in BY_NAME:
        return f"here the table is called {known.get(name, f'k{name}')}"
    return f"the tables are {', '.join(BY_NAME)}"
