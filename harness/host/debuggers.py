# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Find the debuggers that are installed on this host, and say which package is missing."""

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from harness import hints
from harness.errors import UsageError
from harness.host import tool


class Debugger(Enum):
    """The kinds of debuggers that the harness can start: gdb and lldb."""

    GDB = "gdb"
    LLDB = "lldb"


_PROGRAM = re.compile(r"^(gdb|lldb)(?:-(\d+))?$")
_VERSION = re.compile(r"(\d+)\.\d+")
_VERSION_S = 20.0
_PACKAGES = {Debugger.GDB: "gdb", Debugger.LLDB: "lldb-19 python3-lldb-19"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """An installed debugger: its kind, path and major version, which is 0 if it is not known."""

    debugger: Debugger
    path: Path
    major: int


def list_installed(search: Sequence[Path]) -> list[Program]:
    """Return every debugger in the given folders once, the highest version first."""
    programs: dict[tuple[Debugger, Path], Program] = {}
    for folder in search:
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            match = _PROGRAM.match(file.name)
            if match and os.access(file, os.X_OK):
                debugger = Debugger(match.group(1))
                major = int(match.group(2)) if match.group(2) else _major(file)
                # Several names may be links to one program.
                programs.setdefault(
                    (debugger, file.resolve()), Program(debugger=debugger, path=file, major=major)
                )
    return sorted(programs.values(), key=lambda one: -one.major)


def choose(wanted: str, *, search: Sequence[Path] | None = None) -> Program:
    """Return the newest debugger of a kind; `auto` prefers gdb, which reads gcc's kernels best.

    Without `search`, the folders on PATH that have one, /usr/bin and /usr/local/bin are searched.
    Raises: UsageError for an unknown kind; when no debugger of the kind is installed, the error
        names the package to install.
    """
    kinds = {"auto": (Debugger.GDB, Debugger.LLDB)} | {one.value: (one,) for one in Debugger}
    if wanted not in kinds:
        raise UsageError(f"--debugger {wanted}: lldb, gdb or auto is expected")
    programs = list_installed(search if search is not None else _path())
    for kind in kinds[wanted]:
        for program in programs:
            if program.debugger is kind:
                return program
    names = " or ".join(_PACKAGES[kind] for kind in kinds[wanted])
    raise UsageError(
        f"no {' or '.join(kind.value for kind in kinds[wanted])} is installed",
        hint=f"run {hints.command('setup', 'debug-attach')}, which installs it, "
        f"or apt-get install {names}",
    )


def adapter(program: Program) -> Path:
    """Return the debug adapter (lldb-dap) that belongs to an lldb.

    Raises: UsageError with the package to install when no adapter lies beside the lldb.
    """
    names = [f"lldb-dap-{program.major}", "lldb-dap"]
    for folder in (program.path.parent, program.path.resolve().parent):
        for name in names:
            if os.access(folder / name, os.X_OK):
                return folder / name
    raise UsageError(
        f"{program.path} has no {names[0]} beside it",
        hint=f"apt-get install {_PACKAGES[Debugger.LLDB]}",
    )


def _path() -> list[Path]:
    places = ("gdb", "lldb", "lldb-19")
    on_path = [Path(where).parent for name in places if (where := shutil.which(name))]
    return [*on_path, Path("/usr/bin"), Path("/usr/local/bin")]


def _major(file: Path) -> int:
    try:
        done = tool.run([file, "--version"], deadline_s=_VERSION_S, error=UsageError, check=False)
    except (OSError, UsageError):
        return 0
    match = _VERSION.search(done.text)
    return int(match.group(1)) if match else 0
