# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Start programs, and log the rows of their fork, their exec and their end."""

import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import facts
from .log import Log, Row, Value

ENVIRONMENT = {b"PATH": b"/usr/sbin:/usr/bin:/sbin:/bin", b"A": b"1"}
PROCESSES = "kprocess_events"
_FAILED = 99


@dataclass(frozen=True, kw_only=True)
class Start:
    """A program that a step starts.

    prepare: what the child does before it; script: the file, if it is a script.
    file: what runs in the end, if it is not `program`; path: its path, if it cannot be looked up.
    own: columns of the exec that this program changes by itself, such as a setuid program's euid.
    status: the expected exit code, or the negative number of a signal.
    """

    program: str | int
    arguments: Sequence[bytes | str]
    prepare: Callable[[], object] = lambda: None
    script: Path | None = None
    file: str = ""
    path: str = ""
    own: Mapping[str, Value] = field(default_factory=dict)
    status: int = 0


def encoded(words: Sequence[bytes | str]) -> list[bytes]:
    """Return words as bytes."""
    return [os.fsencode(word) for word in words]


def in_child(do: Callable[[], object]) -> int:
    """Do something in a child, which ends after it; return the child's pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        do()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's steps
        traceback.print_exc(file=sys.stderr)
    os._exit(_FAILED)


def start(log: Log, what: Start, **key: Value) -> int:
    """Start a program, wait for its end, and log its three rows; return its pid.

    key: what tells its exec from a later one of the same process.
    """
    pid = in_child(lambda: become(log, what, **key))
    began = facts.start_of(pid)
    log.expect_all(
        PROCESSES,
        {"event_type": "fork", "child_pid": pid},
        {"pid": os.getpid(), "child_tid": pid, facts.CHILD_START: began, **_parent()},
    )
    wait_for_end(log, pid, what.status)
    return pid


def wait_for_end(log: Log, pid: int, status: int = 0) -> None:
    """Wait until a process that this one has started ends, and log the row of that.

    status: the expected exit code, or the negative number of a signal.
    """
    began = facts.start_of(pid)
    _, got, usage = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(got) != status:
        raise RuntimeError(f"{log.step}: process {pid} ended with status {got:#x}")
    ended: Row = {
        "exit_code": max(status, 0),
        "signal": max(-status, 0),
        "core_dumped": 0,
        "parent": os.getpid(),
        "max_rss_bytes": usage.ru_maxrss * 1024,
        facts.START: began,
    }
    log.expect_all(PROCESSES, {"event_type": "exit", "pid": pid}, ended)


def _parent() -> dict[str, Value]:
    """Return the columns of a fork that are about this process."""
    return {facts.START: facts.start_of(os.getpid()), "parent": os.getppid()}


def become(log: Log, what: Start, **key: Value) -> None:
    """Prepare, log the row of the exec, and run the program instead of this process.

    key: what tells the row from others of this process.
    """
    # A process that has given up its rights cannot read that of its parent.
    parent = facts.parent_program()
    what.prepare()
    expect_exec(log, what, parent, **key)
    os.execve(what.program, encoded(what.arguments), ENVIRONMENT)  # noqa: S606 - no shell is meant


def expect_exec(log: Log, what: Start, parent: Mapping[str, Value], **key: Value) -> None:
    """Log the row of an exec that this process is about to make."""
    whole: Row = {"event_type": "exec", "pid": os.getpid(), **key}
    values: Row = {**_exec_row(what), **parent, **what.own}
    log.expect_all(PROCESSES, whole, values)


def _exec_row(what: Start) -> dict[str, Value]:
    arguments = encoded(what.arguments)
    target = what.file or what.program
    by_descriptor = isinstance(what.program, int)
    filename = f"/dev/fd/{what.program}" if by_descriptor else what.program
    return {
        **facts.ids(),
        **facts.audit(),
        **facts.family(),
        **facts.surroundings(),
        **facts.standard_files(),
        **facts.script(what.script),
        **facts.of_arguments(arguments, ENVIRONMENT),
        **facts.of_file(target),
        "path": what.path or os.path.realpath(str(target)),
        "filename": filename,
        "cwd": str(Path.cwd()),
        "old_tid": os.getpid(),
        "flags": 0,
        "probe_error": 0,
        "overflows": "",
    }
