# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The evidence decides the blame, and a fault of the host is never blamed on the module."""

from dataclasses import replace

from harness.crash.blame import Suspicion, controlled, judge
from harness.errors import GuestCrashed, GuestLost, HypervisorDied, TestOverdue
from harness.model.crash import Blame, Cause
from harness.panic.values import Stack
from tests.unit.crashes import OURS, THEIRS, crash, report

DIED = GuestCrashed("it died")
MODULES = {"osq", "osq_test"}
SUSPICION = Suspicion(cause=Cause.PANIC, reports=(report(),))
FOREIGN = report(function="vfs_write", module="", stacks=(Stack(name="", frames=(THEIRS,)),))


def test_a_report_whose_guilty_function_is_in_the_module_under_test_blames_that_module() -> None:
    """The module under test is blamed for a kernel report whose guilty function is in it."""
    found = judge(SUSPICION, MODULES, DIED)

    assert found.blame is Blame.MODULE
    assert "osq_break [osq]" in found.why


def test_a_module_frame_in_any_stack_of_the_report_blames_the_module() -> None:
    """One frame of the module under test, even in the stack that freed the memory, is enough.

    The stack that crashed need not contain the module.
    """
    freed = Stack(name="Freed by task 12", frames=(OURS,))
    through = report(module="", stacks=(Stack(name="", frames=(THEIRS,)), freed))

    found = judge(replace(SUSPICION, reports=(through,)), MODULES, DIED)

    assert found.blame is Blame.MODULE
    assert "osq_break [osq]" in found.why


def test_a_report_whose_only_module_is_not_under_test_leaves_the_blame_undecided() -> None:
    """Frames of another module decide nothing; the reason names --control, a run without it."""
    found = judge(replace(SUSPICION, reports=(report(module="ext4", stacks=()),)), MODULES, DIED)

    assert found.blame is Blame.UNDECIDED
    assert "--control" in found.why


def test_a_dead_qemu_is_the_harness_fault() -> None:
    """QEMU's death is the harness's fault even with the module's frames on the console."""
    died = HypervisorDied("QEMU ended")

    found = judge(replace(SUSPICION, cause=Cause.QEMU), MODULES, died)

    assert found.blame is Blame.HARNESS


def test_a_lost_connection_is_the_harness_fault() -> None:
    """A lost SSH connection to a healthy kernel is not the module's fault."""
    lost = GuestLost("the SSH connection is lost")

    found = judge(replace(SUSPICION, cause=Cause.UNREACHABLE, reports=()), MODULES, lost)

    assert found.blame is Blame.HARNESS


def test_a_hang_while_ssh_answers_blames_the_harness_but_nobody_if_the_kernel_reported_it() -> (
    None
):
    """A hang while SSH answers is the harness's fault, or undecided if the kernel reported it."""
    hung = report(kind="hung-task", function="drain", module="", stacks=())
    silent = Suspicion(cause=Cause.HANG, answered="ssh", reports=())

    assert judge(silent, MODULES, DIED).blame is Blame.HARNESS
    assert judge(replace(silent, reports=(hung,)), MODULES, DIED).blame is Blame.UNDECIDED


def test_an_overdue_test_without_a_hanging_task_blames_nobody() -> None:
    """A test beyond its deadline leaves the blame undecided when no task hangs in the module."""
    overdue = TestOverdue("ran for over 60 s")

    found = judge(replace(SUSPICION, cause=Cause.OVERDUE, reports=()), MODULES, overdue)

    assert found.blame is Blame.UNDECIDED


def test_the_same_crash_without_the_module_is_the_kernels_fault() -> None:
    """The kernel is blamed if a run without the module has the signature; else it is undecided."""
    found = crash(reports=(FOREIGN,), blame=Blame.UNDECIDED, blame_why="nobody is named")

    same = controlled(found, crash(reports=(FOREIGN,)))
    other = controlled(found, crash(signature="ffffffffffff", title="something else"))
    none = controlled(found, None)

    assert same.blame is Blame.KERNEL
    assert other.blame is Blame.UNDECIDED
    assert "something else" in other.blame_why
    assert none.blame is Blame.UNDECIDED
    assert "did not crash" in none.blame_why
