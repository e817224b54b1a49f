# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A crash or hang of the guest is explained and blamed by evidence, and other tests still run."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.whole_run import ROOT, RUNTIME, Project, Run

HEAD = """
import os, signal, time
import psutil, pytest
RUNTIME = {runtime!r}
"""
GOOD = """
def test_before(guest): assert guest.run("true", deadline_s=20).status == 0
def test_after(guest): assert guest.run("true", deadline_s=20).status == 0
"""
REPEATED = (
    "test_crash_points::"
    "test_a_repeated_crash_is_reported_each_time_with_the_expected_kind_function_and_line"
)
CRASH = "[guest.run('echo c > /proc/sysrq-trigger', deadline_s=10, check=False)]"


def with_tests(project: Project, bad: str) -> Project:
    """Give the project a pytest suite: a good test, the bad one, and another good one."""
    folder = project.root / "checks"
    folder.mkdir()
    before, after = GOOD.strip().splitlines()
    text = "\n".join((HEAD.format(runtime=str(RUNTIME)), before, bad, after, ""))
    (folder / "test_life.py").write_text(text)
    project.replace("pyproject.toml", 'command = "greeter-test"', 'pytest = "checks"')
    return project


def verdicts(run: Run) -> dict[str, str]:
    """Return the verdict of each test by its short name."""
    results = run.report["results"]
    return {one["name"].partition("::")[2]: one["verdict"] for one in results}


def only_crash(run: Run) -> dict[str, Any]:
    """Return the only crash of the run."""
    (found,) = run.report["crashes"]
    return dict(found)


