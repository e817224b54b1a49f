# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Put a night's findings into sentences, the same for page, mail, chat and feed. Pure."""

import math

from harness import hints
from harness.nightly.judge.findings import (
    Area,
    Bisected,
    Cause,
    Finding,
    Kind,
    Rate,
    Suspect,
)
from harness.nightly.show.morning import Morning

_SHORT = 12
# The quantile of the normal distribution for an interval of 95 %.
_QUANTILE = 1.96


def headline(finding: Finding) -> str:
    """Return the finding in one short sentence without a full stop."""
    what = finding.subject.text
    return {
        Kind.NEW: _failure(finding, "fails"),
        Kind.STILL: _failure(finding, "still fails"),
        Kind.FIXED: _failure(finding, "passes again"),
        Kind.FLAKY: f"{what} is flaky",
        Kind.SLOWER: f"{what} is slower",
        Kind.DRIFT: f"{what} becomes slower little by little",
        Kind.WARNING: f"a new warning: {finding.subject.name}",
        Kind.LOST: _loss(finding),
    }[finding.kind]


def _loss(finding: Finding) -> str:
    if not finding.subject.name:
        return f"{plural(len(finding.cells), 'cell')} were lost"
    return f"{finding.subject.text} was lost"


def _failure(finding: Finding, verb: str) -> str:
    area, name = finding.subject.area, finding.subject.name
    if area == Area.STAGE.value:
        return f"the module's {name} {verb}"
    if finding.signature and finding.kind is not Kind.FIXED:
        return f"{finding.subject.text} {verb.replace('fails', 'crashes')}"
    return f"{finding.subject.text} {verb}"


def where(finding: Finding, morning: Morning) -> str:
    """Return a phrase on how many cells show a finding, and on which kernels if not on all."""
    cells = morning.cells_of(finding)
    total = len(morning.night.cells)
    count = f"in {len(finding.cells)} of {plural(total, 'cell')}"
    kernels = sorted({cell.kernel for cell in cells})
    every = {cell.kernel for cell in morning.night.cells}
    return count if not kernels or set(kernels) == every else f"{count}, on {', '.join(kernels)}"


def details(finding: Finding, morning: Morning) -> tuple[str, ...]:
    """Return the sentences below a finding's headline: reason, numbers, cause and evidence."""
    lines = [_number_line(finding)]
    if finding.reason and finding.kind is not Kind.WARNING:
        was = "It failed with: " if finding.kind is Kind.FIXED else ""
        lines.append(f"{was}{finding.reason}")
    if finding.kind in {Kind.STILL, Kind.FIXED}:
        lines.append(f"It failed first in the night {finding.since}.")
    if finding.kind in {Kind.SLOWER, Kind.DRIFT}:
        lines.append(f"It began about the night {finding.since}.")
    if finding.cause is not None and finding.kind in {Kind.NEW, Kind.STILL}:
        answer = morning.bisected.get(finding.key)
        lines.append(_answer(answer) if answer is not None else suspect(finding.cause))
        lines.append(" ".join(finding.cause.evidence))
    return tuple(line for line in lines if line)


def _number_line(finding: Finding) -> str:
    change = finding.change
    if finding.rate is not None:
        return rate(finding.rate)
    if change is None:
        return ""
    from_to = f"from {change.before_s:.2f} s to {change.after_s:.2f} s ({change.share:+.0%})"
    noise = f"the noise is {change.noise_s:.2f} s"
    if finding.kind is Kind.DRIFT:
        return f"It rose {from_to} over {plural(change.nights, 'night')}; {noise}."
    return f"It went {from_to} and has stayed there for {plural(change.nights, 'night')}; {noise}."


def rate(found: Rate) -> str:
    """Return how often a flaky test failed, in a sentence with the 95 % confidence interval."""
    low, high = interval(found.bad, found.runs)
    cells = plural(found.cells, "cell")
    line = (
        f"{found.bad} of {found.runs} first runs in {cells} failed: {found.percent:.1f} % "
        f"({100 * low:.1f} to {100 * high:.1f} %)."
    )
    if found.reruns:
        line += f" {found.reruns_passed} of {found.reruns} reruns in fresh guests passed."
    return line


def interval(bad: int, runs: int) -> tuple[float, float]:
    """Return Wilson's 95 % confidence interval for the share `bad` of `runs`, from 0 to 1.

    Without runs it is (0, 1).
    """
    if not runs:
        return 0.0, 1.0
    share, square = bad / runs, _QUANTILE**2
    middle = share + square / (2 * runs)
    spread = _QUANTILE * math.sqrt(share * (1 - share) / runs + square / (4 * runs**2))
    whole = 1 + square / runs
    return max(0.0, (middle - spread) / whole), min(1.0, (middle + spread) / whole)


def suspect(cause: Cause) -> str:
    """Return a sentence on what may have caused a failure, with the good and the bad versions.

    They are commits of the module and versions of the kernel, as far as these changed.
    """
    line = f"The suspect is {cause.suspect.value}"
    ends = [tuple(commit[:_SHORT] for commit in cause.commits), cause.versions]
    ranges = [f"{end[0]} was good, {end[1]} is bad" for end in ends if end]
    return f"{line}: {'; '.join(ranges)}." if ranges else f"{line}."


def _answer(answer: Bisected) -> str:
    found = f"found by a bisection in {plural(len(answer.steps), 'run')}"
    how = found if answer.steps else "no other commit is in the range"
    return f"Commit {answer.commit[:_SHORT]} introduced it ({answer.answer}); {how}."


def bisect_command(finding: Finding) -> str:
    """Return the `bisect` command line for a failed test or a crash, "" where none is possible.

    It is possible only if the module's commits, and not the kernel's versions, are suspected.
    """
    cause = finding.cause
    if cause is None or cause.suspect is not Suspect.COMMITS:
        return ""
    good, bad = (commit[:_SHORT] for commit in cause.commits)
    if finding.signature:
        crash = finding.signature
        return hints.command("bisect", "--signature", crash, "--good", good, "--bad", bad)
    if finding.test:
        return hints.command("bisect", "--test", finding.test, "--good", good, "--bad", bad)
    return ""


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: 1 cell, 2 cells."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def sentence(text: str) -> str:
    """Return a text with a capital first letter, unless it begins with a function or test name."""
    is_name = "_" in text.partition(" ")[0] or "::" in text.partition(" ")[0]
    return text if is_name else text[:1].upper() + text[1:]


def summary(morning: Morning) -> str:
    """Return one sentence with the number of new findings of a night, and of known ones.

    Without new findings it says that nothing changed.
    """
    news, known = len(morning.news), len(morning.known)
    begin = plural(news, "new finding") if news else "Nothing changed since the night before"
    return f"{begin}; {known} known from earlier nights" if known else begin


def event(finding: Finding) -> str:
    """Return one line on a finding of an earlier night: its kind, headline and number of cells."""
    cells = plural(len(finding.cells), "cell")
    return f"{finding.kind.value}: {headline(finding)} ({cells})"
