# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A process's fork, exec and exit are recorded in order, and none is lost in a storm."""

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

ALL = "--type fork --type exec --type exit"


def life_of(records: tuple[Record, ...], pid: int) -> list[str]:
    """Return the records of one process, in the order of the ring."""
    return [
        one["type"]
        for one in records
        if (one["type"] == "fork" and one["child_tid"] == pid)
        or (one["type"] in {"exec", "exit"} and one["tid"] == pid)
    ]


def test_a_child_process_has_fork_exec_and_exit_records(guest: Guest, tail: Tailing) -> None:
    """In a guest, the three records of a child that exits with 7 have its and its parent's pid."""
    with tail(ALL) as running:
        said = guest.run("sh -c 'sh -c \"exit 7\" & echo $$ $!; wait'", deadline_s=20).stdout
        seen = running.finish()

    parent, child = (int(word) for word in said.split())
    (fork,) = [one for one in seen.records if one.get("child_pid") == child]
    (end,) = [one for one in seen.records if one["type"] == "exit" and one["pid"] == child]
    assert life_of(seen.records, child) == ["fork", "exec", "exit"]
    assert (fork["pid"], fork["child_tid"]) == (parent, child)
    assert (end["status"], end["last"], end["ppid"]) == (7 << 8, 1, parent)
    assert fork["child_start_boot_ns"] == end["start_boot_ns"]


def test_the_exit_status_of_a_killed_process_contains_the_signal(
    guest: Guest, tail: Tailing
) -> None:
    """In a guest, the exit record of a `sleep` that SIGKILL ended has 9 in its status."""
    with tail("--type exit") as running:
        said = guest.run("sleep 60 & p=$!; kill -9 $p; wait $p; echo $p", deadline_s=20).stdout
        seen = running.finish()

    (end,) = [one for one in seen.records if one["pid"] == int(said)]
    assert end["status"] & 0x7F == 9


def test_the_last_exit_record_of_a_process_has_the_status_that_wait_returns(
    guest: Guest, tail: Tailing
) -> None:
    """When a thread outlives the main thread, its exit record (last=1) has the status of wait."""
    with tail("--type exit --processes") as running:
        said = guest.run("osqevade leader & p=$!; wait $p; echo $p $?", deadline_s=20).stdout
        seen = running.finish()

    pid, status = (int(word) for word in said.split())
    (end,) = [one for one in seen.records if one["pid"] == pid]
    assert end["status"] == status << 8
    assert (end["last"], end["tid"] == pid) == (1, False)


def test_the_exit_of_a_process_has_the_largest_memory_that_wait4_reports(
    guest: Guest, tail: Tailing
) -> None:
    """The largest memory of each child is that of its parent's wait4, to the byte."""
    with tail(ALL) as running:
        said = guest.run("osqrss 1 8 3", deadline_s=60).stdout.splitlines()
        seen = running.finish()

    ends = {one["pid"]: one for one in seen.records if one["type"] == "exit" and one["last"]}
    waited = [tuple(map(int, line.split())) for line in said]
    assert [ends[pid]["max_rss_bytes"] for pid, _ in waited] == [1024 * kib for _, kib in waited]
    assert ends[waited[1][0]]["max_rss_bytes"] > 8 << 20


def test_each_of_many_processes_has_fork_exec_and_exit_in_this_order(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """In a storm of 300 processes in a guest, each has the three records once, in this order."""
    count = 5_000 if long_run else 300

    with tail(f"{ALL} --ring-bytes 8388608") as running:
        guest.run(f"/usr/local/bin/osqprobe storm {count}", deadline_s=600)
        seen = running.finish()

    storm = [one["pid"] for one in seen.records if one.get("argv", [""])[-1] == "exit"]
    lives: dict[int, list[str]] = {pid: [] for pid in storm}
    for one in seen.records:
        pid = one["child_pid"] if one["type"] == "fork" else one["pid"]
        if pid in lives:
            lives[pid].append(one["type"])
    assert seen.stats["dropped"] == 0
    assert len(lives) == count
    assert {tuple(life) for life in lives.values()} == {("fork", "exec", "exit")}
