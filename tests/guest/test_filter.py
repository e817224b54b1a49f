# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Filters count exactly the records that they reject, and lose no other record.

Each test has a population that the filter names and one that it does not. The shell reads the
number of rejected records from sysfs itself, so that reading makes no event.
"""

import json
from dataclasses import dataclass

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Tailed, Tailing

# This prints how many records of types 2 to 4 were rejected, without starting a process.
COUNT = """
count() {
	exec_=0 fork=0 exit_=0
	while read -r line; do
		case $line in
		"type 2 "*) exec_=${line##* } ;;
		"type 3 "*) fork=${line##* } ;;
		"type 4 "*) exit_=${line##* } ;;
		esac
	done < /sys/class/osq/osquery/stats
	echo $exec_ $fork $exit_
}
"""
AS = "setpriv --reuid {0} --regid {0} --clear-groups "


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """The number of records that filters rejected during a script, by type."""

    execs: int
    forks: int
    exits: int


def counted(guest: Guest, script: str, *, deadline_s: float = 60) -> Filtered:
    """Run a script, and return the number of records that were rejected during it."""
    whole = f"{COUNT}\ncount\n{{\n{script}\n}} > /dev/null || exit 1\ncount\n"
    done = guest.run(whole, deadline_s=deadline_s)
    before, after = (map(int, line.split()) for line in done.stdout.splitlines())
    execs, forks, exits = (now - old for old, now in zip(before, after, strict=True))
    return Filtered(execs=execs, forks=forks, exits=exits)


def storm_of(seen: Tailed, path: str = "/usr/local/bin/osqprobe", uid: int | None = None) -> int:
    """Return the number of recorded execs of a storm."""
    return len([one for one in seen.execs_of(path) if uid is None or one["uid"] == uid])


def whole(seen: Tailed) -> bool:
    """Return whether nothing was lost, and the counters add up."""
    stats = seen.stats
    return stats["dropped"] == 0 and stats["attempts"] == stats["committed"] == stats["consumed"]


def test_programs_of_an_excluded_user_are_counted_and_not_recorded(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Of two users' execs in a guest, one's are recorded, the other's counted as filtered."""
    count = 5_000 if long_run else 60
    script = f"""
{AS.format(2000)} osqprobe storm {count} & first=$!
{AS.format(1000)} osqprobe storm {count} & second=$!
wait $first && wait $second
"""
    with tail("--not-uid 2000-2999 --ring-bytes 16777216") as running:
        filtered = counted(guest, script, deadline_s=900 if long_run else 60)
        seen = running.finish()

    assert filtered.execs == count + 1 == seen.stats["filtered"]
    assert storm_of(seen, uid=1000) == count + 1
    assert storm_of(seen, uid=2000) == 0
    assert whole(seen)


def test_only_an_included_user_is_recorded(guest: Guest, tail: Tailing) -> None:
    """With osqtail --uid 1000, exec and exit records are those of uid 1000, and no other's."""
    script = f"{AS.format(2000)} osqprobe storm 20; {AS.format(1000)} osqprobe storm 20"

    with tail("--type exec --type exit --uid 1000") as running:
        filtered = counted(guest, script)
        seen = running.finish()

    assert {one["uid"] for one in seen.records if one["type"] == "exec"} == {1000}
    assert storm_of(seen) == 21
    assert len([one for one in seen.records if one["type"] == "exit"]) == 21
    # The other user's storm, and two execs of setpriv itself.
    assert filtered.execs >= 21 + 2
    assert whole(seen)


def test_excluding_a_pid_namespace_excludes_nested_ones_too_but_no_program_outside(
    guest: Guest, tail: Tailing
) -> None:
    """Execs in the namespace and one within it count as filtered; those outside are recorded."""
    # The whole command line is compared, because the guest's heartbeat sleeps, too.
    find = "pgrep -nxf 'sleep 600'"
    hold = f"unshare --pid --fork sleep 600 > /dev/null 2>&1 < /dev/null & sleep 1; {find}"
    holder = guest.run(hold, deadline_s=30).stdout.strip()
    ns = f"/proc/{holder}/ns/pid"
    script = f"""
nsenter --pid={ns} osqprobe storm 10
nsenter --pid={ns} unshare --pid --fork osqprobe storm 7
osqprobe storm 5
"""
    with tail(f"--not-pid-ns {ns}") as running:
        filtered = counted(guest, script)
        seen = running.finish()
    guest.run(f"kill {holder}", deadline_s=20)

    # The storm; then unshare, and the storm in a nested namespace.
    assert filtered.execs == (10 + 1) + 1 + (7 + 1)
    assert storm_of(seen) == 5 + 1
    assert whole(seen)


