# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert the values of a night into rows of the nightly history's SQLite tables, and back.

Crashes and reports of the kernel are stored whole, as JSON, so that a page can show them after the
folders of their runs have gone.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter
from sqlalchemy import Connection, Table, select

from harness.model.crash import Crash
from harness.model.settings import Accel, TestResult, Verdict
from harness.nightly import tables
from harness.nightly.judge.nights import LostTry
from harness.nightly.values import Cell, CellKind, CellPoint, CellResult
from harness.panic.values import KernelReport

Row = Mapping[str, Any]

_CRASH = TypeAdapter(Crash)
_WARNING = TypeAdapter(KernelReport)
_CELL_KEYS = tuple(field.name for field in fields(Cell))
# The columns of a result whose type in Python is that of the file.
_AS_THEY_ARE = (
    *("night", "cell", "attempt", "run_id", "reason", "started_at", "duration_s", "starts"),
    *("commit", "tree_changed", "kernel_release", "kernel_version", "command", "hint", "worker"),
)
_POINT_KEYS = (
    *("night", "cell", "attempt", "reason", "duration_s", "commit", "tree_changed"),
    *("kernel_release", "kernel_version"),
)


@dataclass(frozen=True, kw_only=True)
class Details:
    """The rows of tests, crashes, warnings and measures, keyed by the id of their result."""

    tests: Mapping[int, Sequence[Row]]
    crashes: Mapping[int, Sequence[Row]]
    warnings: Mapping[int, Sequence[Row]]
    measures: Mapping[int, Sequence[Row]]

    @classmethod
    def read(cls, connection: Connection, night_ids: Sequence[str], *, tests: bool) -> Self:
        """Return the detail rows of all results of these nights; `tests`: with those of tests."""
        crashes, warnings = tables.CRASHES, tables.WARNINGS
        return cls(
            tests=_tests(connection, night_ids) if tests else {},
            crashes=_by_result(connection, crashes, crashes.c.number, night_ids),
            warnings=_by_result(connection, warnings, warnings.c.position, night_ids),
            measures=_by_result(connection, tables.MEASURES, tables.MEASURES.c.name, night_ids),
        )


def results(connection: Connection, night_ids: Sequence[str]) -> list[Row]:
    """Return the rows of the table of results for these nights, in order of time."""
    here = tables.RESULTS.c.night.in_(night_ids)
    order = (tables.RESULTS.c.night, tables.RESULTS.c.started_at, tables.RESULTS.c.id)
    query = select(tables.RESULTS).where(here).order_by(*order)
    return [dict(row) for row in connection.execute(query).mappings()]


def _of_nights(night_ids: Sequence[str]) -> Any:
    return select(tables.RESULTS.c.id).where(tables.RESULTS.c.night.in_(night_ids))


def _by_result(
    connection: Connection, table: Table, order: Any, night_ids: Sequence[str]
) -> Mapping[int, Sequence[Row]]:
    query = select(table).where(table.c.result.in_(_of_nights(night_ids))).order_by(order)
    return _grouped(connection, query)


def _tests(connection: Connection, night_ids: Sequence[str]) -> Mapping[int, Sequence[Row]]:
    each, names = tables.TEST_RESULTS.c, tables.TESTS.c
    query = (
        select(tables.TEST_RESULTS, names.suite, names.name)
        .join(tables.TESTS, names.id == each.test)
        .where(each.result.in_(_of_nights(night_ids)))
        .order_by(each.position)
    )
    return _grouped(connection, query)


def _grouped(connection: Connection, query: Any) -> Mapping[int, Sequence[Row]]:
    found: defaultdict[int, list[Row]] = defaultdict(list)
    for row in connection.execute(query).mappings():
        found[row["result"]].append(dict(row))
    return found


# --- from rows to values -------------------------------------------------------------------------


def cell(row: Row) -> Cell:
    """Return the `Cell` that a row of the table of cells stores."""
    values = {name: row[name] for name in _CELL_KEYS}
    return Cell(**{**values, "kind": CellKind(row["kind"])})


