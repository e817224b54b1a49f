# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.suites: each planned test has a result, however the suite ends."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from harness.errors import (
    GuestCrashed,
    GuestLost,
    HarnessError,
    KernelComplained,
    NoTests,
    TestOverdue,
)
from harness.model.crash import Expectation
from harness.model.request import Selection
from harness.model.settings import TestResult, TestSpec, Verdict
from harness.runs.suites import Listener, _Ledger, _pump, _pytest_process, _queued, lost

PLAN = ["KTAP version 1", "1..2", "# harness: planned t::one", "# harness: planned t::two"]


def ledger(*lines: str) -> _Ledger:
    """Return a ledger that has read these lines of a suite's output."""
    listener = Listener(
        on_start=lambda _name: None,
        on_result=lambda _result: None,
        on_expect=lambda _name, _expectation: None,
    )
    book = _Ledger("guest", listener)
    for line in lines:
        book.feed(line)
    return book


def verdicts(results: tuple[TestResult, ...]) -> dict[str, Verdict]:
    """Return name and verdict of each result."""
    return {result.name: result.verdict for result in results}


def test_a_suite_with_all_results_ends_without_an_error() -> None:
    """A suite in which every planned test has a result ends without an error."""
    book = ledger(*PLAN, "ok 1 t::one", "not ok 2 t::two")

    outcome = book.ended(None)

    assert outcome.error is None
    assert verdicts(outcome.results) == {"t::one": Verdict.PASSED, "t::two": Verdict.FAILED}


def test_a_crash_is_charged_to_the_running_test() -> None:
    """A crash counts for the running test, and the tests after it are lost."""
    book = ledger(*PLAN, "# harness: start t::one")

    outcome = book.ended(GuestCrashed("it died"))

    assert verdicts(outcome.results) == {"t::one": Verdict.CRASHED}
    assert outcome.results[0].reason == "it died"
    assert outcome.unreached == ("t::two",)
    assert outcome.running == "t::one"


def test_tests_that_were_never_reached_are_lost() -> None:
    """Planned tests that no guest could run are lost, with the reason."""
    (result,) = lost(("t::two",), "guest")

    assert (result.name, result.verdict) == ("t::two", Verdict.LOST)
    assert "not reached" in result.reason


def test_a_test_that_does_not_end_has_failed() -> None:
    """A test that exceeds its deadline in a healthy guest has failed, and nothing is lost."""
    outcome = ledger(*PLAN, "# harness: start t::one").ended(TestOverdue("ran for over 60 s"))

    assert verdicts(outcome.results) == {"t::one": Verdict.FAILED}


def test_an_earlier_tests_fault_leaves_the_running_one_without_a_result() -> None:
    """A test that an earlier test's fault interrupted gets no result, so it runs again."""
    outcome = ledger(*PLAN, "ok 1 t::one", "# harness: start t::two").ended(
        KernelComplained("WARNING in f")
    )

    assert verdicts(outcome.results) == {"t::one": Verdict.PASSED}
    assert outcome.unreached == ("t::two",)


def test_time_in_a_debugger_is_not_counted_for_the_test() -> None:
    """Time in a debugger does not count as running time of the test."""
    book = ledger(*PLAN, "# harness: start t::one")

    book.postpone(60.0)

    assert book.running_for_s < 0


def test_an_announcement_reaches_the_listener() -> None:
    """A test's announcement of a crash reaches the listener before the test runs."""
    heard: dict[str, Expectation] = {}
    listener = Listener(
        on_start=lambda _name: None, on_result=lambda _result: None, on_expect=heard.__setitem__
    )

    _Ledger("guest", listener).feed('# harness: expects t::one {"kind": "bug", "fatal": true}')

    assert heard == {"t::one": Expectation(kind="bug", fatal=True)}


def test_a_test_without_result_at_the_end_of_its_suite_is_lost() -> None:
    """A test that has begun is lost when its suite ends without its result and without a crash."""
    outcome = ledger(*PLAN, "ok 1 t::one", "# harness: start t::two").ended(None)

    assert verdicts(outcome.results)["t::two"] is Verdict.LOST


def test_a_suite_without_tests_is_an_error(tmp_path: Path) -> None:
    """A suite without any test ends in the error NoTests, with the suite's output."""
    log = tmp_path / "guest.log"
    log.write_text("collected 0 items\n")

    outcome = ledger("KTAP version 1", "1..0").ended(None, log=log)

    assert isinstance(outcome.error, NoTests)
    assert outcome.error.evidence == ("collected 0 items",)


def test_missing_results_of_a_plain_plan_are_an_error() -> None:
    """A command that announces two results and prints only one ends in an error."""
    outcome = ledger("KTAP version 1", "1..2", "ok 1 first").ended(None)

    assert outcome.error is not None or any(
        result.verdict is Verdict.LOST for result in outcome.results
    )


def test_bailing_out_is_an_error() -> None:
    """A line `Bail out!` ends a suite in an error that repeats the line's reason."""
    outcome = ledger("KTAP version 1", "1..2", "ok 1 first", "Bail out! no device").ended(None)

    assert isinstance(outcome.error, GuestLost)
    assert "no device" in outcome.error.message


