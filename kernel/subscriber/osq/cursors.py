# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""How far the queries with a cursor have read each table, and how many answers were cut.

A query names its cursor, and its run: a value that is the same for all calls of one run of the
query and differs between runs. All calls of a run get the rows of one window. The next run shows
that the asker has survived the last one, so only then the position on the disk moves past its
window. The windows are in memory alone: osqueryd's worker and its extension end together, and the
next extension offers the window of an unfinished run again.
"""

import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from osq.errors import StoreError
from osq.store_file import store_error

LOG = logging.getLogger(__name__)
_BUSY_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS position
    (cursor TEXT, name TEXT, key BIGINT NOT NULL, PRIMARY KEY (cursor, name));
CREATE TABLE IF NOT EXISTS cut (answers BIGINT NOT NULL);
INSERT INTO cut SELECT 0 WHERE NOT EXISTS (SELECT * FROM cut);
"""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The rows that one run of a query with a cursor gets: `after` < global_seq_num <= `up_to`."""

    run: str
    after: int
    up_to: int


def file_of(store: Path) -> Path:
    """Return the path of the file with the cursors of a store: its name with .cursors added."""
    return store.with_name(store.name + ".cursors")


def cut_answers(store: Path) -> int:
    """Return how many answers to osqueryd have left out rows so far; 0 without a readable file."""
    path = file_of(store)
    if not path.exists():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=_BUSY_S)) as connection:
            (answers,) = connection.execute("SELECT answers FROM cut").fetchone()
    except sqlite3.Error as error:
        LOG.warning("%s: the number of cut answers is not known: %s", path, error)
        return 0
    return int(answers)


class Cursors:
    """How far each cursor has read each table, kept in an SQLite file beside the store.

    Leaving the block closes the file.
    Raises: StoreError when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._windows: dict[tuple[str, str], Window] = {}
        try:
            # Without an isolation level each statement is a transaction, which is on the disk when
            # it returns.
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            try:
                path.chmod(0o600)
                self._connection.executescript(_SCHEMA)
            except BaseException:
                self._connection.close()
                raise
        except sqlite3.Error as error:
            raise store_error(path, error) from error
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def window(self, cursor: str, table: str, *, run: str, newest: int) -> Window:
        """Return the rows that a run gets: the same for each call of it, new ones for a new run.

        A new run's window begins after the last row of the run before it, or at the first row when
        the keys show that the store has been replaced.
        newest: the greatest key of the table now, at which a new window ends.
        """
        last = self._windows.get((cursor, table))
        if last is not None and last.run == run:
            return last
        stored = self._position(cursor, table)
        after = stored if last is None else max(stored, last.up_to)
        if 0 < newest < after:
            # Keys only grow, so this is another store: its rows are all new.
            after = 0
        if after != stored:
            self._move(cursor, table, after)
        window = Window(run=run, after=after, up_to=max(after, newest))
        self._windows[cursor, table] = window
        return window

    def end_window(self, cursor: str, table: str, up_to: int) -> None:
        """End the present run's window at the key `up_to`, the last that its answer had."""
        window = self._windows[cursor, table]
        self._windows[cursor, table] = replace(window, up_to=min(window.up_to, up_to))

    def forget_run(self, cursor: str, table: str, *, run: str) -> None:
        """Forget a run that failed, so that the next run of the query gets the same window."""
        last = self._windows.get((cursor, table))
        if last is not None and last.run == run:
            del self._windows[cursor, table]

    def _position(self, cursor: str, table: str) -> int:
        sql = "SELECT key FROM position WHERE cursor = ? AND name = ?"
        row = self._execute(sql, (cursor, table)).fetchone()
        return int(row[0]) if row else 0

    def _move(self, cursor: str, table: str, key: int) -> None:
        """Store how far a cursor has read a table; it is on the disk when this returns."""
        sql = "INSERT OR REPLACE INTO position (cursor, name, key) VALUES (?, ?, ?)"
        self._execute(sql, (cursor, table, key))

    def count_cut(self) -> None:
        """Count an answer from which the bound on its memory has left rows out."""
        self._execute("UPDATE cut SET answers = answers + 1", ())

    def _execute(self, sql: str, parameters: tuple[str | int, ...]) -> sqlite3.Cursor:
        try:
            return self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
