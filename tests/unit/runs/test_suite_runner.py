# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.suite_runner: with several guests each planned test has a result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import GuestCrashed, GuestLost, HarnessError, KernelComplained
from harness.model.crash import Crash, Expectation
from harness.model.listed import ListedSuite, ListedTest
from harness.model.request import Selection
from harness.model.settings import TestResult, TestSpec, Verdict
from harness.runs import suite_runner, suites
from harness.runs.ledger import Listener, SuiteOutcome
from tests.unit.crashes import crash

PLAN = ("t::one", "t::two", "t::three")
SUITE = ListedSuite(
    spec=TestSpec(name="guest", pytest=Path("tests")),
    tests=tuple(ListedTest(name=name) for name in PLAN),
)


@dataclass
class FakeView:
    """A stand-in for the live view that records what was shown."""

    shown: list[TestResult] = field(default_factory=list)

    def plan(self, count: int) -> None:
        """Record how many results are to come."""

    def running(self, name: str) -> None:
        """Record that a test begins."""

    def note(self, text: str) -> None:
        """Record a note."""

    def test(self, result: TestResult) -> None:
        """Record a shown result."""
        self.shown.append(result)


@dataclass
class FakeRecord:
    """A stand-in for a run's record with only what the suite runner uses."""

    view: FakeView = field(default_factory=FakeView)
    crashes: list[Crash] = field(default_factory=list)
    expected: dict[str, Expectation] = field(default_factory=dict)
    results: list[TestResult] = field(default_factory=list)
    suite: str = ""

    def add(self, result: TestResult) -> None:
        """Store a result."""
        self.results.append(result)


@dataclass
class FakeLoadedGuest:
    """A stand-in for a loaded guest that can be renewed a number of times, or never."""

    record: FakeRecord = field(default_factory=FakeRecord)
    renewed: int = 0
    refuses: HarnessError | None = None
    refusals: int = 2
    most_crashes: int = 3

    session = session_file = None
    selection = Selection()
    command = ""

    @property
    def request(self) -> "FakeLoadedGuest":
        """Return the request of the run."""
        return self

    def renew(self) -> None:
        """Start another guest, or raise when the number of renewals is used up."""
        if self.refuses is not None and self.refusals:
            self.refusals -= 1
            raise self.refuses
        self.renewed += 1


Step = Callable[[Listener, Sequence[str]], SuiteOutcome]


def run(monkeypatch: pytest.MonkeyPatch, loaded: FakeLoadedGuest, *steps: Step) -> SuiteOutcome:
    """Run a suite in which each pytest process behaves like the next of these functions."""
    left = list(steps)

    def run_suite(_spec: Any, _session: Any, **options: Any) -> SuiteOutcome:
        return left.pop(0)(options["listener"], options["done"])

    def explain(loaded: FakeLoadedGuest, error: HarnessError, *, test: str) -> Crash:
        found = crash(number=len(loaded.record.crashes) + 1, test=test, title=error.message)
        loaded.record.crashes.append(found)
        return found

    monkeypatch.setattr(suites, "run_suite", run_suite)
    monkeypatch.setattr(suite_runner, "explain", explain)
    return suite_runner.run_suite(SUITE, cast("Any", loaded))


def dies_in(name: str, error: HarnessError | None = None) -> Step:
    """Return a process that passes every test before one test, in which the guest dies."""

    def step(listener: Listener, done: Sequence[str]) -> SuiteOutcome:
        rest = [one for one in PLAN if one not in done]
        passed = rest[: rest.index(name)]
        results = [TestResult(name=one, verdict=Verdict.PASSED) for one in passed]
        results.append(TestResult(name=name, verdict=Verdict.CRASHED))
        for result in results:
            listener.on_result(result)
        return SuiteOutcome(
            results=tuple(results),
            error=error or GuestCrashed("it died"),
            unreached=tuple(rest[rest.index(name) + 1 :]),
            running=name,
        )

    return step


def passes(listener: Listener, done: Sequence[str]) -> SuiteOutcome:
    """Pass every test that has no result yet."""
    rest = [one for one in PLAN if one not in done]
    for one in rest:
        listener.on_result(TestResult(name=one, verdict=Verdict.PASSED))
    return SuiteOutcome(results=())


