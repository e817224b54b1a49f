# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Search the reports of a project's runs: group equal crashes, and find tests that failed last."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, UsageError
from harness.model.crash import Crash
from harness.model.settings import RunReport, TestResult, Verdict
from harness.report import run_report


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The occurrences of one crash in all runs: how often, when first and last, in which tests.

    `last` is the latest occurrence, and `last_run` is the run in which it happened.

    Times are UTC, ISO 8601, as in the runs' reports.
    """

    signature: str
    title: str
    blame: str
    count: int
    first_at: str
    last_at: str
    tests: tuple[str, ...]
    last: Crash
    last_run: RunReport


def runs(folder: Path) -> Iterator[RunReport]:
    """Yield the report of every run in a folder, oldest first; other folders are skipped."""
    found = []
    for one in folder.glob("*/report.json"):
        try:
            # A run that was killed, or that an older harness wrote, has no report that could be
            # counted.
            found.append(run_report.load(one.parent))
        except HarnessError:
            continue
    yield from sorted(found, key=lambda one: (one.started_at, one.run_id))


def failing(folder: Path, fits: Callable[[RunReport], bool]) -> tuple[TestResult, ...]:
    """Return the latest result of each test whose latest result is bad, in a project's runs.

    `folder` contains the folders of the runs, and only runs that `fits` accepts are considered.
    Reports are read from the newest back to the last complete run. Older runs are not read,
    because their results are out of date.
    """
    latest: dict[tuple[str, str], TestResult] = {}
    # The time of a file is known without reading it, and most files are not read.
    files = sorted(folder.glob("*/report.json"), key=lambda file: -file.stat().st_mtime_ns)
    for file in files:
        try:
            report = run_report.load(file.parent)
        except HarnessError:
            continue
        if not fits(report):
            continue
        for result in report.results:
            # The newest run comes first, so the first result of a test is its latest.
            latest.setdefault((result.suite, result.name), result)
        if _is_complete(report):
            break
    good = {Verdict.PASSED, Verdict.SKIPPED}
    return tuple(result for result in latest.values() if result.verdict not in good)


def failed_run(folder: Path, test: str) -> RunReport:
    """Return the latest run in which a test failed or crashed.

    Raises: UsageError when there is none.
    """
    bad = {Verdict.FAILED, Verdict.CRASHED}
    for report in reversed(tuple(runs(folder))):
        if any(one.name == test and one.verdict in bad for one in report.results):
            return report
    raise UsageError(
        f"the test {test} has failed in no run of {folder}",
        hint="the name is the one that a report shows",
    )


def _is_complete(report: RunReport) -> bool:
    """Return whether a run had all tests of the project selected, and was not ended early."""
    selected = report.provenance.expression or report.provenance.tests
    ended = report.verdict in {Verdict.PASSED, Verdict.FAILED}
    return bool(report.results) and ended and not selected


def grouped(reports: Sequence[RunReport]) -> tuple[Seen, ...]:
    """Return the crashes of these runs, one entry for each signature, the latest first.

    Shape: `reports` are in order of time, the oldest first, as `runs` yields them.
    """
    by_signature: dict[str, list[tuple[RunReport, Crash]]] = {}
    for one in reports:
        for found in one.crashes:
            by_signature.setdefault(found.signature, []).append((one, found))
    groups = [_seen(signature, pairs) for signature, pairs in by_signature.items()]
    return tuple(sorted(groups, key=lambda seen: seen.last_at, reverse=True))


def _seen(signature: str, pairs: Sequence[tuple[RunReport, Crash]]) -> Seen:
    last_run, last = pairs[-1]
    return Seen(
        signature=signature,
        title=last.title,
        blame=last.blame.value,
        count=len(pairs),
        first_at=pairs[0][0].started_at,
        last_at=last_run.started_at,
        tests=tuple(sorted({found.test for _, found in pairs if found.test})),
        last=last,
        last_run=last_run,
    )


def find(folder: Path, signature: str) -> Seen:
    """Return the crash whose signature begins with this text.

    Raises: UsageError with the known signatures when none or several match.
    """
    known = grouped(tuple(runs(folder)))
    fitting = [seen for seen in known if seen.signature.startswith(signature)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(seen.signature for seen in known) or "none"
    what = "no crash" if not fitting else "more than one crash"
    raise UsageError(f"{what} has the signature {signature}; the known signatures are {names}")


def rows(groups: Sequence[Seen]) -> tuple[str, ...]:
    """Return the crashes as lines for a terminal, two lines for each of them."""
    lines = []
    for seen in groups:
        tests = ", ".join(seen.tests) or "between tests"
        lines.append(f"{seen.signature}  {seen.count:4} x  {seen.title}")
        lines.append(
            f"{'':12}  first {seen.first_at}, last {seen.last_at}; {seen.blame}; {tests}; "
            f"{seen.last.folder}"
        )
    return tuple(lines)
