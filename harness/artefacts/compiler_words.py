# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Shorten the output of a failed build to its causes, with the developer's file names. Pure."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

# Errors are shown before warnings; a warning is shown only when no line is an error.
_ERROR = re.compile(
    r"\berror\b|\bfatal\b|undefined (?:reference|!)|\bundefined!|: not found\b|command not found|"
    r"No such file or directory|No rule to make target|cannot (?:find|stat|open)|"
    r"Permission denied|patch does not apply|\bFAILED\b|Hunk #\d+ FAILED|is not installed",
    re.IGNORECASE,
)
_WARNING = re.compile(r"\bwarning\b", re.IGNORECASE)
# Messages of make about the failed target; they come after the cause and do not name the cause.
_MAKE = re.compile(r"^g?make(?:\[\d+\])?: \*\*\* .*(?:Error \d+|Waiting for unfinished)")


def telling(lines: Sequence[str], *, context: int = 4, most: int = 40) -> list[str]:
    """Return the first errors in a failed build's output, each with the lines that follow it.

    Without errors, warnings are returned in the same way; without both, the last lines. At most
    `most` lines are returned, and `context` lines for each error, itself included.
    """
    real = [line for line in lines if not _MAKE.search(line)]
    for pattern in (_ERROR, _WARNING):
        hits = [number for number, line in enumerate(real) if pattern.search(line)]
        if hits:
            chosen = sorted({near for hit in hits for near in range(hit, hit + context)})
            return [real[number] for number in chosen if number < len(real)][:most]
    return list(lines[-most:])


def shown(lines: Sequence[str], names: Mapping[Path, str]) -> list[str]:
    """Return output lines in which paths of the copied source are replaced by the source's own.

    `names` gives the replacement of each folder; "" leaves the path relative to the folder.
    """
    found = []
    for line in lines:
        for folder, name in names.items():
            line = line.replace(f"{folder}/", f"{name}/" if name else "")  # noqa: PLW2901
        found.append(line)
    return found


def shown_name(source: Path, project: Path) -> str:
    """Return the source folder's path relative to the project, '' for the project itself.

    A source outside of the project keeps its path.
    """
    if not source.is_relative_to(project):
        return str(source)
    name = source.relative_to(project).as_posix()
    return "" if name == "." else name