def collects_nothing(_listener: Listener, _done: Sequence[str]) -> SuiteOutcome:
    """Collect no test, as a process does whose test folder was removed."""
    return SuiteOutcome(results=(), error=GuestLost("no test was collected"))


def verdicts(outcome: SuiteOutcome) -> dict[str, str]:
    """Return the verdict of each test."""
    return {result.name: result.verdict.value for result in outcome.results}


def test_the_tests_after_a_crash_run_in_another_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fake guest crashed, a second one runs the rest, and the suite has no error."""
    loaded = FakeLoadedGuest()

    outcome = run(monkeypatch, loaded, dies_in("t::two"), passes)

    assert verdicts(outcome) == {"t::one": "passed", "t::two": "crashed", "t::three": "passed"}
    assert outcome.error is None
    assert loaded.renewed == 1
    assert [one.test for one in loaded.record.crashes] == ["t::two"]
    assert loaded.record.results == list(outcome.results)


def test_planned_tests_that_pytest_no_longer_collects_after_a_crash_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tests that pytest planned for the first guest and not for the second are lost."""
    steps = (dies_in("t::one"), collects_nothing, collects_nothing)

    outcome = run(monkeypatch, FakeLoadedGuest(), *steps)

    assert verdicts(outcome) == {"t::one": "crashed", "t::two": "lost", "t::three": "lost"}
    assert outcome.error is not None


def test_a_guest_that_cannot_be_replaced_ends_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no second guest starts after a crash, the suite has that error; its tests are lost."""
    loaded = FakeLoadedGuest(refuses=GuestLost("no answer"))

    outcome = run(monkeypatch, loaded, dies_in("t::one"))

    assert str(outcome.error) == "no answer"
    assert verdicts(outcome)["t::three"] == "lost"


def test_a_replacement_guest_is_started_once_more_if_it_is_too_slow_but_not_if_it_crashed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second guest after a crash gets one more try if it only did not answer in time."""
    slow = FakeLoadedGuest(refuses=GuestLost("no answer"), refusals=1)
    dead = FakeLoadedGuest(refuses=GuestCrashed("dead"), refusals=1)

    outcome = run(monkeypatch, slow, dies_in("t::one"), passes)
    other = run(monkeypatch, dead, dies_in("t::one"))

    assert outcome.error is None
    assert verdicts(outcome) == {"t::one": "crashed", "t::two": "passed", "t::three": "passed"}
    assert str(other.error) == "dead"


def test_three_equal_crashes_in_a_row_end_the_run_unless_expected_or_the_limit_is_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A crash in every test would cost a new guest each time, so the run ends early."""
    steps = [dies_in(name) for name in PLAN]

    outcome = run(monkeypatch, FakeLoadedGuest(), *steps)

    assert "3 times in a row" in str(outcome.error)
    wanted = FakeLoadedGuest(
        record=FakeRecord(expected=dict.fromkeys(PLAN, Expectation(kind="bug")))
    )
    assert run(monkeypatch, wanted, *steps).error is None
    endless = FakeLoadedGuest(most_crashes=0)
    assert run(monkeypatch, endless, *steps).error is None


def test_a_test_whose_crash_matches_its_expected_crash_is_shown_as_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run prints a test's result only after its crash was compared with the announced one."""
    wanted = Expectation(kind="null-deref", function="osq_break")
    loaded = FakeLoadedGuest(record=FakeRecord(expected={"t::one": wanted}))

    run(monkeypatch, loaded, dies_in("t::one"), passes)

    assert loaded.record.view.shown[0].verdict is Verdict.PASSED
    assert loaded.record.view.shown[0].reason.startswith("as announced")


def test_a_test_running_when_a_kernel_warning_is_found_is_run_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The warning belongs to the test before; the running test is repeated in another guest."""

    def complains(listener: Listener, _done: Sequence[str]) -> SuiteOutcome:
        listener.on_result(TestResult(name="t::one", verdict=Verdict.PASSED))
        return SuiteOutcome(
            results=(),
            error=KernelComplained("WARNING in f"),
            unreached=PLAN[1:],
            running="t::two",
        )

    loaded = FakeLoadedGuest()

    outcome = run(monkeypatch, loaded, complains, passes)

    assert loaded.record.crashes[0].test == ""
    assert set(verdicts(outcome).values()) == {"passed"}
