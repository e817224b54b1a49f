# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The harness imports in one direction, and each outside thing has one owner."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMMANDS = (
    "workflow",
    "targets",
    "standing",
    "proving",
    "reruns",
    "crashes",
    "memory",
    "explain",
    "debugging",
    "timetravel",
    "packaging",
    "kexts",
)

# A module imports from rows above its own, never from below or from itself.
ROWS: tuple[tuple[str, ...], ...] = (
    (
        "errors",
        "panic.values",
        "memory_values",
        "source_paths",
        "products",
        "requirement",
        "module_state",
        "environment",
    ),
    ("rsp", "dap", "monitor", "kdp.packets", "kdp.registers", "kext.macho", "kext.findings"),
    ("macos.boot_args", "macos.system", "macos.bundle"),
    ("macos.rules", "macos.opencore", "macos.kext_list", "macos.kext_words", "linux_rules"),
    ("kext.fixups", "kext.kpi"),
    ("kext.bundle", "kext.binary_rules"),
    ("kext.check",),
    ("kdp.codec", "kdp.target_xml", "debugger.elf", "debugger.btf", "debugger.facts"),
    ("debugger.view", "debuggers"),
    ("debug_script",),
    ("debug_editor",),
    ("debugger.linux",),
    ("debugger.commands",),
    ("debugger.gdb_main", "debugger.lldb_main"),
    ("crash_values", "panic.lines", "panic.headers"),
    ("model", "panic.markers", "panic.frames", "panic.facts", "panic.consequence"),
    ("panic.guilty", "panic.trim"),
    ("panic.hangs",),
    ("panic.explain", "panic.signature", "panic.standstill", "blame", "expectations"),
    ("panic.scan", "panic.darwin", "ktap", "kernel_log", "verdict", "domain_xml"),
    ("macos.domain_xml", "macos.panic_store"),
    (
        "accelerator",
        "config",
        "cache",
        "lives",
        "handoff",
        "libvirtd",
        "keeper",
        "console",
        "guest",
        "live",
        "footprint",
        "foreground",
        "recording",
        "host_program",
        "release_version",
        "release_source",
        "release_gate",
        "release_folder",
        "signing",
    ),
    (
        "kdp.client",
        "kdp.stub",
        "rsp_link",
        "kext.build",
        "shell",
        "this_host",
        "opencore_disk",
        "watched",
        "kext_archive",
        "step_process",
    ),
    ("kext.emulator.arch",),
    (
        "kext.kexts",
        "kext_release",
        "kext.emulator.cpu",
        "kext.emulator.registry",
        "kext.emulator.stopped",
    ),
    ("kext.emulator.state", "kext.emulator.threads"),
    ("kext.emulator.core",),
    (
        "kext.emulator.kpi_kernel",
        "kext.emulator.kpi_io",
        "kext.emulator.kpi_bsd",
        "kext.emulator.kpi_sockets",
    ),
    ("kext.emulator.kernel",),
    ("kext.emulator.device", "kext.emulator.network", "kext.emulator.debug"),
    ("kdp.bridge", "remote", "setup_linux", "setup_macos"),
    ("elf_symbols", "line_finder", "vmcore", "guest_memory", "qemu_process", "emulator"),
    ("drgn_open", "symbols", "replay_script", "memory_text", "macos.symbols"),
    ("drgn_stacks",),
    ("drgn_locks",),
    ("drgn_view", "drgn_shell"),
    ("memory_view",),
    ("apt", "initrd", "hypervisor", "watch", "tree_checks", "crash_report"),
    ("platform_linux", "platform_macos", "power", "remote_crash", "console_stream"),
    ("platforms", "apt_suite"),
    ("image", "kernels", "build", "domain", "request", "report", "kcidb", "debug_lock"),
    ("debian_build",),
    ("packages",),
    (
        "snapshot",
        "leftovers",
        "doctor",
        "checkpatch",
        "liveness",
        "provenance",
        "history",
        "panic_explain",
        "kernel_symbols",
        "gdbstub",
        "guest_kernel",
    ),
    ("c_checks", "vmcore_open", "guard", "requested"),
    ("session", "checks", "boot_stopped"),
    ("scene", "suites", "guests", "nightly", "interrogate", "debug_attach", "remote_workflow"),
    ("evidence", "record_guest", "run_record"),
    ("record_run", "crash"),
    ("standing", "timetravel", "record_test"),
    ("crash_debug",),
    ("survival",),
    ("kernel_test", "kdp.attach", "debug_live", "debug_adapter", "remote_test"),
    ("control", "bisect", "replay", "remote_debug", "verify_mac"),
    ("pytest_plugin", "tasks.common"),
    ("tasks.targets",),
    tuple(f"tasks.{name}" for name in COMMANDS if name != "targets"),
    ("tasks",),
)
# The faces: they alone import invoke, and they alone print.
FACES = {"tasks", *(f"tasks.{name}" for name in ("common", *COMMANDS))}
OWNERS = {
    "libvirt": {"hypervisor", "domain", "console_stream"},
    "libvirt_qemu": {"domain"},
    "paramiko": {"guest"},
    "rich": {"live"},
    "drgn": {"drgn_open", "drgn_stacks", "drgn_locks", "drgn_view", "drgn_shell"},
    "gdb": {"debugger.gdb_main"},
    "lldb": {"debugger.lldb_main"},
    "qemu": {"monitor"},
    "unicorn": {"kext.emulator.arch", "kext.emulator.cpu", "kext.emulator.stopped"},
    "invoke": FACES,
    "pytest": {"pytest_plugin"},
}
ENVIRONMENT = {"config"}
PRINTERS = FACES


