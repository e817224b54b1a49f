# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of what osqueryd's queries get: the same rows as SQL on the store, whoever else asks.

A model of osqueryd (osqueryd_model.py) asks the real extension over the real thrift socket.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from osq.completeness import Totals
from osq.moment import Moment
from osq.retention import Limits
from osq.store import Store
from tests.subscriber.building import ROOT
from tests.subscriber.filler import PROCESSES, Filler
from tests.subscriber.host import ask, until
from tests.subscriber.osqueryd_model import UUID, QueryFailed, Schedule
from tests.subscriber.served import END_S, Served, environment, extension_command

RUN = "run = (SELECT unix_time FROM time)"
ROW_S = 0.05


@pytest.fixture
def filler(folder: Path) -> Iterator[Filler]:
    """Give a store with the events of 300 processes."""
    with Store(folder / "events.db", Limits()) as store:
        store.begin()
        one = Filler(store=store)
        one.add_processes(PROCESSES)
        yield one


@pytest.fixture(params=[True, False], ids=["default_index", "no_default_index"])
def either(request: pytest.FixtureRequest, folder: Path, filler: Filler) -> Iterator[Served]:
    """Give an extension at osqueryd with --extensions_default_index, and without it."""
    with Served(folder, filler.store.path, mib=8, default_index=request.param) as running:
        yield running


@pytest.fixture
def served(folder: Path, filler: Filler) -> Iterator[Served]:
    """Give an extension whose answers may take 8 MiB."""
    with Served(folder, filler.store.path, mib=8) as running:
        yield running


SHELLS = "SELECT pid, cmdline FROM kprocess_events WHERE event_type = 'exec' AND path = '/bin/sh'"
SAME_AS_THE_STORE = (
    SHELLS,
    "SELECT pid FROM kprocess_events WHERE path = '/BIN/SH' COLLATE NOCASE",
    "SELECT pid FROM kprocess_events WHERE path = '/bin/sh  ' COLLATE RTRIM",
    "SELECT pid, path FROM kprocess_events WHERE path LIKE '/USR/%'",
    "SELECT pid, path FROM kprocess_events WHERE path GLOB '/usr/*'",
    "SELECT pid FROM kprocess_events WHERE pid LIKE '10_5'",
    "SELECT pid, uid FROM kprocess_events WHERE uid IN (0, 2, 4) AND event_type IN ('exec')",
    "SELECT pid, uid FROM kprocess_events WHERE uid = 3 OR pid = 1007",
    "SELECT pid, uid FROM kprocess_events WHERE uid = 3 OR path = '/bin/sh' OR exit_code = 2",
    "SELECT pid FROM kprocess_events WHERE event_type != 'fork' AND pid > 1200",
    "SELECT pid FROM kprocess_events WHERE uid IS NOT 3 AND event_type IS 'exec'",
    "SELECT pid, exit_code FROM kprocess_events WHERE exit_code IS NOT NULL AND exit_code >= 2",
    "SELECT pid FROM kprocess_events WHERE exit_code IS NULL",
    "SELECT eid, pid FROM kprocess_events WHERE pid BETWEEN 1010 AND 1020.5",
    "SELECT pid FROM kprocess_events WHERE pid > 1290.5 AND pid < 1295.0",
    "SELECT pid FROM kprocess_events WHERE pid = '1011' OR pid = 'none' OR pid = 1012.0",
    "SELECT pid FROM kprocess_events WHERE pid = '1_011'",
    "SELECT pid FROM kprocess_events WHERE ntime > 1e18",
    "SELECT pid FROM kprocess_events WHERE ntime < 9223372036854775807 AND uptime > 1004",
    "SELECT pid FROM kprocess_events WHERE pid = NULL",
    "SELECT eid FROM kprocess_events WHERE eid = (SELECT max(eid) FROM kprocess_events)",
    "SELECT eid FROM kprocess_events WHERE eid > (SELECT min(eid) FROM kprocess_events)",
    "SELECT eid FROM kprocess_events WHERE eid LIKE '%7'",
    "SELECT count(*) FROM kprocess_events",
    "SELECT path, count(*), sum(exit_code) FROM kprocess_events GROUP BY path",
    "SELECT DISTINCT uid FROM kprocess_events ORDER BY uid DESC",
    "SELECT pid FROM kprocess_events ORDER BY global_seq_num DESC LIMIT 3 OFFSET 2",
    "SELECT pid FROM kprocess_events WHERE uid = 3 ORDER BY eid LIMIT 2",
    "SELECT * FROM (SELECT pid, time FROM kprocess_events WHERE uid = 1) WHERE pid < 1100",
    "SELECT pid FROM kprocess_events WHERE uid = (SELECT max(uid) FROM kprocess_events)",
    "SELECT pid FROM kprocess_events WHERE pid IN (SELECT child_pid FROM kprocess_events)",
    "SELECT complete, stored FROM kosquery_stats",
)


