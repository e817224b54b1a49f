# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the kext on a Mac: access to its device, unloading, and loading again.

Run by `invoke kernel-test --target NAME` on a target of yours. On a release that loads kexts only
from a collection, the last two tests need a kernel that allows unloading.
"""

import time

import pytest

from harness.errors import ModuleError
from harness.pytest_plugin import Driver
from harness.systems.platforms import PLATFORMS
from harness.systems.ssh import Guest

_STEP_S = 20.0


def test_the_device_node_has_mode_0600_and_belongs_to_root(guest: Guest, driver: Driver) -> None:
    """On a user's Mac, stat of /dev/osquery prints 600 root wheel: only root can open it."""
    assert driver.is_loaded()

    said = guest.run(["stat", "-f", "%Lp %Su %Sg", driver.spec.devices[0]], deadline_s=_STEP_S)

    assert said.stdout == "600 root wheel\n"


def test_loading_a_loaded_kext_succeeds_and_does_not_load_it_twice(
    guest: Guest, driver: Driver
) -> None:
    """On a user's Mac, a second load succeeds, and the kext's reference count is still 0."""
    before = PLATFORMS[driver.handoff.system].holders(guest, driver.spec)

    driver.load()

    assert PLATFORMS[driver.handoff.system].holders(guest, driver.spec) == before
    assert before[0] == "reference count 0"


def test_the_kext_unloads_only_after_the_device_is_closed(guest: Guest, driver: Driver) -> None:
    """On a Mac, unloading fails while a process has the device open; the error names it.

    After the process has ended, unloading works.
    """
    with guest.popen(f"sudo -n tail -f {driver.spec.devices[0]}"):
        _await_holder(guest, driver)
        with pytest.raises(ModuleError) as refused:
            driver.unload()

    assert any("open in process" in line for line in refused.value.evidence)
    driver.unload(attempts=20)
    assert not driver.is_loaded()


def test_after_unloading_the_device_node_and_the_kext_are_gone(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """On a user's Mac, after each unload /dev/osquery is gone and the kext is not listed."""
    for _ in range(50 if long_run else 3):
        driver.unload(attempts=20)
        gone = guest.run(["test", "-e", driver.spec.devices[0]], deadline_s=_STEP_S, check=False)
        assert gone.status != 0
        assert not driver.is_loaded()
        driver.load()


def _await_holder(guest: Guest, driver: Driver) -> None:
    """Wait until a process has the device open."""
    end = time.monotonic() + _STEP_S
    platform = PLATFORMS[driver.handoff.system]
    while not any("open in" in line for line in platform.holders(guest, driver.spec)):
        assert time.monotonic() < end, "nobody has the device open"
        time.sleep(0.1)
