# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare crashes with the announcements of tests that crash the kernel on purpose. Pure.

Such a test announces its crash with `@pytest.mark.crashes`, and passes when the first crash during
the test matches. A crash that is missing or differs is a failure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from harness.model.crash import Crash, Expectation
from harness.model.settings import TestResult, Verdict
from harness.panic.values import KernelReport


def judged(
    results: Sequence[TestResult],
    loose: Sequence[KernelReport],
    crashes: Sequence[Crash],
    expected: Mapping[str, Expectation],
) -> tuple[tuple[TestResult, ...], tuple[KernelReport, ...]]:
    """Return the test results after a comparison of the crashes with those that tests announced.

    `expected` gives the announcements by test name. The result of each of these tests is replaced
    by the outcome of the comparison, except for a skipped test. `loose` are the kernel reports
    that belong to no test result; those of tests without an announcement are returned, too.
    """
    # Reversed, so that the first crash of a test is the one that is kept.
    by_test = {found.test: found for found in reversed(crashes)}
    judged_ones = tuple(
        _answered(result, expected[result.name], by_test.get(result.name))
        if result.name in expected and result.verdict is not Verdict.SKIPPED
        else result
        for result in results
    )
    return judged_ones, tuple(one for one in loose if one.test not in expected)


def _answered(result: TestResult, wanted: Expectation, found: Crash | None) -> TestResult:
    if found is None:
        return replace(
            result,
            verdict=Verdict.FAILED,
            reason=f"missed: no {wanted.kind} was found ({result.reason or 'it ended well'})",
        )
    wrong = differences(wanted, found)
    if wrong:
        return replace(result, verdict=Verdict.FAILED, reason=f"misnamed: {'; '.join(wrong)}")
    return replace(result, verdict=Verdict.PASSED, reason=f"as announced: {found.title}")


class Named(Protocol):
    """What a crash and a kernel report have in common: the fields that a test can announce."""

    @property
    def kind(self) -> str:
        """The kind of the kernel's fault, for example 'kasan'."""

    @property
    def function(self) -> str:
        """The function that is to blame for the fault."""

    @property
    def module(self) -> str:
        """The module that contains the function to blame."""

    @property
    def place(self) -> str:
        """The file and line of the fault in the function to blame."""

    @property
    def fatal(self) -> bool:
        """Whether the kernel stopped because of the fault."""


def differences(wanted: Expectation, found: Named) -> tuple[str, ...]:
    """Return one text for each difference between a crash and its announcement.

    Fields that the announcement leaves empty are not compared. An announced place may be the end
    of the path that was found.
    """
    pairs = [
        ("kind", wanted.kind, found.kind, wanted.kind == found.kind),
        ("function", wanted.function, found.function, wanted.function == found.function),
        ("module", wanted.module, found.module, wanted.module == found.module),
        ("place", wanted.place, found.place, _ends_with(found.place, wanted.place)),
    ]
    texts = [
        f"{name} is {got or 'unknown'}, not {want}"
        for name, want, got, same in pairs
        if want and not same
    ]
    if wanted.fatal is not None and wanted.fatal != found.fatal:
        texts.append(f"fatal is {not wanted.fatal}, not {wanted.fatal}")
    return tuple(texts)


def _ends_with(place: str, wanted: str) -> bool:
    return place == wanted or place.endswith(f"/{wanted}")
