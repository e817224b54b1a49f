# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write a run's report and read it back: report.json, results.ktap, junit.xml, summary.txt.

docs/report.md documents report.json. The only decision here is which kernel report belongs to
which result.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from pydantic import TypeAdapter, ValidationError

from harness.crash import crash_text
from harness.errors import Lost
from harness.host import cache, whole_file
from harness.memory import vmcore
from harness.model.crash import CRASHES, Cause, Crash
from harness.model.provenance import Provenance
from harness.model.settings import RunReport, TestResult, Verdict
from harness.panic.values import KernelReport
from harness.report import ktap

# The schema's number rises when a field changes its meaning or disappears, not for a new field.
SCHEMA = 3
REPORT = "report.json"
# In a report of this schema, the values of `provenance` are texts in `facts`.
_FACTS_SCHEMA = 2
_MOST_CHARACTERS = 200
_ADAPTER = TypeAdapter(RunReport)
# XML 1.0 cannot represent these characters, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many results of a run have each verdict."""

    passed: int
    failed: int
    crashed: int
    skipped: int
    lost: int

    @property
    def bad(self) -> int:
        """The number of results that neither passed nor were skipped."""
        return self.failed + self.crashed + self.lost


def counts(report: RunReport) -> Counts:
    """Return the counts of a run's results."""
    kinds = [result.verdict.value for result in report.results]
    return Counts(**{verdict.value: kinds.count(verdict.value) for verdict in Verdict})


def apply_reports(
    results: Sequence[TestResult], reports: Sequence[KernelReport]
) -> tuple[tuple[TestResult, ...], tuple[KernelReport, ...]]:
    """Return the results with the kernel reports applied, and the reports that fit no result.

    A test during which the kernel reported something has failed, whatever its own result is. If a
    report is fatal, or the test's own result is crashed, it has crashed.
    """
    names = {result.name for result in results}
    judged = tuple(_judge(result, reports) for result in results)
    return judged, tuple(one for one in reports if one.test not in names)


def _judge(result: TestResult, reports: Sequence[KernelReport]) -> TestResult:
    own = tuple(one for one in reports if one.test == result.name)
    if not own:
        return result
    fatal = any(one.fatal for one in own)
    reason = f"the kernel reported: {own[0].title}"
    unexplained = result.verdict in {Verdict.PASSED, Verdict.LOST} or not result.reason
    return replace(
        result,
        reports=own,
        verdict=Verdict.CRASHED if fatal or result.verdict is Verdict.CRASHED else Verdict.FAILED,
        reason=reason if unexplained else result.reason,
    )


def with_crashes(
    results: Sequence[TestResult], crashes: Sequence[Crash]
) -> tuple[TestResult, ...]:
    """Add to each result that has not passed the explanation of the crashes during its test.

    The explanation is added to the diagnostics. For a test that failed because a command was
    overdue, the reason also names the hang that was found.
    """
    screens: dict[str, tuple[str, ...]] = {}
    hangs: dict[str, str] = {}
    for crash in crashes:
        screens[crash.test] = (*screens.get(crash.test, ()), *crash_text.screen(crash))
        if crash.cause is Cause.OVERDUE and crash.function:
            hangs[crash.test] = f"; {crash.title}"
    return tuple(
        replace(
            result,
            diagnostics=(*result.diagnostics, *screens[result.name]),
            reason=result.reason + hangs.get(result.name, ""),
        )
        if result.name in screens and result.verdict is not Verdict.PASSED
        else result
        for result in results
    )


def write(report: RunReport) -> None:
    """Write every file of a run's report into its folder, each complete or not at all.

    Raises: Lost when the disk is full.
    """
    folder = report.folder
    with cache.room(folder):
        whole_file.write(folder / REPORT, json.dumps(_plain(report), indent=1) + "\n")
        whole_file.write(folder / "results.ktap", "\n".join(ktap.render(report.results)) + "\n")
        write_junit((report,), folder / "junit.xml")
        whole_file.write(folder / "summary.txt", "\n".join(summary_lines(report)) + "\n")


