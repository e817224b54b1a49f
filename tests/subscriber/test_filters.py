# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the kernel's filters, from the configuration to the records that the core makes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from osq.config import load
from osq.errors import ConfigError, UsageError
from osq.filters import FilterSpec
from osq.ring import FILTER_LIST_MAX
from tests.subscriber.host import Daemon, Host, ask, counts, environment, until
from tests.subscriber.test_daemon import drained, subscribed

OWN_PID_NS = Path("/proc/self/ns/pid")
# Each row: uid, pid namespace, control group, path. The first row's namespace is this process's.
ROOTS = (0, OWN_PID_NS.stat().st_ino, 7, "/usr/bin/id")
USERS = (1000, 4, 1 << 40, "/usr/bin/true")
LAST = (1999, 5, 9, "/usr/bindir/true")
OTHER = (2000, 5, 9, "/opt/a/b")
PROGRAMS = (ROOTS, USERS, LAST, OTHER)
LISTS = ("uids", "pid_namespaces", "cgroups", "paths")
CASES: tuple[tuple[dict[str, Any], set[tuple[int, int, int, str]]], ...] = (
    ({"uids": [0, "1000-1999"]}, {ROOTS, USERS, LAST}),
    ({"exclude": {"uids": ["1000-1999", "0"]}}, {OTHER}),
    ({"pid_namespaces": [4, str(OWN_PID_NS)]}, {ROOTS, USERS}),
    ({"exclude": {"pid_namespaces": [5]}}, {ROOTS, USERS}),
    ({"cgroups": [1 << 40]}, {USERS}),
    ({"exclude": {"cgroups": ["7", 9]}}, {USERS}),
    ({"paths": ["/usr/bin/"]}, {ROOTS, USERS}),
    ({"exclude": {"paths": ["/usr/bin/id", "/opt"]}}, {USERS, LAST}),
    ({"paths": ["/"]}, {ROOTS, USERS, LAST, OTHER}),
    ({"uids": ["0-1500"], "exclude": {"paths": ["/usr/bin/id"], "cgroups": [9]}}, {USERS}),
)
BAD: tuple[tuple[str, Any, str], ...] = (
    ("uids", 0, "a list of 1 to"),
    ("uids", [], "a list of 1 to"),
    ("uids", list(range(FILTER_LIST_MAX + 1)), "a list of 1 to"),
    ("uids", ["root"], "'root': a uid, or FIRST-LAST"),
    ("uids", ["1000-"], "'1000-': a uid, or FIRST-LAST"),
    ("uids", ["2-1"], "'2-1': a uid, or FIRST-LAST"),
    ("uids", ["1-2-3"], "'1-2-3': a uid, or FIRST-LAST"),
    ("uids", [-1], "-1: a uid, or FIRST-LAST"),
    ("uids", [1 << 32], "4294967296: a uid, or FIRST-LAST"),
    ("uids", [True], "True: a uid, or FIRST-LAST"),
    ("uids", ["9" * 5000], "a uid, or FIRST-LAST"),
    ("pid_namespaces", [1 << 32], "4294967296: a number or an absolute path"),
    ("pid_namespaces", ["proc/1/ns/pid"], "'proc/1/ns/pid': a number or an absolute path"),
    ("cgroups", [1 << 64], "18446744073709551616: a number or an absolute path"),
    ("cgroups", ["system.slice"], "'system.slice': a number or an absolute path"),
    ("cgroups", [None], "None: a number or an absolute path"),
    ("paths", ["usr/bin"], "'usr/bin': an absolute path"),
    ("paths", ["/usr/%%"], "'/usr/%%': an absolute path without wildcards"),
    ("paths", ["/usr/../bin"], "'/usr/../bin': an absolute path without wildcards, . and .."),
    ("paths", ["/usr//bin"], "'/usr//bin': an absolute path"),
    ("paths", ["/a\0b"], "an absolute path"),
    ("paths", ["/\ud800"], "an absolute path"),
    ("paths", [""], "'': an absolute path"),
    ("paths", [7], "7: an absolute path"),
    ("paths", [f"/{'x' * 2100}", f"/{'y' * 2100}"], "more than 4096 bytes"),
)


def publish(host: Host, *programs: tuple[int, int, int, str]) -> int:
    """Let the core publish programs; return how many its filters have rejected so far."""
    for one in programs:
        host.tell("program {} {} {} {}".format(*one))
    return host.tell("stats").filtered


