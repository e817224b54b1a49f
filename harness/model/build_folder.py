# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The folder `build` in a project's root, where every result goes. Git ignores it."""

from pathlib import Path

_BUILD = "build"
_RUNS = "runs"


def within(project: Path, *names: str) -> Path:
    """Return the path of the file or folder `names` below a project's folder `build`."""
    return project.joinpath(_BUILD, *names)


def runs(project: Path) -> Path:
    """Return the project's folder build/runs, which holds one folder for each run."""
    return within(project, _RUNS)
