# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The state of a run while it continues, and its report at the end.

Only this object of a run changes during the run. It times and shows stages, keeps the results of
suites and witnesses, and finally writes every file of the run's folder.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from harness.crash import expectations
from harness.errors import HarnessError, Lost, RunInterrupted
from harness.guest.session import CONSOLE
from harness.memory import vmcore
from harness.model.crash import Crash, Expectation
from harness.model.guest_history import GuestHistory
from harness.model.provenance import Provenance
from harness.model.settings import Accel, RunReport, StageResult, TestResult
from harness.panic.values import KernelReport
from harness.report import kcidb, kernel_log, run_report
from harness.report.live_view import LiveView
from harness.runs import verdict
from harness.runs.ledger import SuiteOutcome

_KERNEL_LOGS = "kernel-log"


@dataclass
class RunRecord:
    """What a run has found so far: its stages, results, crashes, and the words of its witnesses.

    `guests` are the guests that have ended, in order. `guest_word` and `console_word` are the
    objections of the guest's log check and of the console, "" for none. `accel` and `factor` are
    reported of a run in which no guest has answered. `reports` are the panics that a target of
    the user has saved. `suite` is the name of the suite that runs now, or that ran last.
    """

    run_id: str
    target: str
    folder: Path
    view: LiveView
    accel: Accel
    factor: float = 1.0
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat("T", "seconds"))
    begun: float = field(default_factory=time.monotonic)
    stages: list[StageResult] = field(default_factory=list)
    outcome: SuiteOutcome = field(default_factory=lambda: SuiteOutcome(results=()))
    provenance: Provenance = field(default_factory=Provenance)
    facts: dict[str, str] = field(default_factory=dict)
    # Both begin with an objection, because a silent witness never counts as a pass.
    guest_word: str = "it was not asked"
    console_word: str = "no guest ran"
    guests: list[GuestHistory] = field(default_factory=list)
    crashes: list[Crash] = field(default_factory=list)
    expected: dict[str, Expectation] = field(default_factory=dict)
    reports: tuple[KernelReport, ...] = ()
    suite: str = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show the name of a stage, run the block, and record how long it took."""
        self.view.stage(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            took = round(time.monotonic() - begun, 2)
            self.stages.append(StageResult(name=name, duration_s=took))

    @property
    def described(self) -> dict[str, str]:
        """The run's provenance and facts, as texts that reports show to people."""
        return {**self.provenance.described(), **self.facts}

    @contextmanager
    def reporting_interrupts(self) -> Iterator[None]:
        """Finish the run and write its report when Ctrl-C interrupts the block.

        Raises: RunInterrupted with the summary, in place of KeyboardInterrupt.
        """
        try:
            yield
        except KeyboardInterrupt as interrupt:
            report = self.finish(Lost("the run was interrupted"))
            raise RunInterrupted(run_report.summary_lines(report)) from interrupt

    def add(self, result: TestResult) -> None:
        """Store the result of a test whose suite still runs."""
        self.outcome = replace(self.outcome, results=(*self.outcome.results, result))

    def keep(self, guest: GuestHistory) -> None:
        """Store the console, reports and witnesses of a guest that ends."""
        self.guests.append(guest)
        self.console_word = ""

    def finish(self, error: HarnessError | None) -> RunReport:
        """Decide the run's verdict, write the files of its folder, and return its report.

        `error` is the error that ended the run early, None if it reached its end.
        """
        last = self.guests[-1] if self.guests else None
        reports = (*self.reports, *(one for guest in self.guests for one in guest.reports))
        results, loose = run_report.apply_reports(self.outcome.results, reports)
        results, loose = expectations.judged(results, loose, tuple(self.crashes), self.expected)
        results = run_report.with_crashes(results, self.crashes)
        evidence = verdict.Evidence(
            results=results,
            reports=loose,
            guest_word=self.guest_word,
            console_word=self.console_word,
            libvirt_word=last.objection if last else "",
            error=error,
        )
        word, reason = verdict.decide(evidence)
        report = RunReport(
            run_id=self.run_id,
            target=self.target,
            verdict=word,
            reason=reason,
            accel=last.accel if last else self.accel,
            deadline_factor=last.factor if last else self.factor,
            started_at=self.started_at,
            duration_s=round(time.monotonic() - self.begun, 2),
            folder=self.folder,
            stages=tuple(self.stages),
            results=results,
            reports=loose,
            crashes=tuple(vmcore.present(one, one.folder) for one in self.crashes),
            witnesses=self._witnesses(last),
            provenance=self.provenance,
            facts=self.facts,
            hint=error.hint if error else "",
            evidence=error.evidence if error else (),
        )
        if last is not None:
            kernel_log.write(self.folder / CONSOLE, last.marks, self.folder / _KERNEL_LOGS)
        run_report.write(report)
        kcidb.write(report)
        return report

    def _witnesses(self, last: GuestHistory | None) -> dict[str, str]:
        if last is None:
            return {}
        seen = f"{last.line_count} lines, {last.beats} heartbeats, planted line "
        return {
            "guest": self.guest_word or "reported a clean log",
            "console": seen + ("seen" if last.planted_seen else "not seen"),
            "libvirt": last.objection or "no event",
        }
