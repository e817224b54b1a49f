# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of memory_text: the lines of a memory view, and the report of a hang from it."""

from harness.memory.memory_text import lines, standstill
from harness.memory.values import LockWait, MemoryFrame, MemoryStack, MemoryView

OURS = MemoryFrame(function="osq_wait", module="osq", place="device.c:7", variables={"n": "3"})
THEIRS = MemoryFrame(function="schedule", place="kernel/sched/core.c:6")
SPINS = MemoryStack(pid=1, comm="sh", cpu=0, frames=(THEIRS, OURS))
WAITS = MemoryStack(pid=2, comm="cat", state="D", frames=(THEIRS, OURS))
OTHER = MemoryStack(pid=3, comm="kworker", state="D", frames=(THEIRS,))


def test_a_memory_view_with_a_cpu_that_spins_in_the_module_is_reported_as_a_hang() -> None:
    """The report made from a hung guest's memory has function, source line, task and CPU."""
    found = standstill(MemoryView(cpus=(SPINS,), blocked=(OTHER,)), ("osq",))

    assert found is not None
    assert (found.kind, found.function, found.module) == ("hang", "osq_wait", "osq")
    assert (found.place, found.task, found.cpu) == ("device.c:7", "sh", 0)


def test_a_task_blocked_in_the_module_is_reported_rather_than_a_cpu_spinning_in_it() -> None:
    """If a hung guest's memory shows both, the hang's report names the blocked task."""
    found = standstill(MemoryView(cpus=(SPINS,), blocked=(WAITS,)), ("osq",))

    assert found is not None
    assert found.pid == 2


def test_a_memory_view_in_which_no_stack_contains_the_module_gives_no_hang_report() -> None:
    """A guest's memory that shows no stack in the module gives None in place of a report."""
    assert standstill(MemoryView(blocked=(OTHER,)), ("osq",)) is None
    assert standstill(MemoryView(), ("osq",)) is None


def test_the_memory_text_has_stack_variables_deadlock_and_module_state() -> None:
    """A memory view made by hand gives them as lines; the module's state is its plugin's line."""
    waits = (
        LockWait(pid=2, comm="cat", lock="a", kind="mutex", holder_pid=1, holder_comm="sh"),
        LockWait(pid=1, comm="sh", lock="b", kind="mutex", holder_pid=2, holder_comm="cat"),
    )
    view = MemoryView(cpus=(SPINS,), blocked=(WAITS,), waits=waits, driver=("no ring",))

    text = "\n".join(lines(view))

    for wanted in ("osq_wait (device.c:7) [osq]", "n = 3", "deadlock: ", "no ring"):
        assert wanted in text
