# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of expectations: an announced crash passes only with exactly the announced values."""

from dataclasses import replace
from typing import Any

import pytest

from harness.crash.expectations import differences, judged
from harness.model.crash import Cause, Expectation
from harness.model.settings import TestResult, Verdict
from tests.unit.crashes import crash, report

WANTED = Expectation(
    kind="null-deref", function="osq_break", place="break.c:7", module="osq", fatal=True
)


def test_a_test_whose_crash_equals_its_expected_crash_passes() -> None:
    """A test passes when kind, function, place, module and fatality are as announced."""
    ended = TestResult(name="t::one", verdict=Verdict.CRASHED)

    ((result,), loose) = judged((ended,), (report(),), (crash(),), {"t::one": WANTED})

    assert result.verdict is Verdict.PASSED
    assert "osq_break" in result.reason
    assert loose == ()


def test_a_test_that_expects_a_crash_and_ends_without_one_fails() -> None:
    """A test that announces a crash fails when no crash happens."""
    ended = TestResult(name="t::one", verdict=Verdict.PASSED)

    ((result,), _) = judged((ended,), (), (), {"t::one": WANTED})

    assert result.verdict is Verdict.FAILED
    assert result.reason.startswith("missed: ")


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"kind": "bug"}, "kind is bug"),
        ({"function": "osq_other"}, "function is osq_other"),
        ({"place": "break.c:8"}, "place is break.c:8"),
        ({"place": ""}, "place is unknown"),
        ({"place": "outbreak.c:7"}, "place is outbreak.c:7"),
        ({"module": ""}, "module is unknown"),
        ({"cause": Cause.REPORT, "reports": (report(fatal=False),)}, "fatal is False"),
    ],
)
def test_a_test_whose_crash_differs_from_its_expected_crash_fails(
    fields: dict[str, Any], word: str
) -> None:
    """The test's failure lists each value of the crash that differs, with the expected one."""
    ended = TestResult(name="t::one", verdict=Verdict.CRASHED)

    ((result,), _) = judged((ended,), (), (crash(**fields),), {"t::one": WANTED})

    assert result.verdict is Verdict.FAILED
    assert f"{word}, not " in result.reason


@pytest.mark.parametrize("cause", [Cause.REPORT, Cause.PANIC])
def test_a_later_tests_fatal_report_does_not_count_against_an_expected_crash(cause: Cause) -> None:
    """A test that expects a non-fatal crash still passes if a later test's crash is fatal."""
    wanted = Expectation(kind="null-deref", fatal=False)
    first = report(test="t::one", fatal=False)
    later = report(test="t::two", fatal=True, line=first.line + 50)
    found = crash(test="t::one", cause=cause, reports=(first, later))
    panic = report(test="t::two", fatal=True, line=later.line + 50, follows=later.line)
    oops = replace(later, fatal=False)

    assert differences(wanted, found) == ()
    assert differences(wanted, replace(found, reports=(first, oops, panic))) == ()
    for end in ({"follows": first.line}, {"test": ""}, {"test": "t::one"}):
        own = replace(found, reports=(first, replace(later, **end)))
        assert differences(wanted, own) == ("fatal is True, not False",)


def test_an_empty_field_of_an_expected_crash_matches_any_value() -> None:
    """An expected place also matches the end of a path: break.c:7 for kernel/os/break.c:7."""
    assert differences(Expectation(kind="null-deref"), crash()) == ()
    longer = crash(place="kernel/os/linux/break.c:7")
    assert differences(Expectation(kind="null-deref", place="break.c:7"), longer) == ()


def test_a_test_that_expects_no_crash_keeps_its_verdict_and_its_reports() -> None:
    """A test that announced no crash keeps its verdict and the kernel reports that came in it."""
    ended = TestResult(name="t::one", verdict=Verdict.CRASHED)

    results, loose = judged((ended,), (report(),), (crash(),), {})

    assert results == (ended,)
    assert loose == (report(),)


def test_a_skipped_test_that_expects_a_crash_stays_skipped() -> None:
    """A skipped test stays skipped, although the crash that it announces did not happen."""
    skipped = TestResult(name="t::one", verdict=Verdict.SKIPPED, reason="no KASAN")

    ((result,), _) = judged((skipped,), (), (), {"t::one": WANTED})

    assert result is skipped
