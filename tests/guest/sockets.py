# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Compare osqnet's log of its socket calls with the driver's records of them."""

import errno
import json
import socket
from collections import Counter, defaultdict
from collections.abc import Iterable

from tests.guest.tailing import Record

OTHER_CONTEXT = 0x0400
OUTCOME = 0x0800
# A close at the exit of a process is a call of its own, with its place in the thread's order.
EXITING = 0x8000
# The values that both a record and a line of the log have; a call is their values in this order.
FIELDS = (
    *("action", "status", "error", "pid", "tid", "uid", "family", "socktype", "protocol"),
    *("cookie", "backlog", "acked_bytes", "received_bytes"),
    *("local_address", "local_port", "local_path"),
    *("remote_address", "remote_port", "remote_path"),
)
# A connect that a signal interrupts goes on, as one of a socket that does not wait.
_IN_PROGRESS = {errno.EINPROGRESS, errno.EALREADY, errno.EINTR}
_NOWHERE = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::", socket.AF_UNIX: ""}  # noqa: S104
# Log lines whose names differ from those of their records.
_ACTIONS = {"outcome": "connect", "close_elsewhere": "close"}

Call = tuple[object, ...]


def lines_of(log: str) -> list[Record]:
    """Return the lines of one or more logs of osqnet, in their order."""
    return [json.loads(line) for line in log.splitlines()]


def _end_of(family: int, sockaddr: str) -> tuple[str, int, str]:
    """Return the address, port and path in a struct sockaddr that is given as hex digits."""
    raw = bytes.fromhex(sockaddr)
    port = int.from_bytes(raw[2:4], "big")
    if not raw or int.from_bytes(raw[:2], "little") != family:
        return _NOWHERE[socket.AddressFamily(family)], 0, ""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), port, ""
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), port, ""
    # An abstract name begins with a NUL and may have more of them; a path ends at its first NUL.
    name = raw[2:] if raw[2:3] == b"\0" else raw[2:].split(b"\0")[0]
    return "", 0, name.decode("utf-8", "surrogateescape")


def asked_path(line: Record) -> str:
    """Return the path that the caller passed to a logged call of a UNIX socket."""
    return _end_of(line["family"], str(line["asked"]))[2]


def _status_of(action: str, error: int) -> str:
    if action == "connect" and error in _IN_PROGRESS:
        return "in_progress"
    return "failed" if error else "succeeded"


def _remote_of(line: Record, action: str, status: str) -> str:
    """Return the field of a log line that has the remote address."""
    if action in {"bind", "listen"}:
        return ""
    is_unix = line["family"] == socket.AF_UNIX
    if line["call"] == "connect" and (status != "succeeded" or is_unix):
        return str(line["asked"])
    return str(line["peer"])


def call_of_line(line: Record) -> Call:
    """Return the values that the record of a logged call must have."""
    action = _ACTIONS.get(line["call"]) or str(line["call"])
    status = _status_of(action, line["error"])
    failed_bind = (action, status) == ("bind", "failed")
    local = line["asked"] if failed_bind else line["local"]
    said = {
        **line,
        "action": action,
        "status": status,
        "acked_bytes": line["acked_bytes"] if action == "close" else 0,
        "received_bytes": line["received_bytes"] if action == "close" else 0,
    }
    ends = (
        *_end_of(line["family"], local),
        *_end_of(line["family"], _remote_of(line, action, status)),
    )
    return (*(said[field] for field in FIELDS[: -len(ends)]), *ends)


def call_of_record(record: Record) -> Call:
    """Return the values of a record that are compared with the log."""
    return tuple(record[field] for field in FIELDS)


def calls_by_thread(records: Iterable[Record]) -> dict[int, list[Call]]:
    """Return the recorded calls of each thread, in the order of the ring."""
    found: dict[int, list[Call]] = defaultdict(list)
    for one in records:
        if one["type"] == "socket" and not one["flags"] & ~EXITING:
            found[one["tid"]].append(call_of_record(one))
    return found


def logged_by_thread(lines: Iterable[Record]) -> dict[int, list[Call]]:
    """Return the logged calls of each thread."""
    found: dict[int, list[Call]] = defaultdict(list)
    for line in lines:
        if line["call"] not in _ACTIONS:
            found[line["tid"]].append(call_of_line(line))
    return found


def _elsewhere(records: Iterable[Record], witnesses: set[int]) -> Counter[Call]:
    """Return the records of these threads that no logged call made, in any order."""
    return Counter(
        (bool(one["flags"] & OUTCOME), *call_of_record(one))
        for one in records
        if one["type"] == "socket" and one["flags"] & ~EXITING and one["tid"] in witnesses
    )


def _first_difference(ours: list[Call], theirs: list[Call]) -> str:
    """Return a description of the first difference of two lists, or nothing."""
    for at, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        fields = [
            f"{name}: {mine!r}, logged {logged!r}"
            for name, mine, logged in zip(FIELDS, one, other, strict=True)
            if mine != logged
        ]
        if fields:
            return f"call {at}, {other[0]}: " + "; ".join(fields)
    if len(ours) != len(theirs):
        return f"{len(ours)} calls, logged {len(theirs)}"
    return ""


def differences(records: Iterable[Record], lines: Iterable[Record]) -> list[str]:
    """Return the differences between records and log; nothing if each call has one record.

    Each thread's calls must be the same in the same order, with equal fields. Outcomes of connects
    that were in progress, and closes by another thread, may come in any order.
    """
    lines, records = list(lines), list(records)
    witnesses = {line["tid"] for line in lines}
    theirs, ours = logged_by_thread(lines), calls_by_thread(records)
    found = [
        f"thread {tid}: {difference}"
        for tid in sorted(witnesses)
        if (difference := _first_difference(ours[tid], theirs[tid]))
    ]
    mine = _elsewhere(records, witnesses)
    logged = Counter(
        (line["call"] == "outcome", *call_of_line(line))
        for line in lines
        if line["call"] in _ACTIONS
    )
    found += [f"not logged: {call}" for call in mine - logged]
    found += [f"without a record: {call}" for call in logged - mine]
    return found


def is_run_of(ours: list[Call], theirs: list[Call]) -> bool:
    """Return whether the calls are consecutive in the log."""
    return any(
        theirs[at : at + len(ours)] == ours for at, call in enumerate(theirs) if call == ours[0]
    )
