# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""release_source: what git tracks goes in by being there, what tests need stays out by rule."""

import subprocess
import time
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.release import sources

FILES = ("kernel/main.c", "kernel/test_crash.c", "kernel/os/test_other.c", "docs/page.md")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a project whose files git tracks, but one."""
    root = tmp_path / "project"
    for name in (*FILES, "kernel/run"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "kernel/run").chmod(0o777)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    (root / "kernel/stray.o").touch()
    return root


def test_tracked_files_go_in_but_those_of_tests(project: Path, tmp_path: Path) -> None:
    """Below the places named; modes are 644 or 755, whatever they were."""
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
        (["kernal"], [], "tracks nothing in kernal"),  # codespell:ignore kernal
        (["kernel"], ["kernel/tset_*"], "matches kernel/tset_"),
    ],
)
def test_a_misspelt_rule_is_an_error(
    project: Path, tmp_path: Path, places: list[str], without: list[str], words: str
) -> None:
    """A rule that matches nothing would let in what it was written against."""
    with pytest.raises(UsageError, match=words):
        sources.stage(project, places, without=without, target=tmp_path / "stage")


def test_an_archive_is_the_same_twice(project: Path, tmp_path: Path) -> None:
    """Whenever it is made, and wherever the files lie; another file changes it."""
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
