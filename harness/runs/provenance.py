# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where a run comes from: the commit of what is tested, and how far the tree is from it.

Goes into the report's facts; `replay` goes by them.
"""

from pathlib import Path

from harness.errors import Lost
from harness.host import tool
from harness.model.request import KernelTestRequest

_GIT_S = 10.0


def facts(request: KernelTestRequest) -> dict[str, str]:
    """Return the facts of a run that its guest does not know: commit, command, versions."""
    root = request.settings.root
    found = {
        "selection": request.selection.expression or "everything",
        "groups": ",".join(request.selection.groups),
    }
    commit = _git(root, "rev-parse", "HEAD")
    if commit:
        found["commit"] = commit
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
        found["tree"] = "changed since that commit" if changed else "as committed"
    return found


def _git(root: Path, *arguments: str) -> str:
    """Return what git says, "" where the project is in no repository."""
    try:
        done = tool.run(["git", *arguments], deadline_s=_GIT_S, error=Lost, cwd=root)
    except (OSError, Lost):
        return ""
    return done.text.strip()
