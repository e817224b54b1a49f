# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.run_report: a report can be read back, and all its formats agree."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import JUnitXml

from harness.errors import Lost
from harness.model.provenance import Provenance
from harness.model.settings import Accel, RunReport, StageResult, TestResult, Verdict
from harness.panic.values import KernelReport
from harness.report import run_report

WARNING = KernelReport(kind="warning", title="WARNING: in f", line=3, text=("a", "b"), test="one")


def sample(folder: Path) -> RunReport:
    """Return a run with a result of each kind."""
    results = tuple(
        TestResult(name=verdict.value, verdict=verdict, reason="why", suite="guest")
        for verdict in Verdict
    )
    return RunReport(
        run_id="run-1",
        target="one",
        verdict=Verdict.FAILED,
        reason="because",
        accel=Accel.TCG,
        deadline_factor=4.0,
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=12.5,
        folder=folder,
        stages=(StageResult(name="build", duration_s=1.0),),
        results=results,
        reports=(replace(WARNING, test=""),),
        witnesses={"guest": "clean"},
        provenance=Provenance(kernel_release="6.1"),
        facts={"image": "one"},
        hint="do this",
        evidence=("last line",),
    )


def test_every_field_of_a_report_is_equal_after_writing_and_reading(tmp_path: Path) -> None:
    """A run's report.json is read back as an equal value."""
    run = sample(tmp_path)

    run_report.write(run)

    assert run_report.load(tmp_path) == run


# The default alphabet of st.text has no surrogates.
TEXT = st.text(st.characters(), max_size=30)
RESULTS = st.builds(
    TestResult,
    name=TEXT,
    verdict=st.sampled_from(Verdict),
    duration_s=st.floats(0, 1e6),
    reason=TEXT,
    diagnostics=st.lists(TEXT, max_size=3).map(tuple),
    suite=TEXT,
)


@settings(max_examples=40, deadline=None)
@given(results=st.lists(RESULTS, max_size=4).map(tuple))
def test_any_text_in_a_report_is_equal_after_writing_and_reading(
    results: tuple[TestResult, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In report.json, control characters, lone surrogates and other alphabets survive."""
    run = replace(sample(tmp_path_factory.mktemp("run")), results=results)

    run_report.write(run)

    assert run_report.load(run.folder) == run


def test_in_junit_a_failed_test_is_a_failure_and_a_crashed_or_lost_test_an_error(
    tmp_path: Path,
) -> None:
    """In JUnit a failed assertion is a failure, and a crash or a lost guest is an error."""
    run_report.write(sample(tmp_path))

    (suite,) = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    kinds = {case.name: type(case.result[0]).__name__ for case in suite if case.result}

    assert kinds == {
        "failed": "Failure",
        "crashed": "Error",
        "lost": "Error",
        "skipped": "Skipped",
    }


def test_in_junit_a_lost_run_without_results_is_one_case_named_the_run_itself(
    tmp_path: Path,
) -> None:
    """In JUnit, a lost run without results is one test case with the name 'the run itself'."""
    run_report.write(replace(sample(tmp_path), results=(), verdict=Verdict.LOST))

    (suite,) = JUnitXml.fromfile(str(tmp_path / "junit.xml"))

    assert [case.name for case in suite] == ["the run itself"]


def test_a_summary_begins_with_the_evidence_has_the_counts_and_ends_with_the_verdict(
    tmp_path: Path,
) -> None:
    """Above a run's verdict, its printed summary names what led to it."""
    lines = run_report.summary_lines(sample(tmp_path))

    assert lines[-1] == "verdict: failed (because)"
    assert lines[0] == "  | last line"
    assert "failed: failed: why" in lines
    assert "1 passed, 3 failed, 1 skipped in 12.5 s (one, tcg, deadlines x 4)" in lines


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 2}'])
def test_a_file_that_is_not_a_report_is_refused(tmp_path: Path, text: str) -> None:
    """An incomplete report.json, or one with a missing field, is refused."""
    (tmp_path / "report.json").write_text(text)

    with pytest.raises(Lost):
        run_report.load(tmp_path)


def test_loading_a_schema_2_report_moves_known_facts_to_provenance_and_keeps_the_others(
    tmp_path: Path,
) -> None:
    """From a report of schema 2, known values in `facts` move to `provenance`; others stay."""
    run_report.write(sample(tmp_path))
    file = tmp_path / "report.json"
    data = json.loads(file.read_text())
    del data["provenance"]
    data["schema"] = 2
    data["stages"][0]["detail"] = ""
    data["facts"] = {
        "commit": "abc",
        "tree": "changed since that commit",
        "selection": "everything",
        "groups": ",crash",
        "kernel": "6.1.0-50",
        "kernel name": "6.1",
        "kernel package version": "6.1.176-1",
        "image": "one",
    }
    file.write_text(json.dumps(data))

    old = run_report.load(tmp_path)

    assert old.provenance == Provenance(
        commit="abc",
        tree_changed=True,
        groups=("", "crash"),
        kernel="6.1",
        kernel_release="6.1.0-50",
        kernel_version="6.1.176-1",
    )
    assert old.facts == {"image": "one"}
    assert old.stages == sample(tmp_path).stages


@pytest.mark.parametrize("schema", [1, 4, None])
def test_a_report_of_another_schema_is_refused(tmp_path: Path, schema: int | None) -> None:
    """The error for a report of another schema names both schemas and the next step."""
    run_report.write(sample(tmp_path))
    file = tmp_path / "report.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": schema}))

    with pytest.raises(Lost, match=rf"has schema {schema}; this harness reads 2 and 3") as caught:
        run_report.load(tmp_path)

    assert "run the tests again" in caught.value.hint


def test_a_report_file_contains_its_schema(tmp_path: Path) -> None:
    """A run's report.json has the number of its schema, for later readers."""
    run_report.write(sample(tmp_path))

    assert json.loads((tmp_path / "report.json").read_text())["schema"] == run_report.SCHEMA


def test_a_kernel_report_fails_the_test_it_belongs_to_and_a_fatal_one_makes_it_crashed() -> None:
    """A warning of the kernel during a test that passed makes it fail, a panic crashed."""
    one = TestResult(name="one", verdict=Verdict.PASSED)
    fatal = replace(WARNING, fatal=True)

    (failed,), loose = run_report.apply_reports((one,), (WARNING,))
    (crashed,), _ = run_report.apply_reports((one,), (fatal,))

    assert (failed.verdict, failed.reason) == (
        Verdict.FAILED,
        "the kernel reported: WARNING: in f",
    )
    assert (loose, failed.reports) == ((), (WARNING,))
    assert crashed.verdict is Verdict.CRASHED


def test_a_kernel_report_between_tests_changes_no_test_and_is_returned_separately() -> None:
    """A kernel warning that came while no test ran leaves each test's verdict as it is."""
    one = TestResult(name="one", verdict=Verdict.PASSED)
    between = replace(WARNING, test="")

    assert run_report.apply_reports((one,), (between,)) == ((one,), (between,))
