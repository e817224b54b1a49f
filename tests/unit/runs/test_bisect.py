# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of runs.bisect: git chooses commits, and the signature of their crash judges them."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.host import config
from harness.model.request import KernelTestRequest
from harness.model.settings import RunReport, Verdict
from harness.report.live_view import PlainView
from harness.runs import bisect, kernel_test
from tests.unit.crashes import crash, report_of

SIGNATURE = "0123456789ab"
SOUGHT = bisect.Sought(signature=SIGNATURE)


def git(folder: Path, *words: str) -> str:
    """Run git with a fixed author."""
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(params=[".", "drivers/m"])
def history(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[KernelTestRequest, list[str]]:
    """Give a project of six commits whose module crashes from the fourth on, and the commits.

    The project is a repository of its own, or a folder within one.
    """
    root = tmp_path / "project" / request.param
    (root / "src").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "tests").mkdir()
    (root / "pyproject.toml").write_text(
        '[tool.harness]\ndefault_target = "t"\nimages = "images"\n'
        '[tool.harness.module]\nname = "m"\nsource = "src"\n'
        '[[tool.harness.tests]]\nname = "guest"\npytest = "tests"\n'
        '[tool.harness.kernels.k]\npackage = "linux-image-k"\n'
        '[tool.harness.targets.t]\nimage = "i"\nkernel = "k"\n'
    )
    (root / "src" / "Kbuild").write_text("obj-m := m.o\n")
    git(tmp_path / "project", "init", "-q")
    commits = []
    for number in range(6):
        (root / "src" / "m.c").write_text(f"{'bad' if number >= 3 else 'good'} {number}\n")
        git(root, "add", ".")
        git(root, "commit", "-q", "-m", f"change {number}")
        commits.append(git(root, "rev-parse", "HEAD"))
    settings = config.load(root / "pyproject.toml")
    asked = KernelTestRequest(
        settings=settings, environment=config.environment(), target_name=None
    )
    return asked, commits


Runner = Callable[[KernelTestRequest, Any], RunReport]


def runner(tmp_path: Path, broken: set[str]) -> Runner:
    """Return a stand-in for a run: a 'bad' module crashes, a commit in `broken` is lost."""

    def run(request: KernelTestRequest, _view: Any) -> RunReport:
        text = (request.settings.module.source / "m.c").read_text()
        found = report_of(tmp_path / "run")
        if text.split()[1] in broken:
            return replace(found, verdict=Verdict.LOST, reason="no build", results=(), crashes=())
        return found if text.startswith("bad") else replace(found, crashes=())

    return run


def test_the_first_bad_commit_is_found(
    history: tuple[KernelTestRequest, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a real git history with fake test runs, bisect needs fewer runs than commits."""
    request, commits = history
    root = request.settings.root
    monkeypatch.setattr(kernel_test, "run", runner(tmp_path, set()))
    steps: list[bisect.Step] = []

    answer = bisect.walk(
        request,
        sought=SOUGHT,
        good=commits[0],
        bad="HEAD",
        view=PlainView(),
        on_step=steps.append,
    )

    assert "change 3" in answer.text
    assert answer.commit == commits[3]
    assert len(steps) < 4
    assert git(root, "worktree", "list").count("\n") == 0
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "rev-parse", "HEAD") == commits[-1]


def test_several_candidate_commits_that_cannot_be_tried_are_an_error(
    history: tuple[KernelTestRequest, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the runs of all commits between good and bad are lost, bisect names no commit."""
    request, commits = history
    monkeypatch.setattr(kernel_test, "run", runner(tmp_path, {"1", "2", "3", "4"}))

    with pytest.raises(UsageError, match="could not be tried"):
        bisect.walk(
            request,
            sought=SOUGHT,
            good=commits[0],
            bad="HEAD",
            view=PlainView(),
            on_step=lambda _step: None,
        )


def test_bisect_with_an_unknown_revision_is_an_error_that_names_it(
    history: tuple[KernelTestRequest, list[str]],
) -> None:
    """Bisect with the good revision 'no-such-thing' raises a UsageError with this name."""
    request, _ = history

    with pytest.raises(UsageError, match="no-such-thing"):
        bisect.walk(
            request,
            sought=SOUGHT,
            good="no-such-thing",
            bad="HEAD",
            view=PlainView(),
            on_step=lambda _step: None,
        )


def test_bisect_judges_the_same_crash_as_bad_another_crash_as_good_and_a_lost_run_as_skip(
    tmp_path: Path,
) -> None:
    """A commit is bad only if its run's crash has the signature that is looked for."""
    other = report_of(tmp_path, crashes=(crash(signature="ffffffffffff", title="another"),))

    assert bisect.judge(report_of(tmp_path), SOUGHT) == ("bad", "the run shows the crash")
    assert bisect.judge(other, SOUGHT) == ("good", "another crash: another")
    lost = replace(other, verdict=Verdict.LOST, reason="no guest", crashes=())
    assert bisect.judge(lost, SOUGHT) == ("skip", "no guest")


def test_bisect_judges_a_commit_by_a_test_when_there_is_no_crash(tmp_path: Path) -> None:
    """A commit is bad if the given test fails or crashes in its run, good if it passes."""
    found = report_of(tmp_path, crashes=())
    sought = bisect.Sought(test=found.results[0].name)

    words = {}
    for verdict in Verdict:
        result = replace(found.results[0], verdict=verdict)
        words[verdict.value] = bisect.judge(replace(found, results=(result,)), sought)[0]

    assert words == {
        "skipped": "skip",
        "passed": "good",
        "failed": "bad",
        "crashed": "bad",
        "lost": "skip",
    }
    assert bisect.judge(replace(found, results=()), sought)[0] == "skip"
