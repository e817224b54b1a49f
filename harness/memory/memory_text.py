# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Turn what was read from a guest's memory into lines: crashed CPU, stacks, locks, deadlocks."""

from collections.abc import Collection, Iterable, Iterator

from harness.memory.values import LockWait, MemoryFrame, MemoryStack, MemoryView, deadlocks
from harness.panic.values import Frame, KernelReport, Stack


def lines(view: MemoryView) -> tuple[str, ...]:
    """Return what was read from a guest's memory as lines of a report, the CPUs' stacks first.

    The test's task, deadlocks, blocked tasks, the module's state and the problems follow. The
    kernel's log is left out, because the console already shows it.
    """
    return (
        *of_cpus(view.cpus),
        *(_stack("the test's task", view.task) if view.task else ()),
        *_deadlocks(view),
        *_blocked_lines(view),
        *(("state of the module", *(f"  {line}" for line in view.driver)) if view.driver else ()),
        *(f"not read: {problem}" for problem in view.problems),
    )


def standstill(view: MemoryView, modules: Collection[str]) -> KernelReport | None:
    """Return a 'hang' report made from stacks in a guest's memory, when its kernel printed none.

    `modules` are the names of the modules under test. The report blames the innermost function of
    one of them: in a blocked task first, else on a CPU. It is None when no stack contains one of
    the modules.
    """
    for stack in (*view.blocked, *view.cpus):
        guilty = next((one for one in stack.frames if one.module in modules), None)
        if guilty is None:
            continue
        frames = tuple(
            Frame(function=one.function, module=one.module, place=one.place, inline=one.inline)
            for one in stack.frames
        )
        return KernelReport(
            kind="hang",
            title=f"task hangs in {guilty.function}",
            line=0,
            text=tuple(_stack("read from memory", stack)),
            function=guilty.function,
            module=guilty.module,
            place=guilty.place,
            task=stack.comm,
            pid=stack.pid,
            cpu=stack.cpu,
            stacks=(Stack(name="", frames=frames),),
        )
    return None


def of_cpus(stacks: Iterable[MemoryStack]) -> Iterator[str]:
    """Yield the lines of the stacks of CPUs, each after a line that names the CPU and its task."""
    for stack in stacks:
        name = f"CPU {stack.cpu}"
        yield from _stack(f"{name}, on which it died" if stack.crashed else name, stack)


def _deadlocks(view: MemoryView) -> Iterator[str]:
    for circle in deadlocks(view.waits):
        names = " -> ".join(f"{wait.comm} ({wait.pid})" for wait in (*circle, circle[0]))
        yield f"deadlock: {names}; each waits for a lock that the next one holds"


def _blocked_lines(view: MemoryView) -> Iterator[str]:
    by_pid = {wait.pid: wait for wait in view.waits}
    for stack in view.blocked:
        wait = by_pid.get(stack.pid)
        yield from _stack(f"blocked{_holder(wait)}" if wait else "blocked", stack)


def _holder(wait: LockWait) -> str:
    held = f"held by {wait.holder_comm} ({wait.holder_pid})" if wait.holder_pid else "held by ?"
    return f" on {wait.kind} {wait.lock}, {held}"


def _stack(title: str, stack: MemoryStack) -> Iterator[str]:
    state = f", {stack.state}" if stack.state else ""
    yield f"{title}: {stack.comm} (pid {stack.pid}{state})"
    if stack.note:
        yield f"  no stack: {stack.note}"
    for frame in stack.frames:
        yield f"  {_frame(frame)}"
        yield from (f"      {name} = {text}" for name, text in frame.variables.items())


def _frame(frame: MemoryFrame) -> str:
    module = f" [{frame.module}]" if frame.module else ""
    inline = " (inlined)" if frame.inline else ""
    place = f" ({frame.place})" if frame.place else ""
    return f"{frame.function}{place}{module}{inline}"
