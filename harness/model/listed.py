# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tests that a run will execute, listed before the guest is started, and the tests' names."""

from dataclasses import dataclass
from pathlib import Path

from harness.model.crash import Expectation
from harness.model.settings import TestSpec


@dataclass(frozen=True, kw_only=True)
class ListedTest:
    """One test that a run will execute: a pytest test, or a command in the guest.

    `command` is "" for a pytest test. `record_command` is the command that a recorded guest runs
    instead of a pytest test, "" if the test cannot be recorded; `variant` is the module's variant
    for this command, "" for the module itself. `expected` is the crash that the test announces.
    """

    name: str
    command: str = ""
    record_command: str = ""
    variant: str = ""
    expected: Expectation | None = None


@dataclass(frozen=True, kw_only=True)
class ListedSuite:
    """A suite of tests, with those of its tests that were selected for the run.

    `folder` is a folder of the host that the commands need; it is copied into the guest.
    """

    spec: TestSpec
    tests: tuple[ListedTest, ...]
    folder: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tests, in the order in which they run."""
        return tuple(test.name for test in self.tests)


def plain_name(text: str) -> str:
    """Return a test's name with blanks and '#' replaced by '_'.

    A blank would end the name in the log's marker of the test, and '#' begins a directive of KTAP.
    """
    return text.replace(" ", "_").replace("#", "_")


def is_part(result: str, test: str) -> bool:
    """Return whether the result named `result` is that of the test, or of a case within it.

    A case has the name TEST/CASE.
    """
    return result == test or result.startswith(f"{test}/")


def name_of(result: str, spec: TestSpec) -> str:
    """Return the name with which the user selects the test of this result: a value for --test.

    For a result that a command printed, this is the name of the command's suite, because the tests
    of a command are known only after the command has run.
    """
    return result if spec.command is None else spec.name


def covers(wanted: str, suite: ListedSuite, test: ListedTest) -> bool:
    """Return whether a name that the user gave with --test selects a test of a suite.

    It selects the test of this name and all below it: a suite, a folder, a file, a class, a
    function with every parameter. A case within a program selects the program. A file may be
    written with .py, and relative to the current folder instead of the suite's own.
    """
    if wanted == suite.spec.name or (suite.folder is not None and is_part(wanted, test.name)):
        return True
    path, colons, rest = plain_name(wanted).partition("::")
    names = {f"{path.removesuffix('.py')}{colons}{rest}"}
    if suite.spec.pytest is not None:
        file, folder = Path(wanted.partition("::")[0]).resolve(), suite.spec.pytest.resolve()
        folder = folder if folder.is_dir() else folder.parent
        if file.is_relative_to(folder):
            place = plain_name(file.relative_to(folder).as_posix()).removesuffix(".py")
            names.add(f"{place}{colons}{rest}" if place != "." else "")
    return any(_selects(name, test.name) for name in names)


def _selects(name: str, test: str) -> bool:
    below = ("/", "::", "[") if name else ("",)
    return name == test or test.startswith(tuple(f"{name}{mark}" for mark in below))
