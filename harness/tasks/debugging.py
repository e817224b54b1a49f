# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Debuggers on guests."""

import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from harness.debugger import attach as attaching
from harness.debugger import dap_relay, drgn_live, on_target
from harness.debugger import kdp_attach as kdp
from harness.errors import UsageError
from harness.memory import open_dump
from harness.record import time_travel
from harness.targets.target_file import RemoteSpec
from harness.tasks.common import command, current_environment, load_settings
from harness.tasks.targets import found_target

_NO_PORT = -1
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
    "dap": "serve a debug adapter (lldb-dap) on standard input and output, for an editor",
    "port": "serve it on this loopback port instead, until Ctrl-C (0: any, which is printed)",
    "drgn": "open drgn on the running guest, which is not stopped; --command is Python or %cpus",
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
    dap: bool = False,
    port: int = _NO_PORT,
    drgn: bool = False,
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
    request = _request(locals())
    if core or replay:
        return _over(core, replay, request)
    if via == "kdp":
        return _kdp(request, symbols)
    if via != "gdbstub":
        raise UsageError(f"--via {via}: gdbstub or kdp is expected")
    if dap:
        on = None if port == _NO_PORT else port
        return dap_relay.serve(request, _say, port=on)
    if drgn:
        return drgn_live.shell(request)
    return _editor(request) if vscode else attaching.attach(request, _say)


def _request(options: dict[str, Any]) -> attaching.AttachRequest:
    """Return the request that the command's options make."""

    def file(name: str) -> Path | None:
        return Path(options[name]).absolute() if options[name] else None

    return attaching.AttachRequest(
        settings=load_settings(options["config"]),
        environment=current_environment(),
        guest=options["run"],
        debugger=options["debugger"],
        vmlinux=file("vmlinux"),
        breakpoints=tuple(options["break_"] or ()),
        commands=tuple(options["command"] or ()),
        source=file("source"),
        at_boot=options["break_at_boot"],
        target_name=options["target"],
        kernel_name=options["kernel"],
    )


def _on_target(
    target: RemoteSpec, breakpoints: list[str] | None, commands: list[str] | None
) -> int:
    """Debug the kernel of a target that the user boots."""
    with tempfile.TemporaryDirectory(prefix="modlab-kdp-") as folder:
        request = on_target.DebugRequest(
            target=target,
            folder=Path(folder),
            breakpoints=tuple(breakpoints or ()),
            commands=tuple(commands or ()),
        )
        return on_target.attach(request, _say)


def _over(core: str, replay: str, request: attaching.AttachRequest) -> int:
    """Open what is over: a crash's memory, or a recording."""
    settings, environment = request.settings, request.environment
    runs = settings.root / "build" / "runs"
    if replay:
        time_travel.refuse_lldb(request.debugger)
        return time_travel.debug(
            runs / replay, environment, commands=request.commands, from_boot=False
        )
    with open_dump.unpack_dump(runs / core, 1, cache=environment.cache) as dump:
        return open_dump.drgn_shell(dump, plugin=settings.module.drgn, commands=request.commands)


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


def _kdp(asked: attaching.AttachRequest, symbols: str | None) -> int:
    if symbols is None:
        raise UsageError("--via kdp needs --symbols: the kernel's Mach-O, of its KDK")
    host, port = kdp.endpoint(asked.guest)
    with tempfile.TemporaryDirectory(prefix="modlab-kdp-") as folder:
        request = kdp.KdpRequest(
            host=host,
            port=port,
            kernel=Path(symbols).absolute(),
            folder=Path(folder),
            breakpoints=asked.breakpoints,
            commands=asked.commands,
        )
        return kdp.attach(request, _say)
