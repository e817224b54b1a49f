# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Unloading while something still uses the module is refused with a message and never panics."""

import pytest

from harness.errors import ModuleError
from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

TOP = "/mnt/osqperm"
# Each row: the requested access, where the listener's mark is, and the access that waits.
OPEN, EXEC = ("open", "mount", "cat held"), ("exec", "mount", "./held")
# All marks of one file system are in one list, and only the mark that asks is locked meanwhile.
BESIDE = ("open", "filesystem", "cat held")


def script_of(what: str, mark: str, use: str) -> str:
    """Return shell lines that make one process wait for a permission in the folder (fanotify)."""
    return f"""
osqperm {what} {mark} {TOP} held /run/answer > /tmp/perm 2>&1 < /dev/null &
until grep -q ready /tmp/perm; do sleep 0.05; done
cd {TOP}; ({use} > /dev/null 2>&1 < /dev/null; echo served >> /tmp/perm) > /dev/null 2>&1 &
until grep -q holding /tmp/perm; do sleep 0.05; done
"""


@pytest.fixture(autouse=True)
def folder(guest: Guest) -> None:
    """Mount a separate file system, so that no other file waits for the fanotify listener."""
    guest.run(
        f"rm -f /run/answer; mkdir -p {TOP}; umount -q {TOP}; mount -t tmpfs none {TOP};"
        f"cp /bin/true {TOP}/held; : > {TOP}/other",
        deadline_s=20,
    )


@pytest.mark.parametrize("pin", [OPEN, EXEC], ids=lambda pin: pin[0])
def test_unloading_is_refused_while_a_fanotify_listener_with_a_mount_mark_owes_an_answer(
    guest: Guest, driver: Driver, tail: Tailing, pin: tuple[str, str, str]
) -> None:
    """An access waits inside the driver's hook, so rmmod fails, and the kernel log says why.

    The next owner of the device is served meanwhile. After the answer the module can be unloaded.
    """
    with tail(f"--watch {TOP}") as running:
        guest.run(script_of(*pin), deadline_s=30)
        running.finish()

    with pytest.raises(ModuleError):
        driver.unload()
    with tail(f"--watch {TOP} --action attrib") as running:
        guest.run(f"chmod 600 {TOP}/other", deadline_s=20)
        told = running.finish()
    guest.run(
        "touch /run/answer; until grep -q served /tmp/perm; do sleep 0.05; done", deadline_s=30
    )
    guest.run(f"chmod 644 {TOP}/other", deadline_s=20)
    driver.unload(attempts=5)

    log = guest.run("dmesg | grep -c fanotify || :", deadline_s=20).stdout
    assert [one["path"] for one in told.records] == [f"{TOP}/other"]
    assert int(log) >= 1
    # The listener's mark still calls functions, but none of the module's.
    guest.run(f"chmod 600 {TOP}/other; umount {TOP}", deadline_s=20)


def test_unloading_succeeds_while_a_fanotify_listener_with_a_filesystem_mark_owes_an_answer(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """With such a mark the waiting access is not inside the driver, so rmmod succeeds."""
    with tail(f"--watch {TOP}") as running:
        guest.run(script_of(*BESIDE), deadline_s=30)
        running.finish()

    driver.unload(attempts=5)
    guest.run(
        "touch /run/answer; until grep -q served /tmp/perm; do sleep 0.05; done", deadline_s=30
    )
    guest.run(f"chmod 600 {TOP}/other; umount {TOP}", deadline_s=20)


def test_in_a_file_storm_no_record_is_dropped_as_nested_and_unload_works_after_a_held_open(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """An open waits for fanotify inside the hook, and chmods storm: no record counts as nested.

    It is unloaded after the file access that is held inside it has ended.
    """
    guest.run(script_of(*OPEN), deadline_s=30)
    storm = f"while [ ! -e /run/answer ]; do chmod 600 {TOP}/other; chmod 644 {TOP}/other; done"
    aside = "> /dev/null 2>&1 < /dev/null &"
    guest.run(f"({storm}) {aside}\n({storm}) {aside}", deadline_s=20)

    for _ in range(5):
        with tail(f"--watch {TOP}") as running:
            assert running.finish().stats["dropped_nested"] == 0
    guest.run(
        "touch /run/answer; until grep -q served /tmp/perm; do sleep 0.05; done", deadline_s=30
    )
    driver.unload(attempts=5)
