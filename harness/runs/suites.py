# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one suite of tests and collect its results while the guest is observed.

A suite is a pytest process on the host, or a command in the guest; both print KTAP. The loop here
checks the guest between any two lines. So a panic ends the suite at once and is charged to the
running test, whatever the suite itself is doing at that moment.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from harness.errors import (
    GuestCrashed,
    GuestLost,
    HarnessError,
    KernelComplained,
    NoTests,
    TestOverdue,
)
from harness.host import config
from harness.model.crash import Expectation
from harness.model.request import Selection
from harness.model.settings import TestResult, TestSpec, Verdict
from harness.report.ktap import Bail, Parser, Plan, Result, Started
from harness.systems.watched import Watched

_LOG = logging.getLogger(__name__)
_POLL_S = 0.2
_PLANNED = "# harness: planned "
# pytest_plugin writes this for a test that crashes the kernel on purpose.
_EXPECTS = "# harness: expects "
# pytest_plugin writes this when a command of the running test has not ended within its deadline.
_OVERDUE = "# harness: overdue "
# pytest_plugin writes this when it can no longer reach the guest.
_UNREACHABLE = "# harness: unreachable "


@dataclass(frozen=True, kw_only=True)
class Listener:
    """The receiver of a suite's events: a test begins, has a result, announces a crash."""

    on_start: Callable[[str], None]
    on_result: Callable[[TestResult], None]
    on_expect: Callable[[str, Expectation], None]


@dataclass(frozen=True, kw_only=True)
class SuiteOutcome:
    """The results of a suite so far, and what ended it early, if anything did.

    `unreached` are the `planned` tests without a result; `running` is the one that ran at the end.
    """

    results: tuple[TestResult, ...]
    error: HarnessError | None = None
    planned: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    running: str = ""


def run_suite(
    spec: TestSpec,
    session: Watched,
    *,
    selection: Selection,
    session_file: Path,
    listener: Listener,
    done: Sequence[str] = (),
) -> SuiteOutcome:
    """Run one suite and return its outcome; no failure of the guest or a test raises.

    `done` are the tests that have a result already, from an earlier guest.
    """
    log = session.request.folder / f"{spec.name}.log"
    ledger = _Ledger(spec.name, listener)
    try:
        with _lines(spec, session, selection, session_file, log, done) as lines:
            _pump(spec, lines, ledger, session)
    except HarnessError as error:
        return ledger.ended(error)
    return ledger.ended(None, log=log)


class _Ledger:
    """The results of one suite in the order in which they came, and the test that runs."""

    def __init__(self, suite: str, listener: Listener) -> None:
        self._suite = suite
        self._parser = Parser()
        self._listener = listener
        self._planned: list[str] = []
        self._plan_count = 0
        self._running = ""
        self._started_at = time.monotonic()
        self._bail = ""
        self.overdue_command = ""
        self.lost_guest = ""
        self.results: list[TestResult] = []

    def feed(self, line: str) -> None:
        """Process one line of the suite's output."""
        name = line.removeprefix(_PLANNED)
        if name != line:
            self._planned.append(name.strip())
            return
        words = line.removeprefix(_EXPECTS)
        if words != line:
            name, _, values = words.partition(" ")
            self._listener.on_expect(name, Expectation(**json.loads(values)))
            return
        self.overdue_command = self.overdue_command or _after(_OVERDUE, line)
        self.lost_guest = self.lost_guest or _after(_UNREACHABLE, line)
        for event in self._parser.feed(line):
            self._take(event)

    def _take(self, event: object) -> None:
        if isinstance(event, Started):
            self._running, self._started_at = event.name, time.monotonic()
            self._listener.on_start(event.name)
        elif isinstance(event, Plan):
            self._plan_count = event.count
        elif isinstance(event, Bail):
            self._bail = event.reason or "without a reason"
        elif isinstance(event, Result):
            took = event.result.duration_s or time.monotonic() - self._started_at
            self._add(replace(event.result, duration_s=took))
            self._running, self._started_at = "", time.monotonic()

    def _add(self, result: TestResult) -> None:
        result = replace(result, suite=self._suite)
        self.results.append(result)
        self._listener.on_result(result)

    @property
    def running_for_s(self) -> float:
        """Return how long the current test has been running; 0 between tests."""
        return time.monotonic() - self._started_at if self._running else 0.0

    def postpone(self, seconds: float) -> None:
        """Exclude time in a debugger from the running time of the current test."""
        self._started_at += seconds

    @property
    def running(self) -> str:
        """The test that runs now, or ""."""
        return self._running

    def ended(self, error: HarnessError | None, *, log: Path | None = None) -> SuiteOutcome:
        """Return the outcome; the test that was running gets a result from the suite's end.

        A test that only ran when an earlier test's fault became visible gets no result.
        """
        running = self._running
        if running and not isinstance(error, KernelComplained):
            self._add(_cut_short(running, error, self.running_for_s))
        seen = {result.name for result in self.results}
        return SuiteOutcome(
            results=tuple(self.results),
            error=error or self._silence(log),
            planned=tuple(self._planned),
            unreached=tuple(name for name in self._planned if name not in seen),
            running=running,
        )

    def _silence(self, log: Path | None) -> HarnessError | None:
        tail = log.read_text(errors="backslashreplace").splitlines()[-30:] if log else []
        hint = f"the suite's output is in {log}" if log else ""
        if self._bail:
            return GuestLost(f"{self._suite} bailed out: {self._bail}", hint=hint, evidence=tail)
        if not self.results:
            return NoTests(f"{self._suite}: no test was collected", hint=hint, evidence=tail)
        if not self._planned and len(self.results) < self._plan_count:
            missing = f"{len(self.results)} of {self._plan_count} planned results arrived"
            return GuestLost(f"{self._suite}: {missing}", hint=hint, evidence=tail)
        return None


