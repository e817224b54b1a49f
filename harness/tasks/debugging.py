# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The task that attaches a debugger to a kernel in one of several ways, each with its options."""

import enum
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.tasks.common import TaskContext, task
from harness.tasks.crashes import open_dump
from harness.tasks.options import Mode, check_options
from harness.tasks.targets import found_target

if TYPE_CHECKING:
    from harness.debugger.attach import AttachRequest
    from harness.targets.target_file import RemoteSpec

# 0 means any port, so another number means that --port is not given.
_NO_PORT = -1
ATTACH_HELP = {
    "run": "run of the guest, its end suffices (default: the only one)",
    "debugger": "lldb, gdb or auto (the newest; gdb where both are)",
    "break": "function to stop in (may be repeated); a module that has it may be loaded later",
    "command": "command to run in the debugger, which then leaves (may be repeated)",
    "vmlinux": "symbols of the kernel, instead of those that kernel-symbols fetched",
    "source": "folder with the kernel's source",
    "break-at-boot": "start a guest stopped at its first instruction; it ends with the debugger",
    "target": "target to start for --break-at-boot, or one that you boot yourself",
    "kernel": "kernel to start, or what the guest runs when that is not its target's own",
    "vscode": "write .vscode/launch.json (lldb-dap, cppdbg) and wait until Ctrl-C",
    "dap": "serve a debug adapter (lldb-dap) on standard input and output, for an editor",
    "port": "serve it on this loopback port instead, until Ctrl-C (0: any, which is printed)",
    "drgn": "open drgn on the running guest, which is not stopped; --command is Python or %cpus",
    "core": "run with a memory dump, which is opened with drgn; --command is Python or %cpus",
    "crash": "which crash of that run (default: the first)",
    "via": "gdbstub, or kdp: then --run is HOST[:PORT] of an XNU kernel that waits",
    "symbols": "the XNU kernel's Mach-O, for --via kdp",
}


class Way(enum.Enum):
    """The ways to debug a kernel, of which the options of debug-attach choose one."""

    TERMINAL = "a debugger on this terminal"
    BOOT = "--break-at-boot"
    EDITOR = "--vscode"
    ADAPTER = "--dap"
    DRGN = "--drgn"
    CORE = "--core"
    KDP = "--via kdp"
    TARGET = "a --target that you boot"


_ONE_GUEST = "--run names a guest that runs; --target is for --break-at-boot"
_NO_PORT_HERE = "--port is where --dap listens"
_NO_DUMP = "--crash names a crash of the run of --core"
_NO_MACHO = "the kernel is Linux: --vmlinux has its symbols; --symbols is for --via kdp"
_BY_KDK = "the kernel of the KDK that the target's file names has the symbols"
MODES: Mapping[Way, Mode] = {
    Way.TERMINAL: Mode(
        when="to a debugger on this terminal",
        takes="run debugger break command vmlinux source kernel via",
        refuses={
            _NO_DUMP: "crash",
            _ONE_GUEST: "target",
            _NO_PORT_HERE: "port",
            _NO_MACHO: "symbols",
        },
    ),
    Way.BOOT: Mode(
        when="with --break-at-boot",
        takes="break-at-boot debugger break command vmlinux source target kernel via",
        refuses={
            _NO_DUMP: "crash",
            "the guest is started for the debugger": "run",
            _NO_PORT_HERE: "port",
            _NO_MACHO: "symbols",
        },
    ),
    Way.EDITOR: Mode(
        when="with --vscode",
        takes="vscode run debugger break command vmlinux source kernel via",
        refuses={
            _NO_DUMP: "crash",
            _ONE_GUEST: "target",
            _NO_PORT_HERE: "port",
            _NO_MACHO: "symbols",
        },
    ),
    Way.ADAPTER: Mode(
        when="with --dap",
        takes="dap port run debugger break command vmlinux source kernel via",
        refuses={_NO_DUMP: "crash", _ONE_GUEST: "target", _NO_MACHO: "symbols"},
    ),
    Way.DRGN: Mode(
        when="with --drgn",
        takes="drgn run command vmlinux kernel",
        refuses={
            _NO_DUMP: "crash",
            "drgn never stops a guest, so it has no breakpoints": "break",
            "drgn is no debugger, and no stub is opened": "debugger via",
            "drgn shows no source": "source",
            _ONE_GUEST: "target",
            _NO_PORT_HERE: "port",
            _NO_MACHO: "symbols",
        },
    ),
    Way.KDP: Mode(
        when="with --via kdp",
        takes="via run symbols break command",
        refuses={
            _NO_DUMP: "crash",
            "lldb alone is served by the bridge to KDP": "debugger",
            "--symbols has the symbols of an XNU kernel": "vmlinux source kernel",
            "--run names the kernel: HOST[:PORT]": "target",
            _NO_PORT_HERE: "port",
        },
    ),
    Way.TARGET: Mode(
        when="to a target that you boot",
        takes="target break command",
        refuses={
            _NO_DUMP: "crash",
            "--target names the kernel": "run",
            "the kernel of such a target is debugged by lldb over KDP": "debugger via",
            _BY_KDK: "vmlinux source kernel symbols",
            _NO_PORT_HERE: "port",
        },
    ),
    Way.CORE: Mode(
        when="with --core",
        takes="core crash command",
        refuses={
            "gdb and lldb cannot read a dump: it holds physical memory, and they do not know the "
            "kernel's page tables. Without --debugger, drgn opens it; vmcore-open --crash-tool "
            "opens it in crash(8), which has gdb's commands": "debugger",
            "nothing runs in a dump": "break via port target kernel",
            "--core names the run": "run",
            "the symbols are those of the run": "vmlinux source symbols",
        },
    ),
}
# The options that choose a way, in the order in which they are examined.
_CHOOSERS = {
    "break_at_boot": Way.BOOT,
    "vscode": Way.EDITOR,
    "dap": Way.ADAPTER,
    "drgn": Way.DRGN,
    "core": Way.CORE,
}


