# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.nightly: every cell of a nightly run gets a verdict, even one without a report."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model.machines import KernelSpec, TargetSpec
from harness.model.settings import Accel, ModuleSpec, RunReport, Settings, TestResult, Verdict
from harness.report import run_report
from harness.runs import nightly


def settings(root: Path) -> Settings:
    """Return a configuration with two nightly cells."""
    return Settings(
        root=root,
        file=root / "pyproject.toml",
        default_target="one",
        module=ModuleSpec(name="m", source=root),
        tests=(),
        targets={"one": TargetSpec(image="debian", kernel="plain")},
        kernels={"plain": KernelSpec(package="p"), "rt": KernelSpec(package="q")},
        images=root,
        nightly=("one", "one:rt"),
    )


def finished(folder: Path, verdict: Verdict) -> RunReport:
    """Return a run's report with one result."""
    return RunReport(
        run_id=folder.name,
        target="one",
        verdict=verdict,
        reason="because",
        accel=Accel.TCG,
        deadline_factor=4.0,
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=1.0,
        folder=folder,
        results=(TestResult(name="t::one", verdict=verdict, suite="guest"),),
    )


def test_a_nightly_cells_command_is_kernel_test_with_its_target_kernel_and_run_id() -> None:
    """The command line of a nightly cell repeats that cell alone."""
    line = nightly.Cell(target="one", kernel="rt").command(
        "id", file=Path("/p/pyproject.toml"), long=True
    )

    assert line[1:] == [
        "-m",
        "harness.tasks",
        "kernel-test",
        "--target=one",
        "--config=/p/pyproject.toml",
        "--kernel=rt",
        "--run-id=id",
        "--long",
    ]


def test_a_nightly_cell_that_ends_without_a_report_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly cell that ends without a report is lost, and the other cell's report is kept."""

    def cell(line: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
        run_id = next(part for part in line if part.startswith("--run-id=")).partition("=")[2]
        folder = tmp_path / "build" / "runs" / run_id
        if "--kernel=rt" not in line:
            folder.mkdir(parents=True)
            run_report.write(finished(folder, Verdict.PASSED))
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(subprocess, "run", cell)

    found = list(nightly.run(settings(tmp_path), long=False, deadline_s=1.0))

    assert [one.verdict for _, one in found] == [Verdict.PASSED, Verdict.LOST]
    assert "no report" in found[1][1].reason
    assert found[1][1].target == "one:rt"


def test_a_nightly_cell_that_exceeds_its_deadline_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nightly cell that exceeds its deadline is lost, and its report gives that reason."""

    def cell(line: list[str], **_options: object) -> None:
        raise subprocess.TimeoutExpired(line, 1.0)

    monkeypatch.setattr(subprocess, "run", cell)

    found = list(nightly.run(settings(tmp_path), long=False, deadline_s=1.0))

    assert {one.verdict for _, one in found} == {Verdict.LOST}
    assert {one.reason for _, one in found} == {"the cell did not finish within 1 s"}


def test_nightly_markdown_has_the_failed_cell_and_junit_a_suite_for_each_cell(
    tmp_path: Path,
) -> None:
    """The nightly Markdown has the failed cell, and the JUnit file has a suite for each cell."""
    good = finished(tmp_path / "a", Verdict.PASSED)
    bad = replace(finished(tmp_path / "b", Verdict.FAILED), target="one:rt")

    markdown, junit = nightly.write((good, bad), tmp_path / "out")

    assert "one:rt" in markdown.read_text()
    assert junit.read_text().count("<testsuite ") == 2


def test_a_nightly_run_has_the_exit_code_of_its_worst_cell_or_4_without_a_cell(
    tmp_path: Path,
) -> None:
    """A night exits with the code of its worst cell, and as lost when it has no cell."""
    good, bad = finished(tmp_path, Verdict.PASSED), finished(tmp_path, Verdict.CRASHED)

    assert nightly.exit_code((good,)) == 0
    assert nightly.exit_code((good, bad)) == 3
    assert nightly.exit_code(()) == 4
