# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""What a guest's memory is read with: the kernel's symbols, a crashed run's dump."""

from invoke.context import Context
from invoke.tasks import task

from harness.artefacts import kernel_symbols, kernels
from harness.host import config as configuration
from harness.memory import open_dump
from harness.tasks.common import (
    RUN_HELP,
    command,
    current_environment,
    help_for,
    load_settings,
    view_for,
)


@task(help=help_for("target", "kernel", "config"), auto_shortflags=False, name="kernel-symbols")
@command
def fetch_kernel_symbols(
    _c: Context, target: str | None = None, kernel: str | None = None, config: str | None = None
) -> int:
    """Fetch the vmlinux of a target's kernel into the cache, some 280 MB, and print its path.

    With it frames of the kernel itself have lines, and guests' memory can be read.
    """
    settings, root = load_settings(config), current_environment().cache
    name = configuration.choose_target(settings, target, kernel).kernel
    with view_for(verbose=False) as view:
        chosen = kernels.ensure(name, settings.kernels[name], root=root, progress=view.note)
        print(kernel_symbols.ensure(chosen, root=root, progress=view.note).vmlinux)
    return 0


@task(
    name="vmcore-open",
    positional=["run"],
    auto_shortflags=False,
    help={
        "run": "which run: the name of its folder in build/runs",
        "crash": "which of its crashes (default: the first)",
        "command": "run this instead of a shell: Python, or a drgn command with its %",
        "crash-tool": "open crash(8) instead of drgn; --command is then one of its own",
        "config": RUN_HELP["config"],
    },
)
@command
def open_vmcore(
    _c: Context,
    run: str,
    crash: int = 1,
    command: str = "",
    crash_tool: bool = False,
    config: str | None = None,
) -> int:
    """Open a shell on the memory of a run's crash, symbols and the module's own view loaded."""
    settings = load_settings(config)
    folder = settings.root / "build" / "runs" / run
    with open_dump.unpack_dump(folder, crash, cache=current_environment().cache) as dump:
        if crash_tool:
            return open_dump.crash_tool(dump, command=command)
        commands = (command,) if command else ()
        return open_dump.drgn_shell(dump, plugin=settings.module.drgn, commands=commands)
