# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Debuggers on guests."""

import signal
import sys
import tempfile
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from harness import debug_attach as attaching
from harness import remote_debug, timetravel, vmcore_open
from harness.errors import UsageError
from harness.kdp import attach as kdp
from harness.remote import RemoteSpec
from harness.tasks.common import command, current_environment, load_settings
from harness.tasks.targets import found_target

ATTACH_HELP = {
    "run": "run of the guest, its end suffices (default: the only one)",
    "debugger": "lldb, gdb or auto (the newest; gdb where both are)",
    "break": "function to stop in (may be repeated); a module that has it may be loaded later",
    "command": "command to run in the debugger, which then leaves (may be repeated)",
    "vmlinux": "symbols of the kernel, instead of those of invoke kernel-symbols",
    "source": "folder with the kernel's source",
    "break-at-boot": "start a guest stopped at its first instruction; it ends with the debugger",
    "target": "target to start for --break-at-boot, or one that you boot yourself",
    "kernel": "kernel to start, or what the guest runs when that is not its target's own",
    "vscode": "write .vscode/launch.json (lldb-dap, cppdbg) and wait until Ctrl-C",
    "via": "gdbstub, or kdp: then --run is HOST[:PORT] of an XNU kernel that waits",
    "symbols": "the XNU kernel's Mach-O, for --via kdp",
    "core": "run whose crash is opened instead of a guest, in drgn (as vmcore-open does)",
    "replay": "recording to go back in, in gdb (as replay-debug does)",
    "config": "pyproject.toml to go by (default: the nearest one with [tool.harness])",
}


@task(
    iterable=["break_", "command"],
    help=ATTACH_HELP,
    auto_shortflags=False,
    aliases=["kernel-debug"],
)
@command
def debug_attach(  # noqa: PLR0913, PLR0917
    _c: Context,
    run: str = "",
    debugger: str = "auto",
    break_: list[str] | None = None,
    command: list[str] | None = None,
    vmlinux: str | None = None,
    source: str | None = None,
    break_at_boot: bool = False,
    target: str | None = None,
    kernel: str | None = None,
    vscode: bool = False,
    via: str = "gdbstub",
    symbols: str | None = None,
    core: str = "",
    replay: str = "",
    config: str | None = None,
) -> int:
    """Hand a running, stopped or crashed guest to gdb or lldb on this terminal.

    Symbols are in place and follow what is loaded. Quitting leaves the guest as it was found.
    """
    if (remote := found_target(target, config)) is not None:
        return _on_target(remote, break_, command)
    if core or replay:
        return _over(core, replay, tuple(command or ()), config)
    if via == "kdp":
        return _kdp(run, symbols, tuple(break_ or ()), tuple(command or ()))
    if via != "gdbstub":
        raise UsageError(f"--via {via}: gdbstub or kdp is expected")
    request = attaching.AttachRequest(
        settings=load_settings(config),
        environment=current_environment(),
        guest=run,
        debugger=debugger,
        vmlinux=Path(vmlinux).absolute() if vmlinux else None,
        breakpoints=tuple(break_ or ()),
        commands=tuple(command or ()),
        source=Path(source).absolute() if source else None,
        at_boot=break_at_boot,
        target_name=target,
        kernel_name=kernel,
    )
    return _editor(request) if vscode else attaching.attach(request, _say)


def _on_target(
    target: RemoteSpec, breakpoints: list[str] | None, commands: list[str] | None
) -> int:
    """Debug the kernel of a target that the user boots."""
    with tempfile.TemporaryDirectory(prefix="osq-kdp-") as folder:
        request = remote_debug.DebugRequest(
            target=target,
            folder=Path(folder),
            breakpoints=tuple(breakpoints or ()),
            commands=tuple(commands or ()),
        )
        return remote_debug.attach(request, _say)


def _over(core: str, replay: str, commands: tuple[str, ...], config: str | None) -> int:
    """Open what is over: a crash's memory, or a recording."""
    settings, environment = load_settings(config), current_environment()
    runs = settings.root / "build" / "runs"
    if replay:
        return timetravel.debug(runs / replay, environment, commands=commands, from_boot=False)
    with vmcore_open.unpacked(runs / core, 1, cache=environment.cache) as dump:
        return vmcore_open.drgn_shell(
            dump, plugin=settings.module.drgn, command="\n".join(commands)
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _editor(request: attaching.AttachRequest) -> int:
    with attaching.for_editor(request, _say) as file:
        _say(f"{file} is written; the guest can be debugged until Ctrl-C here")
        try:
            signal.pause()
        except KeyboardInterrupt:
            _say("closed")
    return 0


def _kdp(
    where: str, symbols: str | None, breakpoints: tuple[str, ...], commands: tuple[str, ...]
) -> int:
    if symbols is None:
        raise UsageError("--via kdp needs --symbols: the kernel's Mach-O, of its KDK")
    host, port = kdp.endpoint(where)
    with tempfile.TemporaryDirectory(prefix="osq-kdp-") as folder:
        request = kdp.KdpRequest(
            host=host,
            port=port,
            kernel=Path(symbols).absolute(),
            folder=Path(folder),
            breakpoints=breakpoints,
            commands=commands,
        )
        return kdp.attach(request, _say)
