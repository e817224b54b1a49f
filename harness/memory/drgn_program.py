# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Open a guest's memory as a drgn Program, and load symbols of the kernel and modules into it.

Only the processes of `drgn_worker` and `drgn_shell` run this. drgn is native code that reads the
memory of a dying kernel, so it may crash its own process.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import drgn

from harness import hints
from harness.errors import UsageError
from harness.memory.physical import GuestMemory, Segment
from harness.symbols import elf

# The exceptions of drgn for memory with unexpected content.
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
    """Open the memory of a running guest, or of an ELF core, as a drgn Program without symbols.

    `qmp` is the path of the guest's QMP socket, `core` that of the ELF core. One of them is given.
    Raises: UsageError when the memory contains no Linux kernel or cannot be read.
    """
    try:
        prog = _of_guest(Path(qmp)) if qmp else _of_core(core)
    except ERRORS as error:
        raise UsageError(f"the guest's memory cannot be opened: {error}") from error
    if not prog.flags & drgn.ProgramFlags.IS_LINUX_KERNEL:
        raise UsageError(
            "the dump has no vmcoreinfo, so its kernel cannot be located",
            hint="load qemu_fw_cfg in the guest before its memory is dumped",
        )
    return prog


def _of_core(core: str) -> drgn.Program:
    prog = drgn.Program()
    prog.set_core_dump(core)
    return prog


def _of_guest(qmp: Path) -> drgn.Program:
    # The memory stays open as long as the program is used, which is until this process ends.
    memory = GuestMemory(qmp)
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    for segment in memory.segments:
        prog.add_memory_segment(
            segment.address, segment.size_bytes, _reader(memory, segment), physical=True
        )
    prog.set_linux_kernel_custom(memory.vmcoreinfo(), is_live=True)
    return prog


def _reader(memory: GuestMemory, segment: Segment) -> Callable[[int, int, int, bool], bytes]:
    """Return the callback with which drgn reads one segment of a running guest's memory.

    drgn passes an address, a count, the offset in the segment and whether the address is physical.
    """

    def read(*arguments: int) -> bytes:
        _, count, offset, _ = arguments
        return memory.read(segment, offset, count)

    return read


def build_id(prog: drgn.Program) -> str:
    """Return the build id of the kernel in memory, in hex, "" when it has none."""
    prog.create_loaded_modules()
    identity = prog.main_module().build_id
    return identity.hex() if identity else ""


def load_kernel(prog: drgn.Program, vmlinux: str) -> str:
    """Load a kernel's symbols into a Program; return "", or the reason why they cannot be used.

    `vmlinux` is the path of the file with the symbols, "" for none. A file whose build id differs
    from that of the kernel in memory is not used.
    Raises: UsageError when the file is no ELF file.
    """
    if not vmlinux:
        return f"no vmlinux: {hints.command('kernel-symbols')} fetches it"
    if not Path(vmlinux).is_file():
        return f"{vmlinux} is not there: {hints.command('kernel-symbols')} fetches it"
    runs, given = build_id(prog), elf.build_id(Path(vmlinux))
    if runs and runs != given:
        return (
            f"{vmlinux} is of build {given}, the guest runs {runs}: "
            f"{hints.command('kernel-symbols')} fetches the right one"
        )
    prog.load_debug_info([vmlinux], default=False)
    return ""


def load_modules(prog: drgn.Program, modules: Mapping[str, str]) -> list[str]:
    """Load the symbols of kernel modules; return a reason for each file that cannot be used.

    `modules` has the paths of the files by module name. A file cannot be used when it does not
    exist, or when the guest has loaded another build of the module. A module that the guest has
    not loaded is passed over.
    """
    files = {name: path for name, path in modules.items() if Path(path).is_file()}
    problems = [f"{path} does not exist" for name, path in modules.items() if name not in files]
    prog.load_debug_info(list(files.values()), default=False)
    for module in prog.modules():
        if module.name in files and module.wants_debug_file():
            runs = module.build_id.hex() if module.build_id else "unknown"
            given = elf.build_id(Path(files[module.name]))
            problems.append(f"{module.name}.ko has build id {given}, but the guest runs {runs}")
    return problems


def load_plugin(path: Path) -> ModuleType:
    """Run the Python file with which a project shows its module's state, and return its namespace.

    The file must define report(prog), which the caller then calls with drgn's Program.
    Raises: UsageError when the file defines no such function; any error of its own code.
    """
    plugin = ModuleType(path.stem)
    plugin.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), plugin.__dict__)  # noqa: S102
    if not callable(plugin.__dict__.get("report")):
        raise UsageError(f"{path} has no function report(prog)")
    return plugin
