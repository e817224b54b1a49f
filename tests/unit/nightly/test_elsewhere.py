# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.elsewhere and plan_file: cells run one by one, and their results merged."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.host import config
from harness.model.settings import Verdict
from harness.nightly import elsewhere
from harness.nightly.database import History, history_file, open_history
from harness.nightly.judge.findings import Kind
from harness.nightly.show import from_history
from tests import night_project
from tests.command_line import ended

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> Path:
    """Make a project with two cells the current folder; plan.json has its plan."""
    root = night_project.make(tmp_path / "project", {"one": "takes_s=0", "two": "takes_s=0"})
    monkeypatch.chdir(root)
    assert ended("nightly", "--plan=json") == 0
    (root / "plan.json").write_text(capsys.readouterr().out)
    return root


@pytest.fixture
def history(project: Path) -> Iterator[History]:
    """Give the project's history."""
    with open_history(history_file(config.load(project / "pyproject.toml"))) as found:
        yield found


def cells(project: Path) -> list[str]:
    """Return the ids of the two cells of the plan."""
    plan = json.loads((project / "plan.json").read_text())
    return sorted(one["id"] for one in plan["cells"])


def test_a_cell_that_ran_alone_is_merged_once_and_one_without_a_result_is_lost(
    project: Path, history: History, capsys: Printed
) -> None:
    """A cell is a target, kernel and tests of a night; nightly-merge collects the results."""
    one, two = cells(project)
    night = json.loads((project / "plan.json").read_text())["night"]["id"]
    assert ended("nightly-cell", one, "--worker=kvm-2", "--lost-on=kvm-1") == 0
    assert history.nights() == ()

    assert ended("nightly-merge", "--place=results") == 4
    assert ended("nightly-merge") == 4

    printed = capsys.readouterr().out
    assert f"{one}: passed, on kvm-2\n" in printed
    assert f"{one}: is in the history already\n" in printed
    assert f"{two}: lost: no result of it arrived\n" in printed
    found = {result.cell: result for result in history.results(night)}
    assert found[one].verdict is Verdict.PASSED
    assert (found[one].worker, found[one].lost_tries[0].worker) == ("kvm-2", "kvm-1")
    assert found[two].verdict is Verdict.LOST
    assert "no result of the cell arrived" in (found[two].reason)

    assert ended("nightly-cell", two, "--worker=kvm-3") == 0
    assert ended("nightly-merge") == 0

    assert set(history.verdicts(night).values()) == {Verdict.PASSED}
    assert history.missing(night) == ()
    page = project / "build" / "nightly" / night / "nightly.html"
    assert "kvm-1 was lost" in page.read_text()


def test_the_report_names_the_worker_on_which_a_cell_was_lost(
    project: Path, history: History
) -> None:
    """After nightly-cell --lost-on=kvm-1 the news include kvm-1, although the cell passed."""
    for cell in cells(project):
        assert ended("nightly-cell", cell, "--worker=kvm-2", "--lost-on=kvm-1") == 0
    assert ended("nightly-merge") == 0

    morning = from_history.morning(history, project="x")

    (lost,) = (one for one in morning.news if one.kind is Kind.LOST)
    assert (lost.subject.name, len(lost.cells)) == ("kvm-1", 2)


def test_a_cell_with_a_result_is_not_run_again(project: Path) -> None:
    """If nightly-cell is called twice for one cell, both exit with 0, and there is one run."""
    one, _ = cells(project)
    assert ended("nightly-cell", one) == 0

    assert ended("nightly-cell", one) == 0

    assert len(list((project / "build" / "runs").iterdir())) == 1


