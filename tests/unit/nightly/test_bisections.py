# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.bisections: the failure of a night leads to its commit in a repository."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.artefacts import kernels
from harness.model.request import KernelTestRequest
from harness.model.settings import RunReport, TestResult, Verdict
from harness.nightly import bisections
from harness.nightly.database import History, open_history
from harness.nightly.show import from_history, page
from harness.nightly.show.morning import Morning
from harness.report import run_report
from harness.report.live_view import PlainView
from harness.runs import kernel_test
from tests.unit.crashes import report_of
from tests.unit.nightly.show.test_from_history import GUEST, add_night, result
from tests.unit.runs.test_bisect import history as project
from tests.unit.runs.test_rerun import FakeKernel

__all__ = ["project"]
TEST = TestResult(name="t::one", suite="guest", verdict=Verdict.PASSED)
FAILED = replace(TEST, verdict=Verdict.FAILED, reason="assert 1 == 2")


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[History]:
    """Give an empty history."""
    with open_history(tmp_path / "history.db") as found:
        yield found


def run_of(request: KernelTestRequest, name: str, test: TestResult) -> RunReport:
    """Write the run of a night's cell, which a bisection repeats."""
    folder = request.runs / name
    folder.mkdir(parents=True)
    found = replace(report_of(folder), target="t", results=(test,), crashes=())
    found = replace(found, provenance=replace(found.provenance, kernel="k"))
    run_report.write(found)
    return found


def two_nights(nights: History, request: KernelTestRequest, commits: list[str]) -> Morning:
    """Write a night in which the test passes, and one in which it fails, six commits later."""
    add_night(nights, 1, result(GUEST, Verdict.PASSED, commit=commits[0], tests=(TEST,)))
    name = add_night(nights, 2, result(GUEST, Verdict.FAILED, commit=commits[-1], tests=(FAILED,)))
    run_of(request, f"{name}-test-0", FAILED)
    return from_history.morning(nights, project="greeter")


def test_a_new_failure_is_bisected_and_the_page_of_the_night_names_the_commit(
    nights: History,
    project: tuple[KernelTestRequest, list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Fake runs fail from one commit on; the answer is stored and not searched again."""
    request, commits = project

    def run(asked: KernelTestRequest, _view: object) -> RunReport:
        assert asked.selection.tests == ("t::one",)
        text = (asked.settings.module.source / "m.c").read_text()
        test = FAILED if text.startswith("bad") else TEST
        return replace(report_of(tmp_path / "run"), results=(test,), crashes=())

    monkeypatch.setattr(kernel_test, "run", run)
    monkeypatch.setattr(kernels, "ensure", lambda *_words, **_options: FakeKernel())
    morning = two_nights(nights, request, commits)
    lines: list[str] = []

    assert bisections.run(morning, nights, request, PlainView(), lines.append) == 1

    after = from_history.morning(nights, project="greeter")
    (answer,) = after.bisected.values()
    assert answer.commit == commits[3]
    assert answer.answer.startswith("change 3, by t")
    assert 1 <= len(answer.steps) <= 3
    assert f"Commit {commits[3][:12]} introduced it" in page.render(after)
    assert bisections.due(after) == ()
    assert lines == [f"guest::t::one: commit {commits[3][:12]} ({answer.answer})"]


def test_a_bisection_that_cannot_be_made_is_reported(
    nights: History, project: tuple[KernelTestRequest, list[str]]
) -> None:
    """If the run of the failed night is gone, a line says so and no error is raised."""
    request, commits = project
    add_night(nights, 1, result(GUEST, Verdict.PASSED, commit=commits[0], tests=(TEST,)))
    add_night(nights, 2, result(GUEST, Verdict.FAILED, commit=commits[-1], tests=(FAILED,)))
    morning = from_history.morning(nights, project="greeter")
    lines: list[str] = []

    assert bisections.run(morning, nights, request, PlainView(), lines.append) == 0
    assert lines[0].startswith("no bisection of guest::t::one: ")
    assert nights.bisections() == {}


def test_a_failure_for_which_only_the_kernel_changed_is_not_due(nights: History) -> None:
    """No commit of the module can be at fault, so no bisection is made for such a failure."""
    add_night(nights, 1, result(GUEST, Verdict.PASSED, tests=(TEST,)))
    changed = result(GUEST, Verdict.FAILED, kernel_version="6.12.63-1", tests=(FAILED,))
    add_night(nights, 2, changed)

    assert bisections.due(from_history.morning(nights, project="greeter")) == ()
