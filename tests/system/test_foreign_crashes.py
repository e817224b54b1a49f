# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Every way in which a foreign module breaks its kernel is explained: what, where, when, by whom.

The module is tests/data/stumble, and its tests announce nothing. A few ways run always; the long
form runs all of them, which takes some minutes.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.source_lines import lines_of
from tests.system.whole_run import ROOT, RUNTIME, Project, Run, call_task

STUMBLE = ROOT / "tests" / "data" / "stumble"
SOURCE = STUMBLE / "src" / "stumble.c"
SHORT = ("null", "warn", "double_free", "deadlock")
RUN_S = 3600.0
# What an emulated guest reports first depends on how its CPUs share the host's.
SPINS = {"soft-lockup", "rcu-stall", "hang"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What has to be found: kinds that are right, function, text of the line, verdicts."""

    kinds: set[str]
    function: str
    text: str
    verdicts: frozenset[str] = frozenset({"crashed"})


def hang(function: str, text: str) -> Wanted:
    """Return a hang that no watchdog reports before the deadline of the command."""
    return Wanted(kinds={"hang"}, function=function, text=text, verdicts=frozenset({"failed"}))


SURVIVED = frozenset({"failed"})
ENDED = frozenset({"crashed", "failed"})
WANTED = {
    "null": Wanted(kinds={"null-deref"}, function="stumble_null", text="WRITE_ONCE"),
    "wild": Wanted(kinds={"general-protection"}, function="stumble_wild", text="WRITE_ONCE"),
    "bug": Wanted(kinds={"bug"}, function="stumble_bug", text="BUG_ON"),
    "warn": Wanted(kinds={"warning"}, function="stumble_warn", text="WARN_ON", verdicts=SURVIVED),
    "divide": Wanted(kinds={"divide-error"}, function="stumble_divide", text="1000 / by"),
    "list": Wanted(kinds={"list-corruption"}, function="stumble_list", text="second time"),
    "refcount": Wanted(
        kinds={"refcount"}, function="stumble_refcount", text="refcount_inc", verdicts=SURVIVED
    ),
    "usercopy": Wanted(
        kinds={"warning", "usercopy"},
        function="stumble_usercopy",
        text="copy_to_user",
        verdicts=SURVIVED,
    ),
    "recursion": Wanted(
        kinds={"stack-overflow"}, function="stumble_recursion", text="return stumble_recursion"
    ),
    "double_free": Wanted(kinds={"bug"}, function="stumble_put", text="kfree"),
    "timer": Wanted(kinds={"null-deref"}, function="stumble_late", text="WRITE_ONCE"),
    "storm": Wanted(
        kinds={"page-allocation-failure"},
        function="stumble_storm_work",
        text="__get_free_pages",
        verdicts=ENDED,
    ),
    "atomic": Wanted(
        kinds={"atomic-sleep"}, function="stumble_atomic", text="msleep", verdicts=ENDED
    ),
    "deadlock": hang("stumble_enter", "mutex_lock"),
    "forgotten": hang("stumble_forgotten", "wait_for_completion"),
    "asleep": hang("stumble_asleep", "wait_event_interruptible"),
    "spin": Wanted(kinds=SPINS, function="stumble_spin", text="cpu_relax", verdicts=ENDED),
    "deaf": Wanted(kinds=SPINS, function="stumble_deaf", text="cpu_relax", verdicts=ENDED),
}


def kind_of(name: str) -> str:
    """Return the way to break the kernel that a test's name has as its parameter."""
    return name.rpartition("[")[2].rstrip("]")


@pytest.fixture(scope="module")
def stumbled(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Run:
    """Run the tests of the foreign module, all of them in the long form."""
    root = tmp_path_factory.mktemp("foreign") / "stumble"
    shutil.copytree(STUMBLE, root, ignore=shutil.ignore_patterns("build"))
    project = Project(root=root)
    project.replace("pyproject.toml", '"../../../vm-images"', f'"{ROOT / "vm-images"}"')
    is_long = request.config.getoption("--long")
    chosen = () if is_long else ("-k", " or ".join((*SHORT, "unbroken")))
    return project.run("--maxcrash=0", *chosen, deadline_s=RUN_S)


LONG = [pytest.param(one, marks=pytest.mark.long) for one in WANTED if one not in SHORT]


@pytest.fixture(params=[*SHORT, *LONG])
def kind(request: pytest.FixtureRequest) -> str:
    """Give each way to break the kernel."""
    return str(request.param)


def crash_of(run: Run, kind: str) -> dict[str, Any]:
    """Return the only crash of the test of one way."""
    (found,) = (one for one in run.report["crashes"] if kind_of(one["test"]) == kind)
    return dict(found)


def test_each_crash_is_reported_with_kind_function_line_and_blame(
    stumbled: Run, kind: str
) -> None:
    """For each crash in a run of the foreign module stumble, report.json blames the module."""
    wanted = WANTED[kind]

    found = crash_of(stumbled, kind)

    assert found["kind"] in wanted.kinds, found["title"]
    assert found["function"] == wanted.function
    assert found["module"] == "stumble"
    assert found["place"] in lines_of(SOURCE, wanted.function, wanted.text)
    assert found["blame"] == "module"


def test_the_test_that_causes_a_crash_is_reported_as_failed_or_crashed_with_a_reason(
    stumbled: Run, kind: str
) -> None:
    """In the run of the module stumble, each crashing test has the expected verdict."""
    (result,) = (one for one in stumbled.report["results"] if kind_of(one["name"]) == kind)

    assert result["verdict"] in WANTED[kind].verdicts, result["reason"]
    assert result["reason"]


def test_the_console_of_a_crash_has_the_mark_of_its_own_test_and_of_no_earlier_crash(
    stumbled: Run, kind: str
) -> None:
    """console.log of a crash names its test, and no test that crashed earlier in the run."""
    found = crash_of(stumbled, kind)

    text = (Path(found["folder"]) / "console.log").read_text(errors="replace")

    others = {one["test"] for one in stumbled.report["crashes"] if one["number"] < found["number"]}
    assert f"harness-test-begin {found['test']}" in text
    assert not [one for one in others if f"harness-test-begin {one}" in text]


def test_a_harmless_test_after_all_crashes_passes_and_the_module_unloads(stumbled: Run) -> None:
    """The last test of the run of the module stumble runs in a new guest that works."""
    results = {one["name"]: one["verdict"] for one in stumbled.report["results"]}

    assert (
        results[
            "test_stumble::test_in_a_guest_that_is_unbroken_proc_modules_begins_with_the_module_stumble"
        ]
        == "passed"
    )
    assert "does not unload" not in stumbled.output


def test_for_a_deadlock_the_reason_names_the_overdue_command_and_the_function_that_hangs(
    stumbled: Run,
) -> None:
    """The deadlock's result in report.json has `echo deadlock`, a deadline, and the function."""
    (result,) = (one for one in stumbled.report["results"] if kind_of(one["name"]) == "deadlock")
    found = crash_of(stumbled, "deadlock")

    assert re.search(r"did not end within \d+ s: echo deadlock", result["reason"])
    assert f"task hangs in {found['function']}" in result["reason"]
    assert found["cause"] == "overdue"
    assert found["explained_s"] < 120


def test_replay_of_a_crash_runs_only_the_test_that_crashed(stumbled: Run) -> None:
    """`replay RUN --crash N` runs that test alone, with its class and its parameter."""
    first = crash_of(stumbled, "warn")
    root = stumbled.folder.parents[2]
    before = set(stumbled.folder.parent.iterdir())

    words = ["replay", stumbled.folder.name, f"--crash={first['number']}"]

    done = subprocess.run(
        [sys.executable, "-m", "harness.tasks", *words],
        cwd=root,
        env={**os.environ, "CI": "1", "XDG_RUNTIME_DIR": str(RUNTIME)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_S,
    )

    (folder,) = set(stumbled.folder.parent.iterdir()) - before
    again = Run(code=done.returncode, output=done.stdout, folder=folder, seconds=0.0).report
    assert [one["name"] for one in again["results"]] == [first["test"]], done.stdout
    assert [one["signature"] for one in again["crashes"]] == [first["signature"]]
    assert done.returncode == 1


def commit(root: Path, text: str, subject: str) -> None:
    """Write the module's source, and commit it in the project's own repository."""
    (root / "src" / "stumble.c").write_text(text)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "src"], ["commit", "-q", "-m", subject]):
        subprocess.run(["git", *who, *words], cwd=root, check=True)


def test_panic_list_shows_a_signature_by_which_bisect_finds_the_commit_of_the_crash(
    stumbled: Run,
) -> None:
    """`bisect` with a crash's signature, or its test, names the commit that brought it."""
    root = stumbled.folder.parents[2]
    crash = crash_of(stumbled, "warn")
    signature, test = crash["signature"], crash["test"]
    whole = (root / "src" / "stumble.c").read_text()
    harmless = whole.replace("WARN_ON(", "(void)(")
    for text, subject in ((harmless, "begin"), (f"{harmless}\n", "go on"), (whole, "warn")):
        commit(root, text, subject)

    listed = call_task("panic-list", cwd=root)
    found = call_task(
        "bisect", f"--signature={signature}", "--good=HEAD~2", cwd=root, deadline_s=RUN_S
    )

    by_test = call_task("bisect", f"--test={test}", "--good=HEAD~2", cwd=root, deadline_s=RUN_S)

    assert signature in listed.stdout
    for one in (found, by_test):
        assert one.returncode == 0, one.stdout
        assert " is good: " in one.stdout
        assert "\nwarn\n" in one.stdout
