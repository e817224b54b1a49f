# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""File events agree with the log of a seeded workload of many processes."""

import json
from dataclasses import dataclass, replace

import pytest

from harness.systems.ssh import Guest
from tests.guest.file_log import (
    Event,
    Log,
    covers,
    difference,
    is_part_of,
    parse_log,
    seen,
    under,
)
from tests.guest.tailing import Record, Tailed, Tailing

BASE = "/var/tmp/osqfiles"
PROCESSES = (1, 2, 3)
# A folder whose name begins like the watched folder's is not below it.
FOLDERS = ("in", "inside")
WATCHED = [f"{BASE}/{process}/in" for process in PROCESSES]
RUN_S = 3000.0
ACTIONS = {"open", "close_write", "rename", "unlink", "create", "attrib", "link"}

_SET_UP = f"""
rm -rf {BASE} /tmp/log.*; mkdir -p {BASE}
for i in {" ".join(map(str, PROCESSES))}; do
    mkdir {BASE}/$i; for f in {" ".join(FOLDERS)} maybe; do mkdir {BASE}/$i/$f; done
done
chown -R tester {BASE}/3
"""


@pytest.fixture(autouse=True)
def folders(guest: Guest) -> None:
    """Make the folders of all processes; the third process runs as an ordinary user."""
    guest.run(_SET_UP, deadline_s=60)


def work(count: int, *folders: str) -> str:
    """Return the shell line that runs the workload, all processes at once."""
    lines = []
    for process in PROCESSES:
        own = " ".join(f"{BASE}/{process}/{name}" for name in folders)
        user = "setpriv --reuid 1000 --regid 1000 --clear-groups " if process == 3 else ""
        log = f"/tmp/log.{process}"
        lines.append(f": > {log}; chmod 666 {log}")
        lines.append(f"{user}osqfiles {log} {process} {count} {own} & p{process}=$!")
    waits = " && ".join(f"wait $p{process}" for process in PROCESSES)
    return "\n".join([*lines, waits])


def logs(guest: Guest) -> list[Log]:
    """Return the log of each process of the workload."""
    return [
        parse_log(guest.run(f"cat /tmp/log.{process}", deadline_s=300).stdout)
        for process in PROCESSES
    ]


@dataclass(frozen=True, kw_only=True)
class Run:
    """The driver's records and the workload's logs of one run."""

    told: Tailed
    done: tuple[Log, ...]


