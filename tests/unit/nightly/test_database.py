# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.database: what is recorded is read back, once, by any number of processes."""

import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import Lost, UsageError
from harness.model.settings import Verdict
from harness.nightly import migrations, tables
from harness.nightly.database import open_history
from harness.nightly.values import CellPoint, PlannedCell, Start, TestPoint
from tests.unit.nightly.nights import CELL, NIGHT, PLANNED, RESULT


def test_a_result_is_read_back_with_every_part(tmp_path: Path) -> None:
    """The result of a night's cell (target, kernel, tests) keeps tests, crashes and measures."""
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED,))
        assert history.record(RESULT)

    with open_history(tmp_path / "h.db") as history:
        assert history.results(NIGHT.id) == (RESULT,)
        assert history.nights() == (NIGHT,)
        assert history.planned(NIGHT.id) == (PLANNED,)
        assert history.cells() == {CELL.id: CELL}


def test_a_second_result_of_a_cell_in_one_night_is_not_recorded(tmp_path: Path) -> None:
    """A cell is a target, a kernel and tests; its first result of each attempt is kept."""
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED,))
        history.record(RESULT)

        assert not history.record(replace(RESULT, run_id="another", verdict=Verdict.PASSED))
        assert not history.record(replace(RESULT, attempt=1))
        assert history.record(replace(RESULT, attempt=1, run_id="another"))

        assert [one.attempt for one in history.results(NIGHT.id)] == [0, 1]
        assert history.results(NIGHT.id)[0].verdict is Verdict.CRASHED


def test_points_are_results_and_tests_without_their_texts(tmp_path: Path) -> None:
    """Past nights are read from the database in a short form, without consoles and output."""
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED,))
        history.record(RESULT)

        assert history.cell_points([NIGHT.id]) == (
            CellPoint(
                night=NIGHT.id,
                cell=CELL.id,
                attempt=0,
                verdict=Verdict.CRASHED,
                reason=RESULT.reason,
                duration_s=61.5,
                commit="f" * 40,
                tree_changed=True,
                kernel_release="6.1.0-49-cloud-amd64",
                kernel_version="6.1.174-1",
                warnings=("WARNING in greeter_write",),
                signatures=("abcdef012345",),
                measures={"boot_s": 2.5, "module_bytes": 4096.0},
            ),
        )
        points = tuple(history.test_points([NIGHT.id]))
        assert [(one.name, one.verdict) for one in points] == [
            ("test_open", Verdict.PASSED),
            ("test_read", Verdict.CRASHED),
        ]
        assert points[0] == TestPoint(
            night=NIGHT.id,
            cell=CELL.id,
            attempt=0,
            suite="guest",
            name="test_open",
            verdict=Verdict.PASSED,
            duration_s=0.5,
        )
        assert history.cell_points(["another"]) == ()


def test_the_plan_and_the_end_of_a_night_can_change(tmp_path: Path) -> None:
    """In the nights' database, a planned cell can be left out later, and the night can end."""
    start = Start(
        night=NIGHT.id, cell=CELL.id, attempt=0, number=1, run_id="r", started_at="2026-01-01"
    )
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED,))
        history.start(start)
        history.leave_out(NIGHT.id, CELL.id, "no time is left")
        history.end_night(NIGHT.id, "2026-01-02")

        assert history.planned(NIGHT.id) == (replace(PLANNED, left_out="no time is left"),)
        assert history.night(NIGHT.id).ended_at == "2026-01-02"
        assert history.starts(NIGHT.id) == (start,)
        with pytest.raises(UsageError, match="no night other"):
            history.night("other")


def test_the_latest_nights_are_given_oldest_first(tmp_path: Path) -> None:
    """The nights' database returns the last N nights in the order of time."""
    with open_history(tmp_path / "h.db") as history:
        for number in range(3):
            history.begin_night(replace(NIGHT, id=f"2026010{number}"), ())

        assert [one.id for one in history.nights(last=2)] == ["20260101", "20260102"]


