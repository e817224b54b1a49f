# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""An ordinary user cannot change a watched file without a record.

The user writes by every call, by other names, from other folders and through mounts of his own.
"""

from collections import Counter

from harness.systems.ssh import Guest
from tests.guest.file_log import NO_PATH, OTHER_CONTEXT, OTHER_NAME
from tests.guest.tailing import Tailing

USER = "setpriv --reuid 1000 --regid 1000 --clear-groups"
TOP = "/var/tmp/osqevade"
# The driver climbs this many parent folders; kernel/os/linux/osq_file.h has OSQ_CLIMB_MAX.
CLIMBED = 512
# Seen: 6.1 tells nothing of what overlayfs writes, and 6.12 tells it. None between was tried.
OVERLAYFS_TELLS = (6, 12)


def test_watched_files_truncation_new_time_unclosed_writes_and_link_made_outside_are_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """Truncate, utimes, unclosed writes and each act by an outside hard link make records."""
    watched, outside = f"{TOP}/watched", f"{TOP}/outside"
    guest.run(
        f"rm -rf {TOP}; mkdir -p {watched} {outside};"
        f"for f in cut linked touched held; do echo hello > {watched}/$f; done; sync",
        deadline_s=20,
    )
    numbers = guest.run(f"stat -c %i {watched}/linked", deadline_s=20).stdout.strip()

    with tail(f"--watch {watched}") as running:
        guest.run(
            f"osqevade files {watched} {outside} > /tmp/evade 2>&1 < /dev/null &"
            "until grep -q done /tmp/evade; do sleep 0.05; done",
            deadline_s=60,
        )
        told = running.finish()
    guest.run("pkill -x osqevade", deadline_s=20)

    by_path = Counter((one["path"], one["action"]) for one in told.records)
    other = [one for one in told.records if one["flags"] & OTHER_NAME]
    assert by_path[f"{watched}/cut", "modify"] == 1
    assert by_path[f"{watched}/touched", "modify"] == 1
    # Fifty writes follow each other without a pause.
    assert by_path[f"{watched}/held", "modify"] in {1, 2}
    assert [one["action"] for one in other] == [
        *("link", "open", "modify", "close_write", "attrib", "unlink")
    ]
    assert {str(one["ino"]) for one in other} == {numbers}
    assert all(one["path"].endswith("outside/other") for one in other)
    assert told.stats["dropped"] == 0


def test_changes_of_a_file_right_after_a_close_by_the_same_process_are_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """A second change within a second of a close_write record is not taken for part of it."""
    watched = f"{TOP}/watched"
    guest.run(f"rm -rf {TOP}; mkdir -p {watched}; : > {watched}/cut", deadline_s=20)

    with tail(f"--watch {watched} --action modify --action close_write") as running:
        guest.run(
            f"osqevade late {watched} > /tmp/evade 2>&1 < /dev/null &"
            "until grep -q done /tmp/evade; do sleep 0.05; done",
            deadline_s=60,
        )
        told = running.finish()
    guest.run("pkill -x osqevade", deadline_s=20)

    for name in ("cut", "two"):
        actions = [one["action"] for one in told.records if one["path"] == f"{watched}/{name}"]
        assert actions == ["modify", "close_write", "modify"], name


def test_a_change_through_a_mapping_that_the_kernel_closes_is_recorded_despite_a_uid_filter(
    guest: Guest, tail: Tailing
) -> None:
    """A kernel thread, as root, closes a user's file; a filter without root passes the record."""
    watched = f"{TOP}/watched"
    guest.run(
        f"rm -rf {TOP}; mkdir -p {watched}; echo x > {watched}/file; chown -R 1000:1000 {TOP}",
        deadline_s=20,
    )

    with tail(f"--watch {watched} --action close_write --not-uid 0") as running:
        guest.run(f"{USER} osquring {watched}/file 1; echo x > {watched}/roots", deadline_s=60)
        told = running.finish()

    assert [(one["path"], one["flags"]) for one in told.records] == [
        (f"{watched}/file", OTHER_CONTEXT)
    ]
    assert told.stats["filtered"] == 1