def spec_of(folder: Path, filters: dict[str, Any], **own: Any) -> tuple[FilterSpec, ...]:
    """Return the filters in a configuration."""
    path = folder / "osq.conf"
    path.write_text(json.dumps({"osq": {"filters": filters, **own}}))
    return load(path).filters


@pytest.mark.parametrize(("one", "let_in"), CASES)
def test_a_filter_passes_exactly_the_named_records(
    host: Host, folder: Path, one: dict[str, Any], let_in: set[tuple[int, int, int, str]]
) -> None:
    """With osq.filters, the core makes the named exec records; the others count as filtered."""
    with Daemon(host, folder, {"filters": {"exec": one}}) as daemon:
        subscribed(daemon)
        kept_out = publish(host, *PROGRAMS)
        drained(host)
        assert daemon.stop() == 0

    seen = set(ask(daemon.store, "SELECT uid, path FROM kprocess_events"))
    assert seen == {(uid, path) for uid, _, _, path in let_in}
    assert kept_out == len(PROGRAMS) - len(let_in)
    totals = "SELECT sum(filtered), sum(attempts), sum(stored), min(complete) FROM kosquery_stats"
    assert counts(daemon.store, totals) == [(kept_out, len(let_in), len(let_in), 1)]


def test_cases_of_the_filter_test_use_every_kind_of_list_to_include_and_to_exclude() -> None:
    """The preceding test has uids, pid_namespaces, cgroups and paths, each in both ways."""
    included = {name for one, _ in CASES for name in one if name != "exclude"}
    excluded = {name for one, _ in CASES for name in one.get("exclude", {})}

    assert (included, excluded) == (set(LISTS), set(LISTS))


def test_a_filter_of_exec_records_rejects_no_fork_and_no_exit(host: Host, folder: Path) -> None:
    """With a filter that rejects each exec, every fork and exit record is still stored."""
    with Daemon(host, folder, {"filters": {"exec": {"uids": [0]}}}) as daemon:
        subscribed(daemon)
        host.tell("rate 2000")
        until(lambda: host.tell("stats").filtered > 100, "programs are kept out")
        truth = host.tell("rate 0")
        drained(host)
        assert daemon.stop() == 0

    types = "SELECT event_type, count(*) FROM kprocess_events GROUP BY event_type ORDER BY 1"
    seen = ask(daemon.store, types)
    assert [kind for kind, _ in seen] == ["exit", "fork"]
    assert sum(int(count or 0) for _, count in seen) == truth.attempts


def test_each_stats_row_counts_the_records_filtered_in_its_own_interval(
    host: Host, folder: Path
) -> None:
    """Three and two rejected execs in two intervals are 3 and 2 in rows of kosquery_stats."""
    rows = "SELECT filtered FROM kosquery_stats WHERE filtered > 0 ORDER BY global_seq_num"
    with Daemon(host, folder, {"filters": {"exec": {"exclude": {"uids": [0]}}}}) as daemon:
        subscribed(daemon)
        for number, count in enumerate((3, 2), 1):
            before = [one for (one,) in ask(daemon.store, rows)]
            daemon_stopped_for(daemon, host, count)
            until(
                lambda n=number: len(ask(daemon.store, rows)) == n,  # type: ignore[misc]
                "the interval is over",
            )
            assert [one for (one,) in ask(daemon.store, rows)] == [*before, count]
        assert daemon.stop() == 0


def daemon_stopped_for(daemon: Daemon, host: Host, count: int) -> None:
    """Let filters reject this many programs within one interval, however busy the machine is."""
    daemon.pause()
    publish(host, *[ROOTS] * count)
    daemon.go_on()


def test_a_new_ring_gets_the_filters_again(host: Host, folder: Path) -> None:
    """After another process made the queue invalid, the daemon's new ring rejects as before."""
    with Daemon(host, folder, {"filters": {"exec": {"exclude": {"uids": [0]}}}}) as daemon:
        subscribed(daemon)
        assert publish(host, ROOTS, USERS, ROOTS) == 2
        drained(host)
        host.tell("invalidate")
        until(lambda: "reading a new ring" in daemon.said(), "it allocates again")
        assert publish(host, ROOTS, LAST) == 3
        until(lambda: host.tell("stats").consumed == 2, "it reads again")
        assert daemon.stop() == 0

    assert ask(daemon.store, "SELECT uid FROM kprocess_events ORDER BY eid") == [(1000,), (1999,)]
    totals = "SELECT sum(filtered), max(generation), sum(reset) FROM kosquery_stats"
    assert counts(daemon.store, totals) == [(3, 2, 0)]


