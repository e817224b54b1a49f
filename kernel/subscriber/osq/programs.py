# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The program of each process, for events whose records name only the process.

The stream itself keeps the map up to date: an exec sets the program, a fork copies it, an exit
removes it. Programs that ran before the daemon are looked up once, in /proc.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from osq.records import Event, Exec, Exit, Fork
from osq.values import text

# A dropped exit leaves its process in the map. Above this size, dead processes are removed.
MOST_PROCESSES = 65_536


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program by its path; was_there is True if it ran before the daemon began to read."""

    path: str
    was_there: bool


class Programs:
    """The program of every live process, as of the last event that was read."""

    def __init__(self, begin: Mapping[int, Program]) -> None:
        self._by_pid = dict(begin)

    def follow(self, events: Iterable[Event]) -> dict[int, Program]:
        """Return the program of each event that does not name one, as a map by event number.

        Events of exec, fork and exit are not in the map, nor are those of an unknown program.
        """
        found: dict[int, Program] = {}
        for event in events:
            if isinstance(event, Exec):
                self._by_pid[event.pid] = Program(path=text(event.path), was_there=False)
            elif isinstance(event, Fork):
                self._pass_on(event)
            elif isinstance(event, Exit):
                if event.last:
                    self._by_pid.pop(event.pid, None)
            elif event.pid in self._by_pid:
                found[event.seq] = self._by_pid[event.pid]
        if len(self._by_pid) > MOST_PROCESSES:
            self._forget_the_dead()
        return found

    def _forget_the_dead(self) -> None:
        """Remove dead processes from the older half of the map.

        The exit records of processes in the newer half may still be in the ring.
        """
        alive = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        older = list(self._by_pid)[: len(self._by_pid) - MOST_PROCESSES // 2]
        for pid in older:
            if pid not in alive:
                del self._by_pid[pid]

    def _pass_on(self, event: Fork) -> None:
        parent = self._by_pid.get(event.pid)
        if parent is not None and event.child_pid != event.pid:
            self._by_pid[event.child_pid] = Program(path=parent.path, was_there=False)


def running(proc: Path = Path("/proc")) -> dict[int, Program]:
    """Return the program of every process that runs now; a process without a file has none."""
    found = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            path = os.fsencode((entry / "exe").readlink())
        except OSError:
            continue
        found[int(entry.name)] = Program(path=text(path), was_there=True)
    return found
