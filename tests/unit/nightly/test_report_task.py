# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the tasks nightly-report and nightly-bisect, by the command line of modlab."""

from pathlib import Path

import pytest

from harness.host import config
from harness.model.settings import TestResult, Verdict
from harness.nightly.database import history_file, open_history
from tests.command_line import ended
from tests.unit.nightly.show.test_from_history import GUEST, add_night, result

TEST = TestResult(name="t::one", suite="guest", verdict=Verdict.PASSED)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project the current folder."""
    for name in ("src", "images", "tests"):
        (tmp_path / name).mkdir()
    (tmp_path / "src" / "Kbuild").write_text("obj-m := greeter.o\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.harness]\ndefault_target = "t"\nimages = "images"\n'
        '[tool.harness.module]\nname = "greeter"\nsource = "src"\n'
        '[[tool.harness.tests]]\nname = "guest"\npytest = "tests"\n'
        '[tool.harness.kernels.k]\npackage = "linux-image-k"\n'
        '[tool.harness.targets.t]\nimage = "i"\nkernel = "k"\n'
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def good_night(project: Path) -> str:
    """Write a night in which the only test passes, and return its id."""
    with open_history(history_file(config.load(project / "pyproject.toml"))) as history:
        return add_night(history, 1, result(GUEST, Verdict.PASSED, tests=(TEST,)))


def test_nightly_report_writes_the_page_and_prints_the_summary(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The task writes nightly.html into the night's folder, or into the one that --to names."""
    night = good_night(project)

    assert ended("nightly-report") == 0
    assert ended("nightly-report", night, "--to=out", "--address=https://ci.example.org/") == 0

    printed = capsys.readouterr().out
    assert "greeter, night 2026-01-01 22:00: Nothing changed since the night before" in printed
    assert (project / "build" / "nightly" / night / "nightly.html").is_file()
    assert (project / "out" / "nightly.html").is_file()
    assert "https://ci.example.org/" in (project / "out" / "feed.xml").read_text()


def test_nightly_report_without_a_night_says_what_to_do(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The task exits with 2 if the history is empty, and names nightly --import-runs."""
    assert project.is_dir()
    assert ended("nightly-report") == 2

    error = capsys.readouterr().err
    assert "the history has no night" in error
    assert "nightly --import-runs" in error


def test_nightly_bisect_has_nothing_to_do_after_a_good_night(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a night without failures the task says that none was bisected, and exits with 0."""
    good_night(project)

    assert ended("nightly-bisect") == 0
    assert "no failure was bisected" in capsys.readouterr().out
