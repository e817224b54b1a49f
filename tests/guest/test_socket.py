# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Socket records agree, field by field, with a witness that logs each call that it makes."""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest import sockets
from tests.guest.tailing import Record, Tailing

SOCKETS = "--type socket --ring-bytes 33554432"
LONG_S = 3600.0
SHORT_S = 240.0
PREPARE = "set -e; cd $(mktemp -d);"
FAMILIES = "46u"
COUNT, PAIRS = 15, 4
# A kprobe for each of 16 functions, and a kretprobe at nine of them.
PROBES = 25
PROBES_LISTED = (
    "grep -cE '(inet6?|unix)_|security_(sock|sctp)' /sys/kernel/debug/kprobes/list || true"
)


@dataclass(frozen=True, kw_only=True)
class Witnessed:
    """The driver's records of one subscription, and the callers' logs, by scene."""

    records: tuple[Record, ...]
    logs: dict[str, list[Record]]
    dropped: int
    probes: int

    def of(self, scene: str) -> list[Record]:
        """Return the records of the process that played a scene."""
        pids = {line["pid"] for line in self.logs[scene]}
        return [one for one in self.records if one["pid"] in pids]


def play(guest: Guest, scene: str, *, before: str = "") -> list[Record]:
    """Let osqnet play a scene in a folder of its own; return its log."""
    script = f"{PREPARE} {before} osqnet {scene}; rm -r $PWD"
    return sockets.lines_of(guest.run(script, deadline_s=LONG_S).stdout)


def play_connections(guest: Guest, count: int, pairs: int) -> dict[str, list[Record]]:
    """Let each family have its connections and its datagrams."""
    scenes = [f"stream {family} {count} {pairs}" for family in FAMILIES]
    scenes += [f"dgram {family} {count}" for family in FAMILIES]
    return {scene: play(guest, scene) for scene in scenes}


@pytest.fixture(scope="module")
def kept() -> list[Witnessed]:
    """Return the observation that all tests here share, since hooking is slow under emulation."""
    return []


@pytest.fixture
def witnessed(kept: list[Witnessed], guest: Guest, tail: Tailing) -> Witnessed:
    """Give the records and logs of every scene, from one subscription."""
    if not kept:
        routes = (
            "ip route replace unreachable 203.0.113.0/24;"
            "ip -6 route replace unreachable 2001:db8::/32;"
        )
        with tail(SOCKETS) as running:
            logs = play_connections(guest, COUNT, PAIRS)
            logs["cases"] = play(guest, "cases", before=routes)
            logs["bind"] = play(guest, "bind 80 1000")
            logs["uring"] = play(guest, "uring")
            probes = int(guest.run(PROBES_LISTED, deadline_s=SHORT_S).stdout)
            seen = running.finish()
        kept.append(
            Witnessed(
                records=seen.records, logs=logs, dropped=seen.stats["dropped"], probes=probes
            )
        )
    return kept[0]


