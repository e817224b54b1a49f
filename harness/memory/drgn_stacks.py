# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Read stacks from a guest's memory: of the task on each CPU, and of tasks that sleep."""

from collections.abc import Callable, Iterator, Mapping

import drgn
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.sched import cpu_curr, task_state_to_char

from harness.memory.drgn_program import ERRORS
from harness.memory.values import MemoryFrame, MemoryStack

_MOST_FRAMES = 64
_MOST_VARIABLES = 16
_MOST_TEXT = 120
_NO_CPU = -1
# How often the stack of a running guest's CPU is read before an inconsistent one is accepted.
_LOOKS = 20
# On x86-64 a stack begins at a multiple of THREAD_SIZE (asm/page_64_types.h), once or twice this
# size. The registers of user space lie at its end, with the outermost frame before them.
_STACK_BYTES = 16 << 10
_MOST_STACK_BYTES = 64 << 10
# The outermost frame is this near to the end of its stack.
_OUTERMOST_BYTES = 512
# The kernel lives in the upper half on every architecture that drgn unwinds.
_LAST_USER_ADDRESS = (1 << 63) - 1
# The registers of struct pt_regs on x86-64, by QEMU's names; arch/x86/include/asm/ptrace.h.
_PT_REGS = {f"r{number}": f"R{number}" for number in range(8, 16)} | {
    "ax": "RAX",
    "bx": "RBX",
    "cx": "RCX",
    "dx": "RDX",
    "si": "RSI",
    "di": "RDI",
    "bp": "RBP",
    "sp": "RSP",
    "ip": "RIP",
    "flags": "RFL",
    "cs": "CS",
    "ss": "SS",
}
_USER_CS_BITS = 3
_MOVED = "it ran on while it was looked at"


def of_cpus(
    prog: drgn.Program, registers: Mapping[int, Mapping[str, int]]
) -> Iterator[MemoryStack]:
    """Yield the stack of the task on each CPU, the crashed CPU first.

    `registers` are those of a paused guest's CPUs, by CPU number; an ELF core contains its own.
    """
    crashed = _panic_cpu(prog)
    # A panic takes all other CPUs off line, but their stacks are of interest, so all present CPUs
    # are read.
    for cpu in sorted(for_each_present_cpu(prog), key=lambda one: (one != crashed, one)):
        yield _of_cpu(prog, cpu, registers.get(cpu), crashed=cpu == crashed)


def of_running_cpus(
    prog: drgn.Program, registers: Callable[[], Mapping[int, Mapping[str, int]]]
) -> Iterator[MemoryStack]:
    """Yield the stack of the task on each CPU of a running guest.

    Between the reading of a CPU's registers and of its memory, the CPU may continue; the trace
    then ends early. Each CPU is read again, up to 20 times, until its trace reaches the outermost
    frame. If none does, the stack has no frames, and its note says why. `registers` returns the
    present registers of the CPUs, by CPU number.
    """
    for cpu in sorted(for_each_present_cpu(prog)):
        for _ in range(_LOOKS):
            found = _of_cpu(prog, cpu, registers().get(cpu), crashed=False, whole=True)
            if found.frames or found.note != _MOVED:
                break
        yield found


def _of_cpu(
    prog: drgn.Program,
    cpu: int,
    values: Mapping[str, int] | None,
    *,
    crashed: bool,
    whole: bool = False,
) -> MemoryStack:
    task = cpu_curr(prog, cpu)
    live = bool(prog.flags & drgn.ProgramFlags.IS_LIVE)
    note = "QEMU did not report its registers" if live and values is None else ""
    if values is not None and values["CS"] & _USER_CS_BITS:
        note = f"in user mode, at {values['RIP']:#x}"
    frames: tuple[MemoryFrame, ...] = ()
    if not note:
        thread = _pt_regs(prog, values) if values is not None else task
        base = int(task.stack) if whole else None
        frames, note = _frames(prog, thread, variables=True, whole_from=base)
    return _stack(task, frames, note, cpu=cpu, crashed=crashed)


def of_task(prog: drgn.Program, task: drgn.Object, *, variables: bool) -> MemoryStack:
    """Return the stack of a task that no CPU executes now.

    With `variables` every frame has its variables, otherwise only frames in modules.
    """
    frames, note = _frames(prog, task, variables=variables)
    return _stack(task, frames, note)


