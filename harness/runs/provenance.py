# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find out what a run tests: the commit, and changes of the tree since that commit."""

from pathlib import Path

from harness.errors import Lost
from harness.host import tool
from harness.model.provenance import Provenance
from harness.model.request import Selection

_GIT_S = 10.0


def of_project(root: Path, selection: Selection) -> Provenance:
    """Return the provenance of a project and its tests, as far as it is known before the run."""
    commit = _git(root, "rev-parse", "HEAD")
    changed = bool(commit) and bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return Provenance(
        commit=commit,
        tree_changed=changed,
        expression=selection.expression,
        groups=selection.groups,
        tests=selection.tests,
    )


def _git(root: Path, *arguments: str) -> str:
    """Return git's output, or "" for a project outside of a repository."""
    try:
        done = tool.run(["git", *arguments], deadline_s=_GIT_S, error=Lost, cwd=root)
    except (OSError, Lost):
        return ""
    return done.text.strip()
