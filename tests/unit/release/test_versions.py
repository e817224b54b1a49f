# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of versions: a tagged commit has the number, other commits sort before it."""

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
        """Run git with a fixed author, committer and time."""
        who = {"GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "e", "GIT_COMMITTER_NAME": "n"}
        who |= {"GIT_COMMITTER_EMAIL": "e", "GIT_COMMITTER_DATE": when, "GIT_AUTHOR_DATE": when}
        subprocess.run(["git", *arguments], cwd=self.root, check=True, env={**os.environ, **who})

    def write(self, number: str) -> None:
        """Set the project's number in pyproject.toml."""
        (self.root / "pyproject.toml").write_text(f'[project]\nversion = "{number}"\n')

    def commit(self, when: str) -> None:
        """Commit all changes of the repository."""
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", "m", when=when)

    @property
    def text(self) -> str:
        """The text of the tree's version."""
        return versions.of_tree(self.root).text


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a project with one commit."""
    return Repository(tmp_path)


def sorts_before(first: str, second: str) -> bool:
    """Return whether dpkg considers the first version older than the second."""
    command = ["dpkg", "--compare-versions", first, "lt", second]
    return subprocess.run(command, check=False).returncode == 0


def test_version_of_a_tagged_commit_is_exactly_its_number(repository: Repository) -> None:
    """Packages of a commit with the tag v1.2.3 have the version 1.2.3 and the commit's time."""
    repository.git("tag", "v1.2.3")

    found = versions.of_tree(repository.root)

    assert found.text == "1.2.3"
    assert found.is_clean
    assert found.epoch_s == 1795613487


def test_snapshot_versions_sort_by_commit_time_and_before_the_release_number(
    repository: Repository,
) -> None:
    """By dpkg's order, an untagged commit's package is older than the release that follows."""
    first = repository.text
    repository.commit("2026-11-25T13:31:28+00:00")
    second = repository.text

    assert first.startswith("1.2.3~git20261125133127.")
    assert sorts_before(first, second)
    assert sorts_before(second, "1.2.3")


def test_version_of_a_changed_tree_sorts_after_its_commit(repository: Repository) -> None:
    """Uncommitted changes make the package version later by dpkg; untracked files do not count."""
    clean = repository.text
    (repository.root / "stray").touch()
    assert repository.text == clean

    (repository.root / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n#\n')

    found = versions.of_tree(repository.root)
    assert not found.is_clean
    assert sorts_before(clean, found.text)


def test_a_version_number_with_a_letter_is_refused(repository: Repository) -> None:
    """A package's version must be digits and dots, else UsageError is raised."""
    repository.write("1.2rc3")

    with pytest.raises(UsageError, match="numbers and dots"):
        versions.of_tree(repository.root)


def test_tree_without_git_is_refused(tmp_path: Path) -> None:
    """Outside of a git repository no package version can be made; the hint asks for a commit."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1"\n')

    with pytest.raises(UsageError, match="git") as caught:
        versions.of_tree(tmp_path)

    assert "commit" in caught.value.hint