def chosen_way(given: Mapping[str, Any], *, remote: bool) -> Way:
    """Return the way to debug that the options choose; `remote` is for a target of the user.

    Raises: UsageError for two ways at once, for an option that does not apply, and for an unknown
        --via.
    """
    via = given.get("via", "gdbstub")
    if via not in {"gdbstub", "kdp"}:
        raise UsageError(f"--via {via}: gdbstub or kdp is expected")
    ways = [Way.TARGET] if remote else []
    ways += [way for option, way in _CHOOSERS.items() if option in given]
    ways += [Way.KDP] if via == "kdp" else []
    if len(ways) > 1:
        raise UsageError(
            f"{ways[0].value} and {ways[1].value} are two ways to debug: one of them is expected",
            hint="docs/debugging.md says what each is for",
        )
    way = ways[0] if ways else Way.TERMINAL
    check_options(MODES[way], given)
    return way


@task(
    iterable=["break_", "command"],
    options_help=ATTACH_HELP,
    word="run",
    aliases=["kernel-debug", "debug"],
)
def debug_attach(  # noqa: PLR0913, PLR0917
    context: TaskContext,
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
    core: str = "",
    crash: int = 1,
    via: str = "gdbstub",
    symbols: str | None = None,
) -> int:
    """Attach gdb or lldb to a running, stopped or crashed guest, on this terminal.

    Symbols are loaded, and updated when the kernel loads or unloads a module. Quitting leaves
    the guest as it was found.
    """
    remote = found_target(context, target)
    way = chosen_way(context.given, remote=remote is not None)
    if remote is not None:
        return _on_target(remote, break_, command)
    if way is Way.CORE:
        return open_dump(context, core, crash, commands=command or ())
    request = _request(context, locals())
    if way is Way.KDP:
        return _kdp(request, symbols)
    if way is Way.EDITOR:
        return _editor(request)
    if way is Way.ADAPTER:
        return _adapter(request, None if port == _NO_PORT else port)
    return _drgn(request) if way is Way.DRGN else _terminal(request)


def _request(context: TaskContext, options: dict[str, Any]) -> "AttachRequest":
    """Return the request for a debugger session, made from the options of debug-attach."""
    from harness.debugger.attach import AttachRequest

    def file(name: str) -> Path | None:
        return Path(options[name]).absolute() if options[name] else None

    return AttachRequest(
        settings=context.settings,
        environment=context.environment,
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
    target: "RemoteSpec", breakpoints: list[str] | None, commands: list[str] | None
) -> int:
    """Debug the kernel of a target that the user boots, and return the exit code."""
    from harness.debugger import on_target

    with tempfile.TemporaryDirectory(prefix="modlab-kdp-") as folder:
        request = on_target.DebugRequest(
            target=target,
            folder=Path(folder),
            breakpoints=tuple(breakpoints or ()),
            commands=tuple(commands or ()),
        )
        return on_target.attach(request, _say)


def _say(text: str) -> None:
    # With --dap, standard output carries the protocol of the debug adapter.
    print(text, file=sys.stderr, flush=True)


def _terminal(request: "AttachRequest") -> int:
    from harness.debugger import attach

    return attach.attach(request, _say)


def _adapter(request: "AttachRequest", port: int | None) -> int:
    from harness.debugger import dap_relay

    return dap_relay.serve(request, _say, port=port)


def _drgn(request: "AttachRequest") -> int:
    from harness.debugger import drgn_live

    return drgn_live.shell(request)


def _editor(request: "AttachRequest") -> int:
    from harness.debugger import attach

    with attach.for_editor(request, _say) as file:
        _say(f"{file} is written; the guest can be debugged until Ctrl-C here")
        try:
            signal.pause()
        except KeyboardInterrupt:
            _say("closed")
    return 0


def _kdp(asked: "AttachRequest", symbols: str | None) -> int:
    from harness.debugger import kdp_attach as kdp

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
