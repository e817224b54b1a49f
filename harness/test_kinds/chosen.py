# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Choose the tests of a run before its guest is started."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from harness import hints
from harness.errors import NoTests, UsageError
from harness.model.listed import ListedSuite, ListedTest, covers
from harness.model.request import Selection
from harness.model.settings import TestSpec
from harness.test_kinds import guest_folder, pytest_folder
from harness.test_kinds.pytest_folder import Question


def choose(
    suites: Sequence[TestSpec], selection: Selection, *, build: Path
) -> tuple[ListedSuite, ...]:
    """Return the suites with the selected tests; suites without any are left out.

    Tests that have to be built are built below `build`.
    Raises: UsageError for a wrong expression, or an expression or name that selects no test (with
        `selection.if_there` such a name is ignored); TestsBroken when tests cannot be listed;
        NoTests when the suites have none at all, or pytest does not answer in time.
    """
    listed = tuple(_listed(spec, selection, build) for spec in suites)
    if selection.expression:
        listed = _matching(listed, selection.expression)
    wanted = selection.tests
    if selection.if_there:
        wanted = tuple(name for name in wanted if _exists(name, listed))
    if wanted:
        listed = _named(listed, wanted)
    chosen = tuple(suite for suite in listed if suite.tests)
    if chosen:
        return chosen
    if selection.expression:
        raise UsageError(
            f"-k {selection.expression!r} selects no test",
            hint=f"these tests exist: {hints.command('kernel-test', '--list')}",
        )
    raise NoTests("no test was collected: " + ", ".join(spec.name for spec in suites))


def lines(suites: Iterable[ListedSuite]) -> tuple[str, ...]:
    """Return the lines that --list prints: each suite, and below it the names of its tests."""
    shown: list[str] = []
    for suite in suites:
        kind = "a command" if suite.spec.command is not None else f"{len(suite.tests)} tests"
        shown.append(f"{suite.spec.name} ({kind})")
        shown += [f"  {name}" for name in suite.names]
    return tuple(shown)


def _listed(spec: TestSpec, selection: Selection, build: Path) -> ListedSuite:
    if spec.pytest is not None:
        question = Question(expression=selection.expression, long=selection.long)
        return ListedSuite(spec=spec, tests=pytest_folder.collect(spec.pytest, question))
    if spec.command is not None:
        test = ListedTest(name=spec.name, command=spec.command)
        return ListedSuite(spec=spec, tests=(test,))
    return guest_folder.listed(spec, build=build)


def _matching(listed: Sequence[ListedSuite], expression: str) -> tuple[ListedSuite, ...]:
    """Return the suites with only the tests whose names match an expression of -k.

    Suites of pytest are returned unchanged, because pytest has applied the expression already.
    """
    names = [name for one in listed if one.spec.pytest is None for name in one.names]
    matching = pytest_folder.select(names, expression) if names else frozenset()
    return tuple(
        suite
        if suite.spec.pytest is not None
        else replace(suite, tests=tuple(test for test in suite.tests if test.name in matching))
        for suite in listed
    )


def _exists(name: str, listed: Sequence[ListedSuite]) -> bool:
    return any(covers(name, suite, test) for suite in listed for test in suite.tests)


def _named(listed: Sequence[ListedSuite], wanted: Sequence[str]) -> tuple[ListedSuite, ...]:
    for name in wanted:
        if not _exists(name, listed):
            known = [suite.spec.name for suite in listed]
            known += [known_name for suite in listed for known_name in suite.names]
            raise UsageError(
                f"no test {name}{hints.did_you_mean(name, known)}",
                hint=f"these tests exist: {hints.command('kernel-test', '--list')}",
            )
    return tuple(
        replace(
            suite,
            tests=tuple(
                test for test in suite.tests if any(covers(name, suite, test) for name in wanted)
            ),
        )
        for suite in listed
    )