def test_the_migrations_make_the_tables_that_the_code_uses(tmp_path: Path) -> None:
    """A new database of nights has exactly the tables and columns that `tables` declares."""
    with open_history(tmp_path / "h.db"):
        pass

    with sqlite3.connect(tmp_path / "h.db") as file:
        for name, table in tables.METADATA.tables.items():
            columns = [row[1] for row in file.execute(f"PRAGMA table_info({name})")]
            assert columns == [column.name for column in table.columns], name
        names = file.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        version = file.execute("PRAGMA user_version").fetchone()
    assert {name for (name,) in names} == set(tables.METADATA.tables)
    assert version == (len(migrations.MIGRATIONS),)


def test_a_file_of_an_older_schema_is_brought_to_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older database of nights gets the missing migrations and keeps its results."""
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED,))
        history.record(RESULT)
    later = (*migrations.MIGRATIONS, ("CREATE TABLE findings (id INTEGER PRIMARY KEY)",))
    monkeypatch.setattr("harness.nightly.database.MIGRATIONS", later)

    with open_history(tmp_path / "h.db") as history:
        assert history.results(NIGHT.id) == (RESULT,)

    with sqlite3.connect(tmp_path / "h.db") as file:
        assert file.execute("SELECT count(*) FROM findings").fetchone() == (0,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration of the nights' database is one transaction."""
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, ())
    broken = (*migrations.MIGRATIONS, ("CREATE TABLE findings (id INTEGER)", "CREATE nonsense"))
    with monkeypatch.context() as patch:
        patch.setattr("harness.nightly.database.MIGRATIONS", broken)
        with pytest.raises(Lost, match="nonsense"), open_history(tmp_path / "h.db"):
            pass

    with open_history(tmp_path / "h.db") as history:
        assert history.nights() == (NIGHT,)
    with sqlite3.connect(tmp_path / "h.db") as file:
        assert "findings" not in str(file.execute("SELECT name FROM sqlite_master").fetchall())


def test_a_file_of_a_later_schema_is_refused(tmp_path: Path) -> None:
    """To open a database of nights that a later harness wrote is a UsageError with its schema."""
    with sqlite3.connect(tmp_path / "h.db") as file:
        file.execute("PRAGMA user_version = 99")

    with pytest.raises(UsageError, match="schema 99"), open_history(tmp_path / "h.db"):
        pass


def test_a_damaged_file_is_reported_with_what_to_do(tmp_path: Path) -> None:
    """The error for a nights' file that is no SQLite database names the file."""
    (tmp_path / "h.db").write_text("this is no database, and longer than a header would be")

    with (
        pytest.raises(Lost, match=r"h\.db: file is not a database") as caught,
        open_history(tmp_path / "h.db"),
    ):
        pass
    assert "moved away" in caught.value.hint


_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from harness.nightly.database import open_history
from tests.unit.nightly.nights import RESULT
with open_history(Path(sys.argv[1])) as history:
    added = [history.record(replace(RESULT, attempt=at, run_id=f"{sys.argv[2]}-{at}"))
             for at in range(25)]
print(sum(added))
"""


def test_processes_that_write_at_once_record_each_result_once(tmp_path: Path) -> None:
    """Of three processes that write the same 25 results, one succeeds for each result."""
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED,))
    line = [sys.executable, "-c", _WRITER, str(tmp_path / "h.db")]

    writers = [
        subprocess.Popen([*line, name], stdout=subprocess.PIPE, text=True) for name in "abc"
    ]
    added = [int(one.communicate(timeout=120)[0]) for one in writers]

    with open_history(tmp_path / "h.db") as history:
        assert [one.attempt for one in history.results(NIGHT.id)] == list(range(25))
    assert sum(added) == 25


def test_a_plan_may_leave_cells_out(tmp_path: Path) -> None:
    """In a night's plan, a target, kernel and tests that will not run keep place and reason."""
    out = PlannedCell(
        cell=replace(CELL, kernel="6.12"), position=1, expected_s=9.0, left_out="the budget"
    )
    with open_history(tmp_path / "h.db") as history:
        history.begin_night(NIGHT, (PLANNED, out))

        assert history.planned(NIGHT.id) == (PLANNED, out)
