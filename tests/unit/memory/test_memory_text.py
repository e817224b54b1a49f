# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""memory_text: what a guest's memory shows, in words, and whose code stands still."""

from harness.memory.memory_text import lines, standstill
from harness.memory.values import LockWait, MemoryFrame, MemoryStack, MemoryView

OURS = MemoryFrame(function="osq_wait", module="osq", place="device.c:7", variables={"n": "3"})
THEIRS = MemoryFrame(function="schedule", place="kernel/sched/core.c:6")
SPINS = MemoryStack(pid=1, comm="sh", cpu=0, frames=(THEIRS, OURS))
WAITS = MemoryStack(pid=2, comm="cat", state="D", frames=(THEIRS, OURS))
OTHER = MemoryStack(pid=3, comm="kworker", state="D", frames=(THEIRS,))


def test_a_cpu_in_the_module_is_named() -> None:
    """With interrupts off nobody prints; the memory still shows where it is."""
    found = standstill(MemoryView(cpus=(SPINS,), blocked=(OTHER,)), ("osq",))

    assert found is not None
    assert (found.kind, found.function, found.module) == ("hang", "osq_wait", "osq")
    assert (found.place, found.task, found.cpu) == ("device.c:7", "sh", 0)


def test_a_task_that_waits_goes_before_a_cpu_that_spins() -> None:
    """Who holds everybody up is asleep."""
    found = standstill(MemoryView(cpus=(SPINS,), blocked=(WAITS,)), ("osq",))

    assert found is not None
    assert found.pid == 2


def test_without_the_module_nobody_is_named() -> None:
    """An idle CPU and a waiting worker are no hang of ours."""
    assert standstill(MemoryView(blocked=(OTHER,)), ("osq",)) is None
    assert standstill(MemoryView(), ("osq",)) is None


def test_the_words_hold_stacks_variables_and_the_deadlock() -> None:
    """Everything that was found is said once."""
    waits = (
        LockWait(pid=2, comm="cat", lock="a", kind="mutex", holder_pid=1, holder_comm="sh"),
        LockWait(pid=1, comm="sh", lock="b", kind="mutex", holder_pid=2, holder_comm="cat"),
    )
    view = MemoryView(cpus=(SPINS,), blocked=(WAITS,), waits=waits, driver=("no ring",))

    text = "\n".join(lines(view))

    for wanted in ("osq_wait (device.c:7) [osq]", "n = 3", "deadlock: ", "no ring"):
        assert wanted in text
