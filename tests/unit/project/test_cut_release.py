# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of project.cut_release: one command makes a release, and a failure changes nothing."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from harness.errors import BuildError, HarnessError, UsageError
from harness.project import cut_release
from harness.project.cut_release import ReleaseRequest

PROJECT = Path(__file__).resolve().parents[3]
_PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"
[project]
name = "greeter"
version = "0.1.0"
[tool.setuptools]
py-modules = ["greeter"]
[tool.towncrier]
directory = "changelog.d"
filename = "CHANGELOG.md"
title_format = "## {version} ({project_date})"
name = "greeter"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a small project in git, with one changelog fragment."""
    folder = tmp_path / "project"
    (folder / "changelog.d").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_PYPROJECT)
    (folder / "greeter.py").write_text("GREETING = 'hello'\n")
    (folder / "CHANGELOG.md").write_text(
        "# Changelog\n\n<!-- towncrier release notes start -->\n\n## Before\n\n- old\n"
    )
    (folder / "changelog.d" / "7.feature.md").write_text("The greeter waves.\n")
    (folder / ".gitignore").write_text("build/\n*.egg-info/\n")
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("config", "user.name", "A"),
        ("config", "user.email", "a@example.invalid"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=start"),
    ):
        git(folder, *command)
    return folder


def git(folder: Path, *arguments: str) -> str:
    """Run git in the project, and return its output."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def request_for(project: Path, number: str = "0.2.0") -> ReleaseRequest:
    """Return a request for a release of only the wheel."""
    return ReleaseRequest(
        project=project, number=number, out=project / "build" / "out", packages=False
    )


def test_a_release_writes_version_and_changelog_commits_tags_and_builds_wheel_and_checksums(
    project: Path,
) -> None:
    """A release writes version and changelog, commits, tags, and builds a wheel from the tag."""
    (project / "greeter.py").write_text("GREETING = 'good day'\n")
    git(project, "commit", "--quiet", "--all", "--message=politer")

    files = cut_release.cut(request_for(project), lambda _text: None)

    assert git(project, "describe", "--tags") == "v0.2.0"
    assert git(project, "log", "-1", "--format=%s") == "release: 0.2.0"
    assert git(project, "status", "--porcelain") == ""
    assert 'version = "0.2.0"' in (project / "pyproject.toml").read_text()
    changelog = (project / "CHANGELOG.md").read_text()
    assert changelog.index("## 0.2.0 (") < changelog.index("The greeter waves.")
    assert changelog.index("The greeter waves.") < changelog.index("## Before")
    assert not list((project / "changelog.d").glob("*.md"))
    names = [file.name for file in files]
    assert names == ["greeter-0.2.0-py3-none-any.whl", "greeter-0.2.0.tar.gz", "SHA256SUMS"]
    with zipfile.ZipFile(files[0]) as wheel:
        assert b"good day" in wheel.read("greeter.py")
    subprocess.run(["sha256sum", "--check", "--quiet", names[2]], cwd=files[2].parent, check=True)


@pytest.mark.parametrize(
    ("spoil", "number", "objection"),
    [
        (("",), "1.0", "three numbers"),
        (("",), "0.0.9", "older than the present version"),
        (("tag", "v0.2.0"), "0.2.0", "exists already"),
        (("rm", "--quiet", "--cached", "greeter.py"), "0.2.0", "has changes"),
    ],
)
def test_a_release_with_a_wrong_number_or_a_changed_tree_is_refused(
    project: Path, spoil: tuple[str, ...], number: str, objection: str
) -> None:
    """A bad, old or taken number, or a changed tree: UsageError, no commit, no new version."""
    if spoil[0]:
        git(project, *spoil)
    before = git(project, "rev-parse", "HEAD")

    with pytest.raises(UsageError, match=objection):
        cut_release.cut(request_for(project, number), lambda _text: None)

    assert git(project, "rev-parse", "HEAD") == before
    assert 'version = "0.1.0"' in (project / "pyproject.toml").read_text()


def test_a_release_without_a_changelog_fragment_is_refused(project: Path) -> None:
    """A release without a changelog fragment is refused."""
    git(project, "rm", "--quiet", "changelog.d/7.feature.md")
    git(project, "commit", "--quiet", "--message=nothing new")

    with pytest.raises(UsageError, match="no fragment"):
        cut_release.cut(request_for(project), lambda _text: None)


def test_a_failed_build_undoes_commit_and_tag(project: Path) -> None:
    """After a failed build, branch, tags and files are the same as before the release."""
    text = (
        (project / "pyproject.toml")
        .read_text()
        .replace("setuptools.build_meta", "setuptools.gone")
    )
    (project / "pyproject.toml").write_text(text)
    git(project, "commit", "--quiet", "--all", "--message=break the build")
    before = git(project, "rev-parse", "HEAD")

    request = request_for(project)
    with pytest.raises(BuildError) as caught:
        cut_release.cut(request, lambda _text: None)

    assert isinstance(caught.value, HarnessError)
    assert caught.value.evidence
    assert git(project, "rev-parse", "HEAD") == before
    assert git(project, "tag", "--list") == ""
    assert git(project, "status", "--porcelain") == ""
    assert (project / "changelog.d" / "7.feature.md").exists()
    assert not request.out.exists()


def test_a_file_whose_version_differs_from_pyproject_is_reported(tmp_path: Path) -> None:
    """The check `version` names a file that repeats the project's version wrongly."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.3.0"\n')
    copy = tmp_path / "kernel" / "subscriber" / "pyproject.toml"
    copy.parent.mkdir(parents=True)
    copy.write_text('[project]\nversion = "0.2.0"\n')

    plist = tmp_path / "kernel" / "os" / "macos" / "Info.plist"
    plist.parent.mkdir(parents=True)
    plist.write_text(
        "<key>CFBundleShortVersionString</key><string>0.3.0</string>"
        "<key>CFBundleVersion</key>\n<string>0.1.0</string>"
    )
    header = tmp_path / "kernel" / "uapi" / "osq_version.h"
    header.parent.mkdir()
    header.write_text("#define OSQ_ELSE 1\n")

    assert list(cut_release.copies_of_version(tmp_path)) == [
        "kernel/subscriber/pyproject.toml: version 0.2.0, not 0.3.0",
        "kernel/uapi/osq_version.h: version missing, not 0.3.0",
        "kernel/os/macos/Info.plist: version 0.1.0, not 0.3.0",
    ]
    assert list(cut_release.copies_of_version(PROJECT)) == []
