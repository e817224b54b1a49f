# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each way to change what a process sees of the machine has a record, with where and what."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

FOLDER = "/tmp/osqmounts"
NO_PATH = 0x8


def of(records: tuple[Record, ...], pid: int) -> list[Record]:
    """Return the records of namespaces of one process, in the order of the ring."""
    return [one for one in records if one["type"] == "namespace" and one["pid"] == pid]


def has_paths(guest: Guest) -> bool:
    """Return whether the kernel's probes can build paths: with PREEMPT_RT they cannot."""
    return guest.run("cat /sys/kernel/realtime", deadline_s=20, check=False).stdout != "1\n"


def test_each_way_to_change_mounts_root_and_namespaces_has_one_record(
    guest: Guest, tail: Tailing
) -> None:
    """The records are those of osqmounts' own log, in its order, and nothing else has one."""
    paths = has_paths(guest)
    with tail("--type namespace") as running:
        first, *said = guest.run(f"osqmounts {FOLDER}", deadline_s=60).stdout.splitlines()
        seen = running.finish()

    found = of(seen.records, int(first))
    calls = [line.split() for line in said]
    assert [call[0] for call in calls] == [
        *("switch", "mount", "mount", "mount", "umount", "move", "pivot", "chroot", "switch"),
    ]
    assert [(one["action"], one["syscall"], one["mount_flags"]) for one in found] == [
        (action, int(number), int(flags)) for action, number, flags, _ in calls
    ]
    for one, (action, _, _, path) in zip(found, calls, strict=True):
        expected = "" if action == "switch" or not paths else path
        assert one["path"] == expected
        assert one["flags"] == (0 if paths or action == "switch" else NO_PATH)
        assert (one["uid"], one["euid"]) == (0, 0)
    assert found[0]["changed"] == ["mnt", "uts"]
    assert found[0]["mnt_ns"] == int(calls[0][3])
    assert {one["mnt_ns"] for one in found} == {int(calls[0][3])}
    assert found[-1]["changed"] == ["uts"]
    assert found[-1]["uts_ns"] == int(calls[-1][3])
    assert [(one["source"], one["fs"]) for one in found[1:4]] == [
        *(("none", ""), ("osqsource", "tmpfs"), (FOLDER, "")),
    ]
    assert {one["fs"] for one in found[4:8]} == {"tmpfs"}
    assert found[4]["dev"] == found[6]["dev"] != found[5]["dev"] == found[7]["dev"]


def test_a_users_mount_in_a_new_user_namespace_is_recorded_with_it(
    guest: Guest, tail: Tailing
) -> None:
    """The record of the mount has the user's id outside, and the number of his namespace."""
    inside = "readlink /proc/self/ns/user; exec mount -t tmpfs own /mnt"
    script = f"""
setpriv --reuid 1000 --regid 1000 --clear-groups unshare -Urm sh -c '{inside}'
"""
    with tail("--type namespace") as running:
        link = guest.run(script, deadline_s=60).stdout.strip()
        seen = running.finish()

    number = int(link.removeprefix("user:[").removesuffix("]"))
    own = [one for one in seen.records if one["type"] == "namespace" and one["uid"] == 1000]
    assert {one["user_ns"] for one in own if one["action"] in {"mount", "move"}} == {number}
    ways = [one for one in own if one["fs"] == "tmpfs"]
    assert len(ways) == 1
    assert ways[0]["flags"] in {0, NO_PATH}


def test_the_probes_of_namespaces_come_and_go_with_the_type(guest: Guest, tail: Tailing) -> None:
    """The probes are there while the type is subscribed to, and gone afterwards."""
    hooks = "security_sb_\\|security_move_mount\\|security_path_chroot\\|switch_task_namespaces"
    listed = f"grep -c '{hooks}' /sys/kernel/debug/kprobes/list || true"
    with tail("--type namespace") as running:
        during = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()
    with tail("--type exec") as running:
        after = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()

    assert (during, after) == ("6", "0")
