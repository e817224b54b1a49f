# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.night, results and old_runs: from the plan of a night to its files."""

import html
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kcidb_io.schema.v05_03 import Version

from harness.errors import UsageError
from harness.model.machines import MachineChange
from harness.model.nights import CellSpec, MatrixSpec
from harness.model.provenance import Provenance
from harness.model.settings import Accel, RunReport, StageResult, TestResult, Verdict
from harness.nightly import cells, night, old_runs, plan, plan_file, results
from harness.nightly.database import History, open_history
from harness.nightly.night import NightRequest
from harness.nightly.results import Attempt
from harness.nightly.room import Room
from harness.report import run_report
from tests.unit.nightly.nights import CELL, CRASH, NIGHT, PLANNED, REPORT, RESULT
from tests.unit.nightly.projects import MATRIX, settings

HOST = Room(cores=2, memory_mib=8192)
FULL = NightRequest(form="full", budget_s=36000.0)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """Give an empty history."""
    with open_history(tmp_path / "h.db") as opened:
        yield opened


def report(folder: Path, **fields: object) -> RunReport:
    """Return the report of a run of all tests on the target 'small', and write it."""
    base = RunReport(
        run_id=folder.name,
        target="small",
        verdict=Verdict.PASSED,
        reason="1 tests passed",
        accel=Accel.KVM,
        deadline_factor=1.0,
        started_at="2026-01-02T03:04:05+00:00",
        duration_s=60.0,
        folder=folder,
        stages=(StageResult(name="guest", duration_s=12.5),),
        results=(TestResult(name="test_open", suite="guest", verdict=Verdict.PASSED),),
        provenance=Provenance(commit="abc", kernel="6.1", kernel_release="6.1.0-49"),
        facts={"guest": "booted"},
    )
    whole = replace(base, **fields)  # type: ignore[arg-type]
    folder.mkdir(parents=True)
    run_report.write(whole)
    return whole


def test_the_result_of_a_report_has_its_tests_crashes_and_measures(tmp_path: Path) -> None:
    """A run's report becomes a night's result; a kernel report outside a crash is a warning."""
    folder = tmp_path / "run-1"
    (folder / "modules").mkdir(parents=True)
    (folder / "modules" / "greeter.stripped.ko").write_bytes(b"x" * 100)
    (folder / "modules" / "greeter.ko").write_bytes(b"x" * 900)
    whole = replace(
        report(tmp_path / "elsewhere"),
        folder=folder,
        crashes=(CRASH,),
        reports=(REPORT, replace(REPORT, line=90, title="another")),
    )

    found = results.of_report(whole, Attempt(night="n", cell="c", starts=2))

    assert found.crashes == (CRASH,)
    assert [one.title for one in found.warnings] == ["another"]
    assert found.measures == {"stage_guest_s": 12.5, "boot_s": 12.5, "module_bytes": 100.0}
    assert (found.verdict, found.starts, found.commit) == (Verdict.PASSED, 2, "abc")


@pytest.mark.parametrize(
    ("facts", "name"), [({"guest": "booted"}, "boot_s"), ({"guest": "restored"}, "restore_s")]
)
def test_the_time_of_the_guest_is_that_of_its_boot_or_of_its_restoration(
    tmp_path: Path, facts: dict[str, str], name: str
) -> None:
    """A night's result measures a guest's boot apart from its restoration from a snapshot."""
    found = results.of_report(report(tmp_path / "r", facts=facts), Attempt(night="n", cell="c"))

    assert found.measures == {"stage_guest_s": 12.5, name: 12.5}


def test_a_guest_that_never_answered_has_no_time_of_its_boot(tmp_path: Path) -> None:
    """A night's result of a lost run has no boot time, which would distort the comparison."""
    lost = report(tmp_path / "r", facts={}, verdict=Verdict.LOST)

    assert results.of_report(lost, Attempt(night="n", cell="c")).measures == {
        "stage_guest_s": 12.5
    }


def test_a_lost_report_is_not_taken_for_the_result_of_a_killed_cell(tmp_path: Path) -> None:
    """A killed run of a night counts if its report has a verdict, not if it was interrupted."""
    report(tmp_path / "done", verdict=Verdict.FAILED)
    report(tmp_path / "interrupted", verdict=Verdict.LOST)

    assert results.finished_report(tmp_path / "done") is not None
    assert results.finished_report(tmp_path / "interrupted") is None
    assert results.finished_report(tmp_path / "missing") is None


def test_a_night_without_cells_is_an_error_that_names_the_table(
    tmp_path: Path, history: History
) -> None:
    """A short night without the table [tool.harness.nightly.short] is a UsageError."""
    with pytest.raises(UsageError, match="short night has no cells") as caught:
        night.planned(settings(tmp_path), history, replace(FULL, form="short"), HOST)
    assert "[tool.harness.nightly.short]" in caught.value.hint


def test_an_interrupted_night_is_found_and_a_new_night_takes_over_its_cells(
    tmp_path: Path, history: History
) -> None:
    """What an interrupted night has not run (target, kernel, tests) comes first in the next."""
    config = settings(tmp_path, MatrixSpec(targets=("small",), kernels=("6.1", "6.12")))
    chosen = night.planned(config, history, FULL, HOST)
    first = night.begin(config, history, "full", chosen)
    history.record(replace(RESULT, night=first.id, cell=chosen[0].cell.id, duration_s=999.0))
    assert night.unfinished(history) == first

    second = night.begin(config, history, "full", ())
    left = [one for one in history.planned(first.id) if one.left_out]
    again = night.planned(config, history, FULL, HOST)

    assert history.night(first.id).ended_at
    assert [one.cell for one in left] == [chosen[1].cell]
    assert [one.cell for one in again] == [chosen[1].cell, chosen[0].cell]
    history.end_night(second.id, "2026")
    with pytest.raises(UsageError, match="has ended"):
        night.unfinished(history)


