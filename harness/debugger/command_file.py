# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Return the text of command files for gdb and lldb; nothing is read or written here.

A file contains the commands that a person would type, in the order that each debugger needs. Code
in harness.debugger.inside, which runs within the debugger, adds and removes symbols when modules
are loaded and unloaded.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.host.debuggers import Debugger


@dataclass(frozen=True, kw_only=True)
class ScriptSpec:
    """The contents of a debugger's command file.

    The debugger reads symbols from `vmlinux` (for lldb the reduced file), moved by `slide`.
    `facts` is the file for harness.debugger.inside, None without kernel symbols. `modules` gives
    files and section addresses of modules that are loaded now, for the case that no code within
    the debugger finds them. `index` is where gdb stores its own index of symbols, which saves 3 of
    4 s at the next start. `hardware` breakpoints are needed for a kernel that is not in memory
    yet. With `batch` the debugger exits after `commands`.
    """

    socket: Path
    root: Path
    vmlinux: Path | None = None
    slide: int = 0
    facts: Path | None = None
    modules: Mapping[Path, Mapping[str, int]] = field(default_factory=dict)
    source_maps: Mapping[str, str] = field(default_factory=dict)
    breakpoints: tuple[str, ...] = ()
    hardware: bool = False
    commands: tuple[str, ...] = ()
    index: Path | None = None
    batch: bool = False


# Sections with code or data, by name; all other sections are tables of the kernel.
_PARTS = (".text", ".data", ".bss", ".rodata", ".init", ".exit")


def text(spec: ScriptSpec, debugger: Debugger) -> str:
    """Return the text of a command file for gdb or lldb."""
    lines = _gdb(spec) if debugger is Debugger.GDB else _lldb(spec)
    return "\n".join(lines) + "\n"


def _gdb(spec: ScriptSpec) -> Iterator[str]:
    yield "set architecture i386:x86-64"
    # add-symbol-file would ask for a confirmation.
    yield "set confirm off"
    # The function may belong to a module that is not loaded yet; gdb would ask.
    yield "set breakpoint pending on"
    if spec.batch:
        yield "set pagination off"
    for old, new in spec.source_maps.items():
        yield f"set substitute-path {_quoted(old)} {_quoted(new)}"
    if spec.index is not None:
        yield f"set index-cache directory {_quoted(str(spec.index))}"
        yield "set index-cache enabled on"
    if spec.vmlinux is not None:
        yield f"symbol-file -o {spec.slide:#x} {_quoted(str(spec.vmlinux))}"
    if spec.index is not None:
        # A module is relocated: with an index of one in the cache, gdb would show no lines of the
        # module at the next start.
        yield "set index-cache enabled off"
    for file, sections in spec.modules.items():
        parts = " ".join(f"-s {name} {address:#x}" for name, address in _placed(sections))
        yield f"add-symbol-file {_quoted(str(file))} {parts}"
    yield f"target remote {spec.socket}"
    if spec.facts is not None:
        yield f"python import sys; sys.path.insert(0, {str(spec.root)!r})"
        yield "python from harness.debugger.inside import gdb_main"
        yield f"python gdb_main.install({str(spec.facts)!r})"
        # gdb runs this before each `list`.
        yield "define hook-list"
        yield "python gdb_main.explain_missing_source()"
        yield "end"
    for function in spec.breakpoints:
        yield f"{'hbreak' if spec.hardware else 'break'} {function}"
    yield from spec.commands
    if spec.batch:
        yield "detach"
        yield "quit"


