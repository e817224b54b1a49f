# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.checks: every step runs, and a failed step shows its output."""

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.project import checks
from harness.project.checks import StepResult
from tests.unit.project.documented import PROJECT


def _objects(_project: Path) -> Iterable[str]:
    return ["line one", "line two"]


def _agrees(_project: Path) -> Iterable[str]:
    return []


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the real steps of `check` by four others."""
    shell = ("sh", "-c", "echo said; echo more >&2; exit 3")
    monkeypatch.setattr(
        checks,
        "_steps",
        lambda: {
            "bad": _objects,
            "good": _agrees,
            "command": partial(checks._command, shell),
            "missing": partial(checks._command, ("no-such-program-anywhere",)),
        },
    )


@pytest.mark.usefixtures("steps")
def test_all_steps_run_after_a_failure(tmp_path: Path) -> None:
    """`check` runs its later steps after one failed; a step without its program has failed."""
    heard: list[StepResult] = []

    results = {
        step.name: step for step in checks.run_checks(project=tmp_path, on_step=heard.append)
    }

    assert {name: step.passed for name, step in results.items()} == {
        "bad": False,
        "good": True,
        "command": False,
        "missing": False,
    }
    assert results["command"].output == ("said", "more")
    assert "not installed" in results["missing"].output[0]
    assert len(heard) == 4
    assert checks.lines(results["bad"]).splitlines()[1:] == [
        "        line one",
        "        line two",
    ]


@pytest.mark.usefixtures("steps")
def test_single_steps_of_check_can_be_chosen_by_name(tmp_path: Path) -> None:
    """`check --only NAME` runs one step; the error for an unknown name lists all."""
    (only,) = checks.run_checks(project=tmp_path, only=("good",), on_step=lambda _step: None)

    assert only.name == "good"
    with pytest.raises(UsageError, match="there is no check 'god'; did you mean good") as caught:
        checks.run_checks(project=tmp_path, only=("god",), on_step=lambda _step: None)
    assert caught.value.hint == "the checks are bad, good, command, missing"


def test_check_builds_the_site_follows_links_and_reads_for_misspelt_and_clipped_words() -> None:
    """The steps of `check` include those named site, links, spelling and words."""
    assert {"site", "links", "spelling", "words"} <= set(checks._steps())


def table_of_times(text: str) -> list[tuple[tuple[str, ...], float]]:
    """Return the rows of CONTRIBUTING's table of checks: names, and most seconds of each."""
    table = text.partition("| check | seconds |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    return [
        (tuple(name.strip() for name in names.split(",")), float(re.findall(r"\d+", seconds)[-1]))
        for names, seconds in rows
    ]


def test_contributing_lists_each_check_once_the_longest_first() -> None:
    """The table of times in CONTRIBUTING.md has each step of `check`, sorted by its seconds."""
    rows = table_of_times((PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8"))

    names = [name for row, _seconds in rows for name in row]
    seconds = [most for _row, most in rows]
    assert sorted(names) == sorted(checks._steps())
    assert seconds == sorted(seconds, reverse=True)


def test_a_table_of_checks_is_read_with_several_names_in_a_row_and_a_range_of_seconds() -> None:
    """A row may have several checks, and its seconds may be a range, of which the last counts."""
    rows = "| a, b | 1 to 6 each | c |\n| d | 2 | e |"
    text = f"x\n| check | seconds | what |\n|---|---|---|\n{rows}\n\ny"

    assert table_of_times(text) == [(("a", "b"), 6.0), (("d",), 2.0)]


def test_a_passed_core_test_shows_only_lines_with_a_hash_sign_and_a_failed_one_all_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures of the driver's core tests begin with '#' in the output of `check`."""
    script = "echo '# figures'; echo noise; test $1 != layout"
    monkeypatch.setattr(checks, "_CORE", ("sh", "-c", f"shift; {script}", "sh"))

    results = checks.run_core_tests(project=tmp_path, long=False, on_step=lambda _step: None)

    by_name = {step.name: step for step in results}
    assert checks.lines(by_name["mutants"]).splitlines()[1:] == ["        # figures"]
    assert by_name["layout"].output == ("# figures", "noise")
    assert list(by_name)[-1] == "property"
    assert by_name["property"].passed is False


def test_a_command_that_fails_without_output_gives_a_line_with_its_exit_status(
    tmp_path: Path,
) -> None:
    """A step of `check` that prints nothing and fails still says why it failed."""
    assert list(checks._command(("false",), tmp_path)) == ["false ended with status 1"]


def test_the_summary_has_the_counts_of_passed_and_failed_steps_the_time_and_three_slowest() -> (
    None
):
    """The summary has the numbers of passed and failed steps, and the three slowest ones."""
    steps = tuple(
        StepResult(name=name, passed=name != "bad", duration_s=seconds)
        for name, seconds in (("quick", 0.1), ("bad", 9.0), ("slow", 40.0), ("medium", 12.4))
    )

    assert checks.summary(steps, duration_s=61.5) == (
        "3 checks passed, 1 failed in 62 s (slowest: slow 40 s, medium 12 s, bad 9 s)"
    )


def test_a_test_that_hangs_fails_and_the_next_one_still_runs(tmp_path: Path) -> None:
    """The pytest command of `check` ends one hanging test at its deadline and goes on."""
    (tmp_path / "test_it.py").write_text(
        "import time\ndef test_hangs():\n    time.sleep(4321)\ndef test_ends():\n    pass\n"
    )
    command = checks._pytest("-p", "no:cacheprovider", "test_it.py", deadline_s=1)

    output = list(checks._command(command, tmp_path, deadline_s=300.0))

    assert any("1 failed, 1 passed" in line for line in output), output
    assert any("Timeout" in line for line in output)
