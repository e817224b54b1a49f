# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of record_test: which tests can be recorded, and what verdict a recording gives."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import TestsBroken, UsageError
from harness.model.crash import Expectation
from harness.model.settings import TestSpec, Verdict
from harness.record import record_test, recording
from harness.record.record_run import Recorded
from harness.record.record_test import Recordable
from harness.record.recording import Ending
from tests.unit.record.test_record_run import OOPS, finished

TESTS = """
import pytest

@pytest.mark.parametrize("n", [pytest.param(1, id="one",
    marks=(pytest.mark.recordable(command="tool 1", variant="test"),
           pytest.mark.crashes(kind="null-deref", function="toy_crash")))])
def test_crash(guest, n): ...

def test_talks(guest): ...
"""
EXPECTED = Expectation(kind="null-deref", function="toy_crash", module="toy", fatal=True)
CRASHED = finished(Ending.PANIC, None, OOPS)


@pytest.fixture(scope="module")
def recordable_tests(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recordable, ...]:
    """Return the tests of a folder with two tests, and a suite that is a command."""
    folder = tmp_path_factory.mktemp("tests")
    (folder / "test_toy.py").write_text(TESTS)
    return record_test.list_tests(
        (TestSpec(name="toy", pytest=folder), TestSpec(name="selftest", command="run-selftest"))
    )


@pytest.mark.parametrize("name", ["test_toy::test_crash[one]", "test_crash[one]"])
def test_choosing_a_test_by_name_returns_its_command_variant_and_expected_crash(
    recordable_tests: tuple[Recordable, ...], name: str
) -> None:
    """A test to record is found by its name in a report or its file; no guest is started."""
    found = record_test.choose(recordable_tests, name)

    assert (found.command, found.variant) == ("tool 1", "test")
    assert found.expected == Expectation(kind="null-deref", function="toy_crash")
    assert record_test.choose(recordable_tests, "selftest").command == "run-selftest"


@pytest.mark.parametrize(
    ("name", "message"),
    [("test_talks", "a recorded guest has no network"), ("test_none", "no such test")],
)
def test_choosing_an_unrecordable_or_unknown_test_is_refused_and_recordable_ones_are_listed(
    recordable_tests: tuple[Recordable, ...], name: str, message: str
) -> None:
    """A test can be recorded if it is one command in the guest; the error says what it lacks."""
    with pytest.raises(UsageError, match=message) as caught:
        record_test.choose(recordable_tests, name)

    assert "test_toy::test_crash[one], selftest" in caught.value.hint


def test_listing_tests_with_a_syntax_error_raises_tests_broken_with_pytests_output(
    tmp_path: Path,
) -> None:
    """Tests with a syntax error raise TestsBroken, with pytest's output as evidence."""
    (tmp_path / "test_toy.py").write_text("def test_(:\n")

    with pytest.raises(TestsBroken) as caught:
        record_test.list_tests((TestSpec(name="toy", pytest=tmp_path),))

    assert any("SyntaxError" in line for line in caught.value.evidence)


@pytest.mark.parametrize(
    ("expected", "recorded", "verdict", "reason"),
    [
        (EXPECTED, CRASHED, Verdict.PASSED, "as announced"),
        (replace(EXPECTED, function="other"), CRASHED, Verdict.FAILED, "misnamed: function"),
        (EXPECTED, finished(Ending.FINISHED, 0, []), Verdict.FAILED, "missed"),
        (None, CRASHED, Verdict.CRASHED, "panic"),
        (None, finished(Ending.FINISHED, 0, []), Verdict.PASSED, "status 0"),
        (None, finished(Ending.FINISHED, 7, []), Verdict.FAILED, "status 7"),
    ],
)
def test_a_recorded_test_passes_only_with_its_expected_crash_or_without_any_if_it_expects_none(
    expected: Expectation | None, recorded: Recorded, verdict: Verdict, reason: str
) -> None:
    """A test passes only with the crash that it announced, or with none and status 0."""
    test = Recordable(name="t", command="c", expected=expected)

    found = record_test.judge(test, recorded)

    assert found.verdict is verdict
    assert reason in found.reason


@pytest.mark.parametrize(
    ("output", "verdict"),
    [
        ("KTAP version 1\n1..2\nok 1 a\r\nok 2 b # SKIP no\r\n", Verdict.PASSED),
        ("KTAP version 1\n1..2\nok 1 a\nnot ok 2 b\n", Verdict.FAILED),
        ("nothing of the kind\n", Verdict.FAILED),
    ],
)
def test_a_recorded_suite_with_no_or_a_failed_ktap_result_fails_despite_status_0(
    tmp_path: Path, output: str, verdict: Verdict
) -> None:
    """The KTAP on a recording's console decides on a suite that prints KTAP."""
    (tmp_path / recording.CONSOLE).write_text(f"[ 1.0] harness-record command\n{output}")
    recorded = replace(finished(Ending.FINISHED, 0, []), folder=tmp_path)

    found = record_test.judge(Recordable(name="s", command="c", speaks_ktap=True), recorded)

    assert found.verdict is verdict
