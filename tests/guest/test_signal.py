# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Each signal that a process sends to another one has a record, and the kernel's own have none."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

SIGNAL = "--type signal --type exec --type fork"


def of(records: tuple[Record, ...]) -> list[Record]:
    """Return the records of signals, in the order of the ring."""
    return [one for one in records if one["type"] == "signal"]


def test_each_way_to_signal_another_process_has_one_record_with_call_and_target(
    guest: Guest, tail: Tailing
) -> None:
    """The records are those of osqsignal's own log: not its question, nor its own signal."""
    with tail(SIGNAL) as running:
        first, *said = guest.run("osqsignal", deadline_s=60).stdout.splitlines()
        seen = running.finish()

    sender, child = map(int, first.split())
    calls = [tuple(map(int, line.split())) for line in said]
    assert len(calls) == 7
    found = [one for one in of(seen.records) if one["pid"] == sender]
    assert [(one["syscall"], one["signal"]) for one in found] == calls
    (program,) = seen.execs_of("/usr/local/bin/osqsignal")
    (fork,) = [one for one in seen.records if one["type"] == "fork" and one["child_pid"] == child]
    for one in found:
        assert (one["target_pid"], one["target_tid"], one["flags"]) == (child, child, 0)
        assert one["target_start_boot_ns"] == fork["child_start_boot_ns"]
        assert (one["target_dev"], one["target_ino"]) == (program["dev"], program["ino"])
        assert (one["uid"], one["target_uid"], one["target_euid"]) == (0, 0, 0)
    assert [one for one in of(seen.records) if one["target_pid"] == sender] == []


def test_a_signal_that_the_ids_of_the_sender_forbid_makes_no_record(
    guest: Guest, tail: Tailing
) -> None:
    """A user who signals a process of root is refused; root's signal to a user's is recorded."""
    user = "setpriv --reuid 1000 --regid 1000 --clear-groups"
    script = f"""
sleep 60 & mine=$!
{user} sleep 60 & theirs=$!
sleep 1
{user} kill -TERM $mine; echo $?
kill -TERM $theirs $mine
echo $mine $theirs
"""
    with tail(SIGNAL) as running:
        status, pids = guest.run(script, deadline_s=60).stdout.splitlines()
        seen = running.finish()

    mine, theirs = map(int, pids.split())
    assert status != "0"
    to_mine = [one for one in of(seen.records) if one["target_pid"] == mine]
    to_theirs = [one for one in of(seen.records) if one["target_pid"] == theirs]
    assert [(one["uid"], one["signal"]) for one in to_mine] == [(0, 15)]
    assert [(one["uid"], one["signal"], one["target_uid"]) for one in to_theirs] == [(0, 15, 1000)]


def test_the_probe_of_signals_comes_and_goes_with_the_type(guest: Guest, tail: Tailing) -> None:
    """The probe is there while the type is subscribed to, and gone afterwards."""
    listed = "grep -c security_task_kill /sys/kernel/debug/kprobes/list || true"
    with tail("--type signal") as running:
        during = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()
    with tail("--type exec") as running:
        after = guest.run(listed, deadline_s=20).stdout.strip()
        running.finish()

    assert (during, after) == ("1", "0")
