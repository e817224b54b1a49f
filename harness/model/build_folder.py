# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where a project's results lie: one folder in its root, which git ignores."""

from pathlib import Path

_BUILD = "build"
_RUNS = "runs"


def within(project: Path, *names: str) -> Path:
    """Return a place below a project's folder for results."""
    return project.joinpath(_BUILD, *names)


def runs(project: Path) -> Path:
    """Return the folder of a project that holds one folder a run."""
    return within(project, _RUNS)
