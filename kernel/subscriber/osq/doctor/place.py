# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Checks of what is recorded: the store, its disk, the watched paths, the clock."""

import os
from collections.abc import Iterator

from osq.config import Config
from osq.doctor.findings import Finding, missing, note, ok
from osq.doctor.machine import Machine
from osq.errors import OsqError
from osq.reader import Reader

_MIB = 1 << 20
_DAY_S = 86_400
_DEADLINE_S = 30.0
# Below this, the next batches may not fit.
_LEAST_FREE_BYTES = 64 * _MIB
# A clock may differ by so much from the last row, because rows are stored in batches.
_CLOCK_SLACK_S = 5
_LOG = "journalctl -u osq-subscriber has the reason"


def store(machine: Machine, config: Config) -> Iterator[Finding]:
    """Check that the store has a recent row, and that its last 24 hours are complete."""
    path = machine.at(config.store)
    try:
        with Reader(path) as reader:
            sql = f"""SELECT max(time), min(time),
                sum(NOT complete AND time > {machine.now_s - _DAY_S}) FROM kosquery_stats"""
            ((newest, oldest, gaps),) = reader.query(sql, deadline_s=_DEADLINE_S).rows
    except OsqError as error:
        advice = error.hint or "run osq doctor as root"
        yield missing("store", error.message, advice)
        return
    if newest is None:
        yield missing("store", f"{config.store} has no row yet", f"wait {config.interval_s} s")
        return
    yield from _age(machine, config, int(newest))
    if gaps:
        yield note(
            "store",
            f"{gaps} intervals of the last 24 hours are not complete",
            "osq report --since 24h report.html shows what is missing, and when",
        )
    else:
        days = (machine.now_s - int(oldest or 0)) / _DAY_S
        yield ok("store", f"{config.store} goes {days:.1f} days back; the last day is complete")


def _age(machine: Machine, config: Config, newest_s: int) -> Iterator[Finding]:
    behind_s = machine.now_s - newest_s
    if behind_s > 3 * config.interval_s:
        advice = f"see `device` above; {_LOG}"
        yield missing("store", f"its last row is {behind_s} s old", advice)
    elif behind_s < -_CLOCK_SLACK_S:
        yield note(
            "clock",
            f"the clock is {-behind_s} s before the last row: it was set back",
            "order rows by eid, which grows all the same, and compare ntime, not time",
        )


def disk(machine: Machine, config: Config) -> Iterator[Finding]:
    """Check that the store has room to grow to the size that the configuration allows."""
    folder = machine.at(config.store.parent)
    try:
        status = os.statvfs(folder)
    except OSError as error:
        advice = "the service makes it when it starts: systemctl start osq-subscriber"
        yield missing("disk", f"{config.store.parent}: {error.strerror}", advice)
        return
    free = status.f_bavail * status.f_frsize
    path = machine.at(config.store)
    used = path.stat().st_size if path.exists() else 0
    wanted = max(0, config.limits.max_bytes - used)
    message = f"{free // _MIB} MiB are free where the store may grow by {wanted // _MIB} MiB"
    if free < _LEAST_FREE_BYTES:
        yield missing(
            "disk", message, "make room: while the disk is full, the kernel drops events"
        )
    elif free < wanted:
        advice = "make room, or lower osq.store_max_mib in osq.conf"
        yield note("disk", message, advice)
    else:
        yield ok("disk", message)


def watches(machine: Machine, config: Config) -> Iterator[Finding]:
    """Check that the watched paths exist, and that the daemon has reported none as unwatched."""
    watched = tuple(config.paths.watched)
    if not watched:
        advice = "name patterns in file_paths of osq.conf, where changes of files matter"
        yield note("watches", "no file is watched", advice)
        return
    absent = [one for one in watched if not machine.at(one).exists()]
    unwatched = _unwatched(machine, config)
    for one in absent:
        advice = "correct file_paths if that is a slip; otherwise the watch waits for it"
        yield note("watches", f"{one} does not exist", advice)
    if unwatched:
        message = f"{unwatched} watched paths are not watched as they were meant"
        yield missing("watches", message, f"{_LOG}; then systemctl restart osq-subscriber")
    if not absent and not unwatched:
        yield ok("watches", f"all {len(watched)} watched paths exist")


def _unwatched(machine: Machine, config: Config) -> int:
    """Return how many paths the daemon has reported as not watched, in its last row of the stats.

    0 also when the store cannot be read, which the check `store` reports.
    """
    sql = "SELECT unwatched FROM kosquery_stats ORDER BY global_seq_num DESC LIMIT 1"
    try:
        with Reader(machine.at(config.store)) as reader:
            rows = list(reader.query(sql, deadline_s=_DEADLINE_S).rows)
    except OsqError:
        return 0
    return int(rows[0][0] or 0) if rows else 0


def clock(machine: Machine) -> Iterator[Finding]:
    """Check that something, such as NTP, sets the clock, since the column `time` comes from it."""
    if machine.is_synchronised:
        yield ok("clock", "the clock is synchronised")
        return
    state = "is not synchronised" if machine.is_synchronised is False else "cannot be examined"
    advice = (
        "run a time service, such as systemd-timesyncd; time in all tables comes from the clock"
    )
    yield note("clock", f"the clock {state}", advice)
