# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A drgn Program of a guest, with exactly the symbols that were given, or the reason why not.

Runs in the processes of `drgn_view` and `drgn_shell` only: drgn is native code and reads what a
dying kernel left behind, so it may take its process with it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import drgn

from harness.errors import UsageError
from harness.memory.physical import GuestMemory, Segment
from harness.symbols import elf

# What drgn raises over memory that is not what it should be.
ERRORS = (
    drgn.FaultError,
    drgn.ObjectAbsentError,
    drgn.OutOfBoundsError,
    drgn.MissingDebugInfoError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OSError,
)


def program(*, qmp: str = "", core: str = "") -> drgn.Program:
    """Return the program of the guest behind a QMP socket, or of a core; no symbols yet.

    Raises: UsageError when it is no Linux kernel, or cannot be read.
    """
    try:
        prog = _of_guest(Path(qmp)) if qmp else _of_core(core)
    except ERRORS as error:
        raise UsageError(f"the guest's memory cannot be opened: {error}") from error
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise UsageError(
            "the dump does not say where its kernel is",
            hint="qemu_fw_cfg has to be loaded in the guest before it is dumped",
        )
    return prog


def _of_core(core: str) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(core)
    return prog


def _of_guest(qmp: Path) -> drgn.Program:
    # Open for as long as the program is, that is for the life of this process.
    memory = GuestMemory(qmp)
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    for segment in memory.segments:
        prog.add_memory_segment(
            segment.address, segment.size_bytes, _reader(memory, segment), physical=True
        )
    prog.set_linux_kernel_custom(memory.vmcoreinfo(), is_live=True)
    return prog


def _reader(memory: GuestMemory, segment: Segment) -> Callable[[int, int, int, bool], bytes]:
    """Return what drgn calls with address, count, offset in the segment, and 'is physical'."""

    def read(*arguments: int) -> bytes:
        _, count, offset, _ = arguments
        return memory.read(segment, offset, count)

    return read


def build_id(prog: drgn.Program) -> str:
    """Return the build id of the kernel in memory, in hex; "" when it does not say."""
    prog.create_loaded_modules()
    identity = prog.main_module().build_id
    return identity.hex() if identity else ""


def load_kernel(prog: drgn.Program, vmlinux: str) -> str:
    """Load a kernel's symbols; return what is wrong with them, "" when they are in use."""
    if not vmlinux:
        return "no vmlinux: invoke kernel-symbols fetches it"
    if not Path(vmlinux).is_file():
        return f"{vmlinux} is not there: invoke kernel-symbols fetches it"
    runs, given = build_id(prog), elf.build_id(Path(vmlinux))
    if runs and runs != given:
        return f"{vmlinux} is of build {given}, the guest runs {runs}: invoke kernel-symbols"
    prog.load_debug_info([vmlinux], default=False)
    return ""


def load_modules(prog: drgn.Program, modules: Mapping[str, str]) -> list[str]:
    """Load the symbols of modules; return what is wrong with those that are not in use."""
    files = {name: path for name, path in modules.items() if Path(path).is_file()}
    problems = [f"{path} is not there" for name, path in modules.items() if name not in files]
    prog.load_debug_info(list(files.values()), default=False)
    for module in prog.modules():
        if module.name in files and module.wants_debug_file():
            runs = module.build_id.hex() if module.build_id else "unknown"
            given = elf.build_id(Path(files[module.name]))
            problems.append(f"{module.name}.ko is of build {given}, the guest runs {runs}")
    return problems


def load_plugin(path: Path) -> ModuleType:
    """Return a module's own view as a Python module; it has a function report(prog).

    Raises: UsageError when the file is not one.
    """
    plugin = ModuleType(path.stem)
    plugin.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), plugin.__dict__)  # noqa: S102
    if not callable(plugin.__dict__.get("report")):
        raise UsageError(f"{path} has no function report(prog)")
    return plugin
