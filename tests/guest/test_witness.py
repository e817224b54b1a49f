# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""The driver and the kernel's process connector observe the same storm."""

from collections import defaultdict
from collections.abc import Iterable

from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

GuestEntry = list[str]
PROCESSES = "--type exec --type fork --type exit"


def lives_by_witness(lines: Iterable[str], root: int) -> dict[int, GuestEntry]:
    """Return the connector's events of each child of `root`, by process id."""
    found: dict[int, GuestEntry] = defaultdict(list)
    children = set()
    for line in lines:
        what, *numbers = line.split()
        ids = [int(number) for number in numbers]
        if what == "fork" and ids[0] == root:
            children.add(ids[1])
            found[ids[1]].append("fork")
        elif what == "exec" and ids[0] in children:
            found[ids[0]].append("exec")
        elif what == "exit" and ids[0] in children:
            found[ids[0]].append(f"exit {ids[2]}")
    return found


def lives_by_driver(records: Iterable[Record], root: int) -> dict[int, GuestEntry]:
    """Return the driver's fork, exec and exit records of each child of `root`, by process id."""
    found: dict[int, GuestEntry] = defaultdict(list)
    for one in records:
        if one["type"] == "fork" and one["pid"] == root:
            found[one["child_pid"]].append("fork")
        elif one["type"] == "exec" and one["pid"] in found:
            found[one["pid"]].append("exec")
        elif one["type"] == "exit" and one["pid"] in found:
            found[one["pid"]].append(f"exit {one['status']}")
    return found


def test_each_event_of_the_process_connector_has_one_record_in_order(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Fork, exec and exit records of a storm equal what the kernel's netlink connector reports."""
    count = 20_000 if long_run else 1_000
    script = f"""
osqwitness > /tmp/witness & witness=$!
until grep -q ready /tmp/witness; do sleep 0.05; done
osqprobe storm {count} & root=$!; wait $root
kill $witness; wait $witness || exit 1
echo $root
grep -v ready /tmp/witness
"""
    with tail(f"{PROCESSES} --ring-bytes 33554432") as running:
        root, *lines = guest.run(script, deadline_s=1800).stdout.splitlines()
        seen = running.finish()

    assert lines.pop() == "end"
    theirs = lives_by_witness(lines, int(root))
    ours = lives_by_driver(seen.records, int(root))
    assert seen.stats["dropped"] == 0
    assert len(theirs) == count
    assert ours == theirs
    assert set(map(tuple, ours.values())) == {("fork", "exec", "exit 0")}


def test_the_drivers_events_per_process_differ_if_one_exec_record_is_removed_or_doubled(
    guest: Guest, tail: Tailing
) -> None:
    """The comparison with the process connector fails for a missing or doubled exec record."""
    with tail(PROCESSES) as running:
        script = "osqprobe storm 5 & root=$!; wait $root; echo $root"
        root = int(guest.run(script, deadline_s=60).stdout)
        records = running.finish().records

    whole = lives_by_driver(records, root)
    execs = [one for one in records if one["type"] == "exec" and one["pid"] in whole]
    without = [one for one in records if one is not execs[-1]]
    assert lives_by_driver(without, root) != whole
    assert lives_by_driver([*records, execs[-1]], root) != whole