def test_a_users_change_through_roots_overlayfs_has_the_users_ids(
    guest: Guest, tail: Tailing
) -> None:
    """An unlink record has the unlinking user's ids; only fsuid is that of root, who mounted."""
    guest.run(
        f"rm -rf {TOP}; mkdir -p {TOP}/watched {TOP}/lower {TOP}/work {TOP}/merged;"
        f"echo old > {TOP}/watched/file; chown -R 1000:1000 {TOP}/watched;"
        f"mount -t overlay overlay -o lowerdir={TOP}/lower,upperdir={TOP}/watched,"
        f"workdir={TOP}/work {TOP}/merged",
        deadline_s=20,
    )

    with tail(f"--watch {TOP}/watched --action unlink") as running:
        guest.run(f"{USER} rm -f {TOP}/merged/file", deadline_s=60)
        told = running.finish()
    guest.run(f"umount {TOP}/merged", deadline_s=20)

    (record,) = told.records
    names = ("uid", "euid", "suid", "gid", "egid", "sgid")
    assert record["path"] == f"{TOP}/watched/file"
    assert {record[name] for name in names} == {1000}
    # The rights that the file system has looked at are the mounter's.
    assert record["fsuid"] == 0


def test_writes_through_an_older_hard_link_outside_the_watch_are_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """The write has a record if the kernel still caches the file's name in the watched folder."""
    watched, outside = f"{TOP}/watched", f"{TOP}/outside"
    guest.run(
        f"rm -rf {TOP}; mkdir -p {watched} {outside}; echo hello > {watched}/old;"
        f"ln {watched}/old {outside}/other; : > {outside}/a; ln {outside}/a {outside}/b;"
        f"stat {watched}/old",
        deadline_s=20,
    )

    with tail(f"--watch {watched}") as running:
        guest.run(f"echo x >> {outside}/other; echo x >> {outside}/a", deadline_s=20)
        told = running.finish()

    assert [one["action"] for one in told.records] == ["open", "modify", "close_write"]
    assert {one["flags"] & OTHER_NAME for one in told.records} == {OTHER_NAME}


def test_writes_by_six_calls_and_by_lost_names_of_watched_files_are_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """pwrite, sendfile, splice and the like have records, also when the file's name is gone."""
    watched, outside = f"{TOP}/watched", f"{TOP}/outside"
    guest.run(
        f"rm -rf {TOP}; mkdir -p {watched} {outside}; : > {watched}/exchanged", deadline_s=20
    )

    with tail(f"--watch {watched} --action modify --action rename --action link") as running:
        guest.run(
            f"osqevade ways {watched} {outside} > /tmp/evade 2>&1 < /dev/null &"
            "until grep -q done /tmp/evade; do sleep 0.05; done",
            deadline_s=60,
        )
        told = running.finish()
    guest.run("pkill -x osqevade", deadline_s=20)

    changed = {one["path"] for one in told.records if one["action"] == "modify"}
    links = {one["path"] for one in told.records if one["action"] == "link"}
    renames = [one for one in told.records if one["action"] == "rename"]
    ways = ("pwrite", "copy", "sendfile", "splice", "fallocate", "ftruncate")
    assert {f"{watched}/{way}" for way in ways} <= changed
    # Of these the writer has a name that no watch covers, and that is gone.
    assert sum(f"{outside}/" in one for one in changed) == 2
    assert {f"{watched}/no_name", f"{watched}/lost_name"} == links
    assert len(renames) == 2
    assert told.stats["dropped"] == 0


