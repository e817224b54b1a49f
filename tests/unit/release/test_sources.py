# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of sources: the files that git tracks are copied, except those that patterns exclude."""

import subprocess
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.release import sources

FILES = ("kernel/main.c", "kernel/test_crash.c", "kernel/os/test_other.c", "docs/page.md")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in which git tracks all files except one."""
    root = tmp_path / "project"
    for name in (*FILES, "kernel/run"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "kernel/run").chmod(0o777)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    (root / "kernel/stray.o").touch()
    return root


def test_stage_copies_tracked_files_except_excluded_ones(project: Path, tmp_path: Path) -> None:
    """Of git's files, those that match no exclude pattern are copied for a source archive."""
    target = tmp_path / "stage"

    names = sources.stage(
        project, ["kernel"], without=["kernel/test_*", "kernel/os/test_*"], target=target
    )

    assert names == ("kernel/main.c", "kernel/run")
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == set(names)
    assert (target / "kernel/main.c").stat().st_mode & 0o777 == 0o644
    assert (target / "kernel/run").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("places", "without", "words"),
    [
        (["kernal"], [], "tracks no file in kernal"),  # codespell:ignore kernal
        (["kernel"], ["kernel/tset_*"], "pattern kernel/tset_"),
    ],
)
def test_staging_with_a_path_or_exclude_pattern_that_matches_no_tracked_file_is_an_error(
    project: Path, tmp_path: Path, places: list[str], without: list[str], words: str
) -> None:
    """A path or pattern of a source archive that has become useless raises UsageError."""
    with pytest.raises(UsageError, match=words):
        sources.stage(project, places, without=without, target=tmp_path / "stage")


def test_archive_is_reproducible(project: Path, tmp_path: Path) -> None:
    """A source archive depends on its files' content only, not on time or folder."""
    archives = []
    for name in ("one", "two", "three"):
        folder = tmp_path / name / "deeper"
        sources.stage(project, ["kernel"], without=[], target=folder)
        if name == "three":
            (folder / "kernel/main.c").write_text("other")
        time.sleep(0.01)
        archives.append(tmp_path / f"{name}.tar.gz")
        sources.pack(folder, archives[-1], top="m-1", epoch_s=1_000_000_000)

    one, two, three = (archive.read_bytes() for archive in archives)
    assert one == two
    assert one != three
