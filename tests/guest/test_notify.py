# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""A reader is woken by watermark and latency, and missing hooks are reported."""

import errno
import json
import time
from collections.abc import Callable

import pytest

from harness.errors import ModuleError
from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Tailing

PAGE = "/sys/class/osq/osquery/stats"
STORM = "osqprobe storm 200"


def wakeups(guest: Guest) -> int:
    """Return the number of wakeups since the driver was loaded."""
    found = guest.run(f"sed -n 's/^wakeups //p' {PAGE}", deadline_s=20)
    return int(found.stdout)


def test_a_watermark_makes_the_reader_wake_up_less_often(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """For 200 execs osqtail wakes over 40 times; with a watermark of 100,000 bytes, below 10."""
    assert driver.is_loaded()
    counts = []
    for options in ("", "--watermark 100000 --latency-ms 5000"):
        before = wakeups(guest)
        with tail(options) as running:
            guest.run(STORM, deadline_s=60)
            seen = running.finish()
        assert len(seen.execs_of("/usr/local/bin/osqprobe")) == 201
        counts.append(wakeups(guest) - before)

    each, batched = counts
    assert each > 40
    assert batched < 10


def test_records_below_the_watermark_wake_the_reader_when_the_latency_is_over(
    guest: Guest, driver: Driver
) -> None:
    """With 1.5 s of latency, osqtail prints one exec, below the watermark, after 0.5 to 10 s."""
    assert driver.is_loaded()
    script = """
osqtail --count 1 --path '*/true' --watermark 500000 --latency-ms 1500 > /tmp/late &
until grep -q ready /tmp/late; do sleep 0.05; done
/bin/true
wait
echo $(cut -d' ' -f1 /proc/uptime) $(sed -n 's/.*"ts_boot_ns":\\([0-9]*\\).*/\\1/p' /tmp/late)
"""
    told_s, recorded_ns = guest.run(script, deadline_s=60).stdout.split()

    waited_s = float(told_s) - int(recorded_ns) / 1e9
    # The first unread record is older, because it is one of the shell's own.
    assert 0.5 < waited_s < 10


def test_while_osqtail_reads_osqstat_prints_counters_as_json_as_a_table_or_at_intervals(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """osqstat, a tool of the driver, prints the counters of the reading osqtail in each form.

    A missing file gives exit code 1.
    """
    assert driver.is_loaded()
    with tail("--type fork --type exec") as running:
        guest.run(STORM, deadline_s=60)
        live = json.loads(guest.run("osqstat --json", deadline_s=20).stdout)
        table = guest.run("osqstat", deadline_s=20).stdout
        rates = guest.run("osqstat 0.2 2", deadline_s=20).stdout
        seen = running.finish()

    assert live["law_holds"] is True
    assert 400 < live["attempts"] <= seen.stats["attempts"]
    assert {"exec", "fork"} <= {line.split()[0] for line in table.splitlines()}
    assert len(rates.splitlines()) == 3
    assert guest.run("osqstat --file /nowhere", deadline_s=20, check=False).status == 1


@pytest.mark.parametrize(
    ("hook", "kind", "bit"), [("sched_process_exit", "exit", 4), ("fsnotify", "file", 6)]
)
def test_a_missing_hook_disables_only_its_record_type(
    guest: Guest, variant: Callable[[str], Driver], hook: str, kind: str, bit: int
) -> None:
    """The test build hides a hook: its type is refused and in CAPS.missing; forks are recorded."""
    test_build = variant("test")
    test_build.load(hide=hook)

    refused = guest.run(f"osqtail_test --type {kind} -c 1", deadline_s=20, check=False)
    works = guest.run(
        "osqtail_test --type fork --count 1 --stats & sleep 1; /bin/true; wait", deadline_s=20
    )
    caps = json.loads(guest.run("osqprobe caps /dev/osquery_test", deadline_s=20).stdout)

    assert refused.status == 1
    assert f"this kernel has no hook for {kind}" in refused.stderr
    assert '"type":"fork"' in works.stdout
    assert caps["missing"] == 1 << bit
    assert caps["types"] & 0b1100 == 0b1100


def test_a_test_build_loads_only_with_the_parameter_i_know_this_is_a_test(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """It refuses to load without the parameter; it and a release's osqtail refuse each other."""
    test_build = variant("test")
    with pytest.raises(ModuleError) as refused:
        test_build.load(i_know_this_is_a_test="0")
    test_build.load()
    release_client = guest.run("osqtail -d /dev/osquery_test -c 1", deadline_s=20, check=False)
    tainted = int(guest.run("cat /proc/sys/kernel/tainted", deadline_s=20).stdout)

    assert any("i_know_this_is_a_test=1" in line for line in refused.value.evidence)
    assert release_client.status == 1
    assert "different versions" in release_client.stderr
    assert int(guest.run("osqstress refused", deadline_s=20).stdout) == errno.EPROTO
    # TAINT_TEST, and TAINT_USER before Linux 6.0.
    assert tainted & (1 << 18 | 1 << 6)


def test_a_records_time_lies_between_two_readings_of_the_boot_clock(
    guest: Guest, tail: Tailing
) -> None:
    """An exec record's time lies between /proc/uptime before and after the exec in the guest."""
    with tail() as running:
        before = float(guest.run("cut -d' ' -f1 /proc/uptime", deadline_s=20).stdout)
        time.sleep(0.1)
        guest.run("/bin/true clock", deadline_s=20)
        after = float(guest.run("cut -d' ' -f1 /proc/uptime", deadline_s=20).stdout)
        seen = running.finish()

    (record,) = [one for one in seen.execs_of("/usr/bin/true") if "clock" in one["argv"]]
    assert before < record["ts_boot_ns"] / 1e9 < after + 0.02
