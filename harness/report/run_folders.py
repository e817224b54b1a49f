# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Create the folder of a new run, and find that of an old run by its name or path."""

from pathlib import Path

from harness.errors import UsageError
from harness.host import cache

_MOST_NAMES = 5


def create(runs: Path, name: str) -> Path:
    """Make the folder of a new run, and return it.

    Raises: UsageError when a run of this name already has a folder; Lost when the disk is full.
    """
    folder = runs / name
    try:
        with cache.room(runs):
            folder.mkdir(parents=True)
    except FileExistsError as error:
        if not folder.is_dir():
            raise
        raise UsageError(
            f"the run {name} exists already: {folder}", hint="another --run-id, or none, is needed"
        ) from error
    return folder


def find(runs: Path, name: str) -> Path:
    """Return the folder of a run by its name, the end of its name, or a path with a slash.

    A complete name selects that run, even if other names end in it.
    Raises: UsageError with the last runs when none matches, and with the matches when several do.
    """
    if "/" in name:
        folder = Path(name).resolve()
        if folder.is_dir():
            return folder
    known = sorted(path for path in runs.glob("*") if path.is_dir())
    fitting = [path for path in known if path.name.endswith(name)] if name else known
    whole = [path for path in fitting if path.name == name]
    if len(whole or fitting) == 1:
        return (whole or fitting)[0]
    shown = fitting or known
    last = ", ".join(path.name for path in shown[-_MOST_NAMES:]) or "none"
    if fitting:
        raise UsageError(f"several runs end in {name!r}: {last}", hint="give more of the name")
    raise UsageError(f"no run {name!r} in {runs}", hint=f"the last runs: {last}")
