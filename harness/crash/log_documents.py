# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Convert the reports of a log into documents for other tools: Markdown, JUnit XML, SARIF.

Sources: the JUnit schema that GitLab and Jenkins read; SARIF 2.1.0, sections 3.27 and 3.28.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from harness.crash.explain_log import Explained
from harness.panic.signature import signature
from harness.panic.values import KernelReport

# XML 1.0 cannot represent these characters, not even escaped.
_NOT_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, kw_only=True)
class ExplainedLog:
    """The name of a log, and its reports."""

    name: str
    explained: Explained


def to_markdown(logs: Sequence[ExplainedLog]) -> str:
    """Return a bug report in Markdown: each report with its facts and the kernel's text.

    Without a report, it is one sentence that says so.
    """
    parts = [_markdown(log.name, report) for log in logs for report in log.explained.reports]
    return "\n\n".join(parts) if parts else "No report of a kernel fault was found."


def _markdown(name: str, report: KernelReport) -> str:
    rows = {
        "function": report.function,
        "module": report.module,
        "place": report.place,
        "kernel": report.facts.get("kernel", ""),
        "task": report.task,
        "taint": report.taint,
        "signature": signature(report),
        "log": f"{name}, line {report.line + 1}",
    }
    facts = [f"- {key}: `{value}`" for key, value in rows.items() if value]
    # A fence must be longer than any run of backticks in the text.
    longest = max((len(run) for line in report.text for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"### {report.title}", "", *facts, "", fence, *report.text, fence])


def to_junit(logs: Sequence[ExplainedLog]) -> str:
    """Return JUnit XML: a suite for each log, with a failed case for each report.

    A log without a report has one case, which is an error if lines look like a crash, else passed.
    """
    root = ET.Element("testsuites", name="panic-explain")
    for log in logs:
        reports, suspects = log.explained.reports, log.explained.suspects
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_xml(log.name),
            tests=str(max(1, len(reports))),
            failures=str(len(reports)),
            errors=str(int(bool(suspects))),
        )
        for report in reports:
            case = ET.SubElement(suite, "testcase", classname=report.kind, name=_xml(report.title))
            failure = ET.SubElement(case, "failure", type=report.kind, message=_xml(report.title))
            failure.text = _xml("\n".join(report.text))
        if not reports:
            case = ET.SubElement(suite, "testcase", classname="kernel log", name="no report")
            if suspects:
                error = ET.SubElement(case, "error", message="words of a crash, and no report")
                error.text = _xml("\n".join(f"{one.line + 1}: {one.text}" for one in suspects))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode")


def _xml(text: str) -> str:
    return _NOT_XML.sub("?", text)


def to_sarif(logs: Sequence[ExplainedLog]) -> str:
    """Return SARIF: a result for each report, with its signature as fingerprint."""
    results = [_result(log.name, report) for log in logs for report in log.explained.reports]
    rules = sorted({result["ruleId"] for result in results})
    driver = {"name": "panic-explain", "rules": [{"id": rule} for rule in rules]}
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"version": "2.1.0", "$schema": _SCHEMA, "runs": [run]}, indent=1)


def _result(name: str, report: KernelReport) -> dict[str, Any]:
    location = {
        "artifactLocation": {"uri": name},
        "region": {"startLine": report.line + 1},
    }
    result: dict[str, Any] = {
        "ruleId": report.kind,
        "level": "note" if report.follows is not None else "error",
        "message": {"text": report.title},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"signature/v2": signature(report)},
    }
    if report.function:
        logical = {"name": report.function, "kind": "function"}
        result["locations"][0]["logicalLocations"] = [logical]
    return result
