# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The process that reads a guest's memory with drgn, so that a crash of drgn ends only itself.

python -m harness.memory.drgn_worker < request.json

It reads a MemoryRequest and writes the fields of a MemoryView. Each field is one line of JSON,
written as soon as it has been read. So when this process ends early, by a crash of drgn or by the
caller's deadline, only the remaining fields are lost.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import drgn
from drgn.helpers.linux.pid import find_task, for_each_task
from drgn.helpers.linux.printk import get_dmesg
from drgn.helpers.linux.sched import task_state_to_char

from harness.errors import UsageError
from harness.memory import drgn_locks, drgn_program, drgn_stacks
from harness.memory.drgn_program import ERRORS
from harness.memory.values import MemoryModule, MemoryRequest, MemoryStack, parse_registers

_BLOCKED = "D"
_MOST_BLOCKED = 50


@dataclass(kw_only=True)
class _Parts:
    """The writer of a MemoryView's fields as lines of JSON, each as soon as it has been read.

    Problems are written in the same way, each time with those before.
    """

    out: TextIO
    problems: list[str] = field(default_factory=list)

    def write(self, **parts: Any) -> None:
        self.out.write(json.dumps(parts, default=asdict) + "\n")
        self.out.flush()

    def problem(self, text: str) -> None:
        self.problems.append(text)
        self.write(problems=self.problems)

    def attempt(self, what: str, make: Callable[[], dict[str, Any]]) -> None:
        """Write the fields that `make` returns; if memory cannot be read, write a problem instead.

        `what` names these fields in the problem's text.
        """
        try:
            self.write(**make())
        except ERRORS as error:
            self.problem(f"{what}: {error}")


def view(request: MemoryRequest, out: TextIO) -> None:
    """Read a guest's memory as requested, and write it as lines of JSON, the most useful first.

    If the memory cannot be opened, only a problem is written. If the kernel's symbols cannot be
    used, only the build id, `symbols_match` and the problem are written.
    Raises: UsageError for a vmlinux that is no ELF file, or a plugin without report(prog); any
        error of the plugin's own code while it is loaded.
    """
    parts = _Parts(out=out)
    try:
        prog = drgn_program.program(qmp=request.qmp, core=request.core)
    except UsageError as error:
        parts.problem(f"{error.message}; {error.hint}" if error.hint else error.message)
        return
    parts.attempt("the kernel's build id", lambda: {"build_id": drgn_program.build_id(prog)})
    wrong = drgn_program.load_kernel(prog, request.vmlinux)
    if wrong:
        parts.write(symbols_match=False if Path(request.vmlinux).is_file() else None)
        parts.problem(wrong)
        return
    parts.write(symbols_match=True)
    for text in drgn_program.load_modules(prog, request.modules):
        parts.problem(text)
    parts.attempt("the kernel's release", lambda: {"release": _release(prog)})
    registers = parse_registers(request.registers)
    parts.attempt("stacks of CPUs", lambda: {"cpus": [*drgn_stacks.of_cpus(prog, registers)]})
    parts.attempt("the kernel's log", lambda: {"log": _log(prog, request.log_lines)})
    parts.attempt("the test's task", lambda: {"task": _task(prog, request)})
    parts.attempt("modules", lambda: {"modules": [*_modules(prog)]})
    parts.attempt("blocked tasks", lambda: _blocked_tasks(prog, parts.problem))
    if request.plugin:
        plugin = drgn_program.load_plugin(Path(request.plugin))
        parts.attempt("the module's own view", lambda: {"driver": list(plugin.report(prog))})


def _release(prog: drgn.Program) -> str:
    release: bytes = prog["UTS_RELEASE"].string_()
    return release.decode()


def _log(prog: drgn.Program, most: int) -> list[str]:
    return get_dmesg(prog).decode(errors="backslashreplace").splitlines()[-most:]


def _task(prog: drgn.Program, request: MemoryRequest) -> MemoryStack | None:
    """Return the stack of the test's process, None when it does not exist or runs on a CPU.

    The task is looked for by its number first, then by its name. The stack of a task on a CPU is
    already among the stacks of CPUs.
    """
    task = find_task(prog, request.task_pid) if request.task_pid else None
    if not task and request.task_comm:
        wanted = request.task_comm.encode()
        task = next((one for one in for_each_task(prog) if one.comm.string_() == wanted), None)
    if not task or task.on_cpu:
        return None
    return drgn_stacks.of_task(prog, task, variables=True)


def _modules(prog: drgn.Program) -> Iterator[MemoryModule]:
    for module in prog.modules():
        if isinstance(module, drgn.RelocatableModule):
            yield MemoryModule(
                name=module.name,
                build_id=module.build_id.hex() if module.build_id else "",
                has_symbols=not module.wants_debug_file(),
                sections=dict(module.section_addresses),
            )


def _blocked_tasks(prog: drgn.Program, problem: Callable[[str], None]) -> dict[str, Any]:
    """Return the view's fields `blocked` and `waits`, about the first 50 tasks in state D.

    `blocked` has the tasks' stacks, `waits` the locks that they wait for. `problem` is called with
    a text for each task whose memory cannot be read.
    """
    every = list(for_each_task(prog))
    found = [task for task in every if task_state_to_char(task) == _BLOCKED and not task.on_cpu]
    stacks = [
        (task, drgn_stacks.of_task(prog, task, variables=False)) for task in found[:_MOST_BLOCKED]
    ]
    known = frozenset(task.value_() for task in every)
    return {
        "blocked": [stack for _, stack in stacks],
        "waits": [*drgn_locks.waits(prog, stacks, known, problem=problem)],
    }


def main() -> None:
    """Read a MemoryRequest from stdin, and write the fields of the view to stdout.

    What the plugin itself prints goes to stderr.
    """
    # drgn's warnings about odd files help only drgn's developers, so they are off; its failures
    # are exceptions.
    logging.getLogger("drgn").setLevel(logging.CRITICAL)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    view(MemoryRequest(**json.load(sys.stdin)), out)


if __name__ == "__main__":
    main()
