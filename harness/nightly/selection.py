# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Choose some of the nightly cells: by name, by last failure, by what changed since a commit."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from harness.errors import Lost, UsageError
from harness.host import tool
from harness.model.settings import Settings, Verdict
from harness.nightly.values import Cell, CellKind, CellPoint

_GIT_S = 30.0
_GOOD = {Verdict.PASSED, Verdict.SKIPPED}


def named(cells: Sequence[Cell], patterns: Sequence[str]) -> tuple[Cell, ...]:
    """Return the cells whose ids match one of these globs.

    Raises: UsageError for a pattern that matches no cell.
    """
    for pattern in patterns:
        if not any(fnmatchcase(cell.id, pattern) for cell in cells):
            known = ", ".join(cell.id for cell in cells) or "none"
            raise UsageError(f"--cells {pattern}: no cell has such an id", hint=f"cells: {known}")
    return tuple(
        cell for cell in cells if any(fnmatchcase(cell.id, pattern) for pattern in patterns)
    )


def failed(cells: Sequence[Cell], points: Iterable[CellPoint]) -> tuple[Cell, ...]:
    """Return the cells that failed, crashed or were lost in their latest night, before any rerun.

    Shape: `points` are the results of earlier nights in order of time.
    """
    latest = {point.cell: point.verdict for point in points if point.attempt == 0}
    return tuple(cell for cell in cells if latest.get(cell.id, Verdict.PASSED) not in _GOOD)


def changed(settings: Settings, cells: Sequence[Cell], commit: str) -> tuple[Cell, ...]:
    """Return the cells that use a file which differs between `commit` and the working tree.

    Every cell uses the module's source and the configuration; a cell with tests also uses the
    folders of all suites, the images and the files that are copied into guests.
    Raises: UsageError when git does not know the commit.
    """
    root = settings.root
    try:
        listed = tool.run(
            # -z: git would quote names with other letters. --: a file may have the name of the
            # commit.
            ["git", "diff", "--name-only", "-z", "--relative", commit, "--"],
            deadline_s=_GIT_S,
            error=Lost,
            cwd=root,
        )
    except Lost as error:
        hint = error.evidence[-1] if error.evidence else ""
        raise UsageError(f"--since {commit}: git does not know it", hint=hint) from error
    files = [root / name for name in listed.text.split("\0") if name]
    built = _uses(files, (settings.module.source, settings.file))
    tested = built or _uses(files, _of_tests(settings))
    return tuple(cell for cell in cells if (built if cell.kind is CellKind.BUILD else tested))


def _of_tests(settings: Settings) -> tuple[Path, ...]:
    suites = (
        path
        for spec in settings.tests
        for path in (spec.pytest, spec.kselftest, spec.blktests)
        if path is not None
    )
    pushed = (push.source for push in settings.module.push)
    return (settings.images, *suites, *pushed)


def _uses(files: Iterable[Path], places: Iterable[Path]) -> bool:
    every = tuple(places)
    return any(file.is_relative_to(place) for file in files for place in every)
