# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the osquery extension over thrift, with osquery's own package on the other side.

osquery_manager.py acts as osqueryd; the extension is a process of its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from osq.retention import Limits
from osq.store import Store
from osq.tables import TABLES
from tests.subscriber.building import OUT, ROOT
from tests.subscriber.host import START_S, until
from tests.subscriber.osquery_manager import UUID, Manager, extension_at, serve
from tests.subscriber.test_store import fill

MOST_ROWS = 100
EQUALS, GREATER, LESS = "2", "4", "16"


class Osqueryd:
    """A replacement for osqueryd at a socket, and an extension that is connected to it."""

    def __init__(self, folder: Path, store: Path) -> None:
        self.manager = Manager()
        self._socket = folder / "osquery.em"
        serve(self.manager, self._socket)
        until(self._socket.exists, "the manager listens")
        config = folder / "osq.conf"
        config.write_text(json.dumps({"osq": {"store": str(store), "extension_rows": MOST_ROWS}}))
        paths = os.pathsep.join((str(OUT), str(ROOT / "kernel" / "subscriber")))
        self.extension = subprocess.Popen(
            [
                *(sys.executable, "-m", "osq.extension", "--config", str(config)),
                *("--socket", str(self._socket), "--timeout", "10", "--interval", "1"),
            ],
            env={**os.environ, "PYTHONPATH": paths},
        )
        self._connection = extension_at(self._socket, deadline_s=START_S)
        self.client = self._connection.extension_client()

    def rows(self, table: str, *constraints: tuple[str, str, str]) -> list[dict[str, str]]:
        """Return the rows that a query of this table would get."""
        by_name: dict[str, list[dict[str, str]]] = {}
        for name, operator, text in constraints:
            by_name.setdefault(name, []).append({"op": operator, "expr": text})
        context = {
            "constraints": [
                *(
                    {"name": name, "list": ops, "affinity": "TEXT"}
                    for name, ops in by_name.items()
                ),
                {"name": "path", "list": "", "affinity": "TEXT"},
            ]
        }
        request = {"action": "generate", "context": json.dumps(context)}
        answer = self.client.call("table", table, request)
        assert answer.status.code == 0, answer.status.message
        rows: list[dict[str, str]] = answer.response
        return rows

    def restart(self, folder: Path, store: Path) -> "Osqueryd":
        """End this extension, and return another one on the same store."""
        self.close()
        self._socket.unlink()
        Path(f"{self._socket}.{UUID}").unlink(missing_ok=True)
        return Osqueryd(folder, store)

    def close(self) -> None:
        """End the extension's process."""
        self._connection.close()
        self.extension.kill()
        self.extension.wait()


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """Give a store with ten exec events, to which tests may add."""
    with Store(folder / "events.db", Limits()) as one:
        one.begin()
        fill(one, 1, 10)
        yield one


@pytest.fixture
def osqueryd(folder: Path, store: Store) -> Iterator[Osqueryd]:
    """Give a replacement for osqueryd and an extension that is connected to it."""
    running = Osqueryd(folder, store.path)
    yield running
    running.close()


def numbers(rows: list[dict[str, str]]) -> list[int]:
    """Return the event numbers of these rows."""
    return [int(row["seq_num"]) for row in rows]


def test_the_tables_are_registered_as_event_tables(osqueryd: Osqueryd) -> None:
    """Every column is registered with its type, and every table as an event table."""
    registered = osqueryd.manager.registered

    assert registered["name"] == "osq"
    assert set(registered["table"]) == {table.name for table in TABLES}
    for table in TABLES:
        routes = registered["table"][table.name]
        columns = {one["name"]: one["type"] for one in routes if one["id"] == "column"}
        assert columns == {column.name: column.kind for column in table.columns}
        assert {"id": "attributes", "attributes": "4"} in routes
    asked = osqueryd.client.call("table", "kprocess_events", {"action": "columns"})
    assert asked.response == registered["table"]["kprocess_events"]


