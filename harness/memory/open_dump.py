# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Open the memory dump of a crash: unpack it, run drgn or crash(8) on the copy, delete the copy.

The loaded modules are in the run's folder, the kernel's name in the run's provenance, and the
kernel's vmlinux in the cache.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness import hints
from harness.artefacts import kernel_symbols
from harness.errors import UsageError
from harness.host import foreground, programs
from harness.memory import vmcore
from harness.model.crash import CRASHES
from harness.model.provenance import Provenance


@dataclass(frozen=True, kw_only=True)
class Explained:
    """An unpacked memory dump, the kernel's vmlinux, and the loaded modules' files by name."""

    core: Path
    vmlinux: Path
    modules: dict[str, Path]


@contextmanager
def unpack_dump(
    run: Path, crash: int, *, provenance: Provenance, cache: Path
) -> Iterator[Explained]:
    """Unpack the memory dump of one crash for the duration of the block.

    `run` is the folder of the run, `crash` the number of the crash in it, and `cache` the folder
    in which the kernel's vmlinux is looked for.
    Raises: UsageError with the reason when the crash, dump or vmlinux does not exist, or the run
        does not name its kernel; Lost when the disk is full or the dump is damaged.
    """
    folder = _crash_folder(run, crash)
    file = folder / vmcore.NAME
    if not file.is_file():
        reason = vmcore.why_missing(folder) or "the run did not record why"
        raise UsageError(f"crash {crash} of {run.name} has no dump: {reason}")
    vmlinux = _vmlinux(run, provenance, cache)
    modules = {path.stem: path for path in sorted((run / "modules").glob("*.ko"))}
    _sweep(folder)
    place = folder / f".vmcore.{os.getpid()}.tmp"
    place.mkdir()
    try:
        core = vmcore.restore(file, place / "vmcore")
        yield Explained(core=core, vmlinux=vmlinux, modules=modules)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def drgn_shell(dump: Explained, *, plugin: Path | None, commands: Sequence[str]) -> int:
    """Open drgn's shell on a dump, or run commands in it; return its exit code."""
    # The dataclass of drgn_shell is not used, because importing it would load drgn into this
    # process.
    request = {
        "core": str(dump.core),
        "vmlinux": str(dump.vmlinux),
        "modules": {name: str(path) for name, path in dump.modules.items()},
        "plugin": str(plugin or ""),
        "commands": list(commands),
    }
    return foreground.run([sys.executable, "-m", "harness.memory.drgn_shell", json.dumps(request)])


def crash_tool(dump: Explained, *, command: str) -> int:
    """Open crash(8) on a dump, or run one command in it; return the exit code of crash(8).

    An empty `command` opens it for the user.
    Raises: UsageError when crash(8) is not installed.
    """
    program = programs.find("crash", error=UsageError)
    script = dump.core.with_name("crash.commands")
    steps = [f"mod -s {name} {path}" for name, path in dump.modules.items()]
    steps += [command, "quit"] if command else []
    script.write_text("".join(f"{step}\n" for step in steps))
    return foreground.run([program, "-s", "-i", str(script), str(dump.vmlinux), str(dump.core)])


def _crash_folder(run: Path, crash: int) -> Path:
    crashes = sorted(
        (path for path in (run / CRASHES).glob("*") if path.name.isdigit()),
        key=lambda path: int(path.name),
    )
    folder = run / CRASHES / str(crash)
    if folder not in crashes:
        known = [path.name for path in crashes]
        raise UsageError(
            f"{run.name} has no crash {crash}",
            hint=f"its crashes: {', '.join(known) or 'none'}",
        )
    return folder


def _vmlinux(run: Path, provenance: Provenance, cache: Path) -> Path:
    """Return the cached vmlinux of the kernel on which a run was made.

    Raises: UsageError when the run names no kernel, or the cache has no vmlinux of it.
    """
    release, version = provenance.kernel_release, provenance.kernel_version
    if not release:
        raise UsageError(f"{run.name} does not name its kernel")
    symbols = kernel_symbols.find_release(release, version, cache)
    if symbols is None:
        raise UsageError(
            f"there is no vmlinux of {release} ({version})",
            hint=f"{hints.command('kernel-symbols')} fetches it, "
            "with the --target or --kernel of the run",
        )
    return symbols.vmlinux


def _sweep(folder: Path) -> None:
    """Remove unpacked dumps that processes left in a crash's folder when they ended."""
    for stale in folder.glob(".vmcore.*.tmp"):
        if not psutil.pid_exists(int(stale.name.split(".")[-2])):
            shutil.rmtree(stale, ignore_errors=True)
