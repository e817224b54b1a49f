# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the osquery extension as a process: its registration, its answers and its errors."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from osq.cursors import Cursors
from osq.retention import Limits
from osq.store import Store
from osq.tables import TABLES
from tests.subscriber.filler import fill
from tests.subscriber.osqueryd_model import QueryFailed
from tests.subscriber.served import END_S, Served, environment, extension_command


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """Give a store with ten exec events, to which tests may add."""
    with Store(folder / "events.db", Limits()) as one:
        one.begin()
        fill(one, 1, 10)
        yield one


@pytest.fixture
def served(folder: Path, store: Store) -> Iterator[Served]:
    """Give a model of osqueryd and an extension that is connected to it."""
    with Served(folder, store.path) as running:
        yield running


def test_the_tables_are_registered_as_event_tables(served: Served) -> None:
    """A model of osqueryd gets each table with its columns, their options and the event mark."""
    registry = served.osqueryd.registry

    assert set(registry) == {table.name for table in TABLES}
    for table in TABLES:
        columns = {one["name"]: one for one in registry[table.name] if one["id"] == "column"}
        expected = {column.name: column.kind for column in table.columns}
        expected |= {"cut": "INTEGER", "cursor": "TEXT", "run": "TEXT"}
        assert {name: one["type"] for name, one in columns.items()} == expected
        assert {one["op"] for one in columns.values()} == {"1", "17"}
        assert {"id": "attributes", "attributes": "4"} in registry[table.name]
    asked = served.osqueryd.call("kprocess_events", {"action": "columns"})
    assert asked == registry["kprocess_events"]


def test_osquerys_other_names_of_columns_have_the_values_of_the_columns(served: Served) -> None:
    """The aliases environment, access_time and five more have the values of their columns."""
    names = {
        "env": "environment",
        "env_count": "environment_count",
        "env_size": "environment_size",
        "atime": "access_time",
        "mtime": "modify_time",
        "ctime": "change_time",
        "btime": "create_time",
    }
    columns, aliases = ", ".join(names), ", ".join(names.values())

    rows = served.rows(f"SELECT {aliases} FROM kprocess_events ORDER BY eid")

    assert rows == served.rows(f"SELECT {columns} FROM kprocess_events ORDER BY eid")
    assert len(rows) == 10
    sql = "SELECT count(*) FROM kprocess_events WHERE access_time = atime"
    assert served.rows(sql) == [(10,)]


def test_every_value_in_an_answer_to_osquery_is_text(served: Served) -> None:
    """The extension's answer has strings alone, "" for NULL, as thrift's map of strings needs."""
    columns = ["cmdline", "child_pid", "btime"]
    context = json.dumps({"constraints": [], "colsUsed": columns})
    request = {"action": "generate", "context": context}

    row = served.osqueryd.call("kprocess_events", request)[0]

    assert row == {"cmdline": "printf %s x \\xff", "child_pid": "", "btime": ""}


def test_osquery_gets_all_columns_when_it_does_not_say_which_it_uses(served: Served) -> None:
    """A request without colsUsed gets every column of the store and the column `cut`."""
    row = served.osqueryd.call("kprocess_events", {"action": "generate", "context": "{}"})[0]

    (table,) = (one for one in TABLES if one.name == "kprocess_events")
    assert set(row) == {"cut", *(one.name for one in table.columns)}


def test_a_cursor_reads_another_store_from_its_beginning(folder: Path) -> None:
    """If a store's newest key is below a cursor's position, the cursor begins at 0 again."""

    def window(cursors: Cursors, run: int, newest: int) -> tuple[int, int]:
        one = cursors.window("a", "kprocess_events", run=str(run), newest=newest)
        return one.after, one.up_to

    with Cursors(folder / "cursors") as before:
        assert [window(before, run, 100) for run in (1, 1, 2)] == [(0, 100), (0, 100), (100, 100)]
        assert window(before, 3, 0) == (100, 100)
    with Cursors(folder / "cursors") as after:
        assert [window(after, 4, 5), window(after, 5, 8)] == [(0, 5), (5, 8)]


def test_a_query_while_the_store_file_is_missing_fails_with_no_such_store(
    served: Served, store: Store
) -> None:
    """The model of osqueryd gets an error, since an answer without rows would mean no events."""
    store.path.rename(store.path.with_name("moved.db"))

    with pytest.raises(QueryFailed, match="no such store; is the daemon running"):
        served.rows("SELECT pid FROM kprocess_events")


def test_an_extension_without_osqueryd_reports_an_error(folder: Path, store: Store) -> None:
    """With no osqueryd at --socket, the extension exits with 1 and "did not answer"."""
    (folder / "nobody").touch()
    for name in ("not-there", "nobody"):
        done = subprocess.run(
            extension_command(folder, store.path, folder / name, mib=1),
            env=environment(),
            capture_output=True,
            text=True,
            timeout=END_S * 2,
            check=False,
        )
        assert done.returncode == 1
        assert "did not answer" in done.stderr