def load(folder: Path) -> RunReport:
    """Return the report in a run's folder, without dumps whose files have been removed since.

    A report of schema 2 can be read, too: its provenance is taken from `facts`.
    Raises: Lost when there is no report, one of another schema, or one that cannot be read.
    """
    file = folder / REPORT
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        report = _ADAPTER.validate_python(_of_this_schema(data, file))
    except OSError as error:
        raise Lost(f"no report in {folder}: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise Lost(f"{file} is not a report") from error
    present = (vmcore.present(one, folder / CRASHES / str(one.number)) for one in report.crashes)
    return replace(report, crashes=tuple(present))


def _of_this_schema(data: Any, file: Path) -> dict[str, Any]:
    """Return the fields of a report.json, converted to the present schema if it has an older one.

    Raises: Lost for a schema that is not known.
    """
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema not in {SCHEMA, _FACTS_SCHEMA}:
        raise Lost(
            f"{file} has schema {schema}; this harness reads {_FACTS_SCHEMA} and {SCHEMA}",
            hint="read it with the harness that wrote it, or run the tests again",
        )
    fields = {name: value for name, value in data.items() if name != "schema"}
    if schema == _FACTS_SCHEMA:
        facts = dict(fields.get("facts", {}))
        fields |= {"provenance": _provenance_of(facts), "facts": facts}
    return fields


def _provenance_of(facts: dict[str, str]) -> Provenance:
    """Return commit, kernel and selection of a run from the texts in a report of schema 2.

    They are removed from `facts`, where schema 2 has them.
    """
    expression = facts.pop("selection", "everything")
    return Provenance(
        commit=facts.pop("commit", ""),
        tree_changed=facts.pop("tree", "as committed") != "as committed",
        expression="" if expression == "everything" else expression,
        groups=tuple(facts.pop("groups", "").split(",")),
        kernel=facts.pop("kernel name", ""),
        kernel_release=facts.pop("kernel", ""),
        kernel_version=facts.pop("kernel package version", ""),
    )


def _plain(report: RunReport) -> dict[str, Any]:
    data = {"schema": SCHEMA, **asdict(report)}
    text = json.dumps(data, default=_value)
    plain: dict[str, Any] = json.loads(text)
    return plain


def _value(item: Any) -> Any:
    return str(item) if isinstance(item, Path) else item.value


def write_junit(reports: Iterable[RunReport], file: Path) -> None:
    """Write a JUnit file in which each run is a test suite.

    A failed assertion is a JUnit failure. A crash, a hang or a lost guest is a JUnit error, as in
    the kernel's kunit.py. A run without results, or one that failed although none of its results
    is bad, gets a case "the run itself".
    """
    xml = JUnitXml()
    for report in reports:
        suite = TestSuite(xml_text(f"{report.target} {report.run_id}"))
        for result in report.results:
            suite.add_testcase(_case(result))
        # A suite without a bad case counts as passed, so a run that failed otherwise gets a case
        # of its own.
        if not report.results or (report.verdict.exit_code and not counts(report).bad):
            suite.add_testcase(_case(_of_the_run(report)))
        suite.time = report.duration_s
        for name, text in {**report.witnesses, **report.described}.items():
            suite.add_property(xml_text(name), xml_text(text))
        xml.add_testsuite(suite)
    with whole_file.replacing(file) as beside:
        xml.write(str(beside), pretty=True)


def _of_the_run(report: RunReport) -> TestResult:
    text = (*report.evidence, *(line for one in report.reports for line in one.text))
    return TestResult(
        name="the run itself",
        suite=report.target,
        verdict=report.verdict,
        reason=report.reason,
        diagnostics=text,
    )


def _case(result: TestResult) -> TestCase:
    case = TestCase(xml_text(result.name), xml_text(result.suite), result.duration_s)
    text = xml_text("\n".join(result.diagnostics))
    reason = xml_text(result.reason or (result.diagnostics[-1] if result.diagnostics else ""))
    if result.verdict is Verdict.SKIPPED:
        case.result = [Skipped(reason)]
    elif result.verdict is Verdict.FAILED:
        case.result = [Failure(reason, result.verdict.value)]
    elif result.verdict is not Verdict.PASSED:
        case.result = [Error(reason, result.verdict.value)]
    kernel = "\n".join(line for one in result.reports for line in one.text)
    case.system_out = "\n".join(part for part in (text, xml_text(kernel)) if part)
    return case


def xml_text(text: str) -> str:
    """Return a text in which what XML cannot represent is replaced by a question mark."""
    return _NOT_XML.sub("?", text)


def summary_lines(report: RunReport) -> tuple[str, ...]:
    """Return the run as text: its evidence and its failures first, its verdict at the end."""
    lines = [f"  | {line[:_MOST_CHARACTERS]}" for line in report.evidence]
    lines += [
        f"{result.verdict.value}: {result.name}: {result.reason}".rstrip(": ")
        for result in report.results
        if result.verdict not in {Verdict.PASSED, Verdict.SKIPPED}
    ]
    lines += [f"kernel: {one.title}" for one in report.reports]
    lines += [_crash_line(crash) for crash in report.crashes]
    lines += [f"{name}: {text}" for name, text in report.witnesses.items()]
    if report.hint:
        lines.append(f"hint: {report.hint}")
    count = counts(report)
    numbers = f"{count.passed} passed, {count.bad} failed, {count.skipped} skipped"
    where = f"{report.target}, {report.accel.value}, deadlines x {report.deadline_factor:g}"
    lines.append(f"{numbers} in {report.duration_s:.1f} s ({where})")
    lines.append(f"files: {report.folder}")
    lines.append(f"verdict: {report.verdict.value} ({report.reason})")
    return tuple(lines)


def _crash_line(crash: Crash) -> str:
    where = f" at {crash.place}" if crash.place else ""
    test = crash.test or "between tests"
    return f"crash {crash.number}: {crash.title}{where} ({test}; {crash.blame.value})"
