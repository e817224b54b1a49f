# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""record_test: which tests can be recorded, and what a recording makes of one."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import NoTests, UsageError
from harness.model.crash import Expectation
from harness.model.settings import TestSpec, Verdict
from harness.record import record_test, recording
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


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recordable, ...]:
    """Give the tests of a folder, and a suite that is a command."""
    folder = tmp_path_factory.mktemp("tests")
    (folder / "test_toy.py").write_text(TESTS)
    return record_test.known(
        (TestSpec(name="toy", pytest=folder), TestSpec(name="selftest", command="run-selftest"))
    )


@pytest.mark.parametrize("name", ["test_toy::test_crash[one]", "test_crash[one]"])
def test_a_test_is_found_with_what_it_announces(known: tuple[Recordable, ...], name: str) -> None:
    """By its name in the report, or in its file; no guest is asked for."""
    found = record_test.choose(known, name)

    assert (found.command, found.variant) == ("tool 1", "test")
    assert found.expected == Expectation(kind="null-deref", function="toy_crash")
    assert record_test.choose(known, "selftest").command == "run-selftest"


@pytest.mark.parametrize(
    ("name", "said"),
    [("test_talks", "talks with its guest over the network"), ("test_none", "no such test")],
)
def test_what_cannot_be_recorded_is_said_with_what_can(
    known: tuple[Recordable, ...], name: str, said: str
) -> None:
    """The hint lists the others."""
    with pytest.raises(UsageError, match=said) as caught:
        record_test.choose(known, name)

    assert "test_toy::test_crash[one], selftest" in caught.value.hint


def test_tests_that_cannot_be_read_are_no_tests(tmp_path: Path) -> None:
    """Pytest's own words are the evidence."""
    (tmp_path / "test_toy.py").write_text("def test_(:\n")

    with pytest.raises(NoTests) as caught:
        record_test.known((TestSpec(name="toy", pytest=tmp_path),))

    assert any("SyntaxError" in line for line in caught.value.evidence)


@pytest.mark.parametrize(
    ("expected", "lines", "verdict", "reason"),
    [
        (EXPECTED, OOPS, Verdict.PASSED, "as announced"),
        (replace(EXPECTED, function="other"), OOPS, Verdict.FAILED, "misnamed: function"),
        (EXPECTED, [], Verdict.FAILED, "missed"),
        (None, OOPS, Verdict.CRASHED, "panic"),
        (None, [], Verdict.PASSED, "status 0"),
    ],
)
def test_a_recording_is_judged_as_the_test_would_be(
    expected: Expectation | None, lines: list[str], verdict: Verdict, reason: str
) -> None:
    """A crash passes only as announced, and a command only with status 0."""
    ending = Ending.PANIC if lines else Ending.FINISHED
    recorded = finished(ending, None if lines else 0, lines)
    test = Recordable(name="t", command="c", expected=expected)

    found = record_test.judge(test, recorded)

    assert found.verdict is verdict
    assert reason in found.reason


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("KTAP version 1\n1..2\nok 1 a\r\nok 2 b # SKIP no\r\n", Verdict.PASSED),
        ("KTAP version 1\n1..2\nok 1 a\nnot ok 2 b\n", Verdict.FAILED),
        ("nothing of the kind\n", Verdict.FAILED),
    ],
)
def test_a_suite_is_judged_by_what_it_says(tmp_path: Path, said: str, verdict: Verdict) -> None:
    """Its status alone is not success."""
    (tmp_path / recording.CONSOLE).write_text(f"[ 1.0] harness-record command\n{said}")
    recorded = replace(finished(Ending.FINISHED, 0, []), folder=tmp_path)

    found = record_test.judge(Recordable(name="s", command="c", speaks_ktap=True), recorded)

    assert found.verdict is verdict
