# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests that an ordinary user cannot hide events from the driver.

The user tries other root folders, other names, namespaces, ids, and storms of events.
"""

from collections import Counter

import pytest

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.file_log import OTHER_CONTEXT
from tests.guest.tailing import Record, Tailing

USER = "setpriv --reuid 1000 --regid 1000 --clear-groups"
TOP = "/var/tmp/osqevade"


def execs(records: tuple[Record, ...], uid: int) -> Counter[str]:
    """Return how often a user ran each program; programs have their path in the user's root."""
    return Counter(one["path"] for one in records if one["type"] == "exec" and one["uid"] == uid)


def test_excluding_a_path_does_not_exclude_another_file_seen_at_that_path_in_a_chroot_or_mount(
    guest: Guest, tail: Tailing
) -> None:
    """With --not-below PATH, a chroot's or mount's other file at PATH still has exec records."""
    guest.run(
        f"rm -rf /opt/agent {TOP}; mkdir -p /opt/agent {TOP}/opt/agent;"
        f"cp /bin/true /opt/agent/own; cp /usr/local/bin/osqprobe {TOP}/opt/agent/evil;"
        f"chown -R 1000:1000 {TOP}",
        deadline_s=20,
    )
    mounted = (
        "mount -t tmpfs none /opt/agent; cp /usr/local/bin/osqprobe /opt/agent/mounted;"
        "/opt/agent/mounted"
    )
    with tail("--type exec --not-below /opt/agent") as running:
        guest.run(
            f"{USER} /opt/agent/own; {USER} unshare -Ur chroot {TOP} /opt/agent/evil;"
            f"{USER} unshare -Urm sh -c '{mounted}'; :",
            deadline_s=60,
        )
        seen = running.finish()
    with tail("--type exec --below /opt/agent") as running:
        guest.run(
            f"{USER} /opt/agent/own; {USER} unshare -Urm sh -c '{mounted}'; :", deadline_s=60
        )
        inside = running.finish()

    told = execs(seen.records, 1000)
    assert (told["/opt/agent/evil"], told["/opt/agent/mounted"]) == (1, 1)
    assert told["/opt/agent/own"] == 0
    assert seen.stats["filtered"] == 1
    # A program that is mounted below a listed path passes the filter by that name.
    assert execs(inside.records, 1000) == {"/opt/agent/own": 1, "/opt/agent/mounted": 1}


def test_the_number_of_a_filtered_namespace_is_not_reused(guest: Guest, tail: Tailing) -> None:
    """While a filter names a pid namespace that has ended, no new namespace gets its number."""
    hold = "unshare --pid --fork sleep 700 > /dev/null 2>&1 < /dev/null & sleep 1; "
    holder = guest.run(f"{hold} pgrep -nxf 'sleep 700'", deadline_s=30).stdout.strip()
    number = guest.run(f"stat -Lc %i /proc/{holder}/ns/pid", deadline_s=20).stdout.strip()
    tries = 40

    with tail(f"--type exec --not-pid-ns {number}") as running:
        guest.run(f"kill -KILL {holder}; sleep 1", deadline_s=30)
        numbers = guest.run(f"{USER} osqevade namespaces {tries} /bin/true", deadline_s=120).stdout
        seen = running.finish()
    refused = guest.run(f"osqtail --not-pid-ns {number}", deadline_s=30, check=False)

    assert number not in numbers.split()
    assert execs(seen.records, 1000)["/usr/bin/true"] == tries
    assert seen.stats["filtered"] == 0
    # No process is in the namespace any more, so none can report its number.
    assert (refused.status, "No such process" in refused.stderr) == (1, True)


def test_a_setuid_program_is_recorded_despite_a_uid_filter(guest: Guest, tail: Tailing) -> None:
    """The setuid program of a user whom a filter excludes is recorded, since it runs as root.

    They are the exec, the new credentials, and the children of the program.
    """
    guest.run(
        f"rm -rf {TOP}; mkdir -p {TOP}; cp /usr/local/bin/osqprobe {TOP}/plain;"
        f"cp {TOP}/plain {TOP}/suid; chmod 4755 {TOP}/suid",
        deadline_s=20,
    )
    as_user = USER.replace("1000", "2000")

    with tail("--type exec --type fork --type cred --not-uid 2000") as running:
        guest.run(f"{as_user} {TOP}/plain; {as_user} {TOP}/suid storm 3; :", deadline_s=60)
        seen = running.finish()

    told = [one for one in seen.records if one.get("uid") == 2000 and one["type"] == "exec"]
    forks = {one["pid"] for one in seen.records if one["type"] == "fork"}
    rises = [
        one
        for one in seen.records
        if one["type"] == "cred" and (one["old"]["euid"], one["now"]["euid"]) == (2000, 0)
    ]
    assert {one["path"] for one in told} == {f"{TOP}/suid"}
    assert told[0]["euid"] == 0
    assert told[0]["pid"] in forks
    assert len(rises) == 1
    # The exec of "plain" by each of the two, and no other exec of it.
    assert seen.stats["filtered"] > 0