@pytest.mark.parametrize("sql", SAME_AS_THE_STORE)
def test_a_query_gets_the_rows_of_the_same_sql_on_the_store(sql: str, served: Served) -> None:
    """A model of osqueryd asks the real extension: its rows equal those of SQLite on the store."""
    served.agrees(sql)


def test_without_the_default_index_of_osqueryd_the_same_conditions_are_passed(
    either: Served,
) -> None:
    """With --extensions_default_index or without, conditions arrive: IN (1, 2) makes two calls."""
    assert either.agrees(SHELLS) == 200
    assert either.agrees(f"{SHELLS} AND cpu = 0 AND env_count = 0") == 200
    before = either.osqueryd.calls
    assert either.rows(f"{SHELLS} AND uid IN (1, 2)")
    assert either.osqueryd.calls == before + 2


def test_a_text_without_a_value_is_empty_in_osquery_and_null_in_the_store(
    served: Served,
) -> None:
    """NULL of a text reaches osquery as '', so conditions on it differ from the store's."""
    empty = "SELECT count(*) FROM kprocess_events WHERE path = ''"
    other = "SELECT count(*) FROM kprocess_events WHERE path != '/bin/sh'"
    anything = "SELECT count(*) FROM kprocess_events WHERE path LIKE '%'"

    assert [served.rows(sql) for sql in (empty, other, anything)] == [
        *([(600,)], [(700,)], [(900,)])
    ]
    assert [ask(served.store, sql) for sql in (empty, other, anything)] == [
        *([(0,)], [(100,)], [(300,)])
    ]


@pytest.mark.parametrize(
    ("plus", "processes", "fetched"), [("+", PROCESSES, 900), ("", 10, 10 + 10 * PROCESSES)]
)
def test_a_self_join_finds_the_exit_of_each_program(
    plus: str, processes: int, fetched: int, served: Served
) -> None:
    """Joining N execs with their exits, osqueryd's model calls the extension N + 1 times.

    osquery's costs let SQLite pass either a constant or the join. A plus before the column keeps
    the constant from being passed, and each call gets the rows of one process.
    """
    sql = f"""SELECT a.cmdline, a.pid, b.exit_code, b.ntime - a.start_ntime AS ns
        FROM kprocess_events a JOIN kprocess_events b USING (pid, start_ntime)
        WHERE a.event_type = 'exec' AND {plus}b.event_type = 'exit'
        AND a.seq_num <= {3 * processes}"""

    assert served.agrees(sql) == processes
    assert served.osqueryd.calls == processes + 1
    assert served.osqueryd.rows == fetched


def test_an_outer_join_keeps_rows_whose_value_is_null(served: Served) -> None:
    """A LEFT JOIN on child_pid, mostly NULL, gives the rows of the same SQL on the store."""
    sql = """SELECT a.eid, b.cmdline FROM kprocess_events a
        LEFT JOIN kprocess_events b ON b.pid = a.child_pid AND b.event_type = 'exec'
        WHERE a.global_seq_num % 100 = 0"""

    assert served.agrees(sql) == 9


def test_queries_do_not_take_each_others_rows(served: Served, filler: Filler) -> None:
    """Two scheduled queries without a cursor, and a live one in between, each see all rows."""
    shells = Schedule(served.connection, SHELLS)
    exits = Schedule(
        served.connection, "SELECT pid, exit_code FROM kprocess_events WHERE exit_code = 3"
    )
    for _ in range(2):
        shells.run()
        assert served.agrees(SHELLS) == len(shells.log[-1])
        assert len(served.rows("SELECT pid FROM kprocess_events")) == filler.seq - 1
        exits.run()
        filler.add_processes(30)

    assert [len(run) for run in shells.log] == [200, 220]
    assert [len(run) for run in exits.log] == [75, 82]


