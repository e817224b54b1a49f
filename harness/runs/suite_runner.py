# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run a suite to its end over as many guests as it takes.

A guest that comes to a bad end is explained (`crash`), replaced by another of its kind, and the
tests that have no result yet go on there. A kernel that has complained is replaced, too.
"""

import shlex
from dataclasses import replace

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
from harness.model.settings import TestResult, TestSpec
from harness.runs import debug_on_crash, suites
from harness.runs.loaded_guest import StandingGuest
from harness.runs.suites import SuiteOutcome

# What leaves the host able to go on with another guest.
_SURVIVABLE = (GuestCrashed, KernelComplained, TestOverdue, HypervisorDied, GuestLost)

# Guests in a row in which no test came to a result: something other than the tests kills them.
_MOST_IDLE = 2


# What the same end again and again makes of a run; 3, crashed, for all that are not here.
_EXIT_CODES = {Cause.OVERDUE: 1, Cause.QEMU: 4, Cause.UNREACHABLE: 4}


class TooManyCrashes(HarnessError):
    """Raised when the same crash has come as often in a row as the run allows."""


def run_suite(spec: TestSpec, standing: StandingGuest) -> SuiteOutcome:
    """Return the outcome of one suite; crashes on the way are in the run's record.

    The outcome's error is what ended the suite for good, if anything did.
    """
    books = _Books(standing)
    planned: tuple[str, ...] = ()
    idle = 0
    while True:
        before = len(books.results)
        outcome = suites.run_suite(
            spec,
            standing.session,
            selection=standing.request.selection,
            session_file=standing.session_file,
            listener=books.listener,
            done=tuple(result.name for result in books.results),
        )
        # A later process that collects less than the first does not make the rest disappear.
        planned = planned or outcome.planned
        error = outcome.error
        if error is not None and isinstance(error, _SURVIVABLE):
            error = _survived(spec, standing, outcome)
        books.show_held()
        idle = 0 if len(books.results) > before else idle + 1
        if error is None and idle >= _MOST_IDLE:
            error = outcome.error
        done = {result.name for result in books.results}
        left = [name for name in planned if name not in done]
        if error is not None or outcome.error is None or not left:
            break
    lost = suites.lost(left, spec.name)
    return replace(outcome, results=(*books.results, *lost), error=error)


class _Books:
    """The results of one suite over all its guests; those of announced crashes wait for them."""

    def __init__(self, standing: StandingGuest) -> None:
        self._record = standing.record
        self._held: list[TestResult] = []
        self.results: list[TestResult] = []
        self.listener = suites.Listener(
            on_start=self._record.view.running,
            on_result=self._take,
            on_expect=self._record.expected.__setitem__,
        )

    def _take(self, result: TestResult) -> None:
        self.results.append(result)
        if result.name in self._record.expected:
            self._held.append(result)
        else:
            self._record.view.test(result)

    def show_held(self) -> None:
        """Show the results that had to wait for their crash, as they are now."""
        crashes = tuple(self._record.crashes)
        shown, _ = expectations.judged(self._held, (), crashes, self._record.expected)
        for result in shown:
            self._record.view.test(result)
        self._held = []


def _survived(
    spec: TestSpec, standing: StandingGuest, outcome: SuiteOutcome
) -> HarnessError | None:
    """Explain the end of a guest and bring up the next; return why that is not possible, if so."""
    error = outcome.error
    if error is None:
        return None
    found = explain(standing, error, test=_charged(outcome))
    if spec.pytest is None:
        return error
    reason = _enough(standing, found)
    if reason is not None:
        return reason
    return _renewed(standing)


def _renewed(standing: StandingGuest) -> HarnessError | None:
    """Bring up the next guest; return why there is none.

    That one guest is too slow to come up says something of the host, and nothing of a test: so
    there is a second attempt.
    """
    view = standing.record.view
    view.note("another guest takes over")
    try:
        try:
            standing.renew()
        except GuestLost as error:
            view.note(f"it did not come up, so one more: {error.message}")
            standing.renew()
    except HarnessError as error:
        return error
    return None


def _charged(outcome: SuiteOutcome) -> str:
    """Return the test that was running; an earlier one's fault says its own test."""
    return "" if isinstance(outcome.error, KernelComplained) else outcome.running


def explain(standing: StandingGuest, error: HarnessError, *, test: str) -> Crash:
    """Return the crash behind an error, kept in the run's record and shown."""
    record = standing.record
    held_s = debug_on_crash.hand_over(standing, error)
    number = len(record.crashes) + 1
    found = collect.collect(
        standing.scene(number),
        collect.Circumstances(
            error=error,
            test=test,
            number=number,
            reproduce=_command(standing, test or _of_report(standing)),
            held_s=held_s,
            facts=dict(record.facts),
        ),
    )
    record.crashes.append(found)
    held = f"harness after {'the first crash' if found.number == 1 else 'the last crash'}"
    record.facts[held] = str(footprint.now())
    record.reports += standing.session.watch.reports
    return found


def _of_report(standing: StandingGuest) -> str:
    """Return the test during which the kernel first complained, or ""."""
    return next((one.test for one in standing.session.watch.reports if one.test), "")


def explain_rest(standing: StandingGuest) -> None:
    """Explain what the kernel has reported in the last guest and nobody has looked at yet."""
    live = standing.session
    rest = [one for one in live.watch.reports if not live.liveness.is_allowed(one)]
    if rest:
        error = KernelComplained(f"the kernel reported: {rest[0].title}", evidence=rest[0].text)
        explain(standing, error, test=rest[0].test)


def _command(standing: StandingGuest, test: str) -> str:
    """Return the command line that runs the test again, as far as one test does it."""
    request = standing.request
    words = ["./dev", "kernel-test"]
    words += [f"--target={request.target_name}"] if request.target_name else []
    words += [f"--kernel={request.kernel_name}"] if request.kernel_name else []
    words += [f"--{group}-tests" for group in request.selection.groups if group]
    name = test.partition("::")[2] or test
    words += ["-k", shlex.quote(name)] if name else []
    return " ".join(words)


def _enough(standing: StandingGuest, found: Crash) -> HarnessError | None:
    """Return an error when the last crashes were all the same one, and none was asked for."""
    most = standing.request.most_crashes
    record = standing.record
    last = record.crashes[-most:] if most else []
    wanted = record.expected
    same = [one for one in last if one.signature == found.signature and one.test not in wanted]
    if not most or len(same) < most:
        return None
    if found.cause is Cause.REPORT:
        return None
    error = TooManyCrashes(
        f"the same crash {most} times in a row: {found.title}",
        hint=f"{found.folder / 'report.md'} explains it; --maxcrash=0 goes on whatever happens",
    )
    error.exit_code = _EXIT_CODES.get(found.cause, GuestCrashed.exit_code)
    return error
