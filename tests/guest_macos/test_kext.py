# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The kext on a Mac: who may use its device, how it goes away, that it comes again.

Run by `invoke kernel-test --target NAME` on a target of yours. On a release that loads kexts from
a collection only, the last two need a kernel that lets kexts go.
"""

import time

import pytest

from harness.errors import ModuleError
from harness.pytest_plugin import Driver
from harness.systems.platforms import PLATFORMS
from harness.systems.ssh import Guest

_STEP_S = 20.0


def test_the_node_is_roots_alone(guest: Guest, driver: Driver) -> None:
    """Mode 0600, root and wheel: nobody else opens it."""
    assert driver.is_loaded()

    said = guest.run(["stat", "-f", "%Lp %Su %Sg", driver.spec.devices[0]], deadline_s=_STEP_S)

    assert said.stdout == "600 root wheel\n"


def test_loading_what_is_loaded_changes_nothing(guest: Guest, driver: Driver) -> None:
    """A second load is content, and the kernel lists one kext of the name."""
    before = PLATFORMS[driver.handoff.system].holders(guest, driver.spec)

    driver.load()

    assert PLATFORMS[driver.handoff.system].holders(guest, driver.spec) == before
    assert before[0] == "reference count 0"


def test_unloading_while_open_is_refused_then_works(guest: Guest, driver: Driver) -> None:
    """Its stop says busy while somebody has the device, names him, and goes when he is gone."""
    with guest.popen(f"sudo -n tail -f {driver.spec.devices[0]}"):
        _await_holder(guest, driver)
        with pytest.raises(ModuleError) as refused:
            driver.unload()

    assert any("open in process" in line for line in refused.value.evidence)
    driver.unload(attempts=20)
    assert not driver.is_loaded()


def test_loading_and_unloading_leave_no_trace(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """In and out again: no node, no kext in the list, every time."""
    for _ in range(50 if long_run else 3):
        driver.unload(attempts=20)
        gone = guest.run(["test", "-e", driver.spec.devices[0]], deadline_s=_STEP_S, check=False)
        assert gone.status != 0
        assert not driver.is_loaded()
        driver.load()


def _await_holder(guest: Guest, driver: Driver) -> None:
    """Return when the device is seen to be open."""
    end = time.monotonic() + _STEP_S
    platform = PLATFORMS[driver.handoff.system]
    while not any("open in" in line for line in platform.holders(guest, driver.spec)):
        assert time.monotonic() < end, "nobody has the device open"
        time.sleep(0.1)