@pytest.mark.parametrize("is_snapshot", [False, True])
def test_a_schedule_with_a_cursor_logs_each_row_once(
    served: Served, filler: Filler, *, is_snapshot: bool
) -> None:
    """A scheduled query, differential or snapshot, logs each row once; live queries see all."""
    sql = f"SELECT seq_num FROM kprocess_events WHERE cursor = 'all' AND {RUN}"
    schedule = Schedule(served.connection, sql, is_snapshot=is_snapshot)
    live = served.osqueryd.connect()
    for count in (0, 20, 0, 7):
        filler.add_processes(count)
        schedule.run()
        assert len(live.query("SELECT pid FROM kprocess_events")) == filler.seq - 1

    assert [len(run) for run in schedule.log] == [900, 60, 0, 21]
    logged = [row for run in schedule.log for row in run]
    assert logged == ask(served.store, "SELECT seq_num FROM kprocess_events ORDER BY eid")


def test_a_run_gets_all_its_rows_however_often_osqueryd_calls(
    served: Served, filler: Filler
) -> None:
    """With IN, OR or a join osqueryd asks several times in a run; all calls share a window."""
    where = {
        "in": "event_type IN ('exec', 'exit')",
        "or": "(uid = 3 OR exit_code = 2)",
        "join": "pid IN (SELECT pid FROM kprocess_events WHERE uid = 1)",
    }
    for count in (0, 40):
        filler.add_processes(count)
        for name, condition in where.items():
            sql = f"SELECT eid FROM kprocess_events WHERE {condition}"
            known = ask(served.store, f"{sql} AND seq_num < {filler.seq - 3 * count}")
            fresh = set(ask(served.store, sql)) - (set(known) if count else set())
            rows = served.rows(f"{sql} AND cursor = '{name}' AND {RUN}")
            assert len(rows) == len(fresh)
            assert set(rows) == fresh


