# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""tests/data/panic: consoles of our own crashed guests, each with what must be read from it."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.panic.scan import scan

FOLDER = Path(__file__).resolve().parents[2] / "data" / "panic"
LOGS = sorted(FOLDER.glob("*.log"))
MOST_LINES = 200


def found(lines: list[str]) -> list[dict[str, Any]]:
    """Return the reports of a console as the expectations are written."""
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
    """Return the reports that the file beside a console tells."""
    reports: list[dict[str, Any]] = json.loads(log.with_suffix(".json").read_text())["reports"]
    return reports


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_a_recorded_crash_is_read_as_it_was(log: Path) -> None:
    """Kind, title, function, module, task, what was fatal and what followed, in order."""
    assert found(log.read_text().split("\n")) == expected(log)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_without_its_first_report_a_console_is_another(log: Path) -> None:
    """The comparison sees a report that is missing."""
    first = next(one for one in scan(log.read_text().split("\n")) if one.kind != "canary")
    lines = log.read_text().split("\n")
    rest = lines[: first.line] + lines[first.line + len(first.text) :]

    assert found(rest) != expected(log)


def test_every_console_has_its_expectation() -> None:
    """In pairs, and short enough to be read."""
    assert LOGS
    assert {log.stem for log in LOGS} == {file.stem for file in FOLDER.glob("*.json")}
    assert [log.name for log in LOGS if len(log.read_text().splitlines()) > MOST_LINES] == []
