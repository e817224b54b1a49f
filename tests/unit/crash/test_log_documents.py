# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of log_documents: the reports of a log as Markdown, JUnit XML and SARIF."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from harness.crash.explain_log import Explained, explain_file
from harness.crash.log_documents import ExplainedLog, to_junit, to_markdown, to_sarif
from harness.panic.log import Suspect

NULL = Path(__file__).resolve().parents[2] / "data" / "panic" / "null.log"
CRASHED = ExplainedLog(name="null.log", explained=explain_file(NULL))
CLEAN = ExplainedLog(name="clean.log", explained=Explained(reports=(), count=0))
ODD = ExplainedLog(
    name="odd.log",
    explained=Explained(reports=(), count=0, suspects=(Suspect(line=4, text="Oops\x01 & <"),)),
)


def test_markdown_has_the_title_the_facts_and_the_kernels_text() -> None:
    """The Markdown has the title as heading, the facts, and the kernel's text in a fence."""
    text = to_markdown([CRASHED])

    assert text.startswith(
        "### BUG: unable to handle kernel NULL pointer dereference in osq_crash"
    )
    assert "- function: `osq_crash_null`\n- module: `osq_test`\n" in text
    assert "- log: `null.log, line 21`" in text
    assert text.count("```") == 4


def test_the_markdown_code_fence_around_a_report_is_longer_than_backticks_inside_it() -> None:
    """The fence around a report's text is longer than any backticks in the text."""
    first = replace(CRASHED.explained.reports[0], text=("BUG: ```", "x"))
    log = replace(CRASHED, explained=replace(CRASHED.explained, reports=(first,)))

    assert "````\nBUG: ```\nx\n````" in to_markdown([log])


def test_junit_counts_reports_as_failures() -> None:
    """In JUnit XML a kernel report is a failure, lines that only look like one are an error."""
    suites = ET.fromstring(to_junit([CRASHED, CLEAN, ODD]))  # noqa: S314 -- our own text

    counts = [(one.get("tests"), one.get("failures"), one.get("errors")) for one in suites]
    assert counts == [("2", "2", "0"), ("1", "0", "0"), ("1", "0", "1")]
    failure = suites[0][0][0]
    assert failure.get("type") == "null-deref"
    assert "osq_crash_null" in (failure.text or "")
    assert suites[2][0][0].text == "5: Oops? & <"


def test_sarif_has_a_result_for_each_report() -> None:
    """Each kernel report's SARIF result has line, signature, function; a consequence is a note."""
    run = json.loads(to_sarif([CRASHED, CLEAN]))["runs"][0]

    first, second = run["results"]
    assert (first["ruleId"], first["level"], second["level"]) == ("null-deref", "error", "note")
    location = first["locations"][0]
    assert location["physicalLocation"]["region"]["startLine"] == 21
    assert location["logicalLocations"][0]["name"] == "osq_crash_null"
    assert len(first["partialFingerprints"]["signature/v2"]) == 12
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"null-deref", "panic"}
