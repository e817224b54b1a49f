# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare the log that the program osqfiles writes with the driver's records of it."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.guest.tailing import Record

DELETED = 0x1
NO_PATH = 0x8
TRUNC_PATH = 0x200
OTHER_CONTEXT = 0x400
FS_PATH = 0x1000
OTHER_NAME = 0x2000
# The size of the driver's buffer for a path, without the final NUL.
LONGEST_PATH = 4095
_IDS = ("uid", "euid", "suid", "fsuid", "gid", "egid", "sgid", "fsgid")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One file event in the log of osqfiles; its numbers are those of fstat after the event."""

    action: str
    path: bytes
    dest: bytes
    dev: int
    ino: int
    mode: int
    uid: int
    gid: int
    nlink: int
    flags: int = 0


@dataclass(frozen=True, kw_only=True)
class Log:
    """The file events of one process of osqfiles, in order."""

    pid: int
    ids: dict[str, int]
    events: tuple[Event, ...]


def parse_log(text: str) -> Log:
    """Return the contents of a log of osqfiles; raise ValueError for an incomplete one."""
    lines = text.splitlines()
    if len(lines) < 2 or not lines[0].startswith("process ") or lines[-1] != "end":
        raise ValueError(f"no whole log: {lines[:1]} ... {lines[-1:]}")
    pid, *ids = (int(number) for number in lines[0].split()[1:])
    events = tuple(_parse(line) for line in lines[1:-1])
    return Log(pid=pid, ids=dict(zip(_IDS, ids, strict=True)), events=events)


def _parse(line: str) -> Event:
    action, path, dest, *numbers = line.split()
    dev, ino, mode, uid, gid, nlink = (int(number) for number in numbers)
    return Event(
        action=action,
        path=bytes.fromhex(path),
        dest=b"" if dest == "-" else bytes.fromhex(dest),
        dev=dev,
        ino=ino,
        mode=mode,
        uid=uid,
        gid=gid,
        nlink=nlink,
    )


def covers(folders: Iterable[str], path: bytes) -> bool:
    """Return whether a path is one of the given paths or below one, by whole components."""
    return any(path == (top := os.fsencode(one)) or path.startswith(top + b"/") for one in folders)


def under(folders: Sequence[str], events: Iterable[Event]) -> list[Event]:
    """Return the logged events with a watched path, as the driver must report them."""
    return [
        _as_told(one)
        for one in events
        if covers(folders, one.path) or (one.dest and covers(folders, one.dest))
    ]


def _as_told(event: Event) -> Event:
    path, dest = _cut(event.path), _cut(event.dest)
    if (path, dest) == (event.path, event.dest):
        return event
    return replace(event, path=path, dest=dest, flags=event.flags | TRUNC_PATH)


def _cut(path: bytes) -> bytes:
    while len(path) > LONGEST_PATH:
        path = path.rpartition(b"/")[0]
    return path


def seen(records: Iterable[Record], log: Log) -> list[Event]:
    """Return the driver's records of one process, after a check of the ids in each record.

    Modifications, which the driver reports once a second, are left out. So are events through a
    name that no watch covers: test_file_evasion.py tests those.

    Raises: AssertionError for a record with other ids than the process had.
    """
    own = [
        one
        for one in records
        if one["type"] == "file"
        and one["pid"] == log.pid
        and one["action"] != "modify"
        and not one["flags"] & OTHER_NAME
    ]
    for one in own:
        assert {name: one[name] for name in _IDS} == log.ids
    return [
        Event(
            action=one["action"],
            path=_bytes(one["path"]),
            dest=_bytes(one["dest_path"]),
            dev=one["dev"],
            ino=one["ino"],
            mode=one["mode"],
            uid=one["owner_uid"],
            gid=one["owner_gid"],
            nlink=one["nlink"],
            flags=one["flags"],
        )
        for one in own
    ]


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def difference(told: Sequence[Event], done: Sequence[Event]) -> str:
    """Return the first difference between records and events, or ""."""
    for number, (ours, theirs) in enumerate(zip(told, done, strict=False)):
        if ours != theirs:
            return f"event {number}: told {ours}, done {theirs}"
    if len(told) != len(done):
        extra = (told if len(told) > len(done) else done)[min(len(told), len(done))]
        return f"{len(told)} told, {len(done)} done, the first that is alone: {extra}"
    return ""


def is_part_of(told: Sequence[Event], done: Sequence[Event]) -> bool:
    """Return whether the records are the events in order, with some left out."""
    rest = iter(done)
    return all(any(one == other for other in rest) for one in told)
