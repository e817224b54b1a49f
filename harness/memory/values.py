# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The values that are read from a guest's memory: stacks, lock waits, modules, the kernel's log.

This module holds data and pure functions only. `drgn_worker` fills a view in its own process,
`inspect` receives it, and `memory_text` turns it into text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_CPU = re.compile(r"^CPU#(\d+)\s*$")
# QEMU pads short names with a blank (R8 =) and splits segments (CS =SELECTOR BASE LIMIT FLAGS).
_REGISTER = re.compile(r"\b(R[A-Z0-9]{2}|R8|R9|RFL|CS|SS) ?=([0-9a-f]+)\b")

_NEEDED = {
    *("RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", "RSP", "RIP", "RFL", "CS", "SS"),
    *("R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"),
}


@dataclass(frozen=True, kw_only=True)
class MemoryRequest:
    """What drgn is to read from a guest's memory, and with which symbol files.

    Every path is text, "" for none. Either `qmp` (the QMP socket of a paused guest) or `core` (an
    ELF core) is given. `registers` is the answer of QEMU's monitor to `info registers -a`; a core
    contains its own. `modules` are the files with debug information by module name. `plugin` is
    the project's Python file with report(prog). The test's task is found by `task_pid`, 0 for
    none, or by its name `task_comm`. `log_lines` is the number of the log's last lines to return.
    """

    qmp: str = ""
    core: str = ""
    registers: str = ""
    vmlinux: str = ""
    modules: dict[str, str] = field(default_factory=dict)
    plugin: str = ""
    task_pid: int = 0
    task_comm: str = ""
    log_lines: int = 200


@dataclass(frozen=True, kw_only=True)
class MemoryFrame:
    """One function of a stack read from memory, with its arguments and variables as text.

    `module` is "" for the kernel itself. `place` is file:line, "" where it is not known.
    """

    function: str
    module: str = ""
    place: str = ""
    inline: bool = False
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MemoryStack:
    """The stack of a task, read from memory, innermost frame first.

    `cpu` is the CPU that runs the task, None if none does. `crashed` is True for the CPU on which
    the kernel died. `state` is the letter that ps shows. `note` is the reason why there are no
    frames.
    """

    pid: int
    comm: str
    state: str = ""
    cpu: int | None = None
    crashed: bool = False
    frames: tuple[MemoryFrame, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class LockWait:
    """A task that waits for a lock, and the lock's holder.

    `pid` and `comm` are the waiting task's number and name. `lock` is the lock's symbol, or else
    its address. `kind` is mutex, rwsem or rt_mutex. `holder_pid` is 0 when the holder is not
    known.
    """

    pid: int
    comm: str
    lock: str
    kind: str
    holder_pid: int = 0
    holder_comm: str = ""


@dataclass(frozen=True, kw_only=True)
class MemoryModule:
    """A module that is loaded in the guest, its build id, and the addresses of its sections.

    `build_id` is in hex, "" if unknown. `has_symbols` means that a file with debug information of
    the same build was given.
    """

    name: str
    build_id: str
    has_symbols: bool
    sections: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class MemoryView:
    """All that drgn has read of a guest's memory: kernel build, stacks, locks, log, modules.

    `problems` lists what it could not read. `cpus` has the stacks of the CPUs, the crashed CPU
    first. `task` is the stack of the test's task, `blocked` has those of tasks in state D, `waits`
    the locks that they wait for. `symbols_match` is whether vmlinux is of the kernel in memory,
    and None when there is no vmlinux or the memory could not be opened. `driver` are the lines of
    the project's drgn plugin.
    """

    release: str = ""
    build_id: str = ""
    symbols_match: bool | None = None
    cpus: tuple[MemoryStack, ...] = ()
    task: MemoryStack | None = None
    blocked: tuple[MemoryStack, ...] = ()
    waits: tuple[LockWait, ...] = ()
    log: tuple[str, ...] = ()
    modules: tuple[MemoryModule, ...] = ()
    driver: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    took_s: float = 0.0

    @property
    def crashed(self) -> MemoryStack | None:
        """The stack of the CPU on which the kernel died, None when no CPU is marked so."""
        return next((stack for stack in self.cpus if stack.crashed), None)


def deadlocks(waits: Iterable[LockWait]) -> tuple[tuple[LockWait, ...], ...]:
    """Return every circle of tasks in which each waits for a lock that the next one holds."""
    by_pid = {wait.pid: wait for wait in waits}
    found: list[tuple[LockWait, ...]] = []
    seen: set[int] = set()
    for start in by_pid:
        path: list[LockWait] = []
        pid = start
        while pid in by_pid and pid not in seen:
            seen.add(pid)
            path.append(by_pid[pid])
            pid = by_pid[pid].holder_pid
        first = next((at for at, wait in enumerate(path) if wait.pid == pid), None)
        if first is not None:
            found.append(tuple(path[first:]))
    return tuple(found)


def parse_registers(text: str) -> dict[int, dict[str, int]]:
    """Return the general registers of each x86-64 CPU from QEMU's `info registers -a`.

    The names are QEMU's (RAX, R8, RIP, RFL, CS, SS). A CPU without all of them is left out.
    """
    found: dict[int, dict[str, int]] = {}
    current: dict[str, int] = {}
    for line in text.splitlines():
        header = _CPU.match(line)
        if header is not None:
            current = found.setdefault(int(header.group(1)), {})
        for name, value in _REGISTER.findall(line):
            current.setdefault(name, int(value, 16))
    return {cpu: values for cpu, values in found.items() if values.keys() >= _NEEDED}
