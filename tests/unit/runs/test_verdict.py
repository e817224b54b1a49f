# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.verdict: a run needs every witness to pass, and the worst one decides."""

from dataclasses import replace

import pytest

from harness.errors import BuildError, GuestHung, GuestLost, HarnessError
from harness.model.settings import TestResult, Verdict
from harness.panic.values import KernelReport
from harness.runs.verdict import Evidence, decide

PASSED = TestResult(name="one", verdict=Verdict.PASSED)
CLEAN = Evidence(results=(PASSED,), reports=(), guest_word="", console_word="", libvirt_word="")
WARNING = KernelReport(kind="warning", title="WARNING in f", line=3, text=("WARNING",))


def test_a_run_passes_if_results_kernel_log_console_and_libvirt_are_all_clean() -> None:
    """A run passes if nothing speaks against it; its reason has the number of tests."""
    assert decide(CLEAN) == (Verdict.PASSED, "1 tests passed, kernel log clean")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"results": ()}, Verdict.LOST),
        ({"results": (replace(PASSED, verdict=Verdict.SKIPPED),)}, Verdict.LOST),
        ({"results": (PASSED, replace(PASSED, verdict=Verdict.FAILED))}, Verdict.FAILED),
        ({"results": (PASSED, replace(PASSED, verdict=Verdict.LOST))}, Verdict.LOST),
        ({"reports": (WARNING,)}, Verdict.FAILED),
        ({"reports": (replace(WARNING, fatal=True),)}, Verdict.CRASHED),
        ({"guest_word": "it found a fault"}, Verdict.LOST),
        ({"console_word": "the planted line was not seen"}, Verdict.LOST),
        ({"libvirt_word": "the guest was reset"}, Verdict.CRASHED),
    ],
)
def test_a_run_with_a_bad_result_kernel_report_or_libvirt_event_does_not_pass(
    change: dict[str, object], expected: Verdict
) -> None:
    """One objection of the guest's log, console or libvirt is enough to fail a run."""
    verdict, reason = decide(replace(CLEAN, **change))  # type: ignore[arg-type]

    assert verdict is expected
    assert reason


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GuestHung("silent"), Verdict.CRASHED),
        (BuildError("no"), Verdict.FAILED),
        (GuestLost("gone"), Verdict.LOST),
    ],
)
def test_a_run_with_an_error_does_not_pass_despite_good_results(
    error: HarnessError, expected: Verdict
) -> None:
    """An error that ended the run early decides the verdict, even if all results are good."""
    verdict, reason = decide(replace(CLEAN, error=error))

    assert verdict is expected
    assert reason == error.message


def test_a_guest_lost_after_a_fatal_kernel_report_counts_as_crashed() -> None:
    """A guest that is lost because its kernel died counts as crashed, not as lost."""
    fatal = replace(WARNING, fatal=True, title="BUG: oops")

    assert decide(replace(CLEAN, error=GuestLost("gone"), reports=(fatal,))) == (
        Verdict.CRASHED,
        "BUG: oops",
    )
