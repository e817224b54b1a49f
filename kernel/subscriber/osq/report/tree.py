# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Processes by who started whom: a process is its pid and the time at which it began."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from osq.columns import SqlValue
from osq.report.facts import Facts, Row

Key = tuple[SqlValue, SqlValue]


@dataclass(kw_only=True)
class Process:
    """A process in the report's tree, with its rows of kprocess_events in the window.

    programs: its execs; end: its exit.
    known: for a process without an exec, the row of the exec whose program it runs: its parent's,
    or its own before the window. None when that is not stored.
    Units: born_s is when it was forked, in seconds since the epoch; None if not in the window.
    """

    key: Key
    programs: list[Row] = field(default_factory=list)
    children: list["Process"] = field(default_factory=list)
    end: Row | None = None
    known: Row | None = None
    born_s: int | None = None
    is_child: bool = False
    is_kept: bool = False

    @property
    def first_s(self) -> int | None:
        """When it had its first exec in the window, or else its fork; None when neither is known.

        Units: seconds since the epoch.
        """
        return int(self.programs[0]["time"] or 0) if self.programs else self.born_s

    @property
    def silent(self) -> int:
        """How many of its children ran no program, nor did any process below them."""
        return sum(not child.is_kept for child in self.children)


def processes_of(facts: Facts) -> list[Process]:
    """Return the top processes of the report's tree; all others are below them as `children`.

    At the top is a process whose parent is not known. A process that ran no program in the window,
    nor has one below it that did, has is_kept False; it is not returned, but may be in `children`.
    """
    by_key: dict[Key, Process] = {}
    for row in facts.processes.rows:
        _take(by_key, row)
    roots = [one for one in by_key.values() if not one.is_child]
    # Children are met after their parents, so the list backwards goes from the leaves up.
    for one in reversed(list(_walk(roots))):
        one.is_kept = bool(one.programs) or any(child.is_kept for child in one.children)
    _name_the_rest(roots, facts.before.rows)
    return [one for one in roots if one.is_kept]


def _take(by_key: dict[Key, Process], row: Row) -> None:
    process = _find(by_key, (row["pid"], row["start_ntime"]))
    if row["event_type"] == "fork":
        child = _find(by_key, (row["child_pid"], row["child_start_ntime"]))
        _link(process, child)
        child.born_s = int(row["time"] or 0)
        return
    if row["event_type"] == "exit":
        process.end = row
        return
    process.programs.append(row)
    # Who made it is known from its fork; without that row, its parent of now is.
    if not process.is_child and row["parent_start_ntime"]:
        _link(_find(by_key, (row["parent"], row["parent_start_ntime"])), process)


def _find(by_key: dict[Key, Process], key: Key) -> Process:
    return by_key.setdefault(key, Process(key=key))


def _link(process: Process, child: Process) -> None:
    if not child.is_child and child is not process:
        child.is_child = True
        child.known = process.programs[-1] if process.programs else None
        process.children.append(child)


def _walk(roots: Iterable[Process]) -> Iterator[Process]:
    """Yield each process of the trees before its children.

    This is a loop, because a long chain of processes would exceed Python's recursion limit.
    """
    waiting = list(roots)
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.children


def _name_the_rest(roots: Iterable[Process], rows: Iterable[Row]) -> None:
    """Set `known` of each process that has no exec in the window, as far as its program is known.

    rows: the last execs before the window.
    """
    before = {(row["pid"], row["start_ntime"]): row for row in rows}
    for one in _walk(roots):
        if one.known is None:
            one.known = before.get(one.key)
        for child in one.children:
            child.known = child.known or one.known