def test_files_that_are_no_results_of_the_night_are_named_and_the_others_merged(
    project: Path, history: History, capsys: Printed
) -> None:
    """nightly-merge names a damaged file and another night's result, and takes the good ones."""
    one, two = cells(project)
    assert ended("nightly-cell", one, "--to=arrived/a") == 0
    (project / "arrived" / f"bad{elsewhere.SUFFIX}").write_text("no database " * 10)
    assert ended("nightly", "--plan=json") == 0
    other = project / "other.json"
    other.write_text("{" + capsys.readouterr().out.partition("\n{")[2])
    assert ended("nightly-cell", two, "--plan=other.json", "--to=arrived/b") == 0

    assert ended("nightly-merge", "arrived") == 4

    printed = capsys.readouterr().out
    assert f"bad{elsewhere.SUFFIX} is not merged: " in printed
    assert re.search(r"two.* is not merged: it has no result of night", printed)
    (night,) = history.nights()
    assert history.missing(night.id) == (two,)


def test_runs_of_earlier_cells_are_removed_when_they_take_too_much_room(
    project: Path, capsys: Printed
) -> None:
    """After nightly-cell, its older run folders beyond runs_mib are removed; a person's stay."""
    one, two = cells(project)
    runs = project / "build" / "runs"
    assert ended("nightly-cell", one) == 0
    (first,) = runs.iterdir()
    (first / "console.log").write_bytes(b"x" * (2 << 20))
    (runs / "by-hand").mkdir()
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace("wrapper =", "runs_mib = 1\nwrapper ="))

    assert ended("nightly-cell", two) == 0

    assert "removed 1 runs of earlier nights" in capsys.readouterr().out
    assert not first.exists()
    assert (runs / "by-hand").is_dir()
    assert len(list(runs.iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("no/such/cell",), "the plan has no cell no/such/cell"),
        (("x", "--plan=none.json"), "none.json: No such file"),
        (("x", "--plan=pyproject.toml"), "pyproject.toml is no plan"),
    ],
)
def test_a_cell_or_plan_that_does_not_exist_is_a_mistake_of_the_caller(
    project: Path, words: tuple[str, ...], message: str, capsys: Printed
) -> None:
    """nightly-cell exits with 2, names the unknown cell or file, and runs nothing."""
    assert ended("nightly-cell", *words) == 2

    assert message in capsys.readouterr().err
    assert not (project / "results").exists()


def test_a_checkout_with_another_configuration_refuses_the_plan(
    project: Path, capsys: Printed
) -> None:
    """nightly-cell exits with 2 if the cell of the plan has other options here."""
    one, _ = cells(project)
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace('one = "takes_s=0"', 'one = "takes_s=1"'))

    assert ended("nightly-cell", one) == 2

    assert "is not the configuration of the plan" in capsys.readouterr().err


def test_a_plan_of_a_later_schema_is_refused(project: Path, capsys: Printed) -> None:
    """nightly-cell exits with 2 and names the plan's schema, as it cannot know its meaning."""
    plan = json.loads((project / "plan.json").read_text())
    (project / "later.json").write_text(json.dumps({**plan, "schema": 99}))

    assert ended("nightly-cell", cells(project)[0], "--plan=later.json") == 2

    assert "schema 99" in capsys.readouterr().err


def test_a_checkout_of_another_commit_refuses_the_plan(project: Path, capsys: Printed) -> None:
    """nightly-cell exits with 2: results of another commit would not be those of the plan."""
    commit = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet")
    subprocess.run(("git", "init", "--quiet"), check=True)
    subprocess.run((*commit, "--allow-empty", "--message=one"), check=True)
    assert ended("nightly", "--plan=json") == 0
    (project / "plan.json").write_text(capsys.readouterr().out)
    subprocess.run((*commit, "--allow-empty", "--message=two"), check=True)

    assert ended("nightly-cell", cells(project)[0]) == 2

    assert "the plan is of commit" in capsys.readouterr().err


def test_a_merge_of_a_place_that_does_not_exist_says_so(history: History, capsys: Printed) -> None:
    """nightly-merge of a wrong path exits with 2, and does not take all cells for lost."""
    assert ended("nightly-merge", "nowhere") == 2

    assert "nowhere: no such file or folder" in capsys.readouterr().err
    (night,) = history.nights()
    assert history.results(night.id) == ()
