# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of nightly.selection: cells by name, by their last verdict, by what has changed."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.model.settings import Verdict
from harness.nightly import cells, selection
from harness.nightly.values import CellKind
from tests.unit.nightly.nights import CELL
from tests.unit.nightly.projects import MATRIX, settings
from tests.unit.nightly.test_plan import point


def test_a_pattern_selects_cells_by_their_ids(tmp_path: Path) -> None:
    """Of a night's target/kernel/tests ids, --cells build/* selects some; no hit is an error."""
    every = cells.cells(settings(tmp_path), MATRIX, long=False)

    found = selection.named(every, ("build/*", "*/6.12/slub/*smoke*"))

    assert [cell.id for cell in found] == [
        "test/small/6.12/slub/x86_64/smoke/greeter",
        "test/large/6.12/slub/x86_64/smoke/greeter",
        "build/arm/arm64/greeter",
    ]
    with pytest.raises(UsageError, match=r"--cells 6\.12: no cell") as caught:
        selection.named(every, ("6.12",))
    assert "build/arm/arm64/greeter" in caught.value.hint


def test_the_failed_cells_are_those_whose_latest_first_verdict_is_bad() -> None:
    """With --rerun-failed, cells that never ran or whose last first attempt passed do not run."""
    mended, bad, new = (replace(CELL, kernel=name) for name in ("mended", "bad", "new"))
    points = [
        point(mended, "1", 1.0, Verdict.FAILED),
        point(bad, "1", 1.0, Verdict.PASSED),
        point(mended, "2", 1.0, Verdict.PASSED),
        point(bad, "2", 1.0, Verdict.LOST),
        replace(point(bad, "2", 1.0, Verdict.PASSED), attempt=1),
    ]

    assert selection.failed([mended, bad, new], points) == (bad,)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Give a repository with one commit, and a file for each part of a project."""
    for name in ("src/m.c", "tests/test_m.py", "docs/m.md", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("one\n")
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "one"),
    ):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "kinds"),
    [
        ("src/m.c", set(CellKind)),
        ("pyproject.toml", set(CellKind)),
        ("tests/test_m.py", {CellKind.TEST}),
        ("docs/m.md", set()),
        (None, set()),
    ],
)
def test_a_change_selects_the_cells_that_use_the_file(
    repository: Path, file: str | None, kinds: set[CellKind]
) -> None:
    """With --since, changed sources select every cell of a night, a test only those with tests."""
    every = cells.cells(settings(repository), MATRIX, long=False)
    if file:
        (repository / file).write_text("two\n")

    found = selection.changed(settings(repository), every, "HEAD")

    assert {cell.kind for cell in found} == kinds


def test_an_unknown_commit_is_an_error_with_what_git_says(repository: Path) -> None:
    """A mistyped commit after --since is a UsageError, and selects no cells of a night."""
    with pytest.raises(UsageError, match="--since nowhere: git does not know it") as caught:
        selection.changed(settings(repository), (), "nowhere")
    assert "nowhere" in caught.value.hint
