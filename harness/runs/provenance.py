# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find out what a run tests or tested: the commit, whether the tree has changes, the kernel."""

from pathlib import Path

from harness.errors import Lost
from harness.guest import shared_session
from harness.guest.shared_session import SESSION_FILE
from harness.host import tool
from harness.model.machines import MachineChange
from harness.model.provenance import Provenance
from harness.model.request import Selection
from harness.report import run_report

_GIT_S = 10.0
_NO_CHANGE = MachineChange()


def of_project(
    root: Path,
    selection: Selection,
    *,
    command: str = "",
    machine: MachineChange = _NO_CHANGE,
) -> Provenance:
    """Return what a run is about to test: the commit, whether the tree has changes, the tests.

    Outside of a git repository the commit is "". The kernel is added later, when it is known.
    """
    commit = _git(root, "rev-parse", "HEAD")
    changed = bool(commit) and bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return Provenance(
        commit=commit,
        tree_changed=changed,
        expression=selection.expression,
        command=command,
        machine=machine,
        groups=selection.groups,
        tests=selection.tests,
    )


def of_run(folder: Path) -> Provenance:
    """Return what a run tests or tested, from the report in its folder or its session file.

    A run that goes on or was killed has no report. It has the session file as soon as its guest
    was ready.
    Raises: Lost when the run has neither or its report cannot be read; UsageError when its session
        file cannot be read.
    """
    session = folder / SESSION_FILE
    if (folder / run_report.REPORT).is_file() or not session.is_file():
        return run_report.load(folder).provenance
    return shared_session.read(session).provenance


def _git(root: Path, *arguments: str) -> str:
    """Return git's output without blanks around it.

    It is "" when git fails, as outside of a repository, or is not installed.
    """
    try:
        done = tool.run(["git", *arguments], deadline_s=_GIT_S, error=Lost, cwd=root)
    except (OSError, Lost):
        return ""
    return done.text.strip()
