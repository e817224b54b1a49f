# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of report.run_folders: a run is found by its name, the end of its name, or its folder."""

import errno
import os
from pathlib import Path

import pytest

from harness.errors import Lost, UsageError
from harness.report import run_folders


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Give a folder with three runs, one of which ends in the name of another."""
    for name in ("20260101-120000-1f3a", "20260102-120000-2b3a", "nightly-1f3a"):
        (tmp_path / name).mkdir()
    (tmp_path / "1f3a").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("20260101-120000-1f3a", "20260101-120000-1f3a"),
        ("2b3a", "20260102-120000-2b3a"),
        ("1f3a", "1f3a"),
    ],
)
def test_a_run_is_found_by_its_name_or_the_end_of_it(runs: Path, name: str, found: str) -> None:
    """Of two run folders that fit, the one with exactly the given name is preferred."""
    assert run_folders.find(runs, name) == runs / found


def test_a_run_is_found_by_its_folder(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is found by its folder's path, absolute or relative to the caller's folder."""
    monkeypatch.chdir(runs.parent)

    assert run_folders.find(Path("elsewhere"), str(runs / "nightly-1f3a")).name == "nightly-1f3a"
    assert run_folders.find(Path("elsewhere"), f"{runs.name}/1f3a") == runs / "1f3a"


def test_finding_a_run_by_the_end_of_several_names_is_an_error_that_lists_these_runs(
    runs: Path,
) -> None:
    """The error for the end of several runs' names lists these runs."""
    with pytest.raises(UsageError, match="several runs end in '3a': 1f3a, 2026") as caught:
        run_folders.find(runs, "3a")

    assert caught.value.hint == "give more of the name"


def test_finding_a_run_by_an_unknown_name_is_an_error_whose_hint_lists_the_last_runs(
    runs: Path,
) -> None:
    """The error for an unknown run lists the last runs."""
    with pytest.raises(UsageError, match="no run 'nothing'") as caught:
        run_folders.find(runs, "nothing")

    assert "20260102-120000-2b3a" in caught.value.hint


def test_a_second_run_of_the_same_name_is_refused(tmp_path: Path) -> None:
    """A run cannot take the folder of an earlier run, which stays as it is."""
    folder = run_folders.create(tmp_path / "build" / "runs", "mine")
    (folder / "report.json").write_text("earlier")

    with pytest.raises(UsageError, match="the run mine exists already"):
        run_folders.create(tmp_path / "build" / "runs", "mine")

    assert (folder / "report.json").read_text() == "earlier"


def test_a_full_disk_is_an_error_that_names_the_folder_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the folder of a run cannot be made for want of space, the run is lost, with a hint."""

    def mkdir(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", mkdir)

    with pytest.raises(Lost, match="the disk is full") as caught:
        run_folders.create(tmp_path, "one")

    assert str(tmp_path) in caught.value.message
    assert "free some space" in caught.value.hint
