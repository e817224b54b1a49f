# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Run drgn's shell on a memory dump or a running guest, with symbols and the project's plugin.

python -m harness.memory.drgn_shell REQUEST

REQUEST is a ShellRequest as JSON. Standard input belongs to the user.
"""

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drgn
from drgn.cli import default_globals, run_interactive
from drgn.commands import run_command
from drgn.commands.linux import linux_kernel_command

from harness.errors import UsageError
from harness.memory import drgn_program, drgn_stacks, memory_text
from harness.memory.values import parse_registers
from harness.protocols import qmp_socket

_MISMATCH = 2


@dataclass(frozen=True, kw_only=True)
class ShellRequest:
    """What drgn's shell opens: a memory dump or a running guest, with its symbol files.

    Every path is text. Either `core` (an ELF core) or `qmp` (the QMP socket of a running guest) is
    given. `modules` has the files with debug information by module name. `plugin` is the project's
    Python file with report(prog), "" for none. With `commands` the shell runs these instead of
    reading from the user.
    """

    vmlinux: str
    core: str = ""
    qmp: str = ""
    modules: dict[str, str] = field(default_factory=dict)
    plugin: str = ""
    commands: list[str] = field(default_factory=list)


def main(arguments: list[str]) -> int:
    """Open drgn's shell or run commands in it; return 0, or 2 when it cannot be opened.

    It cannot when memory, vmlinux or plugin cannot be used; the reason is written to stderr.
    `arguments` has one element, the `ShellRequest` as JSON. A module whose symbols do not fit is
    reported on stderr, and the shell opens without them. An error of a command is not caught.
    """
    request = ShellRequest(**json.loads(arguments[0]))
    logging.getLogger("drgn").setLevel(logging.ERROR)
    try:
        prog, names = _open_program(request)
    except UsageError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return _MISMATCH
    if not request.commands:
        return _interact(prog, names)
    drgn.set_default_prog(prog)
    known = {**default_globals(prog), **names}
    for command in request.commands:
        _run(prog, command, known)
    return 0


def _open_program(request: ShellRequest) -> tuple[drgn.Program, dict[str, Any]]:
    """Open the memory with its symbols; return drgn's Program, and further names for the shell.

    The names are `cpus`, and with a plugin its function `report`. Each module whose symbols do not
    fit is reported on stderr.
    Raises: UsageError when the memory, the vmlinux or the plugin cannot be used.
    """
    prog = drgn_program.program(core=request.core, qmp=request.qmp)
    wrong = drgn_program.load_kernel(prog, request.vmlinux)
    if wrong:
        raise UsageError(wrong)
    for problem in drgn_program.load_modules(prog, request.modules):
        sys.stderr.write(f"{problem}\n")
    names: dict[str, Any] = {"cpus": _cpus_command(prog, request.qmp)}
    if request.plugin:
        report = drgn_program.load_plugin(Path(request.plugin)).__dict__["report"]
        names["report"] = lambda of: _Text("\n".join(map(str, report(of))))
    return prog, names


class _Text(str):
    """A text whose repr is the text itself, so that a shell shows it with line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Return the text itself, without quotes."""
        return str(self)


def _cpus_command(prog: drgn.Program, qmp: str) -> Callable[[], _Text]:
    """Register the drgn command %cpus; return a function that returns all CPUs' stacks as text.

    `qmp` is the path of the QMP socket of a running guest, "" for a dump.
    """

    def registers() -> dict[int, dict[str, int]]:
        return parse_registers(qmp_socket.words(Path(qmp), "info registers -a"))

    def cpus() -> _Text:
        stacks = (
            drgn_stacks.of_running_cpus(prog, registers) if qmp else drgn_stacks.of_cpus(prog, {})
        )
        return _Text("\n".join(memory_text.of_cpus(stacks)))

    @linux_kernel_command(  # type: ignore[untyped-decorator]
        name="cpus", description="stacks of all CPUs, with lines and variables"
    )
    def _command(_prog: drgn.Program, _name: str, _arguments: object, **_: Any) -> None:
        sys.stdout.write(f"{cpus()}\n")

    return cpus


def _interact(prog: drgn.Program, names: dict[str, Any]) -> int:
    def banner(text: str) -> str:
        ways = ">>> %cpus  # stacks of all CPUs"
        state = "\n>>> report(prog)  # state of the module" if "report" in names else ""
        return f"{text}\n{ways}{state}"

    def globals_of_shell(known: dict[str, Any]) -> dict[str, Any]:
        return {**known, **names}

    run_interactive(prog, banner_func=banner, globals_func=globals_of_shell)
    return 0


def _run(prog: drgn.Program, command: str, names: dict[str, Any]) -> None:
    """Run one command in drgn's namespace: a drgn command after '%', an expression or statements.

    The value of an expression is written to stdout, unless it is None. `names` is the namespace.
    """
    if command.startswith("%"):
        run_command(prog, command[1:], globals=names)
        return
    try:
        code = compile(command, "<command>", "eval")
    except SyntaxError:
        exec(compile(command, "<command>", "exec"), names)  # noqa: S102 - the user's own
        return
    value = eval(code, names)  # noqa: S307 - the user's own
    if value is not None:
        sys.stdout.write(f"{value}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
