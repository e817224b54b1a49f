# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a suite to its end, with as many guests as that takes.

A guest that crashes or hangs is explained (`crash`) and replaced by another of the same kind, in
which the tests without a result continue. A guest whose kernel reported a fault is replaced, too.
"""

from collections.abc import Sequence
from dataclasses import replace

from harness import hints
from harness.crash import collect, expectations
from harness.errors import (
    GuestCrashed,
    GuestLost,
    HarnessError,
    HypervisorDied,
    KernelComplained,
    TestOverdue,
)
from harness.host import footprint
from harness.model.crash import Cause, Crash
from harness.model.listed import ListedSuite, is_part, name_of
from harness.model.settings import TestResult
from harness.runs import debug_on_crash, ledger, suites
from harness.runs.ledger import SuiteOutcome
from harness.runs.loaded_guest import LoadedGuest

# After these errors the host can continue with another guest.
_SURVIVABLE = (GuestCrashed, KernelComplained, TestOverdue, HypervisorDied, GuestLost)

# After this number of guests in a row without a result, something other than the tests ends them.
_MOST_IDLE = 2


# The exit code of a run that ends because of the same crash again and again, by the crash's cause;
# other causes give 3, crashed.
_EXIT_CODES = {Cause.OVERDUE: 1, Cause.QEMU: 4, Cause.UNREACHABLE: 4}


class TooManyCrashes(HarnessError):
    """Raised when the same crash has occurred `most_crashes` times in a row in one run."""


def run_suite(suite: ListedSuite, loaded: LoadedGuest) -> SuiteOutcome:
    """Run one suite and return its outcome; crashes on the way are in the run's record.

    The outcome's error is the reason why the suite could not continue, or None. Tests that were
    not reached get the verdict lost, except in a suite that is a command.
    """
    collected = _Results(loaded)
    loaded.record.suite = suite.spec.name
    idle = 0
    while True:
        before = len(collected.results)
        outcome = suites.run_suite(
            suite,
            loaded.session,
            long=loaded.request.selection.long,
            session_file=loaded.session_file,
            listener=collected.listener,
            done=tuple(result.name for result in collected.results),
        )
        error = outcome.error
        if error is not None and isinstance(error, _SURVIVABLE):
            error = _go_on(suite, loaded, outcome)
        collected.show_held()
        idle = 0 if len(collected.results) > before else idle + 1
        if error is None and idle >= _MOST_IDLE:
            error = outcome.error
        left = [name for name in suite.names if not _has_result(name, collected.results)]
        if error is not None or outcome.error is None or not left:
            break
    # A command that prints KTAP has other names for its tests than its suite's.
    is_command = suite.spec.command is not None
    lost = ledger.lost(() if is_command else left, suite.spec.name)
    return replace(outcome, results=(*collected.results, *lost), error=error)


def _has_result(name: str, results: Sequence[TestResult]) -> bool:
    return any(is_part(result.name, name) for result in results)


class _Results:
    """The results of one suite, also from guests that have been replaced since.

    The result of a test that announced a crash is not shown before `show_held`, which judges it.
    """

    def __init__(self, loaded: LoadedGuest) -> None:
        self._record = loaded.record
        self._shown = bool(loaded.request.command)
        self._held: list[TestResult] = []
        self.results: list[TestResult] = []
        self.listener = ledger.Listener(
            on_start=self._record.view.running,
            on_result=self._take,
            on_expect=self._record.expected.__setitem__,
            on_plan=lambda count: self._record.view.plan(len(self.results) + count),
            on_output=self._record.view.output if self._shown else _drop,
        )

    def _take(self, result: TestResult) -> None:
        self.results.append(result)
        self._record.add(result)
        if result.name in self._record.expected:
            self._held.append(result)
        else:
            # The lines of the user's own command were shown when they came.
            self._record.view.test(replace(result, diagnostics=()) if self._shown else result)

    def show_held(self) -> None:
        """Judge and show the results, held back so far, of tests that announced a crash.

        Such a test passes if the first crash during it is the one that it announced.
        """
        crashes = tuple(self._record.crashes)
        shown, _ = expectations.judged(self._held, (), crashes, self._record.expected)
        for result in shown:
            self._record.view.test(result)
        self._held = []


def _drop(_line: str) -> None:
    """Ignore a line of a configured suite's output, which is in the suite's log.

    Only the output of the user's own command is shown.
    """


def _go_on(suite: ListedSuite, loaded: LoadedGuest, outcome: SuiteOutcome) -> HarnessError | None:
    """Explain the end of a guest, and start the next one if the suite can continue.

    Return the error that ends the suite, or None if it continues: a suite that is a command ends
    here, and so does one whose same crash came too often or whose next guest does not start.
    """
    error = outcome.error
    if error is None:
        return None
    crash = explain(loaded, error, test=_charged(outcome))
    # A command cannot begin with the first test that has no result, so its suite ends here.
    if suite.spec.command is not None:
        return error
    reason = _too_many(loaded, crash)
    if reason is not None:
        return reason
    return _replace_guest(loaded)


def _replace_guest(loaded: LoadedGuest) -> HarnessError | None:
    """Start the next guest; return an error if it does not start.

    There is a second attempt, because a guest that starts too slowly shows a slow host, not a
    failed test.
    """
    view = loaded.record.view
    view.note("continuing in another guest")
    try:
        try:
            loaded.renew()
        except GuestLost as error:
            view.note(f"the guest did not come up, so another one is started: {error.message}")
            loaded.renew()
    except HarnessError as error:
        return error
    return None


def _charged(outcome: SuiteOutcome) -> str:
    """Return the test to which the guest's end is charged: the one that was running.

    The result is "" when the kernel's report belongs to an earlier test.
    """
    return "" if isinstance(outcome.error, KernelComplained) else outcome.running


def explain(loaded: LoadedGuest, error: HarnessError, *, test: str) -> Crash:
    """Explain the crash or hang that `error` reports, show it, add it to the run, and return it.

    If the run has --debug-on-crash, the user first gets a debugger. `test` is the test to which
    the crash is charged, "" for none.
    """
    record = loaded.record
    held_s = debug_on_crash.hand_over(loaded, error)
    number = len(record.crashes) + 1
    crash = collect.collect(
        loaded.scene(number),
        collect.Circumstances(
            error=error,
            test=test,
            number=number,
            reproduce=_command(loaded, test or _of_report(loaded)),
            held_s=held_s,
            facts=record.described,
        ),
    )
    record.crashes.append(crash)
    when = "the first crash" if number == 1 else "the last crash"
    record.facts[f"harness after {when}"] = str(footprint.now())
    return crash


def _of_report(loaded: LoadedGuest) -> str:
    """Return the test during which this guest's kernel first reported a fault, or ""."""
    return next((one.test for one in loaded.session.watch.reports if one.test), "")


