# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.kcidb: the file is complete, and a host's fault is no failure of a kernel."""

import json
import re
from pathlib import Path
from typing import Any

from harness.model.crash import Blame
from harness.model.settings import TestResult, Verdict
from harness.report.kcidb import render, write
from tests.unit.crashes import crash, report_of

ID = re.compile(r"^[a-z0-9_]+:.+$")
PATH = re.compile(r"^[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*$")


def walk(value: Any) -> list[Any]:
    """Return every value in a tree of lists and objects."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(one for item in inner for one in walk(item))]


def test_a_crash_becomes_a_kcidb_issue_that_an_incident_connects_with_its_test(
    tmp_path: Path,
) -> None:
    """In the run's report for KernelCI, an incident connects the crash with its test."""
    data = render(report_of(tmp_path / "run-1"))

    (test,), (issue,), (incident,) = data["tests"], data["issues"], data["incidents"]
    assert test["status"] == "FAIL"
    assert incident["test_id"] == test["id"]
    assert incident["issue_id"] == issue["id"]
    assert test["build_id"] == data["builds"][0]["id"]
    assert data["builds"][0]["checkout_id"] == data["checkouts"][0]["id"]
    assert issue["report_subject"].startswith("BUG: unable to handle")


def test_kcidb_ids_and_paths_follow_the_schema(tmp_path: Path) -> None:
    """The run's object for KernelCI has no null, and tests' paths are words with dots."""
    odd = TestResult(name="test_a::test_b[x y]", suite="guest", verdict=Verdict.PASSED)

    data = render(report_of(tmp_path / "run-1", results=(odd,)))

    for kind in ("checkouts", "builds", "tests", "issues", "incidents"):
        assert all(ID.match(one["id"]) for one in data[kind])
    assert PATH.match(data["tests"][0]["path"])
    assert None not in walk(data)


def test_in_kcidb_a_lost_test_has_status_miss_and_a_harness_crash_the_culprit_harness(
    tmp_path: Path,
) -> None:
    """A lost test has MISS; the issue of a crash blamed on the harness does not blame the code."""
    lost = TestResult(name="t::one", suite="guest", verdict=Verdict.LOST)
    ours = crash(blame=Blame.HARNESS)

    data = render(report_of(tmp_path / "run-1", results=(lost,), crashes=(ours,)))

    assert data["tests"][0]["status"] == "MISS"
    assert data["issues"][0]["culprit"] == {"code": False, "harness": True}


def test_the_kcidb_incident_of_a_crash_between_tests_refers_to_the_build_and_no_test(
    tmp_path: Path,
) -> None:
    """The incident of a crash between tests refers to the build, not to a test."""
    data = render(report_of(tmp_path / "run-1", crashes=(crash(test=""),)))

    assert "test_id" not in data["incidents"][0]
    assert data["incidents"][0]["build_id"] == data["builds"][0]["id"]


def test_the_kcidb_incident_of_a_name_that_two_suites_have_refers_to_the_test_that_crashed(
    tmp_path: Path,
) -> None:
    """If two suites have a test of one name, the incident refers to the one that crashed."""
    name = crash().test
    passed = TestResult(name=name, suite="first", verdict=Verdict.PASSED)
    crashed = TestResult(name=name, suite="second", verdict=Verdict.CRASHED)

    data = render(report_of(tmp_path / "run-1", results=(passed, crashed)))

    assert data["incidents"][0]["test_id"] == data["tests"][1]["id"] != data["tests"][0]["id"]


def test_the_kcidb_file_is_json(tmp_path: Path) -> None:
    """The KCIDB file in the run's folder is the rendered object as JSON."""
    report = report_of(tmp_path)

    data = json.loads(write(report).read_text())

    assert data == render(report)
    assert data["version"] == {"major": 5, "minor": 3}
