# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.ledger: each listed test has a result, however the suite ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import (
    GuestCrashed,
    KernelComplained,
    NoTests,
    TestOverdue,
    TestsBroken,
)
from harness.model.crash import Expectation
from harness.model.listed import ListedSuite, ListedTest
from harness.model.settings import Judge, TestResult, TestSpec, Verdict
from harness.runs.ledger import Ledger, Listener, lost

PLAN = ["KTAP version 1", "1..2"]
PYTEST = ListedSuite(
    spec=TestSpec(name="guest", pytest=Path("tests")),
    tests=(ListedTest(name="t::one"), ListedTest(name="t::two")),
)
KTAP, EXIT_CODE, SELFTESTS, BLKTESTS = (
    ListedSuite(spec=spec, tests=(ListedTest(name=name, command="run-it"),))
    for spec, name in (
        (TestSpec(name="inside", command="run-it"), "inside"),
        (TestSpec(name="inside", command="run-it", judge=Judge.EXIT_CODE), "inside"),
        (TestSpec(name="selftests", kselftest=Path("tests")), "one.sh"),
        (TestSpec(name="blktests", blktests=Path("tests")), "block/001"),
    )
)


def listener() -> Listener:
    """Return a listener that hears nothing."""
    return Listener(
        on_start=lambda _name: None,
        on_result=lambda _result: None,
        on_expect=lambda _name, _expectation: None,
    )


def ledger(*lines: str) -> Ledger:
    """Return a ledger that has read these lines of a pytest suite's output."""
    book = Ledger(PYTEST, PYTEST.names, listener())
    for line in lines:
        book.feed(line)
    return book


def command(suite: ListedSuite, *lines: str, status: int, errors: tuple[str, ...] = ()) -> Ledger:
    """Return a ledger that has read a whole command, its stdout before its stderr."""
    book = Ledger(suite, suite.names, listener())
    book.begin(suite.tests[0])
    for line in lines:
        book.feed(line)
    for line in errors:
        book.hear(line)
    book.end(status)
    return book


def verdicts(results: tuple[TestResult, ...]) -> dict[str, Verdict]:
    """Return name and verdict of each result."""
    return {result.name: result.verdict for result in results}


def test_a_suite_with_all_results_ends_without_an_error() -> None:
    """A suite in which every planned test has a result in KTAP ends without an error."""
    book = ledger(*PLAN, "ok 1 t::one", "not ok 2 t::two")

    outcome = book.ended(None)

    assert outcome.error is None
    assert verdicts(outcome.results) == {"t::one": Verdict.PASSED, "t::two": Verdict.FAILED}


def test_after_a_crash_the_running_test_has_the_verdict_crashed() -> None:
    """When the guest crashes, the tests that were to run after the running one are unreached."""
    book = ledger(*PLAN, "# harness: start t::one")

    outcome = book.ended(GuestCrashed("it died"))

    assert verdicts(outcome.results) == {"t::one": Verdict.CRASHED}
    assert outcome.results[0].reason == "it died"
    assert outcome.unreached == ("t::two",)
    assert outcome.running == "t::one"


def test_planned_tests_that_no_guest_reached_have_the_verdict_lost() -> None:
    """Tests that the suite's plan line announced and no guest ran are lost, with the reason."""
    (result,) = lost(("t::two",), "guest")

    assert (result.name, result.verdict) == ("t::two", Verdict.LOST)
    assert "not reached" in result.reason


def test_a_test_that_does_not_end_has_failed() -> None:
    """A test that exceeds its deadline in a healthy guest has failed; no other test is lost."""
    outcome = ledger(*PLAN, "# harness: start t::one").ended(TestOverdue("ran for over 60 s"))

    assert verdicts(outcome.results) == {"t::one": Verdict.FAILED}


def test_a_started_test_that_a_kernel_warning_interrupts_has_no_result_but_is_unreached() -> None:
    """A warning of the test before ends the guest, so the started test runs again in another."""
    outcome = ledger(*PLAN, "ok 1 t::one", "# harness: start t::two").ended(
        KernelComplained("WARNING in f")
    )

    assert verdicts(outcome.results) == {"t::one": Verdict.PASSED}
    assert outcome.unreached == ("t::two",)


def test_time_in_a_debugger_is_no_running_time_of_the_test() -> None:
    """While a person debugs the guest, the running test's deadline moves."""
    book = ledger(*PLAN, "# harness: start t::one")

    book.postpone(60.0)

    assert book.running_for_s < 0