def test_the_exec_of_a_file_with_capabilities_by_a_user_whom_a_filter_excludes_is_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """A program with file capabilities, run by a user whom filters exclude, has its record."""
    setuid = 7
    guest.run(
        f"rm -rf {TOP}; mkdir -p {TOP}; cp /usr/local/bin/osqprobe {TOP}/plain;"
        f"cp {TOP}/plain {TOP}/caps; osqevade capability {TOP}/caps {setuid}",
        deadline_s=20,
    )
    as_user = USER.replace("1000", "2000")

    with tail("--type exec --type cred --not-uid 2000") as running:
        guest.run(f"{as_user} {TOP}/plain; {as_user} {TOP}/caps; :", deadline_s=60)
        seen = running.finish()

    rises = [one for one in seen.records if one["type"] == "cred" and one["now"]["uid"] == 2000]
    assert execs(seen.records, 2000) == {f"{TOP}/caps": 1}
    assert any(one["now"]["effective"] & 1 << setuid for one in rises)
    assert seen.stats["filtered"] > 0


def test_the_kernels_closes_of_a_users_files_take_no_room_of_roots_programs(
    guest: Guest, tail: Tailing
) -> None:
    """A user has the kernel close so many watched files that the ring fills; root's exec fits."""
    watched = f"{TOP}/watched"
    guest.run(
        f"rm -rf {TOP}; mkdir -p {watched}; cp /bin/true {TOP}/root; echo x > {watched}/file;"
        f"chown -R 1000:1000 {TOP}",
        deadline_s=20,
    )

    options = f"--type exec --watch {watched} --action close_write --ring-bytes 65536"
    with tail(options) as running:
        guest.run(
            f"pkill -STOP -x osqtail; {USER} osquring {watched}/file 600; {TOP}/root;"
            "pkill -CONT -x osqtail",
            deadline_s=120,
        )
        seen = running.finish()

    closed = [one for one in seen.records if one["type"] == "file"]
    assert seen.stats["dropped_full"] > 50
    assert {one["flags"] for one in closed} == {OTHER_CONTEXT}
    assert len(seen.execs_of(f"{TOP}/root")) == 1


def test_an_including_path_filter_passes_a_program_that_is_too_deep_to_be_placed(
    guest: Guest, tail: Tailing
) -> None:
    """A program over 512 folders deep, run in a chroot, is recorded: its place is unknown."""
    deep = "/mnt/osqdeep"
    folder = f"{deep}{'/d' * 520}"
    guest.run(
        f"mkdir -p {deep}; mount -t tmpfs none {deep}; mkdir -p {folder} {deep}/near;"
        f"cp /usr/local/bin/osqprobe {folder}/evil; cp /usr/local/bin/osqprobe {deep}/near/evil;"
        f"mkdir {deep}/other; cp /usr/local/bin/osqprobe {deep}/other/evil",
        deadline_s=60,
    )
    chroots = (
        f"{USER} unshare -Ur chroot {at} /evil exit"
        for at in (folder, f"{deep}/near", f"{deep}/other")
    )

    with tail(f"--type exec --below {deep}/near --below {deep}/d") as running:
        guest.run("; ".join(chroots), deadline_s=60)
        seen = running.finish()

    guest.run(f"umount {deep}", deadline_s=60)
    # The third is in neither folder.
    assert len(seen.execs_of("/evil")) == 2


def test_roots_programs_are_recorded_after_a_user_filled_the_ring(
    guest: Guest, tail: Tailing
) -> None:
    """A user's 300 execs fill the ring except for root's reserve; root's next exec is recorded."""
    guest.run(f"rm -rf {TOP}; mkdir -p {TOP}; cp /bin/true {TOP}/root", deadline_s=20)

    with tail("--type exec --type cred --ring-bytes 65536") as running:
        guest.run(
            f"pkill -STOP -x osqtail; {USER} osqprobe storm 300; {TOP}/root;"
            "pkill -CONT -x osqtail",
            deadline_s=120,
        )
        seen = running.finish()

    assert seen.stats["dropped_full"] > 50
    assert len(seen.execs_of(f"{TOP}/root")) == 1
    assert seen.stats["attempts"] == seen.stats["committed"] + seen.stats["dropped"]


