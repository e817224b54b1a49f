# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""release_version: a tag is the number, anything else sorts before it, a change is said."""

import os
import subprocess
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.release import versions

WHEN = "2026-11-25T13:31:27+00:00"


class Repository:
    """A project in a git repository."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet")
        self.write("1.2.3")
        self.commit(WHEN)

    def git(self, *arguments: str, when: str = WHEN) -> None:
        """Run git as nobody in particular."""
        who = {"GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "e", "GIT_COMMITTER_NAME": "n"}
        who |= {"GIT_COMMITTER_EMAIL": "e", "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
        subprocess.run(["git", *arguments], cwd=self.root, check=True, env={**os.environ, **who})

    def write(self, number: str) -> None:
        """Set the project's number."""
        (self.root / "pyproject.toml").write_text(f'[project]\nversion = "{number}"\n')

    def commit(self, when: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "m", when=when)

    @property
    def text(self) -> str:
        """The version's text."""
        return versions.of_tree(self.root).text


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Give a project with one commit."""
    return Repository(tmp_path)


def sorts_before(first: str, second: str) -> bool:
    """Return whether dpkg takes the first for the older."""
    command = ["dpkg", "--compare-versions", first, "lt", second]
    return subprocess.run(command, check=False).returncode == 0


def test_a_tagged_commit_has_the_number(repository: Repository) -> None:
    """The number alone, and the commit's time for every file."""
    repository.git("tag", "v1.2.3")

    found = versions.of_tree(repository.root)

    assert found.text == "1.2.3"
    assert found.is_clean
    assert found.epoch_s == 1795613487


def test_a_snapshot_sorts_by_time_before_the_number(repository: Repository) -> None:
    """Two snapshots of one day, and the release they lead to."""
    first = repository.text
    repository.commit("2026-11-25T13:31:28+00:00")
    second = repository.text

    assert first.startswith("1.2.3~git20261125133127.")
    assert sorts_before(first, second)
    assert sorts_before(second, "1.2.3")


def test_a_changed_tree_says_so(repository: Repository) -> None:
    """It sorts behind its commit; a file that git does not know is in no release."""
    clean = repository.text
    (repository.root / "stray").touch()
    assert repository.text == clean

    (repository.root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n#\n')

    found = versions.of_tree(repository.root)
    assert not found.is_clean
    assert sorts_before(clean, found.text)


def test_a_number_that_no_package_takes_is_refused(repository: Repository) -> None:
    """What Debian, rpm and DKMS understand alike is numbers and dots."""
    repository.write("1.2rc3")

    with pytest.raises(UsageError, match="numbers and dots"):
        versions.of_tree(repository.root)


def test_without_git_there_is_no_release(tmp_path: Path) -> None:
    """The hint says that a release is made of a commit."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')

    with pytest.raises(UsageError, match="git") as caught:
        versions.of_tree(tmp_path)

    assert "commit" in caught.value.hint