def _lldb(spec: ScriptSpec) -> Iterator[str]:
    # lldb's question says that quitting kills the process; the guard lets the guest continue.
    yield "settings set interpreter.prompt-on-quit false"
    if spec.vmlinux is not None:
        yield f"target create {_quoted(str(spec.vmlinux))}"
    # lldb applies settings to the selected target, and lldb-dap starts with an empty one.
    for old, new in spec.source_maps.items():
        yield f"settings append target.source-map {_quoted(old)} {_quoted(new)}"
    # gcc puts a function's own work among its first instructions: where lldb assumes the
    # prologue's end, an inlined callee may already have run.
    yield "settings set target.skip-prologue false"
    # lldb's own command gdb-remote takes only HOST:PORT.
    yield f"process connect --plugin gdb-remote unix-connect://{spec.socket}"
    if spec.vmlinux is not None:
        file = _quoted(str(spec.vmlinux))
        yield f"target modules load --file {file} --slide {spec.slide:#x}"
    for path, sections in spec.modules.items():
        parts = " ".join(f"{name} {address:#x}" for name, address in _placed(sections))
        yield f"target modules add {_quoted(str(path))}"
        yield f"target modules load --file {_quoted(str(path))} {parts}"
    if spec.facts is not None:
        yield f"script import sys; sys.path.insert(0, {str(spec.root)!r})"
        # lldb finds functions and classes by name only in modules that it has imported itself.
        main = spec.root / "harness" / "debugger" / "inside" / "lldb_main.py"
        yield f"command script import {_quoted(str(main))}"
        yield f"script lldb_main.install(lldb.debugger, {str(spec.facts)!r})"
    for function in spec.breakpoints:
        hardware = " --hardware" if spec.hardware else ""
        yield f"breakpoint set{hardware} --name {function}"
    yield from spec.commands
    if spec.batch:
        yield "detach"
        yield "quit"


@dataclass(frozen=True, kw_only=True)
class KdpSpec:
    """The contents of lldb's command file for an XNU kernel.

    `connection` is the command by which lldb connects to it. The kernel's symbols are moved by
    `slide`; None is for a connection over which lldb finds the kernel's address itself.
    """

    kernel: Path
    connection: str
    slide: int | None
    breakpoints: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def bridge_connection(socket: Path) -> str:
    """Return lldb's command that connects to the harness's KDP bridge at a UNIX socket."""
    return f"process connect --plugin gdb-remote unix-connect://{socket}"


def own_connection(host: str, port: int) -> str:
    """Return lldb's command that connects to a kernel over KDP, which only lldb on a Mac has."""
    return f"kdp-remote {host}:{port}"


def kdp_text(spec: KdpSpec) -> str:
    """Return lldb's command file for an XNU kernel; if it has commands, lldb exits after them."""
    file = _quoted(str(spec.kernel))
    moved = spec.slide is not None
    lines = [
        f"target create {file}",
        spec.connection,
        *([f"target modules load --file {file} --slide {spec.slide:#x}"] if moved else []),
        *(f"breakpoint set --name {function}" for function in spec.breakpoints),
        *spec.commands,
        *(("detach", "quit") if spec.commands else ()),
    ]
    return "\n".join(lines) + "\n"


def command_line(debugger: Debugger, program: str, script: Path, *, batch: bool) -> list[str]:
    """Return the command line of a debugger with a command file.

    On a terminal the debugger first reads the user's own settings (.gdbinit, .lldbinit). In batch
    mode it does not, so that the output is the same for every user.
    """
    if debugger is Debugger.GDB:
        return [program, "-q", *(["-nx", "-batch"] if batch else []), "-x", str(script)]
    return [program, *(["--no-lldbinit", "--batch"] if batch else []), "--source", str(script)]


def reading_command(debugger: Debugger, script: Path) -> str:
    """Return the command by which a running debugger reads a command file."""
    if debugger is Debugger.LLDB:
        return f"command source -s 0 {_quoted(str(script))}"
    # gdb takes the rest of the line for the file's name.
    return f"source {script}"


def _placed(sections: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    return ((name, at) for name, at in sections.items() if name.startswith(_PARTS))


def _quoted(text_: str) -> str:
    """Return a word quoted for a debugger's command line; both debuggers use shell quotes."""
    return shlex.quote(text_)
