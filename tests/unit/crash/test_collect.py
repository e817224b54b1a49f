# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of collect.standing_still: it finds hanging tasks that no watchdog has reported."""

from harness.crash.collect import standing_still
from harness.crash.hang_dump import Answer
from harness.memory.values import MemoryView
from harness.panic.scan import scan
from tests.unit.panic.test_task_dump import OURS

MODULES = ("osq_test",)
ANSWER = Answer(way="ssh", lines=tuple(OURS))
NOBODY = MemoryView()
FOREIGN = scan(
    (
        "[   37.037710] INFO: task khugepaged:36 blocked for more than 4 seconds.",
        "[   37.039200]  __lru_add_drain_all+0x147/0x1f0",
    )
)
OWN = scan(
    (
        "[   37.037710] INFO: task osqstress:412 blocked for more than 4 seconds.",
        "[   37.039200]  osq_crash_deadlock+0x6c/0xa0 [osq_test]",
    )
)


def test_a_hang_without_a_watchdog_report_is_found_by_sysrq() -> None:
    """The hanging task is found in the guest's answer to sysrq.

    Without an answer and without memory, no task is found.
    """
    (found,) = standing_still(ANSWER, NOBODY, MODULES, ())

    assert found.function == "osq_crash_deadlock"
    assert standing_still(Answer(way="", lines=()), NOBODY, MODULES, ()) == ()


def test_a_task_that_the_watchdog_reported_is_not_reported_again() -> None:
    """A task that the watchdog has reported is not reported again."""
    assert OWN[0].module == "osq_test"
    assert standing_still(ANSWER, NOBODY, MODULES, OWN) == ()


def test_a_hanging_task_in_the_module_is_found_although_the_watchdog_reported_another_task() -> (
    None
):
    """A waiting task of the module is reported even if the watchdog named another task."""
    (found,) = standing_still(ANSWER, NOBODY, MODULES, FOREIGN)

    assert found.module == "osq_test"
    assert standing_still(ANSWER, NOBODY, ("other",), FOREIGN) == ()
