# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a run has found so far, and the report that it ends in.

The one place of a run that changes while it goes on. It times stages and shows them, keeps what
the suites and the witnesses said, and at the end writes every file of the run's folder.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.crash import expectations
from harness.errors import HarnessError
from harness.guest.session import CONSOLE, Session
from harness.model.crash import Crash, Expectation
from harness.model.settings import Accel, RunReport, StageResult
from harness.panic.values import KernelReport
from harness.report import kcidb, kernel_log, run_report
from harness.report.live_view import LiveView
from harness.runs import verdict
from harness.runs.suites import SuiteOutcome


@dataclass
class RunRecord:
    """The state of one run; `session` is None until a guest is up.

    The three words are what each witness objects to: "" is no objection. `reports` are those of
    guests that are gone; the last guest's are still in its session.
    """

    run_id: str
    target: str
    folder: Path
    view: LiveView
    allowed: tuple[str, ...] = ()
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat("T", "seconds"))
    begun: float = field(default_factory=time.monotonic)
    stages: list[StageResult] = field(default_factory=list)
    outcome: SuiteOutcome = field(default_factory=lambda: SuiteOutcome(results=()))
    facts: dict[str, str] = field(default_factory=dict)
    guest_word: str = "it was not asked"
    console_word: str = "no guest ran"
    libvirt_word: str = ""
    session: Session | None = None
    accel: Accel = Accel.TCG
    crashes: list[Crash] = field(default_factory=list)
    expected: dict[str, Expectation] = field(default_factory=dict)
    reports: tuple[KernelReport, ...] = ()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show and time one stage."""
        self.view.stage(name)
        begun = time.monotonic()
        try:
            yield
        finally:
            took = round(time.monotonic() - begun, 2)
            self.stages.append(StageResult(name=name, duration_s=took))

    def finish(self, error: HarnessError | None) -> RunReport:
        """Return the report of the run, its files written."""
        live = self.session
        reports = self._reports()
        results, loose = run_report.apply_reports(self.outcome.results, reports, self.allowed)
        results, loose = expectations.judged(results, loose, tuple(self.crashes), self.expected)
        results = run_report.with_crashes(results, self.crashes)
        evidence = verdict.Evidence(
            results=results,
            reports=loose,
            guest_word=self.guest_word,
            console_word=self.console_word,
            libvirt_word=self.libvirt_word,
            error=error,
        )
        word, reason = verdict.decide(evidence)
        found = RunReport(
            run_id=self.run_id,
            target=self.target,
            verdict=word,
            reason=reason,
            accel=live.accel if live else self.accel,
            deadline_factor=live.factor if live else 1.0,
            started_at=self.started_at,
            duration_s=round(time.monotonic() - self.begun, 2),
            folder=self.folder,
            stages=tuple(self.stages),
            results=results,
            reports=loose,
            crashes=tuple(self.crashes),
            witnesses=self._witnesses(),
            facts=self.facts,
            hint=error.hint if error else "",
            evidence=error.evidence if error else (),
        )
        _write_kernel_logs(self.folder)
        run_report.write(found)
        kcidb.write(found)
        return found

    def _reports(self) -> tuple[KernelReport, ...]:
        """Return every report of every guest of this run, each once."""
        live = self.session
        last = live.watch.reports if live is not None else ()
        return (*self.reports, *(one for one in last if one not in self.reports))

    def _witnesses(self) -> dict[str, str]:
        if self.session is None:
            return {}
        watch = self.session.watch
        seen = f"{watch.line_count} lines, {watch.beats} heartbeats, planted line "
        return {
            "guest": self.guest_word or "called its log clean",
            "console": seen + ("seen" if watch.sees else "not seen"),
            "libvirt": self.session.liveness.objection() or "no event",
        }


def _write_kernel_logs(folder: Path) -> None:
    console = folder / CONSOLE
    if not console.exists():
        return
    target = folder / "kernel-log"
    target.mkdir(exist_ok=True)
    with console.open(encoding="utf-8", errors="backslashreplace") as lines:
        parts = kernel_log.split(line.rstrip("\r\n") for line in lines)
        for number, part in enumerate(parts):
            safe = "".join(c if c.isalnum() or c in "-_.:[]" else "_" for c in part.name)
            name = f"{number:03d}-{safe[:100]}.log"
            (target / name).write_text("".join(f"{line}\n" for line in part.lines))
