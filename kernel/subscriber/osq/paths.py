# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""File paths as in osquery's configuration: patterns by category, and excluded patterns.

% or * matches anything within one path component, and %% or ** at the end matches everything
below. The driver can only watch whole folders, so it watches the part of a pattern before the
first wildcard. This module then decides which records match the pattern.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from osq.file_events import ACTIONS
from osq.records import Event, File

_WILDCARD = re.compile(r"(%%|%|\*\*|\*)")


@dataclass(frozen=True, kw_only=True)
class Paths:
    """The patterns of files to record, by category and in the configuration's order.

    left_out: the patterns of files that are never recorded.
    opens: the categories whose files are also watched for opens (osquery's file_accesses).
    watched: the paths that the driver has to watch, and whether for opens.
    """

    by_category: Mapping[str, tuple[re.Pattern[str], ...]] = field(default_factory=dict)
    left_out: tuple[re.Pattern[str], ...] = ()
    opens: frozenset[str] = frozenset()
    watched: Mapping[str, bool] = field(default_factory=dict)

    def category_of(self, *paths: bytes) -> str | None:
        """Return the category of the first of the given paths that a pattern matches, or None.

        A rename has two paths. An empty path and an excluded one match nothing.
        """
        for raw in paths:
            path = raw.decode(errors="surrogateescape")
            if not path or any(one.fullmatch(path) for one in self.left_out):
                continue
            for category, patterns in self.by_category.items():
                if any(one.fullmatch(path) for one in patterns):
                    return category
        return None

    def choose(self, events: list[Event]) -> tuple[list[Event], dict[int, str]]:
        """Return the events to store, and the category of each file event among them by its seq.

        Events of files that no pattern names, and opens that were not requested, are left out.
        Without any category, all events are returned.
        """
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
    """Return the patterns and watches for the keys of these names in the configuration.

    Raises: ValueError for a pattern of file_paths that is not absolute or has a wildcard in its
    first component.
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
    """Return the regular expression that a whole path matches if a pattern of file_paths does."""
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
    """Return the folder or file that the driver has to watch for a pattern.

    Raises: ValueError as `paths_of`.
    """
    before, wildcard, _ = pattern.partition(_first_wildcard(pattern))
    root = before.rpartition("/")[0] if wildcard else pattern
    if not root.startswith("/"):
        raise ValueError(
            f"{pattern}: an absolute path with a name before its wildcards was expected"
        )
    return root.rstrip("/") or "/"


def _first_wildcard(pattern: str) -> str:
    found = _WILDCARD.search(pattern)
    return found[1] if found else "\0"