def test_a_write_through_a_users_own_overlayfs_has_records_on_6_12_and_none_on_6_1(
    guest: Guest, tail: Tailing
) -> None:
    """On 6.1 fsnotify does not report what overlayfs writes into its upper, watched folder.

    That kernel tells nobody of it. When this fails, docs/security.md is wrong.
    """
    guest.run(
        f"rm -rf {TOP}; mkdir -p {TOP}/watched {TOP}/lower {TOP}/work {TOP}/merged;"
        f"echo old > {TOP}/watched/file; chown -R 1000:1000 {TOP}",
        deadline_s=20,
    )
    layers = f"lowerdir={TOP}/lower,upperdir={TOP}/watched,workdir={TOP}/work"
    mount = f"mount -t overlay overlay -o userxattr,{layers} {TOP}/merged"
    # The kernel does report a truncation, so the file is written in place.
    script = f"{mount}; echo new 1<> {TOP}/merged/file"

    with tail(f"--watch {TOP}/watched --action modify --action close_write") as running:
        guest.run(f"{USER} unshare -Urm sh -ec '{script}'", deadline_s=60)
        told = running.finish()
    content = guest.run(f"cat {TOP}/watched/file", deadline_s=20).stdout
    release = guest.run("uname -r", deadline_s=20).stdout.split(".")
    tells = (int(release[0]), int(release[1])) >= OVERLAYFS_TELLS

    assert content == "new\n"
    assert [one["action"] for one in told.records] == (["modify", "close_write"] if tells else [])


def test_a_renamed_folder_above_the_watch_is_recorded(guest: Guest, tail: Tailing) -> None:
    """Renaming a parent of the watched folder away, and back again, makes two rename records."""
    above, away = f"{TOP}/one/above", f"{TOP}/away"
    guest.run(f"rm -rf {TOP}; mkdir -p {above}/watched {TOP}/beside", deadline_s=20)

    with tail(f"--watch {above}/watched") as running:
        guest.run(
            f"mv {TOP}/one {away}; : > {away}/above/watched/file; mv {away} {TOP}/one;"
            f"mv {TOP}/beside {TOP}/aside",
            deadline_s=20,
        )
        told = running.finish()

    moves = [(one["action"], one["path"], one["dest_path"]) for one in told.records]
    assert moves == [("rename", f"{TOP}/one", away), ("rename", away, f"{TOP}/one")]


def test_a_write_by_one_of_40_unwatched_names_of_a_watched_file_is_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """A write through one of 40 hard links outside of the watched folder has a flagged record."""
    many = "/mnt/osqmany"
    guest.run(
        f"mkdir -p {many}; mount -t tmpfs none {many}; cd {many}; mkdir watched outside;"
        "echo hello > watched/file; : > outside/alone;"
        "for n in $(seq 40); do ln watched/file outside/$n; done",
        deadline_s=60,
    )

    with tail(f"--watch {many}/watched --action modify") as running:
        guest.run(f"echo x >> {many}/outside/40; echo x >> {many}/outside/alone", deadline_s=20)
        told = running.finish()

    guest.run(f"umount {many}", deadline_s=60)
    assert [one["flags"] & OTHER_NAME for one in told.records] == [OTHER_NAME]
    assert told.records[0]["path"].endswith("outside/40")


def test_a_recorded_change_below_6000_folders_takes_less_than_4_times_as_long_as_below_532(
    guest: Guest, tail: Tailing
) -> None:
    """The driver climbs at most 512 parent folders, so a deeper file costs hardly more."""
    # Removing so many folders takes long; unmounting a separate file system is quick.
    deep = "/mnt/osqdeep"
    guest.run(
        f"mkdir -p {deep}; mount -t tmpfs none {deep}; mkdir {deep}/watched {deep}/a {deep}/b",
        deadline_s=60,
    )
    times = 40
    with tail(f"--watch {deep}/watched --action attrib") as running:
        near = int(guest.run(f"osqclimb {deep}/a {CLIMBED + 20} {times}", deadline_s=120).stdout)
        far = int(guest.run(f"osqclimb {deep}/b 6000 {times}", deadline_s=120).stdout)
        told = running.finish()

    guest.run(f"umount {deep}", deadline_s=60)
    assert {one["flags"] for one in told.records} == {NO_PATH}
    assert len(told.records) == 2 * times
    # The second folder is twelve times as deep. The shortest of many tries is the cost; part of it
    # is the record.
    assert far < 4 * near
