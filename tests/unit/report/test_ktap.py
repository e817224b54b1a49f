# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.ktap: KTAP lines become results, and rendered results can be parsed again."""

import pytest

from harness.model.settings import TestResult, Verdict
from harness.report.ktap import Bail, Event, Parser, Plan, Result, Started, render


def events(text: str) -> list[Event]:
    """Return every event in a KTAP document."""
    parser = Parser()
    return [event for line in text.splitlines() for event in parser.feed(line)]


def results(text: str) -> list[TestResult]:
    """Return every result in a KTAP document."""
    return [event.result for event in events(text) if isinstance(event, Result)]


@pytest.mark.parametrize(
    ("line", "name", "verdict", "reason"),
    [
        ("ok 1 good", "good", Verdict.PASSED, ""),
        ("ok 1 - good", "good", Verdict.PASSED, ""),
        ("not ok 2 bad", "bad", Verdict.FAILED, ""),
        ("ok 3 later # SKIP no device", "later", Verdict.SKIPPED, "no device"),
        ("ok 3 later # skip", "later", Verdict.SKIPPED, "skipped"),
        ("not ok 4 known # TODO bug 5", "known", Verdict.SKIPPED, "TODO: bug 5"),
        ("not ok 4 known # XFAIL", "known", Verdict.SKIPPED, "XFAIL"),
        ("not ok 5 slow # TIMEOUT 45 seconds", "slow", Verdict.FAILED, "timeout: 45 seconds"),
        ("ok 6 odd # ERROR broken", "odd", Verdict.FAILED, "error: broken"),
        ("ok", "test 1", Verdict.PASSED, ""),
    ],
)
def test_each_form_of_a_result_line_is_parsed(
    line: str, name: str, verdict: Verdict, reason: str
) -> None:
    """'ok' and 'not ok' lines of KTAP with and without number, dash and directive are read."""
    (found,) = results(f"KTAP version 1\n1..1\n{line}")

    assert (found.name, found.verdict, found.reason) == (name, verdict, reason)


@pytest.mark.parametrize("line", ["okay 1 x", "not okay", " # just talk", "random noise", "1...3"])
def test_lines_that_ktap_does_not_define_are_no_results(line: str) -> None:
    """Lines that KTAP does not define give no result."""
    assert results(line) == []


def test_the_result_of_a_subtest_is_named_by_its_parent_a_slash_and_its_own_name() -> None:
    """Subtests become results named PARENT/CHILD, and their parent's own line gives none."""
    text = """KTAP version 1
1..2
    KTAP version 1
    1..2
    # why
    not ok 1 a
    ok 2 b
not ok 1 suite
ok 2 alone""".replace("    ", "  ")

    found = results(text)

    assert [(one.name, one.verdict) for one in found] == [
        ("suite/a", Verdict.FAILED),
        ("suite/b", Verdict.PASSED),
        ("alone", Verdict.PASSED),
    ]
    assert found[0].diagnostics == ("why",)


def test_nested_ktap_of_kunit_gives_a_result_for_each_case_with_its_failure_lines() -> None:
    """KUnit's suites, cases and parameters become results, with what a failed case printed."""
    text = """KTAP version 1
1..1
    KTAP version 1
    # Subtest: greeter
    1..3
    ok 1 greets
    # is_polite: EXPECTATION FAILED at src/greeter_test.c:12
    not ok 2 is_polite
        KTAP version 1
        # Subtest: in_languages
        ok 1 english
    # in_languages: EXPECTATION FAILED at src/greeter_test.c:20
        not ok 2 french
        ok 3 latin # SKIP nobody speaks it
    not ok 3 in_languages
not ok 1 greeter"""

    found = results(text)

    assert [(one.name, one.verdict) for one in found] == [
        ("greeter/greets", Verdict.PASSED),
        ("greeter/is_polite", Verdict.FAILED),
        ("greeter/in_languages/english", Verdict.PASSED),
        ("greeter/in_languages/french", Verdict.FAILED),
        ("greeter/in_languages/latin", Verdict.SKIPPED),
    ]
    assert found[1].diagnostics == ("is_polite: EXPECTATION FAILED at src/greeter_test.c:12",)
    assert "in_languages: EXPECTATION FAILED at src/greeter_test.c:20" in found[3].diagnostics


@pytest.mark.parametrize("subtest", ["ok 1 a", "ok 1 a # SKIP no device"])
def test_a_parent_test_that_fails_although_no_subtest_failed_is_a_failed_result(
    subtest: str,
) -> None:
    """In KTAP, a test whose subtests passed or were skipped may itself be 'not ok'."""
    found = results(f"KTAP version 1\n1..1\n  1..1\n  {subtest}\nnot ok 1 suite")

    assert [(one.name, one.verdict) for one in found][1] == ("suite", Verdict.FAILED)


def test_lines_with_a_plan_a_test_start_or_a_bail_out_each_give_one_event() -> None:
    """Of KTAP lines, the plan 1..N, a test's start and 'Bail out!' are read besides results."""
    found = events("TAP version 13\n1..7\n# harness: start t::one\nBail out! no disk")

    assert found == [Plan(count=7), Started(name="t::one"), Bail(reason="no disk")]


def test_after_rendering_and_parsing_a_passed_result_is_equal_and_a_crashed_one_is_failed() -> (
    None
):
    """A result written as KTAP and read back loses what KTAP cannot say, such as a crash."""
    given = [
        TestResult(name="a", verdict=Verdict.PASSED, duration_s=1.25, diagnostics=("x", "y # z")),
        TestResult(name="b", verdict=Verdict.FAILED, diagnostics=("two\nlines",)),
        TestResult(name="c", verdict=Verdict.SKIPPED, reason="not here"),
        TestResult(name="d#1", verdict=Verdict.CRASHED, reason="it died"),
    ]

    found = results("\n".join(render(given)))

    assert found[0] == given[0]
    assert found[1].diagnostics == ("two", "lines")
    assert (found[2].verdict, found[2].reason) == (Verdict.SKIPPED, "not here")
    assert (found[3].name, found[3].verdict) == ("d_1", Verdict.FAILED)
    assert "crashed: it died" in found[3].reason
