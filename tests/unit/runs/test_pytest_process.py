# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.pytest_process: the KTAP of a pytest process whose tests are chosen by name."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.model.listed import ListedSuite, ListedTest
from harness.model.settings import TestResult, TestSpec, Verdict
from harness.runs import pytest_process
from harness.runs.ledger import Ledger, SuiteOutcome
from tests.unit.runs.test_ledger import listener

POLL_S = 0.2
TESTS = """
import pytest
from harness.systems.ssh import CommandFailed, Completed

def test_good(): print("ok 9 not a result")

def test_bad():
    print("looking at the device")
    assert 1 == 2

def test_skipped(): pytest.skip("for a reason")

def run(command):
    raise CommandFailed(command, Completed(stdout="", stderr="cat: no such file\\n", status=1,
                                           duration_s=0.1))

def test_command():
    run("cat /dev/nothing")

@pytest.mark.parametrize("n", ["a b", "c"])
def test_named(n): pass
"""
NAMES = ("good", "bad", "skipped", "command", "named[a_b]", "named[c]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with tests of every ending."""
    folder = tmp_path / "tests"
    (folder / "below").mkdir(parents=True)
    (folder / "test_it.py").write_text(TESTS)
    (folder / "below" / "test_it_too.py").write_text("def test_good(): pass\n")
    return folder


def read(folder: Path, names: Sequence[str]) -> Ledger:
    """Run the tests of these names, and return the ledger that has read their KTAP."""
    suite = ListedSuite(
        spec=TestSpec(name="guest", pytest=folder),
        tests=tuple(ListedTest(name=name) for name in names),
    )
    book = Ledger(suite, names, listener())
    log = folder.parent / "guest.log"
    with pytest_process.started(
        folder,
        names,
        long=False,
        session_file=folder.parent / "none",
        log=log,
        poll_s=POLL_S,
    ) as lines:
        for line in lines:
            if line is not None:
                book.feed(line)
    return book


def run(folder: Path, names: Sequence[str]) -> SuiteOutcome:
    """Run the tests of these names, and return the outcome of the suite."""
    return read(folder, names).ended(None, log=folder.parent / "guest.log")


def by_name(outcome: SuiteOutcome) -> dict[str, TestResult]:
    """Return the results by their names."""
    return {result.name: result for result in outcome.results}


def test_pytest_gives_each_chosen_test_one_result_passed_failed_or_skipped(folder: Path) -> None:
    """A real pytest process runs six sample tests; verdicts and a skip's reason come back."""
    found = by_name(run(folder, [f"test_it::test_{name}" for name in NAMES]))

    assert {name: result.verdict for name, result in found.items()} == {
        "test_it::test_good": Verdict.PASSED,
        "test_it::test_bad": Verdict.FAILED,
        "test_it::test_skipped": Verdict.SKIPPED,
        "test_it::test_command": Verdict.FAILED,
        "test_it::test_named[a_b]": Verdict.PASSED,
        "test_it::test_named[c]": Verdict.PASSED,
    }
    assert "for a reason" in found["test_it::test_skipped"].reason


def test_only_the_chosen_tests_run(folder: Path) -> None:
    """Of a real pytest's sample tests, a name selects one, also with [parameter] or folder."""
    names = ("test_it::test_named[c]", "below/test_it_too::test_good")

    assert set(by_name(run(folder, names))) == set(names)


def test_a_failing_test_shows_what_it_printed(folder: Path) -> None:
    """A real pytest process hands on the failed line of a sample test and its output."""
    found = by_name(run(folder, ["test_it::test_bad"]))["test_it::test_bad"]

    assert any("assert 1 == 2" in line for line in found.diagnostics)
    assert "looking at the device" in found.diagnostics


def test_a_failing_command_shows_its_stderr_below_the_tests_own_lines(folder: Path) -> None:
    """The failure of a guest command shows the test's line, its stderr and none of our code."""
    found = by_name(run(folder, ["test_it::test_command"]))["test_it::test_command"]

    lines = found.diagnostics
    own = next(number for number, line in enumerate(lines) if 'run("cat /dev/nothing")' in line)
    assert "cat: no such file" in lines[own:]
    assert not any("harness/systems/ssh.py" in line for line in lines)


def test_a_test_file_that_cannot_be_imported_ends_its_suite_with_an_error(folder: Path) -> None:
    """A file that broke after the tests were listed is named by the suite's error."""
    (folder / "test_broken.py").write_text("import no_such_module_anywhere\n")

    outcome = run(folder, ["test_broken::test_it"])

    assert outcome.error is not None
    assert "test_broken.py" in outcome.error.message
    assert any("no_such_module_anywhere" in line for line in outcome.error.evidence)


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
def test_an_overdue_guest_command_is_told_to_the_run_unless_its_test_expects_the_error(
    tmp_path: Path, test: str, *, announced: bool
) -> None:
    """A guest command beyond its deadline is told to the run, not if pytest.raises expects it."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_time.py").write_text(OVERDUE)

    book = read(folder, [f"test_time::test_{test}"])

    wanted = "a command did not end within 40 s: cat x" if announced else ""
    assert book.overdue_command == wanted


def test_reading_lines_without_a_pause_yields_them_without_line_ends_and_never_none() -> None:
    """Lines of a child process come without their ends; None would stand for a pause."""
    stream = pytest_process._queued(iter(["a\n", "b\n"]), poll_s=60.0)

    assert list(stream) == ["a", "b"]


def test_reading_a_stream_yields_none_while_no_line_comes() -> None:
    """During a pause in a child's output the reader yields None, so the guest can be checked."""

    def lines() -> Iterator[str]:
        yield "a\n"
        time.sleep(10 * POLL_S)
        yield "b\n"

    items = list(pytest_process._queued(lines(), poll_s=POLL_S))

    assert [one for one in items if one is not None] == ["a", "b"]
    assert None in items[1:-1]
