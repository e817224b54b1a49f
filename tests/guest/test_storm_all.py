# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""All types of records are made at once while subscriptions, filters and the module change.

osqstorm asks the driver which types exist, so a new type is switched on and off as soon as the
driver has it. Here each type has a row with the script that makes its events, since a record of
each type must come.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.pytest_plugin import Driver
from harness.systems.linux import kmod
from harness.systems.ssh import Guest

# A small module that is in every Debian kernel and that nothing in the guest uses.
MODULE = "tcp_illinois"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A script that runs in the guest during the storm, and the types of records that it makes."""

    types: tuple[int, ...]  # enum osq_type
    loop: str


FAULTS = ("BUG:", "WARNING:", "Oops", "INFO: rcu")
WORKLOADS = (
    Workload(types=(2, 3, 4), loop="osqprobe storm 1000000"),
    Workload(types=(8,), loop="while :; do osqcreds run 4; done"),
    Workload(types=(9,), loop="while :; do osqgrab; done"),
    Workload(types=(10,), loop="while :; do osqmounts /tmp/osqmounts; done"),
    Workload(types=(11,), loop="while :; do osqbpf /sys/fs/cgroup; done"),
    Workload(types=(12,), loop="while :; do osqkexec /etc/hostname; done"),
    Workload(types=(13,), loop="while :; do osqsignal; done"),
    Workload(types=(7,), loop=f"while :; do modprobe {MODULE}; rmmod {MODULE}; done"),
)


def faults_of(log: Sequence[str]) -> list[str]:
    """Return the lines of a log that report a fault, without the one that the harness plants."""
    return [
        line for line in log if "harness-canary" not in line and any(one in line for one in FAULTS)
    ]


def test_while_subscriptions_and_filters_change_records_read_of_each_type_equal_its_counter(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """In a guest, programs make records of ten types while osqstorm subscribes and filters."""
    driver.unload()
    rounds, steps = (40, 2_000) if long_run else (2, 80)
    types = [number for one in WORKLOADS for number in one.types]
    loops = "\n".join(f'({one.loop}) > /dev/null 2>&1 & loops="$loops $!"' for one in WORKLOADS)
    done = guest.run(
        f"""
{loops}
for round in $(seq {rounds}); do
	insmod /run/harness/osq.ko || exit 1
	osqstorm random {steps} $round {" ".join(map(str, types))} || exit 2
	rmmod osq || exit 3
done
kill $loops
pkill -x osqprobe
pkill -x osqcreds
pkill -x osqgrab
rmdir /tmp/osqmounts 2> /dev/null
wait
rmmod {MODULE} 2> /dev/null
echo whole
""",
        deadline_s=3600.0 if long_run else 240.0,
        check=False,
    )

    *said, last = done.stdout.splitlines()
    assert last == "whole", (done.status, done.stdout, done.stderr)
    rows: list[dict[str, Any]] = [json.loads(line) for line in said]
    assert [row["fault"] for row in rows] == [""] * rounds
    assert all(row["committed"] + row["dropped"] == row["attempts"] for row in rows)
    assert min(row["changes"] for row in rows) > 10
    assert min(row["refused"] for row in rows) > 3
    assert all(row["types"][str(number)] > 0 for row in rows for number in types)
    assert sum(row["filtered"] for row in rows) > 0
    assert faults_of(kmod.kernel_log(guest)[-200:]) == []