def test_a_pytest_process_that_cannot_collect_says_why(tmp_path: Path) -> None:
    """A test file that cannot be imported leads to a bail-out line and a log."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_broken.py").write_text("import no_such_module_anywhere\n")
    log = tmp_path / "log"

    with _pytest_process(folder, Selection(), tmp_path / "none", log) as lines:
        seen = [line for line in lines if line]

    assert any(line.startswith("Bail out!") for line in seen)
    assert "no_such_module_anywhere" in log.read_text()


def test_a_pytest_process_reports_each_result(tmp_path: Path) -> None:
    """A pytest process prints each result as KTAP, with a failure's text or a skip's reason."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_three.py").write_text(
        "import pytest\n"
        "def test_good(): print('ok 9 not a result')\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_skipped(): pytest.skip('for a reason')\n"
    )

    with _pytest_process(folder, Selection(), tmp_path / "none", tmp_path / "log") as lines:
        outcome = ledger(*(line for line in lines if line)).ended(None)

    assert verdicts(outcome.results) == {
        "test_three::test_good": Verdict.PASSED,
        "test_three::test_bad": Verdict.FAILED,
        "test_three::test_skipped": Verdict.SKIPPED,
    }
    assert any("assert 1 == 2" in line for line in outcome.results[1].diagnostics)
    assert "for a reason" in outcome.results[2].reason


@pytest.mark.parametrize(
    ("done", "only", "ran"),
    [
        ((), (), ["good", "with[1]", "with[2]"]),
        (("test_names::test_good",), (), ["with[1]", "with[2]"]),
        ((), ("test_names::test_with[2]",), ["with[2]"]),
        (("test_names::test_good",), ("test_names::test_good",), []),
    ],
)
def test_tests_are_chosen_by_their_exact_names(
    done: Sequence[str], only: Sequence[str], ran: list[str], tmp_path: Path
) -> None:
    """Tests that have a result do not run again; of chosen tests no other runs beside them."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_names.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_with(n): pass\n"
    )
    log = tmp_path / "log"

    with _pytest_process(folder, Selection(), tmp_path / "none", log, done, only) as lines:
        outcome = ledger(*(line for line in lines if line)).ended(None)

    assert [result.name for result in outcome.results] == [f"test_names::test_{n}" for n in ran]


OVERDUE = """
import pytest
from harness.errors import CommandOverdue, GuestLost
def late(): raise CommandOverdue("a command did not end within 40 s: cat x")
def test_late(): late()
def test_expected():
    with pytest.raises(GuestLost): late()
def test_reworded():
    try: late()
    except GuestLost: pytest.fail("no answer")
@pytest.fixture
def module(): late()
def test_setup(module): pass
"""


@pytest.mark.parametrize(
    ("test", "announced"),
    [("late", True), ("expected", False), ("reworded", True), ("setup", True)],
)
def test_a_command_that_does_not_end_is_announced(
    tmp_path: Path, test: str, *, announced: bool
) -> None:
    """A command that passes its deadline is announced, except in a test that expects this."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_time.py").write_text(OVERDUE)
    chosen = Selection(expression=f"test_{test}")

    with _pytest_process(folder, chosen, tmp_path / "none", tmp_path / "log") as lines:
        book = ledger(*(line for line in lines if line))

    wanted = "a command did not end within 40 s: cat x" if announced else ""
    assert book.overdue_command == wanted


@dataclass
class Guest:
    """A guest that is well, as a suite sees it; it records what is noted about it."""

    noted: list[str] = field(default_factory=list)
    held: bool = False

    @property
    def request(self) -> "Guest":
        """The guest itself stands for its request, its limits, its health and its console."""
        return self

    timeouts = health = console = request
    test_s = 60.0

    def deadline(self, seconds: float) -> float:
        """Return the time limit unchanged."""
        return seconds

    def check_alive(self) -> None:
        """The guest is alive."""

    def check_unspoilt(self, running: str) -> None:
        """The kernel has reported nothing."""

    def note(self, _name: str, words: str) -> None:
        """Record what the suite observed."""
        self.noted.append(words)

    def tail(self, count: int) -> tuple[str, ...]:
        """Return the last lines of the console."""
        return ("last line",)[:count]


SPEC = TestSpec(name="guest", pytest=Path("tests"))
LATE = "a command did not end within 40 s: cat x"


@pytest.mark.parametrize(
    ("line", "error"),
    [(f"# harness: overdue {LATE}", TestOverdue), ("# harness: unreachable gone", GuestLost)],
)
def test_an_announced_end_of_the_guest_ends_the_suite(
    line: str, error: type[HarnessError]
) -> None:
    """An overdue command and a lost connection end the suite at once, in the running test."""
    guest = Guest()
    book = ledger(*PLAN, "# harness: start t::one")

    with pytest.raises(error) as caught:
        _pump(SPEC, iter([line, "not ok 1 t::one"]), book, cast("Any", guest))

    assert caught.value.message.startswith((LATE, "gone"))
    assert caught.value.evidence == ("last line",)
    assert book.ended(caught.value).running == "t::one"
    assert [words == LATE for words in guest.noted] == [True] * (error is TestOverdue)


def test_a_quiet_stream_yields_none_between_lines() -> None:
    """A silent stream yields None now and then, so that the caller can check the guest."""
    assert list(_queued(iter(["a\n", "b\n"]))) == ["a", "b"]
