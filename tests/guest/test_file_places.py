# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Where a file is: mounts, links, names that come later, paths too long, and no path at all."""

import errno
import json
import os

import pytest

from harness.guest import Guest
from harness.pytest_plugin import Driver
from tests.guest.file_log import (
    DELETED,
    FS_PATH,
    OTHER_CONTEXT,
    TRUNC_PATH,
    difference,
    parse_log,
    seen,
    under,
)
from tests.guest.tailing import Record, Tailing

TOP = "/var/tmp/osqplaces"
Told = list[tuple[str, str, str]]

# What 'osqwatch refusals' tries, and the errno that each must get; 0 must work.
REFUSALS = {
    "before_allocate": errno.ENXIO,
    "before_subscribe": errno.ENOTCONN,
    "relative": errno.EINVAL,
    "empty": errno.EINVAL,
    "empty_component": errno.EINVAL,
    "slash_at_the_end": errno.EINVAL,
    "dot": errno.EINVAL,
    "dots": errno.EINVAL,
    "nul": errno.EINVAL,
    "no_action": errno.EINVAL,
    "unknown_action": errno.EINVAL,
    "on_is_2": errno.EINVAL,
    "off_with_actions": errno.EINVAL,
    "off_what_is_not_on": errno.ENOENT,
    "below_a_file": errno.ENOTDIR,
    "long_name": errno.ENAMETOOLONG,
    "too_long": errno.EINVAL,
    "longest": 0,
    "longest_off": 0,
    "null": errno.EFAULT,
    "as_many_as_fit": 0,
    "one_more": errno.ENOSPC,
    "one_again": 0,
    "one_less": 0,
    "one_instead": 0,
    "unsubscribed": errno.ENOTCONN,
    "forgotten": errno.ENOENT,
    "again": 0,
    "invalid": errno.ESTALE,
    "allocated_again": errno.ENOTCONN,
}


@pytest.fixture(autouse=True)
def top(guest: Guest) -> None:
    """Make an empty folder."""
    guest.run(f"rm -rf {TOP}; mkdir {TOP}; cd {TOP}; mkdir a b", deadline_s=30)


def told_of(records: tuple[Record, ...]) -> Told:
    """Return what happened, and to which paths, in order."""
    return [
        (one["action"], one["path"], one["dest_path"]) for one in records if one["type"] == "file"
    ]


def test_each_wrong_watch_has_its_own_errno(guest: Guest, driver: Driver) -> None:
    """Wrong paths, actions, times: refused; watches end with subscription and queue."""
    assert driver.is_loaded()

    said = json.loads(guest.run("osqwatch refusals", deadline_s=60).stdout)

    assert said == REFUSALS
    driver.unload()


def test_a_bind_mount_does_not_hide_a_file(guest: Guest, tail: Tailing) -> None:
    """A watch through a bind mount sees what happens by the other way, under its own name."""
    guest.run(f"cd {TOP}; mkdir a/sub; mount --bind a/sub b", deadline_s=20)

    with tail(f"--watch {TOP}/b") as running:
        guest.run(f"cd {TOP}; : > a/sub/x; : >> b/x; mv a/sub/x a/y; mv a/y b/z", deadline_s=20)
        guest.run(f"umount {TOP}/b", deadline_s=20)
        told = running.finish()

    b, fs = f"{TOP}/b", f"{TOP}/a/y"
    assert told_of(told.records)[:6] == [
        ("create", f"{b}/x", ""),
        ("open", f"{b}/x", ""),
        ("close_write", f"{b}/x", ""),
        ("open", f"{b}/x", ""),
        ("close_write", f"{b}/x", ""),
        ("rename", f"{b}/x", fs),
    ]
    assert told.records[5]["flags"] == FS_PATH
    # Across a mount mv copies, and removes what it has copied.
    assert ("create", f"{b}/z", "") in told_of(told.records)[6:]


def test_the_unwatched_side_is_shown_as_the_mount_shows_it(guest: Guest, tail: Tailing) -> None:
    """A file system mounted elsewhere: the other side of a rename begins with its mount point."""
    guest.run(f"mount -t tmpfs none {TOP}/a; mkdir {TOP}/a/in", deadline_s=20)

    with tail(f"--watch {TOP}/a/in --action rename") as running:
        guest.run(f"cd {TOP}/a; : > x; mv x in/y; mv in/y z; mv z w", deadline_s=20)
        told = running.finish()
    guest.run(f"umount {TOP}/a", deadline_s=20)

    assert told_of(told.records) == [
        ("rename", f"{TOP}/a/x", f"{TOP}/a/in/y"),
        ("rename", f"{TOP}/a/in/y", f"{TOP}/a/z"),
    ]
    assert {one["flags"] for one in told.records} == {0}


def test_a_watch_may_come_before_its_folder(guest: Guest, tail: Tailing) -> None:
    """A path that does not exist yet is watched from its first moment, by a link's target, too."""
    guest.run(f"ln -s a {TOP}/link", deadline_s=20)

    with tail(f"--watch {TOP}/link/new/sub --action create --action unlink") as running:
        guest.run(f"cd {TOP}/a; mkdir new; mkdir new/sub new/sub2; rmdir new/sub", deadline_s=20)
        guest.run(f"cd {TOP}/a; mkdir new/sub; mkdir new/sub/x", deadline_s=20)
        told = running.finish()

    sub = f"{TOP}/link/new/sub"
    assert told_of(told.records) == [
        ("create", sub, ""),
        ("unlink", sub, ""),
        ("create", sub, ""),
        ("create", f"{sub}/x", ""),
    ]


