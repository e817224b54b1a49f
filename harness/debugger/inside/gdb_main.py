# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The code for gdb alone: reading memory, symbols of modules as they come and go, an unwinder.

gdb's command file (harness.debugger.command_file) imports this module within gdb.
"""

import traceback
from collections.abc import Callable
from pathlib import Path

import gdb
from gdb.unwinder import Unwinder

from harness.debugger.inside import commands, facts, linux
from harness.debugger.inside.btf import Member
from harness.debugger.inside.facts import Facts
from harness.debugger.inside.view import View

# The kernel calls the first function with the finished module before the module's init, and the
# second before it frees the module's memory.
_LOADING, _UNLOADING = "do_init_module", "free_module"


class _Session:
    """Adds symbols to gdb when the kernel loads a module, and removes them when it unloads one."""

    def __init__(self, found: Facts) -> None:
        self.facts = found
        self.view = View(_memory, found.vmlinux, found.slide, member_of=_member, global_of=_global)
        self._loaded: dict[str, int] = {}

    def add(self, module: linux.Module) -> None:
        """Read a module's symbols at its addresses.

        A module without a known file or without a section .text is ignored.
        """
        file = self.facts.modules.get(module.name)
        text = module.sections.get(".text")
        if file is None or text is None:
            return
        # After a reload the module is at other addresses.
        self.remove(module.name)
        parts = [f"-s {name} {address:#x}" for name, address in linux.placed(module).items()]
        gdb.execute(f"add-symbol-file {file} {' '.join(parts)}", to_string=True)
        self._loaded[module.name] = text

    def remove(self, name: str) -> None:
        """Remove a module's symbols from gdb; do nothing if it has none."""
        text = self._loaded.pop(name, None)
        if text is not None:
            gdb.execute(f"remove-symbol-file -a {text:#x}", to_string=True)

    def add_all(self) -> None:
        """Read the symbols of every module that is loaded now."""
        for module in linux.modules(self.view):
            self.add(module)


class _Hook(gdb.Breakpoint):  # type: ignore[misc]
    """A gdb breakpoint in a kernel function that calls a Python function; the kernel continues."""

    def __init__(self, address: int, call: Callable[[int], None], kind: int) -> None:
        super().__init__(f"*{address:#x}", kind, internal=True)
        self.silent = True
        self._call = call

    def stop(self) -> bool:
        """Call the Python function with the kernel function's first argument; return False.

        False tells gdb to let the kernel continue.
        """
        try:
            # To gdb the register is a signed number, and kernel addresses would be negative.
            self._call(int(gdb.parse_and_eval("(unsigned long)$rdi")))
        except (gdb.error, OSError, KeyError):
            traceback.print_exc()
        return False


class _Command(gdb.Command):  # type: ignore[misc]
    """A gdb command that runs one of the harness's commands."""

    def __init__(self, command: commands.Command, session: _Session) -> None:
        self.__doc__ = command.help
        super().__init__(command.name, gdb.COMMAND_USER)
        self._command = command
        self._session = session

    def invoke(self, argument: str, _from_tty: bool) -> None:  # noqa: FBT001
        """Run the harness's command with the words of `argument`, and print its lines in gdb.

        Without words, lx-fault gets the selected frame's stack pointer.
        Raises: gdb.GdbError with the reason when the command fails.
        """
        words = gdb.string_to_argv(argument)
        if self._command.name == "lx-fault" and not words:
            words = [str(int(gdb.parse_and_eval("(unsigned long)$rsp")))]
        try:
            for line in self._command.run(self._session.view, words):
                gdb.write(line + "\n")
        except commands.CommandError as error:
            raise gdb.GdbError(str(error)) from error
        except (KeyError, OSError) as error:
            raise gdb.GdbError(f"{self._command.name}: {error}") from error


class _FrameId:
    """The stack pointer and code address by which gdb distinguishes frames."""

    def __init__(self, sp: gdb.Value, pc: gdb.Value) -> None:
        self.sp = sp
        self.pc = pc


