# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.history: equal crashes of several runs form one group."""

import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model.provenance import Provenance
from harness.model.settings import TestResult, Verdict
from harness.report import history, run_report
from tests.unit.crashes import crash, report_of


def stored(runs: Path) -> None:
    """Write three runs: two with the same crash, and one with another."""
    other = crash(signature="ba9876543210", title="WARNING in osq_other", test="")
    for name, at, crashes in (
        ("run-1", "2026-11-23T10:00:00+00:00", (crash(),)),
        ("run-2", "2026-11-24T10:00:00+00:00", (crash(),)),
        ("run-3", "2026-11-25T10:00:00+00:00", (other,)),
    ):
        folder = runs / name
        folder.mkdir(parents=True)
        run_report.write(report_of(folder, started_at=at, crashes=crashes))


def test_a_crash_that_two_runs_have_is_one_group_in_the_history(tmp_path: Path) -> None:
    """Runs' crashes with one signature are one group with count, first and last run."""
    stored(tmp_path)

    latest, twice = history.grouped(tuple(history.runs(tmp_path)))

    assert (latest.signature, latest.count) == ("ba9876543210", 1)
    assert (twice.signature, twice.count) == ("0123456789ab", 2)
    assert twice.first_at.startswith("2026-11-23")
    assert twice.last_at.startswith("2026-11-24")
    assert twice.last_run.run_id == "run-2"
    assert "2 x" in history.rows((twice,))[0]


def test_a_folder_with_an_unreadable_report_is_skipped(tmp_path: Path) -> None:
    """One damaged report.json does not keep the history from finding the other runs."""
    stored(tmp_path)
    (tmp_path / "run-4").mkdir()
    (tmp_path / "run-4" / "report.json").write_text("{")

    assert [one.run_id for one in history.runs(tmp_path)] == ["run-1", "run-2", "run-3"]


def test_a_crash_is_found_by_the_beginning_of_its_signature(tmp_path: Path) -> None:
    """A start that fits no or several crashes of the earlier runs is an error."""
    stored(tmp_path)

    assert history.find(tmp_path, "0123").signature == "0123456789ab"
    for wrong in ("ffff", ""):
        with pytest.raises(UsageError, match="ba9876543210"):
            history.find(tmp_path, wrong)


def ran(
    runs: Path,
    number: int,
    expression: str,
    ended: Verdict = Verdict.FAILED,
    /,
    **verdicts: Verdict,
) -> None:
    """Write the report of run `number` with these results, made that many seconds after others."""
    folder = runs / f"run-{number}"
    folder.mkdir(parents=True)
    results = tuple(
        TestResult(name=f"t::{name}", suite="guest", verdict=verdict)
        for name, verdict in verdicts.items()
    )
    provenance = Provenance(expression=expression)
    report = report_of(folder, results=results, crashes=(), provenance=provenance, verdict=ended)
    run_report.write(report)
    os.utime(folder / "report.json", (number, number))


def test_a_test_that_passed_in_a_later_run_does_not_count_as_failed_last(tmp_path: Path) -> None:
    """A failed test is no longer listed once a later run of it alone has passed."""
    ran(tmp_path, 1, "", gone=Verdict.FAILED)
    ran(tmp_path, 2, "", one=Verdict.FAILED, two=Verdict.CRASHED, three=Verdict.PASSED)
    ran(tmp_path, 3, "one", one=Verdict.PASSED)
    ran(tmp_path, 4, "")

    found = history.failing(tmp_path, lambda _report: True)

    assert [(result.suite, result.name) for result in found] == [("guest", "t::two")]


def test_a_pass_in_a_run_that_the_filter_rejects_leaves_the_test_among_the_failing_ones(
    tmp_path: Path,
) -> None:
    """Runs of another target, for example, are ignored when failing tests are listed."""
    ran(tmp_path, 1, "", one=Verdict.LOST)
    ran(tmp_path, 2, "", one=Verdict.PASSED)

    found = history.failing(tmp_path, lambda report: report.run_id != "run-2")

    assert [test.name for test in found] == ["t::one"]


def test_a_test_not_reached_by_an_interrupted_run_keeps_its_failure_from_an_older_run(
    tmp_path: Path,
) -> None:
    """The list of failing tests has tests that an interrupted later run has not reached."""
    ran(tmp_path, 1, "", one=Verdict.PASSED, two=Verdict.FAILED)
    ran(tmp_path, 2, "", Verdict.LOST, one=Verdict.PASSED)

    found = history.failing(tmp_path, lambda _report: True)

    assert [test.name for test in found] == ["t::two"]


def test_the_latest_run_in_which_a_test_failed_is_found_or_the_test_is_named(
    tmp_path: Path,
) -> None:
    """The latest run in which a given test failed is found; without one it is a UsageError."""
    stored(tmp_path)

    assert history.failed_run(tmp_path, "t::one").run_id == "run-3"
    with pytest.raises(UsageError, match="the test t::none has failed in no run"):
        history.failed_run(tmp_path, "t::none")
