# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Command files for gdb and lldb, from values; pure.

What a person would type, in the order in which each debugger needs it. What has to follow the
kernel while it runs (modules that come and go) is done by harness.debugger within the debugger.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.host.debuggers import Debugger


@dataclass(frozen=True, kw_only=True)
class ScriptSpec:
    """What a debugger is to be told.

    `vmlinux` is what it reads symbols from (for lldb the reduced file), moved by `slide`; `facts`
    is the file for harness.debugger, None without symbols of the kernel. `modules` are files and
    section addresses of modules that are loaded now, where no code within the debugger finds
    them. `index` is where gdb keeps its own index of symbols: 1 s instead of 4 the next time.
    `hardware` breakpoints are for a kernel that is not in memory yet. `batch`: after `commands`
    the debugger leaves.
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


# Sections that hold code or data by name; the others are tables of the kernel's.
_PARTS = (".text", ".data", ".bss", ".rodata", ".init", ".exit")


def text(spec: ScriptSpec, debugger: Debugger) -> str:
    """Return the command file of a debugger."""
    lines = _gdb(spec) if debugger is Debugger.GDB else _lldb(spec)
    return "\n".join(lines) + "\n"


def _gdb(spec: ScriptSpec) -> Iterator[str]:
    yield "set architecture i386:x86-64"
    yield "set confirm off"
    yield "set breakpoint pending on"
    yield f"set pagination {'off' if spec.batch else 'on'}"
    for old, new in spec.source_maps.items():
        yield f"set substitute-path {_quoted(old)} {_quoted(new)}"
    if spec.index is not None:
        yield f"set index-cache directory {_quoted(str(spec.index))}"
        yield "set index-cache enabled on"
    if spec.vmlinux is not None:
        yield f"symbol-file -o {spec.slide:#x} {_quoted(str(spec.vmlinux))}"
    if spec.index is not None:
        # An index of a module, which is relocated, would leave it without lines the next time.
        yield "set index-cache enabled off"
    for file, sections in spec.modules.items():
        parts = " ".join(f"-s {name} {address:#x}" for name, address in _placed(sections))
        yield f"add-symbol-file {_quoted(str(file))} {parts}"
    yield f"target remote {spec.socket}"
    if spec.facts is not None:
        yield f"python import sys; sys.path.insert(0, {str(spec.root)!r})"
        yield "python from harness.debugger.inside import gdb_main"
        yield f"python gdb_main.install({str(spec.facts)!r})"
    for function in spec.breakpoints:
        yield f"{'hbreak' if spec.hardware else 'break'} {function}"
    yield from spec.commands
    if spec.batch:
        yield "detach"
        yield "quit"


def _lldb(spec: ScriptSpec) -> Iterator[str]:
    if spec.vmlinux is not None:
        yield f"target create {_quoted(str(spec.vmlinux))}"
    # Settings are those of the target that is selected, and lldb-dap has an empty one before.
    for old, new in spec.source_maps.items():
        yield f"settings append target.source-map {_quoted(old)} {_quoted(new)}"
    # gcc's code begins with work: where lldb takes a prologue to end, an inlined callee may be.
    yield "settings set target.skip-prologue false"
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
    """What lldb is told about an XNU kernel behind the KDP bridge."""

    socket: Path
    kernel: Path
    slide: int
    breakpoints: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def kdp_text(spec: KdpSpec) -> str:
    """Return lldb's command file for an XNU kernel; with commands lldb leaves after them."""
    file = _quoted(str(spec.kernel))
    lines = [
        f"target create {file}",
        f"process connect --plugin gdb-remote unix-connect://{spec.socket}",
        f"target modules load --file {file} --slide {spec.slide:#x}",
        *(f"breakpoint set --name {function}" for function in spec.breakpoints),
        *spec.commands,
        *(("detach", "quit") if spec.commands else ()),
    ]
    return "\n".join(lines) + "\n"


def command_line(debugger: Debugger, program: str, script: Path, *, batch: bool) -> list[str]:
    """Return how a debugger is started with a command file, without the user's own settings."""
    if debugger is Debugger.GDB:
        return [program, "-q", "-nx", *(["-batch"] if batch else []), "-x", str(script)]
    return [program, "--no-lldbinit", *(["--batch"] if batch else []), "--source", str(script)]


def _placed(sections: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    return ((name, at) for name, at in sections.items() if name.startswith(_PARTS))


def _quoted(text_: str) -> str:
    """Return a word for a debugger's command line; both read the shell's quotes."""
    return shlex.quote(text_)