def test_the_plan_as_json_has_independent_commands(tmp_path: Path, history: History) -> None:
    """The night's plan has each cell's arguments, so that another program can run it."""
    chosen = night.planned(settings(tmp_path), history, FULL, HOST)

    config = settings(tmp_path)
    begun = night.new(config, "full")
    written = plan_file.of_night(config, begun, chosen, budget_s=9.0)

    found = json.loads(plan_file.text(written))
    assert (found["schema"], found["form"], len(found["cells"])) == (1, "full", 17)
    assert found["night"]["id"] == begun.id
    build = next(one for one in found["cells"] if one["kind"] == "build")
    assert build["command"] == ["kernel-build", "--kernel=arm"]
    assert build["expected_s"] == 600.0
    assert len({tuple(one["command"]) for one in found["cells"]}) == 17
    assert night.plan_rows(chosen)[-1] == "17 cells, 170 min of work"
    assert night.plan_rows(()) == ("no cell is to be run",)


def test_the_files_of_a_night_have_every_cell_and_what_was_left_out(
    tmp_path: Path, history: History
) -> None:
    """The HTML page names cells that did not run; KCIDB's own schema accepts the JSON file."""
    out = replace(
        PLANNED, cell=replace(CELL, kernel="6.12"), position=1, left_out=plan.OVER_BUDGET
    )
    history.begin_night(NIGHT, (PLANNED, out))
    history.record(RESULT)
    history.record(replace(RESULT, attempt=1, run_id="again"))

    page, *_, junit, exchange = night.write_files(settings(tmp_path), history, NIGHT.id)

    text = html.unescape(page.read_text())
    assert CELL.id in text
    assert f"{out.cell.id}: {plan.OVER_BUDGET}" in text
    assert junit.read_text().count("<testsuite ") == 1
    data = json.loads(exchange.read_text())
    Version.validate_exactly(data)
    assert len(data["builds"]) == 2
    assert len(data["issues"]) == 1
    assert night.exit_code(history, NIGHT.id) == 3


def test_kcidb_would_refuse_a_file_with_a_wrong_key(tmp_path: Path, history: History) -> None:
    """KCIDB's schema refuses a test with the unknown key 'verdict': the schema test can fail."""
    history.begin_night(NIGHT, (PLANNED,))
    history.record(RESULT)
    *_, exchange = night.write_files(settings(tmp_path), history, NIGHT.id)

    data = json.loads(exchange.read_text())
    data["tests"][0]["verdict"] = "PASS"

    assert not Version.is_valid_exactly(data)


def test_a_night_without_a_result_is_lost(history: History) -> None:
    """The exit code of a night in which no cell ran is 4."""
    history.begin_night(NIGHT, (PLANNED,))

    assert night.exit_code(history, NIGHT.id) == 4


def test_old_runs_of_cells_are_taken_into_the_history_once(
    tmp_path: Path, history: History
) -> None:
    """The option --import-runs makes nights of earlier runs by date, not of single tests."""
    runs = tmp_path / "runs"
    known = Provenance(kernel="6.1", commit="abc")
    report(runs / "a")
    report(runs / "b", started_at="2026-01-02T13:00:00+00:00", verdict=Verdict.FAILED)
    report(
        runs / "c",
        started_at="2026-01-03T01:00:00+00:00",
        provenance=replace(known, machine=MachineChange(append="slub_debug=FZP")),
    )
    report(runs / "d", provenance=replace(known, tests=("test_open",)))
    report(runs / "e", provenance=replace(known, command="true"))
    report(runs / "f", provenance=replace(known, machine=MachineChange(vcpus=1)))
    report(runs / "g", target="arm", provenance=replace(known, kernel="arm"))

    said = tuple(old_runs.take_in(settings(tmp_path), history, runs))
    again = tuple(old_runs.take_in(settings(tmp_path), history, runs))

    assert sum("skipped" in line for line in said) == 3
    assert sum("in the history already" in line for line in again) == 4
    assert [one.id for one in history.nights()] == ["20260102-000000-old", "20260103-000000-old"]
    points = history.cell_points(["20260102-000000-old", "20260103-000000-old"])
    assert [(one.cell, one.attempt, one.verdict.value) for one in points] == [
        ("test/small/6.1/plain/x86_64/all/greeter", 0, "passed"),
        ("build/arm/arm64/greeter", 0, "passed"),
        ("test/small/6.1/plain/x86_64/all/greeter", 1, "failed"),
        ("test/small/6.1/slub/x86_64/all/greeter", 0, "passed"),
    ]


def test_what_is_planned_may_be_chosen_by_name_and_by_the_last_verdict(
    tmp_path: Path, history: History
) -> None:
    """A night plans the one failed build with --rerun-failed, 8 cells with --cells */large/*."""
    config = settings(tmp_path, replace(MATRIX, include=(CellSpec(target="small"),)))
    history.begin_night(NIGHT, ())
    build = cells.build_cell(config, "arm")
    history.record(replace(RESULT, cell=build.id), build)

    failed = night.planned(config, history, replace(FULL, only_failed=True), HOST)
    named = night.planned(config, history, replace(FULL, patterns=("*/large/*",)), HOST)

    assert [one.cell for one in failed] == [build]
    assert len(named) == 8
