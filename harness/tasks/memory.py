# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tasks for reading a guest's memory: fetch the kernel's symbols, open a crashed run's dump."""

from typing import TYPE_CHECKING

from harness.tasks.common import TaskContext, help_for, task

if TYPE_CHECKING:
    from collections.abc import Sequence


@task(name="kernel-symbols", options_help=help_for("target", "kernel"))
def fetch_kernel_symbols(
    context: TaskContext, target: str | None = None, kernel: str | None = None
) -> int:
    """Fetch the vmlinux of a target's kernel into the cache, some 280 MB, and print its path.

    With it, the kernel's own frames have source lines, and a guest's memory can be read.
    """
    from harness.artefacts import kernel_symbols, kernels
    from harness.host import config

    settings, root = context.settings, context.environment.cache
    name = config.choose_target(settings, target, kernel).kernel
    with context.view() as view:
        chosen = kernels.ensure(name, settings.kernels[name], root=root, progress=view.note)
        print(kernel_symbols.ensure(chosen, root=root, progress=view.note).vmlinux)
    return 0


@task(
    name="vmcore-open",
    positional=["run"],
    options_help={
        "run": "which run: its name, the end of it, or its folder",
        "crash": "which of its crashes (default: the first)",
        "command": "run this instead of a shell: Python, or a drgn command with its %",
        "crash-tool": "open crash(8) instead of drgn; --command is then one of its own",
    },
)
def open_vmcore(
    context: TaskContext, run: str, crash: int = 1, command: str = "", crash_tool: bool = False
) -> int:
    """Open a shell on the memory dump of a run's crash, with all symbols loaded."""
    commands = (command,) if command else ()
    return open_dump(context, run, crash, commands=commands, crash_tool=crash_tool)


def open_dump(
    context: TaskContext,
    run: str,
    crash: int,
    *,
    commands: "Sequence[str]",
    crash_tool: bool = False,
) -> int:
    """Open drgn or crash(8) on the dump of a run's crash, and return its exit code."""
    from harness.memory import open_dump as dumps
    from harness.report import run_folders
    from harness.runs import provenance

    folder = run_folders.find(context.runs, run)
    known = provenance.of_run(folder)
    cache = context.environment.cache
    with dumps.unpack_dump(folder, crash, provenance=known, cache=cache) as dump:
        if crash_tool:
            return dumps.crash_tool(dump, command=next(iter(commands), ""))
        return dumps.drgn_shell(dump, plugin=context.settings.module.drgn, commands=commands)
