# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""`kernel-test --record TEST`: run one test in a recorded guest, ready to be replayed.

find the test -> its command -> record it in a guest -> verdict

A recorded guest has no network, so a test that exchanges messages with its guest cannot run in
one. Two kinds of test can: a suite that is one command in the guest (`command =`), and a pytest
test that names such a command by `@pytest.mark.recordable(command=, variant="")`. Every other
test is refused before anything is built.
"""

from dataclasses import dataclass, replace

from harness.crash import expectations
from harness.errors import UsageError
from harness.host import config
from harness.model.crash import Expectation
from harness.model.request import KernelTestRequest
from harness.model.settings import Judge, TestResult, TestSpec, Verdict
from harness.record import qemu_process, record_run, recording
from harness.record.record_run import Recorded
from harness.report import ktap
from harness.report.live_view import LiveView
from harness.test_kinds import pytest_folder
from harness.test_kinds.pytest_folder import Question

_MOST_NAMES = 12


@dataclass(frozen=True, kw_only=True)
class Recordable:
    """A test, and the shell command that is recorded in its place.

    `command` is "" when the test cannot be recorded. `variant` is the variant of the module that
    the test needs, "" for the module itself. `expected` is the crash that the test announces.
    `speaks_ktap` says that the command prints KTAP, which decides the result.
    """

    name: str
    command: str
    variant: str = ""
    expected: Expectation | None = None
    speaks_ktap: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordedTest:
    """The recording of a test, and the test's result."""

    recorded: Recorded
    result: TestResult

    @property
    def exit_code(self) -> int:
        """The exit code of a recorded test: 0 passed, 1 failed.

        If the recording's own exit code is greater than 1, a test that has not passed gets that
        code: after a crash, or when the guest still ran at the deadline.
        """
        if self.result.verdict is Verdict.PASSED:
            return 0
        return max(self.recorded.exit_code, 1)


def run(
    request: KernelTestRequest, name: str, *, deadline_s: float, view: LiveView
) -> RecordedTest:
    """Record one test and return its recording and verdict.

    Raises: before anything is built, UsageError when there is no such test or it cannot be
    recorded, and when this host cannot record; TestsBroken or NoTests when the tests cannot be
    listed; later the errors of `record_run.record`.
    """
    target = config.choose_target(request.settings, request.target_name, request.kernel_name)
    qemu_process.recorder(arch=target.arch, accel=request.accel)
    test = choose(list_tests(request.settings.tests), name)
    view.note(f"{test.name}: {test.command}")
    recorded = record_run.record(
        replace(request, variant=test.variant or None),
        test.command,
        deadline_s=deadline_s,
        view=view,
    )
    return RecordedTest(recorded=recorded, result=judge(test, recorded))


def choose(tests: tuple[Recordable, ...], name: str) -> Recordable:
    """Return the test of this name: the whole name, or what follows the first '::' in it.

    Raises: UsageError with the names of the recordable tests, when the name matches none or the
        test cannot be recorded; UsageError with the matches, when it matches several.
    """
    fitting = [one for one in tests if name in {one.name, one.name.partition("::")[2]}]
    can = ", ".join(one.name for one in tests if one.command)
    if len(fitting) == 1 and fitting[0].command:
        return fitting[0]
    if fitting and fitting[0].command:
        raise UsageError(
            f"--record {name} names several tests: {', '.join(one.name for one in fitting)}"
        )
    what = (
        f"{name} exchanges messages with its guest, and a recorded guest has no network"
        if fitting
        else f"--record {name}: no such test"
    )
    raise UsageError(what, hint=f"these can be recorded: {_shortened(can)}")


def judge(test: Recordable, recorded: Recorded) -> TestResult:
    """Return a test's result, judged by the console and the exit status of its recording.

    A test that announces a crash passes only if the kernel reported that crash.
    """
    if test.speaks_ktap:
        return _by_ktap(test, recorded)
    if test.expected is None:
        verdict, reason = Verdict.PASSED, "its command ended with status 0"
        if recorded.exit_code:
            verdict = Verdict.CRASHED if recorded.exit_code == 3 else Verdict.FAILED
            reason = f"{recorded.recording.ending.value}, status {recorded.recording.status}"
        return TestResult(name=test.name, verdict=verdict, reason=reason)
    reports = recorded.explained.reports
    own = [one for one in reports if one.follows is None]
    if not own:
        reason = f"missed: no {test.expected.kind} was reported"
        return TestResult(name=test.name, verdict=Verdict.FAILED, reason=reason)
    fatal = any(one.fatal for one in reports)
    wrong = expectations.differences(test.expected, replace(own[0], fatal=fatal))
    reason = f"misnamed: {'; '.join(wrong)}" if wrong else f"as announced: {own[0].title}"
    verdict = Verdict.FAILED if wrong else Verdict.PASSED
    return TestResult(name=test.name, verdict=verdict, reason=reason)


def _by_ktap(test: Recordable, recorded: Recorded) -> TestResult:
    """Return the result of a suite that prints KTAP: passed if no case in the console failed.

    It fails, too, when the recorded run ended with an exit code other than 0, as after a crash,
    and when the console has no result. Skipped cases do not fail it.
    """
    parser = ktap.Parser()
    console = recorded.folder / recording.CONSOLE
    results = [
        event.result
        for line in console.read_text(errors="backslashreplace").splitlines()
        for event in parser.feed(line.rstrip("\r"))
        if isinstance(event, ktap.Result)
    ]
    bad = [one.name for one in results if one.verdict not in {Verdict.PASSED, Verdict.SKIPPED}]
    if recorded.exit_code or bad or not results:
        reason = f"not ok: {', '.join(bad)}" if bad else recorded.recording.ending.value
        return TestResult(name=test.name, verdict=Verdict.FAILED, reason=reason)
    return TestResult(name=test.name, verdict=Verdict.PASSED, reason=f"{len(results)} ok")


def list_tests(suites: tuple[TestSpec, ...]) -> tuple[Recordable, ...]:
    """Return the tests of suites of pytest and of commands; suites of other kinds are left out.

    A test that cannot be recorded has the command "".
    Raises: TestsBroken with pytest's output when the tests cannot be read; NoTests when pytest
    does not answer in time.
    """
    commands = (
        Recordable(name=spec.name, command=spec.command, speaks_ktap=spec.judge is Judge.KTAP)
        for spec in suites
        if spec.command is not None
    )
    tests = (
        Recordable(
            name=test.name,
            command=test.record_command,
            variant=test.variant,
            expected=test.expected,
        )
        for spec in suites
        if spec.pytest is not None
        for test in pytest_folder.collect(spec.pytest, Question())
    )
    return (*tests, *commands)


def _shortened(names: str) -> str:
    found = names.split(", ")
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(found[:_MOST_NAMES]) + more if names else "none"