def modules(root: Path) -> dict[str, ast.Module]:
    """Return the syntax tree of every module of the harness, by its name."""
    found = {"tasks": root / "tasks.py"} if (root / "tasks.py").exists() else {}
    for path in sorted((root / "harness").rglob("*.py")):
        name = ".".join(path.relative_to(root / "harness").with_suffix("").parts)
        if not name.endswith("__init__"):
            found[name] = path
    return {name: ast.parse(path.read_text()) for name, path in found.items()}


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield every module that a tree imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def objections(root: Path) -> list[str]:
    """Return every breach of the rules, one line each."""
    row_of = {name: row for row, names in enumerate(ROWS) for name in names}
    trees = modules(root)
    found = [f"{name} is in no row" for name in trees if name not in row_of]
    for name, tree in trees.items():
        for target in imported(tree):
            inner = target.removeprefix("harness.")
            if inner in row_of and inner != target and row_of[inner] >= row_of.get(name, 99):
                found.append(f"{name} imports {inner} from its own row or below")
            outer = target.partition(".")[0]
            if outer in OWNERS and name not in OWNERS[outer]:
                found.append(f"{name} imports {outer}, which others own")
        found.extend(_habits(name, tree))
    return sorted(set(found))


def _habits(name: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Call) else ""
        if text in {"os.environ", "os.getenv"} and name not in ENVIRONMENT:
            yield f"{name} reads the environment"
        if text.startswith("print(") and name not in PRINTERS:
            yield f"{name} prints"
        if isinstance(node, ast.ExceptHandler) and not _passes_on(node):
            caught = ast.unparse(node.type) if node.type else "everything"
            if caught in {"everything", "Exception", "BaseException"}:
                yield f"{name} catches {caught}"


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler only cleans up and raises what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_the_harness_keeps_the_rules() -> None:
    """No module imports against the direction, touches what others own, or prints."""
    assert objections(ROOT) == []


@pytest.mark.parametrize(
    ("file", "text", "objection"),
    [
        ("errors.py", "from harness import model", "errors imports model"),
        ("model.py", "def f():\n    from harness.session import Session", "model imports session"),
        ("domain.py", "import harness.image", "domain imports image"),
        ("console.py", "import libvirt", "console imports libvirt"),
        ("session.py", "from paramiko.client import SSHClient", "session imports paramiko"),
        ("cache.py", "import os\nx = os.environ", "cache reads the environment"),
        ("cache.py", "import os\nx = os.getenv('A')", "cache reads the environment"),
        ("report.py", "print('hello')", "report prints"),
        ("report.py", "try:\n    f()\nexcept Exception:\n    pass", "report catches Exception"),
        ("stranger.py", "", "stranger is in no row"),
    ],
)
def test_each_breach_is_seen(tmp_path: Path, file: str, text: str, objection: str) -> None:
    """The checker objects to a tree with one breach, and names it."""
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / file).write_text(text)

    (found,) = objections(tmp_path)

    assert found.startswith(objection)
