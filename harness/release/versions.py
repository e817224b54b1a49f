# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The version of a release: the project's own number, and how far the tree is from it.

A tagged commit has the number alone; any other is a snapshot before it, which sorts by the
commit's time. The time is the one that every file of a package bears, so that a second build of
the commit gives the same bytes.
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
    """One version, as Debian, rpm and DKMS all take it.

    Units: epoch_s is the commit's time, seconds since 1970.
    """

    text: str
    commit: str
    epoch_s: int

    @property
    def is_clean(self) -> bool:
        """Whether it is all of a commit and nothing else, so that it can be built again."""
        return not self.text.endswith("+changed")


def of_tree(project: Path) -> ReleaseVersion:
    """Return the version of a project's tree as it lies there.

    Raises: UsageError outside of a git repository, or without a number in pyproject.toml.
    """
    number = _number(project / "pyproject.toml")
    commit = _git(project, "rev-parse", "--short=12", "HEAD")
    epoch_s = int(_git(project, "show", "--no-patch", "--format=%ct", "HEAD"))
    tags = _git(project, "tag", "--points-at", "HEAD").split()
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
        raise UsageError(f"{file}: project.version is expected") from error
    if not _NUMBER.fullmatch(number):
        raise UsageError(f"{file}: project.version: numbers and dots are expected, not {number}")
    return number


def _git(project: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = tool.run(command, deadline_s=_GIT_S, error=UsageError, check=False, cwd=project)
    if done.status != 0:
        raise UsageError(
            f"git {arguments[0]} failed in {project}",
            hint="a release is made of a commit: packages need the project's git repository",
            evidence=done.lines[-5:],
        )
    return done.text.strip()