class _ExceptionUnwinder(Unwinder):  # type: ignore[misc]
    """Unwinds through the entry code of exceptions, which has no call frame information.

    In that code the stack pointer is at the pt_regs of the interrupted code.
    """

    def __init__(self, view: View) -> None:
        super().__init__("kernel exception entry")
        self._view = view
        ranges = [
            *view.image.code_symbols("asm_exc_"),
            *view.image.code_symbols("asm_sysvec_"),
            *view.image.code_symbols("asm_common_interrupt"),
        ]
        self._ranges = [(start + view.slide, end + view.slide) for start, end in ranges]

    def __call__(self, frame: gdb.PendingFrame) -> gdb.UnwindInfo | None:
        """Return the registers of the interrupted code for a frame in entry code.

        The result is None for any other frame, and when the stack cannot be read.
        """
        pc, sp = frame.read_register("rip"), frame.read_register("rsp")
        here = int(pc) & (1 << 64) - 1
        # A return address may be the end of the function that called last, and is never its start.
        if not any(start < here <= end for start, end in self._ranges):
            return None
        try:
            data = self._view.read(int(sp), linux.PT_REGS_LAYOUT.size)
        except OSError:
            return None
        info = frame.create_unwind_info(_FrameId(sp, pc))
        values = dict(zip(linux.PT_REGS, linux.PT_REGS_LAYOUT.unpack(data), strict=True))
        kind = gdb.lookup_type("unsigned long")
        for name, value in linux.shown_registers(values).items():
            info.add_saved_register(name, gdb.Value(value).cast(kind))
        return info


def _memory(address: int, size_bytes: int) -> bytes:
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size_bytes))
    except gdb.MemoryError as error:
        raise OSError(str(error)) from error


def _member(path: str) -> Member:
    structure, *names = path.split(".")
    try:
        kind = gdb.lookup_type(f"struct {structure}").strip_typedefs()
        offset = 0
        for name in names:
            field = kind[name]
            offset, kind = offset + field.bitpos // 8, field.type.strip_typedefs()
    except (gdb.error, KeyError) as error:
        raise KeyError(f"no {path} in the symbols that are loaded") from error
    return Member(offset_bytes=offset, size_bytes=kind.sizeof)


def _global(module: str, name: str) -> int:
    for file in gdb.objfiles():
        if Path(file.filename or "").stem.replace("-", "_") == module:
            found = file.lookup_static_symbol(name) or file.lookup_global_symbol(name)
            if found is not None:
                return int(found.value().address)
    raise KeyError(f"no {name} of module {module}: is it loaded?")


def _show_exceptions(view: View) -> None:
    """Let gdb show a dead kernel's exception: set each CPU's registers to their values at it.

    Frame 0 then is the code that caused the exception. A CPU without an exception keeps its
    registers. The guard (debugger/stub_relay) restores the registers when the debugger
    disconnects.
    """
    chosen = gdb.selected_thread()
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        sp = int(gdb.parse_and_eval("(unsigned long)$rsp"))
        values = linux.exception_registers(view, sp)
        if values is None:
            continue
        for name, value in linux.shown_registers(values).items():
            gdb.execute(f"set ${name} = {value:#x}")
        gdb.write(
            f"thread {thread.num}: shown as it was at the exception; its stack was {sp:#x}\n"
        )
        chosen = thread
    chosen.switch()
    gdb.execute("frame 0")


def _hook(session: _Session) -> None:
    view = session.view
    kind = gdb.BP_HARDWARE_BREAKPOINT if session.facts.booting else gdb.BP_BREAKPOINT
    _Hook(view.symbol(_LOADING), lambda at: session.add(linux.module_at(view, at)), kind)
    _Hook(view.symbol(_UNLOADING), lambda at: session.remove(view.text(at, "module.name")), kind)


def explain_missing_source() -> None:
    """Print how to get the selected frame's source, if this machine does not have the file."""
    try:
        symbols = gdb.selected_frame().find_sal().symtab
    except gdb.error:
        return
    if symbols is None or Path(symbols.fullname()).is_file():
        return
    gdb.write(
        f"{symbols.filename} is not on this machine. For the kernel's source, start debug-attach "
        "with --source FOLDER; `apt-get source linux` fetches that of Debian's kernel.\n"
    )


def install(file: str) -> None:
    """Add commands and module symbols to gdb, after it has attached to the kernel.

    A live kernel also gets hooks at the loading and unloading of modules. For a dead kernel the
    exceptions are shown. `file` is the file that `Facts.write` has written.
    """
    found = facts.read(Path(file))
    session = _Session(found)
    for command in commands.with_plugin(found.plugin):
        _Command(command, session)
    gdb.unwinder.register_unwinder(None, _ExceptionUnwinder(session.view), replace=True)
    if not found.booting:
        session.add_all()
    if found.dead:
        _show_exceptions(session.view)
    else:
        _hook(session)
