# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""All publishers at once, while subscriptions and filters change and the module goes and comes.

osqstorm asks the driver which types there are, so a new publisher is in it as soon as it is in
the driver; what makes its events is a row of WORKLOADS.
"""

import json
from typing import Any

from harness import platform_linux
from harness.guest import Guest
from harness.pytest_plugin import Driver

# Loops of the guest's shell that run for as long as the storm does, and the types that they feed.
WORKLOADS = {
    "exec fork exit": "osqprobe storm 1000000",
    "cred": "while :; do osqcreds run 4 > /dev/null; done",
    "module": "while :; do modprobe {module}; rmmod {module}; done",
}
# Small, in every Debian kernel, and wanted by nothing in the guest.
MODULE = "tcp_illinois"
TYPES = {"exec": 2, "fork": 3, "exit": 4, "module": 7, "cred": 8}


def test_everything_at_once(guest: Guest, driver: Driver, long_run: bool) -> None:  # noqa: FBT001
    """Each round loads, storms, unloads: what was read is what was counted, for every type."""
    driver.unload()
    rounds, seconds = (60, 10) if long_run else (2, 2)
    loops = "\n".join(
        f'({loop.format(module=MODULE)}) > /dev/null 2>&1 & loops="$loops $!"'
        for loop in WORKLOADS.values()
    )
    done = guest.run(
        f"""
{loops}
for round in $(seq {rounds}); do
	insmod /run/harness/osq.ko || exit 1
	osqstorm random {seconds} $round || exit 2
	rmmod osq || exit 3
done
kill $loops
pkill -x osqprobe
pkill -x osqcreds
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
    assert min(row["changes"] for row in rows) > 10 < min(row["refused"] for row in rows)
    seen = {kind: sum(row["types"][str(number)] for row in rows) for kind, number in TYPES.items()}
    assert min(seen.values()) > 0, seen
    assert sum(row["filtered"] for row in rows) > 0
    log = "\n".join(platform_linux.kernel_log(guest)[-200:])
    assert not any(word in log for word in ("BUG:", "WARNING:", "Oops", "INFO: rcu"))