def test_each_socket_call_in_the_test_clients_and_servers_own_logs_has_exactly_one_record(
    witnessed: Witnessed,
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """In a guest, osqnet logs its TCP, UDP and UNIX calls; the socket records equal that log.

    The long form has 10,000 connections of each family, by eight clients and eight servers.
    """
    assert witnessed.dropped == 0
    for scene, log in witnessed.logs.items():
        if scene.startswith(("stream", "dgram")):
            made = [line["error"] for line in log if line["call"] == "connect"]
            assert made == [0] * (COUNT * PAIRS if scene.startswith("stream") else COUNT)
            assert sockets.differences(witnessed.records, log) == [], scene
    for _ in range(10 if long_run else 0):
        with tail(SOCKETS) as running:
            logs = play_connections(guest, 125, 8)
            seen = running.finish()
        assert seen.stats["dropped"] == 0
        for scene, log in logs.items():
            assert sockets.differences(seen.records, log) == [], scene


def test_failing_and_pending_socket_calls_are_recorded_with_their_errno(
    witnessed: Witnessed,
) -> None:
    """In a guest, connects and binds that osqnet logs as failed or pending have that errno."""
    log = witnessed.logs["cases"] + witnessed.logs["bind"]
    outcomes = [line["error"] for line in log if line["call"] == "outcome"]
    errors = {(line["call"], line["error"]) for line in log if line["call"] != "outcome"}

    assert sockets.differences(witnessed.records, log) == []
    # The expected outcomes: refused and accepted for each family, and one connect without an
    # answer.
    assert sorted(outcomes) == [0, 0, 110, 111, 111]
    assert {("connect", error) for error in (2, 4, 106, 111, 113, 114, 115)} <= errors
    assert {("bind", error) for error in (13, 22, 98, 99)} <= errors


def test_connect_accept_and_close_by_io_uring_have_socket_records(witnessed: Witnessed) -> None:
    """When io_uring's worker closes a socket, the record is flagged and names the ring's owner.

    The client connects without waiting and may retry, so the number of attempts is not checked.
    """
    log, mine = witnessed.logs["uring"], witnessed.of("uring")
    (line,) = [one for one in log if one["call"] == "connect"]
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


def test_socket_calls_have_probes_only_during_a_subscription(
    witnessed: Witnessed, guest: Guest, driver: Driver
) -> None:
    """The guest kernel lists 25 kprobes of the driver while socket is subscribed to, else none."""
    assert driver.is_loaded()

    listed = int(guest.run(PROBES_LISTED, deadline_s=SHORT_S).stdout)

    assert (listed, witnessed.probes) == (0, PROBES)


def test_comparison_fails_for_a_missing_extra_or_wrong_socket_record(witnessed: Witnessed) -> None:
    """Records of which one is missing, doubled, moved or changed differ from osqnet's log."""
    scene = f"stream 6 {COUNT} {PAIRS}"
    log, records = witnessed.logs[scene], witnessed.of(scene)
    last = records[-1]
    without = records[:-1]
    ours = sockets.calls_by_thread(records)[last["tid"]]

    assert sockets.differences(records, log) == []
    assert sockets.differences(without, log) != []
    assert sockets.differences([*records, last], log) != []
    assert sockets.differences(records[::-1], log) != []
    assert sockets.differences(records, [*log, {**log[0], "call": "outcome"}]) != []
    for field in sockets.FIELDS:
        other = {**last, field: "another"}
        assert sockets.differences([*without, other], log) != [], field
    assert sockets.is_run_of(ours[1:3], ours)
    assert not sockets.is_run_of([ours[0], ours[2]], ours)


def test_blocked_connects_above_the_limit_have_records_with_the_status_unseen(
    guest: Guest, driver: Driver, tail: Tailing
) -> None:
    """The driver may follow two waiting connects; six of eight have records without an outcome.

    Only connect is subscribed to: the options are a mask of actions.
    """
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
    with tail(f"{SOCKETS} --socket connect") as running:
        stats, *lines = guest.run(script, deadline_s=SHORT_S).stdout.splitlines()
        seen = running.finish()

    log = [one for one in sockets.lines_of("\n".join(lines)) if one["call"] == "connect"]
    begun = {one["cookie"]: one for one in seen.records if one["status"] == "unseen"}
    ours = [one for one in log if one["cookie"] in begun]
    rest = [one for one in seen.records if one["status"] != "unseen"]
    assert (len(log), len(begun), len(ours)) == (9, 6, 6)
    assert json.loads(stats)["dropped_missed"] == seen.stats["dropped"] == 0
    assert sockets.differences(rest, [one for one in log if one not in ours]) == []
    for one in ours:
        record = begun[one["cookie"]]
        assert (record["tid"], record["error"]) == (one["tid"], 0)
        assert record["remote_path"] == sockets.asked_path(one)
    assert {one["action"] for one in seen.records if one["type"] == "socket"} == {"connect"}
    driver.unload()


def test_each_connect_in_progress_has_an_outcome_record_that_is_right_or_says_unseen(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """A non-blocking connect has a second record when it ends; beyond a bound it says 'unseen'.

    When there are more than the driver can remember, the rest have the status 'unseen'.
    """
    count, room = (5_000, 4_096) if long_run else (50, 50)

    with tail(f"{SOCKETS} --socket connect") as running:
        log = play(guest, f"crowd {count}", before="ulimit -n 20000;")
        seen = running.finish()

    outcomes = [one for one in seen.records if one["flags"] & sockets.OUTCOME]
    unseen = [one for one in outcomes if one["status"] == "unseen"]
    told = {one["cookie"] for one in outcomes if one not in unseen}
    rest = [one for one in seen.records if one not in unseen]
    lines = [one for one in log if one["call"] == "connect"]
    ended = [one for one in log if one["call"] == "outcome"]
    lines += [one for one in ended if one["cookie"] in told]
    lost = {one["cookie"] for one in ended if one["cookie"] not in told}
    assert len(ended) == count
    assert seen.stats["dropped"] == 0
    assert {one["cookie"] for one in unseen} == lost
    assert len(lost) >= count - room
    assert sockets.differences(rest, lines) == []


STORM = """
trap 'kill $(jobs -p) 2> /dev/null || true' EXIT
nice -n 19 osqnet stream 4 1000000 1 > log.4 & first=$!
nice -n 19 osqnet stream u 1000000 1 > log.u & second=$!
for round in $(seq $ROUNDS); do
	osqtail --stats $SOCKETS > round.$round & reader=$!
	until grep -q ready round.$round; do sleep 0.05; done
	sleep 0.3
	kill $reader
	wait $reader
	rmmod osq
	insmod /run/harness/osq.ko
done
kill $first $second
wait $first
wait $second
cat log.4 log.u
echo
cat round.*
"""


def test_within_a_subscription_a_threads_socket_records_skip_none_of_the_calls_it_logged(
    guest: Guest,
    driver: Driver,
    long_run: bool,  # noqa: FBT001
) -> None:
    """While osqnet runs, the module is reloaded between osqtails; within each, no call is missing.

    The module is unloaded and loaded in between.
    """
    assert driver.is_loaded()
    wanted = 50 if long_run else 2

    script = f"{PREPARE} ROUNDS={wanted} SOCKETS='{SOCKETS}'; {STORM}"
    log, _, tailed = guest.run(script, deadline_s=LONG_S).stdout.partition("\n\n")

    theirs = sockets.logged_by_thread(sockets.lines_of(log))
    rounds = tailed.split('{"type":"ready"')[1:]
    assert len(rounds) == wanted
    for one in rounds:
        *records, stats = sockets.lines_of(one.partition("\n")[2])
        ours = sockets.calls_by_thread(records)
        storm = ours.keys() & theirs.keys()
        assert (stats["law_holds"], stats["dropped"]) == (True, 0)
        assert stats["committed"] == len(records)
        assert len(storm) > 1
        for tid in storm:
            assert sockets.is_run_of(ours[tid], theirs[tid]), tid


@pytest.mark.parametrize("hook", ["inet_listen", "inet_sock_set_state"])
def test_with_a_missing_socket_hook_subscribing_to_socket_records_is_refused(
    guest: Guest, variant: Callable[[str], Driver], hook: str
) -> None:
    """When the test build hides a hook, CAPS has socket as missing, and SUBSCRIBE is refused."""
    variant("test").load(hide=hook)

    caps = json.loads(guest.run("osqprobe caps /dev/osquery_test", deadline_s=20).stdout)
    done = guest.run("osqtail_test --type socket", deadline_s=20, check=False)

    assert caps["missing"] == 1 << 5
    assert (done.status, "no hook for socket" in done.stderr) == (1, True)


def test_binds_of_ipv6_are_reported_as_unseen_while_its_function_is_missing(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """Without inet6_bind to hook, other hooks still see the bind, but not its result: 'unseen'."""
    variant("test").load(hide="inet6_bind")
    script = (
        "log=$(mktemp); osqtail_test --type socket --socket bind --count 1 >$log &"
        " until grep -q ready $log; do sleep 0.2; done;"
        " osqnet dgram 6 1 >/dev/null; wait; cat $log"
    )

    caps = json.loads(guest.run("osqprobe caps /dev/osquery_test", deadline_s=20).stdout)
    records = sockets.lines_of(guest.run(script, deadline_s=SHORT_S).stdout)

    binds = [one for one in records if one["type"] == "socket"]
    assert caps["missing"] == 0
    assert [(one["family"], one["status"]) for one in binds] == [(socket.AF_INET6, "unseen")]
