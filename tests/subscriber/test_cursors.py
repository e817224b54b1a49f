# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the file with the positions of queries: what cannot be used is a StoreError."""

import errno
import sqlite3
from pathlib import Path

import pytest

from osq.cursors import Cursors
from osq.errors import StoreError


def test_a_file_that_cannot_be_opened_or_is_no_database_is_a_store_error(folder: Path) -> None:
    """Opening such a file of reading positions raises StoreError, and no error of SQLite."""
    other = folder / "text"
    other.write_text("this is no database" * 100)

    with pytest.raises(StoreError, match="text: file is not a database"):
        Cursors(other)
    with pytest.raises(StoreError, match="unable to open"):
        Cursors(folder / "missing" / "cursors")


def test_a_file_whose_mode_cannot_be_changed_is_a_store_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If chmod of the file of reading positions is refused, the StoreError names the file."""

    def refused(self: Path, _mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(self))

    monkeypatch.setattr(Path, "chmod", refused)

    with pytest.raises(StoreError, match="cursors: Operation not permitted"):
        Cursors(folder / "cursors")


def test_a_damaged_file_is_a_store_error_when_it_is_read(folder: Path) -> None:
    """A file of reading positions that lost a table raises a StoreError that names the file."""
    path = folder / "cursors"
    with Cursors(path) as cursors:
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE position")

        with pytest.raises(StoreError, match="cursors: no such table"):
            cursors.window("query", "kprocess_events", run="1", newest=3)
