# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Report the tests of a pytest process as KTAP, line by line, to the run that started it."""

import json
import os
import time
from dataclasses import asdict

import pytest

from harness.model.crash import Expectation
from harness.model.settings import TestResult, Verdict
from harness.pytest_listing import name_of_item
from harness.report import ktap


class KtapPrinter:
    """Writes one KTAP result line for each test, to a descriptor that pytest does not capture."""

    def __init__(self, config: pytest.Config, descriptor: int) -> None:
        self._config = config
        # The harness has to know which test runs at the moment in which the guest dies.
        self._stream = os.fdopen(descriptor, "w", buffering=1)
        self._count = 0
        self._reports: list[pytest.TestReport] = []
        self._begun = 0.0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write the KTAP version, the plan, and the crashes that tests announce."""
        self._write("KTAP version 1", f"1..{len(session.items)}")
        for item in session.items:
            marker = item.get_closest_marker("crashes")
            if marker is not None:
                expected = Expectation(**marker.kwargs)
                values = json.dumps(asdict(expected))
                self._write(f"# harness: expects {self._name(item.nodeid)} {values}")

    def announce(self, what: str, message: str) -> None:
        """Write a KTAP comment; `what` is "overdue" (a command) or "unreachable" (the guest)."""
        self._write(f"# harness: {what} {' '.join(message.split())}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Report at once a test file that cannot be imported: its error, then 'Bail out!'."""
        if report.failed:
            text = str(report.longrepr).splitlines()
            self._write(*(f"# {line}" for line in text), f"Bail out! {report.nodeid}")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Write the name of the test that begins."""
        self._reports, self._begun = [], time.monotonic()
        self._write(f"# harness: start {self._name(nodeid)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the reports of a test's phases until it is finished."""
        self._reports.append(report)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write the result line of a test, and its diagnostics above it."""
        self._count += 1
        result = _result(self._name(nodeid), self._reports, time.monotonic() - self._begun)
        self._write(*ktap.render_result(result, self._count))

    def _name(self, nodeid: str) -> str:
        return name_of_item(self._config, nodeid)

    def _write(self, *lines: str) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()


def _result(name: str, reports: list[pytest.TestReport], duration_s: float) -> TestResult:
    failed = next((report for report in reports if report.failed), None)
    if failed is not None:
        text = failed.longreprtext.splitlines()
        for title, content in failed.sections:
            text += [f"---- {title} ----", *content.splitlines()]
        return TestResult(
            name=name, verdict=Verdict.FAILED, diagnostics=tuple(text), duration_s=duration_s
        )
    skipped = next((report for report in reports if report.skipped), None)
    if skipped is not None:
        # For a skipped test pytest gives the file, the line and the reason.
        where = skipped.longrepr
        reason = str(where[2]) if isinstance(where, tuple) else "skipped"
        return TestResult(name=name, verdict=Verdict.SKIPPED, reason=reason)
    return TestResult(name=name, verdict=Verdict.PASSED, duration_s=duration_s)