def test_the_documented_sql_of_a_schedule_gets_each_row_once(
    served: Served, filler: Filler
) -> None:
    """A scheduled query of docs/subscriber.md gets 300 rows, then 0, then 4 new ones."""
    page = (ROOT / "docs" / "subscriber.md").read_text()
    (sql,) = re.findall(r"^```sql\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    runs = [len(served.rows(sql)) for _ in range(2)]
    filler.add_processes(4)

    assert [*runs, len(served.rows(sql))] == [PROCESSES, 0, 4]


def test_each_cursor_and_each_table_has_a_position_of_its_own(served: Served) -> None:
    """What cursor a has read of kprocess_events changes neither cursor b nor another table."""

    def read(table: str, cursor: str) -> int:
        return len(served.rows(f"SELECT eid FROM {table} WHERE cursor = '{cursor}' AND {RUN}"))

    assert [read("kprocess_events", name) for name in "aab"] == [900, 0, 900]
    assert [read("kloss_events", "a"), read("kprocess_events", "b")] == [0, 0]


@pytest.mark.parametrize(
    "where",
    [
        *("cursor = 'a'", "run = 1", "cursor LIKE 'a' AND run = 1", "lower(cursor) = 'a'"),
        *("cursor = '' AND run = 1", "cursor IN ('a', 'b') AND run IN (1, 2) OR cursor = 'c'"),
    ],
)
def test_a_cursor_that_is_not_used_as_documented_fails_the_query(
    where: str, served: Served
) -> None:
    """A cursor without a run, or not compared by =, is an error: no rows would mean no events."""
    with pytest.raises(QueryFailed, match="cursor and run are used together"):
        served.rows(f"SELECT eid FROM kprocess_events WHERE {where}")


def test_an_answer_that_is_cut_shows_it_and_one_that_cannot_show_it_fails(
    folder: Path, filler: Filler
) -> None:
    """Beyond extension_mib, rows are left out if the query has the column cut; else it fails.

    kosquery_stats counts both.
    """
    with Served(folder, filler.store.path, mib=1) as served:
        rows = served.connection.query("SELECT * FROM kprocess_events")
        with pytest.raises(QueryFailed, match="takes more than 1 MiB; name the column cut"):
            served.rows(
                "SELECT * FROM (SELECT pid, path, cmdline, cwd, eid, env, mode,"
                " filename, tid, uid, gid FROM kprocess_events)"
            )
        found = served.connection.query(
            "SELECT cut, eid FROM kprocess_events WHERE uid = 4 AND exit_code IS NULL"
        )
        assert served.agrees("SELECT count(*) FROM kprocess_events") == 1

    assert 0 < len(rows) < 900
    assert {row["cut"] for row in rows} == {1}
    filler.store.end(Totals(at=Moment.now()), "clean")
    assert ask(filler.store.path, "SELECT cut_answers, complete FROM kosquery_stats") == [(2, 1)]
    assert {row["cut"] for row in found} == {0}


def test_a_cursor_goes_on_where_an_answer_was_cut(folder: Path, filler: Filler) -> None:
    """A query with a cursor over too many rows gets the next part of them at each run."""
    sql = f"SELECT * FROM kprocess_events WHERE cursor = 'x' AND {RUN}"
    with Served(folder, filler.store.path, mib=1) as served:
        parts = []
        while rows := served.connection.query(sql):
            parts.append(rows)

    assert len(parts) > 3
    assert {row["cut"] for rows in parts[:-1] for row in rows} == {1}
    assert {row["cut"] for row in parts[-1]} == {0}
    keys = [(row["global_seq_num"],) for rows in parts for row in rows]
    assert keys == ask(
        filler.store.path, "SELECT global_seq_num FROM kprocess_events ORDER BY eid"
    )


def test_the_rows_of_a_run_that_fails_are_offered_to_the_next_run(
    folder: Path, filler: Filler
) -> None:
    """If the second of a run's two calls fails, the next run gets all rows of both again."""
    sql = f"SELECT eid FROM kprocess_events WHERE cursor = 'x' AND {RUN}"
    twice = f"{sql} AND event_type IN ('exec', 'exit')"
    store, moved = filler.store.path, filler.store.path.with_name("moved.db")
    with Served(folder, store, mib=8) as served:
        served.osqueryd.before_call = lambda number: number == 2 and store.rename(moved)
        with pytest.raises(QueryFailed, match="no such store"):
            served.rows(twice)
        served.osqueryd.before_call = lambda _: None
        moved.rename(store)

        assert len(served.rows(twice)) == 600
        assert served.rows(sql) == []


def test_a_worker_that_is_killed_after_asking_gets_its_rows_again(
    folder: Path, filler: Filler
) -> None:
    """A worker of osqueryd dies before it logs a cursor's rows; the next one gets just these."""
    sql = f"SELECT seq_num FROM kprocess_events WHERE cursor = 'log' AND {RUN}"
    assert len(_killed_after(folder, filler, sql, runs=2)[-1]) == 0
    filler.add_processes(10)
    lost = _killed_after(folder, filler, sql, runs=1)[-1]

    with Served(folder, filler.store.path, mib=8) as served:
        again = served.rows(sql)
        filler.add_processes(1)
        after = served.rows(sql)

    assert [row["seq_num"] for row in lost] == list(range(901, 931))
    assert [number for (number,) in again] == list(range(901, 931))
    assert [number for (number,) in after] == [931, 932, 933]


def _wait_for_next_second() -> None:
    """Wait until a worker's next query is another run: its clock is the machine's."""
    now = int(time.time())
    until(lambda: int(time.time()) > now, "it is another second")


def _killed_after(
    folder: Path, filler: Filler, sql: str, *, runs: int
) -> list[list[dict[str, int]]]:
    """Return the answers that a worker got before it was killed; its extension ends with it."""
    socket = folder / "worker.em"
    for old in (socket, Path(f"{socket}.{UUID}")):
        old.unlink(missing_ok=True)
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.subscriber.osqueryd_model", str(socket)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    until(socket.exists, "the worker listens")
    command = extension_command(folder, filler.store.path, socket, mib=8)
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as extension:
        assert worker.stdin is not None
        assert worker.stdout is not None
        answers = []
        for _ in range(runs):
            worker.stdin.write(sql + "\n")
            worker.stdin.flush()
            answers.append(json.loads(worker.stdout.readline())["rows"])
            _wait_for_next_second()
        worker.kill()
        worker.communicate()
        assert extension.wait(END_S) == 1
    return answers
