# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of command_file: each debugger's commands are in the order that the debugger needs."""

from pathlib import Path

from harness.debugger.command_file import ScriptSpec, command_line, text
from harness.host.debuggers import Debugger

SPEC = ScriptSpec(
    socket=Path("/run/x/gdb"),
    root=Path("/src/my project"),
    vmlinux=Path("/cache/vm linux"),
    slide=0x1200000,
    facts=Path("/runs/1/facts.json"),
    source_maps={"./": "/usr/src/linux/"},
    breakpoints=("osq_init",),
    commands=("bt",),
    batch=True,
)


def test_the_whole_gdb_command_file_is_as_expected_and_reads_symbols_before_it_attaches() -> None:
    """A gdb file has symbols, connection, code, breakpoints, commands, detach in this order."""
    assert text(SPEC, Debugger.GDB).splitlines() == [
        "set architecture i386:x86-64",
        "set confirm off",
        "set breakpoint pending on",
        "set pagination off",
        "set substitute-path ./ /usr/src/linux/",
        "symbol-file -o 0x1200000 '/cache/vm linux'",
        "target remote /run/x/gdb",
        "python import sys; sys.path.insert(0, '/src/my project')",
        "python from harness.debugger.inside import gdb_main",
        "python gdb_main.install('/runs/1/facts.json')",
        "define hook-list",
        "python gdb_main.explain_missing_source()",
        "end",
        "break osq_init",
        "bt",
        "detach",
        "quit",
    ]


def test_gdbs_index_cache_is_enabled_for_the_kernels_symbols_only() -> None:
    """The cache is off for modules: a cached index does not fit symbols at other addresses."""
    spec = ScriptSpec(
        socket=Path("/s"), root=Path("/src"), vmlinux=Path("/v"), index=Path("/cache/index")
    )

    lines = text(spec, Debugger.GDB).splitlines()

    first = lines.index("set index-cache enabled on")
    assert lines[first + 1 : first + 4] == [
        "symbol-file -o 0x0 /v",
        "set index-cache enabled off",
        "target remote /s",
    ]


def test_the_whole_lldb_command_file_is_as_expected_and_applies_the_slide_after_it_connects() -> (
    None
):
    """The file of lldb places symbols after the connection, because connecting resets them."""
    assert text(SPEC, Debugger.LLDB).splitlines() == [
        "settings set interpreter.prompt-on-quit false",
        "target create '/cache/vm linux'",
        "settings append target.source-map ./ /usr/src/linux/",
        "settings set target.skip-prologue false",
        "process connect --plugin gdb-remote unix-connect:///run/x/gdb",
        "target modules load --file '/cache/vm linux' --slide 0x1200000",
        "script import sys; sys.path.insert(0, '/src/my project')",
        "command script import '/src/my project/harness/debugger/inside/lldb_main.py'",
        "script lldb_main.install(lldb.debugger, '/runs/1/facts.json')",
        "breakpoint set --name osq_init",
        "bt",
        "detach",
        "quit",
    ]


def test_without_kernel_symbols_the_command_file_has_module_section_addresses() -> None:
    """The debugger cannot find a module's sections without vmlinux, so the file gives them."""
    spec = ScriptSpec(
        socket=Path("/s"),
        root=Path("/src"),
        modules={Path("/m/osq.ko"): {".text": 0x1000, "__mcount_loc": 1, ".bss": 0x3000}},
    )

    assert "add-symbol-file /m/osq.ko -s .text 0x1000 -s .bss 0x3000" in text(spec, Debugger.GDB)
    lldb = text(spec, Debugger.LLDB)
    assert "target modules add /m/osq.ko" in lldb
    assert "target modules load --file /m/osq.ko .text 0x1000 .bss 0x3000" in lldb
    assert "install" not in lldb


def test_with_hardware_set_the_gdb_and_lldb_command_files_set_hardware_breakpoints() -> None:
    """Before boot, breakpoints must be hardware ones: loading the kernel overwrites others."""
    spec = ScriptSpec(
        socket=Path("/s"), root=Path("/src"), breakpoints=("start_kernel",), hardware=True
    )

    assert "hbreak start_kernel" in text(spec, Debugger.GDB)
    assert "breakpoint set --hardware --name start_kernel" in text(spec, Debugger.LLDB)
    assert "detach" not in text(spec, Debugger.GDB)


def test_in_batch_mode_a_debugger_does_not_read_the_users_init_files() -> None:
    """In batch mode the user's init files are not read, since they may print or load anything."""
    script = Path("/r/debug.gdb")

    assert command_line(Debugger.GDB, "gdb", script, batch=True) == [
        "gdb", "-q", "-nx", "-batch", "-x", "/r/debug.gdb",
    ]  # fmt: skip
    assert command_line(Debugger.LLDB, "lldb-19", script, batch=True) == [
        "lldb-19", "--no-lldbinit", "--batch", "--source", "/r/debug.gdb",
    ]  # fmt: skip


def test_a_debugger_on_a_terminal_reads_the_users_settings() -> None:
    """On a terminal the debugger reads .gdbinit or .lldbinit, and keeps the user's pagination."""
    script = Path("/r/debug.gdb")
    spec = ScriptSpec(socket=Path("/s"), root=Path("/src"))

    assert command_line(Debugger.GDB, "gdb", script, batch=False) == [
        "gdb", "-q", "-x", "/r/debug.gdb",
    ]  # fmt: skip
    assert command_line(Debugger.LLDB, "lldb-19", script, batch=False) == [
        "lldb-19", "--source", "/r/debug.gdb",
    ]  # fmt: skip
    assert "pagination" not in text(spec, Debugger.GDB)
