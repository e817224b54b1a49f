# SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
"""Tests of the program that a row names: the one that its record means, or none."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from _libosq import lib
from osq.columns import SqlValue
from osq.programs import MOST_ENDED, MOST_PROCESSES, Program, Programs, running
from osq.records import Event
from tests.subscriber.events import a_fork, a_record, an_exec, an_exit, exec_bytes, record_bytes
from tests.subscriber.host import Daemon, Host, ask
from tests.subscriber.test_daemon import drained, subscribed

BASH, CURL, SUDO = 11, 12, 13
PATHS = {BASH: b"/usr/bin/bash", CURL: b"/usr/bin/curl", SUDO: b"/usr/bin/sudo"}
PID, CHILD = 4_000_001, 4_000_002
RECORDS = ["exec", "fork", "exit", "socket", "file", "module", "cred", "ptrace"]
# The table of each type of records whose rows name a program, and that column.
NAMED = {
    "socket": ("ksocket_events", "path"),
    "file": ("kfile_events", "executable"),
    "module": ("kmodule_events", "path"),
    "cred": ("kcredential_events", "path"),
    "ptrace": ("kptrace_events", "path"),
}
TICK_NS = 10_000_000


def of(pid: int, file: int) -> dict[str, Any]:
    """Return the fields by which a record says that a process runs a file."""
    start_ns = pid * TICK_NS
    actor = {"program_dev": 1, "program_ino": file}
    return {"pid": pid, "tid": pid, "start_boot_ns": start_ns, "actor": actor}


def the_exec(pid: int, file: int) -> bytes:
    """Return the record of a process that starts a program."""
    return exec_bytes(**of(pid, file), path=PATHS[file], dev=1, ino=file)


def the_fork(child: int, *, by: int, file: int) -> bytes:
    """Return the record of a process that runs a file and makes another one."""
    own: dict[str, Any] = {"child_pid": child, "child_tid": child}
    own["child_start_boot_ns"] = child * TICK_NS
    return record_bytes("fork", **of(by, file), **own)


def named(host: Host, folder: Path, *records: bytes) -> dict[str, list[SqlValue]]:
    """Let a daemon store records, and return for each type what its rows name as the program.

    Each batch has one record, so nothing depends on where a batch ends.
    """
    with Daemon(host, folder, {"records": RECORDS, "batch_records": 1}) as daemon:
        subscribed(daemon)
        host.publish(*records)
        drained(host)
        assert daemon.stop() == 0
    return {
        kind: [row[0] for row in ask(daemon.store, f"SELECT {column} FROM {table} ORDER BY eid")]
        for kind, (table, column) in NAMED.items()
    }


def of_each_type(pid: int, file: int, **own: Any) -> list[bytes]:
    """Return a record of each type whose rows name a program."""
    return [record_bytes(kind, **of(pid, file), action=1, **own) for kind in NAMED]


def test_a_row_names_the_program_of_its_record_and_no_program_whose_exec_was_not_recorded(
    host: Host, folder: Path
) -> None:
    """Bash forks, and curl's exec has no record: rows of that process have no program."""
    rows = named(
        *(host, folder),
        the_exec(PID, BASH),
        *of_each_type(PID, BASH),
        the_fork(CHILD, by=PID, file=BASH),
        *of_each_type(CHILD, BASH),
        *of_each_type(CHILD, CURL),
        *of_each_type(PID, 0),
    )

    bash = PATHS[BASH].decode()
    assert rows == {key: [bash, bash, None, None] for key in NAMED}


def test_what_is_closed_after_the_exit_of_a_process_has_its_program(
    host: Host, folder: Path
) -> None:
    """The kernel closes a process's files after the exit record; those rows still have a path."""
    flags = lib.OSQ_FLAG_EXITING
    rows = named(
        *(host, folder),
        the_exec(PID, CURL),
        record_bytes("exit", **of(PID, CURL), last=1),
        *of_each_type(PID, CURL, flags=flags),
        *of_each_type(PID, BASH, flags=flags),
    )

    assert rows == {key: [PATHS[CURL].decode(), None] for key in NAMED}


def test_credentials_that_an_exec_changes_name_the_program_that_is_started(
    host: Host, folder: Path
) -> None:
    """A cred record of an exec precedes the exec record, and its row has the new program's path.

    A call names the program that makes it. After an exec that was not recorded, nothing is known.
    """
    by_exec, by_call = ({"action": one} for one in (lib.OSQ_CRED_EXEC, lib.OSQ_CRED_CALL))
    rows = named(
        *(host, folder),
        the_exec(PID, BASH),
        record_bytes("cred", **of(PID, SUDO), **by_exec),
        the_exec(PID, SUDO),
        record_bytes("cred", **of(PID, SUDO), **by_call),
        record_bytes("cred", **of(PID, CURL), **by_call),
        record_bytes("cred", **of(PID, CURL), **by_exec),
        the_exec(PID, SUDO),
        the_exec(PID, CURL),
    )

    assert rows["cred"] == ["/usr/bin/sudo", "/usr/bin/sudo", None, None]


