# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The history of all nights of a project: plans, starts and results of cells, in one SQLite file.

Each change is one transaction, so a process that is killed leaves a file that is complete up to
its last change. Several processes may read and write at once.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    delete,
    event,
    exc,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import sqlite

from harness.errors import Lost, UsageError
from harness.model.settings import Settings, TestResult, Verdict
from harness.nightly import folders, rows, tables
from harness.nightly.judge.findings import Bisected
from harness.nightly.migrations import MIGRATIONS
from harness.nightly.values import (
    Cell,
    CellPoint,
    CellResult,
    Night,
    PlannedCell,
    Start,
    TestPoint,
    missing_run,
)

_BUSY_S = 60.0


def history_file(settings: Settings) -> Path:
    """Return the path of the SQLite file with the history of a project's nights."""
    return folders.all_nights(settings) / "history.db"


@contextmanager
def open_history(file: Path) -> Iterator["History"]:
    """Open the SQLite file of a project's nights for the length of a `with` block.

    A missing file is created, and an older schema is migrated to the present one.
    Raises: UsageError for a file of a later schema; Lost for a file that SQLite cannot use, also
        when SQLite notices this within the block.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": _BUSY_S})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    try:
        _migrate(engine, file)
        yield History(engine=engine, file=file)
    except exc.DatabaseError as error:
        raise Lost(
            f"{file}: {error.orig}",
            hint="a damaged history can be moved away; `nightly --import-runs` begins a new one "
            "from the folders of old runs",
        ) from error
    finally:
        engine.dispose()


@dataclass(frozen=True, kw_only=True)
class History:
    """The stored nights of a project: their plans, the starts of cells, results and bisections.

    Every method that writes is one transaction.
    """

    engine: Engine
    file: Path

    # --- reading --------------------------------------------------------------------------------

    def nights(self, last: int | None = None) -> tuple[Night, ...]:
        """Return all stored nights, or only the `last` latest ones, the oldest first."""
        query = select(tables.NIGHTS).order_by(tables.NIGHTS.c.id.desc()).limit(last)
        found = tuple(Night(**row) for row in self._rows(query))
        return found[::-1]

    def night(self, night_id: str) -> Night:
        """Return the night with this id. Raises: UsageError when the history has no such night."""
        query = select(tables.NIGHTS).where(tables.NIGHTS.c.id == night_id)
        for row in self._rows(query):
            return Night(**row)
        raise UsageError(f"{self.file} has no night {night_id}")

    def cells(self) -> dict[str, Cell]:
        """Return every cell of the nightly matrix that is stored, by the cell's id.

        A cell is stored when a night plans it, or when a run of it is imported.
        """
        return {row["id"]: rows.cell(row) for row in self._rows(select(tables.CELLS))}

    def planned(self, night_id: str) -> tuple[PlannedCell, ...]:
        """Return all cells of one night's plan in order, with those that were left out."""
        query = (
            select(tables.PLANNED)
            .where(tables.PLANNED.c.night == night_id)
            .order_by(tables.PLANNED.c.position)
        )
        cells = self.cells()
        return tuple(
            PlannedCell(
                cell=cells[row["cell"]],
                **{name: row[name] for name in ("position", "expected_s", "left_out", "command")},
            )
            for row in self._rows(query)
        )

    def starts(self, night_id: str) -> tuple[Start, ...]:
        """Return every stored start of a cell's process in one night, in order of time."""
        query = (
            select(tables.STARTS)
            .where(tables.STARTS.c.night == night_id)
            .order_by(tables.STARTS.c.started_at, tables.STARTS.c.number)
        )
        return tuple(Start(**row) for row in self._rows(query))

    def has_result(self, night_id: str, cell_id: str, attempt: int) -> bool:
        """Return whether the history has the result of one attempt at a cell in a night.

        Attempt 0 is the cell's first run of the night; the others repeat it after a failure.
        """
        results = tables.RESULTS.c
        query = select(results.id).where(
            results.night == night_id, results.cell == cell_id, results.attempt == attempt
        )
        return bool(self._rows(query))

    def has_run(self, run_id: str) -> bool:
        """Return whether the history has the result of a run, by the run's id."""
        return bool(
            self._rows(select(tables.RESULTS.c.id).where(tables.RESULTS.c.run_id == run_id))
        )

    def verdicts(self, night_id: str, attempt: int = 0) -> dict[str, Verdict]:
        """Return the verdict of each cell of a night in one attempt, keyed by the cell's id.

        Attempt 0 is the cell's first run of the night; cells without a result are missing.
        """
        results = tables.RESULTS.c
        query = select(results.cell, results.verdict).where(
            results.night == night_id, results.attempt == attempt
        )
        return {row["cell"]: Verdict(row["verdict"]) for row in self._rows(query)}

    def missing(self, night_id: str) -> tuple[str, ...]:
        """Return the ids of a night's cells whose own result has not arrived.

        For these cells `elsewhere.merge` has stored a placeholder with the verdict "lost".
        """
        results = tables.RESULTS.c
        found = self._rows(select(results.cell, results.run_id).where(results.night == night_id))
        return tuple(
            row["cell"] for row in found if row["run_id"] == missing_run(night_id, row["cell"])
        )

    def results(self, night_id: str) -> tuple[CellResult, ...]:
        """Return a night's results with tests, crashes and warnings, in order of time."""
        with self._transaction() as connection:
            found = rows.results(connection, (night_id,))
            details = rows.Details.read(connection, (night_id,), tests=True)
        return tuple(rows.result(row, details) for row in found)

    def cell_points(self, night_ids: Sequence[str]) -> tuple[CellPoint, ...]:
        """Return the cells' results in several nights, without tests, in order of time."""
        with self._transaction() as connection:
            found = rows.results(connection, night_ids)
            details = rows.Details.read(connection, night_ids, tests=False)
        return tuple(rows.cell_point(row, details) for row in found)

    def test_points(self, night_ids: Sequence[str]) -> Iterator[TestPoint]:
        """Yield each test's verdict in several nights, ordered by night, cell and attempt."""
        results, each, names = tables.RESULTS.c, tables.TEST_RESULTS.c, tables.TESTS.c
        query = (
            select(
                *(results.night, results.cell, results.attempt),
                *(names.suite, names.name, each.verdict, each.duration_s),
            )
            .join_from(tables.RESULTS, tables.TEST_RESULTS, each.result == results.id)
            .join(tables.TESTS, names.id == each.test)
            .where(results.night.in_(night_ids))
            .order_by(results.night, results.cell, results.attempt, each.position)
        )
        with self._transaction() as connection:
            for row in connection.execute(query).mappings():
                yield TestPoint(**{**row, "verdict": Verdict(row["verdict"])})

    def bisections(self) -> dict[str, Bisected]:
        """Return all stored answers of bisections, keyed by their `Finding.key`."""
        found = self._rows(select(tables.BISECTIONS))
        return {
            row["key"]: Bisected(**{**row, "steps": tuple(json.loads(row["steps"]))})
            for row in found
        }

    # --- writing --------------------------------------------------------------------------------

    def begin_night(self, night: Night, planned: Sequence[PlannedCell]) -> None:
        """Insert a night and its plan; what the history already has of both stays as it is.

        The rows of the cells themselves are updated.
        """
        with self._transaction(writes=True) as connection:
            new = sqlite.insert(tables.NIGHTS).on_conflict_do_nothing()
            connection.execute(new, asdict(night))
            for one in planned:
                _keep_cell(connection, one.cell)
                values = {**asdict(one), "night": night.id, "cell": one.cell.id}
                connection.execute(sqlite.insert(tables.PLANNED).on_conflict_do_nothing(), values)

    def leave_out(self, night_id: str, cell_id: str, reason: str) -> None:
        """Store the reason why a planned cell is not run in this night after all."""
        here = (tables.PLANNED.c.night == night_id) & (tables.PLANNED.c.cell == cell_id)
        with self._transaction(writes=True) as connection:
            connection.execute(update(tables.PLANNED).where(here).values(left_out=reason))

    def start(self, start: Start) -> None:
        """Store that a cell's process is about to be started; the caller starts it next."""
        with self._transaction(writes=True) as connection:
            connection.execute(insert(tables.STARTS), asdict(start))

    def forget_start(self, run_id: str) -> None:
        """Delete the stored start of a run that the user interrupted; it is not counted."""
        with self._transaction(writes=True) as connection:
            connection.execute(delete(tables.STARTS).where(tables.STARTS.c.run_id == run_id))

    def record(self, result: CellResult, cell: Cell | None = None) -> bool:
        """Store a cell's result with its tests, crashes and warnings; return False if it exists.

        There is one result for each night, cell and attempt, and one for each run; a second one is
        not stored. A first result (attempt 0) replaces the placeholder that `elsewhere.merge`
        stores for a result that has not arrived. `cell` is needed only for a cell that no stored
        plan contains.
        """
        missing = tables.RESULTS.c.run_id == missing_run(result.night, result.cell)
        with self._transaction(writes=True) as connection:
            if cell is not None:
                _keep_cell(connection, cell)
            if result.attempt == 0 and result.run_id != missing_run(result.night, result.cell):
                connection.execute(delete(tables.RESULTS).where(missing))
            query = sqlite.insert(tables.RESULTS).values(rows.of_result(result))
            added = connection.execute(
                query.on_conflict_do_nothing().returning(tables.RESULTS.c.id)
            ).scalar_one_or_none()
            if added is None:
                return False
            tests = _test_numbers(connection, result.tests)
            for table, values in rows.parts(result, added, tests):
                if values:
                    connection.execute(insert(table), values)
        return True

    def end_night(self, night_id: str, ended_at: str) -> None:
        """Store the time at which a night ended."""
        with self._transaction(writes=True) as connection:
            here = tables.NIGHTS.c.id == night_id
            connection.execute(update(tables.NIGHTS).where(here).values(ended_at=ended_at))

    def keep_bisection(self, answer: Bisected) -> None:
        """Store the answer of a bisection; it replaces an earlier answer for the same finding."""
        values = {**asdict(answer), "steps": json.dumps(answer.steps)}
        query = sqlite.insert(tables.BISECTIONS).values(values)
        with self._transaction(writes=True) as connection:
            connection.execute(query.on_conflict_do_update(index_elements=["key"], set_=values))

    # --- transactions ---------------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, writes: bool = False) -> Iterator[Connection]:
        options = self.engine.execution_options(writes=writes)
        with options.begin() as connection:
            yield connection

    def _rows(self, query: Any) -> list[dict[str, Any]]:
        with self._transaction() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]


