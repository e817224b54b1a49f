# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The results of one suite, in the order in which they come, and the test that runs now."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.errors import (
    GuestCrashed,
    HarnessError,
    KernelComplained,
    NoTests,
    TestOverdue,
    TestsBroken,
)
from harness.model.crash import Expectation
from harness.model.listed import ListedSuite, ListedTest, is_part
from harness.model.settings import Judge, TestResult, TestSpec, Verdict
from harness.report import ktap
from harness.report.ktap import Bail, Parser, Plan, Result, Started

# pytest_plugin writes this for a test that crashes the kernel on purpose.
_EXPECTS = "# harness: expects "
# pytest_plugin writes this when a command of the running test has not ended within its deadline.
_OVERDUE = "# harness: overdue "
# pytest_plugin writes this when it can no longer reach the guest.
_UNREACHABLE = "# harness: unreachable "
# Exit code of a selftest that was skipped: KSFT_SKIP in the kernel's kselftest.h.
_SKIPPED = 4
# How ./check of blktests ends the line of a test, by the test's result.
_RAN, _NOT_RUN = "[passed]", "[not run]"
_BAD = {Verdict.FAILED, Verdict.CRASHED, Verdict.LOST}
_EVIDENCE_LINES = 30


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Functions that are called while a suite runs, at each event of its output.

    `on_start` gets the name of a test that begins, and `on_expect` a test's name and the crash
    that it announces. `on_plan` gets the number of results that are to come, `on_output` a line
    that a command in the guest prints besides KTAP.
    """

    on_start: Callable[[str], None]
    on_result: Callable[[TestResult], None]
    on_expect: Callable[[str, Expectation], None]
    on_plan: Callable[[int], None] = lambda _count: None
    on_output: Callable[[str], None] = lambda _line: None


@dataclass(frozen=True, kw_only=True)
class SuiteOutcome:
    """The results of a suite so far, and the error that ended it early, None if there was none.

    `unreached` are the tests without a result; `running` is the test that ran at the end, or "".
    """

    results: tuple[TestResult, ...]
    error: HarnessError | None = None
    unreached: tuple[str, ...] = ()
    running: str = ""


class Ledger:
    """The results of one suite, collected from its output while it runs.

    `names` are the tests that are to run. Events are passed on to `listener`.
    """

    def __init__(self, suite: ListedSuite, names: Sequence[str], listener: Listener) -> None:
        self._spec = suite.spec
        self._names = tuple(names)
        self._listener = listener
        self._parser = Parser()
        self._command: ListedTest | None = None
        self._first = 0
        self._plan: Plan | None = None
        self._bail: str | None = None
        self._running = ""
        self._timed = False
        self._started_at = time.monotonic()
        self._begun_at = self._started_at
        self.overdue_command = ""
        self.lost_guest = ""
        self.results: list[TestResult] = []

    def feed(self, line: str) -> None:
        """Process one line of the suite's output: KTAP, or a message of the pytest plugin."""
        words = line.removeprefix(_EXPECTS)
        if words != line:
            name, _, values = words.partition(" ")
            self._listener.on_expect(name, Expectation(**json.loads(values)))
            return
        # The first command is the cause. Those after it are late because the guest hangs.
        self.overdue_command = self.overdue_command or _after(_OVERDUE, line)
        self.lost_guest = self.lost_guest or _after(_UNREACHABLE, line)
        if self._command is not None and not ktap.speaks(line):
            self._listener.on_output(line)
        for event in self._parser.feed(line):
            self._take(event)

    def hear(self, line: str) -> None:
        """Keep a line of a command's stderr as a diagnostic of the next result.

        The listener gets the line, too.
        """
        self._parser.note(line)
        self._listener.on_output(line)

    def begin(self, test: ListedTest) -> None:
        """Note that a test begins that is a command in the guest; its output lines follow."""
        self._parser = Parser()
        self._command, self._first = test, len(self.results)
        self._plan, self._bail = None, None
        self._begun_at = time.monotonic()
        self._start(test.name, timed=self._spec.command is None)
        self._listener.on_start(test.name)

    def end(self, status: int) -> None:
        """Add the result of the test that `begin` began, by its command's exit status.

        The status is below 0 after a signal. Nothing is added when the results in the command's
        KTAP are enough, or when a command that should print KTAP ended with status 0 and printed
        no result.
        """
        if self._command is None:
            return
        self._running = ""
        name = self._command.name
        verdict, reason = self._judged(status)
        if verdict is None:
            return
        took_s = time.monotonic() - self._begun_at
        lines = self._parser.pending
        self._add(
            TestResult(
                name=name, verdict=verdict, reason=reason, diagnostics=lines, duration_s=took_s
            )
        )

    def _judged(self, status: int) -> tuple[Verdict | None, str]:
        """Return the verdict and the reason for the test that is a command as a whole.

        The verdict is None if this test gets no result: those in the command's KTAP are enough, or
        the command should have printed KTAP, but printed no result and ended with status 0.
        """
        own = self.results[self._first :]
        ending = f"status {status}" if status >= 0 else "a signal"
        if self._bail is not None:
            return Verdict.FAILED, f"bailed out: {self._bail}"
        if self._plan is not None and len(own) < self._plan.count:
            what = f"{len(own)} of {self._plan.count} planned results arrived"
            return Verdict.FAILED, f"{what}, and the command ended with {ending}"
        if own:
            good = status == 0 or any(result.verdict in _BAD for result in own)
            why = f"no result is bad, but the command ended with {ending}"
            return (None, "") if good or self._is_skip(status) else (Verdict.FAILED, why)
        if self._is_skip(status):
            return Verdict.SKIPPED, self._plan.skipped if self._plan else ""
        if status != 0:
            return Verdict.FAILED, f"the command ended with {ending}"
        return _by_output(self._spec, self._parser.pending)

    def _is_skip(self, status: int) -> bool:
        return self._spec.kselftest is not None and status == _SKIPPED

    def _take(self, event: object) -> None:
        if isinstance(event, Started):
            self._start(self._full(event.name), timed=True)
            self._listener.on_start(self._running)
        elif isinstance(event, Plan):
            self._plan = event
            # The plan of one selftest counts its cases, and the view counts the tests of the
            # suite.
            if self._spec.pytest is not None or self._spec.command is not None:
                self._listener.on_plan(event.count)
        elif isinstance(event, Bail):
            self._bail = event.reason or "without a reason"
        elif isinstance(event, Result):
            # Only the harness's own plugin writes how long a test took.
            took = event.result.duration_s or time.monotonic() - self._started_at
            self._add(replace(event.result, name=self._full(event.result.name), duration_s=took))
            own = self._command.name if self._command else ""
            self._start(own, timed=bool(own) and self._spec.command is None)

    def _full(self, name: str) -> str:
        """Return the name of a KTAP case; in a test of kselftest or blktests it is TEST/CASE."""
        if self._command is None or self._spec.command is not None:
            return name
        return f"{self._command.name}/{name}"

    def _start(self, name: str, *, timed: bool) -> None:
        self._running, self._timed, self._started_at = name, timed, time.monotonic()

    def _add(self, result: TestResult) -> None:
        result = replace(result, suite=self._spec.name)
        self.results.append(result)
        self._listener.on_result(result)

    @property
    def running_for_s(self) -> float:
        """How many seconds the current test has been running; 0 between tests.

        It is 0 also for a suite that is one command: only the suite's own deadline limits that.
        """
        timed = self._running and self._timed
        return time.monotonic() - self._started_at if timed else 0.0

    def postpone(self, seconds: float) -> None:
        """Do not count these seconds, spent in a debugger, as running time of the current test."""
        self._started_at += seconds

    @property
    def running(self) -> str:
        """The test that runs now, or ""."""
        return self._running

    @property
    def marked(self) -> str:
        """The running test, by the name that its begin mark in the kernel log has.

        It differs from `running` for a case of a command, where the mark names the command's test.
        It is "" if no test is running.
        """
        return self._command.name if self._command and self._running else self._running

    def ended(self, error: HarnessError | None, *, log: Path | None = None) -> SuiteOutcome:
        """Return the suite's outcome, with a result for the test that was running at its end.

        That test gets no result if the suite ended because of an earlier test's kernel report. If
        `error` is None, the outcome has an error only for a pytest suite that bailed out, and for
        a suite without a result. `log` is the file with the suite's output, from which that error
        quotes.
        """
        running = self._running
        if running and not isinstance(error, KernelComplained):
            self._add(_cut_short(running, error, self.running_for_s))
        results = tuple(self.results)
        return SuiteOutcome(
            results=results,
            error=error or self._silence(log),
            unreached=tuple(
                name
                for name in self._names
                if not any(is_part(result.name, name) for result in results)
            ),
            running=running,
        )

    def _silence(self, log: Path | None) -> HarnessError | None:
        """Return an error if the suite bailed out or ended without any result, else None.

        `log` is the file with the suite's output, whose end the error quotes.
        """
        tail = _tail(log)
        where = f"the suite's output is in {log}" if log else ""
        if self._bail is not None and self._command is None:
            what = f"{self._spec.name} bailed out: {self._bail}"
            return TestsBroken(what, hint=where, evidence=tail)
        if self.results:
            return None
        if self._command is not None:
            hint = f'{where}; judge = "exit-code" is for a command that prints no KTAP'
            return NoTests(f"{self._spec.name} printed no test", hint=hint, evidence=tail)
        return NoTests(f"{self._spec.name}: no test ran", hint=where, evidence=tail)


