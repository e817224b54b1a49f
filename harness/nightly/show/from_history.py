# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read nights from the history database into the values that the judge and the page take."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from harness.errors import UsageError
from harness.model.nights import PLAIN
from harness.model.settings import TestResult, Verdict
from harness.nightly import values
from harness.nightly.database import History
from harness.nightly.judge.judge import judge
from harness.nightly.judge.nights import BAD, CellOnce, CrashOnce, LostTry, Night, TestOnce
from harness.nightly.show import evidence
from harness.nightly.show.morning import Morning

# How many nights are judged and shown, unless the caller wants others.
NIGHTS = 60
# The stages of a run before its first test, in their order.
_STAGES = ("kernel", "build", "guest", "load")
_RESTARTED = LostTry(worker="", reason="its first start did not finish, so it was started again")


def morning(
    history: History, *, project: str, last: int = NIGHTS, night_id: str = "", address: str = ""
) -> Morning:
    """Return what the report of the latest night, or of `night_id`, is written from.

    `last` is the number of nights up to it that are judged and shown. `address` is where the page
    can be read later.
    Raises: UsageError when there is no night, or none of this id.
    """
    found = [night for night in history.nights() if not night_id or night.id <= night_id]
    if not found or (night_id and found[-1].id != night_id):
        raise UsageError(
            f"the history has no night {night_id}".rstrip(),
            hint="`nightly` runs one, and `nightly --import-runs` takes in old runs",
        )
    cells = history.cells()
    nights = [_night(history, night, cells) for night in found[-last:]]
    explained = {
        result.cell: evidence.of_result(result, cells[result.cell])
        for result in history.results(found[-1].id)
        if result.attempt == 0
    }
    shown = tuple(replace(one, evidence=explained[one.cell]) for one in nights[-1].cells)
    nights[-1] = replace(nights[-1], cells=shown)
    return Morning(
        project=project,
        made_at=datetime.now(UTC).isoformat("T", "seconds"),
        nights=tuple(nights),
        judgements=judge(nights),
        bisected=history.bisections(),
        address=address,
    )


def _night(history: History, night: values.Night, cells: dict[str, values.Cell]) -> Night:
    results = history.results(night.id)
    first = [one for one in results if one.attempt == 0]
    again = [one for one in results if one.attempt > 0]
    if len({one.worker for one in first}) == 1:
        # Nobody needs the name of the only worker beside each cell.
        first = [replace(one, worker="") for one in first]
    ends = [night.ended_at] if night.ended_at else [one.started_at for one in results]
    return Night(
        name=night.started_at[:16].replace("T", " "),
        started_at=night.started_at,
        duration_s=_seconds(night.started_at, max(ends, default=night.started_at)),
        cells=tuple(_cell(one, cells[one.cell], again) for one in first),
        left_over=tuple(
            f"{one.cell.id}: {one.left_out}" for one in history.planned(night.id) if one.left_out
        ),
    )


def _seconds(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def _cell(
    result: values.CellResult, cell: values.Cell, again: Sequence[values.CellResult]
) -> CellOnce:
    reruns = [one.tests for one in again if one.cell == result.cell]
    plain = cell.flavour == PLAIN
    return CellOnce(
        cell=result.cell,
        target=cell.target or cell.kind.value,
        architecture=cell.arch,
        flavour="" if plain else cell.flavour,
        kernel=cell.kernel if plain else f"{cell.kernel} {cell.flavour}",
        kernel_version=result.kernel_version,
        test_set=cell.tests,
        commit=result.commit,
        verdict=result.verdict,
        reason=result.reason,
        ended_in=_ended_in(result, cell),
        worker=result.worker,
        run=result.run_id,
        duration_s=result.duration_s,
        boot_s=result.measures.get("boot_s"),
        coverage_percent=result.measures.get("coverage_percent"),
        tests=tuple(_test(one, reruns) for one in result.tests),
        crashes=tuple(
            CrashOnce(signature=one.signature, title=one.title, test=one.test)
            for one in result.crashes
        ),
        warnings=tuple(dict.fromkeys(one.title for one in result.warnings)),
        lost_tries=(*result.lost_tries, *((_RESTARTED,) if result.starts > 1 else ())),
    )


def _ended_in(result: values.CellResult, cell: values.Cell) -> str:
    """Return the last stage that a failed cell without test results reached, "" for others."""
    if result.tests or result.verdict not in BAD:
        return ""
    if cell.kind is values.CellKind.BUILD:
        return "build"
    reached = [stage for stage in _STAGES if f"stage_{stage}_s" in result.measures]
    return reached[-1] if reached else ""


def _test(test: TestResult, reruns: Iterable[Sequence[TestResult]]) -> TestOnce:
    verdicts = (one.verdict for tests in reruns for one in tests if _is_same(one, test))
    return TestOnce(
        suite=test.suite,
        name=test.name,
        verdict=test.verdict,
        duration_s=test.duration_s,
        reason=test.reason,
        # A rerun that was lost or skipped proves nothing.
        reruns=tuple(one for one in verdicts if one is Verdict.PASSED or one in BAD),
    )


def _is_same(one: TestResult, other: TestResult) -> bool:
    return (one.suite, one.name) == (other.suite, other.name)
