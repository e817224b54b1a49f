# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A memory view in words, as it stands in a report: who died where, who waits for whom."""

from collections.abc import Iterator

from harness.memory_values import LockWait, MemoryFrame, MemoryStack, MemoryView, deadlocks


def lines(view: MemoryView) -> tuple[str, ...]:
    """Return what the view holds: CPUs, the test's task, blocked tasks, the module's state.

    The kernel's log is left out: the console has it.
    """
    return (
        *_cpus(view),
        *(_stack("the test's task", view.task) if view.task else ()),
        *_deadlocks(view),
        *_blocked(view),
        *(("state of the module", *(f"  {line}" for line in view.driver)) if view.driver else ()),
        *(f"not known: {problem}" for problem in view.problems),
    )


def _cpus(view: MemoryView) -> Iterator[str]:
    for stack in view.cpus:
        name = f"CPU {stack.cpu}"
        yield from _stack(f"{name}, on which it died" if stack.crashed else name, stack)


def _deadlocks(view: MemoryView) -> Iterator[str]:
    for circle in deadlocks(view.waits):
        names = " -> ".join(f"{wait.comm} ({wait.pid})" for wait in (*circle, circle[0]))
        yield f"deadlock: {names}; each waits for a lock that the next one holds"


def _blocked(view: MemoryView) -> Iterator[str]:
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