def test_a_tests_announcement_of_an_expected_crash_is_parsed_and_given_to_the_listener() -> None:
    """The suite's line '# harness: expects NAME {...}' is read before the test runs."""
    heard: dict[str, Expectation] = {}
    listener = Listener(
        on_start=lambda _name: None, on_result=lambda _result: None, on_expect=heard.__setitem__
    )

    Ledger(PYTEST, (), listener).feed('# harness: expects t::one {"kind": "bug", "fatal": true}')

    assert heard == {"t::one": Expectation(kind="bug", fatal=True)}


def test_a_test_without_result_at_the_end_of_its_suite_is_lost() -> None:
    """A test whose start was printed, but whose result never came, is lost without a crash."""
    outcome = ledger(*PLAN, "ok 1 t::one", "# harness: start t::two").ended(None)

    assert verdicts(outcome.results)["t::two"] is Verdict.LOST


def test_a_suite_without_tests_is_an_error(tmp_path: Path) -> None:
    """A suite without any test ends in the error NoTests, with the suite's output."""
    log = tmp_path / "guest.log"
    log.write_text("collected 0 items\n")

    outcome = ledger("KTAP version 1", "1..0").ended(None, log=log)

    assert isinstance(outcome.error, NoTests)
    assert outcome.error.evidence == ("collected 0 items",)


def test_missing_results_of_a_plan_fail_the_command() -> None:
    """A command that announces two results and prints one has failed, with what it wrote last."""
    book = command(KTAP, *PLAN, "ok 1 first", status=139, errors=("Segmentation fault",))

    outcome = book.ended(None)

    assert outcome.error is None
    assert verdicts(outcome.results) == {"first": Verdict.PASSED, "inside": Verdict.FAILED}
    assert "1 of 2 planned results" in outcome.results[1].reason
    assert "status 139" in outcome.results[1].reason
    assert outcome.results[1].diagnostics == ("Segmentation fault",)


def test_a_bail_out_line_of_pytest_ends_its_suite_in_tests_broken_with_the_reason() -> None:
    """After 'Bail out! REASON' from pytest, the outcome's error is TestsBroken with REASON."""
    outcome = ledger("KTAP version 1", "1..2", "ok 1 t::one", "Bail out! no device").ended(None)

    assert isinstance(outcome.error, TestsBroken)
    assert "no device" in outcome.error.message


def test_a_command_that_bails_out_has_failed() -> None:
    """'Bail out!' printed by a suite's command fails the command, and blames no guest."""
    outcome = command(KTAP, *PLAN, "ok 1 first", "Bail out! no device", status=1).ended(None)

    assert outcome.error is None
    assert outcome.results[1].reason == "bailed out: no device"


@pytest.mark.parametrize(
    ("suite", "status", "verdict"),
    [
        (EXIT_CODE, 0, Verdict.PASSED),
        (EXIT_CODE, 4, Verdict.FAILED),
        (EXIT_CODE, 127, Verdict.FAILED),
        (EXIT_CODE, -1, Verdict.FAILED),
        (KTAP, 127, Verdict.FAILED),
        (SELFTESTS, 0, Verdict.PASSED),
        (SELFTESTS, 4, Verdict.SKIPPED),
        (SELFTESTS, 1, Verdict.FAILED),
        (BLKTESTS, 1, Verdict.FAILED),
        (BLKTESTS, 0, Verdict.FAILED),
    ],
)
def test_without_ktap_exit_code_0_passes_except_in_blktests_and_4_skips_only_a_selftest(
    suite: ListedSuite, status: int, verdict: Verdict
) -> None:
    """A test program that prints no KTAP is judged by its exit code and kind of suite."""
    outcome = command(suite, "some words", status=status).ended(None)

    assert outcome.error is None
    assert verdicts(outcome.results) == {suite.names[0]: verdict}
    assert outcome.results[0].diagnostics == ("some words",)
    assert outcome.unreached == ()


def test_a_command_of_a_ktap_suite_that_exits_with_0_and_prints_no_ktap_is_an_error(
    tmp_path: Path,
) -> None:
    """A command that should print KTAP and prints none has no verdict; the hint names judge."""
    log = tmp_path / "inside.log"
    log.write_text("hello\n")

    outcome = command(KTAP, "hello", status=0).ended(None, log=log)

    assert isinstance(outcome.error, NoTests)
    assert 'judge = "exit-code"' in outcome.error.hint
    assert outcome.error.evidence == ("hello",)


