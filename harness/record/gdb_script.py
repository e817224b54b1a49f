# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Write the command file for gdb, which debugs the replay of a recording.

The recorded kernel was booted with nokaslr, so its symbols have the addresses of vmlinux. The
guest's init printed the addresses at which the kernel loaded the sections of the module.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.record.recording import Fault, Recording
from harness.symbols.elf import SymbolTable

_HELP = """\
echo harness: the guest is stopped at the start of the recording and can run both ways.\\n
echo   to-panic     go on to the kernel's panic\\n
echo   to-fault     from there, go back to the instruction that failed\\n
echo   reverse-continue, reverse-step, reverse-stepi, reverse-finish\\n
echo   watch -l X, then reverse-continue: go back to the instruction that wrote X\\n
"""
# These functions run when a guest is about to shut down and can still print. QEMU 7.2 logs a
# shutdown before the last instructions that led to it, so a replay may end too early by these
# instructions. After its end QEMU can no longer go back: it aborts with 'invalid runstate
# transition'.
_ENDS = ("console_flush_on_panic", "kernel_power_off", "kernel_restart")
_TO_PANIC = """\
define to-panic
thbreak panic
continue
end
document to-panic
Go on to the kernel's panic.
end
"""
# The commands for a guest that was ended at its deadline. That end is a shutdown, too, so the
# replay is stopped before it; see above.
_TO_END = """\
define to-end
monitor replay_break {count}
continue
end
document to-end
Go on to the end of what was recorded.
end
echo harness: this guest did not end; to-end goes on to its deadline\\n
"""
# QEMU goes back to a number of executed instructions, and an instruction that faults is not
# counted. So QEMU may stop before the instruction or in the exception's entry; one step back and
# one step forward end at the instruction in both cases.
_TO_FAULT = """\
define to-fault
hbreak *{address:#x}
set $harness_fault = $bpnum
reverse-continue
delete $harness_fault
if (unsigned long)$pc != {address:#x}
reverse-stepi
stepi
end
end
document to-fault
Go back to the instruction that the kernel's first report names:
{function}+{offset:#x}{module}.
end
"""


@dataclass(frozen=True, kw_only=True)
class ReplayFiles:
    """The files that gdb needs for a replay: the stub's socket and the files with symbols."""

    socket: Path
    vmlinux: Path
    module: Path


def text(recording: Recording, files: ReplayFiles) -> str:
    """Return gdb's commands: load symbols, connect, and define to-panic, to-end and to-fault.

    These run the replay to the panic, to the recording's end, and to the instruction that failed.
    to-end is defined only for a guest that was ended at its deadline, and to-fault only if the
    address of the failing instruction is known.
    """
    lines = ["set pagination off", "set confirm off", f"file {_quoted(files.vmlinux)}"]
    if recording.sections:
        places = " ".join(
            f"-s {name} {address:#x}" for name, address in sorted(recording.sections.items())
        )
        lines.append(f"add-symbol-file {_quoted(files.module)} {places}")
    else:
        lines.append(
            f"echo harness: {recording.module} has no symbols: its addresses were never printed\\n"
        )
    lines.append(f"target remote {files.socket}")
    # A software breakpoint is written into memory, where early in the boot no kernel is.
    lines += [f"hbreak {function}" for function in _ENDS]
    found = "\n".join(lines) + "\n" + _TO_PANIC
    if recording.instructions:
        found += _TO_END.format(count=recording.instructions)
    address = fault_address(recording, files)
    if address is not None and recording.fault is not None:
        fault = recording.fault
        module = f" [{fault.module}]" if fault.module else ""
        found += _TO_FAULT.format(
            address=address, function=fault.function, offset=fault.offset, module=module
        )
    return found + _HELP


def fault_address(recording: Recording, files: ReplayFiles) -> int | None:
    """Return the address of the failing instruction that a recording names, None if it is unknown.

    It is unknown when the recording names none, or one in a module that is not the recorded one;
    when the addresses of the module's sections were not printed; and unless exactly one symbol of
    the file has the function's name and size.
    Raises: UsageError when the symbol file cannot be read.
    """
    fault = recording.fault
    if fault is None:
        return None
    if not fault.module:
        return _in_file(files.vmlinux, fault, {})
    if fault.module != recording.module or not recording.sections:
        return None
    return _in_file(files.module, fault, recording.sections)


def _in_file(file: Path, fault: Fault, sections: dict[str, int]) -> int | None:
    fitting = [one for one in SymbolTable(file).find(fault.function) if one.fits(fault.size)]
    if len(fitting) != 1:
        return None
    symbol = fitting[0]
    if sections and symbol.section not in sections:
        return None
    return sections.get(symbol.section, 0) + symbol.value + fault.offset


def _quoted(path: Path) -> str:
    """Return a path, quoted so that gdb reads it as one word."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
