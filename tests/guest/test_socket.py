# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Socket events against a witness that logs each call it makes: the same calls, field by field."""

import json
from collections.abc import Callable

import pytest

from harness.guest import Guest
from harness.pytest_plugin import Driver
from tests.guest import sockets
from tests.guest.tailing import Tailing

SOCKETS = "--type socket --ring-bytes 33554432"
LONG_S = 3600.0
SHORT_S = 240.0
PREPARE = "set -e; cd $(mktemp -d);"


def test_each_connection_is_recorded_as_its_ends_log_it(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """TCP of IPv4 and IPv6, UDP and UNIX: connect, accept, bind, listen, close, once each.

    The long form has 10,000 connections of each family, by eight clients and eight servers.
    """
    rounds, count, pairs = (10, 125, 8) if long_run else (1, 20, 4)
    script = PREPARE + "".join(
        f"osqnet stream {family} {count} {pairs}; osqnet dgram {family} {count};"
        for family in "46u"
    )

    for _ in range(rounds):
        with tail(SOCKETS) as running:
            log = sockets.lines_of(guest.run(script, deadline_s=LONG_S).stdout)
            seen = running.finish()

        made = [line for line in log if (line["call"], line["socktype"]) == ("connect", 1)]
        assert len(made) == 3 * count * pairs
        assert seen.stats["dropped"] == 0
        assert sockets.differences(seen.records, log) == []


def test_what_fails_and_what_takes_long(guest: Guest, tail: Tailing) -> None:
    """Refused, unreachable, timed out, in progress, in use, not allowed; names of all kinds."""
    script = f"""{PREPARE}
ip link set lo up
ip route replace unreachable 203.0.113.0/24
ip -6 route replace unreachable 2001:db8::/32
osqnet cases
osqnet bind 80 1000
"""
    with tail(SOCKETS) as running:
        log = sockets.lines_of(guest.run(script, deadline_s=SHORT_S).stdout)
        seen = running.finish()

    outcomes = [line["error"] for line in log if line["call"] == "outcome"]
    errors = {(line["call"], line["error"]) for line in log if line["call"] != "outcome"}
    assert sockets.differences(seen.records, log) == []
    # Refused and accepted by each family, and the one that nobody answered.
    assert sorted(outcomes) == [0, 0, 110, 111, 111]
    for call, error in (
        *(("connect", number) for number in (2, 4, 91, 106, 111, 113, 114, 115)),
        *(("bind", number) for number in (13, 22, 98, 99)),
    ):
        assert (call, error) in errors, (call, error, sorted(errors))


def test_io_uring_counts_too(guest: Guest, tail: Tailing) -> None:
    """Its connect and accept are recorded, and a close by a kernel's worker names the owner.

    It connects without waiting, and may ask again; how often is its own business.
    """
    with tail(SOCKETS) as running:
        log = sockets.lines_of(guest.run(f"{PREPARE} osqnet uring", deadline_s=SHORT_S).stdout)
        seen = running.finish()

    (line,) = [one for one in log if one["call"] == "connect"]
    mine = [one for one in seen.records if one["type"] == "socket" and one["tid"] == line["tid"]]
    asked = (line["cookie"], "connect")
    tries = [one for one in mine if (one["cookie"], one["action"]) == asked]
    rest = [one for one in mine if one not in tries]
    first, (outcome,) = tries[0], [one for one in tries if one["flags"] & sockets.OUTCOME]
    assert sockets.differences(rest, [one for one in log if one is not line]) == []
    assert (first["status"], outcome["status"]) == ("in_progress", "succeeded")
    assert {one["status"] for one in tries[1:]} == {"succeeded"}
    assert sockets.call_of_record(outcome) == sockets.call_of_line(line)
    (elsewhere,) = [one for one in rest if one["flags"]]
    assert elsewhere["flags"] == sockets.OTHER_CONTEXT
    assert elsewhere["start_boot_ns"] == first["start_boot_ns"]


def test_only_the_actions_that_were_asked_for(guest: Guest, tail: Tailing) -> None:
    """The options of SUBSCRIBE are a mask of actions."""
    with tail(f"{SOCKETS} --socket listen --socket accept") as running:
        log = sockets.lines_of(
            guest.run(f"{PREPARE} osqnet stream 4 5 1", deadline_s=SHORT_S).stdout
        )
        seen = running.finish()

    wanted = [line for line in log if line["call"] in {"listen", "accept"}]
    pid = log[0]["pid"]
    assert len(wanted) == 6
    assert sockets.differences(seen.records, wanted) == []
    assert {one["action"] for one in seen.records if one["pid"] == pid} == {"listen", "accept"}


def test_a_call_that_the_kernel_passes_over_is_counted(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """Room for two calls that wait, eight that do: six are missed, and counted at once."""
    driver.unload()
    driver.load(socket_calls="2")
    script = f"""{PREPARE} mkfifo go
osqnet blocked 8 < go > log & pid=$!
exec 9> go
until [ $(cat /proc/$pid/task/*/wchan | grep -o unix_wait_for_peer | wc -l) = 8 ]; do
	sleep 0.05
done
osqstat --json
echo >&9
wait $pid
cat log
"""
    with tail(SOCKETS) as running:
        stats, *lines = guest.run(script, deadline_s=SHORT_S).stdout.splitlines()
        seen = running.finish()

    log = sockets.lines_of("\n".join(lines))
    mine = {one["cookie"] for one in seen.records if one.get("action") == "connect"}
    missed = [one for one in log if one["call"] == "connect" and one["cookie"] not in mine]
    rest = [one for one in log if one not in missed]
    assert json.loads(stats)["dropped_missed"] == len(missed) == 6
    assert seen.stats["dropped_missed"] == seen.stats["dropped"] == 6
    assert sockets.differences(seen.records, rest) == []
    driver.unload()


def test_a_storm_while_subscriptions_come_and_go(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """Each subscription sees of each thread a run of its calls without a gap, or a true count.

    The module is unloaded and loaded in between.
    """
    assert driver.is_loaded()
    count, least = (6_000, 60) if long_run else (250, 3)
    done = guest.run(
        f"""{PREPARE}
osqnet stream 4 {count} 2 > log.4 & first=$!
osqnet stream u {count} 2 > log.u & second=$!
round=0
while kill -0 $first 2> /dev/null; do
	round=$((round + 1))
	osqtail --stats {SOCKETS} > round.$round & reader=$!
	until grep -q ready round.$round; do sleep 0.05; done
	sleep 0.3
	kill $reader
	wait $reader
	rmmod osq
	insmod /run/harness/osq.ko
done
wait $first
wait $second
cat log.4 log.u
echo
for at in $(seq $round); do cat round.$at; done
""",
        deadline_s=LONG_S,
    )

    log, _, tailed = done.stdout.partition("\n\n")
    theirs = sockets.logged_by_thread(sockets.lines_of(log))
    rounds = tailed.split('{"type":"ready"')[1:]
    assert len(rounds) >= least
    runs = 0
    for one in rounds:
        *records, stats = sockets.lines_of(one.partition("\n")[2])
        assert (stats["law_holds"], stats["dropped"]) == (True, 0)
        ours = sockets.calls_by_thread(records)
        for tid in ours.keys() & theirs.keys():
            assert sockets.is_run_of(ours[tid], theirs[tid]), tid
            runs += 1
    assert runs >= least


def test_without_subscription_nothing_is_probed(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """The kernel's own list of probes has none of ours before and after, and all meanwhile."""
    assert driver.is_loaded()

    def probes() -> int:
        listed = "/sys/kernel/debug/kprobes/list"
        done = guest.run(f"grep -cE '(inet6?|unix)_|sock_graft' {listed} || true", deadline_s=20)
        return int(done.stdout)

    before = probes()
    with tail(SOCKETS) as running:
        meanwhile = probes()
        running.finish()

    assert (before, meanwhile, probes()) == (0, 21, 0)


@pytest.mark.parametrize("hook", ["unix_listen", "inet_sock_set_state"])
def test_a_kernel_without_a_hook_is_told_apart(
    guest: Guest, variant: Callable[[str], Driver], hook: str
) -> None:
    """CAPS says so, SUBSCRIBE refuses; the other types are there."""
    variant("test").load(hide=hook)

    caps = json.loads(guest.run("osqprobe caps /dev/osquery_test", deadline_s=20).stdout)
    done = guest.run("osqtail_test --type socket", deadline_s=20, check=False)

    assert caps["missing"] == 1 << 5
    assert (done.status, "no hook for socket" in done.stderr) == (1, True)


def test_the_checker_finds_a_bad_log(guest: Guest, tail: Tailing) -> None:
    """A call too few, too many, in another order, or with any other value: each is seen."""
    with tail(SOCKETS) as running:
        log = sockets.lines_of(
            guest.run(f"{PREPARE} osqnet stream 6 2 1", deadline_s=SHORT_S).stdout
        )
        seen = running.finish()

    last = next(one for one in reversed(seen.records) if one["pid"] == log[0]["pid"])
    without = [one for one in seen.records if one is not last]
    assert sockets.differences(seen.records, log) == []
    assert sockets.differences(without, log) != []
    assert sockets.differences([*seen.records, last], log) != []
    assert sockets.differences(seen.records[::-1], log) != []
    assert sockets.differences(seen.records, [*log, {**log[0], "call": "outcome"}]) != []
    for field in sockets.FIELDS:
        other = {**last, field: "another"}
        assert sockets.differences([*without, other], log) != [], field
    ours = sockets.calls_by_thread(seen.records)[last["tid"]]
    assert sockets.is_run_of(ours[1:3], ours)
    assert not sockets.is_run_of([ours[0], ours[2]], ours)