def test_another_users_setuid_program_is_recorded_after_a_user_filled_the_ring(
    guest: Guest, tail: Tailing
) -> None:
    """After 2,000 changes of one user's own credentials, another's setuid exec is recorded."""
    guest.run(
        f"rm -rf {TOP}; mkdir -p {TOP}; cp /usr/local/bin/osqprobe {TOP}/suid;"
        f"chmod 4755 {TOP}/suid",
        deadline_s=20,
    )
    as_another = USER.replace("1000", "2000")

    with tail("--type exec --type cred --ring-bytes 262144") as running:
        guest.run(
            f"pkill -STOP -x osqtail; {USER} osqevade keepcaps 2000;"
            f"{as_another} {TOP}/suid exit; pkill -CONT -x osqtail",
            deadline_s=120,
        )
        seen = running.finish()

    creds = [one for one in seen.records if one["type"] == "cred"]
    ids = [(one["old"]["euid"], one["now"]["euid"]) for one in creds]
    assert seen.stats["dropped_full"] > 50
    assert ids.count((1000, 1000)) > 100
    assert ids.count((2000, 0)) == 1
    assert len(seen.execs_of(f"{TOP}/suid")) == 1
    assert seen.stats["attempts"] == seen.stats["committed"] + seen.stats["dropped"]


def test_a_type_fills_its_share_of_the_ring_and_no_more(guest: Guest, tail: Tailing) -> None:
    """When execs have filled a share of 25 %, they are dropped, and exits still have records."""
    with tail("--type exec --type exit --share exec=25 --ring-bytes 65536") as running:
        guest.run(
            "pkill -STOP -x osqtail; for n in $(seq 100); do /bin/true; done;"
            "cat /sys/class/osq/osquery/stats > /tmp/stats; pkill -CONT -x osqtail",
            deadline_s=120,
        )
        unread = guest.run("awk '/unread_bytes/ {print $2}' /tmp/stats", deadline_s=20).stdout
        seen = running.finish()

    lost = [one for one in seen.records if one["type"] == "lost"]
    ended = [one for one in seen.records if one["type"] == "exit"]
    assert seen.stats["dropped_full"] > 20
    assert {tuple(one["types"]) for one in lost} == {("exec",)}
    assert len(ended) >= 100
    assert 65_536 // 4 < int(unread) < 65_536
    assert seen.stats["attempts"] == seen.stats["committed"] + seen.stats["dropped"]


def test_low_priority_processes_on_a_busy_cpu_lose_no_exec_record(
    guest: Guest, tail: Tailing
) -> None:
    """Eight low-priority processes share a CPU with a busy one, and each exec has its record."""
    with tail("--type exec --ring-bytes 16777216 --watermark 1048576") as running:
        count = int(guest.run("osqevade nest 1 6 8 /bin/true", deadline_s=120).stdout)
        seen = running.finish()

    assert count > 0
    assert seen.stats["dropped"] == 0
    assert count <= len(seen.execs_of("/usr/bin/true")) <= count + 8


@pytest.mark.parametrize(
    "switch",
    ["sysctl -q kernel.ftrace_enabled={}", "echo {} > /sys/kernel/debug/kprobes/enabled"],
    ids=["ftrace", "kprobes"],
)
def test_hooks_that_root_switches_off_are_reported_in_stats_and_log(
    guest: Guest, driver: Driver, tail: Tailing, switch: str
) -> None:
    """With ftrace or kprobes switched off, STATS and the kernel log say so, and again when on.

    Record types that do not use these hooks are not reported. A newer kernel (7.3 for example)
    ignores ftrace_enabled and logs that; the hooks then work all the time.
    """
    driver.unload()
    driver.load(hook_check_s="1")
    off = "grep hooks_off /sys/class/osq/osquery/stats"

    with tail("--type exec --type cred") as running:
        before = guest.run(off, deadline_s=20).stdout
        pause = f"{switch.format(0)}; sleep 3; {off}; {switch.format(1)}"
        during = guest.run(pause, deadline_s=60).stdout
        after = guest.run(off, deadline_s=20).stdout
        running.finish()
    log = guest.run("dmesg", deadline_s=20).stdout
    ignored = "ftrace_enabled" in switch and "no longer disables ftrace" in log
    said = [line for line in log.splitlines() if "kprobes are" in line or "kprobes work" in line]

    masks = [one.split()[1] for one in (before, during, after)]
    assert masks == ["0", "0" if ignored else str(1 << 8), "0"]
    if not ignored:
        assert "switched off" in said[-2]
        assert "work again" in said[-1]
    driver.unload()
