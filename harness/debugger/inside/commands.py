# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The harness's commands for gdb and lldb: each has a name, a help text, and a function of a View.

A kernel module's project adds its own commands by a plugin file, whose `commands()` returns them.
"""

import runpy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.debugger.inside import linux
from harness.debugger.inside.view import View

_MODULE_STATES = ("live", "coming", "going", "unformed")
_LOG_LINES = 50


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command for gdb and lldb; the first line of `help` is its summary.

    `run` gets the kernel and the words after the command's name, and yields the lines to show.
    """

    name: str
    help: str
    run: Callable[[View, Sequence[str]], Iterator[str]]


class CommandError(Exception):
    """Raised for wrong arguments of a debugger command; the debugger shows its text to a user."""


def _ps(view: View, arguments: Sequence[str]) -> Iterator[str]:
    yield f"{'task_struct':18}  {'PID':>6} {'PPID':>6} CPU S  COMMAND"
    wanted = set("".join(arguments).upper())
    for task in linux.tasks(view):
        if not wanted or task.state in wanted:
            yield (
                f"{task.address:#018x}  {task.pid:6} {task.parent_pid:6} {task.cpu:3} "
                f"{task.state}  {task.name}"
            )


def _dmesg(view: View, arguments: Sequence[str]) -> Iterator[str]:
    lines = list(linux.log(view))
    try:
        count = int(arguments[0]) if arguments else _LOG_LINES
    except ValueError as error:
        raise CommandError("lx-dmesg [LINES]: a number is expected; 0 means all lines") from error
    yield from lines[-count:] if count else lines


def _modules(view: View, arguments: Sequence[str]) -> Iterator[str]:
    for module in linux.modules(view):
        if arguments and module.name not in arguments:
            continue
        state = _MODULE_STATES[module.state] if module.state < len(_MODULE_STATES) else "?"
        text = module.sections.get(".text", 0)
        yield f"{module.name:24} {state:8} .text {text:#018x}, {len(module.sections)} sections"
        if arguments:
            yield from (
                f"  {address:#018x} {name}"
                for name, address in sorted(module.sections.items(), key=lambda pair: pair[1])
            )


def _per_cpu(view: View, arguments: Sequence[str]) -> Iterator[str]:
    if not arguments:
        raise CommandError("lx-per-cpu VARIABLE [BYTES]: a variable is expected")
    try:
        symbol = view.symbol(arguments[0])
        size = int(arguments[1]) if len(arguments) > 1 else 8
    except (KeyError, ValueError) as error:
        raise CommandError(str(error.args[0])) from error
    for cpu in view.cpus():
        address = view.per_cpu(symbol, cpu)
        yield f"CPU {cpu}: {address:#018x} = {view.number(address, size):#x}"


def _fault(view: View, arguments: Sequence[str]) -> Iterator[str]:
    if not arguments:
        raise CommandError("lx-fault STACK_POINTER: an address is expected")
    values = linux.exception_registers(view, int(arguments[0], 0))
    if values is None:
        yield "no exception in kernel code on this stack"
        return
    for name, value in values.items():
        yield f"{name:>8} {value:#018x}"


KERNEL_COMMANDS = (
    Command(
        name="lx-ps",
        help="List every thread of the kernel.\n\nlx-ps [STATES]: only those in these states, "
        "as letters of ps: R running, S sleeping, D waiting, T stopped, Z zombie, I idle.",
        run=_ps,
    ),
    Command(
        name="lx-dmesg",
        help="Show the kernel's log from its memory.\n\nlx-dmesg [LINES]: the last so many "
        f"lines ({_LOG_LINES}), 0 for all.",
        run=_dmesg,
    ),
    Command(
        name="lx-modules",
        help="List loaded modules.\n\nlx-modules [NAME...]: of these, with every section's "
        "address.",
        run=_modules,
    ),
    Command(
        name="lx-per-cpu",
        help="Show a per-CPU variable on every CPU.\n\nlx-per-cpu VARIABLE [BYTES]: its first "
        "bytes (8) as a number.",
        run=_per_cpu,
    ),
    Command(
        name="lx-fault",
        help="Show the registers at the exception that a stack leads from.\n\n"
        "lx-fault STACK_POINTER",
        run=_fault,
    ),
)


def with_plugin(plugin: Path | None) -> tuple[Command, ...]:
    """Return the harness's commands for debuggers, and those of a plugin file if one is given."""
    if plugin is None:
        return KERNEL_COMMANDS
    return (*KERNEL_COMMANDS, *runpy.run_path(str(plugin))["commands"]())
