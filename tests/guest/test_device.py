# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the device: its access rights, an errno for each misuse, and its removal."""

import errno
import json

import pytest

from harness.errors import ModuleError
from harness.pytest_plugin import Driver
from harness.systems.linux import kmod
from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

# The attempts of osqprobe, and the errno that each must get; 0 must work.
REFUSALS = {
    "open": 0,
    "second_open": errno.EBUSY,
    "unknown_ioctl": errno.ENOTTY,
    "null_argument": errno.EFAULT,
    "sync_before_allocate": errno.ENXIO,
    "subscribe_before_allocate": errno.ENXIO,
    "notify_before_allocate": errno.ENXIO,
    "stats_before_allocate": errno.ENXIO,
    "later_abi": errno.EPROTO,
    "earlier_abi": errno.EPROTO,
    "odd_size": errno.EINVAL,
    "tiny_size": errno.EINVAL,
    "huge_size": errno.EINVAL,
    "allocate": 0,
    "allocate_again": errno.EEXIST,
    "unknown_type": errno.EINVAL,
    "type_out_of_range": errno.EINVAL,
    "unknown_option": errno.EINVAL,
    "notify_nothing": errno.EINVAL,
    "notify_without_latency": errno.EINVAL,
    "notify_more_than_the_ring": errno.EINVAL,
    "notify": 0,
    "stats_reserved": errno.EINVAL,
    "stats": 0,
    "old_generation": errno.ESTALE,
    "map_writable": errno.EACCES,
    "map_short": errno.EINVAL,
    "map": 0,
    "mprotect_write": errno.EACCES,
    "ioctl_of_child": errno.EPERM,
}


def test_osqtail_reads_without_any_capability(guest: Guest, tail: Tailing) -> None:
    """In a real guest, a reading osqtail has no capability in /proc and NoNewPrivs is set."""
    fields = "CapInh|CapPrm|CapEff|NoNewPrivs"
    with tail("--type exec") as running:
        command = f"grep -E '{fields}' /proc/$(pgrep -x osqtail)/status; /bin/true"
        said = guest.run(command, deadline_s=20).stdout
        seen = running.finish()

    values = dict(line.split() for line in said.splitlines())
    assert values.pop("NoNewPrivs:") == "1"
    assert {int(value, 16) for value in values.values()} == {0}
    assert seen.execs_of("/usr/bin/true")


# The steps of 'osqprobe owners': a child uses the descriptor, the owner allocates again, an heir
# execs.
OWNERS = {
    "open": 0,
    "subscribe": 0,
    "ioctl_of_child": errno.EPERM,
    "owner_sync": errno.ESTALE,
    "owner_subscribe": errno.ESTALE,
    "owner_map": errno.ESTALE,
    "owner_allocate": 0,
    "old_generation": errno.ESTALE,
    "new_generation": 0,
    "new_map": 0,
    "mprotect_write": errno.EACCES,
    "new_subscribe": 0,
    "heir_ioctl": errno.EPERM,
    "open_beside_heir": errno.EBUSY,
    "open_after_heir": 0,
}


def test_an_ioctl_by_another_process_fails_and_makes_the_owners_queue_stale_until_reallocated(
    guest: Guest, driver: Driver
) -> None:
    """A child's ioctl gets EPERM, the owner's next one ESTALE until the owner allocates again.

    A child that runs another program with the inherited descriptor counts as another process.
    """
    assert driver.is_loaded()

    assert json.loads(guest.run("osqprobe owners", deadline_s=20).stdout) == OWNERS
    driver.unload()


def test_the_device_can_be_opened_after_its_owner_exits_while_a_child_holds_it(
    guest: Guest, driver: Driver
) -> None:
    """A child that inherited the descriptor does not keep the device taken when its owner ends."""
    assert driver.is_loaded()

    said = json.loads(guest.run("osqprobe orphan", deadline_s=20).stdout)

    assert said == {"open": 0, "subscribe": 0, "open_after_owner": 0}
    driver.unload()


def test_each_wrong_use_of_the_device_fails_with_the_expected_errno(
    guest: Guest, driver: Driver
) -> None:
    """In a guest, osqprobe tries wrong opens, ioctls and mmaps; each has the errno listed here."""
    assert driver.is_loaded()

    said = json.loads(guest.run("osqprobe", deadline_s=20).stdout)

    assert said == REFUSALS


def test_only_root_with_cap_sys_admin_can_open_the_device(guest: Guest, driver: Driver) -> None:
    """The device node has mode 0600, and root without CAP_SYS_ADMIN cannot open it."""
    assert driver.is_loaded()
    ordinary = guest.run(
        "setpriv --reuid 1000 --regid 1000 --clear-groups osqprobe", deadline_s=20
    )
    bounded = guest.run("setpriv --bounding-set -sys_admin osqprobe", deadline_s=20)

    assert guest.run("stat -c '%a %u %g' /dev/osquery", deadline_s=20).stdout == "600 0 0\n"
    assert json.loads(ordinary.stdout)["open"] == errno.EACCES
    assert json.loads(bounded.stdout)["open"] == errno.EPERM


def test_the_device_is_free_at_once_after_its_owner_is_killed(
    driver: Driver, tail: Tailing
) -> None:
    """After SIGKILL to osqtail another one can read, and then the module can be unloaded."""
    with tail() as running:
        running.kill()

    with tail() as again:
        assert again.finish().stats["dropped"] == 0
    driver.unload()


def test_the_module_unloads_only_after_the_device_is_closed(driver: Driver, tail: Tailing) -> None:
    """While osqtail has the device open, unloading fails with an error that names osqtail."""
    with tail() as running:
        with pytest.raises(ModuleError) as refused:
            driver.unload()
        running.finish()

    assert any("osqtail" in line for line in refused.value.evidence)
    driver.unload()
    assert not driver.is_loaded()


def test_each_load_and_unload_logs_only_the_modules_two_lines_and_no_device_is_left(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """The guest's kernel log gains two lines at each reload; then /dev/osquery is gone."""
    rounds = 50 if long_run else 3
    driver.unload()
    before = len(kmod.kernel_log(guest))

    for _ in range(rounds):
        driver.load()
        driver.unload()

    lines = [line.partition("] ")[2] for line in kmod.kernel_log(guest)[before:]]
    # The kernel prints this when an emulated clock was late.
    ours = [line for line in lines if not line.startswith(("harness-", "hrtimer: interrupt took"))]
    assert ours == ["osq: loaded, ABI 0x2, schema 6", "osq: unloaded"] * rounds
    assert guest.run("test -e /dev/osquery", deadline_s=20, check=False).status != 0
