# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The drgn shell on a dump, with the symbols and the module's own commands there already.

    python -m harness.drgn_shell REQUEST

REQUEST is a ShellRequest as JSON; standard input is the user's.
"""

import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import drgn
from drgn.cli import default_globals, run_interactive
from drgn.commands import run_command

from harness import drgn_open
from harness.errors import UsageError

_MISMATCH = 2


@dataclass(frozen=True, kw_only=True)
class ShellRequest:
    """The dump and the files that explain it, as text; `command` is run instead of a shell."""

    core: str
    vmlinux: str
    modules: dict[str, str] = field(default_factory=dict)
    plugin: str = ""
    command: str = ""


def main(arguments: list[str]) -> int:
    """Open a shell, or run one command; return 2 when the files do not belong to the dump."""
    request = ShellRequest(**json.loads(arguments[0]))
    logging.getLogger("drgn").setLevel(logging.ERROR)
    try:
        prog, own = _opened(request)
    except UsageError as error:
        sys.stderr.write(f"error: {error.message}\n")
        return _MISMATCH
    return _run(prog, request.command, own) if request.command else _interact(prog, own)


def _opened(request: ShellRequest) -> tuple[drgn.Program, dict[str, Any]]:
    """Return the program with its symbols, and the names that the module's own view defines."""
    prog = drgn_open.program(core=request.core)
    wrong = drgn_open.load_kernel(prog, request.vmlinux)
    if wrong:
        raise UsageError(wrong)
    for problem in drgn_open.load_modules(prog, request.modules):
        sys.stderr.write(f"{problem}\n")
    if not request.plugin:
        return prog, {}
    return prog, drgn_open.load_plugin(Path(request.plugin)).__dict__


def _interact(prog: drgn.Program, own: dict[str, Any]) -> int:
    report = own.get("report")

    def banner(text: str) -> str:
        return f"{text}\n>>> report(prog)  # state of the module" if report else text

    def globals_of_shell(names: dict[str, Any]) -> dict[str, Any]:
        return {**names, **({"report": report} if report else {})}

    run_interactive(prog, banner_func=banner, globals_func=globals_of_shell)
    return 0


def _run(prog: drgn.Program, command: str, own: dict[str, Any]) -> int:
    """Run one command as the shell would: a drgn command, an expression or statements."""
    names = {**default_globals(prog), "report": own.get("report")}
    if command.startswith("%"):
        run_command(prog, command[1:], globals=names)
        return 0
    drgn.set_default_prog(prog)
    try:
        code = compile(command, "<command>", "eval")
    except SyntaxError:
        exec(compile(command, "<command>", "exec"), names)  # noqa: S102 - the user's own
        return 0
    value = eval(code, names)  # noqa: S307 - the user's own
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    if value is not None:
        sys.stdout.write(f"{value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