def test_a_folder_that_moves_takes_no_watch_along(guest: Guest, tail: Tailing) -> None:
    """Watched is the path: what moves there is seen, what has left is not, and both moves are."""
    with tail(f"--watch {TOP}/a --action create --action rename") as running:
        guest.run(f"cd {TOP}; mv a c; : > c/no; mv b a; : > a/yes", deadline_s=20)
        told = running.finish()

    assert told_of(told.records) == [
        ("rename", f"{TOP}/a", f"{TOP}/c"),
        ("rename", f"{TOP}/b", f"{TOP}/a"),
        ("create", f"{TOP}/a/yes", ""),
    ]


def test_the_closest_watch_names_and_chooses(guest: Guest, tail: Tailing) -> None:
    """The root is watched, a mounted file system is not below it; actions are as asked for."""
    guest.run(f"mount -t tmpfs none {TOP}/b", deadline_s=20)

    with tail(f"--watch / --watch {TOP}/a --action link") as running:
        guest.run(f"cd {TOP}; : > a/x; ln a/x a/y; ln a/x z; : > b/x; ln b/x b/y", deadline_s=20)
        told = running.finish()
    guest.run(f"umount {TOP}/b", deadline_s=20)

    assert told_of(told.records) == [("link", f"{TOP}/a/y", ""), ("link", f"{TOP}/z", "")]
    assert [one["nlink"] for one in told.records] == [2, 3]


def test_paths_that_are_too_long_are_cut_and_said(guest: Guest, tail: Tailing) -> None:
    """Down to 4,800 bytes: each event is there, its path that of the last folder that fits."""
    with tail(f"--watch {TOP}/a") as running:
        guest.run(f"osqdeep /tmp/log.deep {TOP}/a", deadline_s=60)
        told = running.finish()

    log = parse_log(guest.run("cat /tmp/log.deep", deadline_s=60).stdout)
    done = under([f"{TOP}/a"], log.events)
    assert difference(seen(told.records, log), done) == ""
    assert {one.flags for one in done} == {0, TRUNC_PATH}
    assert sum(one.flags == TRUNC_PATH for one in done) > 20


def test_a_file_without_a_name_has_the_one_it_had(guest: Guest, tail: Tailing) -> None:
    """Closed after it was unlinked: the path it had, and a flag."""
    with tail(f"--watch {TOP}/a --action close_write") as running:
        guest.run(f"cd {TOP}/a; exec 3> x; rm x; exec 3>&-", deadline_s=20)
        told = running.finish()

    (record,) = told.records
    assert told_of(told.records) == [("close_write", f"{TOP}/a/x", "")]
    assert (record["flags"], record["nlink"]) == (DELETED, 0)


def test_a_close_by_the_kernel_is_flagged(guest: Guest, tail: Tailing) -> None:
    """When the last reference is a write's that is under way, a kernel thread closes."""
    tries = 40

    with tail(f"--watch {TOP}/a --action close_write") as running:
        guest.run(f"osqaio {TOP}/a/x {tries}; sleep 0.5", deadline_s=120)
        told = running.finish()

    by_kernel = [one for one in told.records if one["flags"] == OTHER_CONTEXT]
    assert len(told.records) == tries
    assert {one["flags"] for one in told.records} <= {0, OTHER_CONTEXT}
    assert by_kernel
    assert {one["start_boot_ns"] for one in by_kernel}.isdisjoint(
        one["start_boot_ns"] for one in told.records if not one["flags"]
    )


def test_an_unmounted_watch_sees_nothing_and_can_be_renewed(guest: Guest, tail: Tailing) -> None:
    """A watch does not keep a file system from being unmounted."""
    guest.run(f"mount -t tmpfs none {TOP}/a", deadline_s=20)

    with tail(f"--watch {TOP}/a --action create") as running:
        guest.run(f"cd {TOP}; : > a/x; umount a; mount -t tmpfs none a; : > a/y", deadline_s=20)
        told = running.finish()
    with tail(f"--watch {TOP}/a --action create") as running:
        guest.run(f": > {TOP}/a/z", deadline_s=20)
        again = running.finish()
    guest.run(f"umount {TOP}/a", deadline_s=20)

    assert told_of(told.records) == [("create", f"{TOP}/a/x", "")]
    assert told_of(again.records) == [("create", f"{TOP}/a/z", "")]


def test_any_name_comes_through_json(guest: Guest, tail: Tailing) -> None:
    """Each byte that a name can have, in a line that a strict parser takes."""
    name = bytes(code for code in range(1, 256) if code != ord("/"))[:250]
    octal = "".join(f"\\{code:03o}" for code in name)

    with tail(f"--watch {TOP}/a --action create") as running:
        guest.run(f"cd {TOP}/a; : > \"$(printf '{octal}x')\"", deadline_s=20)
        told = running.finish()

    (record,) = told.records
    assert (
        record["path"].encode(errors="surrogateescape") == os.fsencode(f"{TOP}/a/") + name + b"x"
    )