def result(row: Row, details: Details) -> CellResult:
    """Return the `CellResult` that a row of the table of results and its detail rows store."""
    number = row["id"]
    return CellResult(
        **{name: row[name] for name in _AS_THEY_ARE},
        verdict=Verdict(row["verdict"]),
        accel=Accel(row["accel"]),
        folder=Path(row["folder"]),
        log=Path(row["log"]),
        evidence=tuple(json.loads(row["evidence"])),
        tests=tuple(_test(one) for one in details.tests.get(number, ())),
        crashes=tuple(
            _CRASH.validate_json(one["details"]) for one in details.crashes.get(number, ())
        ),
        warnings=tuple(
            _WARNING.validate_json(one["details"]) for one in details.warnings.get(number, ())
        ),
        measures=_measures(number, details),
        lost_tries=tuple(LostTry(**one) for one in json.loads(row["lost_tries"])),
    )


def cell_point(row: Row, details: Details) -> CellPoint:
    """Return a row of the table of results as a `CellPoint`, which has no tests."""
    number = row["id"]
    return CellPoint(
        **{name: row[name] for name in _POINT_KEYS},
        verdict=Verdict(row["verdict"]),
        warnings=tuple(one["title"] for one in details.warnings.get(number, ())),
        signatures=tuple(one["signature"] for one in details.crashes.get(number, ())),
        measures=_measures(number, details),
    )


def _measures(number: int, details: Details) -> dict[str, float]:
    return {one["name"]: one["value"] for one in details.measures.get(number, ())}


def _test(row: Row) -> TestResult:
    return TestResult(
        name=row["name"],
        suite=row["suite"],
        verdict=Verdict(row["verdict"]),
        duration_s=row["duration_s"],
        reason=row["reason"],
        diagnostics=tuple(json.loads(row["diagnostics"])),
    )


# --- from values to rows -------------------------------------------------------------------------


def of_cell(one: Cell) -> dict[str, Any]:
    """Return the row that stores a cell."""
    values = {name: getattr(one, name) for name in _CELL_KEYS}
    return {**values, "id": one.id, "kind": one.kind.value}


def of_result(one: CellResult) -> dict[str, Any]:
    """Return the row that stores a result, without its tests, crashes, warnings and measures."""
    return {
        **{name: getattr(one, name) for name in _AS_THEY_ARE},
        "verdict": one.verdict.value,
        "accel": one.accel.value,
        "folder": str(one.folder),
        "log": str(one.log),
        "evidence": json.dumps(one.evidence),
        "lost_tries": json.dumps([asdict(lost) for lost in one.lost_tries]),
    }


def parts(
    one: CellResult, number: int, tests: Sequence[int]
) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield the rows of a result's tests, crashes, warnings and measures, table by table.

    `number` is the id of the result's row, and `tests` are the ids of its tests' rows, in order.
    """
    pairs = enumerate(zip(one.tests, tests, strict=True))
    yield tables.TEST_RESULTS, [_of_test(number, at, key, test) for at, (test, key) in pairs]
    yield tables.CRASHES, [_of_crash(number, at, crash) for at, crash in enumerate(one.crashes)]
    yield (
        tables.WARNINGS,
        [
            {
                "result": number,
                "position": position,
                "title": found.title,
                "details": _WARNING.dump_json(found).decode(),
            }
            for position, found in enumerate(one.warnings)
        ],
    )
    yield (
        tables.MEASURES,
        [{"result": number, "name": name, "value": at} for name, at in one.measures.items()],
    )


def _of_test(number: int, position: int, test: int, found: TestResult) -> dict[str, Any]:
    bad = found.verdict not in {Verdict.PASSED, Verdict.SKIPPED}
    return {
        "result": number,
        "position": position,
        "test": test,
        "verdict": found.verdict.value,
        "duration_s": found.duration_s,
        "reason": found.reason,
        # The lines of a test that passed are in its run's folder.
        "diagnostics": json.dumps(found.diagnostics if bad else ()),
    }


def _of_crash(number: int, position: int, crash: Crash) -> dict[str, Any]:
    return {
        "result": number,
        "number": position,
        "signature": crash.signature,
        "title": crash.title,
        "test": crash.test,
        "details": _CRASH.dump_json(crash).decode(),
    }