@pytest.fixture
def run(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> Run:
    """Run the workload while a reader reads, and return the driver's records and the logs."""
    count = 12_000 if long_run else 300
    watches = " ".join(f"--watch {one}" for one in WATCHED)
    with tail(f"{watches} --ring-bytes 67108864 --watermark 1048576") as running:
        guest.run(work(count, *FOLDERS), deadline_s=RUN_S)
        told = running.finish()
    return Run(told=told, done=tuple(logs(guest)))


def test_each_event_of_three_processes_in_watched_folders_is_recorded_once_and_in_order(
    run: Run,
) -> None:
    """Three processes log their random file actions in a guest; the records equal their logs.

    The comparison is then shown logs that are wrong in one place.
    """
    assert run.told.stats["dropped"] == 0
    for log in run.done:
        done = under(WATCHED, log.events)
        assert difference(seen(run.told.records, log), done) == ""
        assert len(done) < len(log.events)
    assert {one["pid"] for one in run.told.records} == {log.pid for log in run.done}
    assert {one.action for log in run.done for one in log.events} == ACTIONS
    must_see_bad_logs(seen(run.told.records, run.done[0]), under(WATCHED, run.done[0].events))


def must_see_bad_logs(told: list[Event], done: list[Event]) -> None:
    """Assert that the comparison finds a missing, doubled, misplaced or foreign event."""
    assert difference(told[:-1], done) != ""
    assert difference(told, done[1:]) != ""
    assert difference([*told, told[-1]], done) != ""
    assert difference([told[1], told[0], *told[2:]], done) != ""
    assert not is_part_of([told[1], told[0]], done[:2])
    for bad in (
        replace(told[9], path=told[9].path + b"x"),
        replace(told[9], dest=told[9].dest + b"x"),
        replace(told[9], ino=told[9].ino + 1),
        replace(told[9], nlink=told[9].nlink + 1),
        replace(told[9], mode=told[9].mode ^ 0o100),
        replace(told[9], uid=told[9].uid + 1),
        replace(told[9], flags=1),
    ):
        assert difference([*told[:9], bad, *told[10:]], done) != ""
    with pytest.raises(ValueError, match="no whole log"):
        parse_log("process 1 0 0 0 0 0 0 0 0\n")


def test_with_a_full_ring_file_records_and_counted_drops_add_up_to_the_events(
    guest: Guest, tail: Tailing
) -> None:
    """With osqtail stopped and a small ring, records plus drops equal the processes' own logs."""
    watches = " ".join(f"--watch {one}" for one in WATCHED)
    # The number of modification records depends on the time that passes.
    actions = " ".join(f"--action {one}" for one in sorted(ACTIONS))

    with tail(f"{watches} {actions} --ring-bytes 32768") as running:
        guest.run("pkill -STOP -x osqtail", deadline_s=20)
        guest.run(work(100, "in"), deadline_s=RUN_S)
        guest.run("pkill -CONT -x osqtail", deadline_s=20)
        told = running.finish()

    done = logs(guest)
    count = sum(len(under(WATCHED, log.events)) for log in done)
    told_count = sum(len(seen(told.records, log)) for log in done)
    assert told_count > 50
    assert told.stats["dropped_full"] > 50
    assert told_count + told.stats["dropped"] == count
    for log in done:
        assert is_part_of(seen(told.records, log), under(WATCHED, log.events))


def test_a_permanent_watch_loses_no_event_while_other_watches_change(
    guest: Guest,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Watches of other folders come and go while three processes work; no record is missing."""
    count = 4_000 if long_run else 200
    maybe = [f"{BASE}/{process}/maybe" for process in PROCESSES]
    script = f"""
osqwatch /tmp/records {BASE}/1/in {BASE}/2/in {" ".join(maybe)} > /tmp/said & watcher=$!
until grep -q ready /tmp/said; do sleep 0.05; done
export OSQFILES_PAUSE_US=20000  # a watch takes as long as its grace period, on any machine
{work(count, *FOLDERS, "maybe")}
kill $watcher; wait $watcher; tail -n 1 /tmp/said
"""
    said = json.loads(guest.run(script, deadline_s=RUN_S).stdout)
    records: list[Record] = [
        json.loads(line)
        for line in guest.run("cat /tmp/records", deadline_s=300).stdout.split("\n")[:-1]
    ]

    always, ever = [f"{BASE}/1/in"], [f"{BASE}/1/in", f"{BASE}/2/in", *maybe]
    missed = 0
    assert said["law_holds"]
    assert said["dropped"] == 0
    assert said["turns"] >= 4 * len(ever)
    for log in logs(guest):
        told, done = seen(records, log), under(ever, log.events)
        whole = [one for one in told if covers(always, one.path) or covers(always, one.dest)]
        assert difference(whole, under(always, log.events)) == ""
        assert is_part_of(told, done)
        missed += len(done) - len(told)
    assert 0 < missed < sum(len(under(ever, log.events)) for log in logs(guest))


def test_a_changed_file_of_sysfs_whose_folder_is_not_cached_is_no_fault_of_the_kernel(
    guest: Guest, tail: Tailing
) -> None:
    """The kernel may notify of a cgroup file without folder and name; the driver must not oops.

    So it does for the event file of a control group whose folder nobody uses, while inotify holds
    the file. The kernel's log, which the harness examines, must stay clean.
    """
    group = "/sys/fs/cgroup/osqgone"
    with tail("--watch /sys/fs/cgroup") as running:
        guest.run(
            f"""
mkdir {group}; sleep 300 > /dev/null 2>&1 < /dev/null & sleeper=$!
echo $sleeper > {group}/cgroup.procs
osqperm notice {group}/cgroup.events > /tmp/notice 2>&1 < /dev/null &
until grep -q ready /tmp/notice; do sleep 0.05; done
for turn in 1 2 3; do echo 2 > /proc/sys/vm/drop_caches; done
kill $sleeper; wait $sleeper; sleep 1; pkill -x osqperm; rmdir {group}
""",
            deadline_s=60,
        )
        told = running.finish()

    assert told.stats["dropped"] == 0
    assert any(one["path"] == group and one["action"] == "unlink" for one in told.records)
