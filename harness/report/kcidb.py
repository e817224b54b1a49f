# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write a run as KCIDB JSON (version 5.3), the exchange format of kernel test systems.

A lost test is MISS, not FAIL, because a guest that never booted proves nothing about the kernel.
Source: kcidb-io's schema, which allows no other keys and no nulls.
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.host import cache
from harness.model.crash import Blame, Crash
from harness.model.settings import RunReport, TestResult, Verdict

FILE = "kcidb.json"
ORIGIN = "modlab"
_VERSION = {"major": 5, "minor": 3}
_STATUS = {
    Verdict.PASSED: "PASS",
    Verdict.FAILED: "FAIL",
    Verdict.CRASHED: "FAIL",
    Verdict.SKIPPED: "SKIP",
    Verdict.LOST: "MISS",
}
# The schema's pattern for the path of a test allows no other characters.
_NOT_PATH = re.compile(r"[^a-zA-Z0-9_.-]+")
# The schema's limit for log_excerpt.
_MOST_CHARACTERS = 16384
_ISSUE_VERSION = 1


def render(report: RunReport) -> dict[str, Any]:
    """Return the run as one KCIDB object: checkout, build, tests, issues, incidents."""
    checkout, build = f"{ORIGIN}:{report.run_id}", f"{ORIGIN}:{report.run_id}-build"
    commit = report.provenance.commit
    issues = {crash.signature: _issue(crash) for crash in report.crashes}
    return {
        "version": _VERSION,
        "checkouts": [
            {
                "id": checkout,
                "origin": ORIGIN,
                **({"git_commit_hash": commit} if commit else {}),
                "valid": True,
            }
        ],
        "builds": [
            {
                "checkout_id": checkout,
                "id": build,
                "origin": ORIGIN,
                # Only a module that was built gives results. Without any, the run may have ended
                # before the build.
                "status": "PASS" if report.results else "MISS",
                "comment": f"{report.target} {report.provenance.kernel_release}".strip(),
                "start_time": report.started_at,
            }
        ],
        "tests": [
            _test(result, number, report, build) for number, result in enumerate(report.results)
        ],
        "issues": list(issues.values()),
        "incidents": [_incident(crash, report) for crash in report.crashes],
    }


def merged(objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return several KCIDB objects as one; an issue that several of them have is there once."""
    whole: dict[str, Any] = {"version": _VERSION}
    for one in objects:
        for kind, items in one.items():
            if kind != "version":
                known = whole.setdefault(kind, [])
                known += [item for item in items if item not in known]
    return whole


def _test_id(report: RunReport, number: int) -> str:
    return f"{ORIGIN}:{report.run_id}-{number}"


def _test(result: TestResult, number: int, report: RunReport, build: str) -> dict[str, Any]:
    excerpt = "\n".join(result.diagnostics)[-_MOST_CHARACTERS:]
    path = f"{result.suite}.{result.name.replace('::', '.')}"
    return {
        "build_id": build,
        "id": _test_id(report, number),
        "origin": ORIGIN,
        "path": _NOT_PATH.sub("_", path).strip("."),
        "status": _STATUS[result.verdict],
        "duration": result.duration_s,
        "comment": result.reason or result.verdict.value,
        "environment": {"comment": f"{report.target}, {report.accel.value}"},
        **({"log_excerpt": excerpt} if excerpt else {}),
    }


def _issue(crash: Crash) -> dict[str, Any]:
    return {
        "id": f"{ORIGIN}:{crash.signature}",
        "version": _ISSUE_VERSION,
        "origin": ORIGIN,
        "report_subject": crash.title,
        "comment": crash.blame_why,
        "culprit": {
            "code": crash.blame in {Blame.MODULE, Blame.KERNEL},
            "harness": crash.blame is Blame.HARNESS,
        },
    }


def _incident(crash: Crash, report: RunReport) -> dict[str, Any]:
    # Tests of two suites may have one name.
    places = [number for number, result in enumerate(report.results) if result.name == crash.test]
    crashed = [n for n in places if report.results[n].verdict is Verdict.CRASHED]
    where = (
        {"test_id": _test_id(report, (crashed or places)[0])}
        if places
        # A crash between tests belongs to no test, so its incident names the build.
        else {"build_id": f"{ORIGIN}:{report.run_id}-build"}
    )
    return {
        "id": f"{ORIGIN}:{report.run_id}-crash-{crash.number}",
        "origin": ORIGIN,
        "issue_id": f"{ORIGIN}:{crash.signature}",
        "issue_version": _ISSUE_VERSION,
        "present": True,
        **where,
    }


def write(report: RunReport) -> Path:
    """Write the run's KCIDB file and return its path.

    Raises: Lost when the disk is full.
    """
    file = report.folder / FILE
    with cache.room(report.folder):
        file.write_text(json.dumps(render(report), indent=1) + "\n", encoding="utf-8")
    return file
