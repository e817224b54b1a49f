# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The tests of a project that is not ours: each makes the module stumble in one way."""

import pytest

from harness.systems.ssh import Guest

FAULTS = ("null", "wild", "bug", "warn", "divide", "list", "refcount", "usercopy", "recursion")
HIDDEN = ("double_free", "timer", "storm", "atomic")
HANGS = ("deadlock", "forgotten", "asleep", "spin", "deaf")


def stumble(guest: Guest, kind: str, deadline_s: float = 10) -> None:
    """Make the module stumble; the deadline is that of any command."""
    guest.run(f"echo {kind} > /dev/stumble", deadline_s=deadline_s, check=False)


class TestStumble:
    """One test for each way in which the module can break the kernel."""

    @pytest.mark.parametrize("kind", FAULTS)
    def test_writing_each_obvious_fault_to_dev_stumble_must_end_within_10_s_with_any_exit_status(
        self, guest: Guest, kind: str
    ) -> None:
        """The module stumble breaks a guest's kernel as asked, or the write ends within 10 s.

        The kernel notices each of these faults at once.
        """
        stumble(guest, kind)

    @pytest.mark.parametrize("kind", HIDDEN)
    def test_writing_each_hidden_fault_to_dev_stumble_must_end_within_60_s_with_any_exit_status(
        self, guest: Guest, kind: str
    ) -> None:
        """The module stumble breaks a guest's kernel as asked, or the write ends within 60 s.

        The guilty function is not the innermost one of its stack, or the stack is no task's.
        """
        stumble(guest, kind, deadline_s=60)

    @pytest.mark.parametrize("kind", HANGS)
    def test_writing_each_kind_of_hang_to_dev_stumble_must_end_within_10_s_with_any_exit_status(
        self, guest: Guest, kind: str
    ) -> None:
        """The write to the module stumble never ends, so this test fails at its deadline."""
        stumble(guest, kind)


def test_in_a_guest_that_is_unbroken_proc_modules_begins_with_the_module_stumble(
    guest: Guest,
) -> None:
    """In a guest that no other test has crashed, this test passes: the module is listed."""
    assert guest.run("cat /proc/modules", deadline_s=10).stdout.startswith("stumble ")