def _keep_cell(connection: Connection, cell: Cell) -> None:
    """Insert a cell's row, or update it when the cell was changed since another night."""
    values = rows.of_cell(cell)
    query = sqlite.insert(tables.CELLS).values(values)
    connection.execute(query.on_conflict_do_update(index_elements=["id"], set_=values))


def _test_numbers(connection: Connection, tests: Sequence[TestResult]) -> list[int]:
    """Return the primary keys of tests in the order given; a test without a row gets one."""
    names = [{"suite": one.suite, "name": one.name} for one in tests]
    if not names:
        return []
    connection.execute(sqlite.insert(tables.TESTS).on_conflict_do_nothing(), names)
    suites = {one.suite for one in tests}
    query = select(tables.TESTS).where(tables.TESTS.c.suite.in_(suites))
    known = {(row.suite, row.name): row.id for row in connection.execute(query)}
    return [known[one.suite, one.name] for one in tests]


def _prepare_connection(connection: Any, _record: object) -> None:
    # The driver begins no transaction by itself then: `_begin` does.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # Readers do not wait for a worker that writes, nor it for them.
    connection.execute("PRAGMA journal_mode = WAL")


def _begin(connection: Connection) -> None:
    """Begin a transaction.

    One that writes takes SQLite's write lock now, so it need not wait for the lock later.
    """
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine, file: Path) -> None:
    """Migrate a history file to the present schema, in one transaction.

    Raises: UsageError for a file of a later schema.
    """
    # Usually nothing has to be done, and then the write lock is not taken.
    with engine.begin() as connection:
        if _version(connection, file) == len(MIGRATIONS):
            return
    with engine.execution_options(writes=True).begin() as connection:
        # Another process may have done it since.
        for step in MIGRATIONS[_version(connection, file) :]:
            for statement in step:
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _version(connection: Connection, file: Path) -> int:
    version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if version > len(MIGRATIONS):
        raise UsageError(
            f"{file} has schema {version}; this harness knows the schemas up to {len(MIGRATIONS)}",
            hint="use the harness that wrote it, or a later one",
        )
    return version
