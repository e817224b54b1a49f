# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run one suite of tests and collect its results while the guest is observed.

A suite is a pytest process on the host, or commands in the guest. The loop here checks the guest
between any two lines. So a panic ends the suite at once and is charged to the running test,
whatever the suite itself is doing at that moment.
"""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import GuestLost, HarnessError, TestOverdue
from harness.model.listed import ListedSuite, ListedTest, is_part
from harness.model.settings import Judge, System, TestSpec
from harness.runs import pytest_process
from harness.runs.ledger import Ledger, Listener, SuiteOutcome
from harness.systems.ssh import RemoteProcess
from harness.systems.watched import Watched
from harness.test_kinds import guest_folder

_POLL_S = 0.2
# A command that has closed its output may still need a moment to end.
_STATUS_S = 30.0
_COPY_S = 60.0


@dataclass(kw_only=True)
class _Run:
    """A suite that runs in a guest; it has to end before `end`, in monotonic time.

    `log` is the file with the suite's output.
    """

    spec: TestSpec
    session: Watched
    ledger: Ledger
    log: Path
    end: float


def run_suite(
    suite: ListedSuite,
    session: Watched,
    *,
    long: bool,
    session_file: Path,
    listener: Listener,
    done: Sequence[str] = (),
) -> SuiteOutcome:
    """Run one suite in one guest and return its outcome.

    `done` are the names of tests that have a result already, from an earlier guest; they are not
    run. An error of the guest or a test does not raise: it is in the outcome.
    """
    spec = suite.spec
    left = [test for test in suite.tests if not any(is_part(name, test.name) for name in done)]
    ledger = Ledger(suite, [test.name for test in left], listener)
    run = _Run(
        spec=spec,
        session=session,
        ledger=ledger,
        log=session.request.folder / f"{spec.name}.log",
        end=time.monotonic() + session.deadline(spec.deadline_s),
    )
    try:
        if spec.pytest is not None:
            _run_pytest(run, spec.pytest, left, long=long, session_file=session_file)
        else:
            _run_commands(run, suite, left, listener)
    except HarnessError as error:
        return ledger.ended(error)
    return ledger.ended(None, log=run.log)


def _run_pytest(
    run: _Run, folder: Path, tests: Sequence[ListedTest], *, long: bool, session_file: Path
) -> None:
    with pytest_process.started(
        folder,
        [test.name for test in tests],
        long=long,
        session_file=session_file,
        log=run.log,
        poll_s=_POLL_S,
    ) as lines:
        _pump(run, lines)


def _run_commands(
    run: _Run, suite: ListedSuite, tests: Sequence[ListedTest], listener: Listener
) -> None:
    """Run commands in the guest, one after the other; each of them is a test of its own."""
    if suite.folder is not None:
        listener.on_plan(len(tests))
        run.session.guest.push(guest_folder.files(suite), deadline_s=run.session.deadline(_COPY_S))
    for test in tests:
        run.ledger.begin(test)
        command = _marked(test) if _is_marked(run.spec) else test.command
        with run.session.guest.popen(command) as remote, run.log.open("a") as log:
            _pump(run, _lines_of(remote, run.ledger, log.write))
            run.ledger.end(_status(remote, run.session))


def _is_marked(spec: TestSpec) -> bool:
    """Return whether the begin and end of this suite's tests are written to the kernel's log.

    They are not for a command that prints KTAP: it has several tests, and the time at which each
    begins is not known. They are not on macOS either.
    """
    if spec.system is not System.LINUX:
        return False
    return spec.command is None or spec.judge is Judge.EXIT_CODE


def _marked(test: ListedTest) -> str:
    """Return the shell command of a test, with commands around it that mark its begin and end.

    The marks are written to the kernel's log by /dev/kmsg.
    """
    begin, end = (
        f"echo {shlex.quote(f'harness-test-{word} {test.name}')} > /dev/kmsg"
        for word in ("begin", "end")
    )
    # sshd runs a command in the user's shell, so a marked one runs there, too.
    return f'{begin}; "${{SHELL:-sh}}" -c {shlex.quote(test.command)}; s=$?; {end}; exit $s'


def _lines_of(
    remote: RemoteProcess, ledger: Ledger, write: Callable[[str], object]
) -> Iterator[str | None]:
    """Yield the lines of a command's stdout, and None whenever none came for a moment.

    The lines of stderr are given to the ledger. `write` gets every line, for the log.
    """
    heard = 0
    for line in remote.lines(poll_s=_POLL_S):
        whole, newline, _ = remote.stderr[heard:].rpartition("\n")
        _hear(whole, ledger, write)
        heard += len(whole) + len(newline)
        if line is not None:
            write(line + "\n")
        yield line
    _hear(remote.stderr[heard:], ledger, write)


def _hear(text: str, ledger: Ledger, write: Callable[[str], object]) -> None:
    for line in text.splitlines():
        write(line + "\n")
        ledger.hear(line)


def _status(remote: RemoteProcess, session: Watched) -> int:
    """Return the exit status of a command whose output has ended; below 0 after a signal.

    Raises: GuestLost when the connection ended instead.
    """
    status = remote.wait(deadline_s=session.deadline(_STATUS_S))
    # paramiko returns -1 for a signal and for a lost connection; this command tells them apart.
    if status < 0:
        session.guest.run("true", deadline_s=session.deadline(_STATUS_S))
    return status


def _pump(run: _Run, lines: Iterator[str | None]) -> None:
    session, ledger = run.session, run.ledger
    test_limit = session.deadline(session.request.timeouts.test_s)
    seen_at = time.monotonic()
    for line in lines:
        if line is not None:
            ledger.feed(line)
        passed_s, seen_at = time.monotonic() - seen_at, time.monotonic()
        if session.health.held:
            ledger.postpone(passed_s)
            run.end += passed_s
        # The guest comes before the deadlines, because a dead guest is the reason why a test is
        # late.
        session.check_alive()
        if run.spec.pytest is not None or _is_marked(run.spec):
            session.health.check_unspoilt(ledger.marked)
        if ledger.overdue_command:
            hint = "raise the deadline_s of that command if it may take that long"
            raise _overdue(session, ledger.overdue_command, hint)
        if ledger.lost_guest:
            raise GuestLost(ledger.lost_guest, evidence=session.console.tail(20))
        hint = "raise test_s or deadline_s in the configuration if the test may take that long"
        if ledger.running_for_s > test_limit:
            raise _overdue(session, f"{ledger.running} ran for over {test_limit:.0f} s", hint)
        if time.monotonic() > run.end:
            raise _overdue(session, "the suite's deadline passed", hint)


def _overdue(session: Watched, what: str, hint: str) -> HarnessError:
    session.health.note("deadline", what)
    return TestOverdue(
        f"{what}; the guest's kernel still beats", hint=hint, evidence=session.console.tail(20)
    )
