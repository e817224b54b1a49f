# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compute the version of a release from the project's number and the state of the tree.

A commit with the tag vNUMBER has exactly the project's number. Any other commit is a snapshot,
whose version sorts before the number and by the commit's time. All files of a package get the
commit's time, so that a second build of the commit gives the same bytes.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import UsageError
from harness.host import toml_file, tool

_GIT_S = 30.0
_NUMBER = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True, kw_only=True)
class ReleaseVersion:
    """The version of a release, in a form that Debian, rpm and DKMS accept.

    Units: epoch_s is the commit's time, seconds since 1970.
    """

    text: str
    commit: str
    epoch_s: int

    @property
    def is_clean(self) -> bool:
        """Whether the tree equals its commit, so that the release can be built again.

        Files that git does not track are not compared.
        """
        return not self.text.endswith("+changed")


def of_tree(project: Path) -> ReleaseVersion:
    """Return the version of a project's working tree.

    Raises: UsageError outside of a git repository, or without a valid number in pyproject.toml;
        ConfigError when that file cannot be read.
    """
    number = _number(project / "pyproject.toml")
    # Without a length, git chooses one by the number of objects, which differs between clones.
    commit = _git(project, "rev-parse", "--short=12", "HEAD")
    epoch_s = int(_git(project, "show", "--no-patch", "--format=%ct", "HEAD"))
    tags = _git(project, "tag", "--points-at", "HEAD").split()
    # Only files that git tracks become part of a release.
    changed = bool(_git(project, "status", "--porcelain", "--untracked-files=no"))
    moment = datetime.fromtimestamp(epoch_s, tz=UTC)
    text = number if f"v{number}" in tags else f"{number}~git{moment:%Y%m%d%H%M%S}.{commit}"
    return ReleaseVersion(
        text=f"{text}+changed" if changed else text, commit=commit, epoch_s=epoch_s
    )


def _number(file: Path) -> str:
    try:
        number = str(toml_file.read(file)["project"]["version"])
    except KeyError as error:
        raise UsageError(f"{file} has no project.version") from error
    if not _NUMBER.fullmatch(number):
        raise UsageError(f"{file}: project.version may have only numbers and dots, not {number}")
    return number


def _git(project: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = tool.run(command, deadline_s=_GIT_S, error=UsageError, check=False, cwd=project)
    if done.status != 0:
        raise UsageError(
            f"git {arguments[0]} failed in {project}",
            hint="a release is built from a commit, so it needs the project's git repository",
            evidence=done.lines[-5:],
        )
    return done.text.strip()
