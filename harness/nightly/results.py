# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Make the nightly result of a cell from its run's report, or from the fact that there is none."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.artefacts import requested
from harness.errors import HarnessError
from harness.model.provenance import Provenance
from harness.model.settings import RunReport, Verdict
from harness.nightly.judge.nights import LostTry
from harness.nightly.values import CellResult, missing_run
from harness.panic.values import KernelReport
from harness.report import run_report

# What the time of the stage "guest" is, by the fact "guest" of the run.
_GUEST_TIMES = {"booted": "boot_s", "restored": "restore_s"}


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a cell of a night; 0 is the first, the others repeat a cell that failed.

    `starts` counts how often the attempt was started, because a process of it may be killed.
    `command` is what a person types to repeat it, and `log` the file with its output. `worker` is
    the machine that runs it, and `lost_tries` are the workers that were lost with it before.
    """

    night: str
    cell: str
    attempt: int = 0
    starts: int = 1
    command: str = ""
    log: Path = Path()
    worker: str = ""
    lost_tries: tuple[LostTry, ...] = ()


def now() -> str:
    """Return the present time as nights and reports store it: UTC, ISO 8601, whole seconds."""
    return datetime.now(UTC).isoformat("T", "seconds")


def of_report(report: RunReport, attempt: Attempt) -> CellResult:
    """Return the nightly result of an attempt at a cell, taken from its run's report."""
    known = report.provenance
    return CellResult(
        night=attempt.night,
        cell=attempt.cell,
        attempt=attempt.attempt,
        starts=attempt.starts,
        command=attempt.command,
        log=attempt.log,
        worker=attempt.worker,
        lost_tries=attempt.lost_tries,
        run_id=report.run_id,
        verdict=report.verdict,
        reason=report.reason,
        started_at=report.started_at,
        duration_s=report.duration_s,
        commit=known.commit,
        tree_changed=known.tree_changed,
        kernel_release=known.kernel_release,
        kernel_version=known.kernel_version,
        accel=report.accel,
        folder=report.folder,
        hint=report.hint,
        evidence=report.evidence,
        tests=tuple(replace(result, reports=()) for result in report.results),
        crashes=report.crashes,
        warnings=_warnings(report),
        measures=_measures(report),
    )


def lost(attempt: Attempt, run_id: str, folder: Path, reason: str) -> CellResult:
    """Return the result, with verdict "lost", of an attempt whose run left no usable report."""
    return CellResult(
        night=attempt.night,
        cell=attempt.cell,
        attempt=attempt.attempt,
        starts=attempt.starts,
        command=attempt.command,
        log=attempt.log,
        worker=attempt.worker,
        lost_tries=attempt.lost_tries,
        run_id=run_id,
        verdict=Verdict.LOST,
        reason=reason,
        started_at=now(),
        duration_s=0.0,
        folder=folder,
        evidence=_end_of(attempt.log),
    )


def missing(night_id: str, cell_id: str, command: str) -> CellResult:
    """Return the "lost" result that stands for a cell whose own result has not arrived."""
    attempt = Attempt(night=night_id, cell=cell_id, command=command)
    reason = "no result of the cell arrived from any worker"
    return lost(attempt, missing_run(night_id, cell_id), Path(), reason)


def as_report(result: CellResult) -> RunReport:
    """Return a cell's result as the report of a run, for JUnit and KCIDB, which know no nights."""
    return RunReport(
        run_id=result.run_id,
        target=result.cell,
        verdict=result.verdict,
        reason=result.reason,
        accel=result.accel,
        deadline_factor=1.0,
        started_at=result.started_at,
        duration_s=result.duration_s,
        folder=result.folder,
        results=result.tests,
        reports=result.warnings,
        crashes=result.crashes,
        provenance=Provenance(
            commit=result.commit,
            tree_changed=result.tree_changed,
            kernel_release=result.kernel_release,
            kernel_version=result.kernel_version,
        ),
        hint=result.hint,
        evidence=result.evidence,
    )


def finished_report(folder: Path) -> RunReport | None:
    """Return the report in a run's folder, None without a readable one and for the verdict "lost".

    A run that was killed has no report, and one that was interrupted has the verdict "lost".
    """
    try:
        report = run_report.load(folder)
    except HarnessError:
        return None
    return None if report.verdict is Verdict.LOST else report


def _warnings(report: RunReport) -> tuple[KernelReport, ...]:
    """Return a run's kernel reports that belong to no crash, such as warnings, each once."""
    every = (*report.reports, *(one for result in report.results for one in result.reports))
    of_crashes = {_place(one) for crash in report.crashes for one in crash.reports}
    found = {_place(one): one for one in every if _place(one) not in of_crashes}
    return tuple(found.values())


def _place(report: KernelReport) -> tuple[int, str]:
    return report.line, report.title


def _measures(report: RunReport) -> dict[str, float]:
    """Return the numbers that a night's history keeps of a run: times and module size, by name."""
    stages = {f"stage_{one.name}_s": one.duration_s for one in report.stages}
    found = {name.replace(" ", "_"): value for name, value in stages.items()}
    # A guest that was lost on its way up has neither time.
    origin = _GUEST_TIMES.get(report.facts.get("guest", ""))
    if origin and "stage_guest_s" in found:
        found[origin] = found["stage_guest_s"]
    modules = tuple((report.folder / requested.MODULES).glob("*.stripped.ko"))
    if modules:
        found["module_bytes"] = float(sum(file.stat().st_size for file in modules))
    return found


def _end_of(log: Path) -> tuple[str, ...]:
    try:
        return tuple(log.read_text(errors="backslashreplace").splitlines()[-20:])
    except OSError:
        return ()
