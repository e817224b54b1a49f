# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The position up to which each query of osqueryd has read the rows, kept across restarts."""

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from osq.store_file import store_error

_BUSY_S = 5.0


class Cursors:
    """The positions by query, in a small SQLite file; leaving the block closes the file.

    Raises: StoreError when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            path.chmod(0o600)
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS cursor (query TEXT PRIMARY KEY, key BIGINT NOT NULL)"
            )
        except sqlite3.Error as error:
            raise store_error(path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def get(self, query: str) -> int:
        """Return the key that a query has read up to, 0 for a new query."""
        sql = "SELECT key FROM cursor WHERE query = ?"
        row = self._connection.execute(sql, (query,)).fetchone()
        return int(row[0]) if row else 0

    def set(self, query: str, key: int) -> None:
        """Store the position of a query; it is on the disk when this returns."""
        sql = "INSERT OR REPLACE INTO cursor (query, key) VALUES (?, ?)"
        try:
            self._connection.execute(sql, (query, key))
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
