# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read and write KTAP: lines become events as they arrive, results become lines.

Pure. Accepts KTAP 1 and TAP 13 and 14 (Documentation/dev-tools/ktap.rst). Subtests become results
named PARENT/CHILD. The parent's own line is a result only when it has no subtests, or when it
failed and all its subtests passed.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from harness.model.settings import TestResult, Verdict


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan line of a KTAP document: how many results will follow at the outermost level.

    `skipped` is the reason in a plan of 0 tests, "" for a plan without one.
    """

    count: int
    skipped: str = ""


@dataclass(frozen=True, kw_only=True)
class Started:
    """The event that a test begins, read from a line `# harness: start NAME`.

    The line is an extension of the harness, which other readers of KTAP take for a comment.
    """

    name: str


@dataclass(frozen=True, kw_only=True)
class Result:
    """The event that a test has ended, with its name, verdict and diagnostics."""

    result: TestResult


@dataclass(frozen=True, kw_only=True)
class Bail:
    """The event of a `Bail out!` line, by which a suite reports that it stops early."""

    reason: str


Event = Plan | Started | Result | Bail

_VERSION = re.compile(r"^(?:KTAP|TAP) version \d+\s*$")
_PLAN = re.compile(r"^1\.\.(\d+)\s*(?:#\s*(.*))?$")
_RESULT = re.compile(
    r"^(?P<not>not )?ok\b(?:\s+(?P<number>\d+))?(?:\s+-)?(?:\s+(?P<name>[^#]*?))?"
    r"\s*(?:#\s*(?P<directive>.*))?$"
)
_BAIL = re.compile(r"^Bail out!\s*(.*)$")
_START = "# harness: start "
_DURATION = re.compile(r"^# harness: duration_s (\d+(?:\.\d+)?)$")
# A test that prints without end must not fill the memory of the harness.
_MOST_DIAGNOSTICS = 2000


@dataclass
class _Level:
    diagnostics: deque[str] = field(default_factory=lambda: deque(maxlen=_MOST_DIAGNOSTICS))
    results: list[TestResult] = field(default_factory=list)
    duration_s: float = 0.0


class Parser:
    """A parser for KTAP that gets one line after another, in order, by `feed`.

    A line that is not KTAP is kept as a diagnostic of the next result.
    """

    def __init__(self) -> None:
        self._levels = [_Level()]

    def feed(self, line: str) -> tuple[Event, ...]:
        """Take one line, and return the events that it completes; () for most lines."""
        text = line.rstrip("\r\n")
        bare = text.lstrip(" ")
        # ktap.rst: each level is indented by two blanks.
        depth = (len(text) - len(bare)) // 2
        if bail := _BAIL.match(bare):
            return (Bail(reason=bail.group(1).strip()),)
        if _VERSION.match(bare):
            self._enter(depth)
            return ()
        if plan := _PLAN.match(bare):
            self._enter(depth)
            return (_planned(plan),) if depth == 0 else ()
        if bare.startswith("#"):
            return self._diagnostic(bare, depth)
        if result := _RESULT.match(bare):
            return self._result(result, depth)
        self.note(text)
        return ()

    @property
    def pending(self) -> tuple[str, ...]:
        """The diagnostic lines since the last result, which belong to no result yet."""
        return tuple(line for level in self._levels for line in level.diagnostics)

    def note(self, text: str) -> None:
        """Keep a line that is not KTAP for the next result; a blank line is dropped."""
        if text.strip():
            self._levels[-1].diagnostics.append(text)

    def _enter(self, depth: int) -> None:
        while len(self._levels) <= depth:
            self._levels.append(_Level())

    def _diagnostic(self, text: str, depth: int) -> tuple[Event, ...]:
        if text.startswith(_START):
            return (Started(name=text.removeprefix(_START).strip()),)
        self._enter(depth)
        level = self._levels[depth]
        if duration := _DURATION.match(text):
            level.duration_s = float(duration.group(1))
        else:
            level.diagnostics.append(text.removeprefix("#").removeprefix(" "))
        return ()

    def _result(self, match: re.Match[str], depth: int) -> tuple[Event, ...]:
        self._enter(depth)
        level = self._levels[depth]
        name = match.group("name") or f"test {match.group('number') or len(level.results) + 1}"
        verdict, reason = _judge(match.group("not") is None, match.group("directive") or "")
        own = TestResult(
            name=name,
            verdict=verdict,
            reason=reason,
            duration_s=level.duration_s,
            diagnostics=tuple(level.diagnostics),
        )
        level.diagnostics.clear()
        level.duration_s = 0.0
        found = self._with_subtests(own, depth)
        if depth > 0:
            level.results.extend(found)
            return ()
        return tuple(Result(result=result) for result in found)

    def _with_subtests(self, own: TestResult, depth: int) -> list[TestResult]:
        """Return the results of a test's subtests, named TEST/SUBTEST; its own if it has none.

        The own result is added to the subtests' if the test failed and none of its subtests did.
        """
        below = self._levels[depth + 1 :]
        del self._levels[depth + 1 :]
        # KUnit indents a subtest by four blanks, other writers by two.
        nested = next((level.results for level in below if level.results), [])
        if not nested:
            return [own]
        children = [_under(own, child) for child in nested]
        good = (Verdict.PASSED, Verdict.SKIPPED)
        bad = any(child.verdict not in good for child in children)
        # A failure of the parent itself must not be lost.
        if own.verdict is Verdict.FAILED and not bad:
            children.append(own)
        return children


def speaks(line: str) -> bool:
    """Return whether a line is KTAP: a version, plan, result, `Bail out!` or diagnostic line."""
    bare = line.strip()
    patterns = (_BAIL, _VERSION, _PLAN, _RESULT)
    return bare.startswith("#") or any(pattern.match(bare) for pattern in patterns)


def _planned(match: re.Match[str]) -> Plan:
    word, _, reason = (match.group(2) or "").partition(" ")
    skipped = (reason.strip() or "skipped") if word.upper() == "SKIP" else ""
    return Plan(count=int(match.group(1)), skipped=skipped)


def _under(parent: TestResult, child: TestResult) -> TestResult:
    """Return a subtest's result with the name PARENT/CHILD.

    A failed subtest without diagnostics gets those of the parent, because KUnit prints why a
    parameter failed among the lines of the whole case.
    """
    bare = child.verdict is Verdict.FAILED and not child.diagnostics
    return replace(
        child,
        name=f"{parent.name}/{child.name}",
        diagnostics=parent.diagnostics if bare else child.diagnostics,
    )


def _judge(passed: bool, directive: str) -> tuple[Verdict, str]:  # noqa: FBT001
    """Return the verdict and the reason of a KTAP result line.

    `passed` is True for "ok". `directive` is the text after '#', such as SKIP with a reason.
    """
    word, _, reason = directive.partition(" ")
    word = word.upper().rstrip(":")
    if word == "SKIP":
        return Verdict.SKIPPED, reason.strip() or "skipped"
    # ktap.rst: such a test is not expected to pass, so its failure says nothing new.
    if word in {"TODO", "XFAIL"}:
        return Verdict.SKIPPED, f"{word}: {reason.strip()}" if reason else word
    if word in {"TIMEOUT", "ERROR"}:
        return Verdict.FAILED, f"{word.lower()}: {reason.strip()}" if reason else word.lower()
    return (Verdict.PASSED if passed else Verdict.FAILED), directive.strip()


def render_result(result: TestResult, number: int) -> Iterator[str]:
    """Yield one result as lines: its duration and diagnostics as comments, and its result line."""
    yield f"# harness: duration_s {result.duration_s:.3f}"
    for line in result.diagnostics:
        yield from (f"# {part}" for part in line.splitlines() or [""])
    good = result.verdict in {Verdict.PASSED, Verdict.SKIPPED}
    directive = ""
    if result.verdict is Verdict.SKIPPED:
        # A directive ends with its line.
        directive = f" # SKIP {' '.join(result.reason.split())}"
    elif not good and result.verdict is not Verdict.FAILED:
        directive = f" # ERROR {result.verdict.value}: {' '.join(result.reason.split())}"
    # A '#' would begin the directive of the line.
    name = result.name.replace("#", "_")
    yield f"{'ok' if good else 'not ok'} {number} {name}{directive}"


def render(results: Iterable[TestResult]) -> Iterator[str]:
    """Yield a whole KTAP document."""
    listed = list(results)
    yield "KTAP version 1"
    yield f"1..{len(listed)}"
    for number, result in enumerate(listed, start=1):
        yield from render_result(result, number)
