# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.run_state: a run's report contains what every guest of the run reported."""

import json
from pathlib import Path

import pytest

from harness.errors import GuestLost, RunInterrupted
from harness.model.guest_history import GuestHistory, TestMark
from harness.model.provenance import Provenance
from harness.model.settings import Accel, TestResult, Verdict
from harness.panic.values import KernelReport
from harness.report.live_view import PlainView
from harness.runs.ledger import SuiteOutcome
from harness.runs.run_state import RunRecord
from tests.unit.crashes import report

PASSED = TestResult(name="t::one", verdict=Verdict.PASSED)


def record(folder: Path) -> RunRecord:
    """Return the record of a run in which one test has passed and the guest saw no fault."""
    found = RunRecord(
        run_id="run-1",
        target="one",
        folder=folder,
        view=PlainView(),
        accel=Accel.KVM,
        factor=2.0,
        provenance=Provenance(commit="abc"),
        outcome=SuiteOutcome(results=(PASSED,)),
        guest_word="",
    )
    (folder / "console.log").write_text("boot\nbegin\n")
    return found


def guest(*reports: KernelReport, objection: str = "", beats: int = 7) -> GuestHistory:
    """Return the stored facts of a guest that has ended."""
    return GuestHistory(
        accel=Accel.TCG,
        factor=4.0,
        reports=reports,
        marks=(TestMark(line=1, test="t::one", begins=True),),
        line_count=2,
        beats=beats,
        planted_seen=True,
        objection=objection,
    )


def test_equal_kernel_reports_of_two_guests_count_as_two(tmp_path: Path) -> None:
    """Equal kernel reports of two guests count twice, because the event occurred twice."""
    warning = report(kind="warning", fatal=False, test="")
    run = record(tmp_path)
    run.keep(guest(warning))
    run.keep(guest(warning))

    found = run.finish(None)

    assert found.reports == (warning, warning)
    assert found.verdict is Verdict.FAILED


def test_an_interrupted_run_writes_its_report(tmp_path: Path) -> None:
    """After Ctrl-C within a suite, report.json has the results so far."""
    run = record(tmp_path)

    with pytest.raises(RunInterrupted) as caught, run.reporting_interrupts():
        run.add(TestResult(name="t::two", verdict=Verdict.FAILED, reason="no"))
        raise KeyboardInterrupt

    written = json.loads((tmp_path / "report.json").read_text())
    assert written["verdict"] == "lost"
    assert [one["name"] for one in written["results"]] == ["t::one", "t::two"]
    assert caught.value.summary[-1] == "verdict: lost (the run was interrupted)"


def test_the_run_verdict_ignores_what_libvirt_reported_about_an_earlier_guest(
    tmp_path: Path,
) -> None:
    """A guest that crashed and was replaced has its own crash; the last one decides the rest."""
    run = record(tmp_path)
    run.keep(guest(objection="libvirt reported that the guest was crashed", beats=1))
    run.keep(guest())

    found = run.finish(None)

    assert found.verdict is Verdict.PASSED
    assert found.witnesses == {
        "guest": "reported a clean log",
        "console": "2 lines, 7 heartbeats, planted line seen",
        "libvirt": "no event",
    }
    assert (found.accel, found.deadline_factor) == (Accel.TCG, 4.0)
    assert found.provenance.commit == "abc"
    logs = sorted(path.name for path in (tmp_path / "kernel-log").iterdir())
    assert logs == ["000-start.log", "001-t::one.log"]


def test_a_run_whose_guest_was_stopped_according_to_libvirt_has_crashed(tmp_path: Path) -> None:
    """A run whose tests all passed has crashed if libvirt reported that its guest stopped."""
    run = record(tmp_path)
    run.keep(guest(objection="libvirt reported that the guest was stopped"))

    assert run.finish(None).verdict is Verdict.CRASHED


def test_a_run_without_a_guest_is_lost(tmp_path: Path) -> None:
    """A run without a guest is lost, because nothing was observed."""
    found = record(tmp_path).finish(None)

    assert (found.verdict, found.witnesses) == (Verdict.LOST, {})
    assert "no guest ran" in found.reason
    assert not (tmp_path / "kernel-log").exists()


def test_a_run_without_a_guest_reports_the_accelerator_that_it_would_have_used(
    tmp_path: Path,
) -> None:
    """If GuestLost ends a run before any guest, its report has the record's KVM and factor."""
    found = record(tmp_path).finish(GuestLost("no answer"))

    assert (found.accel, found.deadline_factor) == (Accel.KVM, 2.0)