def _after(prefix: str, line: str) -> str:
    """Return what follows the prefix of a line, "" for a line that does not begin with it."""
    return line.removeprefix(prefix) if line.startswith(prefix) else ""


def _tail(log: Path | None) -> list[str]:
    if log is None or not log.is_file():
        return []
    return log.read_text(errors="backslashreplace").splitlines()[-_EVIDENCE_LINES:]


def _by_output(spec: TestSpec, lines: Sequence[str]) -> tuple[Verdict | None, str]:
    """Return the verdict and its reason for a command with status 0 that printed no KTAP result.

    A test of blktests is judged by what its `check` printed (`lines`). The verdict is None for a
    command that should have printed KTAP.
    """
    if spec.blktests is None:
        silent = spec.command is not None and spec.judge is Judge.KTAP
        return (None, "") if silent else (Verdict.PASSED, "")
    # ./check ends with status 0 also for a test that it did not run.
    if any(line.rstrip().endswith(_RAN) for line in lines):
        return Verdict.PASSED, ""
    skipped = [number for number, line in enumerate(lines) if line.rstrip().endswith(_NOT_RUN)]
    if not skipped:
        return Verdict.FAILED, "check neither ran nor skipped it"
    reason = " ".join(line.strip() for line in lines[skipped[0] + 1 :])
    return Verdict.SKIPPED, reason or "not run"


def _cut_short(name: str, error: HarnessError | None, took_s: float) -> TestResult:
    """Return the result of a test that was running when its suite ended.

    It has crashed, or failed at its own deadline, if `error` says so; otherwise it is lost.
    """
    reason = error.message if error else "the suite ended during this test"
    verdict = Verdict.LOST
    if isinstance(error, GuestCrashed):
        verdict = Verdict.CRASHED
    elif isinstance(error, TestOverdue):
        verdict = Verdict.FAILED
    return TestResult(name=name, verdict=verdict, reason=reason, duration_s=took_s)


def lost(names: Sequence[str], suite: str) -> tuple[TestResult, ...]:
    """Return a result with the verdict lost for each test that the suite did not reach."""
    why = "not reached: the suite ended before"
    return tuple(
        TestResult(name=name, suite=suite, verdict=Verdict.LOST, reason=why) for name in names
    )