@pytest.mark.parametrize(("name", "values", "said"), BAD)
@pytest.mark.parametrize("is_excluded", [False, True])
def test_the_error_for_a_wrong_filter_value_names_its_key(
    folder: Path,
    name: str,
    values: Any,
    said: str,
    is_excluded: bool,  # noqa: FBT001
) -> None:
    """Loading such a configuration raises ConfigError with a key such as osq.filters.exec.uids."""
    one = {"exclude": {name: values}} if is_excluded else {name: values}

    with pytest.raises(ConfigError) as caught:
        spec_of(folder, {"exec": one})

    assert said in caught.value.expected
    key = f"osq.filters.exec.{'exclude.' if is_excluded else ''}{name}"
    assert caught.value.key == key


def test_a_daemon_with_a_wrong_configuration_does_not_start(host: Host, folder: Path) -> None:
    """It exits with 2 for an unknown key of a filter, or for a folder that is no control group."""
    own: dict[str, Any] = {"filters": {"exec": {"uid": [0]}}}
    with Daemon(host, folder, own) as daemon:
        assert daemon.wait() == 2
        assert "osq.filters.exec.uid: unknown; known are cgroups, exclude" in daemon.said()

    own = {"filters": {"fork": {"cgroups": [str(folder)]}}}
    with Daemon(host, folder, own) as daemon:
        assert daemon.wait() == 2
    expected = (
        f"osq.filters.fork.cgroups: {folder}: this is not a control group of the unified hierarchy"
    )
    assert expected in daemon.said()


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("pid_namespaces", "/proc/self/ns/none", "No such file"),
        ("pid_namespaces", "/proc/self/ns/uts", "this is not a pid namespace"),
        ("pid_namespaces", "/etc/passwd", "not a namespace"),
        ("cgroups", "/sys/fs/none", "No such file"),
        ("cgroups", "/etc/passwd", "not a control group"),
        ("cgroups", "/etc", "not a control group"),
    ],
)
def test_error_for_a_filters_file_without_a_namespace_or_cgroup_id_names_the_file(
    folder: Path, name: str, file: str, said: str
) -> None:
    """A filter with a path that is no pid namespace or control group raises UsageError."""
    (spec,) = spec_of(folder, {"exec": {name: [file]}})

    with pytest.raises(UsageError, match=said) as caught:
        spec.resolved()

    assert f"osq.filters.exec.{name}: {file}: " in caught.value.message


def test_namespace_and_group_files_in_a_filter_are_replaced_by_their_ids(folder: Path) -> None:
    """A path of /proc/PID/ns/pid or of a control group becomes its inode number."""
    group = folder / "group"
    group.mkdir()
    (group / "cgroup.controllers").touch()
    one = {"pid_namespaces": [str(OWN_PID_NS)], "cgroups": [str(group)]}

    (spec,) = spec_of(folder, {"exit": one})

    found = spec.resolved()
    assert found.pid_namespaces == (OWN_PID_NS.stat().st_ino,)
    assert found.cgroups == (group.stat().st_ino,)


def test_the_driver_core_answers_each_of_four_invalid_filters_with_einval(host: Host) -> None:
    """The core itself refuses what the configuration would not let pass.

    They are paths of forks, a reversed range, a path that ends with a slash, and a filter of
    losses.
    """
    script = """
import sys
from pathlib import Path
from osq.errors import DeviceError
from osq.layout import TYPES_BY_NAME
from osq.ring import Filter, Ring
with Ring(Path(sys.argv[1]), ring_bytes=1 << 16) as ring:
    ring.filter(Filter(record_type=TYPES_BY_NAME["exec"], paths=(b"/usr",)))
    for bad in (
        Filter(record_type=TYPES_BY_NAME["fork"], paths=(b"/usr",)),
        Filter(record_type=TYPES_BY_NAME["exec"], uids=((2, 1),)),
        Filter(record_type=TYPES_BY_NAME["exec"], paths=(b"/usr/",)),
        Filter(record_type=TYPES_BY_NAME["lost"], uids=((1, 2),)),
    ):
        try:
            ring.filter(bad)
        except DeviceError as error:
            print(error.message.rpartition(": ")[2])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(host.socket)],
        env=environment(host.socket),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == [os.strerror(22)] * 4
