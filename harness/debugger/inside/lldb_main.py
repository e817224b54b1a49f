# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The code for lldb alone: reading memory, symbols of modules as they come and go, commands.

lldb's command file (harness.debugger.command_file) imports this module within lldb.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lldb

from harness.debugger.inside import commands, facts, linux
from harness.debugger.inside.btf import Member
from harness.debugger.inside.facts import Facts
from harness.debugger.inside.view import View

_LOADING, _UNLOADING = "do_init_module", "free_module"


class Session:
    """Adds symbols to lldb when the kernel loads a module, and removes them at its unloading."""

    def __init__(self, debugger: Any, found: Facts) -> None:
        self.debugger = debugger
        self.facts = found
        self.view = View(
            self._memory,
            found.vmlinux,
            found.slide,
            member_of=self._member,
            global_of=self._global,
        )
        self.hooks: dict[int, Callable[[int], None]] = {}

    @property
    def target(self) -> Any:
        """The lldb target, which is the kernel that is debugged."""
        return self.debugger.GetSelectedTarget()

    def add(self, module: linux.Module) -> None:
        """Place a module's symbols at its addresses; a module without a known file is ignored."""
        file = self.facts.modules.get(module.name)
        if file is None:
            return
        # After a reload the module is at other addresses.
        self.remove(module.name)
        image = self.target.AddModule(str(file), None, None)
        for name, address in linux.placed(module).items():
            section = image.FindSection(name)
            if section.IsValid():
                self.target.SetSectionLoadAddress(section, address)

    def remove(self, name: str) -> None:
        """Remove a module's symbols from lldb; do nothing if it has none."""
        for image in list(self._images(name)):
            self.target.ClearModuleLoadAddress(image)
            self.target.RemoveModule(image)

    def add_all(self) -> None:
        """Place the symbols of every module that is loaded now."""
        for module in linux.modules(self.view):
            self.add(module)

    def hook(self, function: str, call: Callable[[int], None]) -> None:
        """Have `call` called at each call of a kernel function.

        `call` gets the function's first argument. After it has returned, the kernel continues.
        """
        breakpoint_ = self.target.BreakpointCreateByAddress(self.view.symbol(function))
        breakpoint_.AddName("harness")
        self.hooks[breakpoint_.GetID()] = call
        breakpoint_.SetScriptCallbackFunction(f"{__name__}.reached")

    def _images(self, name: str) -> Any:
        for image in self.target.module_iter():
            if facts.kernel_name(Path(image.GetFileSpec().GetFilename()).stem) == name:
                yield image

    def _memory(self, address: int, size_bytes: int) -> bytes:
        error = lldb.SBError()
        data = self.target.GetProcess().ReadMemory(address, size_bytes, error)
        if not error.Success():
            raise OSError(error.GetCString())
        return bytes(data)

    def _member(self, path: str) -> Member:
        structure, *names = path.split(".")
        kind = self.target.FindFirstType(structure)
        offset = 0
        for name in names:
            kind = kind.GetCanonicalType()
            fields = (kind.GetFieldAtIndex(n) for n in range(kind.GetNumberOfFields()))
            field = next((one for one in fields if one.GetName() == name), None)
            if field is None:
                raise KeyError(f"no {path} in the symbols that are loaded")
            offset, kind = offset + field.GetOffsetInBytes(), field.GetType()
        return Member(offset_bytes=offset, size_bytes=kind.GetByteSize())

    def _global(self, module: str, name: str) -> int:
        for image in self._images(module):
            found = image.FindGlobalVariables(self.target, name, 1)
            if found.GetSize():
                address: int = found.GetValueAtIndex(0).GetLoadAddress()
                return address
        raise KeyError(f"no {name} of module {module}: is it loaded?")


# lldb calls Python functions by name only, so their state must be in this module's globals.
_SESSIONS: list[Session] = []


def reached(frame: Any, location: Any, _internal: Any) -> bool:
    """Call the Python function of the hook whose breakpoint was hit; lldb calls this.

    Return False, which tells lldb to let the kernel continue.
    """
    call = _SESSIONS[-1].hooks[location.GetBreakpoint().GetID()]
    try:
        call(frame.FindRegister("rdi").GetValueAsUnsigned())
    except (OSError, KeyError):
        traceback.print_exc()
    return False


def _make(command: commands.Command, session: Session) -> type:
    """Return a class by which lldb offers one of the harness's commands."""

    class _Command:
        def __init__(self, _debugger: Any, _internal: Any) -> None:
            pass

        def get_short_help(self) -> str:
            return command.help.partition("\n")[0]

        def get_long_help(self) -> str:
            return command.help

        def __call__(self, _debugger: Any, argument: str, context: Any, result: Any) -> None:
            words = argument.split()
            if command.name == "lx-fault" and not words:
                words = [str(context.GetFrame().GetSP())]
            try:
                for line in command.run(session.view, words):
                    result.AppendMessage(line)
            except (commands.CommandError, KeyError, OSError) as error:
                result.SetError(f"{command.name}: {error}")

    return _Command


def _show_exceptions(session: Session) -> None:
    """Let lldb show a dead kernel's exception: set each CPU's registers to their values at it.

    Frame 0 then is the code that caused the exception. A CPU without an exception keeps its
    registers. The guard (debugger/stub_relay) restores the registers when the debugger
    disconnects.
    """
    process = session.target.GetProcess()
    chosen = process.GetSelectedThread()
    for thread in process.threads:
        sp = thread.GetFrameAtIndex(0).GetSP()
        values = linux.exception_registers(session.view, sp)
        if values is None:
            continue
        chosen = thread
        for name, value in linux.shown_registers(values).items():
            _in_thread(session, thread, f"register write {name} {value:#x}")
        number = thread.GetIndexID()
        sys.stdout.write(f"thread {number}: shown as it was at the exception, was at {sp:#x}\n")
    process.SetSelectedThread(chosen)
    _in_thread(session, chosen, f"thread select {chosen.GetIndexID()}")


def _in_thread(session: Session, thread: Any, command: str) -> None:
    """Run a command in the given thread, whichever thread is selected.

    lldb would otherwise run the command in the thread that is selected where `script` was typed.
    """
    result = lldb.SBCommandReturnObject()
    context = lldb.SBExecutionContext(thread.GetFrameAtIndex(0))
    session.debugger.GetCommandInterpreter().HandleCommand(command, context, result)
    if not result.Succeeded():
        sys.stdout.write(f"{command}: {result.GetError()}")
    elif result.GetOutput():
        sys.stdout.write(result.GetOutput())


def install(debugger: Any, file: str) -> None:
    """Add commands and module symbols to lldb, after it has attached to the kernel.

    A live kernel also gets hooks at the loading and unloading of modules. For a dead kernel the
    exceptions are shown. `file` is the file that `Facts.write` has written.
    """
    found = facts.read(Path(file))
    session = Session(debugger, found)
    _SESSIONS.append(session)
    for command in commands.with_plugin(found.plugin):
        name = "command_" + command.name.replace("-", "_")
        globals()[name] = _make(command, session)
        debugger.HandleCommand(
            f"command script add --overwrite --class {__name__}.{name} {command.name}"
        )
    if not found.booting:
        session.add_all()
    if found.dead:
        _show_exceptions(session)
    else:
        view = session.view
        session.hook(_LOADING, lambda at: session.add(linux.module_at(view, at)))
        session.hook(_UNLOADING, lambda at: session.remove(view.text(at, "module.name")))