def _after(prefix: str, line: str) -> str:
    """Return what follows the prefix of a line, "" for a line that does not begin with it."""
    return line.removeprefix(prefix) if line.startswith(prefix) else ""


def _cut_short(name: str, error: HarnessError | None, took_s: float) -> TestResult:
    """Return the result of a test that was running when its suite ended."""
    reason = error.message if error else "the suite ended during this test"
    verdict = Verdict.LOST
    if isinstance(error, GuestCrashed):
        verdict = Verdict.CRASHED
    elif isinstance(error, TestOverdue):
        verdict = Verdict.FAILED
    return TestResult(name=name, verdict=verdict, reason=reason, duration_s=took_s)


def lost(names: Sequence[str], suite: str) -> tuple[TestResult, ...]:
    """Return the results of tests that were planned and never reached."""
    why = "not reached: the suite ended before"
    return tuple(
        TestResult(name=name, suite=suite, verdict=Verdict.LOST, reason=why) for name in names
    )


def _pump(spec: TestSpec, lines: Iterator[str | None], ledger: _Ledger, session: Watched) -> None:
    end = time.monotonic() + session.deadline(spec.deadline_s)
    test_limit = session.deadline(session.request.timeouts.test_s)
    seen_at = time.monotonic()
    for line in lines:
        if line is not None:
            ledger.feed(line)
        passed_s, seen_at = time.monotonic() - seen_at, time.monotonic()
        if session.health.held:
            ledger.postpone(passed_s)
            end += passed_s
        session.check_alive()
        if spec.pytest is not None:
            session.health.check_unspoilt(ledger.running)
        if ledger.overdue_command:
            hint = "raise the deadline_s of that command if it may take that long"
            raise _overdue(session, ledger.overdue_command, hint)
        if ledger.lost_guest:
            raise GuestLost(ledger.lost_guest, evidence=session.console.tail(20))
        hint = "raise test_s or deadline_s in the configuration if the test may take that long"
        if ledger.running_for_s > test_limit:
            raise _overdue(session, f"{ledger.running} ran for over {test_limit:.0f} s", hint)
        if time.monotonic() > end:
            raise _overdue(session, "the suite's deadline passed", hint)


def _overdue(session: Watched, what: str, hint: str) -> HarnessError:
    session.health.note("deadline", what)
    return TestOverdue(
        f"{what}; the guest's kernel still beats", hint=hint, evidence=session.console.tail(20)
    )


@contextmanager
def _lines(
    spec: TestSpec,
    session: Watched,
    selection: Selection,
    session_file: Path,
    log: Path,
    done: Sequence[str],
) -> Iterator[Iterator[str | None]]:
    if spec.command is not None:
        with session.guest.popen(spec.command) as remote, log.open("a") as copy:
            yield _tee(remote.lines(poll_s=_POLL_S), copy.write)
        return
    if spec.pytest is None:
        raise NoTests(f"{spec.name} names neither a pytest folder nor a command")
    only = () if spec.name in selection.tests else selection.tests
    with _pytest_process(spec.pytest, selection, session_file, log, done, only) as lines:
        yield lines


def _tee(lines: Iterator[str | None], write: Callable[[str], int]) -> Iterator[str | None]:
    for line in lines:
        if line is not None:
            write(line + "\n")
        yield line


@contextmanager
def _pytest_process(
    folder: Path,
    selection: Selection,
    session_file: Path,
    log: Path,
    done: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Iterator[Iterator[str | None]]:
    reader, writer = os.pipe()
    command = [sys.executable, "-m", "pytest", str(folder), "-p", "harness"]
    command += ["-p", "no:cacheprovider", f"--ktap-fd={writer}", "--color=no", "-v"]
    command += ["-k", selection.expression] if selection.expression else []
    command += ["--long"] if selection.long else []
    for option, names in (("done", done), ("only", only)):
        if names:
            listed = log.with_suffix(f".{option}")
            listed.write_text("".join(f"{name}\n" for name in names))
            command += [f"--harness-{option}={listed}"]
    with log.open("a") as output, os.fdopen(reader, "r", errors="backslashreplace") as ktap:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            env=config.child_environment(session_file),
            cwd=folder if folder.is_dir() else folder.parent,
            start_new_session=True,
        )
        os.close(writer)
        try:
            yield _queued(ktap)
        finally:
            _end_group(process)


def _queued(stream: Iterator[str]) -> Iterator[str | None]:
    """Yield the lines of a blocking stream, and None when no line came for a moment."""
    queue: Queue[str | None] = Queue()

    def read() -> None:
        for line in stream:
            queue.put(line.rstrip("\n"))
        queue.put(None)

    Thread(target=read, name="suite-output", daemon=True).start()
    while True:
        try:
            line = queue.get(timeout=_POLL_S)
        except Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _end_group(process: subprocess.Popen[bytes], *, grace_s: float = 5.0) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            process.wait(grace_s if number is signal.SIGKILL else 0.5)
        except subprocess.TimeoutExpired:
            _LOG.info("ending the suite's process %d with %s", process.pid, number.name)
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                break
    process.wait(grace_s)
