# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A deadlock of two tasks is found in the memory of a suspended guest."""

import time

from harness.guest.domain import DomainState
from harness.guest.session import Session
from harness.memory import inspect, memory_text
from harness.memory.values import deadlocks
from tests.system.memory_guest import LOOK_S, SOURCE, memory_guest


def hold_to_life(live: Session) -> None:
    """Assert that the guest's kernel keeps running."""
    beats = live.watch.beats
    end = time.monotonic() + live.deadline(5.0)
    while live.watch.beats == beats and time.monotonic() < end:
        time.sleep(0.1)
    assert live.watch.beats > beats
    assert live.domain.state() is DomainState.RUNNING


def test_each_deadlocked_task_is_shown_with_its_lock_and_the_holder() -> None:
    """From a paused real guest drgn shows two tasks in a deadlock; the guest then runs on."""
    with memory_guest() as guest:
        live = guest.session
        live.guest.run(
            "(setsid osqstress crash 5 < /dev/null > /dev/null 2>&1 &); "
            "for n in 1 2 3 4 5 6 7 8 9; do [ $(ps ax -o stat,comm | grep -c '^D.*osq') = 2 ] && "
            "exit 0; sleep 1; done; exit 1",
            deadline_s=live.deadline(10.0),
        )
        live.domain.suspend()
        view = inspect.look(guest.request("osqstress"), deadline_s=LOOK_S, roots=(SOURCE,))
        state = live.domain.state()
        live.domain.resume()
        hold_to_life(live)

    assert state is DomainState.PAUSED
    assert view.problems == ()
    assert view.crashed is None
    (circle,) = deadlocks(view.waits)
    assert {(wait.comm, wait.kind, wait.lock, wait.holder_comm) for wait in circle} == {
        ("osqstress", "mutex", "second_mutex [osq_test]", "osq_deadlock"),
        ("osq_deadlock", "mutex", "first_mutex [osq_test]", "osqstress"),
    }
    stacks = {stack.comm: stack for stack in view.blocked}
    (line,) = [
        frame.place
        for frame in stacks["osqstress"].frames
        if frame.function == "osq_crash_deadlock"
    ]
    file, _, number = line.rpartition(":")
    text = (SOURCE / file).read_text().splitlines()
    assert "mutex_lock(&second_mutex)" in text[int(number) - 1]
    assert view.task is not None
    assert view.task.comm == "osqstress"
    assert any(one.startswith("deadlock: ") for one in memory_text.lines(view))
