# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""File paths as osquery's configuration has them: patterns by category, and those left out.

% stands for anything within one component, %% at the end for everything below. The driver
watches whole folders, so what a pattern asks of it is its part before the first wildcard; which
records are wanted is then decided here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from osq.file_events import ACTIONS
from osq.records import Event, File

_WILDCARD = re.compile(r"(%%|%|\*\*|\*)")


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Patterns by category, in the order of the file, and patterns of what is left out.

    opens: categories of whose files opens are wanted, too (osquery's file_accesses).
    watched: what the driver is to watch, and whether for opens.
    """

    by_category: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    left_out: tuple[re.Pattern[str], ...] = ()
    opens: frozenset[str] = frozenset()
    watched: Mapping[str, bool] = field(default_factory=dict)

    def category_of(self, *paths: bytes) -> str | None:
        """Return the category of the first of these paths that has one, or None."""
        for raw in paths:
            path = raw.decode(errors="surrogateescape")
            if not path or any(one.fullmatch(path) for one in self.left_out):
                continue
            for category, patterns in self.by_category.items():
                if any(one.fullmatch(path) for one in patterns):
                    return category
        return None

    def choose(self, events: list[Event]) -> tuple[list[Event], dict[int, str]]:
        """Return the events without those of unwanted files, and the category of each file's."""
        if not self.by_category:
            return events, {}
        chosen: list[Event] = []
        categories: dict[int, str] = {}
        for event in events:
            if isinstance(event, File):
                category = self.category_of(event.path, event.dest_path)
                if category is None or not self._wants(category, event):
                    continue
                categories[event.seq] = category
            chosen.append(event)
        return chosen, categories

    def _wants(self, category: str, event: File) -> bool:
        return category in self.opens or ACTIONS.get(event.action) != "open"


def paths_of(
    file_paths: Mapping[str, tuple[str, ...]],
    exclude_paths: Mapping[str, tuple[str, ...]],
    file_accesses: tuple[str, ...],
) -> Paths:
    """Return what a configuration asks for.

    Raises: ValueError for a pattern that is not absolute, or begins with a wildcard.
    """
    roots: dict[str, bool] = {}
    for category, patterns in file_paths.items():
        for root in map(watched, patterns):
            roots[root] = roots.get(root, False) or category in file_accesses
    return Paths(
        by_category={
            category: tuple(map(compiled, patterns)) for category, patterns in file_paths.items()
        },
        left_out=tuple(compiled(one) for some in exclude_paths.values() for one in some),
        opens=frozenset(file_accesses),
        watched=roots,
    )


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression for whole paths."""
    parts = []
    for piece in _WILDCARD.split(pattern):
        if piece in {"%%", "**"}:
            parts.append(".+")
        elif piece in {"%", "*"}:
            parts.append("[^/]*")
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts), re.DOTALL)


def watched(pattern: str) -> str:
    """Return the folder, or the file, that has to be watched for a pattern."""
    before, wildcard, _ = pattern.partition(_first_wildcard(pattern))
    root = before.rpartition("/")[0] if wildcard else pattern
    if not root.startswith("/"):
        raise ValueError(f"{pattern}: an absolute path with a name before its wildcards")
    return root.rstrip("/")


def _first_wildcard(pattern: str) -> str:
    found = _WILDCARD.search(pattern)
    return found[1] if found else "\0"
