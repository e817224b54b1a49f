# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of host.kunit: the command prints the chosen suites of a kernel log as one document."""

import subprocess
from pathlib import Path

import pytest

from harness.host import kunit
from harness.model.settings import TestResult, Verdict
from harness.report.ktap import Bail, Event, Parser, Plan, Result

# What Linux 6.1 writes: `dmesg` of a guest after two modules with suites were loaded, one twice.
LOG = """[    0.000000] Linux version 6.1.0 (me@here) # Subtest: none
[   12.000001] greeter: hello
[   12.000002]     KTAP version 1
[   12.000003]     # Subtest: greeter
[   12.000004]     1..2
[   12.000005]     # is_polite: EXPECTATION FAILED at src/greeter_test.c:12
                   Expected polite == 1, but
[   12.000006] harness-heartbeat run 7
[   12.000007]     not ok 1 is_polite
[   12.000008]     ok 2 greets
[   12.000009] not ok 1 greeter
[   13.000001][    T1]     KTAP version 1
[   13.000002][    T1]     # Subtest: greeter-net
[   13.000003][    T1]     1..1
[   13.000004][    T1]     ok 1 connects
[   13.000005][    T1] ok 2 greeter-net
[   14.000003]     # Subtest: greeter
[   14.000004]     1..1
[   14.000007]     ok 1 is_polite
[   14.000009] ok 1 greeter
"""


def events(log: str, *patterns: str, folder: Path) -> list[Event]:
    """Return the events of what the command prints when `dmesg` prints this log."""
    (folder / "dmesg").write_text(f"#!/bin/sh\ncat {folder}/log\n")
    (folder / "dmesg").chmod(0o755)
    (folder / "log").write_text(log)
    done = subprocess.run(
        ["sh", "-c", kunit.command(patterns)],
        env={"PATH": f"{folder}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    parser = Parser()
    return [event for line in done.stdout.splitlines() for event in parser.feed(line)]


def results(log: str, *patterns: str, folder: Path) -> list[TestResult]:
    """Return the results of what the command prints."""
    found = events(log, *patterns, folder=folder)
    return [event.result for event in found if isinstance(event, Result)]


def test_of_a_suite_that_ran_twice_only_the_last_results_count(tmp_path: Path) -> None:
    """In a kernel log with two runs of a KUnit suite, the earlier run's results are left out."""
    found = results(LOG, "greeter", folder=tmp_path)

    assert [(one.name, one.verdict) for one in found] == [("greeter/is_polite", Verdict.PASSED)]


def test_a_failed_case_has_the_lines_that_kunit_printed_about_it(tmp_path: Path) -> None:
    """The result of a failed KUnit case keeps its lines of the kernel's log, but no others."""
    first = LOG.partition("[   13.000001]")[0]

    bad, good = results(first, "*", folder=tmp_path)

    assert (bad.name, bad.verdict) == ("greeter/is_polite", Verdict.FAILED)
    assert any("EXPECTATION FAILED" in line for line in bad.diagnostics)
    assert not any("harness" in line for line in bad.diagnostics)
    assert (good.name, good.verdict) == ("greeter/greets", Verdict.PASSED)


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        (("*",), ["greeter/is_polite", "greeter-net/connects"]),
        (("greeter-*",), ["greeter-net/connects"]),
        (("greeter?net", "*-net"), ["greeter-net/connects"]),
    ],
)
def test_each_suite_that_a_pattern_matches_is_printed_once(
    patterns: tuple[str, ...], names: list[str], tmp_path: Path
) -> None:
    """A KUnit suite that two patterns match is one result of the log, in KTAP."""
    found = events(LOG, *patterns, folder=tmp_path)

    assert Plan(count=len(names)) in found
    assert [one.result.name for one in found if isinstance(one, Result)] == names


def test_a_pattern_that_matches_no_suite_gives_a_failed_result_which_lists_existing_suites(
    tmp_path: Path,
) -> None:
    """A misspelt KUnit pattern fails with the names of the suites that the kernel's log has."""
    good, bad = results(LOG, "greeter-net", "greter", folder=tmp_path)

    assert (good.name, good.verdict) == ("greeter-net/connects", Verdict.PASSED)
    assert bad.verdict is Verdict.FAILED
    assert bad.name == "no suite matches greter"
    assert any("greeter greeter-net" in line for line in bad.diagnostics)


def test_a_log_without_a_kunit_suite_gives_a_bail_out(tmp_path: Path) -> None:
    """A kernel's log without KUnit results gives KTAP's 'Bail out!', which names CONFIG_KUNIT."""
    found = events("[    1.0] greeter: hello\n", "*", folder=tmp_path)

    assert len(found) == 1
    assert isinstance(found[0], Bail)
    assert "CONFIG_KUNIT" in found[0].reason