def test_a_repeated_query_gets_only_new_rows_and_a_query_with_another_condition_gets_all_rows(
    osqueryd: Osqueryd, store: Store
) -> None:
    """A repeated query gets only new rows; another query has a position of its own."""
    assert numbers(osqueryd.rows("kprocess_events")) == list(range(1, 11))
    assert numbers(osqueryd.rows("kprocess_events")) == []
    fill(store, 11, 5)
    assert numbers(osqueryd.rows("kprocess_events")) == list(range(11, 16))
    assert numbers(osqueryd.rows("kprocess_events")) == []

    by_path = ("path", EQUALS, "/usr/bin/printf")
    assert numbers(osqueryd.rows("kprocess_events", by_path)) == list(range(1, 16))
    assert numbers(osqueryd.rows("kprocess_events", by_path)) == []


def test_a_restarted_extension_gives_a_repeated_query_only_the_rows_added_since_the_restart(
    osqueryd: Osqueryd, store: Store, folder: Path
) -> None:
    """A restarted extension continues after the last row that a query got."""
    assert len(osqueryd.rows("kprocess_events")) == 10
    again = osqueryd.restart(folder, store.path)
    fill(store, 11, 1)

    assert numbers(again.rows("kprocess_events")) == [11]
    again.close()


def test_a_query_with_a_condition_on_time_or_eid_gets_all_matching_rows(
    osqueryd: Osqueryd, store: Store
) -> None:
    """A query with a condition on time or eid gets all matching rows every time."""
    fill(store, 11, 5, age_s=1000)
    rows = osqueryd.rows("kprocess_events", ("time", GREATER, "0"))
    newer = str(max(int(row["time"]) for row in rows) - 500)
    tenth = rows[9]["eid"]

    for _ in range(2):
        after_tenth = osqueryd.rows("kprocess_events", ("eid", GREATER, tenth))
        assert numbers(after_tenth) == list(range(11, 16))
        in_time = osqueryd.rows("kprocess_events", ("time", GREATER, newer))
        assert numbers(in_time) == list(range(1, 11))
        both = (("time", GREATER, newer), ("eid", LESS, tenth))
        assert numbers(osqueryd.rows("kprocess_events", *both)) == list(range(1, 10))
    assert osqueryd.rows("kprocess_events", ("eid", EQUALS, tenth))[0]["eid"] == tenth


def test_a_large_result_comes_in_several_answers(osqueryd: Osqueryd, store: Store) -> None:
    """Rows beyond the limit of one answer come in the next answers, and none is skipped."""
    fill(store, 11, MOST_ROWS + 5)
    parts = [numbers(osqueryd.rows("kprocess_events")) for _ in range(3)]

    assert [len(part) for part in parts] == [MOST_ROWS, 15, 0]
    assert [*parts[0], *parts[1]] == list(range(1, MOST_ROWS + 16))


def test_every_value_in_an_answer_to_osquery_is_text(osqueryd: Osqueryd) -> None:
    """All values in an answer are text, as thrift's map of strings requires."""
    row = osqueryd.rows("kprocess_events")[0]

    assert (row["cmdline"], row["child_pid"], row["btime"]) == ("printf %s x \\xff", "", "")
    assert all(isinstance(value, str) for value in row.values())


def test_a_query_while_the_store_file_is_missing_fails_with_no_such_store(
    osqueryd: Osqueryd, store: Store
) -> None:
    """A missing store is an error, since an empty answer would mean no events."""
    store.path.rename(store.path.with_name("moved.db"))
    request = {"action": "generate", "context": "{}"}
    answer = osqueryd.client.call("table", "kprocess_events", request)

    assert answer.status.code == 1
    assert "no such store" in answer.status.message


def test_an_extension_without_osqueryd_reports_an_error(folder: Path, store: Store) -> None:
    """Without osqueryd at the socket's path the extension ends with an error and an exit code."""
    (folder / "nobody").touch()
    config = folder / "osq.conf"
    config.write_text(json.dumps({"osq": {"store": str(store.path)}}))
    for name in ("not-there", "nobody"):
        done = subprocess.run(
            [
                *(sys.executable, "-m", "osq.extension", "--config", str(config)),
                *("--socket", str(folder / name), "--timeout", "1"),
            ],
            env={**os.environ, "PYTHONPATH": f"{OUT}{os.pathsep}{ROOT / 'kernel' / 'subscriber'}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 1
        assert "did not answer" in done.stderr