def test_excluding_a_control_group_excludes_nested_ones_too_but_not_its_neighbour(
    guest: Guest, tail: Tailing
) -> None:
    """Execs in the group and one below it count as filtered; those beside it are recorded."""
    root = "/sys/fs/cgroup/osq"
    guest.run(f"mkdir -p {root}/in/deep {root}/beside", deadline_s=20)
    enter = f"sh -c 'echo $$ > {root}/{{}}/cgroup.procs; exec osqprobe storm {{}}'"
    script = "\n".join(enter.format(*one) for one in (("in", 9), ("in/deep", 6), ("beside", 4)))

    with tail(f"--not-cgroup {root}/in") as running:
        filtered = counted(guest, script)
        seen = running.finish()
    guest.run(f"rmdir {root}/in/deep {root}/in {root}/beside {root}", deadline_s=20)

    assert filtered.execs == (9 + 1) + (6 + 1)
    assert storm_of(seen) == 4 + 1
    assert whole(seen)


def test_a_path_filter_excludes_or_includes_all_below_the_path_but_not_a_longer_folder_name(
    guest: Guest, tail: Tailing
) -> None:
    """A filter of /tmp/kept matches /tmp/kept/in/prog, and not /tmp/keptnot/prog."""
    script = """
mkdir -p /tmp/kept/in /tmp/keptnot /tmp/one
for place in kept kept/in keptnot one; do cp /usr/local/bin/osqprobe /tmp/$place/prog; done
"""
    guest.run(script, deadline_s=20)
    storms = """
/tmp/kept/prog storm 4; /tmp/kept/in/prog storm 3; /tmp/keptnot/prog storm 2
/tmp/one/prog storm 5
"""
    with tail("--not-below /tmp/kept --not-below /tmp/one/prog") as running:
        filtered = counted(guest, storms)
        seen = running.finish()
    with tail("--below /tmp/kept/") as running:
        guest.run(storms, deadline_s=60)
        inside = running.finish()

    assert filtered.execs == (4 + 1) + (3 + 1) + (5 + 1)
    assert storm_of(seen, "/tmp/keptnot/prog") == 2 + 1
    assert [storm_of(inside, f"/tmp/kept/{one}prog") for one in ("", "in/")] == [5, 4]
    assert len(inside.records) == 9
    assert whole(seen)
    assert whole(inside)


def test_with_osqtail_option_processes_forks_and_exits_of_threads_are_counted_but_not_recorded(
    guest: Guest, tail: Tailing
) -> None:
    """With --processes, those of threads count as filtered; those of processes are recorded."""
    rounds = 10

    with tail("--type fork --type exit --processes") as running:
        filtered = counted(guest, f"osqcreds run {rounds}")
        seen = running.finish()

    # Every second child does its work in an additional thread.
    assert (filtered.forks, filtered.exits) == (rounds // 2, rounds // 2)
    forks = [one for one in seen.records if one["type"] == "fork"]
    exits = [one for one in seen.records if one["type"] == "exit"]
    assert all(one["child_tid"] == one["child_pid"] for one in forks)
    assert all(one["last"] == 1 for one in exits)
    assert min(len(forks), len(exits)) >= rounds
    assert whole(seen)


def test_the_next_owner_of_the_device_has_no_filter(guest: Guest, tail: Tailing) -> None:
    """After an osqtail with a filter ends, another one without records every exec."""
    with tail("--not-uid 0") as running:
        filtered = counted(guest, "osqprobe storm 3")
        running.finish()
    with tail() as running:
        nothing = counted(guest, "osqprobe storm 3")
        seen = running.finish()
    refused = guest.run("osqtail --below relative", deadline_s=20, check=False)

    assert filtered.execs >= 4
    assert nothing == Filtered(execs=0, forks=0, exits=0)
    assert storm_of(seen) == 4
    assert refused.status == 2


def test_while_filters_change_each_exec_of_two_users_is_recorded_or_counted(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """While osqstorm changes filters, records, filtered and drops add up to the users' execs."""
    assert driver.is_loaded()
    count = 5_000 if long_run else 150

    done = guest.run(f"osqstorm populations {count}", deadline_s=1800, check=False)

    said = json.loads(done.stdout)
    assert said["fault"] == "", said
    recorded = said["first"] + said["second"]
    assert recorded + said["filtered_execs"] + said["dropped_execs"] == 2 * count
    assert min(said["first"], said["second"], said["filtered_execs"]) > count // 20
    assert said["changes"] > 20
