# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each way to get hold of another process has a record, and a mere look at one has none."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

PTRACE = "--type ptrace --type exec --type fork"


def of(records: tuple[Record, ...]) -> list[Record]:
    """Return the records of ptrace, in the order of the ring."""
    return [one for one in records if one["type"] == "ptrace"]


def test_each_way_to_get_hold_of_a_process_has_one_record_with_call_and_target(
    guest: Guest, tail: Tailing
) -> None:
    """Attach, process_vm_readv and writev, mem and traceme have ptrace records; maps has none.

    It also reads stat and maps of its child, and opens its own mem; these get no hold.
    """
    with tail(PTRACE) as running:
        said = guest.run("osqgrab", deadline_s=60).stdout.splitlines()
        seen = running.finish()

    ways = [line.split() for line in said]
    assert [way[0] for way in ways] == ["attach", "readv", "writev", "mem", "traceme", "parent"]
    callers = {int(way[2]) for way in ways}
    found = [one for one in of(seen.records) if one["pid"] in callers]
    got = [(one["syscall"], one["pid"], one["target_pid"]) for one in found]
    assert got == [(int(way[1]), int(way[2]), int(way[3])) for way in ways]
    assert [one["action"] for one in found] == ["access"] * 4 + ["traceme", "access"]
    (program,) = seen.execs_of("/usr/local/bin/osqgrab")
    for one in found:
        assert one["flags"] == 0
        assert (one["target_dev"], one["target_ino"]) == (program["dev"], program["ino"])
        assert (one["program_dev"], one["program_ino"]) == (program["dev"], program["ino"])
        assert (one["uid"], one["target_uid"], one["target_euid"]) == (0, 0, 0)
    starts = {
        one["child_pid"]: one["child_start_boot_ns"]
        for one in seen.records
        if one["type"] == "fork"
    }
    assert found[0]["target_start_boot_ns"] == starts[found[0]["target_pid"]]
    for one in found[4:]:
        assert one["target_start_boot_ns"] == program["start_boot_ns"]
        assert (one["parent_dev"], one["parent_ino"]) == (program["dev"], program["ino"])


def test_an_attach_that_the_ids_of_the_caller_forbid_makes_no_record(
    guest: Guest, tail: Tailing
) -> None:
    """A user's PTRACE_ATTACH to a process of root fails, and there is no ptrace record."""
    script = """
sleep 60 & target=$!
setpriv --reuid 1000 --regid 1000 --clear-groups osqgrab $target; echo $? $target
kill $target
"""
    with tail(PTRACE) as running:
        status, target = guest.run(script, deadline_s=60).stdout.split()
        seen = running.finish()

    assert status == "0"
    assert [one for one in of(seen.records) if one["target_pid"] == int(target)] == []


def test_only_the_chosen_type_has_its_probes(guest: Guest, tail: Tailing) -> None:
    """The guest kernel lists kprobes of security_ptrace* only while ptrace is subscribed to."""
    listed = "grep -c security_ptrace /sys/kernel/debug/kprobes/list || true"
    with tail("--type ptrace") as running:
        during = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()
    with tail("--type exec") as running:
        after = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()

    assert (during, after) == ("2", "0")
