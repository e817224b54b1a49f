# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the recorded consoles in tests/data/panic: each gives the expected reports."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.panic.scan import scan

FOLDER = Path(__file__).resolve().parents[2] / "data" / "panic"
LOGS = sorted(FOLDER.glob("*.log"))
MOST_LINES = 200


def found(lines: list[str]) -> list[dict[str, Any]]:
    """Return the reports of a console in the form in which the expectations are written."""
    reports = [report for report in scan(lines) if report.kind != "canary"]
    index = {report.line: number for number, report in enumerate(reports)}
    return [
        {
            "kind": report.kind,
            "title": report.title,
            "function": report.function,
            "module": report.module,
            "task": report.task,
            "fatal": report.fatal,
            "follows": index[report.follows] if report.follows is not None else None,
        }
        for report in reports
    ]


def expected(log: Path) -> list[dict[str, Any]]:
    """Return the expected reports from the JSON file beside a console."""
    reports: list[dict[str, Any]] = json.loads(log.with_suffix(".json").read_text())["reports"]
    return reports


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_each_recorded_console_gives_the_expected_reports(log: Path) -> None:
    """Each recorded console of a crashed guest gives the reports of its expectations file."""
    assert found(log.read_text().split("\n")) == expected(log)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_recorded_console_with_its_first_report_removed_does_not_give_the_expected_reports(
    log: Path,
) -> None:
    """A console without its first report does not match, so the comparison can fail."""
    first = next(one for one in scan(log.read_text().split("\n")) if one.kind != "canary")
    lines = log.read_text().split("\n")
    rest = lines[: first.line] + lines[first.line + len(first.text) :]

    assert found(rest) != expected(log)


def test_every_console_has_a_file_of_expectations() -> None:
    """Each recorded console has a file with its expected reports and is not too long."""
    assert LOGS
    assert {log.stem for log in LOGS} == {file.stem for file in FOLDER.glob("*.json")}
    assert [log.name for log in LOGS if len(log.read_text().splitlines()) > MOST_LINES] == []