def own_record(*, start: int = 0, ino: int = 0) -> bytes:
    """Return a record of this process; its start in ticks and its file may be made wrong."""
    pid = os.getpid()
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    stat = Path("/proc/self/exe").stat()
    dev = os.major(stat.st_dev) << 32 | os.minor(stat.st_dev)
    actor = {"program_dev": dev, "program_ino": stat.st_ino + ino}
    start_ns = (ticks + start) * TICK_NS + 1
    return record_bytes("ptrace", pid=pid, tid=pid, start_boot_ns=start_ns, actor=actor)


def test_a_process_that_ran_before_the_daemon_has_its_program_if_it_still_runs_it(
    host: Host, folder: Path
) -> None:
    """Its path comes from /proc, and is used only for the same pid, start time and file.

    So is one that runs another file since the daemon has looked.
    """
    rows = named(host, folder, own_record(), own_record(start=1), own_record(ino=1))

    assert rows["ptrace"] == [str(Path("/proc/self/exe").readlink()), None, None]


def test_the_device_of_a_running_program_is_that_of_its_file_system() -> None:
    """A program's device, found in /proc, equals what /proc/self/maps has for this process."""
    pid = os.getpid()
    (program,) = [one for (found, _), one in running().items() if found == pid]
    (line, *_) = Path("/proc/self/maps").read_text().splitlines()
    device, inode = line.split()[3:5]
    major, _, minor = device.partition(":")

    assert (program.dev, program.ino) == (int(major, 16) << 32 | int(minor, 16), int(inode))
    assert program.was_there


def an_event(pid: int, file: int, seq: int) -> Event:
    """Return an event of a process that runs a file."""
    return a_record("ptrace", seq=seq, **of(pid, file))


def test_a_processs_program_is_that_of_its_last_exec_or_else_its_parents_at_the_fork() -> None:
    """A fork copies the parent's program, an exec replaces it, and an unknown process has none.

    A later exec of the parent does not change the child's program.
    """
    child = {"child_pid": 6, "child_tid": 6, "child_start_boot_ns": 6 * TICK_NS}
    stream = [
        an_exec(seq=1, **of(5, BASH), path=b"/bin/a", dev=1, ino=BASH),
        a_fork(seq=2, **of(5, BASH), **child),
        an_exec(seq=3, **of(5, CURL), path=b"/bin/b", dev=1, ino=CURL),
        an_event(6, BASH, 5),
        an_event(5, CURL, 6),
        an_event(7, BASH, 7),
        an_exec(seq=8, **of(5, SUDO), path=b"", dev=1, ino=SUDO),
        an_event(5, SUDO, 9),
    ]

    found = Programs({}).follow(stream)

    assert {seq: program.path for seq, program in found.items()} == {5: "/bin/a", 6: "/bin/b"}


def test_of_too_many_remembered_processes_an_old_dead_one_is_removed_and_a_live_one_kept() -> None:
    """When exits were lost, dead processes are forgotten; live and recent ones are kept."""
    alive = os.getpid()
    program = Program(path="/bin/a", dev=1, ino=BASH)
    gone = range(10_000_000, 10_000_000 + MOST_PROCESSES)
    programs = Programs({(pid, pid): program for pid in (alive, *gone[:-1])})
    programs.follow([an_exec(seq=1, **of(gone[-1], BASH), dev=1, ino=BASH)])
    events = [an_event(pid, BASH, pid) for pid in (alive, gone[0], gone[-1])]

    assert set(programs.follow(events)) == {alive, gone[-1]}


def test_of_too_many_ended_processes_the_one_that_ended_first_is_forgotten() -> None:
    """For their late closes, the programs of a bounded number of ended processes are kept."""
    pids = range(1, MOST_ENDED + 2)
    programs = Programs({(pid, pid): Program(path="/bin/a", dev=1, ino=BASH) for pid in pids})
    end = an_exit(**of(1, BASH))
    programs.follow(replace(end, pid=pid, start_boot_ns=pid * TICK_NS) for pid in pids)
    events = [an_event(pid, BASH, pid) for pid in (pids[0], pids[1], pids[-1])]

    assert set(programs.follow(events)) == {pids[1], pids[-1]}
