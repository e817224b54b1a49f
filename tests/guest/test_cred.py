# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of credential records: each change has one, which agrees with /proc before and after."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from harness.pytest_plugin import Driver
from harness.systems.ssh import Guest
from tests.guest.tailing import Record, Tailing

Side = dict[str, Any]
_UIDS = ("uid", "euid", "suid", "fsuid")
_GIDS = ("gid", "egid", "sgid", "fsgid")
_CAPS = ("permitted", "effective", "inheritable", "bounding", "ambient")
# The fields that each word of `changed` stands for, in order; the groups are compared by content.
_PARTS = {
    "uids": _UIDS,
    "gids": _GIDS,
    "caps": _CAPS,
    "securebits": ("securebits",),
    "user_ns": ("user_ns",),
    "groups": ("group_list",),
}


def expected_from(line: Record) -> Record:
    """Return the record that one step of osqcreds must cause."""
    old, now = line["old"], line["now"]
    changed = [
        part
        for part, fields in _PARTS.items()
        if any(old[field] != now[field] for field in fields)
    ]
    return {
        "pid": line["pid"],
        "tid": line["tid"],
        "changed": changed,
        "old": without_list(old),
        "now": without_list(now),
    }


def without_list(side: Side) -> Side:
    """Return credentials as records have them: the number of groups, not the list."""
    return {name: value for name, value in side.items() if name != "group_list"}


def said_by(records: Iterable[Record], pids: set[int]) -> list[Record]:
    """Return the credential records of some processes with the fields that osqcreds logs."""
    names = ("pid", "tid", "changed", "old", "now")
    return [
        {name: one[name] for name in names}
        for one in records
        if one["type"] == "cred" and one["action"] == "call" and one["pid"] in pids
    ]


def test_each_change_of_credentials_makes_one_correct_record(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """In a real guest, the program osqcreds changes ids, and the records equal its own log.

    A call that fails, or sets the present values again, makes no record.
    """
    rounds = 400 if long_run else 6

    with tail("--type cred --ring-bytes 16777216") as running:
        done = guest.run(f"osqcreds run {rounds}", deadline_s=900 if long_run else 60)
        seen = running.finish()

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    wanted = [one for one in map(expected_from, lines) if one["changed"]]
    assert len(lines) == 14 * rounds
    assert {word for one in wanted for word in one["changed"]} == set(_PARTS)
    assert len(wanted) == 12 * rounds - rounds // 2  # no unshare of users in a thread
    assert seen.stats["dropped"] == 0
    assert said_by(seen.records, {line["pid"] for line in lines}) == wanted


def test_comparison_fails_for_a_missing_doubled_or_wrong_credential_record() -> None:
    """Without a guest: lists that lack, double or alter a record, or swap old and new, differ."""
    side = {name: 0 for names in _PARTS.values() for name in names}
    line = {"pid": 7, "tid": 8, "old": side, "now": {**side, "fsuid": 5, "group_list": "1 "}}
    said = expected_from(line)
    record = {**said, "type": "cred", "action": "call", "seq": 1}
    off = {**said, "now": {**said["now"], "ambient": 1}}
    swapped = {**said, "now": said["old"], "old": said["now"]}

    assert said["changed"] == ["uids", "groups"]
    assert said_by([record], {7}) == [said]
    assert said_by([record], {7}) not in ([], [said, said], [off], [swapped])
    assert said_by([record], {8}) == []


def test_the_record_of_a_setuid_program_has_the_ids_before_and_after(
    guest: Guest,
    tail: Tailing,
    long_run: bool,  # noqa: FBT001
) -> None:
    """A user's setuid and setgid execs have records with old and new ids; plain ones have none."""
    rounds = 500 if long_run else 8
    script = f"""
install -m 4755 /usr/local/bin/osqcreds /tmp/setuid
install -m 2755 -g 7 /usr/local/bin/osqcreds /tmp/setgid
osqcreds exec {rounds} /tmp/setuid
osqcreds exec {rounds} /tmp/setgid
osqcreds exec {rounds} /usr/local/bin/osqcreds
"""
    with tail("--type cred --ring-bytes 16777216") as running:
        done = guest.run(script, deadline_s=900 if long_run else 90)
        seen = running.finish()

    sides: dict[int, dict[str, Side]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        sides.setdefault(line["pid"], {})[line["step"]] = without_list(line["side"])
    wanted = {
        pid: (one["before"], one["after"])
        for pid, one in sides.items()
        if one["before"] != one["after"]
    }
    execs = [one for one in seen.records if one["action"] == "exec" and one["pid"] in sides]
    assert seen.stats["dropped"] == 0
    assert (len(sides), len(wanted)) == (3 * rounds, 2 * rounds)
    assert len(execs) == 2 * rounds
    assert {one["pid"]: (one["old"], one["now"]) for one in execs} == wanted
    assert {(one["now"]["euid"], one["now"]["egid"]) for one in execs} == {(0, 1000), (1000, 7)}


def test_credential_changes_that_the_probe_misses_increase_the_missed_counter(
    guest: Guest, variant: Callable[[str], Driver]
) -> None:
    """Calls missed while subscribed count in SYNC and STATS, and still after unsubscribing."""
    variant("test").load()

    said = json.loads(guest.run("osqmiss 50", deadline_s=60).stdout)

    assert said == {"fault": "", "before": 0, "sync": 50, "stats": 100, "after": 150}


def test_records_have_the_login_uid_and_session_of_their_process(
    guest: Guest, tail: Tailing
) -> None:
    """Exec and credential records have auid and session as in /proc of their process."""
    script = """
sh -c 'echo 4321 > /proc/self/loginuid; cat /proc/self/loginuid /proc/self/sessionid
exec setpriv --reuid 1000 --regid 1000 --clear-groups /bin/true loginuid'
"""
    with tail("--type exec --type cred") as running:
        said = guest.run(script, deadline_s=30).stdout.split("\n")
        seen = running.finish()

    auid, session = int(said[0][:4]), int(said[0][4:])
    (record,) = [one for one in seen.execs_of("/usr/bin/true") if "loginuid" in one["argv"]]
    changes = [one for one in seen.records if one["type"] == "cred" and one["auid"] == 4321]
    assert auid == 4321
    assert session not in {0, 0xFFFFFFFF}
    assert (record["auid"], record["session"]) == (auid, session)
    assert {one["session"] for one in changes} == {session}
    assert {one["now"]["uid"] for one in changes if "uids" in one["changed"]} == {1000}


def test_commit_creds_has_a_probe_only_during_a_subscription(guest: Guest, tail: Tailing) -> None:
    """The guest kernel lists a kprobe of commit_creds only while osqtail reads cred records."""
    ask = """
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
grep -c commit_creds /sys/kernel/debug/kprobes/list || true
"""
    before = guest.run(ask, deadline_s=20).stdout
    with tail("--type cred") as running:
        during = guest.run(ask, deadline_s=20).stdout
        running.finish()
    after = guest.run(ask, deadline_s=20).stdout

    assert (before, during, after) == ("0\n", "1\n", "0\n")
