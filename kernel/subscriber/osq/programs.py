# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The path of the program that a process runs, for events whose records have no path.

The stream keeps what is known of each process: an exec names its program, a fork passes the
program on. Programs that ran before the daemon are looked up once, in /proc. A record has the
device and the inode number of the file that its process runs, so a path is used only if it is the
path of that file. It is not known for a program whose exec was filtered or lost.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from osq.records import Acted, Event, Exec, Exit, Fork
from osq.values import text

# A dropped exit leaves its process in the map. Above this size, dead processes are removed.
MOST_PROCESSES = 65_536
# What a process has left open is closed after its exit record. The driver, too, remembers the
# programs of so many ending threads.
MOST_ENDED = 4_096
# /proc has the start of a process in ticks of a hundredth of a second.
_TICK_NS = 10_000_000
_START_FIELD = 19

# A pid and the tick in which its process began: together they name a process for good.
Process = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that a process runs: its path, and device and inode of its file as in records.

    was_there: whether a process ran it before the daemon began to read, so its exec is not stored.
    """

    path: str
    dev: int
    ino: int
    was_there: bool = False


class Programs:
    """What program each process runs, or ran until its end, by the events that were read."""

    def __init__(self, begin: Mapping[Process, Program]) -> None:
        self._alive = dict(begin)
        self._ended: dict[Process, Program] = {}

    def follow(self, events: Iterable[Event]) -> dict[int, Program]:
        """Learn from the exec, fork and exit events of a batch; return the programs of the others.

        Shape: by the event's seq. An event is left out if its process's program is not known, or
        if the event names another file than that program's.
        """
        found: dict[int, Program] = {}
        for event in events:
            process = _process(event.pid, event.start_boot_ns)
            if isinstance(event, Exec):
                self._begin(process, event)
            elif isinstance(event, Fork):
                self._pass_on(process, event)
            elif isinstance(event, Exit):
                if event.last:
                    self._end(process)
            elif isinstance(event, Acted):
                program = self._alive.get(process) or self._ended.get(process)
                if program and _is_of(program, event):
                    found[event.seq] = program
        if len(self._alive) > MOST_PROCESSES:
            self._forget_the_dead()
        return found

    def _begin(self, process: Process, event: Exec) -> None:
        """Set a process's program to that of its exec; an exec without a path makes it unknown."""
        if event.path:
            self._alive[process] = Program(path=text(event.path), dev=event.dev, ino=event.ino)
        else:
            self._alive.pop(process, None)

    def _pass_on(self, parent: Process, event: Fork) -> None:
        program = self._alive.get(parent)
        if program is not None and event.child_pid != event.pid:
            child = _process(event.child_pid, event.child_start_boot_ns)
            self._alive[child] = replace(program, was_there=False)

    def _end(self, process: Process) -> None:
        program = self._alive.pop(process, None)
        if program is None:
            return
        self._ended[process] = program
        if len(self._ended) > MOST_ENDED:
            del self._ended[next(iter(self._ended))]

    def _forget_the_dead(self) -> None:
        """Remove those processes of the older half of the map that /proc no longer has.

        Their exit records were dropped. Those of the newer half may still be in the ring.
        """
        alive = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        older = list(self._alive)[: len(self._alive) - MOST_PROCESSES // 2]
        for process in older:
            if process[0] not in alive:
                del self._alive[process]


def _process(pid: int, start_boot_ns: int) -> Process:
    return pid, start_boot_ns // _TICK_NS


def _is_of(program: Program, event: Any) -> bool:
    """Return whether the file of a program is known to be the one that an event's process runs."""
    of_event = (event.program_dev, event.program_ino)
    return (program.dev, program.ino) == of_event != (0, 0)


def running(proc: Path = Path("/proc")) -> dict[Process, Program]:
    """Return the program of every process that runs now; kernel threads have none.

    Shape: the keys are (pid, start in ticks of a hundredth of a second since boot).
    """
    found: dict[Process, Program] = {}
    devices: dict[int, int] = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # A pid that is used again in between has another start, so its key matches no event.
            stat = (entry / "stat").read_bytes()
            start = int(stat.rpartition(b")")[2].split()[_START_FIELD])
            found[int(entry.name), start] = _program_of(entry, devices)
        except OSError:
            continue
    return found


def _program_of(process: Path, devices: dict[int, int]) -> Program:
    """Return the program that a process runs; `process` is its folder in /proc.

    devices: those of the mounts that were met so far, by the number of the mount; more are added.
    Raises: OSError when there is none, or the process has ended.
    """
    file = os.open(process / "exe", os.O_PATH | os.O_CLOEXEC)
    try:
        path = os.fsencode(Path(f"/proc/self/fd/{file}").readlink())
        lines = Path(f"/proc/self/fdinfo/{file}").read_text().splitlines()
        stat = os.fstat(file)
    finally:
        os.close(file)
    # stat of a file in btrfs or overlayfs has another device than its file system, and sometimes
    # another inode number. Before 5.14 fdinfo has no inode number.
    facts = dict(line.split(":", 1) for line in lines)
    mount, ino = int(facts["mnt_id"]), int(facts.get("ino", stat.st_ino))
    if mount not in devices:
        devices |= _devices(process)
    dev = devices.setdefault(mount, _device(os.major(stat.st_dev), os.minor(stat.st_dev)))
    return Program(path=text(path), dev=dev, ino=ino, was_there=True)


def _devices(process: Path) -> dict[int, int]:
    """Return the device of each mount that a process sees, by the number of the mount."""
    found = {}
    # The kernel escapes a newline in a path, and no other end of a line.
    for line in filter(None, (process / "mountinfo").read_bytes().split(b"\n")):
        mount, _, device, _ = line.split(b" ", 3)
        major, _, minor = device.partition(b":")
        found[int(mount)] = _device(int(major), int(minor))
    return found


def _device(major: int, minor: int) -> int:
    return major << 32 | minor