def explain_rest(loaded: LoadedGuest) -> None:
    """Explain the faults that the last guest's kernel reported and survived."""
    rest = loaded.session.watch.reports
    if rest:
        error = KernelComplained(f"the kernel reported: {rest[0].title}", evidence=rest[0].text)
        explain(loaded, error, test=rest[0].test)


def _command(loaded: LoadedGuest, test: str) -> str:
    """Return the kernel-test command that runs this test again on the same target and kernel.

    For "" it runs all tests; in a run of the user's own command it repeats that command.
    """
    request = loaded.request
    if request.command:
        return hints.command("kernel-test", "--command", request.command)
    words = ["kernel-test"]
    words += [f"--target={request.target_name}"] if request.target_name else []
    words += [f"--kernel={request.kernel_name}"] if request.kernel_name else []
    words += [f"--{group}-tests" for group in request.selection.groups if group]
    suites = {spec.name: spec for spec in request.suites}
    spec = suites.get(loaded.record.suite)
    words += [name_of(test, spec)] if test and spec is not None else []
    return hints.command(*words)


def _too_many(loaded: LoadedGuest, crash: Crash) -> HarnessError | None:
    """Return an error if the last `most_crashes` crashes of the run are equal, else None.

    Crashes with the same signature are equal, and `crash` is the last of them. A crash that its
    test announced does not count. With `most_crashes` 0 there is no limit. None is also returned
    for a fault that the kernel only reported.
    """
    most = loaded.request.most_crashes
    record = loaded.record
    last = record.crashes[-most:] if most else []
    wanted = record.expected
    same = [one for one in last if one.signature == crash.signature and one.test not in wanted]
    if not most or len(same) < most:
        return None
    if crash.cause is Cause.REPORT:
        return None
    error = TooManyCrashes(
        f"the same crash {most} times in a row: {crash.title}",
        hint=f"{crash.folder / 'report.md'} explains it; --maxcrash=0 continues after every crash",
    )
    error.exit_code = _EXIT_CODES.get(crash.cause, GuestCrashed.exit_code)
    return error