def _stack(
    task: drgn.Object,
    frames: tuple[MemoryFrame, ...],
    note: str,
    *,
    cpu: int | None = None,
    crashed: bool = False,
) -> MemoryStack:
    return MemoryStack(
        pid=task.pid.value_(),
        comm=task.comm.string_().decode(errors="replace"),
        state=task_state_to_char(task),
        cpu=cpu,
        crashed=crashed,
        frames=frames,
        note=note,
    )


def _panic_cpu(prog: drgn.Program) -> int:
    """Return the CPU that panicked, or -1 for none.

    kernel/panic.c records that CPU before anything else.
    """
    try:
        return int(prog["panic_cpu"].counter)
    except LookupError:
        return _NO_CPU


def _pt_regs(prog: drgn.Program, values: Mapping[str, int]) -> drgn.Object:
    fields = {name: values[register] for name, register in _PT_REGS.items()}
    # orig_ax is -1 outside of a system call.
    return drgn.Object(prog, "struct pt_regs", {**fields, "orig_ax": (1 << 64) - 1})


def _frames(
    prog: drgn.Program, thread: drgn.Object, *, variables: bool, whole_from: int | None = None
) -> tuple[tuple[MemoryFrame, ...], str]:
    """Return the frames of a thread with their variables, and the reason when there are none.

    `thread` is a task or its registers. Without `variables` only frames in modules have theirs.
    `whole_from` is the address at which the task's stack begins; if it is given, a trace that ends
    early is dropped.
    """
    try:
        trace = prog.stack_trace(thread)
    except ERRORS as error:
        return (), str(error)
    if whole_from is not None and not _is_whole(trace, whole_from):
        return (), _MOVED
    found = []
    for index, frame in enumerate(trace):
        if index == _MOST_FRAMES or frame.pc <= _LAST_USER_ADDRESS:
            break
        module = _module_of(prog, frame)
        found.append(
            MemoryFrame(
                function=frame.name or f"{frame.pc:#x}",
                module=module,
                place=_place(frame),
                inline=frame.is_inline,
                variables=_variables(frame) if variables or module else {},
            )
        )
    return tuple(found), ""


def _is_whole(trace: drgn.StackTrace, base: int) -> bool:
    """Return whether a trace reaches the outermost frame of the stack that begins at `base`."""
    try:
        inside = [frame.sp for frame in trace if frame.pc > _LAST_USER_ADDRESS]
    except LookupError:
        return False
    # drgn cannot unwind when the stack pointer is older than the other registers.
    last = inside[-1] if len(inside) > 1 else 0
    on_stack = base < last < base + _MOST_STACK_BYTES
    return on_stack and -last % _STACK_BYTES <= _OUTERMOST_BYTES


def _module_of(prog: drgn.Program, frame: drgn.StackFrame) -> str:
    try:
        module = prog.module(frame.pc)
    except LookupError:
        return ""
    return "" if isinstance(module, drgn.MainModule) else module.name


def _place(frame: drgn.StackFrame) -> str:
    try:
        source = frame.source()
    except LookupError:
        return ""
    return f"{source.filename}:{source.line}"


def _variables(frame: drgn.StackFrame) -> dict[str, str]:
    """Return a frame's arguments and variables that the compiler kept, as short text.

    There are at most 16. One that cannot be read has the reason in parentheses as its text.
    """
    found: dict[str, str] = {}
    for name in frame.locals():
        if len(found) == _MOST_VARIABLES:
            break
        try:
            value = frame[name]
            if value.absent_:
                continue
            found[name] = _text(value)
        except ERRORS as error:
            found[name] = f"({error})"[:_MOST_TEXT]
    return found


def _text(value: drgn.Object) -> str:
    text = value.format_(
        columns=_MOST_TEXT,
        dereference=False,
        implicit_members=False,
        member_type_names=False,
        element_type_names=False,
        members_same_line=True,
        elements_same_line=True,
        integer_base=16 if value.type_.kind is drgn.TypeKind.POINTER else 10,
    )
    flat = " ".join(text.split())
    return flat if len(flat) <= _MOST_TEXT else flat[: _MOST_TEXT - 3] + "..."
