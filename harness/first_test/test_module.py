# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The module loads, creates its devices, unloads, and can be loaded again.

The harness itself watches the kernel's log, and a warning from the kernel fails the run.
"""

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest

COMMAND_S = 60.0


def loaded_modules(guest: Guest) -> set[str]:
    """Return the modules that are loaded in the guest's kernel, with underscores."""
    lines = guest.run("cat /proc/modules", deadline_s=COMMAND_S).stdout.splitlines()
    return {line.split()[0] for line in lines}


def device_nodes(guest: Guest) -> set[str]:
    """Return the paths of the block and character devices in /dev."""
    command = "udevadm settle 2>/dev/null; find /dev -type b -o -type c"
    return set(guest.run(command, deadline_s=COMMAND_S).stdout.split())


def test_every_module_is_loaded(driver: Driver, guest: Guest) -> None:
    """Every built module is loaded, except one that refused this kernel or machine.

    Only a module beside the module under test may refuse; its error is in the kernel's log.
    """
    wanted = {one.name.replace("-", "_") for one in driver.handoff.build.loaded}
    found = guest.run("ls /run/harness | sed -n 's/[.]out$//p'", deadline_s=COMMAND_S)
    refused = {name.replace("-", "_") for name in found.stdout.split()}

    assert wanted - refused <= loaded_modules(guest)
    assert driver.is_loaded()


def test_it_unloads_and_a_load_brings_its_devices_back(driver: Driver, guest: Guest) -> None:
    """After unload it is not loaded; load brings back each device node that unload took away."""
    before = device_nodes(guest)
    driver.unload(attempts=10)
    without = device_nodes(guest)
    assert not driver.is_loaded()

    driver.load()

    assert device_nodes(guest) - without == before - without
    assert set(driver.spec.devices) <= device_nodes(guest)


def reload(driver: Driver) -> None:
    """Unload the module and load it again."""
    driver.unload(attempts=10)
    driver.load()


def test_it_can_be_loaded_again(driver: Driver) -> None:
    """The module can be unloaded and loaded."""
    reload(driver)

    assert driver.is_loaded()


def test_it_can_be_loaded_once_more(driver: Driver) -> None:
    """The module can be loaded a third time: a fault in unloading often shows only later.

    This is a test, and so has a deadline, of its own, because a package of many modules takes long
    to unload.
    """
    reload(driver)

    assert driver.is_loaded()
