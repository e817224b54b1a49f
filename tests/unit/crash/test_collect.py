# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""crash.standing_still: whom a hang is about is looked for where no watchdog has said it."""

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


def test_a_hang_of_which_nothing_was_said_is_named() -> None:
    """By what the guest answers; with no answer and no memory there is nobody."""
    (found,) = standing_still(ANSWER, NOBODY, MODULES, ())

    assert found.function == "osq_crash_deadlock"
    assert standing_still(Answer(way="", lines=()), NOBODY, MODULES, ()) == ()


def test_what_the_watchdog_said_of_the_module_is_not_said_twice() -> None:
    """The task is the same, and so is its stack."""
    assert OWN[0].module == "osq_test"
    assert standing_still(ANSWER, NOBODY, MODULES, OWN) == ()


def test_a_stranger_who_waits_does_not_hide_the_module() -> None:
    """He may wait for it; where nothing of the module stands still he is told of alone."""
    (found,) = standing_still(ANSWER, NOBODY, MODULES, FOREIGN)

    assert found.module == "osq_test"
    assert standing_still(ANSWER, NOBODY, ("other",), FOREIGN) == ()
