# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Waiting for records: what ends each kind of wait, and what outlives descriptor and owner."""

import errno
import json
import select
from collections.abc import Callable

import pytest

from harness.errors import ModuleError
from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

# The results of 'osqwait ways': an errno, 0 for a wait that a record ended, or the events of poll.
WAYS = {
    "nonblocking": errno.EAGAIN,
    "poll_nothing": 0,
    "signal": errno.EINTR,
    "record": 0,
    "record_is_there": 1,
    "epoll_edge": select.EPOLLIN,
    "poll_record": select.POLLIN,
    "meddled_while_waiting": errno.ESTALE,
    "poll_invalid": select.POLLHUP | select.POLLERR,
}
SHORT_MS = 1500
# Far above the delays of a busy host, and far below the long latency of a minute that must not
# count.
LATE_MS = 20_000


def test_a_waiting_reader_wakes_for_a_record_for_a_signal_and_when_its_queue_becomes_invalid(
    guest: Guest, driver: Driver
) -> None:
    """In a guest, waits by SYNC, poll and epoll then end with 0, EINTR, and ESTALE or POLLHUP."""
    assert driver.is_loaded()

    assert json.loads(guest.run("osqwait ways", deadline_s=60).stdout) == WAYS


def test_a_shorter_latency_replaces_the_running_timer_of_a_longer_one_even_of_an_earlier_owner(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """NOTIFY with 1.5 s after one with a minute wakes the reader's poll after 1.5 to 20 s."""
    variant("test").load()

    said = json.loads(guest.run("osqwait_test latency", deadline_s=120).stdout)

    assert said["poll"] == said["poll_of_next"] == select.POLLIN
    assert SHORT_MS <= said["after_notify_ms"] < LATE_MS
    assert SHORT_MS <= said["next_owner_ms"] < LATE_MS


def test_mmap_of_the_ring_returns_before_a_slow_subscribe_call_of_another_thread_ends(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """While a SUBSCRIBE call is slow, mmap of the ring and an open of another device return.

    Neither does a process that waits to open the device hold a lock that others need to open
    theirs.
    """
    variant("test").load()

    said = json.loads(guest.run("osqwait_test busy", deadline_s=60).stdout)

    assert said == {"opened_late": 0, "waited": 0, "mapped": 1}


def test_an_owners_exit_frees_its_ring_even_if_a_child_shares_its_descriptors(
    guest: Guest, driver: Driver
) -> None:
    """A child with the owner's file table (CLONE_FILES) keeps no ring after the owner's end."""
    assert driver.is_loaded()

    said = json.loads(guest.run("osqwait shared; pkill -x osqwait", deadline_s=60).stdout)

    assert said == {"ring_before": 65536, "ring_after": 0}
    driver.unload(attempts=5)


def test_a_mapped_ring_blocks_unloading_but_the_device_can_have_a_new_owner(
    guest: Guest, driver: Driver
) -> None:
    """A process that closed the device but maps the ring makes rmmod fail; others can open it."""
    assert driver.is_loaded()
    script = """
osqwait mapped > /tmp/mapped 2>&1 < /dev/null &
until grep -q '^mapped 0' /tmp/mapped; do sleep 0.05; done
osqprobe owners
"""
    said = guest.run(script, deadline_s=60).stdout
    with pytest.raises(ModuleError):
        driver.unload()
    guest.run("pkill -x osqwait", deadline_s=20)

    assert json.loads(said)["new_map"] == 0
    driver.unload(attempts=5)


def test_the_driver_has_no_tracepoint_probe_before_a_subscription(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """In a guest, loading and opening the driver add no probe; subscribing to exec adds one."""
    driver.unload()

    def attached() -> dict[str, int]:
        found: dict[str, int] = json.loads(guest.run("osqhooks", deadline_s=20).stdout)
        return found

    before = attached()
    driver.load()
    loaded = attached()
    opened = json.loads(guest.run("osqwait idle osqhooks", deadline_s=20).stdout)
    with tail() as running:
        subscribed = attached()
        running.finish()

    assert before == loaded == opened == attached()
    assert subscribed == {**before, "exec": before["exec"] + 1}