def test_after_a_test_crashes_the_next_passes_and_the_run_exits_with_3_with_report_and_dump(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """A test panics a real guest by sysrq; a new guest runs the next, and a vmcore is kept."""
    with_tests(project, f"def test_bad(guest): {CRASH}")

    run = project.run()

    assert run.code == 3, run.output
    assert verdicts(run) == {
        "test_before": "passed",
        "test_bad": "crashed",
        "test_after": "passed",
    }
    found = only_crash(run)
    assert found["test"] == "test_life::test_bad"
    assert found["blame"] == "undecided"
    assert "sysrq triggered crash" in found["title"]
    folder = Path(found["folder"])
    for name in ("console.log", "report.md", "screen.txt", "crash.json", "vmcore.zst"):
        assert (folder / name).stat().st_size > 0, name
    assert found["explained_s"] < 30
    assert "kcidb.json" in os.listdir(run.folder)
    assert nothing_left() == set()


def test_a_guest_that_resets_itself_makes_the_run_exit_with_3_and_report_a_crash_without_a_dump(
    project: Project,
) -> None:
    """A test resets a real guest by sysrq: its memory is gone, and the report says so."""
    with_tests(
        project,
        "def test_bad(guest):"
        " guest.run('echo b > /proc/sysrq-trigger', deadline_s=10, check=False)",
    )

    run = project.run()

    assert run.code == 3, run.output
    assert verdicts(run)["test_after"] == "passed"
    found = only_crash(run)
    assert found["cause"] == "gone"
    assert "reset itself" in found["title"]
    assert found["vmcore"] == ""
    assert "memory with it" in found["vmcore_note"]


def test_a_killed_qemu_is_blamed_on_the_harness_and_the_next_test_passes(project: Project) -> None:
    """After SIGKILL to a real guest's QEMU, its test is lost, and the run's exit code is 4."""
    with_tests(
        project,
        """
def test_bad(guest):
    for one in psutil.process_iter(["name", "cmdline", "pid"]):
        line = " ".join(one.info["cmdline"] or [])
        if (one.info["name"] or "").startswith("qemu-system") and RUNTIME in line:
            os.kill(one.info["pid"], signal.SIGKILL)
    time.sleep(20)
""",
    )

    run = project.run()

    assert run.code == 4, run.output
    assert verdicts(run) == {"test_before": "passed", "test_bad": "lost", "test_after": "passed"}
    found = only_crash(run)
    assert (found["cause"], found["blame"]) == ("qemu", "harness")


@pytest.mark.long
def test_a_guest_without_heartbeat_that_answers_ssh_is_blamed_on_the_harness(
    project: Project,
) -> None:
    """A test kills a real guest's heartbeat process; the reported hang blames the harness."""
    project.replace(
        "pyproject.toml",
        "[tool.harness.module]",
        "timeouts.silence_s = 2.0\n\n[tool.harness.module]",
    )
    with_tests(
        project,
        """
def test_bad(guest):
    guest.run("pkill -f harness/heartbeat", deadline_s=20)
    time.sleep(40)
""",
    )

    run = project.run()

    assert verdicts(run)["test_after"] == "passed", run.output
    found = only_crash(run)
    assert (found["cause"], found["answered"], found["blame"]) == ("hang", "ssh", "harness")


def test_a_hang_on_unload_is_reported_with_file_and_line(
    project: Project, nothing_left: Callable[[], set[str]]
) -> None:
    """The example's exit never returns; the report has greeter_exit and its line of greeter.c."""
    project.replace(
        "pyproject.toml", 'source = "src"', 'source = "src"\nparameters.mode = "cling"'
    )
    project.replace(
        "pyproject.toml", "[tool.harness.module]", "timeouts.load_s = 2.0\n\n[tool.harness.module]"
    )

    run = project.run()

    assert run.code == 3, run.output
    found = only_crash(run)
    assert found["function"] == "greeter_exit"
    assert found["module"] == "greeter"
    assert found["place"].startswith("greeter.c:")
    assert found["blame"] == "module"
    assert nothing_left() == set()


@pytest.mark.long
def test_the_run_ends_after_the_same_crash_three_times_in_a_row(project: Project) -> None:
    """Of five tests that panic alike, three run; the run's reason names the repetition."""
    bad = f"@pytest.mark.parametrize('n', range(5))\ndef test_bad(guest, n): {CRASH}"
    with_tests(project, bad)

    run = project.run("--no-vmcore")

    assert run.code == 3, run.output
    assert len(run.report["crashes"]) == 3
    assert len({one["signature"] for one in run.report["crashes"]}) == 1
    assert "3 times in a row" in run.report["reason"]
    assert "--no-vmcore" in run.report["crashes"][0]["vmcore_note"]


def test_from_crash_1_to_200_the_harness_gains_at_most_2_files_2_threads_and_200_mib(
    nothing_left: Callable[[], set[str]],
    long_run: bool,  # noqa: FBT001
) -> None:
    """In one run with 200 real crashes (--long), the harness's process hardly grows."""
    if not long_run:
        pytest.skip("200 crashes take half an hour: --long")
    project = Project(root=ROOT)

    run = project.run(*("--crash-tests", REPEATED, "--long", "--no-vmcore"), deadline_s=7200.0)

    assert run.code == 0, run.output[-4000:]
    facts = run.report["facts"]
    first = [int(word) for word in re.findall(r"\d+", facts["harness after the first crash"])]
    last = [int(word) for word in re.findall(r"\d+", facts["harness after the last crash"])]
    assert len(run.report["crashes"]) == 200
    assert last[0] <= first[0] + 2
    assert last[1] <= first[1] + 2
    # Reports and consoles of 200 crashes are kept until the run's end: a few hundred KiB each.
    assert last[2] <= first[2] + 200
    assert nothing_left() == set()


@pytest.fixture
def small_runs(project: Project) -> Iterator[Path]:
    """Give the project a folder for its runs on a file system of 96 MiB."""
    if os.getuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = project.root / "build" / "runs"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "none", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_memory_dump_too_large_for_the_free_disk_space_is_skipped_and_the_report_says_so(
    project: Project, small_runs: Path
) -> None:
    """With a small disk below build/runs, the crash report has a reason in place of a vmcore."""
    with_tests(project, f"def test_bad(guest): {CRASH}")

    run = project.run()

    assert run.code == 3, run.output
    found = only_crash(run)
    assert found["vmcore"] == ""
    assert "MiB are free" in found["vmcore_note"]
    assert verdicts(run)["test_after"] == "passed"
    assert not list(small_runs.rglob("vmcore.raw"))
