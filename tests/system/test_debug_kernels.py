# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each flaw of a foreign module is found by the debug kernel made for it, and named rightly.

The module is tests/data/flaws, whose tests all pass on an ordinary kernel. Long, since the first
run builds each kernel.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.source_lines import lines_of
from tests.system.whole_run import ROOT, Project, Run, call_task

FLAWS = ROOT / "tests" / "data" / "flaws"
SOURCE = FLAWS / "src" / "flaws.c"
# The build of a kernel on a busy host is the most of it.
RUN_S = 3 * 3600.0

pytestmark = pytest.mark.long


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What has to be found: the kinds that are right, and a text of the line."""

    kinds: set[str]
    text: str


KASAN = {
    "use_after_free": Wanted(kinds={"kasan"}, text="WRITE_ONCE"),
    "out_of_bounds": Wanted(kinds={"kasan"}, text="READ_ONCE"),
    "double_free": Wanted(kinds={"kasan"}, text="second time"),
    "inversion": Wanted(kinds={"lockdep"}, text="other way round"),
    "atomic": Wanted(kinds={"atomic-sleep"}, text="kzalloc"),
    "active_timer": Wanted(kinds={"warning"}, text="kfree"),
    "shift": Wanted(kinds={"ubsan"}, text="farther"),
    "leak": Wanted(kinds={"kmemleak"}, text="kzalloc"),
}
# With KASAN, a null pointer has a shadow address that no pointer can be.
UNCHECKED = Wanted(kinds={"general-protection", "null-deref"}, text="WRITE_ONCE")
KCSAN = {"race": Wanted(kinds={"kcsan"}, text="without a lock")}


def function_of(kind: str) -> str:
    """Return the function that has a flaw."""
    return "flaws_count" if kind == "race" else f"flaws_{kind}"


def copied(folder: Path) -> Project:
    """Return a copy of the project with the flawed module."""
    root = folder / "flaws"
    shutil.copytree(FLAWS, root, ignore=shutil.ignore_patterns("build"))
    project = Project(root=root)
    project.replace("pyproject.toml", '"../../../vm-images"', f'"{ROOT / "vm-images"}"')
    return project


def run_on(kernel: str, kinds: dict[str, Wanted], folder: Path) -> Run:
    """Run the tests of some kinds on a kernel."""
    project = copied(folder)
    chosen = " or ".join(kinds)
    return project.run(f"--kernel={kernel}", "--maxcrash=0", "-k", chosen, deadline_s=RUN_S)


@pytest.fixture(scope="module")
def on_kasan(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the tests on the kernel with KASAN, lockdep, kmemleak and failing allocations."""
    return run_on("6.1-kasan", KASAN, tmp_path_factory.mktemp("kasan"))


@pytest.fixture(scope="module")
def on_kcsan(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the test with the data race on the kernel with KCSAN."""
    return run_on("6.1-kcsan", KCSAN, tmp_path_factory.mktemp("kcsan"))


@pytest.mark.parametrize("kind", KASAN)
def test_each_flaw_of_memory_or_locks_is_found_with_kind_function_and_line(
    on_kasan: Run, kind: str
) -> None:
    """The test that used the flawed part has failed, for the right reason."""
    check(on_kasan, kind, KASAN[kind])


def test_a_data_race_is_found_with_function_and_line(on_kcsan: Run) -> None:
    """Two threads that count without a lock are found."""
    check(on_kcsan, "race", KCSAN["race"])


def test_fault_test_finds_the_error_path_that_is_missing(tmp_path: Path) -> None:
    """The part without an error path crashes, and is named; the other suites pass."""
    project = copied(tmp_path)
    words = ["fault-test", "--kernel=6.1-kasan", "--run-id=one"]

    plain = call_task(*words, cwd=project.root, deadline_s=RUN_S)
    words[-1] = "--run-id=two"
    done = call_task(
        *words, "--", "echo unchecked > /dev/flaws", cwd=project.root, deadline_s=RUN_S
    )

    assert plain.returncode == 0, plain.stdout
    folder = project.root / "build" / "runs" / "two"
    run = Run(code=done.returncode, output=done.stdout, folder=folder, seconds=0.0)
    assert run.code == 3, run.output
    (crash,) = run.report["crashes"]
    assert crash["kind"] in UNCHECKED.kinds, crash["title"]
    assert (crash["function"], crash["module"]) == ("flaws_unchecked", "flaws")
    assert crash["place"] in lines_of(SOURCE, "flaws_unchecked", UNCHECKED.text)


def check(run: Run, kind: str, wanted: Wanted) -> None:
    """Check that a run has a report of this flaw, and a bad result of the test."""
    (result,) = (one for one in run.report["results"] if kind in one["name"])
    reports = [one for one in reports_of(run) if one["test"] == result["name"]]
    assert result["verdict"] in {"failed", "crashed"}, run.output
    assert reports, result
    first = reports[0]
    assert first["kind"] in wanted.kinds, first["title"]
    assert (first["function"], first["module"]) == (function_of(kind), "flaws")
    assert first["place"] in lines_of(SOURCE, function_of(kind), wanted.text)


def reports_of(run: Run) -> list[dict[str, Any]]:
    """Return the reports of all crashes of a run, with files and lines."""
    return [report for crash in run.report["crashes"] for report in crash["reports"]]