def test_ktap_that_is_good_does_not_hide_a_bad_exit_code() -> None:
    """A command whose results are all good, and which ends with status 3, has failed."""
    outcome = command(KTAP, "KTAP version 1", "1..1", "ok 1 first", status=3).ended(None)

    assert verdicts(outcome.results) == {"first": Verdict.PASSED, "inside": Verdict.FAILED}
    assert "status 3" in outcome.results[1].reason


def test_each_ktap_result_has_the_lines_printed_before_it_on_stdout_and_stderr() -> None:
    """What a command printed before a result, on both streams, belongs to that result."""
    book = Ledger(KTAP, KTAP.names, listener())
    book.begin(KTAP.tests[0])
    for line in ("KTAP version 1", "1..2", "trying one", "ok 1 one", "# why", "trying two"):
        book.feed(line)
    book.hear("cat: /dev/greeter: Permission denied")
    book.feed("not ok 2 two")
    book.end(1)

    one, two = book.ended(None).results

    assert one.diagnostics == ("trying one",)
    assert two.diagnostics == ("why", "trying two", "cat: /dev/greeter: Permission denied")


def test_each_ktap_case_of_a_selftest_is_a_result_named_selftest_slash_case() -> None:
    """A selftest that prints KTAP gives a result for each case, and none of its own."""
    outcome = command(SELFTESTS, *PLAN, "ok 1 a", "not ok 2 b", status=1).ended(None)

    assert verdicts(outcome.results) == {
        "one.sh/a": Verdict.PASSED,
        "one.sh/b": Verdict.FAILED,
    }
    assert outcome.unreached == ()


def test_a_selftest_with_a_skip_plan_and_exit_code_4_is_skipped_for_the_plans_reason() -> None:
    """The plan `1..0 # SKIP reason` with exit code 4 skips the selftest for that reason."""
    outcome = command(SELFTESTS, "TAP version 13", "1..0 # SKIP no device", status=4).ended(None)

    assert outcome.results[0].verdict is Verdict.SKIPPED
    assert outcome.results[0].reason == "no device"


@pytest.mark.parametrize(
    ("lines", "verdict", "reason"),
    [
        (("block/001 (stress)   [passed]", "    runtime  ...  1.2s"), Verdict.PASSED, ""),
        (("block/001 (stress)   [not run]", "    no fio"), Verdict.SKIPPED, "no fio"),
    ],
)
def test_a_blktests_test_passes_or_is_skipped_by_the_output_of_its_check_script(
    lines: tuple[str, ...], verdict: Verdict, reason: str
) -> None:
    """A test of blktests passes or is skipped by what `check` printed of it."""
    outcome = command(BLKTESTS, *lines, status=0).ended(None)

    assert (outcome.results[0].verdict, outcome.results[0].reason) == (verdict, reason)


def test_a_guest_crash_during_a_command_gives_the_command_the_verdict_crashed() -> None:
    """A guest that dies while a command runs gives that command the verdict crashed."""
    book = Ledger(EXIT_CODE, EXIT_CODE.names, listener())
    book.begin(EXIT_CODE.tests[0])

    outcome = book.ended(GuestCrashed("it died"))

    assert verdicts(outcome.results) == {"inside": Verdict.CRASHED}


def test_the_ledger_counts_the_running_time_of_a_selftest_but_not_of_a_command_suite() -> None:
    """Only a selftest has a deadline of its own; a command has that of its suite."""
    whole, one = Ledger(EXIT_CODE, (), listener()), Ledger(SELFTESTS, (), listener())
    whole.begin(EXIT_CODE.tests[0])
    one.begin(SELFTESTS.tests[0])

    assert whole.running_for_s == 0
    assert one.running_for_s > 0


def test_lines_of_a_command_that_are_not_ktap_are_passed_to_the_listener() -> None:
    """What else a suite's command prints on both streams is shown to the user."""
    heard: list[str] = []
    book = Ledger(KTAP, KTAP.names, replace(listener(), on_output=heard.append))
    book.begin(KTAP.tests[0])

    for line in ("KTAP version 1", "1..1", "words", "ok 1 a"):
        book.feed(line)
    book.hear("more words")

    assert heard == ["words", "more words"]
